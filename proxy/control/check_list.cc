// Checks of a single server, and of what is around the servers.

#include "proxy/control/check_list.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/gtid_sets.h"

namespace bulkhead::control {

namespace {

constexpr uint32_t kOldestMysql = 80026;
constexpr uint32_t kOldestMariadb = 100500;
constexpr uint32_t kSuperHasAllBefore = 101100;  // MariaDB took READ_ONLY ADMIN out of SUPER
constexpr size_t kMostEvents = 1000;

std::string Listed(const std::vector<std::string>& what) { return absl::StrJoin(what, ", "); }

std::vector<std::string_view> WantedOnMariadb(const ServerFacts& facts, bool is_old,
                                              bool semi_sync) {
  std::vector<std::string_view> wanted = {
      "CONNECTION ADMIN", "READ_ONLY ADMIN", "REPLICATION SLAVE ADMIN",
      "SLAVE MONITOR",    "BINLOG MONITOR",  "RELOAD",
      "PROCESS",          "SELECT"};
  if (semi_sync) wanted.push_back("REPLICATION MASTER ADMIN");
  if (is_old && facts.IsOn("event_scheduler")) wanted.push_back("SUPER");
  if (facts.IsOn("event_scheduler") || !facts.events.empty()) {
    wanted.push_back("EVENT");
    wanted.push_back("SET USER");
  }
  return wanted;
}

std::vector<std::string_view> WantedOnMysql(const ServerFacts& facts) {
  std::vector<std::string_view> wanted = {"CONNECTION_ADMIN",
                                          "SYSTEM_VARIABLES_ADMIN",
                                          "REPLICATION_SLAVE_ADMIN",
                                          "REPLICATION CLIENT",
                                          "RELOAD",
                                          "PROCESS",
                                          "XA_RECOVER_ADMIN",
                                          "SELECT"};
  if (facts.IsOn("event_scheduler") || !facts.events.empty()) {
    wanted.push_back("EVENT");
    // Renamed in 8.2; both names are there until 8.4.
    wanted.push_back(facts.version.number >= 80200 ? "SET_ANY_DEFINER" : "SET_USER_ID");
  }
  const bool of_system_users = std::any_of(
      facts.events.begin(), facts.events.end(),
      [&](const ServerEvent& event) { return facts.system_users.contains(event.definer); });
  if (of_system_users) wanted.push_back("SYSTEM_USER");
  return wanted;
}

}  // namespace

std::string CantChange(const ServerFacts& facts) {
  const ServerVersion& version = facts.version;
  constexpr const char* kFollow =
      ": ALTER SHARD ... PRIMARY follows what the provider or the cluster does by itself";
  if (!facts.Variable("aurora_version").empty() || version.text.find("aurora") != std::string::npos)
    return absl::StrCat("it is Amazon Aurora", kFollow);
  if (facts.Variable("basedir").starts_with("/rdsdbbin"))
    return absl::StrCat("it is Amazon RDS", kFollow);
  if (version.text.find("-google") != std::string::npos)
    return absl::StrCat("it is Google Cloud SQL", kFollow);
  if (facts.IsOn("wsrep_on")) return absl::StrCat("it is a node of a Galera cluster", kFollow);
  if (!facts.Variable("group_replication_group_name").empty())
    return absl::StrCat("it belongs to Group Replication", kFollow);
  if (!version.mariadb && version.number < kOldestMysql) {
    return absl::StrCat("it is MySQL ", version.text,
                        ", and this needs 8.0.26 or later: upgrade it, or change its role by "
                        "hand and then use ALTER SHARD ... PRIMARY");
  }
  if (version.mariadb && version.number < kOldestMariadb) {
    return absl::StrCat("it is MariaDB ", version.text,
                        ", and this needs 10.5 or later: upgrade it, or change its role by hand "
                        "and then use ALTER SHARD ... PRIMARY");
  }
  return {};
}

bool CheckAnswers(const NamedFacts& server, CheckList* list) {
  list->Check(server.name, "it answers the control account",
              server.facts.answered ? "" : "can't be asked: " + server.facts.why);
  return server.facts.answered;
}

void CheckKind(const NamedFacts& server, CheckList* list) {
  list->Check(server.name, "a kind of server whose role can be changed", CantChange(server.facts));
}

void CheckLog(const NamedFacts& server, CheckList* list) {
  const ServerFacts& facts = server.facts;
  list->Check(server.name, "log_bin",
              facts.IsOn("log_bin") ? "" : "log_bin is OFF: others could not replicate from it");
  const char* updates = facts.version.mariadb || !facts.variables.contains("log_replica_updates")
                            ? "log_slave_updates"
                            : "log_replica_updates";
  list->Check(server.name, updates,
              facts.IsOn(updates)
                  ? ""
                  : absl::StrCat(updates, " is OFF: others could not replicate through it"));
  list->Check(server.name, "no filters of its binary log",
              facts.log_filters.empty()
                  ? ""
                  : "its binary log leaves things out (" + absl::StrJoin(facts.log_filters, "; ") +
                        "): others would not get all of it");
  if (!facts.version.mariadb) {
    const bool gtids =
        facts.Variable("gtid_mode") == "ON" && facts.Variable("enforce_gtid_consistency") == "ON";
    list->Check(server.name, "GTIDs",
                gtids ? "" : "gtid_mode and enforce_gtid_consistency must be ON");
  }
}

bool MayAs(const ServerFacts& facts, std::string_view privilege) {
  if (facts.Has(privilege)) return true;
  return facts.version.mariadb && facts.version.number < kSuperHasAllBefore && facts.Has("SUPER");
}

void CheckPrivileges(const NamedFacts& server, bool is_old, bool semi_sync, CheckList* list) {
  const ServerFacts& facts = server.facts;
  for (const std::string& refused : facts.refused)
    list->Check(server.name, "the control account may look", refused);
  std::vector<std::string> missing;
  for (const std::string_view privilege :
       facts.version.mariadb ? WantedOnMariadb(facts, is_old, semi_sync) : WantedOnMysql(facts)) {
    if (!MayAs(facts, privilege)) missing.emplace_back(privilege);
  }
  for (const std::string_view privilege : {"SELECT", "INSERT", "UPDATE", "CREATE"}) {
    if (!facts.HasOnSchema(privilege)) missing.push_back(std::string(privilege) + " on bulkhead.*");
  }
  const char* what = "privileges of the control account";
  if (missing.empty()) {
    list->Row(server.name, what, "ok");
  } else if (facts.has_roles) {
    list->Note(server.name, what,
               "the control account may lack " + Listed(missing) +
                   "; it has roles, whose privileges are not looked at");
  } else {
    list->Check(server.name, what, "the control account lacks " + Listed(missing) + ": GRANT them");
  }
}

void CheckScene(const ChangeScene& scene, CheckList* list) {
  for (const std::string& reason : scene.topology_reasons) list->Check("", "topology", reason);
  std::string routers;
  if (!scene.other_routers.empty()) {
    routers = "other routers serve these servers, and would go on writing to " +
              scene.plan.old_primary + ": " + Listed(scene.other_routers) +
              "; stop them first (their canary rows are taken for alive for 30 s)";
  }
  // FAILOVER: who takes a split brain upon themselves take this one, too.
  if (!routers.empty() && scene.plan.accept_split_brain) {
    list->Note("", "no other router is there", "split brain accepted: " + routers);
  } else {
    list->Check("", "no other router is there", routers);
  }
  if (scene.shards.size() > 1)
    list->Note(
        "", "shards",
        "move together, since they share " + scene.plan.old_primary + ": " + Listed(scene.shards));
  std::string address;
  if (scene.candidate.address.is_unix())
    address = "its address is a Unix socket: replicas can't connect to that";
  list->Check(scene.candidate.name, "replicas can reach it", address);
  const auto events =
      std::count_if(scene.candidate.facts.events.begin(), scene.candidate.facts.events.end(),
                    [](const ServerEvent& event) { return event.replica_side_disabled; });
  list->Check(scene.candidate.name, "events",
              static_cast<size_t>(events) > kMostEvents
                  ? absl::StrCat("has more than ", kMostEvents, " events to enable")
                  : "");
}

std::string ErrantOn(const ServerFacts& candidate, const ServerFacts& source) {
  if (candidate.version.mariadb) {
    const auto has = ParseMariadbGtids(candidate.Variable("gtid_binlog_state"));
    const auto should = ParseMariadbGtids(source.Variable("gtid_binlog_state"));
    if (!has || !should) return "its GTIDs can't be read";
    const std::vector<std::string> errant = MissingIn(*has, *should);
    return errant.empty() ? "" : Listed(errant);
  }
  const auto has = GtidSet::Parse(candidate.Variable("gtid_executed"));
  const auto should = GtidSet::Parse(source.Variable("gtid_executed"));
  if (!has || !should) return "its GTIDs can't be read";
  return has->Minus(*should).ToString();
}

}  // namespace bulkhead::control
