// Latencies in a histogram with 1.6 % resolution from 1 us up, in constant memory.
#ifndef BULKHEAD_TESTS_BENCH_LATENCY_H_
#define BULKHEAD_TESTS_BENCH_LATENCY_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace bulkhead::bench {

class Latency {
 public:
  void Record(uint64_t ns) {
    ++buckets_[BucketOf(ns)];
    ++count_;
    max_ = std::max(max_, ns);
  }
  [[nodiscard]] uint64_t count() const { return count_; }
  [[nodiscard]] double MaxUs() const { return static_cast<double>(max_) / 1e3; }

  // The middle of the bucket in which the quantile lies, in microseconds.
  [[nodiscard]] double QuantileUs(double quantile) const {
    if (count_ == 0) return 0;
    const auto rank = static_cast<uint64_t>(quantile * static_cast<double>(count_ - 1));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > rank) return static_cast<double>(LowerBound(i) + LowerBound(i + 1)) / 2e3;
    }
    return MaxUs();
  }

 private:
  // Values below 64 ns have buckets of their own; above, each doubling is cut into 64.
  static constexpr int kBits = 6;
  static size_t BucketOf(uint64_t ns) {
    if (ns < 64) return ns;
    const int shift = std::bit_width(ns) - 1 - kBits;
    return (static_cast<size_t>(shift + 1) << kBits) + (ns >> shift) - 64;
  }
  static uint64_t LowerBound(size_t bucket) {
    if (bucket < 64) return bucket;
    const size_t shift = (bucket >> kBits) - 1;
    return (uint64_t{64} + (bucket & 63)) << shift;
  }

  std::vector<uint64_t> buckets_ = std::vector<uint64_t>(50 * 64);
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace bulkhead::bench

#endif  // BULKHEAD_TESTS_BENCH_LATENCY_H_
