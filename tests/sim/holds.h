// What waits at the gates, in a bookkeeping apart from the gates': by the messages that go in and
// come out. Checks that nothing is lost or counted twice, the limits, and the window.
// Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_HOLDS_H_
#define BULKHEAD_TESTS_SIM_HOLDS_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "routing/shard_gate.h"
#include "tests/sim/violations.h"

namespace bulkhead::sim {

class Holds {
 public:
  struct Rules {
    routing::GateRules gate;
    uint64_t total_statements = 0;
    uint64_t total_bytes = 0;
  };
  Holds(size_t shards, const Rules& rules, Violations* violations);

  // --- at the sessions
  void Waits(uint64_t ticket, size_t shard, Ns since, Ns now);
  void WaitOver(uint64_t ticket, Ns now);
  // A thread of the router does not run from..to: that long an answer may come later.
  void OwnStall(Ns from, Ns to) { stalls_.emplace_back(from, to); }
  [[nodiscard]] Ns StalledWithin(Ns from, Ns to) const;
  void CheckOverdue(Ns now);
  [[nodiscard]] size_t waiting_sessions() const { return waits_.size(); }

  // --- at the gates
  void Enqueued(size_t shard, uint64_t ticket, uint64_t bytes);
  void Cancelled(size_t shard, uint64_t ticket);
  void Finished(size_t shard, uint64_t ticket);
  void Action(size_t shard, const routing::GateAction& action, Ns now);
  void OutageBegins(size_t shard) { shards_[shard].ramp_began = kNotYet; }
  void OutageEnds(size_t shard, Ns now) {
    if (shards_[shard].ramp_began == kNotYet) shards_[shard].ramp_began = now;
  }
  // After each event in which a gate was asked something.
  void Compare(size_t shard, const routing::ShardGate& gate);
  void CompareTotals(const routing::HoldTotals& totals);

  struct Counts {
    uint64_t asked = 0, released = 0, refused = 0, left = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  static constexpr Ns kNotYet = -1;
  static constexpr Ns kNoOutage = -2;
  struct Shard {
    std::map<uint64_t, uint64_t> waiting;  // ticket to bytes
    uint64_t bytes = 0;
    std::map<uint64_t, Ns> running;  // released then, and the ramp waits for their end
    Counts counts;
    Ns ramp_began = kNoOutage;  // after the last outage
  };
  struct Wait {
    size_t shard;
    Ns allowed;  // until
    Ns began;
  };
  void CheckWindow(uint64_t ticket, const Wait& wait, Ns now);
  bool Take(Shard* shard, uint64_t ticket);

  const Rules rules_;
  Violations* const violations_;
  std::vector<Shard> shards_;
  std::map<uint64_t, Wait> waits_;
  std::vector<std::pair<Ns, Ns>> stalls_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_HOLDS_H_
