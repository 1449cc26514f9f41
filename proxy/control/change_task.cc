#include "proxy/control/change_task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/change_scene.h"
#include "proxy/log/events.h"
#include "routing/failover.h"
#include "routing/switchover.h"

namespace bulkhead::control {

using routing::ChangeAction;
using routing::ChangeKind;
using routing::ChangeOutcome;
using routing::ChangePlan;
using routing::ChangeStep;
using routing::MonoTime;
using routing::StepReport;

namespace {

std::unique_ptr<routing::PrimaryChange> MachineFor(const ChangePlan& plan) {
  if (plan.kind == ChangeKind::kFailover) return std::make_unique<routing::Failover>(plan);
  return std::make_unique<routing::Switchover>(plan);
}

std::string KindOf(const ChangePlan& plan) { return std::string(routing::ToString(plan.kind)); }

}  // namespace

ChangeTask::ChangeTask(Operators* operators, AskedPtr asked, const ChangePlan& plan, bool automatic)
    : operators_(operators),
      asked_(std::move(asked)),
      operation_(
          operators->world()->operations()->Begin(KindOf(plan), plan.shard, asked_->origin.user)),
      machine_(MachineFor(plan)),
      automatic_(automatic) {
  hands_ = world()->MakeHands(SceneOf());
  machine_->Start(world()->Now());
  Carry();
}

ChangeTask::ChangeTask(Operators* operators, AskedPtr asked, uint64_t operation,
                       const routing::ChangeRecord& record)
    : operators_(operators),
      asked_(std::move(asked)),
      operation_(operation),
      machine_(MachineFor(record.plan)),
      resumed_(true) {
  machine_->Resume(record, world()->Now());
  hands_ = world()->MakeHands(SceneOf());
  Carry();
}

ChangeTask::~ChangeTask() = default;

OperatorWorld* ChangeTask::world() const { return operators_->world(); }

routing::BackendId ChangeTask::IdOf(const std::string& backend) const {
  const routing::Backend* found = world()->topology()->FindBackend(backend);
  return found == nullptr ? routing::BackendId{} : found->id;
}

std::vector<const routing::Shard*> ChangeTask::Shards() const {
  return ShardsOfChange(*world()->topology(), plan());
}

ChangeScene ChangeTask::SceneOf() const { return MakeScene(world(), plan()); }

bool ChangeTask::Concerns(const std::string& name) const {
  const ChangePlan& p = plan();
  if (name == p.old_primary || name == p.candidate) return true;
  if (std::find(p.others.begin(), p.others.end(), name) != p.others.end()) return true;
  const std::vector<const routing::Shard*> shards = Shards();
  return name == p.shard || std::any_of(shards.begin(), shards.end(),
                                        [&](const auto* shard) { return shard->name == name; });
}

// --- the machine's actions
// --------------------------------------------------------------------------------------

void ChangeTask::Tick(MonoTime now) {
  if (ended_) return;
  hands_->Tick(now);
  if (machine_->next_wake() <= now) machine_->Tick(now);
  Carry();
}

void ChangeTask::Carry() {
  if (std::exchange(carrying_, true)) return;  // the loop below takes what an action has caused
  while (!ended_) {
    const std::vector<ChangeAction> actions = machine_->TakeActions();
    if (actions.empty()) break;
    for (const ChangeAction& action : actions) CarryOut(action);
  }
  carrying_ = false;
}

void ChangeTask::CarryOut(const ChangeAction& action) {
  switch (action.kind) {
    case ChangeAction::Kind::kStoreStep:
      Store(action);
      return;
    case ChangeAction::Kind::kRunStep:
      RunStep(action);
      return;
    case ChangeAction::Kind::kAbortStep:
      if (at_hands_ == action.id) {
        at_hands_ = 0;
        hands_->Abort();
      }
      return;
    case ChangeAction::Kind::kProgress:
      Tell(action.words);
      return;
    case ChangeAction::Kind::kAlert:
      Log(log::Level::kError, action.words);
      Tell("ALERT: " + action.words);
      alerts_.push_back(action.words);
      return;
    case ChangeAction::Kind::kEnd:
      End(action.words);
      return;
  }
}

void ChangeTask::Log(log::Level level, const std::string& words) {
  log::Write(level, log::event::kChange,
             {{"operation", operation_}, {"shard", plan().shard}, {"kind", KindOf(plan())}},
             absl::StrCat("operation ", operation_, ": ", KindOf(plan()), " of shard ",
                          plan().shard, ": ", words));
}

void ChangeTask::Tell(const std::string& words) {
  Log(log::Level::kInfo, words);
  world()->operations()->Step(operation_, words);
  world()->events()->Add("operation", plan().shard, words);
  asked_->Progress(absl::StrCat(KindOf(plan()), " of shard ", plan().shard, ": ", words));
}

StoredOperation ChangeTask::Stored(const routing::ChangeRecord& record) const {
  StoredOperation stored;
  if (std::optional<Operation> found = world()->operations()->Find(operation_); found.has_value())
    stored.operation = *std::move(found);
  stored.operation.id = operation_;
  stored.payload = routing::EncodeChange(record);
  stored.owner = world()->router_id();
  return stored;
}

void ChangeTask::Store(const ChangeAction& action) {
  StoredOperation stored = Stored(action.record);
  stored.operation.step = std::string(routing::ToString(action.step));
  world()->Persist({PutOperation{std::move(stored)}},
                   [this, id = action.id, alive = std::weak_ptr<bool>(alive_)](const auto& status) {
                     if (alive.expired() || ended_) return;
                     if (!status.ok()) Log(log::Level::kError, "not stored: " + status.ToString());
                     machine_->OnStored(id, status.ok(), world()->Now());
                     Carry();
                   });
}

void ChangeTask::RunStep(const ChangeAction& action) {
  switch (action.step) {
    case ChangeStep::kHold:
      Hold(action.id);
      return;
    case ChangeStep::kDrain:
      Drain(action.id);
      return;
    case ChangeStep::kPublish:
      Publish(action.id);
      return;
    case ChangeStep::kRelease:
      Release(action.id);
      return;
    default:
      break;
  }
  if (action.step == ChangeStep::kFreezeOld)
    world()->ExpectReadOnly(IdOf(plan().old_primary), true);
  at_hands_ = action.id;
  hands_->Run(action, Context(action),
              [this, id = action.id, step = action.step](const StepReport& report) {
                at_hands_ = 0;
                if (step == ChangeStep::kFreezeOld && report.locked) end_all_ = true;
                if (step == ChangeStep::kThawOld && report.result == StepReport::Result::kOk)
                  world()->ExpectReadOnly(IdOf(plan().old_primary), false);
                // The machine tells those of the others by itself.
                const bool told =
                    step == ChangeStep::kInspect || step == ChangeStep::kStopReceiving;
                for (const std::string& note : report.notes) {
                  if (!told) Tell(note);
                  if (step == ChangeStep::kKeepSemiSync) remarks_.push_back(note);
                }
                Answer(id, report);
              });
}

void ChangeTask::Answer(uint64_t id, const StepReport& report) {
  if (ended_) return;
  machine_->OnStep(id, report, world()->Now());
  Carry();
}

HandsContext ChangeTask::Context(const ChangeAction& action) const {
  HandsContext context;
  context.scene = SceneOf();
  context.scene.automatic = automatic_;
  for (const routing::Shard* shard : Shards())
    context.epochs.push_back({shard->name, shard->epoch.value});
  context.end_all = end_all_;
  // What was stopped on others is started there again; a thread that runs stays as it is.
  const bool failover = plan().kind == ChangeKind::kFailover;
  context.stop_others = failover && (action.step == ChangeStep::kReattach ||
                                     (!action.record.fenced && context.scene.semi_sync.waits &&
                                      context.scene.semi_sync.for_ever));
  return context;
}

// --- what is the router's own
// -----------------------------------------------------------------------------------

void ChangeTask::Hold(uint64_t id) {
  const bool failover = plan().kind == ChangeKind::kFailover;
  held_at_ = world()->Now();
  // In another process it may be so already.
  if (resumed_ && !failover) world()->ExpectReadOnly(IdOf(plan().old_primary), true);
  operators_->SetChangeOrder(
      Shards(),
      {.order = routing::GateOperator::kDrain,
       .words = (failover ? "is failed over to " : "is switched over to ") + plan().candidate,
       .transactions_too = failover});
  const auto answered = [this, id, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Answer(id, {});
  };
  // Once every worker has answered, nothing new is sent. What a silent server was sent before, and
  // answers later, must not become a client's truth.
  world()->CountBusy({}, [this, id, failover, answered,
                          alive = std::weak_ptr<bool>(alive_)](const io::BusyCount& count) {
    if (alive.expired()) return;
    if (!count.unanswered.empty()) {
      Answer(id, {.result = routing::StepReport::Result::kFailed, .why = count.unanswered});
      return;
    }
    if (failover) {
      world()->GiveUp(IdOf(plan().old_primary), answered);
    } else {
      answered();
    }
  });
}

void ChangeTask::Drain(uint64_t id) {
  world()->CountBusy({.backend = IdOf(plan().old_primary)},
                     [this, id, alive = std::weak_ptr<bool>(alive_)](const io::BusyCount& count) {
                       if (alive.expired()) return;
                       StepReport report;
                       report.busy = count.must_end();
                       if (report.busy > 0) {
                         world()->operations()->Step(
                             operation_,
                             absl::StrCat("drain: waits for ", count.running, " statements and ",
                                          count.transactions, " transactions"));
                       }
                       Answer(id, report);
                     });
}

void ChangeTask::Publish(uint64_t id) {
  if (plan().kind == ChangeKind::kFailover) {
    operators_->FenceBackend(plan().old_primary,
                             absl::StrCat("shard ", plan().shard, " was failed over from it to ",
                                          plan().candidate, " (operation ", operation_, ")"));
  }
  std::vector<std::string> shards;
  for (const routing::Shard* shard : Shards()) shards.push_back(shard->name);
  operators_->Change(
      [operators = operators_, shards,
       candidate = plan().candidate](routing::TopologyBuilder* builder) {
        absl::Status status;
        for (const std::string& shard : shards) {
          if (status.ok()) status = builder->SetPrimary(shard, candidate);
          // Above what any other router has written down.
          const routing::Epoch seen = operators->SeenEpochOf(shard);
          if (status.ok()) status = builder->RaiseEpoch(shard, routing::Epoch{seen.value + 1});
        }
        return status;
      },
      {},
      [this, id, alive = std::weak_ptr<bool>(alive_)](const absl::Status& status) {
        if (alive.expired()) return;
        StepReport report;
        if (!status.ok()) {
          report.result = StepReport::Result::kFailed;
          report.why = std::string(status.message());
        }
        Answer(id, report);
      },
      /*held=*/true);
}

void ChangeTask::Release(uint64_t id) {
  operators_->ReleaseChangeOrder(Shards());
  if (held_at_ != MonoTime{}) held_for_ = world()->Now() - std::exchange(held_at_, MonoTime{});
  world()->Post([this, id, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) Answer(id, {});
  });
}

// --- the end
// ------------------------------------------------------------------------------------------------

void ChangeTask::Cancel() {
  cancelled_ = true;
  machine_->Cancel(world()->Now());
  Carry();
}

void ChangeTask::CancelUnasked() {
  if (!machine_->alerted()) Cancel();
}

std::string ChangeTask::PastCancel() const {
  const routing::ChangeRecord& record = machine_->record();
  if (machine_->alerted()) return {};
  if (record.promoted) return plan().candidate + " is promoted, and it is being finished";
  if (record.undoing) return "it is being put back already";
  return {};
}

void ChangeTask::Stop() {
  Log(log::Level::kWarn,
      "the router ends in the middle of it; it goes on, or is put back, when the router starts "
      "again");
}

std::string ChangeTask::EndWords(const std::string& words) const {
  const ChangePlan& p = plan();
  std::string text = absl::StrCat(KindOf(p), " of shard ", p.shard, " to ", p.candidate);
  switch (machine_->outcome()) {
    case ChangeOutcome::kFinished:
      text = words;
      break;
    case ChangeOutcome::kRefused:
      absl::StrAppend(&text, " is refused, nothing was changed: ", words);
      break;
    case ChangeOutcome::kDryRun:
      absl::StrAppend(&text, ": ", words);
      break;
    case ChangeOutcome::kPutBack:
      absl::StrAppend(&text, " was put back: ", words, "; everything is as it was before");
      break;
    case ChangeOutcome::kFrozen:
    case ChangeOutcome::kRunning:
      absl::StrAppend(&text, ": ", words);
      break;
  }
  if (held_for_ > routing::Duration::zero())
    absl::StrAppend(&text, "; its work was held for ", routing::ToMillis(held_for_), " ms");
  for (const std::string& remark : remarks_) absl::StrAppend(&text, "; ", remark);
  for (const std::string& alert : alerts_) absl::StrAppend(&text, "; ALERT: ", alert);
  if (resumed_) absl::StrAppend(&text, " (after a restart of the router)");
  return text;
}

void ChangeTask::End(const std::string& words) {
  ended_ = true;
  const ChangeOutcome outcome = machine_->outcome();
  if (outcome == ChangeOutcome::kFrozen) operators_->KeepHeld(Shards(), words);
  if (const routing::BackendId old = IdOf(plan().old_primary); old.valid())
    world()->ExpectReadOnly(old, false);
  const std::string message = EndWords(words);
  const bool done = outcome == ChangeOutcome::kFinished || outcome == ChangeOutcome::kDryRun;
  Operation::State state = done ? Operation::State::kDone : Operation::State::kFailed;
  if (!done && cancelled_) state = Operation::State::kCancelled;
  world()->operations()->End(operation_, state, message);
  world()->events()->Add("operation", plan().shard, message);
  Log(log::Level::kInfo, message);
  // Answered once it is known for good that it has ended.
  StoredOperation stored = Stored(machine_->record());
  stored.payload.clear();
  OperatorReply reply{.ok = done, .code = done ? uint16_t{0} : kErrNotNow, .message = message};
  if (plan().dry_run) {
    reply.ok = true;
    reply.columns = {"step", "server", "check", "result"};
    for (const routing::ChangeRow& row : machine_->rows())
      reply.rows.push_back({row.step, row.server, row.check, row.result});
  }
  world()->Persist({PutOperation{std::move(stored)}},
                   [asked = asked_, reply = std::move(reply)](const absl::Status& status) mutable {
                     if (!status.ok())
                       reply.message +=
                           "; but that is not stored: " + std::string(status.message());
                     asked->Report(std::move(reply));
                   });
}

}  // namespace bulkhead::control
