// ConnectionBudget: the account of one backend's connections for the whole process.
//
// Workers lend from it singly: whoever opens a connection takes one first and gives it back once
// the connection is closed (not when it becomes idle). A worker that finds it exhausted registers
// as waiting; other workers see wanted() when they release or tick, and retire idle connections for
// it. So the limit holds for the process and not N times, and no worker starves while another one
// has idle connections.
//
// Pace: while a server comes back, new connections are spaced out over all workers (a login costs a
// server more than a statement). Evenly, but for what is due within kPaceWindow.
//
// Threads: all methods, any thread, lock-free. It says nothing about who is told: the shell posts a
// message to the workers with waiters after a Give() that returned true.
#ifndef BULKHEAD_ROUTING_LIMITS_H_
#define BULKHEAD_ROUTING_LIMITS_H_

#include <atomic>
#include <cstdint>

#include "routing/mono_time.h"

namespace bulkhead::routing {

class ConnectionBudget {
 public:
  static constexpr Duration kPaceWindow = std::chrono::milliseconds(100);

  explicit ConnectionBudget(uint32_t limit) : limit_(limit) {}
  ConnectionBudget(const ConnectionBudget&) = delete;
  ConnectionBudget& operator=(const ConnectionBudget&) = delete;

  // Takes one if fewer than the limit are lent, and the pace allows a new connection.
  [[nodiscard]] bool TryTake(MonoTime now);
  // For a new connection in the place of another one: what the pace says alone.
  [[nodiscard]] bool TryConnect(MonoTime now);
  // New connections a second; 0: as many as the limit allows.
  void SetPace(double per_second);
  bool paced() const { return interval_ns_.load(std::memory_order_relaxed) > 0; }
  // When the pace allows the next one; in the past if it does now.
  MonoTime next_connect() const;
  // Gives one back; true if somebody waits (wake the workers).
  [[nodiscard]] bool Give();

  // A pool that lends from here is there, or gone. Its fair share is limit / pools.
  void Join() { pools_.fetch_add(1); }
  void Leave() { pools_.fetch_sub(1); }
  uint32_t fair_share() const;

  // Requests that wait for a connection anywhere in the process.
  void AddWaiting();
  void RemoveWaiting();
  // More requests wait than are free: an idle connection should be retired for them.
  bool wanted() const;

  // Lowering it takes nothing away: connections above it go as they are given back.
  void SetLimit(uint32_t limit) { limit_.store(limit, std::memory_order_relaxed); }
  uint32_t limit() const { return limit_.load(std::memory_order_relaxed); }
  uint32_t lent() const { return lent_.load(std::memory_order_relaxed); }
  uint32_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> limit_;
  std::atomic<uint32_t> lent_{0};
  std::atomic<uint32_t> waiting_{0};
  std::atomic<uint32_t> pools_{0};
  std::atomic<int64_t> interval_ns_{0};  // 0: no pace
  std::atomic<int64_t> full_at_ns_{0};   // as TokenBucket's, in a number that threads share
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_LIMITS_H_
