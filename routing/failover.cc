#include "routing/failover.h"

#include <string>
#include <utility>

namespace bulkhead::routing {

namespace {

using Result = StepReport::Result;

constexpr size_t kNamed = 20;

std::string Listed(const std::vector<std::string>& what) {
  std::string all;
  for (size_t i = 0; i < what.size() && i < kNamed; ++i) all += (i == 0 ? "" : "; ") + what[i];
  if (what.size() > kNamed) all += "; and " + std::to_string(what.size() - kNamed) + " more";
  return all;
}

}  // namespace

Failover::Failover(ChangePlan plan) : PrimaryChange(std::move(plan)) {}

void Failover::OnForward(const StepReport& report, MonoTime now) {
  const bool ok = report.result == Result::kOk;
  if (step() == ChangeStep::kInspect) {
    AfterInspect(report, now);
    return;
  }
  if (step() == ChangeStep::kFence) {
    AfterFence(report, now);
    return;
  }
  if (!ok) {
    Undo(std::string(ToString(step())) + ": " + report.why, now);
    return;
  }
  switch (step()) {
    case ChangeStep::kHold:
      Begin(plan().fence_configured ? ChangeStep::kFence : ChangeStep::kStopReceiving, now);
      return;
    case ChangeStep::kStopReceiving:
      AfterStop(report, now);
      return;
    case ChangeStep::kApplyReceived:
      AfterApply(report, now);
      return;
    case ChangeStep::kDetach:
      Begin(ChangeStep::kPromote, now);
      return;
    case ChangeStep::kInspect:
    case ChangeStep::kDrain:
    case ChangeStep::kEndRunning:
    case ChangeStep::kFreezeOld:
    case ChangeStep::kEndPrivileged:
    case ChangeStep::kReadPosition:
    case ChangeStep::kCatchUp:
    case ChangeStep::kFence:
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

void Failover::AfterInspect(const StepReport& report, MonoTime now) {
  KeepReport(report);
  if (report.result != Result::kOk) {
    End(ChangeOutcome::kRefused, plan().candidate + " could not be looked at: " + report.why);
    return;
  }
  semi_sync_fence_ = report.semi_sync_fence;
  lossless_ = report.lossless && report.lost.empty();
  std::vector<std::string> reasons = report.reasons;
  const bool may_fence = plan().fence_configured || semi_sync_fence_;
  if (!may_fence && !plan().accept_split_brain) {
    reasons.push_back("no fence is configured, and " + plan().old_primary +
                      " may still acknowledge writes: ACCEPT SPLIT BRAIN takes that upon you");
  }
  if (!MayLose()) {
    reasons.push_back(
        "what " + plan().old_primary +
        " has acknowledged and not yet sent can't be known: ACCEPT DATA LOSS takes that upon you" +
        (report.lost.empty() ? std::string() : "; at least these: " + Listed(report.lost)));
  }
  if (!reasons.empty()) {
    End(ChangeOutcome::kRefused, Listed(reasons));
  } else if (plan().dry_run) {
    End(ChangeOutcome::kDryRun, "nothing stands against it; nothing was changed");
  } else {
    Begin(ChangeStep::kHold, now);
  }
}

void Failover::AfterFence(const StepReport& report, MonoTime now) {
  if (report.result == Result::kOk) {
    mutable_record().fenced = true;
    Note(plan().old_primary + " is fenced");
  } else if (plan().accept_split_brain) {
    Note("the fence failed (" + report.why + "), and a split brain was accepted");
  } else if (!semi_sync_fence_) {
    Undo("the fence did not confirm: " + report.why, now);
    return;
  }
  Begin(ChangeStep::kStopReceiving, now);
}

void Failover::AfterStop(const StepReport& report, MonoTime now) {
  for (const std::string& note : report.notes) Note(note);
  if (!record().fenced && semi_sync_fence_ && report.semi_sync_fence) {
    mutable_record().fenced = true;
    Note(plan().old_primary + " can't acknowledge a write any more: none of its replicas receives");
  }
  if (!record().fenced && !plan().accept_split_brain) {
    Undo("not every replica of " + plan().old_primary + " was seen to have stopped receiving", now);
    return;
  }
  if (!record().fenced) Note("split brain accepted: " + plan().old_primary + " is not fenced");
  Begin(ChangeStep::kApplyReceived, now);
}

void Failover::AfterApply(const StepReport& report, MonoTime now) {
  if (!report.lost.empty()) {
    Note("lost, at least these: " + Listed(report.lost));
    if (!plan().accept_data_loss) {
      Undo("it would lose at least these: " + Listed(report.lost), now);
      return;
    }
  } else if (plan().accept_data_loss && !lossless_) {
    Note("data loss accepted: what " + plan().old_primary + " acknowledged last is not known");
  }
  Begin(ChangeStep::kDetach, now);
}

std::vector<ChangeStep> Failover::Finish() const {
  if (record().semi_sync) {
    // Nothing is committed there before another server acknowledges, or need not.
    return {ChangeStep::kRepoint, ChangeStep::kKeepSemiSync, ChangeStep::kProve,
            ChangeStep::kRelease, ChangeStep::kSettle};
  }
  return {ChangeStep::kProve, ChangeStep::kRelease, ChangeStep::kRepoint, ChangeStep::kKeepSemiSync,
          ChangeStep::kSettle};
}

}  // namespace bulkhead::routing
