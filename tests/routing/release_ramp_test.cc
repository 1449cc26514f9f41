#include "routing/release_ramp.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;

// A server whose latency depends on how many statements it runs; always more waits.
class RampTest : public testing::Test {
 protected:
  RampTest() : ramp_(Rules()) {}
  static RampRules Rules() {
    RampRules rules;
    rules.initial = 4;
    rules.limit = 64;
    return rules;
  }
  // Runs for `time` with `latency` (a function of the number that runs), releasing all it may.
  template <typename F>
  void Run(Duration time, F latency, bool ok = true) {
    const MonoTime end = now_ + time;
    for (; now_ < end; now_ += 1ms) {
      while (!running_.empty() && running_.front().first <= now_) {
        const auto [done, id] = running_.front();
        running_.pop_front();
        (void)ramp_.Finished(id, latencies_[id], ok);
        ++finished_;
      }
      if (ramp_.Advance(waiting_, backlog_, now_)) {
        ended_ = now_;
        return;
      }
      while (ramp_.active() && ramp_.Room() > 0 && waiting_ > 0) {
        const WaiterId id = latencies_.size();
        latencies_.push_back(latency(ramp_.running() + 1));
        ramp_.Released(id, now_);
        running_.emplace_back(now_ + latencies_.back(), id);
        std::sort(running_.begin(), running_.end());
      }
      most_ = std::max(most_, ramp_.running());
    }
  }
  void Begin(uint32_t start = 4) { ramp_.Begin(start, now_); }

  ReleaseRamp ramp_;
  MonoTime now_ = MonoTime{} + 100s;
  size_t waiting_ = 1000, backlog_ = 1000;
  std::deque<std::pair<MonoTime, WaiterId>> running_;
  std::vector<Duration> latencies_ = {0ns};
  uint32_t most_ = 0;
  int finished_ = 0;
  std::optional<MonoTime> ended_;
};

TEST_F(RampTest, DoublesWhileLatencyStaysNear) {
  ramp_.SetBaseline(5ms);
  Begin();
  EXPECT_EQ(ramp_.Room(), 4u);
  Run(49ms, [](uint32_t) { return 5ms; });
  EXPECT_EQ(most_, 4u);
  Run(20ms, [](uint32_t) { return 5ms; });
  EXPECT_EQ(most_, 8u);
  Run(400ms, [](uint32_t) { return 5ms; });
  EXPECT_EQ(ramp_.concurrency(), 64u);
  Run(500ms, [](uint32_t) { return 5ms; });
  EXPECT_EQ(most_, 64u);  // never above the limit
}

TEST_F(RampTest, HalvesWhereLatencyIsFarAboveAndFindsTheKnee) {
  ramp_.SetBaseline(5ms);
  Begin();
  // 8 cores: latency grows with what runs above 8.
  const auto server = [](uint32_t running) { return 5ms * std::max(8u, running) / 8; };
  Run(3s, server);
  finished_ = 0;
  most_ = 0;
  Run(5s, server);
  EXPECT_GE(finished_, 5 * 1600 * 9 / 10);  // 8 / 5 ms is what the server can do
  EXPECT_GE(ramp_.concurrency(), 8u);
  EXPECT_LE(most_, 48u);  // well below 64, where latency would be 40 ms
}

TEST_F(RampTest, ASlowerServerIsNotThrottledForEver) {
  ramp_.SetBaseline(1ms);
  Begin();
  const auto cold = [](uint32_t) { return 50ms; };  // 50 times slower, at 4 as at 64
  Run(3s, cold);
  finished_ = 0;
  Run(10s, cold);
  EXPECT_EQ(most_, 64u);
  EXPECT_GE(finished_, 10 * 64 * 20 * 8 / 10);  // what trials with half of them cost
}

TEST_F(RampTest, WithoutABaselineItLearnsOne) {
  Begin();
  const auto server = [](uint32_t running) { return 5ms * std::max(8u, running) / 8; };
  Run(5s, server);
  EXPECT_LE(most_, 48u);
  EXPECT_GE(ramp_.concurrency(), 8u);
}

TEST_F(RampTest, LongStatementsDoNotBlockTheRest) {
  Begin();
  Run(10ms, [](uint32_t) { return 60s; });  // four reports
  EXPECT_EQ(most_, 4u);
  EXPECT_EQ(ramp_.Room(), 0u);
  Run(10s, [](uint32_t) { return 5ms; });
  EXPECT_GT(finished_, 1000);
  EXPECT_LE(most_, 64u);
}

TEST_F(RampTest, OnlyLongStatementsStayWithinTheLimit) {
  Begin();
  Run(60s, [](uint32_t) { return 600s; });
  EXPECT_EQ(most_, 64u);
}

TEST_F(RampTest, FailuresHalve) {
  Begin(32);
  Run(
      200ms, [](uint32_t) { return 5ms; }, false);
  EXPECT_EQ(ramp_.concurrency(), 4u);
}

TEST_F(RampTest, EvidenceIsOfItsWindow) {
  ramp_.SetBaseline(5ms);
  Begin(16);
  // Released at once, all slow; they end after the next window has begun with fast ones.
  Run(1ms, [](uint32_t) { return 300ms; });
  EXPECT_EQ(ramp_.running(), 16u);
  Run(320ms, [](uint32_t) { return 5ms; });
  EXPECT_EQ(ramp_.concurrency(), 8u);  // halved once for them, not once for each window
  Run(300ms, [](uint32_t) { return 5ms; });
  EXPECT_GT(ramp_.concurrency(), 8u);
}

TEST_F(RampTest, EndsAtOnceAtTheLimitWithNobodyWaiting) {
  Begin(64);
  waiting_ = backlog_ = 0;
  Run(10ms, [](uint32_t) { return 5ms; });
  EXPECT_TRUE(ended_.has_value());
  EXPECT_FALSE(ramp_.active());
  EXPECT_EQ(ramp_.NextDeadline(), kMonoNever);
}

TEST_F(RampTest, EndsWhenNothingHadToWaitForAWhile) {
  Begin();
  const MonoTime begin = now_;
  waiting_ = backlog_ = 0;
  Run(10s, [](uint32_t) { return 5ms; });
  ASSERT_TRUE(ended_.has_value());
  EXPECT_GE(*ended_ - begin, 1s);
  EXPECT_LE(*ended_ - begin, 1100ms);
}

TEST_F(RampTest, ClientsThatAlwaysHaveTheNextDoNotKeepItForEver) {
  Begin();
  const MonoTime begin = now_;
  Run(3s, [](uint32_t) { return 5ms; });
  EXPECT_FALSE(ended_.has_value());  // some still wait from before
  backlog_ = 0;
  Run(3s, [](uint32_t) { return 5ms; });
  ASSERT_TRUE(ended_.has_value());
  EXPECT_LE(*ended_ - begin, 3100ms);
}

TEST_F(RampTest, AQueueThatGetsShorterIsDrainedByTheRamp) {
  Begin(64);
  backlog_ = 0;
  for (waiting_ = 1000; waiting_ > 0; waiting_ -= 100) {
    Run(500ms, [](uint32_t) { return 5ms; });
    ASSERT_FALSE(ended_.has_value()) << waiting_;
  }
  Run(10ms, [](uint32_t) { return 5ms; });
  EXPECT_TRUE(ended_.has_value());
}

TEST_F(RampTest, APlaceThatWasGivenBackIsNotGivenBackTwice) {
  Begin();
  for (WaiterId id = 1; id <= 4; ++id) ramp_.Released(id, now_);
  now_ += 1s;
  (void)ramp_.Advance(waiting_, backlog_, now_);
  const uint32_t room = ramp_.Room();
  EXPECT_EQ(room, ramp_.concurrency());
  for (WaiterId id = 1; id <= 4; ++id) EXPECT_TRUE(ramp_.Finished(id, 1s, true));
  EXPECT_EQ(ramp_.Room(), room);
}

TEST_F(RampTest, AnOverloadedServerGetsItsTrafficBackInTheEnd) {
  ramp_.SetBaseline(5ms);
  Begin();
  const MonoTime begin = now_;
  backlog_ = 0;
  Run(100s, [](uint32_t running) { return 5ms * std::max(4u, running) / 4; });
  ASSERT_TRUE(ended_.has_value());
  EXPECT_EQ(*ended_ - begin, 60s);
}

TEST_F(RampTest, AClientThatLeavesGivesItsPlaceBack) {
  Begin();
  for (WaiterId id = 1; id <= 4; ++id) ramp_.Released(id, now_);
  EXPECT_EQ(ramp_.Room(), 0u);
  EXPECT_TRUE(ramp_.Dropped(2));
  EXPECT_FALSE(ramp_.Dropped(2));
  EXPECT_FALSE(ramp_.Finished(2, 5ms, true));
  EXPECT_EQ(ramp_.Room(), 1u);
}

TEST_F(RampTest, WhatRanBeforeASecondOutageCountsInTheNextRamp) {
  Begin();
  for (WaiterId id = 1; id <= 4; ++id) ramp_.Released(id, now_);
  ramp_.Stop();
  now_ += 500ms;
  Begin();
  EXPECT_EQ(ramp_.Room(), 0u);
  EXPECT_TRUE(ramp_.Finished(1, 5ms, false));
  EXPECT_EQ(ramp_.Room(), 1u);
}

}  // namespace
}  // namespace bulkhead::routing
