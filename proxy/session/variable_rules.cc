#include "proxy/session/variable_rules.h"

#include <array>

namespace bulkhead::session {
namespace {

constexpr std::string_view kReplays = "says how replication replays statements";
constexpr std::string_view kBinaryLog = "changes what goes into the binary log";
constexpr std::string_view kNextOnly = "is for the next statement or transaction only";
constexpr std::string_view kDiagnoses = "its records belong to the connection";
constexpr std::string_view kSeeds = "is used up by the next RAND()";
constexpr std::string_view kFollowsSchema = "follows the current schema";
constexpr std::string_view kSetsOthers = "sets other variables as well";
constexpr std::string_view kNames = "belongs to SET NAMES";

constexpr std::string_view kCharacterSetServer = "character_set_server";
constexpr std::string_view kCollationServer = "collation_server";

constexpr VariableEntry kEntries[] = {
    // With one name for each value, equal states of two sessions are found equal.
    {"autocommit", VariableRule::kBoolean, {}},
    {"big_tables", VariableRule::kBoolean, {}},
    {"foreign_key_checks", VariableRule::kCheck, {}},
    {"low_priority_updates", VariableRule::kBoolean, {}},
    {"sql_big_selects", VariableRule::kBoolean, {}},
    {"sql_buffer_result", VariableRule::kBoolean, {}},
    {"sql_notes", VariableRule::kBoolean, {}},
    {"sql_quote_show_create", VariableRule::kBoolean, {}},
    {"sql_safe_updates", VariableRule::kBoolean, {}},
    {"sql_warnings", VariableRule::kBoolean, {}},
    {"transaction_read_only", VariableRule::kBoolean, {}},
    {"unique_checks", VariableRule::kCheck, {}},
    {"transaction_isolation", VariableRule::kIsolation, {}},
    {"timestamp", VariableRule::kTimestamp, {}},
    {kCharacterSetServer, VariableRule::kPair, {}},
    {kCollationServer, VariableRule::kPair, {}},

    {"character_set_client", VariableRule::kCharset, kNames},
    {"character_set_connection", VariableRule::kCharset, kNames},
    {"character_set_results", VariableRule::kCharset, kNames},
    {"collation_connection", VariableRule::kCharset, kNames},
    {"character_set_database", VariableRule::kPin, kFollowsSchema},
    {"collation_database", VariableRule::kPin, kFollowsSchema},

    {"last_insert_id", VariableRule::kLastInsertId, "is kept by the router"},
    {"insert_id", VariableRule::kOneShot, kNextOnly},
    {"sql_auto_is_null", VariableRule::kOffOnly, "IS NULL then reads the last insert id"},

    // Found by setting each variable of MariaDB 10.11 and MySQL 9.7 and comparing all the others.
    {"log_queries_not_using_indexes", VariableRule::kPin, kSetsOthers},
    {"log_slow_admin_statements", VariableRule::kPin, kSetsOthers},
    {"log_slow_disabled_statements", VariableRule::kPin, kSetsOthers},
    {"log_slow_filter", VariableRule::kPin, kSetsOthers},
    {"log_slow_slave_statements", VariableRule::kPin, kSetsOthers},
    {"max_join_size", VariableRule::kPin, kSetsOthers},
    {"old", VariableRule::kPin, kSetsOthers},
    {"wsrep_causal_reads", VariableRule::kPin, kSetsOthers},
    {"default_master_connection", VariableRule::kPin, "says which replication others are of"},
    {"optimizer_switch", VariableRule::kPin, "changes only the flags that it names"},
    {"rand_seed1", VariableRule::kPin, kSeeds},
    {"rand_seed2", VariableRule::kPin, kSeeds},
    {"pseudo_*", VariableRule::kPin, kReplays},
    {"immediate_server_version", VariableRule::kPin, kReplays},
    {"original_commit_timestamp", VariableRule::kPin, kReplays},
    {"original_server_version", VariableRule::kPin, kReplays},
    {"require_row_format", VariableRule::kPin, kReplays},
    {"skip_parallel_replication", VariableRule::kPin, kReplays},
    {"skip_replication", VariableRule::kPin, kReplays},
    {"binlog_*", VariableRule::kPin, kBinaryLog},
    {"gtid_*", VariableRule::kPin, kBinaryLog},
    {"server_id", VariableRule::kPin, kBinaryLog},
    {"sql_log_bin", VariableRule::kPin, kBinaryLog},
    {"sql_log_off", VariableRule::kPin, "changes what goes into the general log"},
    {"wsrep_gtid_seq_no", VariableRule::kPin, kBinaryLog},
    {"wsrep_on", VariableRule::kPin, "takes the connection out of the cluster"},
    {"debug*", VariableRule::kPin, kDiagnoses, Pin::kRecords},
    {"optimizer_trace*", VariableRule::kPin, kDiagnoses, Pin::kRecords},
    {"profiling", VariableRule::kOffOnly, kDiagnoses, Pin::kRecords},
};

constexpr VariableEntry kOrdinaryEntry = {{}, VariableRule::kOrdinary, {}};

constexpr bool Matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return name == pattern;
}

struct Alias {
  std::string_view name;
  std::string_view canonical;
  bool mysql;
  bool mariadb;
};
constexpr std::array<Alias, 9> kAliases = {{
    {"tx_isolation", "transaction_isolation", true, true},
    {"tx_read_only", "transaction_read_only", true, true},
    {"identity", "last_insert_id", true, true},
    {"storage_engine", "default_storage_engine", true, true},
    {"old_alter_table", "alter_algorithm", false, true},
    {"tmp_memory_table_size", "tmp_table_size", false, true},
    {"log_slow_query", "slow_query_log", false, true},
    {"log_slow_query_time", "long_query_time", false, true},
    {"log_slow_min_examined_row_limit", "min_examined_row_limit", false, true},
}};

}  // namespace

std::span<const VariableEntry> VariableEntries() { return kEntries; }

const VariableEntry& RuleFor(std::string_view name) {
  for (const VariableEntry& entry : kEntries) {
    if (Matches(entry.name, name)) return entry;
  }
  return kOrdinaryEntry;
}

std::string_view PartnerOf(std::string_view name) {
  if (name == kCharacterSetServer) return kCollationServer;
  return name == kCollationServer ? kCharacterSetServer : std::string_view();
}

std::string_view CanonicalName(std::string_view name, ServerFamily family) {
  for (const Alias& alias : kAliases) {
    const bool applies = family == ServerFamily::kMariadb ? alias.mariadb : alias.mysql;
    if (applies && alias.name == name) return alias.canonical;
  }
  return name;
}

std::string_view ServerName(std::string_view canonical, ServerFamily family) {
  // MariaDB has the long names since 11.1 only, MySQL 8 has lost the short ones.
  if (family == ServerFamily::kMariadb) {
    if (canonical == "transaction_isolation") return "tx_isolation";
    if (canonical == "transaction_read_only") return "tx_read_only";
  }
  return canonical;
}

}  // namespace bulkhead::session
