// PrimaryChange: another process goes on with what the store says was begun.
#include "routing/primary_change.h"

namespace bulkhead::routing {

using Result = StepReport::Result;

void PrimaryChange::Resume(const ChangeRecord& record, MonoTime now) {
  record_ = record;
  if (record.step == ChangeStep::kInspect) {
    End(ChangeOutcome::kPutBack, "the router was restarted before anything was changed");
    return;
  }
  // As much as may have been done by then.
  const bool switchover = record.plan.kind == ChangeKind::kSwitchover;
  const ChangeStep step = record.step;
  held_ = true;
  froze_ = switchover && (record.undoing || step >= ChangeStep::kFreezeOld);
  detached_ = record.undoing || step >= ChangeStep::kStopReceiving;
  if (record.promoted && IsReleased()) {
    held_ = false;
    AfterResumeHold(now);
    return;
  }
  resuming_ = true;
  // Held first: what is stored may not be where the servers are. Not stored: the step that was
  // under way must stay the one that is read if this process ends too.
  step_ = ChangeStep::kHold;
  attempt_ = 0;
  Send(now);
}

void PrimaryChange::AfterResumeHold(MonoTime now) {
  const std::string at(ToString(record_.step));
  if (record_.undoing) {
    Note("the router was restarted while this was put back: goes on putting back");
    LookBeforeUndo(now);
  } else if (record_.promoted) {
    Note("the router was restarted at step '" + at + "', after the promotion: finishes");
    NextFinish(now);
  } else if (record_.step == ChangeStep::kPromote || record_.step == ChangeStep::kConfirm) {
    Note("the router was restarted at the promotion: asks " + plan().candidate);
    Begin(ChangeStep::kConfirm, now);
  } else {
    record_.why = "the router was restarted at step '" + at + "', before the promotion";
    LookBeforeUndo(now);
  }
}

// Between two processes there is time: an operator may have promoted the candidate by hand, and an
// old primary that is made writable then would be a second one. Not stored, as above.
void PrimaryChange::LookBeforeUndo(MonoTime now) {
  if (!froze_) {
    AfterLook(now);
    return;
  }
  looking_ = true;
  alerted_ = false;
  step_ = ChangeStep::kConfirm;
  server_ = plan().candidate;
  attempt_ = 0;
  Send(now);
}

void PrimaryChange::AfterLook(MonoTime now) {
  looking_ = seen_writable_ = alerted_ = false;
  if (record_.undoing) {
    NextUndo(now);
  } else {
    Undo(std::string(record_.why), now);
  }
}

// A writable candidate is no proof that it has everything: it may have been restarted with
// read_only off while it was behind. Which of the two is right is for a person to say.
void PrimaryChange::OnLook(const StepReport& report, MonoTime now) {
  const bool answered = report.result == Result::kOk;
  seen_writable_ = answered ? report.writable : seen_writable_;
  if (seen_writable_) {
    StepReport why = report;
    if (answered) why.why = "is writable, and this switchover has not promoted it";
    RetryMust(why, now);
  } else if (answered) {
    AfterLook(now);
  } else if (report.result == Result::kFailed && attempt_ + 1 < kTries) {
    Again(kRetryPause, now);
  } else {
    Note("whether " + plan().candidate + " was promoted by hand could not be asked: " + report.why);
    AfterLook(now);
  }
}

bool PrimaryChange::IsReleased() const {
  bool released = false;
  for (const FinishStep& entry : FinishList()) {
    if (entry.step == record_.step && entry.server == record_.server) return released;
    released = released || entry.step == ChangeStep::kRelease;
  }
  return false;
}

}  // namespace bulkhead::routing
