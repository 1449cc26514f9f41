#include "routing/pool_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr MonoTime kStart = MonoTimeFromNanos(1'000'000'000'000);

class PoolPolicyTest : public ::testing::Test {
 protected:
  PoolPolicyTest() : budget_(3), pool_(Limits(), &budget_) {}

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

TEST_F(PoolPolicyTest, RetiresBeforeTheServersTimeoutWhateverItIsNow) {
  const PoolConnection a = OpenFor(11);
  pool_.SetServerTimeout(a, 20s);  // a session has set its own
  Back(a);
  now_ += 14s;
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());
  now_ += 1s;
  EXPECT_THAT(pool_.Expire(now_), ElementsAre(a));
  bool wake = false;
  (void)pool_.Closed(a, now_, &wake);
  const PoolConnection b = OpenFor(12);
  pool_.SetServerTimeout(b, 2s);  // shorter than the margin: half of it
  pool_.SetServerTimeout(b, 0s);  // and not known any more
  Back(b);
  now_ += 30s;
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());
}

TEST_F(PoolPolicyTest, ASessionGetsItsOwnConnectionFirst) {
  const PoolConnection a = OpenFor(11);
  const PoolConnection b = OpenFor(12);
  Back(a, Returned::kLingering);
  Back(b);
  const Acquired again = Get(11, 1, 1, a);
  EXPECT_EQ(again.action, AcquireAction::kUse);
  EXPECT_EQ(again.connection, a);
  // Its state has changed meanwhile (say, a SET answered by the router): to be restored on its own
  // one too.
  Back(a, Returned::kDirty, 1);
  const Acquired changed = Get(11, 1, 2, a);
  EXPECT_EQ(changed.action, AcquireAction::kRestore);
  EXPECT_EQ(changed.connection, a);
}

TEST_F(PoolPolicyTest, OnlyItsOwnIfNobodyElseHadItSince) {
  const PoolConnection a = OpenFor(11);
  Back(a);
  EXPECT_EQ(Get(12).connection, a);
  Back(a);
  const Acquired r = Get(11, 1, 1, a);
  EXPECT_EQ(r.connection, a);
  EXPECT_EQ(r.previous, 12u);
}

TEST_F(PoolPolicyTest, OrderOfChoice) {
  const PoolConnection a = OpenFor(11, 1, 100);
  const PoolConnection b = OpenFor(12, 1, 200);
  const PoolConnection c = OpenFor(13, 1, 300);
  Back(a, Returned::kClean, 100);
  Back(b, Returned::kClean, 200);
  Back(c, Returned::kDirty, 300);
  Acquired r = Get(20, 1, 100);  // equal state, although b is newer
  EXPECT_EQ(r.action, AcquireAction::kUse);
  EXPECT_EQ(r.connection, a);
  EXPECT_EQ(r.previous, 11u);
  r = Get(21, 1, 100);  // any clean one
  EXPECT_EQ(r.action, AcquireAction::kRestore);
  EXPECT_EQ(r.connection, b);
  r = Get(22, 1, 300);  // a dirty one is reset even if its key is equal
  EXPECT_EQ(r.action, AcquireAction::kReset);
  EXPECT_EQ(r.connection, c);
  EXPECT_EQ(Get(23).action, AcquireAction::kWait);
}

TEST_F(PoolPolicyTest, OpensRatherThanTakingALingeringOne) {
  const PoolConnection a = OpenFor(11);
  Back(a, Returned::kLingering);
  OpenFor(12);
  OpenFor(13);
  const Acquired r = Get(14);  // the limit is reached
  EXPECT_EQ(r.action, AcquireAction::kFetchRestore);
  EXPECT_EQ(r.connection, a);
  EXPECT_EQ(r.previous, 11u);
}

TEST_F(PoolPolicyTest, AGoneSessionsConnectionLingersNoMore) {
  const PoolConnection a = OpenFor(11);
  Back(a, Returned::kLingering);
  pool_.SessionGone(12, a);  // not its
  EXPECT_EQ(pool_.counts().lingering, 1u);
  pool_.SessionGone(11, a);
  EXPECT_EQ(pool_.counts().lingering, 0u);
  const Acquired r = Get(12);
  EXPECT_EQ(r.action, AcquireAction::kUse);
  EXPECT_EQ(r.previous, 0u);
}

TEST_F(PoolPolicyTest, WhatWasGivenUpIsResetForTheSameIdToo) {
  const PoolConnection a = OpenFor(11);
  pool_.Disown(a);
  Back(a, Returned::kDirty);
  const Acquired r = Get(11);
  EXPECT_EQ(r.connection, a);
  EXPECT_EQ(r.action, AcquireAction::kReset);
}

TEST_F(PoolPolicyTest, NeverAnotherUsersConnection) {
  const PoolConnection a = OpenFor(11, 1);
  Back(a);
  const Acquired r = Get(12, 2, 1, a);
  EXPECT_EQ(r.action, AcquireAction::kOpen);
  EXPECT_EQ(r.evict, 0u);
}

TEST_F(PoolPolicyTest, ClosesAnotherUsersIdleOneAtTheLimit) {
  const PoolConnection a = OpenFor(11, 1);
  const PoolConnection b = OpenFor(12, 1);
  OpenFor(13, 2);
  Back(a);
  now_ += 1s;
  Back(b);
  const Acquired r = Get(14, 3);
  EXPECT_EQ(r.action, AcquireAction::kOpen);
  EXPECT_EQ(r.evict, a);  // the longest idle
  EXPECT_EQ(budget_.lent(), 3u);
  bool wake = true;
  EXPECT_FALSE(pool_.Closed(a, now_, &wake));  // its budget went along
  EXPECT_EQ(budget_.lent(), 3u);
}

TEST_F(PoolPolicyTest, WaitersAreServedInOrder) {
  const PoolConnection a = OpenFor(11);
  OpenFor(12);
  OpenFor(13);
  for (PoolSession s = 20; s < 25; ++s) EXPECT_EQ(Get(s).action, AcquireAction::kWait);
  EXPECT_EQ(budget_.waiting(), 5u);
  EXPECT_EQ(Get(25).action, AcquireAction::kFull);
  EXPECT_TRUE(pool_.CancelWait(21));
  EXPECT_FALSE(pool_.CancelWait(21));
  std::vector<PoolSession> order;
  for (int i = 0; i < 4; ++i) {
    const auto r = Back(a);
    ASSERT_TRUE(r.next);
    EXPECT_EQ(r.next->connection, a);
    EXPECT_EQ(r.next->action, AcquireAction::kUse);
    order.push_back(r.next->session);
  }
  EXPECT_THAT(order, ElementsAre(20, 22, 23, 24));
  EXPECT_EQ(budget_.waiting(), 0u);
  EXPECT_FALSE(Back(a).next);
}

TEST_F(PoolPolicyTest, AWaiterGetsWhatTheConnectionNeeds) {
  const PoolConnection a = OpenFor(11);
  OpenFor(12);
  OpenFor(13);
  PoolSession session = 20;
  const auto next = [&](Returned how, StateKey key) {
    EXPECT_EQ(Get(++session, 1, 7).action, AcquireAction::kWait);
    return Back(a, how, key).next->action;
  };
  EXPECT_EQ(next(Returned::kClean, 7), AcquireAction::kUse);
  EXPECT_EQ(next(Returned::kClean, 8), AcquireAction::kRestore);
  EXPECT_EQ(next(Returned::kLingering, 7), AcquireAction::kFetchRestore);
  EXPECT_EQ(next(Returned::kDirty, 7), AcquireAction::kReset);
}

TEST_F(PoolPolicyTest, AFailedOpenGivesItsPlaceToTheNext) {
  const Acquired a = Get(11);
  OpenFor(12);
  OpenFor(13);
  EXPECT_EQ(Get(20).action, AcquireAction::kWait);
  bool wake = false;
  const auto next = pool_.Closed(a.connection, now_, &wake);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->action, AcquireAction::kOpen);
  EXPECT_EQ(next->session, 20u);
  EXPECT_EQ(budget_.lent(), 3u);
  EXPECT_FALSE(wake);
}

// One user's flood takes all; another user comes and gets its share, without a login for each
// statement.
TEST_F(PoolPolicyTest, AFloodDoesNotKeepAnotherUserOut) {
  std::vector<PoolConnection> flood{OpenFor(11, 1), OpenFor(12, 1), OpenFor(13, 1)};
  EXPECT_EQ(Get(21, 1).action, AcquireAction::kWait);
  EXPECT_EQ(Get(22, 1).action, AcquireAction::kWait);
  EXPECT_EQ(Get(31, 2).action, AcquireAction::kWait);
  EXPECT_EQ(Get(32, 2).action, AcquireAction::kWait);
  auto r = Back(flood[0]);
  ASSERT_TRUE(r.next);
  EXPECT_EQ(r.next->action, AcquireAction::kOpen);  // user 2 holds 0, user 1 three
  EXPECT_EQ(r.next->session, 31u);
  EXPECT_EQ(r.next->evict, flood[0]);
  // Two to one is fair enough: the next one stays.
  r = Back(flood[1]);
  ASSERT_TRUE(r.next);
  EXPECT_EQ(r.next->session, 21u);
  EXPECT_EQ(r.next->connection, flood[1]);
}

TEST_F(PoolPolicyTest, OldOnesAreNotLent) {
  const PoolConnection a = OpenFor(11);
  now_ += 3600s;
  EXPECT_TRUE(Back(a).close);
  bool wake;
  pool_.Closed(a, now_, &wake);
  const PoolConnection b = OpenFor(11);
  Back(b);
  now_ += 3600s;
  const Acquired r = Get(11, 1, 1, b);
  EXPECT_EQ(r.action, AcquireAction::kOpen);
  EXPECT_NE(r.connection, b);
}

TEST_F(PoolPolicyTest, RetiresBeforeTheServersWaitTimeout) {
  const Acquired a = Get(11);
  pool_.Opened(a.connection, 30s, 0, now_);
  Back(a.connection);
  now_ += 24s;
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());
  EXPECT_EQ(Get(11, 1, 1, a.connection).connection, a.connection);
  Back(a.connection);
  now_ += 25s;  // 30 - 5
  EXPECT_EQ(Get(12).action, AcquireAction::kOpen);
  EXPECT_THAT(pool_.Expire(now_), ElementsAre(a.connection));
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());
}

TEST_F(PoolPolicyTest, AShortWaitTimeoutStillLeavesHalf) {
  const Acquired a = Get(11);
  pool_.Opened(a.connection, 4s, 0, now_);
  Back(a.connection);
  now_ += 1900ms;
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());
  now_ += 100ms;
  EXPECT_THAT(pool_.Expire(now_), ElementsAre(a.connection));
}

TEST_F(PoolPolicyTest, IdleTimeoutLeavesTheMinimum) {
  PoolLimits limits = Limits();
  limits.min_idle = 1;
  ConnectionBudget budget(3);
  PoolPolicy pool(limits, &budget);
  std::vector<PoolConnection> c;
  for (PoolSession s = 1; s <= 3; ++s) {
    c.push_back(pool.Acquire({.session = s, .user = 1, .last = 0, .key = 1}, now_).connection);
    pool.Opened(c.back(), 28800s, 0, now_);
  }
  for (const PoolConnection id : c) pool.Release(id, Returned::kClean, 1, now_);
  EXPECT_THAT(pool.Expire(now_ + 59s), IsEmpty());
  EXPECT_THAT(pool.Expire(now_ + 60s), ElementsAre(c[0], c[1]));  // the longest idle go
}

TEST_F(PoolPolicyTest, MaxAgeIsSpread) {
  const Acquired a = Get(11);
  pool_.Opened(a.connection, 0s, 1023, now_);
  Back(a.connection);
  EXPECT_EQ(Get(11, 1, 1, a.connection).action, AcquireAction::kUse);
  now_ += 3250s;  // 0.9 of an hour and a bit
  EXPECT_TRUE(Back(a.connection).close);
}

TEST_F(PoolPolicyTest, ALoweredLimitTakesEffectAsConnectionsComeBack) {
  const PoolConnection a = OpenFor(11);
  const PoolConnection b = OpenFor(12);
  Back(b);
  budget_.SetLimit(1);
  EXPECT_TRUE(Back(a).close);
  bool wake;
  pool_.Closed(a, now_, &wake);
  EXPECT_THAT(pool_.Expire(now_), IsEmpty());  // one is left, as allowed
  budget_.SetLimit(0);
  EXPECT_THAT(pool_.Expire(now_), ElementsAre(b));
}

TEST(PoolPolicyWorkers, IdleOnesAreRecalledForAnotherWorker) {
  ConnectionBudget budget(1);
  PoolPolicy one({}, &budget);
  PoolPolicy two({}, &budget);
  const MonoTime now = kStart;
  const Acquired a = one.Acquire({.session = 1, .user = 1, .last = 0, .key = 1}, now);
  one.Opened(a.connection, 0s, 0, now);
  one.Release(a.connection, Returned::kClean, 1, now);
  EXPECT_EQ(two.Acquire({.session = 2, .user = 1, .last = 0, .key = 1}, now).action,
            AcquireAction::kWait);
  EXPECT_TRUE(one.others_want());
  EXPECT_FALSE(two.others_want());
  EXPECT_THAT(one.Expire(now), ElementsAre(a.connection));
  bool wake = false;
  EXPECT_FALSE(one.Closed(a.connection, now, &wake));
  EXPECT_TRUE(wake);
  const auto next = two.Retry(now);
  ASSERT_TRUE(next);
  EXPECT_EQ(next->action, AcquireAction::kOpen);
  EXPECT_EQ(next->session, 2u);
  EXPECT_FALSE(two.Retry(now));
}

TEST(PoolPolicyWorkers, ABusyWorkerAboveItsShareGivesUpWhatIsReleased) {
  ConnectionBudget budget(4);
  PoolPolicy one({}, &budget);
  PoolPolicy two({}, &budget);
  const MonoTime now = kStart;
  std::vector<PoolConnection> held;
  for (PoolSession s = 1; s <= 4; ++s) {
    held.push_back(one.Acquire({.session = s, .user = 1, .last = 0, .key = 1}, now).connection);
    one.Opened(held.back(), 0s, 0, now);
  }
  for (PoolSession s = 5; s <= 9; ++s) {
    EXPECT_EQ(one.Acquire({.session = s, .user = 1, .last = 0, .key = 1}, now).action,
              AcquireAction::kWait);
  }
  for (PoolSession s = 20; s < 25; ++s) {
    two.Acquire({.session = s, .user = 1, .last = 0, .key = 1}, now);
  }
  bool wake = false;
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(one.Release(held[i], Returned::kClean, 1, now).close);
    EXPECT_FALSE(one.Closed(held[i], now, &wake));
    EXPECT_TRUE(wake);
    EXPECT_TRUE(two.Retry(now));
  }
  // Half and half: from here each keeps its own.
  const auto r = one.Release(held[2], Returned::kClean, 1, now);
  EXPECT_FALSE(r.close);
  EXPECT_TRUE(r.next);
}

TEST(PoolPolicyWorkers, GivesEverythingBackWhenItGoes) {
  ConnectionBudget budget(2);
  {
    PoolPolicy pool({}, &budget);
    for (PoolSession s = 1; s <= 5; ++s) {
      (void)pool.Acquire({.session = s, .user = 1, .last = 0, .key = 1}, kStart);
    }
    EXPECT_EQ(budget.lent(), 2u);
    EXPECT_EQ(budget.waiting(), 3u);
  }
  EXPECT_EQ(budget.lent(), 0u);
  EXPECT_EQ(budget.waiting(), 0u);
}

// Two workers, three users, random work: the limit holds, what is counted is right, nobody waits
// beside something idle, no connection is lent to two sessions or to another user, and in the end
// everybody was served.
TEST(PoolPolicyModel, RandomWork) {
  std::mt19937 random(7);
  ConnectionBudget budget(6);
  PoolLimits limits;
  limits.idle_timeout = 20s;
  limits.max_age = 200s;
  std::vector<std::unique_ptr<PoolPolicy>> pools;
  for (int i = 0; i < 2; ++i) pools.push_back(std::make_unique<PoolPolicy>(limits, &budget));
  struct Session {
    PoolUser user;
    PoolConnection last = 0, has = 0;
    bool waits = false;
  };
  std::map<PoolSession, Session> sessions[2];
  std::map<PoolConnection, PoolUser> users[2];
  std::map<PoolConnection, PoolSession> lent[2];
  MonoTime now = kStart;
  int served = 0;

  const auto carry_out = [&](int w, const Acquired& a) {
    Session& s = sessions[w].at(a.session);
    s.waits = false;
    if (a.evict != 0) {
      ASSERT_FALSE(lent[w].contains(a.evict));
      users[w].erase(a.evict);
    }
    if (a.action == AcquireAction::kOpen) {
      pools[w]->Opened(a.connection, 100s, random(), now);
      ASSERT_TRUE(users[w].emplace(a.connection, s.user).second);
    }
    ASSERT_EQ(users[w].at(a.connection), s.user);
    ASSERT_TRUE(lent[w].emplace(a.connection, a.session).second);
    s.has = s.last = a.connection;
    ++served;
  };
  const auto close = [&](int w, PoolConnection c) {
    users[w].erase(c);
    bool wake = false;
    if (auto next = pools[w]->Closed(c, now, &wake)) carry_out(w, *next);
    if (!wake) return;
    for (int other = 0; other < 2; ++other) {
      while (auto next = pools[other]->Retry(now)) carry_out(other, *next);
    }
  };
  const auto release = [&](int w, PoolSession id) {
    Session& s = sessions[w].at(id);
    const PoolConnection c = std::exchange(s.has, 0);
    lent[w].erase(c);
    const auto r = pools[w]->Release(c, static_cast<Returned>(random() % 3), random() % 3, now);
    if (r.next) {
      if (r.next->evict != 0) lent[w].erase(c);
      carry_out(w, *r.next);
    }
    if (r.close) close(w, c);
  };
  for (int step = 0; step < 50'000; ++step) {
    now += Duration(random() % 200'000'000);
    const int w = static_cast<int>(random() % 2);
    const PoolSession id = 1 + random() % 20;
    Session& s = sessions[w][id];
    s.user = static_cast<PoolUser>(id % 3);
    if (s.has != 0) {
      release(w, id);
    } else if (s.waits) {
      if (random() % 4 == 0) {
        ASSERT_TRUE(pools[w]->CancelWait(id));
        s.waits = false;
      }
    } else {
      const Acquired a = pools[w]->Acquire({id, s.user, s.last, random() % 3}, now);
      ASSERT_NE(a.action, AcquireAction::kFull);
      s.waits = a.action == AcquireAction::kWait;
      if (!s.waits) carry_out(w, a);
    }
    if (random() % 10 == 0) {
      for (int i = 0; i < 2; ++i) {
        for (const PoolConnection c : pools[i]->Expire(now)) close(i, c);
        while (auto next = pools[i]->Retry(now)) carry_out(i, *next);
      }
    }
    ASSERT_LE(budget.lent(), 6u);
    ASSERT_EQ(budget.lent(), users[0].size() + users[1].size());
    for (int i = 0; i < 2; ++i) {
      const auto counts = pools[i]->counts();
      ASSERT_EQ(counts.in_use, lent[i].size());
      ASSERT_TRUE(counts.waiting == 0 || counts.idle == 0) << step;
    }
  }
  EXPECT_GT(served, 5'000);
  // Everybody who still waits is served once the others are done.
  for (int round = 0; round < 50; ++round) {
    for (int w = 0; w < 2; ++w) {
      for (auto& [id, s] : sessions[w]) {
        if (s.has != 0) release(w, id);
      }
      now += 1s;
      for (const PoolConnection c : pools[w]->Expire(now)) close(w, c);
      while (auto next = pools[w]->Retry(now)) carry_out(w, *next);
    }
  }
  EXPECT_EQ(budget.waiting(), 0u);
}

}  // namespace
}  // namespace bulkhead::routing
