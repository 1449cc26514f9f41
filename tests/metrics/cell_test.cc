#include "metrics/cell.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace bulkhead::metrics {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(BucketOfTest, EveryBoundIsTheLastValueOfItsBucket) {
  for (size_t i = 0; i < kDurationBoundsNs.size(); ++i) {
    EXPECT_EQ(BucketOf(kDurationBoundsNs[i]), i);
    EXPECT_EQ(BucketOf(kDurationBoundsNs[i] + 1), i + 1);
    EXPECT_EQ(BucketOf(kDurationBoundsNs[i] - 1), i);
  }
  EXPECT_EQ(BucketOf(0), 0u);
  EXPECT_EQ(BucketOf(UINT64_MAX), kDurationBoundsNs.size());
}

TEST(BucketOfTest, AgreesWithALinearSearchEverywhere) {
  for (uint64_t ns = 1; ns < (uint64_t{1} << 40); ns += 1 + ns / 7) {
    size_t expected = 0;
    while (expected < kDurationBoundsNs.size() && ns > kDurationBoundsNs[expected]) ++expected;
    ASSERT_EQ(BucketOf(ns), expected) << ns;
  }
}

TEST(HistogramTest, CountsAndSums) {
  Histogram histogram;
  histogram.Record(microseconds(50));
  histogram.Record(microseconds(51));
  histogram.Record(seconds(61));
  histogram.Record(nanoseconds(-5));  // a clock that went backwards
  EXPECT_EQ(histogram.ReadBucket(0), 2u);
  EXPECT_EQ(histogram.ReadBucket(1), 1u);
  EXPECT_EQ(histogram.ReadBucket(kDurationBoundsNs.size()), 1u);
  EXPECT_EQ(histogram.ReadSumNs(), 61'000'101'000u);
}

TEST(GaugeTest, GoesUpAndDown) {
  Gauge gauge;
  gauge.Add(3);
  gauge.Sub();
  EXPECT_EQ(gauge.Read(), 2);
  gauge.Set(-7);
  EXPECT_EQ(gauge.Read(), -7);
}

TEST(GrowingArrayTest, ElementsStayWhereTheyAre) {
  GrowingArray<Counter> array;
  Counter* const first = &array.At(0);
  first->Add(5);
  for (size_t id = 0; id < 1000; ++id) array.At(id).Add(id);
  EXPECT_EQ(&array.At(0), first);
  EXPECT_EQ(array.Find(0)->Read(), 5u);
  EXPECT_EQ(array.Find(999)->Read(), 999u);
}

TEST(GrowingArrayTest, NotAskedForYetIsNull) {
  GrowingArray<Counter> array;
  EXPECT_EQ(array.Find(0), nullptr);
  EXPECT_EQ(array.Find(GrowingArray<Counter>::kMaxSize), nullptr);
  array.At(40).Add();
  EXPECT_EQ(array.Find(0), nullptr);
  EXPECT_EQ(array.Find(40)->Read(), 1u);
}

TEST(GrowingArrayTest, IdsOverTheLimitShareOneElement) {
  GrowingArray<Counter> array;
  array.At(GrowingArray<Counter>::kMaxSize - 1).Add();
  array.At(GrowingArray<Counter>::kMaxSize).Add();
  array.At(UINT32_MAX).Add();
  EXPECT_EQ(array.overflow().Read(), 2u);
  EXPECT_EQ(array.Find(GrowingArray<Counter>::kMaxSize - 1)->Read(), 1u);
}

// Under ThreadSanitizer this is the proof that growing and reading at once is no race.
TEST(GrowingArrayTest, OneThreadGrowsWhileAnotherReads) {
  GrowingArray<Counter> array;
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    uint64_t last = 0;
    while (!stop.load()) {
      uint64_t sum = 0;
      for (size_t id = 0; id < 2000; ++id) {
        if (const Counter* counter = array.Find(id)) sum += counter->Read();
      }
      EXPECT_GE(sum, last);
      last = sum;
    }
  });
  for (size_t round = 0; round < 20; ++round) {
    for (size_t id = 0; id < 2000; ++id) array.At(id).Add();
  }
  stop.store(true);
  reader.join();
  uint64_t sum = 0;
  for (size_t id = 0; id < 2000; ++id) sum += array.Find(id)->Read();
  EXPECT_EQ(sum, 40'000u);
}

}  // namespace
}  // namespace bulkhead::metrics
