// What every worker may look at before it sends: is the shard serving, and is the backend up?
//
// Purpose: one byte a shard and one a backend, written by the control thread and read by workers
// without a lock and without a message. A statement that finds its gate open is sent; one that
// doesn't asks the control thread (proxy/io/gate_keeper.h), which alone decides about held work.
// A statement that looked in the microsecond before the byte changed was sent before the change.
// Threads: set by one thread, read by any. Limits: 65,536 shards and backends, 128 KiB.
#ifndef BULKHEAD_ROUTING_GATE_BOARD_H_
#define BULKHEAD_ROUTING_GATE_BOARD_H_

#include <array>
#include <atomic>
#include <cstdint>

#include "routing/ids.h"

namespace bulkhead::routing {

enum class GateMode : uint8_t {
  kServing,    // send
  kAskWrites,  // reads may be sent, everything else asks
  kAsk,        // everything asks
};

class GateBoard {
 public:
  GateBoard() = default;
  GateBoard(const GateBoard&) = delete;
  GateBoard& operator=(const GateBoard&) = delete;

  [[nodiscard]] GateMode shard(ShardId id) const {
    return id.valid() ? shards_[id.index].load(std::memory_order_relaxed) : GateMode::kServing;
  }
  void SetShard(ShardId id, GateMode mode) {
    if (id.valid()) shards_[id.index].store(mode, std::memory_order_relaxed);
  }
  // Whether statements that need no tenant's data may go there.
  [[nodiscard]] bool answers(BackendId id) const {
    return id.valid() && !silent_[id.index].load(std::memory_order_relaxed);
  }
  void SetAnswers(BackendId id, bool answers) {
    if (id.valid()) silent_[id.index].store(!answers, std::memory_order_relaxed);
  }

 private:
  std::array<std::atomic<GateMode>, 65'536> shards_{};
  std::array<std::atomic<bool>, 65'536> silent_{};
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_GATE_BOARD_H_
