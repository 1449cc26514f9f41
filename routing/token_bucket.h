// TokenBucket: at most `rate` events a second on the long run, at most `burst` at once.
//
// Kept as one number, the time at which the bucket is full again (the generic cell rate algorithm:
// ITU-T I.371, annex A, "virtual scheduling"), so it needs no refilling and no timer. Pure; time is
// an argument and may jump ahead, not back. Owner: one thread. Rate 0: no limit.
#ifndef BULKHEAD_ROUTING_TOKEN_BUCKET_H_
#define BULKHEAD_ROUTING_TOKEN_BUCKET_H_

#include <algorithm>
#include <cstdint>

#include "routing/mono_time.h"

namespace bulkhead::routing {

class TokenBucket {
 public:
  TokenBucket() = default;
  // `burst` is at least 1.
  TokenBucket(double rate, double burst) { Set(rate, burst); }

  // What was taken stays taken.
  void Set(double rate, double burst) {
    interval_ = rate > 0 ? Duration(static_cast<int64_t>(1e9 / std::min(rate, 1e9))) : Duration(0);
    tolerance_ = Duration(static_cast<int64_t>(static_cast<double>(interval_.count()) *
                                               (std::clamp(burst, 1.0, 1e6) - 1)));
  }
  bool limited() const { return interval_ > Duration(0); }

  [[nodiscard]] bool Take(MonoTime now) {
    if (!limited()) return true;
    if (now < next()) return false;
    full_at_ = std::max(full_at_, now) + interval_;
    return true;
  }
  // When the next token is there; in the past if it already is.
  MonoTime next() const { return full_at_ - tolerance_; }
  // Nothing is owed: forgetting the bucket changes nothing.
  bool full(MonoTime now) const { return full_at_ <= now; }

 private:
  Duration interval_{0};
  Duration tolerance_{0};
  MonoTime full_at_{};
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TOKEN_BUCKET_H_
