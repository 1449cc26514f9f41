// The gate with its queue and its ramp against a simulated shard: random runs by seed, and the
// recoveries that PRODUCT.md promises.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "tests/routing/gate_world.h"

namespace bulkhead::routing {
namespace {

using namespace std::chrono_literals;
using testing::IsEmpty;

WorldOptions RandomOptions(uint64_t seed) {
  std::mt19937_64 random(seed * 7919);
  const auto upto = [&](uint64_t n) { return random() % n; };
  const auto part = [&](double most) { return most * static_cast<double>(upto(1000)) / 1000; };
  WorldOptions o;
  o.seed = seed;
  o.rules.max_wait = 500ms + upto(5000) * 1ms;
  o.rules.outage_limit = upto(20'000) * 1ms;
  o.rules.max_statements = static_cast<uint32_t>(20 + upto(3000));
  o.rules.max_bytes = 2000 + upto(300'000);
  o.rules.max_statement_bytes = 150;
  o.rules.ramp.initial = static_cast<uint32_t>(1 + upto(8));
  o.rules.ramp.limit = static_cast<uint32_t>(8 + upto(64));
  o.rules.policy = static_cast<HoldPolicy>(upto(3));
  o.arrivals_per_second.clear();
  for (uint64_t n = 1 + upto(12); n > 0; --n) {
    o.arrivals_per_second.push_back(static_cast<double>(upto(n == 1 ? 1500 : 100)));
  }
  if (upto(2) == 0) o.rules.sojourn_limit = o.rules.max_wait / (2 + upto(5));
  o.cores = static_cast<double>(2 + upto(15));
  o.work_ms = 1 + part(9);
  o.continuing = part(0.1);
  o.leaving = part(0.5);
  o.rejecting = part(0.2);
  o.replica_ok = part(0.5);
  o.earlier = part(0.2);
  return o;
}

void RandomEvent(GateWorld* world) {
  constexpr GateEffect kEffects[] = {GateEffect::kServe,       GateEffect::kServe,
                                     GateEffect::kHold,        GateEffect::kApplyPolicy,
                                     GateEffect::kApplyPolicy, GateEffect::kHoldWrites,
                                     GateEffect::kShed};
  constexpr GateOperator kOrders[] = {GateOperator::kNone,  GateOperator::kNone,
                                      GateOperator::kHold,  GateOperator::kReject,
                                      GateOperator::kDrain, GateOperator::kServe};
  switch (world->random(8)) {
    case 0:
      world->Order(kOrders[world->random(6)], world->now() + world->random(3000) * 1ms);
      break;
    case 1:
      world->Replica(world->Chance(0.5) ? BackendId{2, 0} : BackendId{});
      break;
    case 2:
      world->SetSlowness(1 + static_cast<double>(world->random(10)));
      break;
    default: {
      const GateEffect effect = kEffects[world->random(7)];
      world->Health(effect, static_cast<uint32_t>(world->random(20)));
      world->Freeze(effect == GateEffect::kApplyPolicy);
      break;
    }
  }
}

// First anything may happen; then all is well again and everything must come back.
TEST(ShardGateRandomTest, KeepsItsPromises) {
  uint64_t newest_first = 0;
  uint64_t refused[4] = {};
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    HoldTotals totals(1500, 150'000);
    GateWorld world(RandomOptions(seed), &totals);
    WorldOptions sibling = RandomOptions(seed + 1'000'000);
    GateWorld other(sibling, &totals);
    for (int i = 0; i < 15; ++i) {
      RandomEvent(&world);
      if (i % 3 == 0) RandomEvent(&other);
      const uint64_t steps = 1 + world.random(2500);
      for (uint64_t s = 0; s < steps; ++s) {
        world.Step();
        other.Step();
      }
      ASSERT_THAT(world.complaints(), IsEmpty());
      ASSERT_THAT(other.complaints(), IsEmpty());
    }
    world.Order(GateOperator::kNone, kMonoNever);
    world.Freeze(false);
    world.SetSlowness(1);
    world.Health(GateEffect::kServe);
    world.SetArrivals(std::vector<double>(sibling.arrivals_per_second.size() + 20, 0.0));
    world.Run(30s);
    ASSERT_THAT(world.complaints(), IsEmpty());
    EXPECT_EQ(world.gate().queue().size(), 0u);
    EXPECT_EQ(world.running(), 0u);
    EXPECT_EQ(world.gate().notice().mode, GateMode::kServing);
    EXPECT_EQ(world.gate().NextDeadline(), kMonoNever);
    newest_first += world.newest_first();
    for (uint16_t code = 0; code < 4; ++code) refused[code] += world.refused(9401 + code);
  }
  // The runs reach what they are to check.
  EXPECT_GT(newest_first, 1000u);
  for (const uint64_t count : refused) EXPECT_GT(count, 200u);
}

// About 5,000 statements are held, half of the server's capacity goes on coming.
WorldOptions Recovery() {
  WorldOptions o;
  o.rules.max_statements = 20'000;
  o.rules.max_bytes = uint64_t{64} << 20;
  o.arrivals_per_second = {1600};
  o.rules.ramp.limit = 128;
  o.connections = 128;
  o.thrash_above = 40;  // with all 128 it does less than what comes, and never recovers
  return o;
}

void HoldFor(GateWorld* world, Duration time) {
  world->Health(GateEffect::kServe);
  world->Run(2s);
  world->gate().SetBaseline(5ms);
  world->Freeze(true);
  world->Health(GateEffect::kHold);
  world->Run(2s);
  world->Health(GateEffect::kApplyPolicy);
  world->Run(time - 2500ms);
  if (time > 10s) world->KillRunning();
  world->Freeze(false);
  world->Health(GateEffect::kHold);  // recovering
  world->Run(500ms);
  world->Health(GateEffect::kServe);
}

TEST(ShardGateRecoveryTest, FiveThousandHeldAreNoSecondOutage) {
  GateWorld world(Recovery(), nullptr);
  HoldFor(&world, 3125ms);
  EXPECT_GT(world.gate().queue().size(), 4800u);
  EXPECT_LE(world.running(), 4u + 128u);
  world.Run(1s);
  EXPECT_LE(world.most_reported(), 128u);  // the first second doesn't exceed the limit
  world.Run(3s);
  const uint64_t before = world.done();
  world.Run(1s);
  EXPECT_GE(world.done() - before, 1600u * 8 / 10);  // goodput within 5 s
  world.Run(10s);
  EXPECT_EQ(world.gate().notice().mode, GateMode::kServing);
  for (uint16_t code = 9401; code <= 9404; ++code) EXPECT_EQ(world.refused(code), 0u) << code;
  EXPECT_THAT(world.complaints(), IsEmpty());
}

TEST(ShardGateRecoveryTest, WithColdCaches) {
  GateWorld world(Recovery(), nullptr);
  HoldFor(&world, 3125ms);
  for (double slowness = 8; slowness > 1; slowness -= 0.7) {
    world.SetSlowness(slowness);
    world.Run(250ms);
  }
  world.SetSlowness(1);
  EXPECT_LE(world.most_reported(), 128u);
  world.Run(1500ms);
  const uint64_t before = world.done();
  world.Run(1s);
  EXPECT_GE(world.done() - before, 1600u * 8 / 10);
  world.Run(20s);
  EXPECT_EQ(world.gate().notice().mode, GateMode::kServing);
  for (uint16_t code = 9401; code <= 9404; ++code) EXPECT_EQ(world.refused(code), 0u) << code;
  EXPECT_THAT(world.complaints(), IsEmpty());
}

// A server that warms up while too much runs at once: it must not stay there.
TEST(ShardGateRecoveryTest, FindsWhereTheServerDoesMost) {
  WorldOptions o = Recovery();
  o.thrash_above = 20;
  GateWorld world(o, nullptr);
  HoldFor(&world, 3125ms);
  const uint64_t before = world.done();
  for (double slowness = 8; slowness > 1; slowness -= 0.7) {
    world.SetSlowness(slowness);
    world.Run(250ms);
  }
  world.SetSlowness(1);
  world.Run(2500ms);
  EXPECT_GE(world.done() - before, 8000u);  // it is below 7,000 without going back to the peak
  EXPECT_THAT(world.complaints(), IsEmpty());
}

TEST(ShardGateRecoveryTest, AnHourOfOutageCostsOnlyWhatItMust) {
  GateWorld world(Recovery(), nullptr);
  HoldFor(&world, 65s);  // longer than outage_limit: refused at once, only the end is held
  EXPECT_GT(world.refused(9401), 0u);
  EXPECT_GT(world.refused(9403), 0u);
  const uint64_t given_up = world.refused(9401) + world.refused(9403);
  world.Run(20s);
  // Since it is back, only some who had a few milliseconds left when the ramp began.
  EXPECT_LE(world.refused(9401) + world.refused(9403), given_up + 100);
  EXPECT_EQ(world.gate().notice().mode, GateMode::kServing);
  EXPECT_THAT(world.complaints(), IsEmpty());
}

TEST(ShardGateRecoveryTest, AFloodDoesNotDelayItsNeighbours) {
  WorldOptions o = Recovery();
  o.rules.max_statements = 5000;
  o.arrivals_per_second = {900, 20, 20, 20};
  GateWorld world(o, nullptr);
  world.Health(GateEffect::kServe);
  world.Run(1s);
  world.SetArrivals({3000, 20, 20, 20});  // the first one alone fills the queue
  world.Freeze(true);
  world.Health(GateEffect::kApplyPolicy);
  world.Run(6s);
  world.Freeze(false);
  world.Health(GateEffect::kServe);
  for (size_t tenant = 1; tenant < 4; ++tenant) EXPECT_EQ(world.refused_of(tenant), 0u);
  EXPECT_GT(world.refused_of(0), 1000u);
  const uint64_t before = world.done_of(1);
  world.Run(1s);
  EXPECT_GE(world.done_of(1) - before, 120u);  // all of its own that were held
  world.Run(20s);
  for (size_t tenant = 1; tenant < 4; ++tenant) EXPECT_EQ(world.refused_of(tenant), 0u);
  EXPECT_THAT(world.complaints(), IsEmpty());
}

TEST(ShardGateRecoveryTest, OverloadedForGoodItServesTheNewest) {
  WorldOptions o = Recovery();
  o.arrivals_per_second = {4000};  // a quarter more than it can do
  o.rules.max_statements = 60'000;
  o.thrash_above = 1e9;
  o.rules.ramp.max_duration = 3600s;
  GateWorld world(o, nullptr);
  HoldFor(&world, 8s);
  world.Run(20s);
  EXPECT_GT(world.newest_first(), 10'000u);
  const uint64_t before = world.done();
  world.Run(10s);
  EXPECT_GE(world.done() - before, 10 * 3200u * 8 / 10);
  EXPECT_THAT(world.complaints(), IsEmpty());
}

TEST(ShardGateRecoveryTest, TwentyThawsInARow) {
  WorldOptions o = Recovery();
  o.rules.max_wait = 30s;
  GateWorld world(o, nullptr);
  for (int i = 0; i < 20; ++i) {
    HoldFor(&world, 3s);
    world.Run(i * 20ms);  // in mid-ramp, too
  }
  world.Run(40s);
  EXPECT_EQ(world.gate().queue().size(), 0u);
  EXPECT_EQ(world.gate().notice().mode, GateMode::kServing);
  EXPECT_THAT(world.complaints(), IsEmpty());
}

}  // namespace
}  // namespace bulkhead::routing
