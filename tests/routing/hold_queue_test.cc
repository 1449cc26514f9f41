#include "routing/hold_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using Kinds = HoldQueue::Kinds;

constexpr MonoTime At(Duration d) { return MonoTime{} + d; }

HeldWaiter Waiter(WaiterId id, Duration since, uint64_t bytes = 100) {
  HeldWaiter waiter;
  waiter.id = id;
  waiter.since = At(since);
  waiter.deadline = At(since + 10s);
  waiter.bytes = bytes;
  return waiter;
}

class HoldQueueTest : public testing::Test {
 protected:
  HoldQueueTest() : queue_(Rules(), nullptr) {}
  static HoldQueueRules Rules() {
    HoldQueueRules rules;
    rules.max_statements = 10;
    rules.max_bytes = 10'000;
    return rules;
  }
  bool Push(const HeldWaiter& waiter, std::string_view tenant = "a") {
    return queue_.Push(waiter, tenant, &evicted_);
  }
  std::vector<WaiterId> PopAll(Duration now, Kinds kinds = Kinds::kAll) {
    std::vector<WaiterId> ids;
    while (auto waiter = queue_.Pop(kinds, At(now))) ids.push_back(waiter->id);
    return ids;
  }
  std::vector<WaiterId> Evicted() {
    std::vector<WaiterId> ids;
    for (const HeldWaiter& waiter : evicted_) ids.push_back(waiter.id);
    evicted_.clear();
    return ids;
  }

  HoldQueue queue_;
  std::vector<HeldWaiter> evicted_;
};

TEST_F(HoldQueueTest, OldestFirstWhateverTheOrderOfArrival) {
  EXPECT_TRUE(Push(Waiter(1, 300ms)));
  EXPECT_TRUE(Push(Waiter(2, 100ms)));
  EXPECT_TRUE(Push(Waiter(3, 200ms)));
  EXPECT_TRUE(Push(Waiter(4, 200ms)));
  EXPECT_THAT(PopAll(1s), ElementsAre(2, 3, 4, 1));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.bytes(), 0u);
  EXPECT_EQ(queue_.tenants(), 0u);
  EXPECT_EQ(queue_.next_deadline(), kMonoNever);
}

TEST_F(HoldQueueTest, TenantsInTurn) {
  for (WaiterId id = 1; id <= 5; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms), "flood"));
  EXPECT_TRUE(Push(Waiter(11, 100ms), "b"));
  EXPECT_TRUE(Push(Waiter(12, 101ms), "b"));
  EXPECT_TRUE(Push(Waiter(21, 102ms), "c"));
  EXPECT_THAT(PopAll(1s), ElementsAre(1, 11, 21, 2, 12, 3, 4, 5));
}

TEST_F(HoldQueueTest, ContinuingTransactionsFirst) {
  EXPECT_TRUE(Push(Waiter(1, 1ms)));
  HeldWaiter continuing = Waiter(2, 500ms);
  continuing.continues = true;
  EXPECT_TRUE(Push(continuing));
  EXPECT_TRUE(queue_.continuing(Kinds::kAll));
  EXPECT_FALSE(queue_.continuing(Kinds::kReads));
  std::vector<std::string> tenants;
  queue_.ForEach([&](const HeldWaiter&, std::string_view t) { tenants.emplace_back(t); });
  EXPECT_THAT(tenants, ElementsAre("a", "a"));
  EXPECT_THAT(PopAll(1s), ElementsAre(2, 1));
}

TEST_F(HoldQueueTest, ReadsAlone) {
  for (WaiterId id = 1; id <= 6; ++id) {
    HeldWaiter waiter = Waiter(id, id * 1ms);
    waiter.is_read = id % 2 == 0;
    EXPECT_TRUE(Push(waiter, id <= 3 ? "a" : "b"));
  }
  EXPECT_EQ(queue_.reads(), 3u);
  EXPECT_THAT(PopAll(1s, Kinds::kReads), ElementsAre(2, 4, 6));
  EXPECT_EQ(queue_.reads(), 0u);
  EXPECT_THAT(PopAll(1s), ElementsAre(1, 5, 3));
}

TEST_F(HoldQueueTest, RemovalAndExpiry) {
  for (WaiterId id = 1; id <= 4; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms)));
  EXPECT_EQ(queue_.next_deadline(), At(10'001ms));
  EXPECT_TRUE(queue_.Remove(1).has_value());
  EXPECT_FALSE(queue_.Remove(1).has_value());
  EXPECT_FALSE(queue_.PopExpired(At(10'001ms)).has_value());
  EXPECT_EQ(queue_.PopExpired(At(10'003ms))->id, 2u);
  EXPECT_EQ(queue_.PopExpired(At(10'003ms))->id, 3u);
  EXPECT_FALSE(queue_.PopExpired(At(10'003ms)).has_value());
  EXPECT_THAT(PopAll(10'003ms), ElementsAre(4));
}

TEST_F(HoldQueueTest, OneTenantMayFillIt) {
  for (WaiterId id = 1; id <= 10; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms)));
  EXPECT_FALSE(Push(Waiter(11, 11ms)));
  EXPECT_THAT(Evicted(), IsEmpty());
}

TEST_F(HoldQueueTest, AFloodGivesItsNewestUpForOthers) {
  for (WaiterId id = 1; id <= 10; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms), "flood"));
  for (WaiterId id = 11; id <= 15; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms), "b"));
  EXPECT_THAT(Evicted(), ElementsAre(10, 9, 8, 7, 6));
  EXPECT_FALSE(Push(Waiter(16, 16ms), "b"));  // an even share each
  EXPECT_FALSE(Push(Waiter(17, 17ms), "flood"));
  EXPECT_TRUE(Push(Waiter(18, 18ms), "c"));
  EXPECT_EQ(queue_.size(), 10u);
  EXPECT_EQ(Evicted().size(), 1u);
}

TEST_F(HoldQueueTest, BytesAreSharedToo) {
  EXPECT_TRUE(Push(Waiter(1, 1ms, 5'000), "large"));
  EXPECT_TRUE(Push(Waiter(2, 2ms, 4'000), "large"));
  EXPECT_FALSE(Push(Waiter(3, 3ms, 2'000), "large"));
  EXPECT_TRUE(Push(Waiter(4, 4ms, 2'000), "b"));
  EXPECT_THAT(Evicted(), ElementsAre(2));
  EXPECT_FALSE(Push(Waiter(5, 5ms, 10'001), "c"));  // never
  EXPECT_FALSE(Push(Waiter(6, 6ms, 9'000), "c"));   // more than the largest would have left
  EXPECT_THAT(Evicted(), IsEmpty());
  EXPECT_EQ(queue_.bytes(), 7'000u);
}

TEST_F(HoldQueueTest, NobodyGivesUpForOneWhoGetsNoPlace) {
  EXPECT_TRUE(Push(Waiter(1, 1ms, 3'000), "a"));
  EXPECT_TRUE(Push(Waiter(2, 2ms, 3'000), "a"));
  EXPECT_TRUE(Push(Waiter(3, 3ms, 4'000), "b"));
  EXPECT_FALSE(Push(Waiter(4, 4ms, 5'000), "c"));  // 3000 are not enough, and then "a" has less
  EXPECT_THAT(Evicted(), IsEmpty());
  EXPECT_EQ(queue_.size(), 3u);
}

TEST(HoldQueueLimitsTest, OneIsNotWorthTooManyOthers) {
  HoldQueueRules rules;
  rules.max_bytes = 10'000;
  HoldQueue queue(rules, nullptr);
  std::vector<HeldWaiter> evicted;
  for (WaiterId id = 1; id <= 200; ++id) {
    EXPECT_TRUE(queue.Push(Waiter(id, 1ms, 50), "flood", &evicted));
  }
  EXPECT_FALSE(queue.Push(Waiter(201, 2ms, 4'000), "a", &evicted));  // 80
  EXPECT_TRUE(evicted.empty());
  EXPECT_TRUE(queue.Push(Waiter(202, 2ms, 3'000), "a", &evicted));
  EXPECT_EQ(evicted.size(), 60u);
}

TEST_F(HoldQueueTest, BacklogIsWhatWasThere) {
  for (WaiterId id = 1; id <= 3; ++id) EXPECT_TRUE(Push(Waiter(id, id * 1ms)));
  queue_.MarkBacklog();
  EXPECT_TRUE(Push(Waiter(4, 0ms)));  // came later, though it has waited longer
  EXPECT_EQ(queue_.backlog(), 3u);
  EXPECT_TRUE(queue_.Remove(4).has_value());
  EXPECT_TRUE(queue_.Remove(2).has_value());
  EXPECT_EQ(queue_.backlog(), 2u);
  (void)PopAll(1s);
  EXPECT_EQ(queue_.backlog(), 0u);
}

TEST_F(HoldQueueTest, RemoveIfInTheOrderOfDeadlines) {
  for (WaiterId id = 1; id <= 6; ++id) {
    HeldWaiter waiter = Waiter(id, (10 - id) * 1ms);
    waiter.rejects = id % 2 == 1;
    EXPECT_TRUE(Push(waiter, "t" + std::to_string(id)));
  }
  std::vector<WaiterId> ids;
  for (const HeldWaiter& w : queue_.RemoveIf([](const HeldWaiter& w) { return w.rejects; })) {
    ids.push_back(w.id);
  }
  EXPECT_THAT(ids, ElementsAre(5, 3, 1));
  EXPECT_EQ(queue_.size(), 3u);
}

// A tenant whose arrivals and departures are given, a step each 100 ms.
class SojournTest : public testing::Test {
 protected:
  SojournTest() : queue_(HoldQueueRules{}, nullptr) {}
  void Step(int arrive, int depart) {
    now_ += 100ms;
    for (int i = 0; i < arrive; ++i) {
      ASSERT_TRUE(queue_.Push(Waiter(++last_, now_ - At(0s)), "a", &evicted_));
    }
    while (queue_.PopExpired(now_)) ++expired_;
    for (int i = 0; i < depart; ++i) {
      if (auto waiter = queue_.Pop(Kinds::kAll, now_)) {
        age_ = now_ - waiter->since;
        ages_.push_back(age_);
      }
    }
  }
  HoldQueue queue_;
  std::vector<HeldWaiter> evicted_;
  MonoTime now_ = At(0s);
  WaiterId last_ = 0;
  int expired_ = 0;
  Duration age_{};
  std::vector<Duration> ages_;
};

TEST_F(SojournTest, AShrinkingBacklogStaysOldestFirst) {
  for (int i = 0; i < 90; ++i) Step(10, 0);
  queue_.BeginPopping();
  Duration before = 10s;
  while (queue_.size() > 20) {
    Step(10, 20);
    ASSERT_LE(age_, before);  // each is younger than the one before it: oldest first
    before = age_;
  }
  EXPECT_EQ(expired_, 0);
}

TEST_F(SojournTest, AGrowingBacklogTurnsToTheNewest) {
  for (int i = 0; i < 60; ++i) Step(10, 0);
  queue_.BeginPopping();
  for (int i = 0; i < 19; ++i) {
    Step(10, 8);
    EXPECT_GE(age_, 4s);  // one interval of patience
  }
  for (int i = 0; i < 5; ++i) Step(10, 8);
  ages_.clear();
  for (int i = 0; i < 100; ++i) Step(10, 8);
  for (const Duration age : ages_) ASSERT_LE(age, 200ms);  // who is served, is served at once
  EXPECT_GT(expired_, 0);
  // The load goes away: the rest is drained, and then it is oldest first again.
  while (!queue_.empty()) Step(0, 8);
  for (int i = 0; i < 4; ++i) Step(10, 0);
  Step(0, 1);
  EXPECT_EQ(age_, 400ms);
}

TEST_F(SojournTest, NeverTheNewestBelowTheLimit) {
  for (int i = 0; i < 300; ++i) {
    Step(10, 10);  // keeps up, after the first 4 s
    if (i == 0) {
      for (int k = 0; k < 40; ++k) Step(10, 0);
    }
  }
  EXPECT_GE(age_, 3900ms);
  EXPECT_EQ(expired_, 0);
}

TEST(HoldTotalsTest, EachShardHasAReserve) {
  HoldTotals totals(100, 1'000'000);
  HoldQueue a(HoldQueueRules{}, &totals);
  HoldQueue b(HoldQueueRules{}, &totals);
  std::vector<HeldWaiter> evicted;
  WaiterId id = 0;
  int in_a = 0;
  while (a.Push(Waiter(++id, 1ms), "a", &evicted)) ++in_a;
  EXPECT_EQ(in_a, 75);  // all but the other's reserve
  int in_b = 0;
  while (b.Push(Waiter(++id, 1ms), "b", &evicted)) ++in_b;
  EXPECT_EQ(in_b, 25);
  EXPECT_EQ(totals.statements(), 100u);
  EXPECT_EQ(totals.bytes(), 10'000u);
  {
    HoldQueue c(HoldQueueRules{}, &totals);  // comes late: the cap holds, its turn comes
    EXPECT_FALSE(c.Push(Waiter(++id, 1ms), "c", &evicted));
    for (int i = 0; i < 16; ++i) (void)a.Pop(Kinds::kAll, At(1s));
    EXPECT_FALSE(a.Push(Waiter(++id, 1ms), "a", &evicted));
    EXPECT_TRUE(c.Push(Waiter(++id, 1ms), "c", &evicted));
    EXPECT_EQ(totals.statements(), 85u);
  }
  EXPECT_EQ(totals.statements(), 84u);
  EXPECT_TRUE(evicted.empty());
}

TEST(HoldTotalsTest, WithinAShardTheFloodMakesPlace) {
  HoldTotals totals(10, 1'000'000);
  HoldQueue a(HoldQueueRules{}, &totals);
  std::vector<HeldWaiter> evicted;
  for (WaiterId id = 1; id <= 10; ++id)
    EXPECT_TRUE(a.Push(Waiter(id, id * 1ms), "flood", &evicted));
  EXPECT_TRUE(a.Push(Waiter(11, 11ms), "b", &evicted));
  ASSERT_EQ(evicted.size(), 1u);
  EXPECT_EQ(evicted[0].id, 10u);
  EXPECT_EQ(totals.statements(), 10u);
}

}  // namespace
}  // namespace bulkhead::routing
