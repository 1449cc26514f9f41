#include "proxy/control/server_facts.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "routing/abseil_view.h"

namespace bulkhead::control {

namespace {

using routing::Abs;
using routing::Duration;

template <typename Number>
Number NumberOf(const std::string& text) {
  Number number{};
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// A column of SHOW REPLICA STATUS, by its new name or its old one.
std::string Column(const SqlAnswer& answer, size_t row, std::string_view name) {
  if (answer.HasColumn(name)) return answer.Cell(row, name);
  std::string old(name);
  for (const auto& [fresh, stale] :
       {std::pair<std::string_view, std::string_view>{"Source", "Master"},
        {"source", "master"},
        {"Replica", "Slave"},
        {"replica", "slave"}}) {
    const size_t at = old.find(fresh);
    if (at != std::string::npos) old.replace(at, fresh.size(), stale);
  }
  return answer.Cell(row, old);
}

void AddFilters(const SqlAnswer& answer, size_t row, ReplicaStatus* status) {
  for (const std::string_view name :
       {"Replicate_Do_DB", "Replicate_Ignore_DB", "Replicate_Do_Table", "Replicate_Ignore_Table",
        "Replicate_Wild_Do_Table", "Replicate_Wild_Ignore_Table", "Replicate_Rewrite_DB",
        "Replicate_Ignore_Server_Ids", "Replicate_Do_Domain_Ids", "Replicate_Ignore_Domain_Ids"}) {
    const std::string value = answer.Cell(row, name);
    if (!value.empty()) status->filters.push_back(std::string(name) + " = " + value);
  }
}

// What of the connection to a source is worth keeping for the one in the other direction.
void AddOptions(const SqlAnswer& answer, size_t row, ReplicaStatus* status) {
  const auto text = [&](std::string_view column, const char* option) {
    const std::string value = Column(answer, row, column);
    if (!value.empty()) status->options.emplace_back(option, SqlQuoted(value));
  };
  const auto flag = [&](std::string_view column, const char* option) {
    const std::string value = Column(answer, row, column);
    if (value.empty()) return;
    const bool on = absl::EqualsIgnoreCase(value, "Yes") || value == "1";
    status->options.emplace_back(option, on ? "1" : "0");
  };
  const std::string retry = Column(answer, row, "Connect_Retry");
  if (!retry.empty()) status->options.emplace_back("CONNECT_RETRY", retry);
  flag("Source_SSL_Allowed", "SSL");
  text("Source_SSL_CA_File", "SSL_CA");
  text("Source_SSL_CA_Path", "SSL_CAPATH");
  text("Source_SSL_Cert", "SSL_CERT");
  text("Source_SSL_Cipher", "SSL_CIPHER");
  text("Source_SSL_Key", "SSL_KEY");
  text("Source_SSL_Crl", "SSL_CRL");
  text("Source_SSL_Crlpath", "SSL_CRLPATH");
  flag("Source_SSL_Verify_Server_Cert", "SSL_VERIFY_SERVER_CERT");
  flag("Get_Source_public_key", "GET_PUBLIC_KEY");
}

std::string FirstOf(std::string a, std::string b) {
  return a.empty() ? std::move(b) : std::move(a);
}

constexpr std::string_view kTransactions =
    "SELECT t.trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), "
    "t.trx_rows_modified, IFNULL(p.user, '') FROM information_schema.innodb_trx t LEFT JOIN "
    "information_schema.processlist p ON p.id = t.trx_mysql_thread_id WHERE "
    "t.trx_mysql_thread_id <> CONNECTION_ID() ORDER BY t.trx_started LIMIT 1000";
constexpr std::string_view kEvents =
    "SELECT event_schema, event_name, definer, character_set_client, collation_connection, status "
    "FROM information_schema.events ORDER BY event_schema, event_name LIMIT 1001";

}  // namespace

// --- reading answers
// ------------------------------------------------------------------------------------------------

std::vector<ReplicaStatus> ParseReplicaStatus(const SqlAnswer& answer) {
  std::vector<ReplicaStatus> all;
  for (size_t row = 0; row < answer.rows.size(); ++row) {
    ReplicaStatus& status = all.emplace_back();
    status.channel =
        answer.Cell(row, answer.HasColumn("Channel_Name") ? "Channel_Name" : "Connection_name");
    status.source_host = Column(answer, row, "Source_Host");
    status.source_port = NumberOf<uint16_t>(Column(answer, row, "Source_Port"));
    status.source_server_id = Column(answer, row, "Source_Server_Id");
    const std::string receiver = Column(answer, row, "Replica_IO_Running");
    status.receives = receiver == "Yes";
    status.receiver_runs = !receiver.empty() && receiver != "No";
    status.applies = Column(answer, row, "Replica_SQL_Running") == "Yes";
    status.error = FirstOf(answer.Cell(row, "Last_SQL_Error"), answer.Cell(row, "Last_IO_Error"));
    const std::string mode = FirstOf(answer.Cell(row, "Using_Gtid"), "No");
    status.by_gtid = mode != "No" || answer.Cell(row, "Auto_Position") == "1";
    status.received =
        FirstOf(answer.Cell(row, "Gtid_IO_Pos"), answer.Cell(row, "Retrieved_Gtid_Set"));
    const std::string behind = Column(answer, row, "Seconds_Behind_Source");
    if (!behind.empty()) status.seconds_behind = NumberOf<int64_t>(behind);
    status.delay = NumberOf<int64_t>(answer.Cell(row, "SQL_Delay"));
    AddFilters(answer, row, &status);
    AddOptions(answer, row, &status);
  }
  return all;
}

std::vector<ServerThread> ParseProcessList(const SqlAnswer& answer) {
  std::vector<ServerThread> threads;
  for (size_t row = 0; row < answer.rows.size(); ++row) {
    threads.push_back({.id = NumberOf<uint64_t>(answer.Cell(row, "Id")),
                       .user = answer.Cell(row, "User"),
                       .host = answer.Cell(row, "Host"),
                       .command = answer.Cell(row, "Command"),
                       .seconds = NumberOf<int64_t>(answer.Cell(row, "Time"))});
  }
  return threads;
}

bool IsReplicaDump(const ServerThread& thread) { return thread.command.starts_with("Binlog Dump"); }

bool IsClient(const ServerThread& thread) {
  if (thread.user == "system user" || thread.user == "event_scheduler") return false;
  return !IsReplicaDump(thread) && thread.command != "Daemon" &&
         !thread.command.starts_with("Slave_") && thread.user != "unauthenticated user";
}

void ParseGrant(std::string_view grant, ServerFacts* facts) {
  constexpr std::string_view kGrant = "GRANT ";
  if (!grant.starts_with(kGrant)) return;
  grant.remove_prefix(kGrant.size());
  const size_t end = grant.find(" ON ");
  if (end == std::string_view::npos) {
    facts->has_roles = true;
    return;
  }
  const std::string_view object = grant.substr(end);
  std::set<std::string>* into = nullptr;
  if (object.starts_with(" ON *.* TO ")) into = &facts->privileges;
  if (object.starts_with(" ON `bulkhead`.* TO ")) into = &facts->schema_privileges;
  if (into == nullptr) return;
  for (absl::string_view privilege : absl::StrSplit(Abs(grant.substr(0, end)), ','))
    into->insert(absl::AsciiStrToUpper(absl::StripAsciiWhitespace(privilege)));
}

std::string ServerFacts::Variable(std::string_view name) const {
  auto it = variables.find(std::string(name));
  return it == variables.end() ? std::string() : it->second;
}

bool ServerFacts::IsOn(std::string_view name) const {
  const std::string value = Variable(name);
  return value == "ON" || value == "1";
}

bool ServerFacts::Has(std::string_view privilege) const {
  return privileges.contains("ALL PRIVILEGES") || privileges.contains(std::string(privilege));
}

bool ServerFacts::HasOnSchema(std::string_view privilege) const {
  return Has(privilege) || schema_privileges.contains("ALL PRIVILEGES") ||
         schema_privileges.contains(std::string(privilege));
}

std::string ServerFacts::Position() const {
  std::string position = Variable(version.mariadb ? "gtid_binlog_pos" : "gtid_executed");
  std::erase(position, '\n');
  return position;
}

std::optional<SemiSyncNames> ServerFacts::SemiSync() const {
  for (const bool old_words : {false, true}) {
    SemiSyncNames names = SemiSyncNamesOf(version.mariadb, old_words);
    if (variables.contains(names.source_enabled) || variables.contains(names.replica_enabled))
      return names;
  }
  return std::nullopt;
}

// --- asking
// ------------------------------------------------------------------------------------------------

SqlAnswer ReadVariables(SqlSession* session, std::string_view like, Duration limit,
                        ServerFacts* facts) {
  SqlAnswer answer =
      session->Run(absl::StrCat("SHOW GLOBAL VARIABLES LIKE ", SqlQuoted(like)), limit);
  for (size_t row = 0; row < answer.rows.size(); ++row) {
    std::string value = answer.Cell(row, size_t{1});
    facts->variables[absl::AsciiStrToLower(answer.Cell(row, size_t{0}))] = std::move(value);
  }
  return answer;
}

namespace {

class FactReader {
 public:
  FactReader(SqlSession* session, Duration limit) : session_(session), limit_(limit) {}

  ServerFacts Read() {
    SqlAnswer open = session_->Open(limit_);
    if (open.ok()) {
      facts_.version = session_->version();
      open = ReadVariables(session_, "%", limit_, &facts_);
    }
    facts_.answered = open.ok();
    if (!open.ok()) {
      facts_.why = open.message;
      return std::move(facts_);
    }
    ReadRest();
    return std::move(facts_);
  }

 private:
  // What is refused is written down; `what` is what for.
  SqlAnswer Ask(const std::string& sql, const char* what) {
    SqlAnswer answer = session_->Run(sql, limit_);
    if (!answer.ok()) facts_.refused.push_back(absl::StrCat(what, ": ", answer.message));
    return answer;
  }

  void ReadRest() {
    const SqlAnswer status = Ask("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync%'", "status");
    for (size_t row = 0; row < status.rows.size(); ++row) {
      facts_.status[absl::AsciiStrToLower(status.Cell(row, size_t{0}))] =
          status.Cell(row, size_t{1});
    }
    facts_.sources =
        ParseReplicaStatus(Ask(ServerWords::Of(facts_.version).ReplicaStatus(), "its replication"));
    const SqlAnswer prepared = Ask("XA RECOVER", "prepared XA transactions");
    for (size_t row = 0; row < prepared.rows.size(); ++row)
      facts_.prepared.push_back(prepared.Cell(row, "data"));
    const SqlAnswer log =
        Ask(ServerWords::Of(facts_.version).LogStatus(facts_.version.number), "its binary log");
    for (const char* filter : {"Binlog_Do_DB", "Binlog_Ignore_DB"}) {
      const std::string value = log.rows.empty() ? "" : log.Cell(0, filter);
      if (!value.empty()) facts_.log_filters.push_back(absl::StrCat(filter, " = ", value));
    }
    ReadOpen();
    const SqlAnswer grants = Ask("SHOW GRANTS", "grants");
    for (const SqlAnswer::Row& grant : grants.rows) {
      if (!grant.empty()) ParseGrant(grant[0].value_or(""), &facts_);
    }
  }

  void ReadOpen() {
    const SqlAnswer open = Ask(std::string(kTransactions), "open transactions");
    for (size_t row = 0; row < open.rows.size(); ++row) {
      facts_.transactions.push_back({.connection = NumberOf<uint64_t>(open.Cell(row, size_t{0})),
                                     .seconds = NumberOf<int64_t>(open.Cell(row, size_t{1})),
                                     .wrote = open.Cell(row, size_t{2}) != "0",
                                     .user = open.Cell(row, size_t{3})});
    }
    const std::vector<ServerThread> threads =
        ParseProcessList(Ask("SHOW PROCESSLIST", "the process list"));
    facts_.replicas_connected =
        static_cast<size_t>(std::count_if(threads.begin(), threads.end(), IsReplicaDump));
    const SqlAnswer events = Ask(std::string(kEvents), "events");
    for (size_t row = 0; row < events.rows.size(); ++row) {
      const std::string state = events.Cell(row, size_t{5});
      facts_.events.push_back({.schema = events.Cell(row, size_t{0}),
                               .name = events.Cell(row, size_t{1}),
                               .definer = events.Cell(row, size_t{2}),
                               .charset = events.Cell(row, size_t{3}),
                               .collation = events.Cell(row, size_t{4}),
                               .enabled = state == "ENABLED",
                               .replica_side_disabled = state.ends_with("SIDE_DISABLED")});
    }
    if (facts_.version.mariadb || facts_.events.empty()) return;
    const SqlAnswer users =
        Ask("SELECT REPLACE(grantee, '''', '') FROM information_schema.user_privileges WHERE "
            "privilege_type = 'SYSTEM_USER'",
            "who has SYSTEM_USER");
    for (size_t row = 0; row < users.rows.size(); ++row)
      facts_.system_users.insert(users.Cell(row, size_t{0}));
  }

  SqlSession* const session_;
  const Duration limit_;
  ServerFacts facts_;
};

}  // namespace

ServerFacts ReadFacts(SqlSession* session, Duration limit) {
  return FactReader(session, limit).Read();
}

}  // namespace bulkhead::control
