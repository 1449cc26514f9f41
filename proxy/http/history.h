// ShardHistory: what a shard did in the last fifteen minutes, for the small plots.
//
// Purpose: a ring of samples of kStepSeconds each. Pure. Owner: the fleet's sampler, under its
// mutex. Memory: 16 bytes a sample, 2.9 KB a shard; 1,000 shards 2.9 MB.
#ifndef BULKHEAD_PROXY_HTTP_HISTORY_H_
#define BULKHEAD_PROXY_HTTP_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace bulkhead::http {

struct ShardSample {
  float per_second = 0;  // statements that ended
  float failed = 0;      // of them, refused, unknown, rolled back or with their state lost
  float p99_ms = 0;      // 0: none ended
  uint32_t held = 0;     // at most, at once
};

class ShardHistory {
 public:
  static constexpr int kStepSeconds = 5;
  static constexpr size_t kSamples = 180;

  void Add(const ShardSample& sample) {
    samples_[next_] = sample;
    next_ = (next_ + 1) % kSamples;
    if (size_ < kSamples) ++size_;
  }
  [[nodiscard]] size_t size() const { return size_; }
  // 0: the oldest.
  [[nodiscard]] const ShardSample& At(size_t i) const {
    return samples_[(next_ + kSamples - size_ + i) % kSamples];
  }

 private:
  std::array<ShardSample, kSamples> samples_{};
  size_t next_ = 0;
  size_t size_ = 0;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_HISTORY_H_
