#include "proxy/http/latency.h"

#include <algorithm>

#include "metrics/list.h"

namespace bulkhead::http {

Buckets Since(const Buckets& before, const Buckets& now) {
  Buckets since{};
  for (size_t i = 0; i < since.size(); ++i) since[i] = now[i] > before[i] ? now[i] - before[i] : 0;
  return since;
}

uint64_t CountOf(const Buckets& buckets) {
  uint64_t count = 0;
  for (const uint64_t bucket : buckets) count += bucket;
  return count;
}

double QuantileMs(const Buckets& buckets, double quantile) {
  const uint64_t count = CountOf(buckets);
  if (count == 0) return 0;
  const double rank = quantile * static_cast<double>(count);
  double below = 0;
  for (size_t i = 0; i < metrics::kDurationBoundsNs.size(); ++i) {
    const auto inside = static_cast<double>(buckets[i]);
    const double upper = static_cast<double>(metrics::kDurationBoundsNs[i]) / 1e6;
    if (inside > 0 && below + inside >= rank) {
      const double lower =
          i == 0 ? 0 : static_cast<double>(metrics::kDurationBoundsNs[i - 1]) / 1e6;
      return lower + (upper - lower) * std::max(rank - below, 0.0) / inside;
    }
    below += inside;
  }
  return static_cast<double>(metrics::kDurationBoundsNs.back()) / 1e6;
}

}  // namespace bulkhead::http
