// The SQL of a change of primary, in each family's words.
//
// Purpose: texts only; who runs them and what follows from an answer is elsewhere (change_steps.h).
// Each text is one statement, and can be run again without harm.
// Pure; any thread. Texts are for a session with an empty sql_mode.
// Versions: MySQL from 8.0.26 (older ones are refused before: change_checks.h), MariaDB from 10.5.
// Sources: MySQL manual "CHANGE REPLICATION SOURCE TO", "STOP REPLICA", "RESET REPLICA",
// "super_read_only" (setting read_only OFF sets it OFF too; setting it ON sets read_only ON),
// "Functions Used with GTIDs" (WAIT_FOR_EXECUTED_GTID_SET: 0, or 1 at the timeout),
// "SHOW BINARY LOG STATUS" (8.2; SHOW MASTER STATUS until 8.3; both have Binlog_Do_DB and
// Binlog_Ignore_DB), "Semisynchronous Replication Options and Variables" (the plugins' old and new
// names; 8.0.26); MariaDB "CHANGE MASTER TO" (MASTER_DEMOTE_TO_SLAVE: 10.10, gtid_slave_pos takes
// what is in gtid_binlog_pos), "MASTER_GTID_WAIT" (0, or -1 at the timeout), "Gtid" ("Setting up a
// new slave": gtid_slave_pos of a former master); the bits of mysql.global_priv's "access" (1 << 15
// SUPER, 1 << 33 READ_ONLY ADMIN) were read from a 10.11 server, and are kept by its upgrades.
#ifndef BULKHEAD_PROXY_CONTROL_SERVER_WORDS_H_
#define BULKHEAD_PROXY_CONTROL_SERVER_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/server_version.h"
#include "routing/topology.h"

namespace bulkhead::control {

// Whom to replicate from, and how.
struct FollowSpec {
  routing::Address source{};
  std::string user{};  // empty: as it is
  std::string password{};
  // More of CHANGE ... TO, without the families' prefix: ("CONNECT_RETRY", "1"). Values are SQL.
  std::vector<std::pair<std::string, std::string>> options{};
  bool was_primary = false;  // what it wrote itself counts as received
};

class ServerWords {
 public:
  virtual ~ServerWords() = default;
  static const ServerWords& Of(const ServerVersion& version);

  [[nodiscard]] virtual std::string ReplicaStatus() const = 0;
  // Of its binary log, with Binlog_Do_DB and Binlog_Ignore_DB.
  [[nodiscard]] virtual std::string LogStatus(uint32_t version) const = 0;
  // Nobody writes any more; for whom this does not hold: PrivilegedUsers.
  [[nodiscard]] virtual std::string MakeReadOnly() const = 0;
  [[nodiscard]] std::string MakeWritable() const { return "SET GLOBAL read_only = 0"; }
  [[nodiscard]] std::string AskReadOnly() const { return "SELECT @@global.read_only"; }
  // Names of users who may write although it is read-only; empty text: there are none.
  [[nodiscard]] virtual std::string PrivilegedUsers() const = 0;
  // What it has in its binary log, in one cell.
  [[nodiscard]] virtual std::string Position() const = 0;
  // One cell, 0: it has executed all of it; else `seconds` have passed.
  [[nodiscard]] virtual std::string WaitFor(const std::string& position, double seconds) const = 0;
  [[nodiscard]] virtual std::string StopReceiving() const = 0;
  [[nodiscard]] virtual std::string StartReceiving() const = 0;
  [[nodiscard]] virtual std::string StopReplication() const = 0;
  [[nodiscard]] virtual std::string StartReplication() const = 0;
  [[nodiscard]] virtual std::string ForgetSource() const = 0;
  // Of a server whose replication is stopped.
  [[nodiscard]] virtual std::vector<std::string> Follow(const FollowSpec& spec,
                                                        uint32_t version) const = 0;
};

// Names of the variables of semi-synchronous replication, by what SHOW VARIABLES shows.
struct SemiSyncNames {
  std::string source_enabled, source_timeout, source_wait_point, source_wait_no_replica;
  std::string source_wait_count;  // empty: MariaDB has none, and waits for one
  std::string replica_enabled;
  std::string replica_status;                 // of SHOW GLOBAL STATUS, too
  std::string source_status, source_clients;  // of SHOW GLOBAL STATUS
};
[[nodiscard]] SemiSyncNames SemiSyncNamesOf(bool mariadb, bool old_words);

// KILL of another's connection.
[[nodiscard]] std::string KillConnection(uint64_t id);
// An event that replication has disabled is enabled, and keeps its definer.
[[nodiscard]] std::string EnableEvent(const std::string& schema, const std::string& name,
                                      const std::string& definer);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SERVER_WORDS_H_
