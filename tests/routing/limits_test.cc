#include "routing/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "routing/backoff.h"

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime kStart = MonoTimeFromNanos(1'000'000'000'000);

TEST(ConnectionBudget, HoldsForAllThreads) {
  ConnectionBudget budget(10);
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        if (!budget.TryTake(kStart)) continue;
        const int now = ++held;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        --held;
        (void)budget.Give();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(budget.lent(), 0u);
  EXPECT_LE(most.load(), 10);
}

TEST(ConnectionBudget, KnowsWhenItIsWanted) {
  ConnectionBudget budget(1);
  EXPECT_FALSE(budget.wanted());
  ASSERT_TRUE(budget.TryTake(kStart));
  EXPECT_FALSE(budget.TryTake(kStart));
  budget.AddWaiting();
  EXPECT_TRUE(budget.wanted());
  EXPECT_TRUE(budget.Give());
  EXPECT_FALSE(budget.wanted());  // one waits, one is free
  budget.RemoveWaiting();
  ASSERT_TRUE(budget.TryTake(kStart));
  EXPECT_FALSE(budget.Give());
}

TEST(ConnectionBudget, PacesNewConnections) {
  ConnectionBudget budget(1000);
  budget.SetPace(50);
  ASSERT_TRUE(budget.paced());
  MonoTime now = kStart;
  int taken = 0;
  while (budget.TryTake(now)) ++taken;
  EXPECT_EQ(taken, 5) << "what is due within a tenth of a second, at once";
  EXPECT_EQ(budget.next_connect(), now + 20ms);
  EXPECT_FALSE(budget.TryConnect(now + 19ms));
  EXPECT_TRUE(budget.TryConnect(now + 20ms)) << "one in the place of another counts as well";
  for (now += 20ms; now < kStart + 2s; now += 1ms) taken += budget.TryTake(now) ? 1 : 0;
  EXPECT_NEAR(taken, 2 * 50 + 5, 2);
  budget.SetPace(0);
  EXPECT_FALSE(budget.paced());
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(budget.TryTake(now));
}

TEST(ConnectionBudget, AFullOneCostsNoTurn) {
  ConnectionBudget budget(1);
  budget.SetPace(1);
  ASSERT_TRUE(budget.TryTake(kStart));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(budget.TryTake(kStart + 2s));
  (void)budget.Give();
  EXPECT_TRUE(budget.TryTake(kStart + 2s));
}

TEST(ConnectionBudget, PacesAllThreadsTogether) {
  ConnectionBudget budget(1'000'000);
  budget.SetPace(1000);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int ms = 0; ms < 1000; ++ms) {
        while (budget.TryTake(kStart + ms * 1ms)) ++taken;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GE(taken.load(), 1000);
  EXPECT_LE(taken.load(), 1000 + 100);
}

TEST(ConnectionBudget, WhoWaitsForThePaceWantsNobodysConnection) {
  ConnectionBudget budget(2);
  budget.SetPace(1);
  ASSERT_TRUE(budget.TryTake(kStart));
  budget.AddWaiting();
  budget.AddWaiting();
  EXPECT_FALSE(budget.wanted());
  ASSERT_TRUE(budget.TryTake(kStart + 2s));
  EXPECT_TRUE(budget.wanted()) << "now it is the limit";
  budget.RemoveWaiting();
  budget.RemoveWaiting();
}

TEST(Backoff, GrowsAndIsSpreadAndCapped) {
  Backoff low({.base = 100ms, .max = 1s});
  Backoff high({.base = 100ms, .max = 1s});
  const uint64_t top[] = {50'000'000, 100'000'000, 200'000'000, 400'000'000, 500'000'000};
  for (const uint64_t half : top) {
    EXPECT_EQ(low.NextDelay(0), Duration(half));
    EXPECT_EQ(high.NextDelay(half), Duration(2 * half));
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(low.NextDelay(0), 500ms);
  EXPECT_EQ(low.failures(), 105u);
  low.Reset();
  EXPECT_EQ(low.NextDelay(0), 50ms);
  Backoff zero({.base = 0ns, .max = 0ns});
  EXPECT_GT(zero.NextDelay(0), 0ns);
}

}  // namespace
}  // namespace bulkhead::routing
