// Switchover: a planned change of a shard's primary that loses nothing.
//
// Inspect (every reason against it at once; nothing is changed) - hold - drain; at TIMEOUT the
// connections that still run something are ended - freeze the old primary (once more after ending
// what holds locks there) - end privileged sessions - its position, twice and equal - the candidate
// catches up - it is detached - PROMOTE - publish - prove - release - repoint the others - settle.
// With semi-synchronous replication the others are repointed before the first commit: it would wait
// for one of them.
// See primary_change.h for storing, undoing, cancelling, resuming and what is pure.
// Limits: kRounds looks for a position that stands still; kKilledTime for what was killed to end.
#ifndef BULKHEAD_ROUTING_SWITCHOVER_H_
#define BULKHEAD_ROUTING_SWITCHOVER_H_

#include <vector>

#include "routing/primary_change.h"

namespace bulkhead::routing {

class Switchover final : public PrimaryChange {
 public:
  static constexpr uint32_t kRounds = 3;
  static constexpr Duration kKilledTime = std::chrono::seconds(3);

  explicit Switchover(ChangePlan plan);

 private:
  void OnForward(const StepReport& report, MonoTime now) override;
  [[nodiscard]] std::vector<ChangeStep> Finish() const override;
  void AfterInspect(const StepReport& report, MonoTime now);
  void AfterDrain(const StepReport& report, MonoTime now);
  void AfterFreeze(const StepReport& report, MonoTime now);
  void AfterPosition(const StepReport& report, MonoTime now);

  MonoTime drain_until_ = kMonoNever;
  bool drained_ = false;
  bool ended_ = false;  // what ran on the old primary was killed
  uint32_t rounds_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_SWITCHOVER_H_
