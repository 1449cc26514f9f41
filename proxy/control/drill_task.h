// DRILL HANG SHARD: the router treats a shard's backend as silent for a while; nothing else does.
//
// Purpose: shows an operator what a hang of this shard looks like, on the real thing: its gate
// holds as it does under suspicion, then applies the policy, then recovers with the ramp. The
// server, its connections and what runs on them are not touched. Ends by itself, when it is
// cancelled, and at once where the backend really is in trouble; then the incident report is the
// answer, and the incident, marked as a drill, is kept with the others. Thread: the control loop's.
// Limits: one line of the report a second.
#ifndef BULKHEAD_PROXY_CONTROL_DRILL_TASK_H_
#define BULKHEAD_PROXY_CONTROL_DRILL_TASK_H_

#include <string>
#include <vector>

#include "proxy/control/operators.h"

namespace bulkhead::control {

class DrillTask final : public OperatorTask {
 public:
  static constexpr Duration kSuspectFor = std::chrono::seconds(2);
  static constexpr Duration kRecoverFor = std::chrono::milliseconds(500);
  static constexpr Duration kWatchRampFor = std::chrono::seconds(10);

  DrillTask(Operators* operators, AskedPtr asked, const routing::Shard& shard, Duration lasting);

  void Tick(routing::MonoTime now) override;
  void Cancel() override;
  [[nodiscard]] bool ended() const override { return phase_ == Phase::kEnded; }
  [[nodiscard]] uint64_t operation() const override { return operation_; }

 private:
  enum class Phase : uint8_t { kSuspect, kDown, kRecovering, kReleased, kEnded };

  [[nodiscard]] OperatorWorld* world() { return operators_->world(); }
  [[nodiscard]] bool WellItself();
  void Enter(Phase phase, const std::string& words);
  void Note(const std::string& words);
  // Into the shard's incident: what the backend would be.
  void Tell(routing::BackendState to, const std::string& words);
  void End(Operation::State state, const std::string& words);

  Operators* const operators_;
  const AskedPtr asked_;
  const routing::ShardId shard_;
  const routing::BackendId primary_;
  const std::string name_;
  const std::string backend_;
  const uint64_t operation_;
  const routing::MonoTime began_;
  const Duration lasting_;
  routing::GateCounters before_;
  Phase phase_ = Phase::kEnded;
  routing::MonoTime phase_since_{};
  routing::MonoTime noted_{};
  bool cancelled_ = false;
  std::string how_ = "ended by itself";
  routing::BackendState told_ = routing::BackendState::kUp;
  uint64_t incident_ = 0;  // the report that stays
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_DRILL_TASK_H_
