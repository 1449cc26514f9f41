// Failover: a forced change of a shard's primary, whose old one does not answer.
//
// Inspect - hold - fence - stop the candidate's receiving thread only - apply all that was received
// - detach - PROMOTE - publish - prove - release - repoint the other replicas - settle. The old
// primary is left alone: it is fenced, and stays so until an operator says otherwise. A candidate
// that waits for acknowledgements itself (semi-synchronous replication) gets its replicas before
// anything is committed there.
// Refused by itself, with nothing changed: what would split the brain (no confirmed fence, unless
// accept_split_brain) and what could lose data (unless nothing acknowledged can be missing, or
// accept_data_loss; with at least what would be lost).
// A fence is the command's exit 0; or, where the old primary's semi-synchronous replication can't
// acknowledge without a replica, that the receiving thread of every one of its replicas was seen
// stopped.
// See primary_change.h for storing, undoing, cancelling, resuming and what is pure. A fence can't
// be undone: what is put back is the candidate and the hold.
#ifndef BULKHEAD_ROUTING_FAILOVER_H_
#define BULKHEAD_ROUTING_FAILOVER_H_

#include <string>
#include <vector>

#include "routing/primary_change.h"

namespace bulkhead::routing {

class Failover final : public PrimaryChange {
 public:
  explicit Failover(ChangePlan plan);

 private:
  void OnForward(const StepReport& report, MonoTime now) override;
  [[nodiscard]] std::vector<ChangeStep> Finish() const override;
  void AfterInspect(const StepReport& report, MonoTime now);
  void AfterFence(const StepReport& report, MonoTime now);
  void AfterStop(const StepReport& report, MonoTime now);
  void AfterApply(const StepReport& report, MonoTime now);
  [[nodiscard]] bool MayLose() const { return plan().accept_data_loss || lossless_; }

  bool semi_sync_fence_ = false;
  bool lossless_ = false;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_FAILOVER_H_
