#include "routing/tenant_limits.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "routing/token_bucket.h"

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;

constexpr MonoTime At(Duration d) { return MonoTime{} + d; }

TEST(TokenBucketTest, BurstThenRate) {
  TokenBucket bucket(10, 3);
  EXPECT_TRUE(bucket.Take(At(1s)));
  EXPECT_TRUE(bucket.Take(At(1s)));
  EXPECT_TRUE(bucket.Take(At(1s)));
  EXPECT_FALSE(bucket.Take(At(1s)));
  EXPECT_EQ(bucket.next(), At(1100ms));
  EXPECT_FALSE(bucket.Take(At(1099ms)));
  EXPECT_TRUE(bucket.Take(At(1100ms)));
  EXPECT_FALSE(bucket.full(At(1399ms)));
  EXPECT_TRUE(bucket.full(At(1400ms)));
  int taken = 0;
  for (Duration t = 10s; t < 20s; t += 1ms) taken += bucket.Take(At(t)) ? 1 : 0;
  EXPECT_EQ(taken, 102);  // the burst of 3, then one each 100 ms
}

TEST(TokenBucketTest, NoRateIsNoLimit) {
  TokenBucket bucket;
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(bucket.Take(At(0s)));
}

TEST(TenantLimitsTest, NothingConfiguredCostsNothing) {
  TenantLimits limits;
  std::vector<TenantHandle> handles(100);
  for (size_t i = 0; i < handles.size(); ++i) {
    ASSERT_TRUE(limits.Bind("t" + std::to_string(i), &handles[i]).ok());
    ASSERT_TRUE(handles[i].TryStart(At(0s)).ok());
    handles[i].Finish();
  }
  EXPECT_EQ(limits.accounts(), 0u);
}

TEST(TenantLimitsTest, SessionsAreCounted) {
  TenantLimits limits;
  limits.SetTenant("acme", TenantLimit{.sessions = 2});
  TenantHandle a, b, c, other;
  EXPECT_TRUE(limits.Bind("acme", &a).ok());
  EXPECT_TRUE(limits.Bind("acme", &b).ok());
  EXPECT_EQ(limits.Bind("acme", &c).verdict, LimitVerdict::kTooManySessions);
  EXPECT_TRUE(limits.Bind("globex", &other).ok());
  EXPECT_EQ(limits.UsageOf("acme").sessions, 2u);
  EXPECT_EQ(limits.UsageOf("acme").refused, 1u);
  EXPECT_TRUE(limits.Bind("acme", &a).ok());  // the same tenant again: no second place
  EXPECT_EQ(limits.UsageOf("acme").sessions, 2u);
  EXPECT_TRUE(limits.Bind("globex", &b).ok());  // changes its tenant
  EXPECT_TRUE(limits.Bind("acme", &c).ok());
  EXPECT_EQ(limits.Bind("acme", &other).verdict, LimitVerdict::kTooManySessions);
  c = TenantHandle();
  EXPECT_TRUE(limits.Bind("acme", &other).ok());
}

TEST(TenantLimitsTest, ARefusedChangeOfTenantLeavesTheOldOne) {
  TenantLimits limits;
  limits.SetDefault(TenantLimit{.sessions = 1});
  TenantHandle a, b;
  EXPECT_TRUE(limits.Bind("acme", &a).ok());
  EXPECT_TRUE(limits.Bind("globex", &b).ok());
  EXPECT_FALSE(limits.Bind("acme", &b).ok());
  EXPECT_EQ(limits.UsageOf("globex").sessions, 1u);
}

TEST(TenantLimitsTest, RunningAcrossSessions) {
  TenantLimits limits;
  limits.SetTenant("acme", TenantLimit{.running = 2});
  TenantHandle a, b;
  ASSERT_TRUE(limits.Bind("acme", &a).ok());
  ASSERT_TRUE(limits.Bind("acme", &b).ok());
  EXPECT_TRUE(a.TryStart(At(0s)).ok());
  EXPECT_TRUE(b.TryStart(At(0s)).ok());
  EXPECT_EQ(b.TryStart(At(0s)).verdict, LimitVerdict::kTooManyRunning);
  a.Finish();
  a.Finish();  // one too many: ignored
  EXPECT_EQ(limits.UsageOf("acme").running, 1u);
  EXPECT_TRUE(b.TryStart(At(0s)).ok());
  TenantHandle moved = std::move(b);
  EXPECT_EQ(limits.UsageOf("acme").running, 2u);
  moved.Reset();  // the session ends in the middle of its statements
  EXPECT_EQ(limits.UsageOf("acme").running, 0u);
  EXPECT_EQ(limits.UsageOf("acme").sessions, 1u);
}

TEST(TenantLimitsTest, RateOfAllSessionsTogetherAndWhenToComeBack) {
  TenantLimits limits;
  limits.SetTenant("acme", TenantLimit{.per_second = 100, .burst = 10});
  TenantHandle a, b;
  ASSERT_TRUE(limits.Bind("acme", &a).ok());
  ASSERT_TRUE(limits.Bind("acme", &b).ok());
  int taken = 0;
  Duration soonest = 0s;
  for (Duration t = 5s; t < 6s; t += 1ms) {
    for (TenantHandle* handle : {&a, &b}) {
      const LimitAnswer answer = handle->TryStart(At(t));
      if (answer.ok()) {
        ++taken;
        handle->Finish();
      } else {
        ASSERT_EQ(answer.verdict, LimitVerdict::kTooFast);
        soonest = std::max(soonest, answer.retry_after);
      }
    }
  }
  EXPECT_EQ(taken, 109);
  EXPECT_EQ(limits.UsageOf("acme").running, 0u);  // a refused one runs nowhere
  EXPECT_GT(soonest, 5ms);
  EXPECT_LE(soonest, 10ms);
}

TEST(TenantLimitsTest, AChangeReachesBoundSessions) {
  TenantLimits limits;
  TenantHandle a;
  ASSERT_TRUE(limits.Bind("acme", &a).ok());
  EXPECT_EQ(a.generation(), limits.generation());
  limits.SetTenant("acme", TenantLimit{.sessions = 1, .running = 1});
  EXPECT_NE(a.generation(), limits.generation());
  limits.Refresh("acme", &a);
  EXPECT_EQ(a.generation(), limits.generation());
  EXPECT_TRUE(a.TryStart(At(0s)).ok());
  EXPECT_FALSE(a.TryStart(At(0s)).ok());
  limits.SetTenant("acme", TenantLimit{.running = 2});  // in place: no Refresh is needed
  EXPECT_TRUE(a.TryStart(At(0s)).ok());
  limits.Refresh("acme", &a);
  EXPECT_EQ(limits.UsageOf("acme").running, 2u);  // what runs stays counted
  limits.SetTenant("acme", std::nullopt);
  limits.Refresh("acme", &a);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(a.TryStart(At(0s)).ok());
  a.Finish();
}

TEST(TenantLimitsTest, RefreshIsNeverRefused) {
  TenantLimits limits;
  TenantHandle a, b, c;
  for (TenantHandle* handle : {&a, &b}) ASSERT_TRUE(limits.Bind("acme", handle).ok());
  limits.SetDefault(TenantLimit{.sessions = 1});
  for (TenantHandle* handle : {&a, &b}) limits.Refresh("acme", handle);
  EXPECT_EQ(limits.UsageOf("acme").sessions, 2u);
  EXPECT_FALSE(limits.Bind("acme", &c).ok());
}

TEST(TenantLimitsTest, AMillionTenantsLeaveNothingBehind) {
  TenantLimits limits;
  limits.SetDefault(TenantLimit{.sessions = 5, .per_second = 10});
  const auto sweep = [&](MonoTime now) {
    for (int i = 0; i < 16; ++i) limits.Sweep(now);
  };
  TenantHandle kept;
  ASSERT_TRUE(limits.Bind("kept", &kept).ok());
  for (int i = 0; i < 1'000'000; ++i) {
    const MonoTime now = At(i * 10us);
    TenantHandle handle;
    ASSERT_TRUE(limits.Bind("t" + std::to_string(i), &handle).ok());
    ASSERT_TRUE(handle.TryStart(now).ok());
    if (i % 10'000 == 0) sweep(now);
  }
  EXPECT_LE(limits.accounts(), 21'000u);
  sweep(At(20s));
  EXPECT_EQ(limits.accounts(), 1u);
}

TEST(TenantLimitsTest, WhoLogsInForEachStatementKeepsItsRate) {
  TenantLimits limits;
  limits.SetDefault(TenantLimit{.per_second = 10, .burst = 1});
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    TenantHandle handle;
    ASSERT_TRUE(limits.Bind("acme", &handle).ok());
    taken += handle.TryStart(At(i * 1ms)).ok() ? 1 : 0;
    handle.Reset();
    limits.Sweep(At(i * 1ms));
  }
  EXPECT_EQ(taken, 10);
}

TEST(TenantLimitsTest, ThreadsNeverExceedALimit) {
  TenantLimits limits;
  limits.SetTenant("acme", TenantLimit{.running = 3});
  std::atomic<int> now_running{0};
  std::atomic<int> most{0};
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        TenantHandle handle;
        if (!limits.Bind("acme", &handle).ok()) continue;
        if (!handle.TryStart(At(0s)).ok()) continue;
        const int running = now_running.fetch_add(1) + 1;
        int before = most.load();
        while (before < running && !most.compare_exchange_weak(before, running)) {
        }
        now_running.fetch_sub(1);
        handle.Finish();
      }
    });
  }
  for (int i = 0; i < 100; ++i) limits.Sweep(At(i * 1s));
  threads.clear();
  EXPECT_LE(most.load(), 3);
  EXPECT_EQ(limits.UsageOf("acme").running, 0u);
  EXPECT_EQ(limits.UsageOf("acme").sessions, 0u);
}

}  // namespace
}  // namespace bulkhead::routing
