#include "proxy/control/change_steps.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/step_runner.h"

namespace bulkhead::control {

using routing::ChangeStep;
using routing::Duration;
using routing::StepReport;
using namespace std::chrono_literals;

namespace {

constexpr uint16_t kLockWaitTimeout = 1205;
constexpr uint16_t kNoSuchThread = 1094;

// A password may be in the text.
std::string Shown(const std::string& sql) {
  const size_t at = sql.find("_PASSWORD = ");
  return at == std::string::npos ? sql : sql.substr(0, at) + "...";
}

}  // namespace

// --- the runner
// ------------------------------------------------------------------------------------------------

bool StepRunner::Open() {
  const SqlAnswer open = session_->Open(Left());
  if (!open.ok()) (void)FailWith(open, "connecting");
  return open.ok();
}

bool StepRunner::Do(const std::string& sql) {
  const SqlAnswer answer = Ask(sql);
  if (!answer.ok()) (void)FailWith(answer, sql);
  return answer.ok();
}

std::optional<std::string> StepRunner::Get(const std::string& sql) {
  const SqlAnswer answer = Ask(sql);
  if (answer.ok()) return answer.Cell(0, size_t{0});
  (void)FailWith(answer, sql);
  return std::nullopt;
}

std::optional<std::vector<ReplicaStatus>> StepRunner::Sources() {
  const std::string sql = words().ReplicaStatus();
  const SqlAnswer answer = Ask(sql);
  if (answer.ok()) return ParseReplicaStatus(answer);
  (void)FailWith(answer, sql);
  return std::nullopt;
}

StepReport StepRunner::Fail(std::string why) {
  report_.result = StepReport::Result::kFailed;
  report_.why = std::move(why);
  return report_;
}

StepReport StepRunner::FailWith(const SqlAnswer& answer, const std::string& sql) {
  report_.result = answer.kind == SqlAnswer::Kind::kLost ? StepReport::Result::kUnknown
                                                         : StepReport::Result::kFailed;
  report_.why = Shown(sql) + ": " + answer.message;
  return report_;
}

void StepRunner::Pause(Duration time) const { std::this_thread::sleep_for(std::min(time, Left())); }

// --- the old primary
// ------------------------------------------------------------------------------------------------

namespace {

// Ends connections; one that is gone already is as good.
StepReport EndConnections(const std::vector<ServerThread>& threads, StepRunner* runner) {
  std::vector<std::string> ended;
  for (const ServerThread& thread : threads) {
    const SqlAnswer answer = runner->Ask(KillConnection(thread.id));
    if (!answer.ok() && answer.code != kNoSuchThread)
      return runner->FailWith(answer, KillConnection(thread.id));
    ended.push_back(absl::StrCat(thread.id, " (", thread.user, ")"));
  }
  if (!ended.empty()) {
    constexpr size_t kNamed = 20;
    const size_t all = ended.size();
    ended.resize(std::min(all, kNamed));
    runner->report().notes.push_back(absl::StrCat(
        "ended ", all, " connections: ", absl::StrJoin(ended, ", "), all > kNamed ? ", ..." : ""));
  }
  return runner->report();
}

// Clients' connections, but this router's own errands.
std::optional<std::vector<ServerThread>> Clients(const StepContext& context, StepRunner* runner) {
  const std::optional<std::string> own = runner->Get("SELECT CONNECTION_ID()");
  if (!own.has_value()) return std::nullopt;
  const SqlAnswer answer = runner->Ask("SHOW PROCESSLIST");
  if (!answer.ok()) {
    (void)runner->FailWith(answer, "SHOW PROCESSLIST");
    return std::nullopt;
  }
  std::vector<ServerThread> clients;
  for (const ServerThread& thread : ParseProcessList(answer)) {
    const bool ours = std::find(context.own_users.begin(), context.own_users.end(), thread.user) !=
                      context.own_users.end();
    if (IsClient(thread) && !ours && absl::StrCat(thread.id) != *own) clients.push_back(thread);
  }
  return clients;
}

StepReport EndRunning(const StepContext& context, StepRunner* runner) {
  std::optional<std::vector<ServerThread>> clients = Clients(context, runner);
  if (!clients.has_value()) return runner->report();
  if (context.end_all) return EndConnections(*clients, runner);
  const std::string open_sql = "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx";
  const SqlAnswer open = runner->Ask(open_sql);
  if (!open.ok()) return runner->FailWith(open, open_sql);
  std::set<std::string> in_transaction;
  for (size_t row = 0; row < open.rows.size(); ++row)
    in_transaction.insert(open.Cell(row, size_t{0}));
  std::erase_if(*clients, [&](const ServerThread& thread) {
    return thread.command == "Sleep" && !in_transaction.contains(absl::StrCat(thread.id));
  });
  return EndConnections(*clients, runner);
}

StepReport FreezeOld(const StepContext& context, StepRunner* runner) {
  // LOCK TABLES and long writes hold up a read_only, and that holds up everybody else.
  const auto wait = std::chrono::duration_cast<std::chrono::seconds>(runner->Left() - 1500ms);
  if (!runner->Do(
          absl::StrCat("SET SESSION lock_wait_timeout = ", std::max<int64_t>(wait.count(), 1))))
    return runner->report();
  if (context.saved.scheduler_was_on && !runner->Do("SET GLOBAL event_scheduler = OFF"))
    return runner->report();
  const std::string freeze = runner->words().MakeReadOnly();
  const SqlAnswer answer = runner->Ask(freeze);
  if (answer.ok()) return runner->report();
  runner->report().locked = answer.code == kLockWaitTimeout;
  return runner->FailWith(answer, freeze);
}

// A commit that a KILL came too late for is done when its connection is gone, and not before: the
// position that is read next must have it.
StepReport SeenGone(const StepContext& context, const std::vector<ServerThread>& ended,
                    StepRunner* runner) {
  constexpr Duration kPause = 20ms;
  constexpr Duration kLeastLeft = 200ms;  // for the answer to be told as ours
  while (!ended.empty()) {
    const std::optional<std::vector<ServerThread>> clients = Clients(context, runner);
    if (!clients.has_value()) return runner->report();
    const auto left = std::find_if(ended.begin(), ended.end(), [&](const ServerThread& one) {
      return std::any_of(clients->begin(), clients->end(),
                         [&](const ServerThread& client) { return client.id == one.id; });
    });
    if (left == ended.end()) break;
    if (runner->Left() < kLeastLeft)
      return runner->Fail(
          absl::StrCat("connection ", left->id, " (", left->user, ") was killed and does not end"));
    runner->Pause(kPause);
  }
  return runner->report();
}

StepReport EndPrivileged(const StepContext& context, StepRunner* runner) {
  const std::string users = runner->words().PrivilegedUsers();
  if (users.empty()) return runner->report();
  const SqlAnswer answer = runner->Ask(users);
  if (!answer.ok()) return runner->FailWith(answer, "who may write although it is read_only");
  std::set<std::string> privileged;
  for (size_t row = 0; row < answer.rows.size(); ++row)
    privileged.insert(answer.Cell(row, size_t{0}));
  std::optional<std::vector<ServerThread>> clients = Clients(context, runner);
  if (!clients.has_value()) return runner->report();
  std::erase_if(*clients,
                [&](const ServerThread& thread) { return !privileged.contains(thread.user); });
  if (EndConnections(*clients, runner).result != StepReport::Result::kOk) return runner->report();
  return SeenGone(context, *clients, runner);
}

StepReport ReadPosition(StepRunner* runner) {
  constexpr Duration kApart = 20ms;
  std::string positions[2];
  for (std::string& position : positions) {
    if (&position != &positions[0]) runner->Pause(kApart);
    std::optional<std::string> read = runner->Get(runner->words().Position());
    if (!read.has_value()) return runner->report();
    position = *std::move(read);
    std::erase(position, '\n');
  }
  const std::optional<std::string> read_only = runner->Get(runner->words().AskReadOnly());
  if (!read_only.has_value()) return runner->report();
  if (*read_only == "0") return runner->Fail("somebody has made it writable again");
  const SqlAnswer prepared = runner->Ask("XA RECOVER");
  if (!prepared.ok()) return runner->FailWith(prepared, "XA RECOVER");
  if (!prepared.rows.empty())
    return runner->Fail(absl::StrCat("has ", prepared.rows.size(), " prepared XA transactions"));
  runner->report().stable = positions[0] == positions[1];
  runner->report().position = positions[1];
  return runner->report();
}

StepReport ThawOld(const StepContext& context, StepRunner* runner) {
  const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value()) return runner->report();
  for (const ReplicaStatus& source : *sources) {
    if (!source.receiver_runs) continue;
    return runner->Fail(absl::StrCat(
        "replicates from ", source.source_host, ":", source.source_port,
        ": somebody has given it another role meanwhile, and it is not made writable"));
  }
  if (!runner->Do(runner->words().MakeWritable())) return runner->report();
  if (!context.saved.scheduler_was_on) return runner->report();
  // It is writable: what is left is no reason to hold its work.
  const SqlAnswer scheduler = runner->Ask("SET GLOBAL event_scheduler = ON");
  if (!scheduler.ok()) {
    runner->report().notes.push_back(
        "its event scheduler is still off: SET GLOBAL "
        "event_scheduler = ON (" +
        scheduler.message + ")");
  }
  return runner->report();
}

// --- the candidate
// ------------------------------------------------------------------------------------------------

StepReport Confirm(StepRunner* runner) {
  const std::optional<std::string> read_only = runner->Get(runner->words().AskReadOnly());
  if (!read_only.has_value()) return runner->report();
  runner->report().writable = *read_only == "0";
  return runner->report();
}

StepReport StopReceiving(StepRunner* runner) {
  if (!runner->Do(runner->words().StopReceiving())) return runner->report();
  const std::optional<std::vector<ReplicaStatus>> sources = runner->Sources();
  if (!sources.has_value()) return runner->report();
  for (const ReplicaStatus& source : *sources) {
    if (source.receiver_runs) return runner->Fail("its receiving thread does not stop");
  }
  runner->report().semi_sync_fence = true;  // this one can't acknowledge any more
  return runner->report();
}

StepReport One(const StepContext& context, StepRunner* runner) {
  switch (context.action.step) {
    case ChangeStep::kEndRunning:
      return EndRunning(context, runner);
    case ChangeStep::kFreezeOld:
      return FreezeOld(context, runner);
    case ChangeStep::kEndPrivileged:
      return EndPrivileged(context, runner);
    case ChangeStep::kReadPosition:
      return ReadPosition(runner);
    case ChangeStep::kCatchUp:
      return WaitUntilExecuted(runner, context.action.record.position);
    case ChangeStep::kStopReceiving:
      return StopReceiving(runner);
    case ChangeStep::kApplyReceived:
      return ApplyReceived(runner);
    case ChangeStep::kDetach:
      (void)runner->Do(runner->words().StopReplication());
      return runner->report();
    case ChangeStep::kPromote:
      // One statement, so that its answer is all there is to know.
      (void)runner->Do(runner->words().MakeWritable());
      return runner->report();
    case ChangeStep::kConfirm:
      return Confirm(runner);
    case ChangeStep::kProve:
      return Prove(context, runner);
    case ChangeStep::kRepoint:
      return Repoint(context, runner);
    case ChangeStep::kKeepSemiSync:
      return KeepSemiSync(context, runner);
    case ChangeStep::kSettle:
      return Settle(context, runner);
    case ChangeStep::kThawOld:
      return ThawOld(context, runner);
    case ChangeStep::kReattach:
      return Reattach(runner);
    case ChangeStep::kInspect:
    case ChangeStep::kHold:
    case ChangeStep::kDrain:
    case ChangeStep::kFence:
    case ChangeStep::kPublish:
    case ChangeStep::kRelease:
      break;
  }
  return runner->Fail("is no step on a server");
}

}  // namespace

StepReport RunStep(const StepContext& context, SqlSession* session) {
  StepRunner runner(session, context.action.timeout);
  if (!runner.Open()) return runner.report();
  return One(context, &runner);
}

StepReport StopReceivingThere(SqlSession* session, Duration limit) {
  StepRunner runner(session, limit);
  if (!runner.Open()) return runner.report();
  return StopReceiving(&runner);
}

StepReport StartReplicationThere(SqlSession* session, Duration limit) {
  StepRunner runner(session, limit);
  if (!runner.Open()) return runner.report();
  return Reattach(&runner);
}

}  // namespace bulkhead::control
