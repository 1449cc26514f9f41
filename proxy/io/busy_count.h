// What of a backend, shard or tenant still runs: asked before it is drained, switched or moved.
//
// Purpose: counts the sessions of one worker that have work there which must end first. What waits
// at a gate, or for a connection, is not counted: it was not sent, and the closed gate of a shard
// takes it back. A tenant's does not: there what waits for a connection counts as running.
// Threads: values.
#ifndef BULKHEAD_PROXY_IO_BUSY_COUNT_H_
#define BULKHEAD_PROXY_IO_BUSY_COUNT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "routing/ids.h"

namespace bulkhead::io {

// Sessions whose connection is to this backend (if valid), of this shard (if valid) and tenant (if
// not empty).
struct BusyFilter {
  routing::BackendId backend{};
  routing::ShardId shard{};
  std::string tenant{};
};

struct BusyCount {
  static constexpr size_t kNamed = 8;
  uint32_t running = 0;              // a statement is on its way or running
  uint32_t transactions = 0;         // open, and nothing running
  uint32_t pinned = 0;               // other state that is lost with the connection
  std::vector<uint64_t> sessions{};  // ids of some of those that run or are in a transaction
  // Not empty: somebody did not answer, and more may run; who, and the way out.
  std::string unanswered{};

  [[nodiscard]] uint32_t must_end() const { return running + transactions; }
  void Add(const BusyCount& other) {
    running += other.running;
    transactions += other.transactions;
    pinned += other.pinned;
    if (unanswered.empty()) unanswered = other.unanswered;
    for (const uint64_t id : other.sessions) {
      if (sessions.size() < kNamed) sessions.push_back(id);
    }
  }
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_BUSY_COUNT_H_
