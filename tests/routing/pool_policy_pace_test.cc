// When the pool may not open a connection although its limit would allow it.
#include <gtest/gtest.h>

#include "routing/pool_policy.h"

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime kStart = MonoTimeFromNanos(1'000'000'000'000);

class PoolPolicyPaceTest : public ::testing::Test {
 protected:
  PoolPolicyPaceTest() : budget_(3), pool_(Limits(), &budget_) {}

  static PoolLimits Limits() {
    return {.max_waiting = 5,
            .idle_timeout = 60s,
            .max_age = 3600s,
            .wait_timeout_margin = 5s,
            .min_idle = 0};
  }
  Acquired Get(PoolSession session, PoolUser user = 1, StateKey key = 1, PoolConnection last = 0) {
    return pool_.Acquire({.session = session, .user = user, .last = last, .key = key}, now_);
  }
  // A new connection, in use by `session`.
  PoolConnection OpenFor(PoolSession session, PoolUser user = 1, StateKey key = 1) {
    const Acquired a = Get(session, user, key);
    EXPECT_EQ(a.action, AcquireAction::kOpen);
    pool_.Opened(a.connection, 28800s, 0, now_);
    return a.connection;
  }
  PoolPolicy::Released Back(PoolConnection c, Returned how = Returned::kClean, StateKey key = 1) {
    return pool_.Release(c, how, key, now_);
  }

  MonoTime now_ = kStart;
  ConnectionBudget budget_;
  PoolPolicy pool_;
};

TEST_F(PoolPolicyPaceTest, WaitsForThePace) {
  budget_.SetPace(2);  // fewer than one within the window: one at a time
  OpenFor(11);
  EXPECT_EQ(Get(12).action, AcquireAction::kWait);
  EXPECT_EQ(Get(13).action, AcquireAction::kWait);
  EXPECT_EQ(pool_.NextOpen(), kStart + 500ms);
  EXPECT_FALSE(pool_.Retry(now_));
  now_ += 500ms;
  const auto next = pool_.Retry(now_);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->action, AcquireAction::kOpen);
  EXPECT_EQ(next->session, 12u);
  EXPECT_FALSE(pool_.Retry(now_));
  budget_.SetPace(0);
  EXPECT_EQ(pool_.Retry(now_)->session, 13u);
  EXPECT_EQ(pool_.NextOpen(), kMonoNever) << "nobody waits";
}

TEST_F(PoolPolicyPaceTest, ConnectionsThatAreThereNeedNoPace) {
  const PoolConnection a = OpenFor(11);
  budget_.SetPace(0.1);
  ASSERT_TRUE(budget_.TryConnect(now_));
  EXPECT_EQ(Get(12).action, AcquireAction::kWait);
  const auto released = Back(a);
  ASSERT_TRUE(released.next);
  EXPECT_EQ(released.next->session, 12u);
  EXPECT_EQ(released.next->connection, a);
}

TEST_F(PoolPolicyPaceTest, APlaceIsHandedOnWhenThePaceAllowsIt) {
  const PoolConnection a = OpenFor(11, 1);
  const PoolConnection b = OpenFor(12, 1);
  const PoolConnection c = OpenFor(13, 1);
  budget_.SetPace(2);
  ASSERT_TRUE(budget_.TryConnect(now_));
  ASSERT_EQ(Get(21, 2).action, AcquireAction::kWait);
  EXPECT_FALSE(Back(a).next) << "another account's, so a new one would have to be opened";
  EXPECT_EQ(pool_.NextOpen(), now_ + 500ms);
  EXPECT_FALSE(pool_.Retry(now_));
  now_ += 500ms;
  const auto next = pool_.Retry(now_);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->session, 21u);
  EXPECT_EQ(next->evict, a);
  EXPECT_EQ(budget_.lent(), 3u);
  EXPECT_EQ(pool_.counts().waiting, 0u);
  Back(b);
  Back(c);
}

TEST_F(PoolPolicyPaceTest, AfterAFailedConnectOneIsTriedNowAndThen) {
  const Acquired a = Get(11);
  ASSERT_EQ(a.action, AcquireAction::kOpen);
  pool_.ConnectFailed(now_, 250ms);
  bool wake = false;
  EXPECT_FALSE(pool_.Closed(a.connection, now_, &wake));
  EXPECT_TRUE(pool_.pausing(now_));
  EXPECT_EQ(Get(11).action, AcquireAction::kWait);
  EXPECT_EQ(Get(12).action, AcquireAction::kWait);
  EXPECT_EQ(pool_.NextOpen(), now_ + 250ms);
  now_ += 250ms;
  const auto trial = pool_.Retry(now_);
  ASSERT_TRUE(trial);
  EXPECT_EQ(trial->session, 11u);
  EXPECT_FALSE(pool_.Retry(now_)) << "one at a time";
  pool_.Opened(trial->connection, 0s, 0, now_);
  EXPECT_FALSE(pool_.pausing(now_));
  EXPECT_EQ(pool_.Retry(now_)->session, 12u) << "it is there again";
  EXPECT_EQ(budget_.lent(), 2u);
}

}  // namespace
}  // namespace bulkhead::routing
