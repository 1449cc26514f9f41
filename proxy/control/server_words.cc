#include "proxy/control/server_words.h"

#include "absl/strings/str_cat.h"
#include "proxy/control/sql_session.h"

namespace bulkhead::control {

namespace {

constexpr uint32_t kDemoteFrom = 101000;    // MASTER_DEMOTE_TO_SLAVE
constexpr uint32_t kLogStatusFrom = 80200;  // of MySQL: SHOW BINARY LOG STATUS

// "MASTER_HOST = 'db2', MASTER_PORT = 3306, ..."
std::string Clauses(const std::string& prefix, const FollowSpec& spec) {
  std::string text = absl::StrCat(prefix, "HOST = ", SqlQuoted(spec.source.host), ", ", prefix,
                                  "PORT = ", spec.source.port);
  if (!spec.user.empty()) {
    absl::StrAppend(&text, ", ", prefix, "USER = ", SqlQuoted(spec.user), ", ", prefix,
                    "PASSWORD = ", SqlQuoted(spec.password));
  }
  return text;
}

class MariadbWords final : public ServerWords {
 public:
  std::string ReplicaStatus() const override { return "SHOW ALL SLAVES STATUS"; }
  std::string LogStatus(uint32_t) const override { return "SHOW MASTER STATUS"; }
  std::string MakeReadOnly() const override { return "SET GLOBAL read_only = 1"; }
  std::string PrivilegedUsers() const override {
    // The bits of SUPER and READ_ONLY ADMIN, as they are stored. Roles go on to whom they are
    // granted.
    return "WITH RECURSIVE holders(name) AS (SELECT User FROM mysql.global_priv WHERE "
           "JSON_VALUE(priv, '$.access') & 8589967360 UNION SELECT m.User FROM "
           "mysql.roles_mapping m JOIN holders h ON m.Role = h.name) SELECT name FROM holders";
  }
  std::string Position() const override { return "SELECT @@global.gtid_binlog_pos"; }
  std::string WaitFor(const std::string& position, double seconds) const override {
    return absl::StrCat("SELECT MASTER_GTID_WAIT(", SqlQuoted(position), ", ", seconds, ")");
  }
  std::string StopReceiving() const override { return "STOP SLAVE IO_THREAD"; }
  std::string StartReceiving() const override { return "START SLAVE IO_THREAD"; }
  std::string StopReplication() const override { return "STOP SLAVE"; }
  std::string StartReplication() const override { return "START SLAVE"; }
  std::string ForgetSource() const override { return "RESET SLAVE ALL"; }
  std::vector<std::string> Follow(const FollowSpec& spec, uint32_t version) const override {
    std::vector<std::string> statements;
    const bool demotes = version >= kDemoteFrom;
    if (spec.was_primary && !demotes)
      statements.emplace_back("SET GLOBAL gtid_slave_pos = @@global.gtid_binlog_pos");
    std::string change = absl::StrCat("CHANGE MASTER TO ", Clauses("MASTER_", spec),
                                      ", MASTER_USE_GTID = slave_pos");
    if (spec.was_primary && demotes) absl::StrAppend(&change, ", MASTER_DEMOTE_TO_SLAVE = 1");
    for (const auto& [name, value] : spec.options)
      absl::StrAppend(&change, ", MASTER_", name, " = ", value);
    statements.push_back(std::move(change));
    return statements;
  }
};

class MysqlWords final : public ServerWords {
 public:
  std::string ReplicaStatus() const override { return "SHOW REPLICA STATUS"; }
  std::string LogStatus(uint32_t version) const override {
    return version >= kLogStatusFrom ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
  }
  std::string MakeReadOnly() const override { return "SET GLOBAL super_read_only = 1"; }
  std::string PrivilegedUsers() const override { return {}; }
  std::string Position() const override { return "SELECT @@global.gtid_executed"; }
  std::string WaitFor(const std::string& position, double seconds) const override {
    return absl::StrCat("SELECT WAIT_FOR_EXECUTED_GTID_SET(", SqlQuoted(position), ", ", seconds,
                        ")");
  }
  std::string StopReceiving() const override { return "STOP REPLICA IO_THREAD"; }
  std::string StartReceiving() const override { return "START REPLICA IO_THREAD"; }
  std::string StopReplication() const override { return "STOP REPLICA"; }
  std::string StartReplication() const override { return "START REPLICA"; }
  std::string ForgetSource() const override { return "RESET REPLICA ALL"; }
  std::vector<std::string> Follow(const FollowSpec& spec, uint32_t version) const override {
    (void)version;
    std::string change = absl::StrCat("CHANGE REPLICATION SOURCE TO ", Clauses("SOURCE_", spec),
                                      ", SOURCE_AUTO_POSITION = 1");
    for (const auto& [name, value] : spec.options) {
      const bool plain = name == "GET_PUBLIC_KEY";
      absl::StrAppend(&change, ", ", plain ? "GET_SOURCE_PUBLIC_KEY" : "SOURCE_" + name, " = ",
                      value);
    }
    return {std::move(change)};
  }
};

}  // namespace

const ServerWords& ServerWords::Of(const ServerVersion& version) {
  static const MariadbWords mariadb;
  static const MysqlWords mysql;
  if (version.mariadb) return mariadb;
  return mysql;
}

SemiSyncNames SemiSyncNamesOf(bool mariadb, bool old_words) {
  const std::string source = old_words ? "rpl_semi_sync_master_" : "rpl_semi_sync_source_";
  const std::string replica = old_words ? "slave" : "replica";
  SemiSyncNames names;
  names.source_enabled = source + "enabled";
  names.source_timeout = source + "timeout";
  names.source_wait_point = source + "wait_point";
  names.source_wait_no_replica = source + "wait_no_" + replica;
  if (!mariadb) names.source_wait_count = source + "wait_for_" + replica + "_count";
  names.replica_enabled = "rpl_semi_sync_" + replica + "_enabled";
  names.replica_status = "rpl_semi_sync_" + replica + "_status";
  names.source_status = source + "status";
  names.source_clients = source + "clients";
  return names;
}

std::string KillConnection(uint64_t id) { return absl::StrCat("KILL ", id); }

std::string EnableEvent(const std::string& schema, const std::string& name,
                        const std::string& definer) {
  const size_t at = definer.rfind('@');
  const std::string user = definer.substr(0, at);
  const std::string host = at == std::string::npos ? "%" : definer.substr(at + 1);
  return absl::StrCat("ALTER DEFINER = ", SqlName(user), "@", SqlName(host), " EVENT ",
                      SqlName(schema), ".", SqlName(name), " ENABLE");
}

}  // namespace bulkhead::control
