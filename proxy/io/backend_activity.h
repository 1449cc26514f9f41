// What a worker's connections to one backend show of it, for the control thread to sample.
//
// Purpose: "silence under demand" and connection errors as evidence, at the cost of a few relaxed
// stores on a cache line of the worker's own. Each cell has one writer.
// Threads: written by its worker, read by the control thread.
// Units: the loop's monotonic nanoseconds (uv_hrtime); 0: never.
#ifndef BULKHEAD_PROXY_IO_BACKEND_ACTIVITY_H_
#define BULKHEAD_PROXY_IO_BACKEND_ACTIVITY_H_

#include <atomic>
#include <cstdint>

#include "metrics/cell.h"

namespace bulkhead::io {

struct alignas(64) BackendActivity {
  std::atomic<uint32_t> in_flight{0};        // requests that were sent whole and await an answer
  std::atomic<uint64_t> demand_since_ns{0};  // in_flight left 0
  std::atomic<uint32_t> writes{0};           // of them, those that may write
  std::atomic<uint64_t> writes_since_ns{0};  // `writes` left 0
  std::atomic<uint64_t> last_byte_ns{0};     // any connection received something
  std::atomic<uint64_t> bytes{0};            // received in all
  std::atomic<uint64_t> last_answer_ns{0};   // an answer was whole
  std::atomic<uint64_t> last_commit_ns{0};   // a client's own write was committed
  std::atomic<uint32_t> ready{0};            // connections that are logged on
  std::atomic<uint32_t> refused{0};          // connects that were refused or unreachable
  std::atomic<uint32_t> reset{0};            // connections that the peer reset or closed under a
                                             // request
  std::atomic<uint32_t> logins{0};           // that were answered
  std::atomic<uint32_t> login_timeouts{0};
  std::atomic<uint32_t> full{0};       // logins answered with 1040
  std::atomic<uint32_t> read_only{0};  // statements answered with 1290, 1792 or 1836

  void Begin(uint64_t now_ns, bool may_write) {
    Up(&in_flight, &demand_since_ns, now_ns);
    if (may_write) Up(&writes, &writes_since_ns, now_ns);
  }
  void End(bool may_write) {
    Down(&in_flight);
    if (may_write) Down(&writes);
  }
  void Receive(uint64_t now_ns, uint64_t count) {
    last_byte_ns.store(now_ns, std::memory_order_relaxed);
    bytes.store(bytes.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  static void Up(std::atomic<uint32_t>* count, std::atomic<uint64_t>* since, uint64_t now_ns) {
    const uint32_t before = count->load(std::memory_order_relaxed);
    if (before == 0) since->store(now_ns, std::memory_order_relaxed);
    count->store(before + 1, std::memory_order_relaxed);
  }
  static void Down(std::atomic<uint32_t>* count) {
    count->store(count->load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  }
  static void Count(std::atomic<uint32_t>* counter) {
    counter->store(counter->load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
};

// Of one worker, by the backend's index.
using ActivityBoard = metrics::GrowingArray<BackendActivity>;

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_BACKEND_ACTIVITY_H_
