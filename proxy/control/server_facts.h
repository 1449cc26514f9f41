// What one server says of itself before its role is changed: its settings, whom it replicates from,
// what is open on it, what the control account may do.
//
// Purpose: ReadFacts asks (some ten statements, none of which changes anything); everything else
// here reads answers. Judging is change_checks.h's.
// Threads: ReadFacts on the session's; values any. Units: seconds where said.
// Errors: what a server refuses to tell is in `refused`, in its own words; `answered` is false if
// it could not be asked at all.
// Sources: MariaDB "SHOW REPLICA STATUS", MySQL "SHOW REPLICA STATUS" (columns, before and after
// the renaming of 8.0.22); "The INFORMATION_SCHEMA INNODB_TRX Table", "... EVENTS Table" (status
// SLAVESIDE_DISABLED, REPLICA_SIDE_DISABLED in MySQL 9) of both; "SHOW GRANTS".
#ifndef BULKHEAD_PROXY_CONTROL_SERVER_FACTS_H_
#define BULKHEAD_PROXY_CONTROL_SERVER_FACTS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/control/server_words.h"
#include "proxy/control/sql_session.h"

namespace bulkhead::control {

struct ReplicaStatus {
  std::string channel{};  // of MySQL, or the connection's name of MariaDB; usually empty
  std::string source_host{};
  uint16_t source_port = 0;
  std::string source_server_id{};
  bool receives = false;       // the receiving thread runs and is connected
  bool receiver_runs = false;  // or tries to connect
  bool applies = false;
  std::string error{};  // of either thread
  bool by_gtid = false;
  std::string received{};  // MariaDB: position; MySQL: set of GTIDs
  std::optional<int64_t> seconds_behind{};
  int64_t delay = 0;  // configured, in seconds
  std::vector<std::string> filters{};
  // For FollowSpec::options.
  std::vector<std::pair<std::string, std::string>> options{};
};
[[nodiscard]] std::vector<ReplicaStatus> ParseReplicaStatus(const SqlAnswer& answer);

struct OpenTransaction {
  uint64_t connection = 0;
  int64_t seconds = 0;
  bool wrote = false;
  std::string user{};
};

struct ServerEvent {
  std::string schema{}, name{}, definer{}, charset{}, collation{};
  bool enabled = false;
  bool replica_side_disabled = false;
};

struct ServerThread {
  uint64_t id = 0;
  std::string user{}, host{}, command{};
  int64_t seconds = 0;
};
[[nodiscard]] std::vector<ServerThread> ParseProcessList(const SqlAnswer& answer);
// A client's connection, and not the server's own thread or a replica's.
[[nodiscard]] bool IsClient(const ServerThread& thread);
[[nodiscard]] bool IsReplicaDump(const ServerThread& thread);

struct ServerFacts {
  bool answered = false;
  std::string why{};  // not answered
  ServerVersion version{};
  std::map<std::string, std::string> variables{};  // names in lower case
  std::map<std::string, std::string> status{};     // of semi-synchronous replication
  std::vector<ReplicaStatus> sources{};
  std::vector<std::string> prepared{};  // XA transactions, as XA RECOVER shows them
  std::vector<OpenTransaction> transactions{};
  std::vector<ServerEvent> events{};
  std::set<std::string> system_users{};  // of MySQL, user@host: who may set them as definer?
  size_t replicas_connected = 0;
  std::vector<std::string> log_filters{};  // "Binlog_Do_DB = shop"
  // Of the control account, in upper case; "ALL PRIVILEGES" is one.
  std::set<std::string> privileges{};         // global
  std::set<std::string> schema_privileges{};  // on bulkhead.*
  bool has_roles = false;                     // that may hold more privileges
  std::vector<std::string> refused{};

  [[nodiscard]] std::string Variable(std::string_view name) const;
  [[nodiscard]] bool IsOn(std::string_view name) const;
  [[nodiscard]] bool Has(std::string_view privilege) const;
  [[nodiscard]] bool HasOnSchema(std::string_view privilege) const;
  // What it has in its binary log.
  [[nodiscard]] std::string Position() const;
  // Absent: semi-synchronous replication is not there.
  [[nodiscard]] std::optional<SemiSyncNames> SemiSync() const;
};

[[nodiscard]] ServerFacts ReadFacts(SqlSession* session, routing::Duration limit);
// Only the variables whose name is LIKE this.
[[nodiscard]] SqlAnswer ReadVariables(SqlSession* session, std::string_view like,
                                      routing::Duration limit, ServerFacts* facts);
// Of "GRANT SELECT, READ_ONLY ADMIN ON *.* TO ...".
void ParseGrant(std::string_view grant, ServerFacts* facts);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SERVER_FACTS_H_
