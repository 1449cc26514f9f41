// Cells that one thread writes and any thread reads: counter, gauge, histogram, and an array of
// them that grows without moving.
//
// Purpose: counting on the data path costs a plain load, add and store. There is no locked
//   instruction, because there is one writer; relaxed atomics make the reader's view well defined.
// Thread: writes by the owner only; reads by anybody, any time.
// Limits: GrowingArray holds kMaxSize elements; further ids share one overflow element.
// Errors: none.
#ifndef BULKHEAD_METRICS_CELL_H_
#define BULKHEAD_METRICS_CELL_H_

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "metrics/list.h"

namespace bulkhead::metrics {

class Counter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t Read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

class Gauge {
 public:
  void Add(int64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Sub(int64_t n = 1) { Add(-n); }
  void Set(int64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] int64_t Read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

// Index of the histogram bucket for a duration: the first bound that is not below it, or
// kDurationBoundsNs.size() above the last.
[[nodiscard]] constexpr size_t BucketOf(uint64_t ns);

class Histogram {
 public:
  static constexpr size_t kBuckets = kDurationBoundsNs.size() + 1;

  // A negative duration counts as zero.
  void Record(std::chrono::nanoseconds duration) {
    const uint64_t ns = duration.count() > 0 ? static_cast<uint64_t>(duration.count()) : 0;
    buckets_[BucketOf(ns)].Add();
    sum_ns_.Add(ns);
  }
  // Not cumulative; the last one is everything above the last bound.
  [[nodiscard]] uint64_t ReadBucket(size_t i) const { return buckets_[i].Read(); }
  [[nodiscard]] uint64_t ReadSumNs() const { return sum_ns_.Read(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_ns_;
};

// Cells indexed by a label's enum: errors[LoginFailure::kTimeout].Add().
template <typename Cell, typename Enum, size_t kSize>
class CellsBy {
 public:
  [[nodiscard]] Cell& operator[](Enum e) { return cells_[static_cast<size_t>(e)]; }
  [[nodiscard]] const Cell& operator[](Enum e) const { return cells_[static_cast<size_t>(e)]; }
  [[nodiscard]] const Cell& AtIndex(size_t i) const { return cells_[i]; }
  [[nodiscard]] static constexpr size_t size() { return kSize; }

 private:
  std::array<Cell, kSize> cells_;
};

// Elements indexed by a small dense id. An element is made when the owner first asks for it, never
// moves and lives as long as the array, so a reader needs no more than one acquire load and the
// owner may keep references.
template <typename T>
class GrowingArray {
 public:
  static constexpr size_t kChunkSize = 16;
  static constexpr size_t kMaxChunks = 4096;
  static constexpr size_t kMaxSize = kChunkSize * kMaxChunks;

  GrowingArray() = default;
  GrowingArray(const GrowingArray&) = delete;
  GrowingArray& operator=(const GrowingArray&) = delete;
  ~GrowingArray() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }

  // Owner only.
  [[nodiscard]] T& At(size_t id) {
    if (id >= kMaxSize) [[unlikely]]
      return overflow_;
    Chunk* chunk = chunks_[id / kChunkSize].load(std::memory_order_relaxed);
    if (chunk == nullptr) [[unlikely]]
      chunk = Grow(id / kChunkSize);
    return (*chunk)[id % kChunkSize];
  }

  // Anybody. Null where the owner has not asked for an element of that chunk yet.
  [[nodiscard]] const T* Find(size_t id) const {
    if (id >= kMaxSize) return nullptr;
    const Chunk* chunk = chunks_[id / kChunkSize].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : &(*chunk)[id % kChunkSize];
  }

  // Anybody. Everything counted under ids of kMaxSize and above.
  [[nodiscard]] const T& overflow() const { return overflow_; }

 private:
  using Chunk = std::array<T, kChunkSize>;

  Chunk* Grow(size_t index) {
    auto chunk = std::make_unique<Chunk>();
    chunks_[index].store(chunk.get(), std::memory_order_release);
    return chunk.release();
  }

  std::array<std::atomic<Chunk*>, kMaxChunks> chunks_{};
  T overflow_;
};

namespace internal {

// For each bit width of a duration in ns, the first bucket it can belong to. A doubling spans at
// most one bound of a 1-2-5 ladder, so that one or two comparisons finish the search.
[[nodiscard]] constexpr std::array<uint8_t, 65> FirstBucketByWidth() {
  std::array<uint8_t, 65> first{};
  for (size_t width = 1; width < first.size(); ++width) {
    const uint64_t smallest = uint64_t{1} << (width - 1);
    size_t i = 0;
    while (i < kDurationBoundsNs.size() && kDurationBoundsNs[i] < smallest) ++i;
    first[width] = static_cast<uint8_t>(i);
  }
  return first;
}
inline constexpr std::array<uint8_t, 65> kFirstBucketByWidth = FirstBucketByWidth();

}  // namespace internal

constexpr size_t BucketOf(uint64_t ns) {
  size_t i = internal::kFirstBucketByWidth[static_cast<size_t>(std::bit_width(ns))];
  while (i < kDurationBoundsNs.size() && kDurationBoundsNs[i] < ns) ++i;
  return i;
}

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_CELL_H_
