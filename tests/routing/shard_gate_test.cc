#include "routing/shard_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = GateAction::Kind;

class ShardGateTest : public testing::Test {
 protected:
  ShardGateTest()
      : totals_(100'000, uint64_t{1} << 30), gate_(ShardId{1, 0}, "s2", {}, &totals_, now_) {}

  static constexpr MonoTime kStart = MonoTime{} + 1000s;

  void After(Duration d) {
    const MonoTime end = now_ + d;
    while (gate_.NextDeadline() <= end) {
      now_ = std::max(now_, gate_.NextDeadline());
      gate_.Tick(now_, &actions_);
    }
    now_ = end;
  }
  void Health(GateEffect effect, std::string words = "is down since 06:49:12Z") {
    gate_.SetHealth({effect, now_, std::move(words), 0}, now_, &actions_);
  }
  void Order(GateOperator order, MonoTime until = kMonoNever) {
    gate_.SetOrder({order, until, ""}, now_, &actions_);
  }
  GateRequest Request(WaiterId id, bool is_read = false) const {
    GateRequest r;
    r.waiter = id;
    r.worker = 7;
    r.tenant = "acme";
    r.bytes = 100;
    r.is_read = is_read;
    return r;
  }
  void Enqueue(const GateRequest& request) { gate_.Enqueue(request, now_, &actions_); }
  void Enqueue(WaiterId id, bool is_read = false) { Enqueue(Request(id, is_read)); }
  // "R1", "P1" (replica), "9401:1"; and clears them.
  std::vector<std::string> Said() {
    std::vector<std::string> said;
    for (const GateAction& a : actions_) {
      const std::string id = std::to_string(a.waiter);
      said.push_back(a.kind == Kind::kRelease            ? "R" + id
                     : a.kind == Kind::kReleaseToReplica ? "P" + id
                                                         : std::to_string(a.code) + ":" + id);
    }
    actions_.clear();
    const GateCounters& c = gate_.counters();
    EXPECT_EQ(c.reads.enqueued + c.writes.enqueued, c.reads.released + c.writes.released +
                                                        c.reads.all_refused() +
                                                        c.writes.all_refused() + c.reads.cancelled +
                                                        c.writes.cancelled + gate_.queue().size());
    return said;
  }

  MonoTime now_ = kStart;
  HoldTotals totals_;
  ShardGate gate_;
  ShardGate::Actions actions_;
};

TEST_F(ShardGateTest, StartsHoldingAndServesOnceItsBackendIsUp) {
  EXPECT_EQ(gate_.notice().mode, GateMode::kAsk);
  EXPECT_GT(gate_.notice().version, 0u);
  Enqueue(1);
  EXPECT_THAT(Said(), IsEmpty());
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R1"));
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
  Enqueue(2);  // asked just before it heard
  EXPECT_THAT(Said(), ElementsAre("R2"));
}

TEST_F(ShardGateTest, ASuspicionHoldsAndIsNoOutage) {
  Health(GateEffect::kServe);
  Health(GateEffect::kHold, "is suspect");
  EXPECT_EQ(gate_.notice().mode, GateMode::kAsk);
  EXPECT_FALSE(gate_.outage_since().has_value());
  GateRequest impatient = Request(1);
  impatient.policy = HoldPolicy::kReject;
  Enqueue(impatient);
  Enqueue(2, true);
  After(500ms);
  EXPECT_THAT(Said(), IsEmpty());
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R1", "R2"));  // all at once: nothing is cold
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
  EXPECT_FALSE(gate_.ramp().active());
}

TEST_F(ShardGateTest, DownRefusesTheTenantsThatWantThat) {
  Health(GateEffect::kHold, "is suspect");
  GateRequest impatient = Request(1);
  impatient.policy = HoldPolicy::kReject;
  Enqueue(impatient);
  Enqueue(2);
  After(2s);
  gate_.SetHealth({GateEffect::kApplyPolicy, kStart, "is down since 06:49:12Z", 0}, now_,
                  &actions_);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_EQ(actions_[0].reason, "shard s2 is down since 06:49:12Z");
  EXPECT_GE(actions_[0].retry_after_ms, 1000u);
  EXPECT_LT(actions_[0].retry_after_ms, 2000u);
  EXPECT_EQ(actions_[0].worker, 7u);
  EXPECT_THAT(Said(), ElementsAre("9401:1"));
  EXPECT_EQ(gate_.outage_since(), kStart);
  impatient.waiter = 3;
  Enqueue(impatient);
  EXPECT_THAT(Said(), ElementsAre("9401:3"));
}

TEST_F(ShardGateTest, AShardThatRejectsMayHaveTenantsThatHold) {
  GateRules rules;
  rules.policy = HoldPolicy::kReject;
  gate_.SetRules(rules, now_, &actions_);
  Health(GateEffect::kApplyPolicy);
  Enqueue(1);
  GateRequest patient = Request(2);
  patient.policy = HoldPolicy::kHold;
  Enqueue(patient);
  EXPECT_THAT(Said(), ElementsAre("9401:1"));
  EXPECT_EQ(gate_.queue().size(), 1u);
}

TEST_F(ShardGateTest, HeldNoLongerThanMaxWait) {
  Health(GateEffect::kApplyPolicy);
  Enqueue(1);
  After(3s);
  GateRequest earlier = Request(2);
  earlier.since = now_ - 5s;  // held before, elsewhere
  Enqueue(earlier);
  After(4999ms);
  EXPECT_THAT(Said(), IsEmpty());
  After(1ms);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_THAT(actions_[0].reason, HasSubstr("held for 10000 ms"));
  EXPECT_THAT(Said(), ElementsAre("9403:2"));
  After(2s);
  EXPECT_THAT(Said(), ElementsAre("9403:1"));
  earlier.waiter = 3;
  earlier.since = now_ - 10s;
  Enqueue(earlier);
  EXPECT_THAT(Said(), ElementsAre("9403:3"));
}

TEST_F(ShardGateTest, AnOutageOlderThanItsLimitHoldsNothingNew) {
  Health(GateEffect::kApplyPolicy);
  After(59s);
  Enqueue(1);
  After(1001ms);
  Enqueue(2);
  EXPECT_THAT(Said(), ElementsAre("9401:2"));  // what waits keeps its window
  Health(GateEffect::kHold, "is recovering");
  Enqueue(3);
  EXPECT_THAT(Said(), IsEmpty());  // it will be back in a moment
  Health(GateEffect::kApplyPolicy);
  Enqueue(4);
  EXPECT_THAT(Said(), ElementsAre("9401:4"));  // the same outage
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R1", "R3"));
  Health(GateEffect::kApplyPolicy);
  Enqueue(5);
  EXPECT_THAT(Said(), IsEmpty());  // another outage
}

TEST_F(ShardGateTest, ReadsGoOnWhereOnlyWritesStall) {
  Health(GateEffect::kServe);
  Health(GateEffect::kHoldWrites, "does not commit");
  EXPECT_EQ(gate_.notice().mode, GateMode::kAskWrites);
  Enqueue(1, true);
  Enqueue(2);
  EXPECT_THAT(Said(), ElementsAre("R1"));
  After(10s);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_THAT(actions_[0].reason, HasSubstr("does not commit"));
  EXPECT_THAT(Said(), ElementsAre("9403:2"));
}

TEST_F(ShardGateTest, FromDownToWritesStalledLetsTheReadsGo) {
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 6; ++id) Enqueue(id, id % 2 == 0);
  Health(GateEffect::kHoldWrites);
  EXPECT_THAT(Said(), ElementsAre("R2", "R4", "R6"));
  EXPECT_EQ(gate_.notice().mode, GateMode::kAsk);  // the ramp paces them
  for (WaiterId id : {2, 4, 6}) gate_.Finished(id, 5ms, true, now_, &actions_);
  After(1100ms);
  EXPECT_EQ(gate_.notice().mode, GateMode::kAskWrites);
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R1", "R3", "R5"));
  After(1100ms);
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
}

TEST_F(ShardGateTest, AfterAnOutageTheRampPaces) {
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 10; ++id) Enqueue(id);
  Health(GateEffect::kHold, "is recovering");
  Health(GateEffect::kServe);
  ASSERT_EQ(actions_.size(), 4u);
  EXPECT_TRUE(actions_[0].report);
  EXPECT_THAT(Said(), ElementsAre("R1", "R2", "R3", "R4"));
  EXPECT_EQ(gate_.notice().mode, GateMode::kAsk);
  EXPECT_GT(gate_.notice().connects_per_second, 0);
  Enqueue(11);
  EXPECT_THAT(Said(), IsEmpty());  // behind the others
  gate_.Finished(1, 5ms, true, now_, &actions_);
  EXPECT_THAT(Said(), ElementsAre("R5"));
  EXPECT_TRUE(gate_.Cancel(2, now_, &actions_));  // its client is gone while it ran
  EXPECT_THAT(Said(), ElementsAre("R6"));
  EXPECT_TRUE(gate_.Cancel(8, now_, &actions_));  // while it waited
  EXPECT_FALSE(gate_.Cancel(8, now_, &actions_));
  EXPECT_EQ(gate_.counters().writes.cancelled, 1u);
  for (WaiterId id : {3, 4, 5, 6}) gate_.Finished(id, 5ms, true, now_, &actions_);
  EXPECT_THAT(Said(), ElementsAre("R7", "R9", "R10", "R11"));
  for (WaiterId id : {7, 9, 10, 11}) gate_.Finished(id, 5ms, true, now_, &actions_);
  After(1100ms);
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
  EXPECT_EQ(gate_.notice().connects_per_second, 0);
  EXPECT_EQ(gate_.notice().text, "");
  gate_.Finished(11, 5ms, true, now_, &actions_);  // late: ignored
  Enqueue(12);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_FALSE(actions_[0].report);
}

TEST_F(ShardGateTest, TheRampLastsWhileSomeWaitFromBefore) {
  GateRules rules;
  rules.ramp.limit = 4;  // at its limit from the start, and nothing ends
  gate_.SetRules(rules, now_, &actions_);
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 100; ++id) Enqueue(id);
  Health(GateEffect::kServe);
  After(9s);
  EXPECT_EQ(Said().size(), 4u);
  EXPECT_EQ(gate_.notice().mode, GateMode::kAsk);
}

TEST_F(ShardGateTest, AfterTheRampASuspicionIsAMereSuspicionAgain) {
  Health(GateEffect::kApplyPolicy);
  Health(GateEffect::kServe);
  EXPECT_TRUE(gate_.ramp().active());  // clients come back all at once
  After(1100ms);
  EXPECT_FALSE(gate_.ramp().active());
  Health(GateEffect::kHold, "is suspect");
  for (WaiterId id = 1; id <= 10; ++id) Enqueue(id);
  Health(GateEffect::kServe);
  EXPECT_EQ(Said().size(), 10u);
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
}

TEST_F(ShardGateTest, WithRoomInTheRampNoPlaceToWaitIsNeeded) {
  GateRules rules;
  rules.max_statements = 0;
  gate_.SetRules(rules, now_, &actions_);
  Health(GateEffect::kApplyPolicy);
  Health(GateEffect::kServe);
  for (WaiterId id = 1; id <= 5; ++id) Enqueue(id);
  EXPECT_THAT(Said(), ElementsAre("R1", "R2", "R3", "R4", "9402:5"));
  EXPECT_EQ(gate_.counters().waited, 0u);
}

TEST_F(ShardGateTest, OneThatIsTooLatePushesNobodyOut) {
  GateRules rules;
  rules.max_statements = 2;
  gate_.SetRules(rules, now_, &actions_);
  Enqueue(1);
  Enqueue(2);
  GateRequest late = Request(3);
  late.tenant = "globex";
  late.since = now_ - 10s;
  Enqueue(late);
  EXPECT_THAT(Said(), ElementsAre("9403:3"));
}

TEST_F(ShardGateTest, DownAgainInMidRelease) {
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 10; ++id) Enqueue(id);
  Health(GateEffect::kServe);
  EXPECT_EQ(Said().size(), 4u);
  Health(GateEffect::kHold, "is suspect");
  gate_.Finished(1, 5ms, true, now_, &actions_);
  After(500ms);
  EXPECT_THAT(Said(), IsEmpty());
  EXPECT_EQ(gate_.queue().size(), 6u);
  Health(GateEffect::kServe);
  EXPECT_EQ(Said().size(), 1u);  // three of the first four still run
  After(9s);
  EXPECT_EQ(gate_.queue().size(), 0u);
}

TEST_F(ShardGateTest, AnOpenTransactionGoesFirstAndNeedsNoPlace) {
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 6; ++id) Enqueue(id);
  GateRequest continuing = Request(7);
  continuing.continues_transaction = true;
  Enqueue(continuing);
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R7", "R1", "R2", "R3", "R4"));
  continuing.waiter = 8;
  Enqueue(continuing);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_FALSE(actions_[0].report);
  EXPECT_THAT(Said(), ElementsAre("R8"));
}

TEST_F(ShardGateTest, TooLongToBeHeld) {
  Health(GateEffect::kHold, "is suspect");
  GateRequest large = Request(1);
  large.bytes = (64 << 10) + 1;
  Enqueue(large);
  EXPECT_THAT(Said(), ElementsAre("9402:1"));
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 2; id <= 10; ++id) Enqueue(id);
  Health(GateEffect::kServe);
  EXPECT_EQ(Said().size(), 4u);
  large.waiter = 11;
  Enqueue(large);
  EXPECT_THAT(Said(), ElementsAre("R11"));  // it can't wait, but the shard serves
}

TEST_F(ShardGateTest, FullRefusesAndMakesPlaceForOthers) {
  GateRules rules;
  rules.max_statements = 4;
  gate_.SetRules(rules, now_, &actions_);
  Health(GateEffect::kApplyPolicy);
  for (WaiterId id = 1; id <= 5; ++id) Enqueue(id);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_THAT(actions_[0].reason, HasSubstr("hold queue is full"));
  EXPECT_THAT(Said(), ElementsAre("9402:5"));
  GateRequest other = Request(6);
  other.tenant = "globex";
  Enqueue(other);
  EXPECT_THAT(Said(), ElementsAre("9402:4"));
  EXPECT_EQ(gate_.counters().writes.refused[1], 2u);
}

TEST_F(ShardGateTest, SaturatedSheds) {
  Health(GateEffect::kServe);
  gate_.SetHealth({GateEffect::kShed, now_, "has too many connections", 2}, now_, &actions_);
  for (WaiterId id = 1; id <= 3; ++id) Enqueue(id);
  EXPECT_THAT(Said(), ElementsAre("R1", "R2", "9401:3"));
  gate_.Finished(1, 5ms, true, now_, &actions_);
  Enqueue(4);
  EXPECT_THAT(Said(), ElementsAre("R4"));
  EXPECT_FALSE(gate_.outage_since().has_value());
  Health(GateEffect::kServe);
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);
}

TEST_F(ShardGateTest, ReadsThatAReplicaWillDoFor) {
  const BackendId replica{3, 1};
  GateRequest read = Request(1, true);
  read.plain_read = true;
  read.policy = HoldPolicy::kReplica;
  Health(GateEffect::kHold, "is suspect");
  gate_.SetReplica(replica, now_, &actions_);
  Enqueue(read);
  EXPECT_THAT(Said(), IsEmpty());  // a suspicion ends in a moment
  Health(GateEffect::kApplyPolicy);
  ASSERT_EQ(actions_.size(), 1u);
  EXPECT_EQ(actions_[0].replica, replica);
  EXPECT_THAT(Said(), ElementsAre("P1"));
  read.waiter = 2;
  Enqueue(read);
  Enqueue(3, true);  // the shard's policy is another
  GateRequest locking = Request(6, true);
  locking.policy = HoldPolicy::kReplica;
  Enqueue(locking);
  EXPECT_THAT(Said(), ElementsAre("P2"));
  Health(GateEffect::kHold, "is recovering");
  read.waiter = 4;
  Enqueue(read);
  EXPECT_THAT(Said(), ElementsAre("P4"));
  gate_.SetReplica({}, now_, &actions_);  // lags
  read.waiter = 5;
  Enqueue(read);
  EXPECT_THAT(Said(), IsEmpty());
  gate_.SetReplica(replica, now_, &actions_);
  EXPECT_THAT(Said(), ElementsAre("P5"));
  EXPECT_EQ(gate_.counters().reads.to_replica, 4u);
}

TEST_F(ShardGateTest, Operators) {
  Health(GateEffect::kServe);
  Order(GateOperator::kHold, now_ + 5s);
  EXPECT_EQ(gate_.notice().text, "shard s2 is held by an operator");
  Enqueue(1, true);
  EXPECT_THAT(Said(), IsEmpty());
  After(5s);  // FOR '5s'
  EXPECT_THAT(Said(), ElementsAre("R1"));
  EXPECT_EQ(gate_.notice().mode, GateMode::kServing);

  // What was begun before may end, as far as the backend is well.
  Order(GateOperator::kDrain);
  Enqueue({.waiter = 20, .bytes = 10, .continues_transaction = true});
  EXPECT_THAT(Said(), ElementsAre("R20"));
  Health(GateEffect::kHold);
  Enqueue({.waiter = 21, .bytes = 10, .continues_transaction = true});
  EXPECT_THAT(Said(), IsEmpty());
  Health(GateEffect::kServe);
  EXPECT_THAT(Said(), ElementsAre("R21"));

  // Unless the server they were begun on is being left.
  gate_.SetOrder({.order = GateOperator::kDrain, .transactions_too = true}, now_, &actions_);
  Enqueue({.waiter = 22, .bytes = 10, .continues_transaction = true});
  EXPECT_THAT(Said(), IsEmpty());
  Order(GateOperator::kDrain);
  EXPECT_THAT(Said(), ElementsAre("R22"));

  Enqueue(2);
  After(10s);
  EXPECT_THAT(Said(), ElementsAre("9404:2"));
  Enqueue(3);
  Order(GateOperator::kReject);
  Enqueue(4);
  EXPECT_THAT(Said(), ElementsAre("9401:3", "9401:4"));
  Order(GateOperator::kHold);
  Health(GateEffect::kApplyPolicy);
  After(100s);
  Enqueue(5);
  EXPECT_THAT(Said(), IsEmpty());  // held, though the outage is older than its limit
  Order(GateOperator::kServe);     // RELEASE ... FORCE
  EXPECT_THAT(Said(), ElementsAre("R5"));
  Order(GateOperator::kNone);
  Enqueue(6);
  EXPECT_THAT(Said(), ElementsAre("9401:6"));
}

TEST_F(ShardGateTest, TheNoticeChangesOnlyWhenSomethingDoes) {
  Health(GateEffect::kServe);
  const uint64_t version = gate_.notice().version;
  for (WaiterId id = 1; id <= 5; ++id) Enqueue(id);
  Health(GateEffect::kServe);
  After(60s);
  EXPECT_EQ(gate_.notice().version, version);
  Health(GateEffect::kHold);
  EXPECT_EQ(gate_.notice().version, version + 1);
}

TEST_F(ShardGateTest, ADroppedShardRefusesAll) {
  Enqueue(1);
  Enqueue(2);
  gate_.Close(now_, &actions_);
  EXPECT_EQ(actions_[0].reason, "shard s2 no longer exists");
  EXPECT_THAT(Said(), ElementsAre("9401:1", "9401:2"));
  EXPECT_EQ(totals_.statements(), 0u);
}

TEST(GateRulesTest, AShardsOwnValues) {
  HoldOverrides own;
  own.max_wait = 30s;
  own.policy = HoldPolicy::kReject;
  const GateRules rules = GateRules::With(GateRules{}, own);
  EXPECT_EQ(rules.max_wait, 30s);
  EXPECT_EQ(rules.policy, HoldPolicy::kReject);
  EXPECT_EQ(rules.outage_limit, 60s);
}

}  // namespace
}  // namespace bulkhead::routing
