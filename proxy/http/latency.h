// Quantiles of a histogram of durations, and of the difference of two readings of it.
//
// Purpose: p50 and p99 of the last seconds, from the cells that workers count anyhow.
// Pure. Units: milliseconds. Exactness: within a bucket (1-2-5 steps, metrics/list.h) the values
// are taken to be spread evenly, as Prometheus' histogram_quantile does.
#ifndef BULKHEAD_PROXY_HTTP_LATENCY_H_
#define BULKHEAD_PROXY_HTTP_LATENCY_H_

#include <array>
#include <cstdint>

#include "metrics/cell.h"

namespace bulkhead::http {

using Buckets = std::array<uint64_t, metrics::Histogram::kBuckets>;

// What was counted since `before`. A cell that went back counts as 0.
[[nodiscard]] Buckets Since(const Buckets& before, const Buckets& now);
[[nodiscard]] uint64_t CountOf(const Buckets& buckets);
// 0 where there is nothing; the last bound where it lies above.
[[nodiscard]] double QuantileMs(const Buckets& buckets, double quantile);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_LATENCY_H_
