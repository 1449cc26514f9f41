#include "routing/limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "routing/backoff.h"

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;

TEST(ConnectionBudget, HoldsForAllThreads) {
  ConnectionBudget budget(10);
  std::atomic<int> held{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        if (!budget.TryTake()) continue;
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
  ASSERT_TRUE(budget.TryTake());
  EXPECT_FALSE(budget.TryTake());
  budget.AddWaiting();
  EXPECT_TRUE(budget.wanted());
  EXPECT_TRUE(budget.Give());
  EXPECT_FALSE(budget.wanted());  // one waits, one is free
  budget.RemoveWaiting();
  ASSERT_TRUE(budget.TryTake());
  EXPECT_FALSE(budget.Give());
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
