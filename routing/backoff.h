// Exponential backoff with jitter. Pure: randomness is an argument.
//
// Delay n is drawn evenly from [base*2^n / 2, base*2^n], capped at `max`: never zero, so a dead
// server isn't hammered, and spread, so that many waiters don't return at once. Owner: one thread.
#ifndef BULKHEAD_ROUTING_BACKOFF_H_
#define BULKHEAD_ROUTING_BACKOFF_H_

#include <cstdint>

#include "routing/mono_time.h"

namespace bulkhead::routing {

struct BackoffPolicy {
  Duration base = std::chrono::milliseconds(100);
  Duration max = std::chrono::seconds(10);
};

class Backoff {
 public:
  explicit Backoff(BackoffPolicy policy) : policy_(policy) {}

  // The wait before the next attempt, after one more failure. `random`: 64 evenly distributed bits.
  [[nodiscard]] Duration NextDelay(uint64_t random);
  // After a success.
  void Reset() { failures_ = 0; }
  uint32_t failures() const { return failures_; }

 private:
  BackoffPolicy policy_;
  uint32_t failures_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_BACKOFF_H_
