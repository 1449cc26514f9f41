// The simulated control thread: health machines, gates, and the messages between them and the
// workers. What proxy/control's ControlLoop, BackendWatch and GateDesk do, in virtual time.
//
// Owner: one simulation; everything runs on control's actor.
#ifndef BULKHEAD_TESTS_SIM_CONTROL_H_
#define BULKHEAD_TESTS_SIM_CONTROL_H_

#include <memory>
#include <string>
#include <vector>

#include "proxy/io/gate_keeper.h"
#include "routing/backend_health.h"
#include "routing/gate_board.h"
#include "routing/shard_gate.h"
#include "routing/topology.h"
#include "tests/sim/prober.h"
#include "tests/sim/worker.h"

namespace bulkhead::sim {

class Control final : public io::GateKeeper {
 public:
  struct Setup {
    Scheduler* scheduler = nullptr;
    Trace* trace = nullptr;
    Checkers* checkers = nullptr;
    std::shared_ptr<const routing::Topology> topology;
    std::vector<Server*> servers;  // by the backend's index; shard i's primary is backend i
    routing::GateBoard* board = nullptr;
    std::vector<routing::ConnectionBudget*> budgets;
    routing::HealthRules health;
    routing::GateRules gate;
    uint64_t total_statements = 0;
    uint64_t total_bytes = 0;
    Random random{0};
  };
  explicit Control(Setup setup);
  ~Control() override;

  void Start(std::vector<Worker*> workers);
  [[nodiscard]] Actor* actor() { return &actor_; }
  [[nodiscard]] const routing::BackendHealth& health(size_t backend) const;
  [[nodiscard]] const routing::ShardGate& gate(size_t shard) const { return *gates_[shard]; }
  [[nodiscard]] const routing::HoldTotals& totals() const { return totals_; }

  // io::GateKeeper, from the workers: messages.
  void Enqueue(io::HeldStatement statement) override;
  void Cancel(routing::ShardId shard, uint64_t ticket) override;
  void Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok) override;
  void NoteDdl(routing::BackendId /*backend*/) override {}
  void NoteUnknown(io::UnknownStatement /*statement*/) override {}
  void NoteAbandoned(routing::BackendId backend,
                     std::vector<io::AbandonedConnection> connections) override;
  // A connection was closed under a statement that may still run: its client left, or it broke.
  void NoteLeft(routing::BackendId backend, io::AbandonedConnection connection) override;

 private:
  struct Watch;
  void Tick();
  void NoteLateLoops(routing::MonoTime now);
  void Sample(Watch* watch, routing::MonoTime now);
  void JudgeFleet(routing::MonoTime now);
  void CarryOut(Watch* watch);
  void CarryOutOne(Watch* watch, const routing::HealthAction& action);
  void AbandonLeft(Watch* watch);
  void KillAbandoned(Watch* watch);
  void PublishHealth(Watch* watch, routing::MonoTime now);
  void Carry(size_t shard);
  [[nodiscard]] routing::MonoTime Now() const {
    return routing::MonoTimeFromNanos(setup_.scheduler->now());
  }
  void Post(Callback callback);

  Setup setup_;
  Actor actor_;
  Channel from_workers_;
  routing::HoldTotals totals_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<std::unique_ptr<routing::ShardGate>> gates_;
  std::map<size_t, bool> serves_;  // by the shard
  std::vector<uint64_t> published_;
  routing::ShardGate::Actions actions_;
  std::vector<Worker*> workers_;
  routing::MonoTime last_tick_{};
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_CONTROL_H_
