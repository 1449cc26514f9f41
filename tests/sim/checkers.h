// All that is checked in a run, and where the simulated parts report to.
//
// Apart from the machines: what is compared with them was noted when the messages passed.
// Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_CHECKERS_H_
#define BULKHEAD_TESTS_SIM_CHECKERS_H_

#include <set>
#include <string>
#include <vector>

#include "routing/health_types.h"
#include "tests/sim/holds.h"
#include "tests/sim/ledger.h"

namespace bulkhead::sim {

class Checkers final : public ServerWatcher {
 public:
  struct Setup {
    const Scheduler* scheduler = nullptr;
    size_t shards = 0;
    std::set<size_t> calm;  // shards without any fault in this run
    Ns usual_latency = 0;   // of any statement, at most
    Holds::Rules rules;
  };
  explicit Checkers(const Setup& setup);

  [[nodiscard]] Violations* violations() { return &violations_; }
  [[nodiscard]] Ledger* ledger() { return &ledger_; }
  [[nodiscard]] Holds* holds() { return &holds_; }
  // From now on a calm shard must not notice anything.
  void BeginIsolation() { isolating_ = true; }
  // A client of a shard was answered after so long; `code` 0: OK.
  void OnAnswered(size_t shard, uint16_t code, Ns sent);
  void OnOwnStall(Ns from, Ns to) { holds_.OwnStall(from, to); }

  // Sessions.
  void OnWaits(uint64_t ticket, size_t shard, Ns since);
  void OnWaitOver(uint64_t ticket, bool released);
  void OnUnknownListed() { ++unknown_listed_; }
  void OnAbandoned(size_t server, uint64_t connection);
  void OnLeftBehind(size_t server, uint64_t connection) {
    abandoned_.insert(connection);
    ledger_.LeftBehind(server, connection, scheduler_->now());
  }
  // Control.
  void OnState(size_t backend, routing::BackendState state);
  void OnEnqueued(size_t shard, uint64_t ticket, uint64_t bytes);
  void OnCancelled(size_t shard, uint64_t ticket) { holds_.Cancelled(shard, ticket); }
  void OnFinished(size_t shard, uint64_t ticket) { holds_.Finished(shard, ticket); }
  void OnGateAction(size_t shard, const routing::GateAction& action);
  void AfterGate(size_t shard, const routing::ShardGate& gate, const routing::HoldTotals& totals);
  // ServerWatcher.
  void OnExecuted(size_t server, uint64_t id, uint64_t connection) override;
  void OnCommitted(size_t server, const Row& row, uint64_t connection) override;
  void OnKilled(size_t server, uint32_t thread, uint64_t connection) override;

  struct Seen {
    uint64_t statements = 0, errors = 0, downs = 0, given_up = 0, killed = 0;
  };
  [[nodiscard]] const Seen& seen() const { return seen_; }

 private:
  [[nodiscard]] bool Isolates(size_t shard) const { return isolating_ && calm_.contains(shard); }

  const Scheduler* const scheduler_;
  const std::set<size_t> calm_;
  const Ns usual_latency_;
  Violations violations_;
  Ledger ledger_;
  Holds holds_;
  bool isolating_ = false;
  uint64_t unknown_listed_ = 0;
  std::set<uint64_t> abandoned_;
  Seen seen_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_CHECKERS_H_
