// The preflight of a failover: what the candidate has received and applied, and who has more.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/check_list.h"
#include "proxy/control/gtid_sets.h"

namespace bulkhead::control {

using routing::StepReport;

namespace {

// All that it has, applied or not.
std::string MariadbReach(const ServerFacts& facts) {
  std::string reach = facts.Variable("gtid_binlog_pos");
  for (const ReplicaStatus& source : facts.sources) {
    if (source.received.empty()) continue;
    if (!reach.empty()) reach += ",";
    reach += source.received;
  }
  return reach;
}

std::optional<GtidSet> MysqlReach(const ServerFacts& facts) {
  std::optional<GtidSet> reach = GtidSet::Parse(facts.Variable("gtid_executed"));
  if (!reach.has_value()) return std::nullopt;
  for (const ReplicaStatus& source : facts.sources) {
    const std::optional<GtidSet> received = GtidSet::Parse(source.received);
    if (received.has_value()) reach->Add(*received);
  }
  return reach;
}

void AddMariadbLost(const std::string& who, const std::string& has, const ServerFacts& candidate,
                    std::vector<std::string>* lost) {
  const auto some = ParseMariadbGtids(has);
  const auto candidates = ParseMariadbGtids(MariadbReach(candidate));
  if (!some || !candidates) return;
  for (const std::string& ahead : AheadOf(*some, *candidates)) lost->push_back(who + ahead);
}

void AddMysqlLost(const std::string& who, const std::optional<GtidSet>& has,
                  const ServerFacts& candidate, std::vector<std::string>* lost) {
  const std::optional<GtidSet> candidates = MysqlReach(candidate);
  if (!has || !candidates) return;
  const GtidSet missing = has->Minus(*candidates);
  if (!missing.empty()) lost->push_back(who + missing.ToString());
}

void CheckCandidate(const ChangeScene& scene, CheckList* list) {
  const NamedFacts& candidate = scene.candidate;
  CheckKind(candidate, list);
  CheckLog(candidate, list);
  CheckPrivileges(candidate, false, false, list);
  const std::vector<ReplicaStatus>& sources = candidate.facts.sources;
  std::string source;
  if (sources.empty()) {
    source = "is no replica: " + scene.plan.old_primary + " has nothing there";
  } else if (sources.size() > 1 || !sources.front().channel.empty()) {
    source = "replicates by several or named channels, and this knows the default one only";
  }
  list->Check(candidate.name, "it is a replica", source);
  if (!source.empty()) return;
  const ReplicaStatus& status = sources.front();
  list->Check(candidate.name, "what it has received is applied",
              status.applies
                  ? ""
                  : "does not apply what it has received" +
                        (status.error.empty() ? ": START its replication's applying thread"
                                              : ": " + status.error));
  list->Check(candidate.name, "replication by GTID",
              status.by_gtid ? "" : "replicates by file and position, not by GTID");
  list->Check(
      candidate.name, "no filters",
      status.filters.empty() ? "" : "leaves things out: " + absl::StrJoin(status.filters, "; "));
  if (status.delay != 0)
    list->Note(candidate.name, "delay",
               absl::StrCat("is kept ", status.delay, " s behind: that is waited for"));
  list->Check(
      candidate.name, "read_only",
      candidate.facts.IsOn("read_only") ? "" : "is writable already: who made it a primary?");
  if (!candidate.facts.prepared.empty()) {
    list->Note(candidate.name, "prepared XA transactions",
               absl::StrCat("has ", candidate.facts.prepared.size(),
                            " prepared XA transactions: XA COMMIT or XA ROLLBACK them afterwards"));
  }
}

// A replica whose word a semi-synchronous primary waits for. Its status may have gone with the
// connection to a primary that is dead.
bool Acknowledges(const ServerFacts& facts) {
  const std::optional<SemiSyncNames> names = facts.SemiSync();
  if (!names.has_value()) return false;
  auto it = facts.status.find(names->replica_status);
  return (it != facts.status.end() && it->second == "ON") || facts.IsOn(names->replica_enabled);
}

// Semi-synchronous replication, as it was when the primary was last heard.
void JudgeSemiSync(const ChangeScene& scene, CheckList* list) {
  const SemiSyncSeen& seen = scene.semi_sync;
  const bool all_answer = std::all_of(scene.others.begin(), scene.others.end(),
                                      [](const NamedFacts& o) { return o.facts.answered; });
  const bool strict = IsStrict(seen);
  // Everybody who may have acknowledged is one that we can stop and compare: as many as the primary
  // had are known to acknowledge.
  const auto known = static_cast<size_t>(
      std::count_if(scene.others.begin(), scene.others.end(),
                    [](const NamedFacts& other) { return Acknowledges(other.facts); }));
  const bool complete =
      all_answer && known + (Acknowledges(scene.candidate.facts) ? 1 : 0) >= seen.acknowledgers;
  list->report().semi_sync_fence = strict && complete;
  list->report().lossless = strict && complete;
  std::string words = "not known: " + scene.plan.old_primary + " was not asked while it answered";
  if (seen.known && !seen.waits) words = "was off";
  if (seen.known && seen.waits && !strict)
    words = "was on, but may give up waiting (timeout, wait for no replica): it proves nothing";
  if (strict && !complete)
    words = "was on, but not every replica that acknowledges can be looked at";
  if (strict && complete)
    words = "was on, without a time limit: nothing acknowledged is only there";
  list->Row(scene.plan.old_primary, "semi-synchronous replication", words);
  const ServerFacts& candidate = scene.candidate.facts;
  if (!seen.settings.empty() && candidate.version.mariadb &&
      !MayAs(candidate, "REPLICATION MASTER ADMIN")) {
    list->Note(scene.candidate.name, "semi-synchronous replication",
               "can't be switched on there: the control account lacks REPLICATION MASTER ADMIN");
  }
}

}  // namespace

std::vector<std::string> LostBy(const ChangeScene& scene) {
  std::vector<std::string> lost;
  const ServerFacts& candidate = scene.candidate.facts;
  const bool mariadb = candidate.version.mariadb;
  const std::string last = scene.plan.old_primary + " was seen with ";
  if (mariadb) {
    AddMariadbLost(last, scene.last_position, candidate, &lost);
  } else {
    AddMysqlLost(last, GtidSet::Parse(scene.last_position), candidate, &lost);
  }
  for (const NamedFacts& other : scene.others) {
    if (!other.facts.answered) continue;
    const std::string who = other.name + " has ";
    if (mariadb) {
      AddMariadbLost(who, MariadbReach(other.facts), candidate, &lost);
    } else {
      AddMysqlLost(who, MysqlReach(other.facts), candidate, &lost);
    }
  }
  return lost;
}

StepReport JudgeFailover(const ChangeScene& scene) {
  CheckList list;
  CheckScene(scene, &list);
  list.Check(scene.plan.old_primary, "it does not answer",
             scene.old_answers
                 ? "is " + scene.old_state + ": SWITCHOVER loses nothing; MARK BACKEND " +
                       scene.plan.old_primary + " DOWN first, if you know better"
                 : "");
  std::string heard;
  const bool fenced = scene.plan.fence_configured || scene.plan.accept_split_brain;
  if (scene.lives_elsewhere && !fenced) {
    heard =
        "is still heard by others (its replicas receive, or it answers that it is full): it is "
        "not dead, and a failover would split the brain";
  }
  list.Check(scene.plan.old_primary, "nobody else hears it", heard);
  if (CheckAnswers(scene.candidate, &list)) CheckCandidate(scene, &list);
  for (const NamedFacts& other : scene.others) {
    if (other.facts.answered) continue;
    list.Note(other.name, "it answers",
              "can't be asked (" + other.facts.why + "): it may have more than " +
                  scene.candidate.name + ", and must be made its replica by hand");
  }
  JudgeSemiSync(scene, &list);
  const std::optional<SemiSyncNames> names = scene.candidate.facts.SemiSync();
  // Then replicas follow before it serves: it waits for them by itself, or nothing acknowledged is
  // to be lost with it either.
  list.report().semi_sync =
      IsStrict(scene.semi_sync) ||
      (names.has_value() && scene.candidate.facts.IsOn(names->source_enabled));
  list.report().lost = LostBy(scene);
  if (scene.automatic && !list.report().lost.empty())
    list.Check(scene.candidate.name, "nobody has more",
               "lacks what is known to be elsewhere: " + absl::StrJoin(list.report().lost, "; "));
  if (!list.report().lost.empty())
    list.Row(scene.candidate.name, "it has what was acknowledged",
             "lacks at least: " + absl::StrJoin(list.report().lost, "; "));
  return FinishReport(scene, std::move(list));
}

}  // namespace bulkhead::control
