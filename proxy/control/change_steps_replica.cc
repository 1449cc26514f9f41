// Steps on a server that replicates, or will, or did until now.

#include <algorithm>
#include <charconv>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "proxy/control/step_runner.h"

namespace bulkhead::control {

using routing::Duration;
using routing::StepReport;
using namespace std::chrono_literals;

namespace {

constexpr uint16_t kNoSuchTable = 1146;
constexpr uint16_t kUnknownSchema = 1049;

// Of a setting's value: what may stand in SQL as it is.
std::string PlainValue(const std::string& value) {
  const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  return plain ? value : SqlQuoted(value);
}

uint64_t NumberOf(const std::string& text) {
  uint64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool Follows(const std::vector<ReplicaStatus>& sources, const routing::Address& source) {
  return sources.size() == 1 && sources[0].source_host == source.host &&
         sources[0].source_port == source.port;
}

// The same source as the candidate had.
bool FollowsOld(const std::vector<ReplicaStatus>& sources, const SavedForChange& saved) {
  if (saved.source_host.empty()) return true;  // of an earlier version: not known
  return std::any_of(sources.begin(), sources.end(), [&](const ReplicaStatus& source) {
    const bool id = !source.source_server_id.empty() && source.source_server_id != "0" &&
                    source.source_server_id == saved.source_server_id;
    const bool address = source.source_host == saved.source_host &&
                         absl::StrCat(source.source_port) == saved.source_port;
    return id || address;
  });
}

}  // namespace

// In slices, so that an error of the applying thread ends it.
StepReport WaitUntilExecuted(StepRunner* runner, const std::string& position) {
  constexpr Duration kSlice = 1s;
  constexpr Duration kLate = 500ms;
  constexpr int kMostLost = 5;  // one after the other
  int lost = 0;
  while (true) {
    const Duration slice = std::min(kSlice, runner->Left());
    if (slice <= Duration::zero()) break;
    const std::string sql =
        runner->words().WaitFor(position, std::chrono::duration<double>(slice).count());
    const SqlAnswer answer = runner->Ask(sql, slice + kLate);
    // A lost wait is no harm: a late one is asked again, on another connection.
    if (answer.kind == SqlAnswer::Kind::kLost && ++lost < kMostLost && runner->Reopen()) continue;
    if (!answer.ok()) return runner->FailWith(answer, "waiting for its position");
    lost = 0;
    if (answer.Cell(0, size_t{0}) == "0") return runner->report();
    if (runner->Left() <= Duration::zero()) break;
    const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
    if (!sources.has_value()) return runner->report();
    for (const ReplicaStatus& source : *sources) {
      if (!source.applies) return runner->Fail("it does not apply any more: " + source.error);
    }
  }
  return runner->Fail("it has not executed everything in time");
}

StepReport ApplyReceived(StepRunner* runner) {
  const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value()) return runner->report();
  if (sources->empty()) return runner->Fail("is no replica any more");
  std::string received = sources->front().received;
  std::erase(received, '\n');
  if (received.empty()) return runner->report();
  return WaitUntilExecuted(runner, received);
}

StepReport Repoint(const StepContext& context, StepRunner* runner) {
  std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value()) return runner->report();
  const bool was_primary = context.action.server == context.action.record.plan.old_primary;
  const bool follows = Follows(*sources, context.candidate);
  if (!was_primary && !follows && !FollowsOld(*sources, context.saved)) {
    runner->report().notes.push_back(context.action.server + " is left alone: it was not seen to " +
                                     "replicate from " + context.action.record.plan.old_primary);
    return runner->report();
  }
  if (!follows || !sources->front().by_gtid) {
    if (!sources->empty() && !runner->Do(runner->words().StopReplication()))
      return runner->report();
    FollowSpec spec;
    spec.source = context.candidate;
    spec.user = context.replication_user;
    spec.password = context.replication_password;
    spec.was_primary = was_primary && sources->empty();
    if (was_primary) spec.options = context.saved.follow;
    for (const std::string& sql : runner->words().Follow(spec, runner->version().number)) {
      if (!runner->Do(sql)) return runner->report();
    }
    sources.reset();
  }
  if (was_primary && !context.saved.semi_sync.empty()) {
    const SemiSyncNames names =
        SemiSyncNamesOf(runner->version().mariadb, context.saved.semi_sync_old_words);
    if (!runner->Do(absl::StrCat("SET GLOBAL ", names.source_enabled, " = 0")) ||
        !runner->Do(absl::StrCat("SET GLOBAL ", names.replica_enabled, " = 1")))
      return runner->report();
  }
  if (!runner->Do(runner->words().StartReplication())) return runner->report();
  // It is only told to start: look whether it does.
  while (true) {
    sources = runner->Sources();
    if (!sources.has_value()) return runner->report();
    const bool runs = !sources->empty() && sources->front().receives && sources->front().applies;
    if (runs) return runner->report();
    const std::string error = sources->empty() ? "" : sources->front().error;
    if (!error.empty() || runner->Left() < 200ms)
      return runner->Fail("does not replicate yet" + (error.empty() ? "" : ": " + error));
    runner->Pause(50ms);
  }
}

// MariaDB throws its relay logs away when both threads are started together, to fetch them again:
// of a source that is dead nothing would come.
StepReport Reattach(StepRunner* runner) {
  const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value() || sources->empty()) return runner->report();
  const ReplicaStatus& source = sources->front();
  if (source.applies) {
    if (!source.receiver_runs) (void)runner->Do(runner->words().StartReceiving());
    return runner->report();
  }
  std::string received = source.received;
  std::erase(received, '\n');
  const std::optional<std::string> lacks =
      received.empty() ? "0" : runner->Get(runner->words().WaitFor(received, 0.05));
  if (!lacks.has_value()) return runner->report();
  if (*lacks != "0") {
    return runner->Fail(
        "its replication is left stopped: it has received what it has not applied, and starting it "
        "might throw that away");
  }
  (void)runner->Do(runner->words().StartReplication());
  return runner->report();
}

namespace {

// Whether as many replicas as are waited for have registered; they were told to start just now.
std::optional<bool> EnoughAcknowledge(const SemiSyncNames& names, uint64_t wanted,
                                      StepRunner* runner) {
  constexpr Duration kRegisters = 1500ms;
  constexpr Duration kPause = 50ms;
  const auto until = std::chrono::steady_clock::now() + kRegisters;
  const std::string ask = absl::StrCat("SHOW GLOBAL STATUS LIKE '", names.source_clients, "'");
  while (true) {
    const SqlAnswer clients = runner->Ask(ask);
    if (!clients.ok()) {
      (void)runner->FailWith(clients, ask);
      return std::nullopt;
    }
    if (NumberOf(clients.Cell(0, size_t{1})) >= wanted) return true;
    if (std::chrono::steady_clock::now() >= until) return false;
    runner->Pause(kPause);
  }
}

bool TakeSettings(const StepContext& context, StepRunner* runner) {
  for (const auto& [name, value] : context.saved.semi_sync) {
    if (!runner->Do(absl::StrCat("SET GLOBAL ", name, " = ", PlainValue(value)))) return false;
  }
  return true;
}

StepReport SwitchOn(const SemiSyncNames& names, StepRunner* runner) {
  if (!runner->Do(absl::StrCat("SET GLOBAL ", names.source_enabled, " = 1")))
    return runner->report();
  (void)runner->Do(absl::StrCat("SET GLOBAL ", names.replica_enabled, " = 0"));
  return runner->report();
}

// How many must acknowledge; MariaDB waits for one.
std::string Wanted(const SemiSyncNames& names, const std::map<std::string, std::string>& settings) {
  const auto count = settings.find(names.source_wait_count);
  return names.source_wait_count.empty() || count == settings.end() ? "1" : count->second;
}

// As on the old primary when it was last asked, or as the new one is set by itself. A primary that
// waits for acknowledgements, and has nobody who gives them, answers nothing: not there.
StepReport KeepAfterFailover(const StepContext& context, StepRunner* runner) {
  ServerFacts facts;
  facts.version = runner->version();
  const SqlAnswer answer =
      ReadVariables(runner->session(), "rpl_semi_sync%", runner->Left(), &facts);
  if (!answer.ok()) return runner->FailWith(answer, "semi-synchronous replication");
  const std::optional<SemiSyncNames> names = facts.SemiSync();
  const bool has_plugin = names.has_value() && facts.variables.contains(names->source_enabled);
  const bool on = has_plugin && facts.IsOn(names->source_enabled);
  const std::map<std::string, std::string>& before = context.saved.semi_sync;
  if (!on && before.empty()) return runner->report();
  const std::string& server = context.action.server;
  const bool same_words = has_plugin && before.contains(names->source_timeout);
  if (!on && !same_words) {
    runner->report().notes.push_back(
        absl::StrCat("semi-synchronous replication was on on ",
                     context.action.record.plan.old_primary, " and is not on ", server,
                     ", which has ", has_plugin ? "another plugin for it" : "no plugin for it"));
    return runner->report();
  }
  if (same_words && !TakeSettings(context, runner)) return runner->report();
  const std::string wanted = Wanted(*names, same_words ? before : facts.variables);
  const std::optional<bool> enough = EnoughAcknowledge(*names, NumberOf(wanted), runner);
  if (!enough.has_value()) return runner->report();
  if (*enough) return on ? runner->report() : SwitchOn(*names, runner);
  if (on && !runner->Do(absl::StrCat("SET GLOBAL ", names->source_enabled, " = 0")))
    return runner->report();
  runner->report().notes.push_back(
      absl::StrCat("semi-synchronous replication is switched off on ", server,
                   ", since too few replicas acknowledge there (", wanted, " wanted): SET GLOBAL ",
                   names->source_enabled, " = 1 once they do"));
  return runner->report();
}

}  // namespace

StepReport KeepSemiSync(const StepContext& context, StepRunner* runner) {
  if (context.action.record.plan.kind == routing::ChangeKind::kFailover)
    return KeepAfterFailover(context, runner);
  if (context.saved.semi_sync.empty()) return runner->report();
  if (!TakeSettings(context, runner)) return runner->report();
  return SwitchOn(SemiSyncNamesOf(runner->version().mariadb, context.saved.semi_sync_old_words),
                  runner);
}

namespace {

// Those that were enabled on the old primary; where that is not known, all that replication has
// disabled.
bool EnableEvents(const StepContext& context, StepRunner* runner) {
  const std::string sql =
      "SELECT event_schema, event_name, definer, character_set_client, collation_connection FROM "
      "information_schema.events WHERE status IN ('SLAVESIDE_DISABLED', 'REPLICA_SIDE_DISABLED')";
  const SqlAnswer disabled = runner->Ask(sql);
  if (!disabled.ok()) {
    (void)runner->FailWith(disabled, "events");
    return false;
  }
  std::string enabled;
  std::optional<StepReport> failed;
  for (size_t row = 0; row < disabled.rows.size(); ++row) {
    const std::string schema = disabled.Cell(row, size_t{0});
    const std::string name = disabled.Cell(row, size_t{1});
    const auto& known = context.saved.events;
    const bool wanted = !context.saved.events_known ||
                        std::any_of(known.begin(), known.end(), [&](const ServerEvent& event) {
                          return event.schema == schema && event.name == name;
                        });
    if (!wanted) continue;
    // The session's character set becomes the event's.
    if (!runner->Do(
            absl::StrCat("SET SESSION character_set_client = ", disabled.Cell(row, size_t{3}),
                         ", collation_connection = ", disabled.Cell(row, size_t{4}))) ||
        !runner->Do(EnableEvent(schema, name, disabled.Cell(row, size_t{2})))) {
      if (!failed.has_value()) failed = runner->report();
      continue;  // the others all the same
    }
    absl::StrAppend(&enabled, enabled.empty() ? "" : ", ", schema, ".", name);
  }
  if (failed.has_value()) {
    runner->report() = *failed;
    return false;
  }
  if (enabled.empty()) return true;
  runner->report().notes.push_back(
      "events enabled: " + enabled +
      (context.saved.events_known ? "" : "; which of them were disabled before is not known"));
  return runner->Do("SET NAMES utf8mb4");
}

}  // namespace

StepReport Settle(const StepContext& context, StepRunner* runner) {
  const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value()) return runner->report();
  if (!sources->empty() && !runner->Do(runner->words().ForgetSource())) return runner->report();
  if (!EnableEvents(context, runner)) return runner->report();
  if (!context.saved.scheduler_was_on) return runner->report();
  const std::optional<std::string> scheduler = runner->Get("SELECT @@global.event_scheduler");
  if (!scheduler.has_value() || *scheduler == "ON") return runner->report();
  if (*scheduler == "DISABLED")
    return runner->Fail("its event scheduler is DISABLED by its configuration, and events ran on " +
                        context.action.record.plan.old_primary);
  (void)runner->Do("SET GLOBAL event_scheduler = ON");
  return runner->report();
}

// The epoch, for whoever comes later, and a commit of our own.
StepReport Prove(const StepContext& context, StepRunner* runner) {
  std::string rows;
  for (const StepContext::ShardEpoch& shard : context.epochs) {
    absl::StrAppend(&rows, rows.empty() ? "" : ", ", "(", SqlQuoted(shard.shard), ", ", shard.epoch,
                    ", ", SqlQuoted(context.action.record.plan.candidate), ")");
  }
  const std::string insert =
      "INSERT INTO bulkhead.epoch (shard, epoch, primary_backend) VALUES " + rows +
      " ON DUPLICATE KEY UPDATE primary_backend = IF(VALUES(epoch) >= epoch, "
      "VALUES(primary_backend), primary_backend), epoch = GREATEST(epoch, VALUES(epoch))";
  SqlAnswer answer = runner->Ask(insert);
  if (answer.code == kNoSuchTable || answer.code == kUnknownSchema) {
    if (!runner->Do("CREATE DATABASE IF NOT EXISTS bulkhead") ||
        !runner->Do("CREATE TABLE IF NOT EXISTS bulkhead.epoch (shard VARCHAR(64) CHARACTER SET "
                    "ascii COLLATE ascii_bin PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL, "
                    "primary_backend VARCHAR(64) CHARACTER SET ascii NOT NULL) ENGINE=InnoDB"))
      return runner->report();
    answer = runner->Ask(insert);
  }
  if (!answer.ok()) return runner->FailWith(answer, "writing bulkhead.epoch");
  return runner->report();
}

}  // namespace bulkhead::control
