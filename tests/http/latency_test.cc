#include "proxy/http/latency.h"

#include <gtest/gtest.h>

#include <chrono>

#include "proxy/http/history.h"

namespace bulkhead::http {
namespace {

using std::chrono::microseconds;

Buckets Of(std::initializer_list<int> durations_us) {
  metrics::Histogram histogram;
  for (const int us : durations_us) histogram.Record(microseconds(us));
  Buckets buckets{};
  for (size_t i = 0; i < buckets.size(); ++i) buckets[i] = histogram.ReadBucket(i);
  return buckets;
}

TEST(LatencyTest, NothingIsZero) { EXPECT_EQ(QuantileMs(Buckets{}, 0.99), 0); }

TEST(LatencyTest, LiesInTheRightBucket) {
  Buckets buckets = Of({300, 300, 300, 300, 300, 300, 300, 300, 300, 7000});
  EXPECT_GT(QuantileMs(buckets, 0.5), 0.2);
  EXPECT_LE(QuantileMs(buckets, 0.5), 0.5);
  EXPECT_GT(QuantileMs(buckets, 0.99), 5);
  EXPECT_LE(QuantileMs(buckets, 0.99), 10);
}

TEST(LatencyTest, IsSpreadEvenlyInsideABucket) {
  Buckets buckets{};
  buckets[4] = 100;  // 0.5 to 1 ms
  EXPECT_DOUBLE_EQ(QuantileMs(buckets, 0.5), 0.75);
  EXPECT_DOUBLE_EQ(QuantileMs(buckets, 1.0), 1.0);
}

TEST(LatencyTest, AboveTheLastBoundIsTheLastBound) {
  EXPECT_DOUBLE_EQ(QuantileMs(Of({90'000'000}), 0.5), 60'000);
}

TEST(LatencyTest, GrowsWithTheQuantile) {
  const Buckets buckets = Of({60, 150, 900, 4'000, 4'100, 30'000, 2'000'000});
  double before = 0;
  for (double quantile = 0; quantile <= 1; quantile += 0.01) {
    const double now = QuantileMs(buckets, quantile);
    EXPECT_GE(now, before);
    before = now;
  }
}

TEST(LatencyTest, OfTheDifference) {
  const Buckets before = Of({300, 300});
  Buckets now = before;
  now[10] += 5;
  const Buckets since = Since(before, now);
  EXPECT_EQ(CountOf(since), 5u);
  EXPECT_GT(QuantileMs(since, 0.01), 20);
  EXPECT_EQ(CountOf(Since(now, before)), 0u);  // never below zero
}

TEST(HistoryTest, KeepsTheNewest) {
  ShardHistory history;
  EXPECT_EQ(history.size(), 0u);
  for (uint32_t i = 0; i < 1'000; ++i) history.Add({.held = i});
  ASSERT_EQ(history.size(), ShardHistory::kSamples);
  EXPECT_EQ(history.At(0).held, 1'000 - ShardHistory::kSamples);
  EXPECT_EQ(history.At(ShardHistory::kSamples - 1).held, 999u);
  EXPECT_EQ(ShardHistory::kSamples * ShardHistory::kStepSeconds, 15u * 60);
  EXPECT_LE(sizeof(ShardHistory), 3'000u);  // what the documentation says
}

}  // namespace
}  // namespace bulkhead::http
