#include "routing/primary_change.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"

namespace bulkhead::routing {

namespace {

using namespace std::chrono_literals;
using Result = StepReport::Result;

// Steps that are only looked at, or waited for: giving one up changes nothing on any server.
bool IsHarmless(ChangeStep step) {
  switch (step) {
    case ChangeStep::kInspect:
    case ChangeStep::kDrain:
    case ChangeStep::kReadPosition:
    case ChangeStep::kCatchUp:
    case ChangeStep::kApplyReceived:
      return true;
    case ChangeStep::kHold:
    case ChangeStep::kEndRunning:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kEndPrivileged:
    case ChangeStep::kFence:
    case ChangeStep::kStopReceiving:
    case ChangeStep::kDetach:
    case ChangeStep::kPromote:
    case ChangeStep::kConfirm:
    case ChangeStep::kPublish:
    case ChangeStep::kProve:
    case ChangeStep::kRelease:
    case ChangeStep::kRepoint:
    case ChangeStep::kKeepSemiSync:
    case ChangeStep::kSettle:
    case ChangeStep::kThawOld:
    case ChangeStep::kReattach:
      return false;
  }
  return false;
}

}  // namespace

PrimaryChange::PrimaryChange(ChangePlan plan) { record_.plan = std::move(plan); }

void PrimaryChange::Start(MonoTime now) { Begin(ChangeStep::kInspect, now); }

PrimaryChange::Weight PrimaryChange::WeightOf(ChangeStep step) const {
  switch (step) {
    case ChangeStep::kConfirm:
    case ChangeStep::kPublish:
    case ChangeStep::kRelease:
    case ChangeStep::kThawOld:
      return Weight::kMust;
    case ChangeStep::kProve:
    case ChangeStep::kRepoint:
    case ChangeStep::kKeepSemiSync:
    case ChangeStep::kSettle:
    case ChangeStep::kReattach:
      return Weight::kShould;
    case ChangeStep::kHold:
      return resuming_ ? Weight::kMust : Weight::kForward;
    case ChangeStep::kInspect:
    case ChangeStep::kDrain:
    case ChangeStep::kEndRunning:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kEndPrivileged:
    case ChangeStep::kReadPosition:
    case ChangeStep::kCatchUp:
    case ChangeStep::kFence:
    case ChangeStep::kStopReceiving:
    case ChangeStep::kApplyReceived:
    case ChangeStep::kDetach:
    case ChangeStep::kPromote:
      return Weight::kForward;
  }
  return Weight::kForward;
}

Duration PrimaryChange::TimeoutOf(ChangeStep step) const {
  switch (step) {
    case ChangeStep::kDrain:
    case ChangeStep::kReadPosition:
      return 3s;
    case ChangeStep::kCatchUp:
      return plan().timeout;
    case ChangeStep::kFence:
      return plan().fence_timeout;
    case ChangeStep::kApplyReceived:
      return 1h;  // all of it must be applied; an operator may cancel
    case ChangeStep::kDetach:
    case ChangeStep::kPublish:
    case ChangeStep::kRepoint:
    case ChangeStep::kReattach:
      return 10s;
    case ChangeStep::kSettle:
      return 20s;
    case ChangeStep::kInspect:
    case ChangeStep::kHold:
    case ChangeStep::kEndRunning:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kEndPrivileged:
    case ChangeStep::kStopReceiving:
    case ChangeStep::kPromote:
    case ChangeStep::kConfirm:
    case ChangeStep::kProve:
    case ChangeStep::kRelease:
    case ChangeStep::kKeepSemiSync:
    case ChangeStep::kThawOld:
      return 5s;
  }
  return 5s;
}

std::string PrimaryChange::ServerOf(ChangeStep step, const std::string& server) const {
  if (!server.empty()) return server;
  switch (step) {
    case ChangeStep::kEndRunning:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kEndPrivileged:
    case ChangeStep::kReadPosition:
    case ChangeStep::kThawOld:
    case ChangeStep::kFence:
      return plan().old_primary;
    case ChangeStep::kCatchUp:
    case ChangeStep::kStopReceiving:
    case ChangeStep::kApplyReceived:
    case ChangeStep::kDetach:
    case ChangeStep::kPromote:
    case ChangeStep::kConfirm:
    case ChangeStep::kProve:
    case ChangeStep::kKeepSemiSync:
    case ChangeStep::kSettle:
    case ChangeStep::kReattach:
      return plan().candidate;
    case ChangeStep::kInspect:
    case ChangeStep::kHold:
    case ChangeStep::kDrain:
    case ChangeStep::kPublish:
    case ChangeStep::kRelease:
    case ChangeStep::kRepoint:
      return {};
  }
  return {};
}

std::string PrimaryChange::Target(ChangeStep step) const {
  return server_.empty() ? std::string(ToString(step))
                         : std::string(ToString(step)) + " (" + server_ + ")";
}

void PrimaryChange::Begin(ChangeStep step, std::string server, MonoTime now) {
  step_ = step;
  server_ = ServerOf(step, server);
  attempt_ = 0;
  const bool stored = step != ChangeStep::kInspect;
  if (!stored) {
    Send(now);
    return;
  }
  record_.step = step;
  record_.server = server_;
  phase_ = Phase::kStoring;
  id_ = ++last_id_;
  wake_ = now + TimeoutOf(step) + kGrace;
  ChangeAction action;
  action.kind = ChangeAction::Kind::kStoreStep;
  action.id = id_;
  action.step = step;
  action.server = server_;
  action.record = record_;
  actions_.push_back(std::move(action));
}

void PrimaryChange::Send(MonoTime now) {
  if (step_ == ChangeStep::kHold) held_ = true;
  if (step_ == ChangeStep::kFreezeOld) froze_ = true;
  if (step_ == ChangeStep::kStopReceiving || step_ == ChangeStep::kDetach) detached_ = true;
  if (attempt_ == 0) {
    words_ = Target(step_);
    ChangeAction progress;
    progress.words = words_;
    progress.step = step_;
    progress.server = server_;
    actions_.push_back(std::move(progress));
  }
  phase_ = Phase::kRunning;
  id_ = ++last_id_;
  wake_ = now + TimeoutOf(step_) + kGrace;
  ChangeAction action;
  action.kind = ChangeAction::Kind::kRunStep;
  action.id = id_;
  action.step = step_;
  action.server = server_;
  action.attempt = attempt_;
  action.timeout = TimeoutOf(step_);
  action.record = record_;
  actions_.push_back(std::move(action));
}

void PrimaryChange::Again(Duration pause, MonoTime now) {
  ++attempt_;
  phase_ = Phase::kPausing;
  id_ = 0;
  wake_ = now + pause;
}

void PrimaryChange::OnStored(uint64_t id, bool ok, MonoTime now) {
  if (outcome_ != ChangeOutcome::kRunning || phase_ != Phase::kStoring || id != id_) return;
  const bool forward = !record_.undoing && !record_.promoted && WeightOf(step_) == Weight::kForward;
  if (forward && cancelled_) {
    Undo("cancelled", now);
  } else if (forward && !ok) {
    Undo("step '" + Target(step_) + "' could not be stored", now);
  } else {
    Send(now);
  }
}

void PrimaryChange::OnStep(uint64_t id, const StepReport& report, MonoTime now) {
  if (outcome_ != ChangeOutcome::kRunning || phase_ != Phase::kRunning || id != id_) return;
  phase_ = Phase::kIdle;
  Dispatch(report, now);
}

void PrimaryChange::Tick(MonoTime now) {
  if (outcome_ != ChangeOutcome::kRunning || now < wake_) return;
  switch (phase_) {
    case Phase::kIdle:
      wake_ = kMonoNever;
      return;
    case Phase::kPausing:
      Send(now);
      return;
    case Phase::kStoring:
      OnStored(id_, false, now);
      return;
    case Phase::kRunning: {
      ChangeAction abort;
      abort.kind = ChangeAction::Kind::kAbortStep;
      abort.id = id_;
      actions_.push_back(std::move(abort));
      OnStep(id_, {.result = Result::kUnknown, .why = "no answer in time"}, now);
      return;
    }
  }
}

void PrimaryChange::Dispatch(const StepReport& report, MonoTime now) {
  const bool ok = report.result == Result::kOk;
  if (looking_) {
    OnLook(report, now);
    return;
  }
  if (step_ == ChangeStep::kPromote) {
    // Also a plain no is looked at: it may have been more than one statement.
    if (!ok) Note("promotion of " + plan().candidate + ": " + report.why);
    record_.promoted = ok;
    if (ok) {
      NextFinish(now);
    } else {
      Begin(ChangeStep::kConfirm, now);
    }
    return;
  }
  switch (WeightOf(step_)) {
    case Weight::kForward:
      if (cancelled_) {
        Undo("cancelled", now);
      } else {
        OnForward(report, now);
      }
      return;
    case Weight::kMust:
      if (!ok) {
        RetryMust(report, now);
      } else if (step_ == ChangeStep::kHold) {
        resuming_ = false;
        AfterResumeHold(now);
      } else if (step_ == ChangeStep::kConfirm) {
        AfterConfirm(report, now);
      } else if (record_.undoing) {
        (step_ == ChangeStep::kThawOld ? froze_ : held_) = false;
        NextUndo(now);
      } else {
        if (step_ == ChangeStep::kRelease) held_ = false;
        NextFinish(now);
      }
      return;
    case Weight::kShould:
      // Before the release clients wait: a replica that is silent gets one chance.
      if (!ok && attempt_ + 1 < kTries &&
          !(held_ && step_ == ChangeStep::kRepoint && report.result == Result::kUnknown)) {
        Again(kRetryPause, now);
        return;
      }
      if (!ok) Alert(Target(step_) + " failed, and the rest goes on: " + report.why);
      if (record_.undoing) {
        detached_ = false;
        NextUndo(now);
      } else {
        NextFinish(now);
      }
      return;
  }
}

void PrimaryChange::RetryMust(const StepReport& report, MonoTime now) {
  if (attempt_ + 1 < kTriesBeforeAlert) {
    Again(kRetryPause, now);
    return;
  }
  if (attempt_ + 1 == kTriesBeforeAlert) {
    alerted_ = true;
    std::string what;
    if (looking_) {
      what = plan().old_primary + " is not made writable beside it, and the shard stays held";
    } else if (step_ == ChangeStep::kConfirm) {
      what = "it is not known whether " + plan().candidate +
             " was promoted: both servers stay frozen and the shard stays held";
    } else if (step_ == ChangeStep::kThawOld) {
      what = plan().old_primary + " could not be made writable again: the shard stays held";
    } else {
      what = "the shard stays held";
    }
    Alert(Target(step_) + ": " + report.why + "; " + what + "; it is tried on and on");
  }
  words_ = Target(step_) + ": " + report.why + ", tried " + std::to_string(attempt_ + 1) + " times";
  Again(kSlowRetryPause, now);
}

void PrimaryChange::AfterConfirm(const StepReport& report, MonoTime now) {
  alerted_ = false;
  if (report.writable) {
    record_.promoted = true;
    Note(plan().candidate + " is writable: it was promoted");
    NextFinish(now);
  } else {
    Undo(plan().candidate + " could not be promoted and is read-only", now);
  }
}

void PrimaryChange::Undo(std::string why, MonoTime now) {
  record_.undoing = true;
  record_.why = std::move(why);
  Note("puts everything back: " + record_.why);
  NextUndo(now);
}

void PrimaryChange::NextUndo(MonoTime now) {
  // The clients first: the candidate's replication can wait for them.
  if (froze_) {
    Begin(ChangeStep::kThawOld, now);
  } else if (held_) {
    Begin(ChangeStep::kRelease, now);
  } else if (detached_) {
    Begin(ChangeStep::kReattach, now);
  } else {
    End(ChangeOutcome::kPutBack, record_.why);
  }
}

std::vector<PrimaryChange::FinishStep> PrimaryChange::FinishList() const {
  std::vector<FinishStep> list = {{ChangeStep::kPublish, {}}};
  for (const ChangeStep step : Finish()) {
    if (step != ChangeStep::kRepoint) {
      list.push_back({step, ServerOf(step, {})});
      continue;
    }
    if (plan().kind == ChangeKind::kSwitchover) list.push_back({step, plan().old_primary});
    for (const std::string& other : plan().others) list.push_back({step, other});
  }
  return list;
}

// The one behind record_.step; on resuming that one itself.
void PrimaryChange::NextFinish(MonoTime now) {
  const std::vector<FinishStep> list = FinishList();
  const auto at = std::find_if(list.begin(), list.end(), [this](const FinishStep& entry) {
    return entry.step == record_.step && entry.server == record_.server;
  });
  auto next = list.begin();
  if (at != list.end()) next = step_ == record_.step && server_ == record_.server ? at + 1 : at;
  if (next == list.end()) {
    End(ChangeOutcome::kFinished,
        "shard " + plan().shard + " has its primary on " + plan().candidate + " now");
  } else {
    Begin(next->step, next->server, now);
  }
}

void PrimaryChange::Cancel(MonoTime now) {
  if (outcome_ != ChangeOutcome::kRunning) return;
  if (alerted_ && WeightOf(step_) == Weight::kMust) {
    End(ChangeOutcome::kFrozen, "given up at step '" + Target(step_) + "': shard " + plan().shard +
                                    " stays held, and what " + plan().old_primary + " and " +
                                    plan().candidate + " are is for a person to look at");
    return;
  }
  const bool sent = step_ == ChangeStep::kPromote && phase_ == Phase::kRunning;
  if (record_.undoing || record_.promoted || sent || WeightOf(step_) != Weight::kForward) return;
  cancelled_ = true;
  if (phase_ == Phase::kPausing) {
    Undo("cancelled", now);
  } else if (phase_ == Phase::kRunning && IsHarmless(step_)) {
    ChangeAction abort;
    abort.kind = ChangeAction::Kind::kAbortStep;
    abort.id = id_;
    actions_.push_back(std::move(abort));
    phase_ = Phase::kIdle;
    Undo("cancelled", now);
  }
}

void PrimaryChange::End(ChangeOutcome outcome, std::string words) {
  outcome_ = outcome;
  words_ = std::move(words);
  phase_ = Phase::kIdle;
  wake_ = kMonoNever;
  ChangeAction action;
  action.kind = ChangeAction::Kind::kEnd;
  action.words = words_;
  action.record = record_;
  actions_.push_back(std::move(action));
}

void PrimaryChange::Note(std::string words) {
  ChangeAction action;
  action.words = words;
  actions_.push_back(std::move(action));
  notes_.push_back(std::move(words));
}

void PrimaryChange::Alert(std::string words) {
  ChangeAction action;
  action.kind = ChangeAction::Kind::kAlert;
  action.words = words;
  actions_.push_back(std::move(action));
  notes_.push_back(std::move(words));
}

void PrimaryChange::KeepReport(const StepReport& report) {
  rows_ = report.rows;
  reasons_ = report.reasons;
  for (const std::string& note : report.notes) Note(note);
  record_.saved = report.saved;
  record_.semi_sync = report.semi_sync;
}

std::vector<ChangeAction> PrimaryChange::TakeActions() { return std::exchange(actions_, {}); }

}  // namespace bulkhead::routing
