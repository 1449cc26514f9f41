#include "routing/switchover.h"

#include <string>
#include <utility>

namespace bulkhead::routing {

using Result = StepReport::Result;

Switchover::Switchover(ChangePlan plan) : PrimaryChange(std::move(plan)) {}

void Switchover::OnForward(const StepReport& report, MonoTime now) {
  const bool ok = report.result == Result::kOk;
  if (step() == ChangeStep::kInspect) {
    AfterInspect(report, now);
    return;
  }
  if (step() == ChangeStep::kFreezeOld) {
    AfterFreeze(report, now);
    return;
  }
  if (!ok) {
    Undo(std::string(ToString(step())) + ": " + report.why, now);
    return;
  }
  switch (step()) {
    case ChangeStep::kHold:
      drain_until_ = now + plan().timeout;
      Begin(ChangeStep::kDrain, now);
      return;
    case ChangeStep::kDrain:
      AfterDrain(report, now);
      return;
    case ChangeStep::kEndRunning:
      drain_until_ = now + kKilledTime;
      Begin(drained_ ? ChangeStep::kFreezeOld : ChangeStep::kDrain, now);
      return;
    case ChangeStep::kEndPrivileged:
      Begin(ChangeStep::kReadPosition, now);
      return;
    case ChangeStep::kReadPosition:
      AfterPosition(report, now);
      return;
    case ChangeStep::kCatchUp:
      Begin(ChangeStep::kDetach, now);
      return;
    case ChangeStep::kDetach:
      Begin(ChangeStep::kPromote, now);
      return;
    case ChangeStep::kInspect:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kFence:
    case ChangeStep::kStopReceiving:
    case ChangeStep::kApplyReceived:
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
      return;
  }
}

void Switchover::AfterInspect(const StepReport& report, MonoTime now) {
  KeepReport(report);
  if (report.result != Result::kOk) {
    End(ChangeOutcome::kRefused, "the servers could not be looked at: " + report.why);
    return;
  }
  if (!report.reasons.empty()) {
    std::string all;
    for (const std::string& reason : report.reasons) all += (all.empty() ? "" : "; ") + reason;
    End(ChangeOutcome::kRefused, all);
  } else if (plan().dry_run) {
    End(ChangeOutcome::kDryRun, "nothing stands against it; nothing was changed");
  } else {
    Begin(ChangeStep::kHold, now);
  }
}

void Switchover::AfterDrain(const StepReport& report, MonoTime now) {
  if (report.busy == 0) {
    drained_ = true;
    Begin(ChangeStep::kFreezeOld, now);
  } else if (now < drain_until_) {
    Again(kDrainPause, now);
  } else if (!ended_) {
    ended_ = true;
    Note(std::to_string(report.busy) +
         " statements or transactions still ran after TIMEOUT: " + "their connections are ended");
    Begin(ChangeStep::kEndRunning, now);
  } else {
    Undo(std::to_string(report.busy) + " statements or transactions do not end", now);
  }
}

void Switchover::AfterFreeze(const StepReport& report, MonoTime now) {
  if (report.result == Result::kOk) {
    Begin(ChangeStep::kEndPrivileged, now);
  } else if (report.result == Result::kFailed && report.locked && !ended_) {
    ended_ = true;
    Note("sessions that do not come through this router hold locks on " + plan().old_primary +
         ": their connections are ended");
    Begin(ChangeStep::kEndRunning, now);
  } else {
    Undo("freezing " + plan().old_primary + ": " + report.why, now);
  }
}

void Switchover::AfterPosition(const StepReport& report, MonoTime now) {
  if (report.stable) {
    mutable_record().position = report.position;
    Begin(ChangeStep::kCatchUp, now);
  } else if (++rounds_ < kRounds) {
    Begin(ChangeStep::kEndPrivileged, now);
  } else {
    Undo("somebody still writes to " + plan().old_primary + " although it is read-only", now);
  }
}

std::vector<ChangeStep> Switchover::Finish() const {
  if (record().semi_sync) {
    return {ChangeStep::kRepoint, ChangeStep::kKeepSemiSync, ChangeStep::kProve,
            ChangeStep::kRelease, ChangeStep::kSettle};
  }
  return {ChangeStep::kProve, ChangeStep::kRelease, ChangeStep::kRepoint, ChangeStep::kKeepSemiSync,
          ChangeStep::kSettle};
}

}  // namespace bulkhead::routing
