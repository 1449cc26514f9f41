// What clients were told of each write, against what the servers did with it.
//
// Knows nothing of the machines: clients report what they sent and what they were answered,
// servers what they executed and committed. Checks truth, order, and that each statement ends as
// exactly one thing. Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_LEDGER_H_
#define BULKHEAD_TESTS_SIM_LEDGER_H_

#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tests/sim/server.h"
#include "tests/sim/violations.h"

namespace bulkhead::sim {

// Of one write, as its client knows it.
enum class Label : uint8_t {
  kPending,  // sent, not answered
  kDone,     // OK; in a transaction that counts only with its COMMIT
  kNotExecuted,
  kUnknown,
  kLeft,  // its client did not wait for the answer
};

// Of a transaction.
enum class Fate : uint8_t { kOpen, kCommitted, kRolledBack, kUnknown };

struct Write {
  uint64_t unit = 0;  // of a transaction; 0: autocommit
  uint32_t session = 0;
  uint64_t sequence = 0;  // within the session
  size_t shard = 0;
  Label label = Label::kPending;
  bool released = false;  // it waited at a gate and was let through
  uint32_t rows = 0;
};

class Ledger {
 public:
  explicit Ledger(Violations* violations) : violations_(violations) {}

  // --- clients
  // A new write's id; sent as `session`'s next statement.
  uint64_t Send(uint32_t session, size_t shard, uint64_t unit);
  void Answer(uint64_t id, Label label);
  uint64_t OpenUnit() { return ++last_unit_; }
  void EndUnit(uint64_t unit, Fate fate) { units_[unit] = fate; }
  // The session's pending write, if there is one, was let through a gate.
  void Released(uint32_t session);

  // --- servers
  void Executed(size_t server, uint64_t id, uint64_t connection, Ns now);
  void Committed(size_t server, uint64_t id, uint64_t connection);
  // The router reset this connection under something that may still run.
  void Abandoned(size_t server, uint64_t connection, Ns now);
  // The same because its client left: nobody waits for an answer, but it may still run.
  void LeftBehind(size_t server, uint64_t connection, Ns now) {
    servers_[server].left_behind[connection] = now;
  }
  void Down(size_t server, Ns now) { servers_[server].down_at = now; }

  // Everything that can run has run.
  void CheckAll();

  struct Counts {
    uint64_t done = 0, not_executed = 0, unknown = 0, left = 0, rolled_back = 0;
    // Of clients that left, run after the outage and after what was released.
    uint64_t stragglers = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct ServerView {
    std::map<uint64_t, Ns> abandoned;
    std::map<uint64_t, Ns> left_behind;
    Ns down_at = -1;
    uint64_t last_released = 0;  // the write that ran last of those let through
    Ns last_released_at = -1;
  };
  void CheckSettled(size_t server, uint64_t id, uint64_t connection);
  void CheckWrite(uint64_t id, const Write& write);
  // Rows that may be: at least, at most.
  [[nodiscard]] std::pair<uint32_t, uint32_t> Allowed(const Write& write) const;

  Violations* const violations_;
  std::unordered_map<uint64_t, Write> writes_;
  std::unordered_map<uint64_t, Fate> units_;
  std::map<uint32_t, uint64_t> pending_;   // by session
  std::map<uint32_t, uint64_t> sequence_;  // last sent, by session
  std::map<uint32_t, uint64_t> executed_;  // last executed, by session
  std::map<size_t, ServerView> servers_;
  uint64_t last_id_ = 0;
  uint64_t last_unit_ = 0;
  uint64_t stragglers_ = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_LEDGER_H_
