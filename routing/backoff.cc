#include "routing/backoff.h"

#include <algorithm>

namespace bulkhead::routing {

Duration Backoff::NextDelay(uint64_t random) {
  // 2^20 times any sensible base is past any sensible maximum; the cap keeps the shift in range.
  const uint32_t exponent = std::min<uint32_t>(failures_, 20);
  failures_ = std::min<uint32_t>(failures_ + 1, 1'000'000);
  const int64_t base = std::max<int64_t>(policy_.base.count(), 2);
  const int64_t max = std::max<int64_t>(policy_.max.count(), 2);
  const int64_t full = base > (max >> exponent) ? max : base << exponent;
  const int64_t half = full / 2;
  return Duration(half + static_cast<int64_t>(random % static_cast<uint64_t>(full - half + 1)));
}

}  // namespace bulkhead::routing
