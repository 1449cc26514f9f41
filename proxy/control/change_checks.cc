#include "proxy/control/change_checks.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/check_list.h"

namespace bulkhead::control {

using routing::ChangeStep;
using routing::Duration;
using routing::StepReport;

namespace {

uint64_t NumberOf(const std::string& text) {
  uint64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

int64_t Seconds(Duration duration) {
  return std::chrono::ceil<std::chrono::seconds>(duration).count();
}

// The one source that it may have: this server.
std::string SourceReason(const ChangeScene& scene, const NamedFacts& replica) {
  const std::string& old_name = scene.plan.old_primary;
  const std::vector<ReplicaStatus>& sources = replica.facts.sources;
  if (sources.empty()) return "is no replica of " + old_name;
  if (sources.size() > 1) return "replicates from more than one server";
  const ReplicaStatus& source = sources.front();
  if (!source.channel.empty()) {
    return "replicates by the named channel '" + source.channel +
           "', and this knows the default one only";
  }
  const std::string id = scene.old_primary.facts.Variable("server_id");
  if (!source.source_server_id.empty() && source.source_server_id != "0" && !id.empty() &&
      source.source_server_id != id) {
    return absl::StrCat("replicates from ", source.source_host, ":", source.source_port,
                        ", not from ", old_name);
  }
  return {};
}

void CheckReplication(const ChangeScene& scene, CheckList* list) {
  const NamedFacts& candidate = scene.candidate;
  const std::string no_source = SourceReason(scene, candidate);
  list->Check(candidate.name, "it replicates from " + scene.plan.old_primary, no_source);
  if (!no_source.empty()) return;
  const ReplicaStatus& source = candidate.facts.sources.front();
  std::string threads;
  if (!source.receives) threads = "does not receive";
  if (!source.applies) threads += threads.empty() ? "does not apply" : " and does not apply";
  if (!threads.empty() || !source.error.empty()) {
    threads = (threads.empty() ? "has a replication error" : threads) +
              (source.error.empty() ? ": START its replication first" : ": " + source.error);
  }
  list->Check(candidate.name, "replication runs, without an error", threads);
  list->Check(candidate.name, "replication by GTID",
              source.by_gtid ? "" : "replicates by file and position, not by GTID");
  list->Check(
      candidate.name, "no filters",
      source.filters.empty() ? "" : "leaves things out: " + absl::StrJoin(source.filters, "; "));
  list->Check(candidate.name, "no configured delay",
              source.delay == 0 ? "" : absl::StrCat("is kept ", source.delay, " s behind"));
  const int64_t behind = source.seconds_behind.value_or(0);
  std::string late;
  if (source.applies && behind > Seconds(scene.plan.timeout)) {
    late = absl::StrCat("is ", behind, " s behind, which is more than TIMEOUT (",
                        Seconds(scene.plan.timeout), " s): wait, or a longer TIMEOUT");
  }
  list->Check(candidate.name, "delay", late);
  if (late.empty() && behind > 0)
    list->Note(candidate.name, "delay",
               absl::StrCat("is ", behind, " s behind, and is waited for"));
}

void CheckOpenWork(const ChangeScene& scene, CheckList* list) {
  for (const NamedFacts* server : {&scene.old_primary, &scene.candidate}) {
    const std::vector<std::string>& prepared = server->facts.prepared;
    list->Check(server->name, "no prepared XA transactions",
                prepared.empty() ? ""
                                 : absl::StrCat("has ", prepared.size(),
                                                " prepared XA transactions, which its replicas "
                                                "can't finish: XA COMMIT or XA ROLLBACK them"));
  }
  const int64_t limit = Seconds(scene.plan.timeout);
  std::vector<std::string> longer;
  for (const OpenTransaction& open : scene.old_primary.facts.transactions) {
    if (open.seconds < limit) continue;
    const std::string words = absl::StrCat("connection ", open.connection, " (user ", open.user,
                                           ", ", open.seconds, " s)");
    if (open.wrote) {
      longer.push_back(words);
    } else {
      list->Note(scene.old_primary.name, "long transactions",
                 words + " only reads: it is ended at TIMEOUT if it came through this router");
    }
  }
  list->Check(scene.old_primary.name, "no long transactions",
              longer.empty()
                  ? ""
                  : absl::StrCat("transactions have been open for longer than TIMEOUT (", limit,
                                 " s) and would be ended: ", absl::StrJoin(longer, ", "),
                                 ": wait, KILL them, or a longer TIMEOUT"));
  if (scene.max_wait > Duration::zero() && scene.plan.timeout >= scene.max_wait) {
    list->Note("", "TIMEOUT",
               absl::StrCat("what is held longer than hold.max_wait (", Seconds(scene.max_wait),
                            " s) is refused (9404), and TIMEOUT is ", limit, " s"));
  }
}

void CheckRoles(const ChangeScene& scene, CheckList* list) {
  const ServerFacts& old_primary = scene.old_primary.facts;
  const ServerFacts& candidate = scene.candidate.facts;
  list->Check(scene.candidate.name, "the same family as " + scene.plan.old_primary,
              old_primary.version.mariadb == candidate.version.mariadb
                  ? ""
                  : "is of another family than " + scene.plan.old_primary);
  list->Check(scene.candidate.name, "a server_id of its own",
              old_primary.Variable("server_id") != candidate.Variable("server_id")
                  ? ""
                  : "has the same server_id as " + scene.plan.old_primary);
  list->Check(scene.old_primary.name, "writable",
              old_primary.IsOn("read_only") ? "is read_only: it is no primary" : "");
  list->Check(
      scene.old_primary.name, "no replica itself",
      old_primary.sources.empty() ? "" : "is a replica itself: RESET its replication first");
  list->Check(scene.candidate.name, "read_only",
              candidate.IsOn("read_only")
                  ? ""
                  : "is writable: SET GLOBAL read_only = 1 there, so that nobody writes to it");
  const std::string errant = ErrantOn(candidate, old_primary);
  list->Check(scene.candidate.name, "no transactions of its own",
              errant.empty()
                  ? ""
                  : "has transactions that " + scene.plan.old_primary + " lacks: " + errant);
}

void CheckOthers(const ChangeScene& scene, CheckList* list) {
  for (const NamedFacts& other : scene.others) {
    if (!other.facts.answered) {
      list->Note(other.name, "it answers",
                 "can't be asked (" + other.facts.why +
                     "): it stays behind, and must be made a "
                     "replica of " +
                     scene.candidate.name + " by hand");
      continue;
    }
    CheckKind(other, list);
    CheckPrivileges(other, false, false, list);
    const std::string no_source = SourceReason(scene, other);
    if (!no_source.empty()) list->Note(other.name, "its source", no_source);
    const std::string errant =
        scene.old_primary.facts.answered ? ErrantOn(other.facts, scene.old_primary.facts) : "";
    list->Check(other.name, "no transactions of its own",
                errant.empty() ? "" : "has transactions that the primary lacks: " + errant);
  }
  const size_t known = scene.others.size() + 1;
  const size_t connected = scene.old_primary.facts.replicas_connected;
  if (connected > known) {
    list->Note(scene.old_primary.name, "replicas",
               absl::StrCat("has ", connected, " replicas, and this router knows ", known,
                            ": the others stay with it"));
  }
}

SavedForChange SavedOf(const ChangeScene& scene) {
  SavedForChange saved;
  const ServerFacts& old_primary = scene.old_primary.facts;
  if (old_primary.answered) {
    saved.scheduler_was_on = old_primary.IsOn("event_scheduler");
    saved.events_known = true;
    for (const ServerEvent& event : old_primary.events) {
      if (event.enabled) saved.events.push_back(event);
    }
  } else {
    saved.scheduler_was_on = scene.candidate.facts.IsOn("event_scheduler");
  }
  const SemiSyncSeen semi_sync = old_primary.answered ? SemiSyncOf(old_primary) : scene.semi_sync;
  saved.semi_sync = semi_sync.settings;
  saved.semi_sync_old_words = semi_sync.old_words;
  if (!scene.candidate.facts.sources.empty()) {
    const ReplicaStatus& source = scene.candidate.facts.sources.front();
    saved.follow = source.options;
    saved.source_host = source.source_host;
    saved.source_port = absl::StrCat(source.source_port);
    saved.source_server_id = source.source_server_id;
  }
  return saved;
}

void AddSteps(const ChangeScene& scene, CheckList* list) {
  const std::string& old_name = scene.plan.old_primary;
  const std::string& new_name = scene.plan.candidate;
  const bool mariadb = scene.candidate.facts.version.mariadb;
  const ServerWords& words = ServerWords::Of(scene.candidate.facts.version);
  list->Step(ChangeStep::kHold, "", "hold new work of " + absl::StrJoin(scene.shards, ", "));
  if (scene.plan.kind == routing::ChangeKind::kSwitchover) {
    list->Step(ChangeStep::kDrain, old_name, "wait for what runs; at TIMEOUT it is ended");
    list->Step(ChangeStep::kFreezeOld, old_name, words.MakeReadOnly());
    if (mariadb)
      list->Step(ChangeStep::kEndPrivileged, old_name, "KILL who may write all the same");
    list->Step(ChangeStep::kCatchUp, new_name, "wait until it has executed all of it");
  } else {
    if (scene.plan.fence_configured)
      list->Step(ChangeStep::kFence, old_name, "run the fence command");
    list->Step(ChangeStep::kStopReceiving, new_name, words.StopReceiving());
    list->Step(ChangeStep::kApplyReceived, new_name, "wait until it has applied what it received");
  }
  list->Step(ChangeStep::kDetach, new_name, words.StopReplication());
  list->Step(ChangeStep::kPromote, new_name, words.MakeWritable());
  list->Step(ChangeStep::kPublish, "", "send the shard's work to " + new_name);
  list->Step(ChangeStep::kProve, new_name, "write the epoch and a canary");
  list->Step(ChangeStep::kRelease, "", "let the held work go");
  if (scene.plan.kind == routing::ChangeKind::kSwitchover)
    list->Step(ChangeStep::kRepoint, old_name, "replicate from " + new_name);
  for (const NamedFacts& other : scene.others)
    list->Step(ChangeStep::kRepoint, other.name, "replicate from " + new_name);
  list->Step(ChangeStep::kSettle, new_name, words.ForgetSource() + "; enable events");
}

}  // namespace

SemiSyncSeen SemiSyncOf(const ServerFacts& primary) {
  constexpr uint64_t kForEverMs = uint64_t{30} * 24 * 3600 * 1000;
  SemiSyncSeen seen;
  const std::optional<SemiSyncNames> names = primary.SemiSync();
  if (!names.has_value()) return seen;
  const auto status = [&](const std::string& name) {
    auto it = primary.status.find(name);
    return it == primary.status.end() ? std::string() : it->second;
  };
  seen.known = true;
  seen.waits = primary.IsOn(names->source_enabled) && status(names->source_status) == "ON";
  seen.for_ever = NumberOf(primary.Variable(names->source_timeout)) >= kForEverMs;
  seen.wait_no_replica = primary.IsOn(names->source_wait_no_replica);
  seen.acknowledgers = static_cast<uint32_t>(NumberOf(status(names->source_clients)));
  if (!names->source_wait_count.empty())
    seen.wait_count = static_cast<uint32_t>(NumberOf(primary.Variable(names->source_wait_count)));
  if (!primary.IsOn(names->source_enabled)) return seen;
  seen.old_words = names->source_enabled.find("master") != std::string::npos;
  for (const std::string& name : {names->source_timeout, names->source_wait_point,
                                  names->source_wait_no_replica, names->source_wait_count}) {
    if (!name.empty()) seen.settings[name] = primary.Variable(name);
  }
  return seen;
}

bool IsStrict(const SemiSyncSeen& seen) {
  return seen.known && seen.waits && seen.for_ever && seen.wait_no_replica &&
         seen.wait_count >= 1 && seen.acknowledgers > 0;
}

StepReport JudgeSwitchover(const ChangeScene& scene) {
  CheckList list;
  CheckScene(scene, &list);
  const bool old_answers = CheckAnswers(scene.old_primary, &list);
  const bool candidate_answers = CheckAnswers(scene.candidate, &list);
  const std::optional<SemiSyncNames> names = scene.old_primary.facts.SemiSync();
  const bool semi_sync =
      old_answers && names.has_value() && scene.old_primary.facts.IsOn(names->source_enabled);
  for (const NamedFacts* server : {&scene.old_primary, &scene.candidate}) {
    if (!server->facts.answered) continue;
    CheckKind(*server, &list);
    CheckLog(*server, &list);
    CheckPrivileges(*server, server == &scene.old_primary, semi_sync, &list);
  }
  if (old_answers && candidate_answers) {
    CheckRoles(scene, &list);
    CheckReplication(scene, &list);
    CheckOpenWork(scene, &list);
    if (semi_sync && !scene.candidate.facts.SemiSync().has_value()) {
      list.Check(scene.candidate.name, "semi-synchronous replication",
                 "has no plugin for it, and " + scene.plan.old_primary + " uses it");
    }
  }
  CheckOthers(scene, &list);
  list.Check("", "replication account",
             scene.has_replication_account
                 ? ""
                 : "no replication account is configured, with which " + scene.plan.old_primary +
                       " would replicate from " + scene.plan.candidate +
                       ": 'replication: {user, password}' in the configuration");
  list.report().semi_sync = semi_sync;
  return FinishReport(scene, std::move(list));
}

StepReport FinishReport(const ChangeScene& scene, CheckList list) {
  AddSteps(scene, &list);
  list.report().saved = EncodeSaved(SavedOf(scene));
  return list.Take();
}

}  // namespace bulkhead::control
