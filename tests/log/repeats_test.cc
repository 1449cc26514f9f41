#include "proxy/log/repeats.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead::log {
namespace {

TEST(RepeatLimiterTest, PassesSomeAndCountsTheRest) {
  RepeatLimiter limiter(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.Note("k", "line", 1, 1000).passes);
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(limiter.Note("k", "line", 1, 2000).passes);
  const auto next = limiter.Note("k", "line", 1, 11'000);
  EXPECT_TRUE(next.passes);
  EXPECT_EQ(next.repeated, 5u);
  EXPECT_EQ(limiter.Note("k", "line", 1, 11'001).repeated, 0u);
}

TEST(RepeatLimiterTest, KeysDoNotTouchEachOther) {
  RepeatLimiter limiter(1);
  EXPECT_TRUE(limiter.Note("a", "line", 1, 0).passes);
  EXPECT_FALSE(limiter.Note("a", "line", 1, 0).passes);
  EXPECT_TRUE(limiter.Note("b", "line", 1, 0).passes);
}

TEST(RepeatLimiterTest, WhatHasNoKeyPasses) {
  RepeatLimiter limiter(1);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.Note("", "line", 1, 0).passes);
  RepeatLimiter unlimited(0);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(unlimited.Note("k", "line", 1, 0).passes);
}

TEST(RepeatLimiterTest, ASummaryComesWhenNothingElseDoes) {
  RepeatLimiter limiter(1);
  (void)limiter.Note("k", "first", 2, 0);
  (void)limiter.Note("k", "second", 2, 100);
  (void)limiter.Note("k", "third", 2, 200);
  EXPECT_TRUE(limiter.Overdue(9'000).empty());
  const auto due = limiter.Overdue(10'000);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].line, "third");
  EXPECT_EQ(due[0].level, 2);
  EXPECT_EQ(due[0].repeated, 2u);
  EXPECT_TRUE(limiter.Overdue(20'000).empty());
  EXPECT_EQ(limiter.keys(), 0u);
}

TEST(RepeatLimiterTest, ManyKeysAreForgottenButNotTheirNumbers) {
  RepeatLimiter limiter(1);
  (void)limiter.Note("loud", "line", 1, 0);
  (void)limiter.Note("loud", "line", 1, 0);
  for (size_t i = 0; i < 3 * RepeatLimiter::kMostKeys; ++i)
    (void)limiter.Note("k" + std::to_string(i), "line", 1, 0);
  EXPECT_LE(limiter.keys(), RepeatLimiter::kMostKeys);
  const auto due = limiter.Overdue(0);
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].repeated, 1u);
}

TEST(RepeatLimiterTest, EveryLineIsPassedOrCounted) {
  RepeatLimiter limiter(4);
  uint64_t passed = 0, told = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto answer = limiter.Note("k" + std::to_string(i % 7), "line", 1, i * 13);
    passed += answer.passes ? 1 : 0;
    told += answer.repeated;
    for (const auto& summary : limiter.Overdue(i * 13)) told += summary.repeated;
  }
  for (const auto& summary : limiter.TakeAll()) told += summary.repeated;
  EXPECT_EQ(passed + told, 10'000u);
  EXPECT_LT(passed, 2'000u);
}

}  // namespace
}  // namespace bulkhead::log
