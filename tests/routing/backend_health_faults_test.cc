// The faults of the field, each as a timeline: when it is held, when it is down, what comes after.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/routing/backend_health_world.h"

namespace bulkhead::routing {
namespace {

using ::testing::HasSubstr;
using S = BackendState;

std::vector<S> Path(const World& w) {
  std::vector<S> path;
  for (const World::Change& c : w.changes) path.push_back(c.to);
  return path;
}

World Loaded(uint64_t seed = 1, HealthRules rules = {}) {
  World w(rules, BackendRole::kPrimary, seed);
  w.oltp = 16;
  w.writers = 4;
  w.Settle();
  w.Run(3000 + static_cast<int64_t>(seed * 37 % 1000));
  w.ForgetChanges();
  return w;
}

World Idle(uint64_t seed = 1) {
  World w({}, BackendRole::kPrimary, seed);
  w.Settle();
  w.Run(12'000 + static_cast<int64_t>(seed * 37 % 1000));
  w.ForgetChanges();
  return w;
}

TEST(BackendHealthFaults, SigstopUnderLoadIsHeldWithinASecondAndDownWithinThree) {
  int64_t worst_hold = 0;
  int64_t worst_down = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    World w = Loaded(seed);
    w.faults.frozen = true;
    const int64_t hold = w.RunUntil(S::kSuspect, 5000);
    const int64_t down = hold + w.RunUntil(S::kDown, 5000);
    ASSERT_GE(hold, 300) << seed;
    ASSERT_GE(down, 1500) << seed;
    worst_hold = std::max(worst_hold, hold);
    worst_down = std::max(worst_down, down);
    ASSERT_TRUE(w.give_ups.empty());
  }
  EXPECT_LE(worst_hold, 800);
  EXPECT_LE(worst_down, 2200);
}

TEST(BackendHealthFaults, SigstopUnderLoadSaysWhyAndGivesUpAfterTheGraceAndComesBack) {
  World w = Loaded();
  const int64_t frozen_at = w.now_ms;
  w.faults.frozen = true;
  w.Run(30'000);
  ASSERT_EQ(Path(w), (std::vector<S>{S::kSuspect, S::kDown})) << w.Story();
  EXPECT_THAT(w.changes[0].why, HasSubstr("with 16 statements in flight"));
  EXPECT_THAT(w.changes[0].why, HasSubstr("ping unanswered for 400 ms (what was sent is "
                                          "acknowledged: the process hangs)"));
  EXPECT_THAT(w.changes[1].why, HasSubstr("new connection: accepted, no greeting in 900 ms"));
  ASSERT_EQ(w.give_ups.size(), 1u);
  EXPECT_NEAR(static_cast<double>(w.give_up_at[0] - frozen_at), 10'000, 300);
  EXPECT_FALSE(w.give_ups[0].writes_only);
  w.faults.frozen = false;
  w.killed_per_look = 6;  // 16 abandoned connections go one after the other
  w.ForgetChanges();
  const int64_t thaw = w.now_ms;
  w.Settle();
  EXPECT_EQ(Path(w), (std::vector<S>{S::kRecovering, S::kUp})) << w.Story();
  EXPECT_EQ(w.kills, 3u);
  EXPECT_EQ(w.abandoned, 0u);
  EXPECT_GE(w.now_ms - thaw, 1000);  // two kill_intervals
  EXPECT_EQ(w.logins_cut, 0u);
}

TEST(BackendHealthFaults, SigstopOfAnIdleServerIsDownWithinFourSeconds) {
  int64_t worst = 0;
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    World w = Idle(seed);
    w.faults.frozen = true;
    const int64_t down = w.RunUntil(S::kDown, 6000);
    ASSERT_GE(down, 900) << w.Story();
    ASSERT_EQ(Path(w), (std::vector<S>{S::kSuspect, S::kDown})) << w.Story();
    worst = std::max(worst, down);
  }
  EXPECT_LE(worst, 3100);
}

TEST(BackendHealthFaults, ALongHangCutsNextToNoLogins) {
  World w = Idle();
  w.faults.frozen = true;
  w.Run(300'000);
  EXPECT_EQ(w.health.state(), S::kDown);
  // Each login that is cut counts at the server; ten of them could block this router.
  EXPECT_LE(w.logins_cut, 10u);
  w.faults.frozen = false;
  EXPECT_LE(w.RunUntil(S::kRecovering, 1000), 100) << "what was kept waiting answers at once";
  w.Settle();
}

TEST(BackendHealthFaults, KillMinusNineIsDownAtOnce) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.Crash();
    const int64_t down = w.RunUntil(S::kDown, 5000);
    ASSERT_GE(down, 0) << w.Story();
    EXPECT_LE(down, 1000) << w.Story();
    EXPECT_THAT(w.changes.back().why, HasSubstr("refused"));
    EXPECT_THAT(w.changes.back().why, HasSubstr("reset within"));
    w.Run(60'000);
    EXPECT_EQ(w.health.state(), S::kDown);
    // Refused connects cost nothing, but the server isn't hammered.
    EXPECT_LE(w.logins, 200u);
    w.faults.dead = false;
    w.identity.started_at += 70;  // restarted
    w.ForgetChanges();
    EXPECT_LE(w.RunUntil(S::kUp, 5000), 2500) << w.Story();
    EXPECT_EQ(Path(w), (std::vector<S>{S::kRecovering, S::kUp}));
  }
}

TEST(BackendHealthFaults, AHostThatIsGoneIsDown) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.gone = true;
    const int64_t down = w.RunUntil(S::kDown, 6000);
    ASSERT_GE(down, 0) << w.Story();
    EXPECT_LE(down, 3000);
    EXPECT_THAT(w.Why(), HasSubstr("not acknowledged: host or network"));
    w.Run(10'000);
    EXPECT_THAT(w.Why(), HasSubstr("no connection in 900 ms"));
    w.faults.gone = false;
    EXPECT_LE(w.RunUntil(S::kUp, 5000), 2500) << w.Story();
  }
}

TEST(BackendHealthFaults, AFrozenDiskStallsWritesOnly) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.disk_frozen = true;
    const int64_t stalled = w.RunUntil(S::kWriteStalled, 20'000);
    ASSERT_GE(stalled, 0) << w.Story();
    EXPECT_LE(stalled, loaded ? 6000 : 15'000) << w.Story();
    EXPECT_EQ(Path(w), (std::vector<S>{S::kWriteStalled}));
    EXPECT_EQ(w.health.effect(), GateEffect::kHoldWrites);
    w.Run(40'000);
    EXPECT_EQ(Path(w), (std::vector<S>{S::kWriteStalled})) << w.Story();
    EXPECT_TRUE(w.give_ups.empty());
    w.faults.disk_frozen = false;
    EXPECT_GE(w.RunUntil(S::kUp, 5000), 0);
    EXPECT_EQ(Path(w), (std::vector<S>{S::kWriteStalled, S::kUp})) << w.Story();
  }
}

TEST(BackendHealthFaults, WritesStalledForTheLimitAreGivenUpAndKilledAfterwards) {
  World w = Loaded();
  w.faults.disk_frozen = true;
  w.Run(58'000);
  EXPECT_TRUE(w.give_ups.empty());
  w.Run(8000);
  ASSERT_EQ(w.give_ups.size(), 1u);
  EXPECT_TRUE(w.give_ups[0].writes_only);
  EXPECT_EQ(w.abandoned, 4u);
  w.faults.disk_frozen = false;
  w.Settle();
  EXPECT_EQ(Path(w), (std::vector<S>{S::kWriteStalled, S::kRecovering, S::kUp})) << w.Story();
  EXPECT_EQ(w.kills, 1u);
}

TEST(BackendHealthFaults, FlushTablesWithReadLockStallsWritesOnly) {
  World w = Loaded();
  w.faults.locked = true;
  ASSERT_GE(w.RunUntil(S::kWriteStalled, 6000), 0) << w.Story();
  EXPECT_THAT(w.Why(), HasSubstr("commit: error (1205)"));
  w.Run(30'000);
  w.faults.locked = false;
  EXPECT_GE(w.RunUntil(S::kUp, 3000), 0) << w.Story();
  EXPECT_FALSE(w.Entered(S::kDown));
  EXPECT_FALSE(w.Entered(S::kSuspect)) << w.Story();
}

TEST(BackendHealthFaults, ReadsAndCommitsThatHangAreDownWhateverPingsSay) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.reads_hang = true;
    const int64_t held = w.RunUntil(S::kSuspect, 6000);
    const int64_t down = held + w.RunUntil(S::kDown, 6000);
    EXPECT_GE(held, 0) << w.Story();
    EXPECT_LE(down, 6000) << w.Story();
    EXPECT_THAT(w.changes.back().why, HasSubstr("read"));
    EXPECT_THAT(w.changes.back().why, HasSubstr("commit"));
    EXPECT_TRUE(w.give_ups.empty());
    w.Run(20'000);
    EXPECT_EQ(w.health.state(), S::kDown) << w.Story();
    // Though pings go on proving life.
    EXPECT_EQ(w.give_ups.empty(), !loaded);
    w.faults.reads_hang = false;
    EXPECT_GE(w.RunUntil(S::kUp, 5000), 0) << w.Story();
  }
}

TEST(BackendHealthFaults, AReplicaWhoseReadsHangIsDownOnOldAndNewConnections) {
  World w({}, BackendRole::kReplica);
  w.faults.read_only = true;
  w.Settle();
  w.Run(5000);
  w.faults.reads_hang = true;
  const int64_t down = w.RunUntil(S::kDown, 10'000);
  EXPECT_GE(down, 2000) << w.Story();
  EXPECT_EQ(w.started[3], 0u);
}

TEST(BackendHealthFaults, ConnectionsUsedUpIsSaturatedNotDown) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.full = true;
    ASSERT_GE(w.RunUntil(S::kSaturated, 12'000), 0) << w.Story();
    EXPECT_EQ(w.health.effect(), GateEffect::kShed);
    EXPECT_TRUE(w.health.lives_elsewhere());
    EXPECT_THAT(w.Why(), HasSubstr("Too many connections (1040)"));
    w.Run(60'000);
    EXPECT_EQ(Path(w), (std::vector<S>{S::kSaturated})) << w.Story();
    w.faults.full = false;
    EXPECT_LE(w.RunUntil(S::kUp, 5000), 1500);
    EXPECT_FALSE(w.health.lives_elsewhere());
  }
}

TEST(BackendHealthFaults, AServerThatIsFullAndFrozenIsDown) {
  World w = Loaded();
  w.faults.full = true;
  w.RunUntil(S::kSaturated, 12'000);
  w.faults.frozen = true;
  EXPECT_LE(w.RunUntil(S::kSuspect, 5000), 1000) << w.Story();
  EXPECT_LE(w.RunUntil(S::kDown, 5000), 3000) << w.Story();
}

TEST(BackendHealthFaults, ABlockedAddressIsSaidAndIsDownOnlyWithNothingConnected) {
  World w = Idle();
  w.faults.blocked = true;
  w.Run(30'000);
  EXPECT_EQ(w.health.state(), S::kUp) << w.Story();
  ASSERT_EQ(w.notices.size(), 1u);
  EXPECT_THAT(w.notices[0], HasSubstr("FLUSH HOSTS"));
  EXPECT_THAT(w.Why(), HasSubstr("1129"));

  World cold;
  cold.faults.blocked = true;
  EXPECT_GE(cold.RunUntil(S::kDown, 10'000), 0) << cold.Story();
  EXPECT_TRUE(cold.health.lives_elsewhere());
  cold.faults.blocked = false;
  EXPECT_LE(cold.RunUntil(S::kUp, 10'000), 4000) << cold.Story();
}

TEST(BackendHealthFaults, AServerThatNeverGreetsIsHeldFromTheStart) {
  World w;
  w.faults.no_greeting = true;
  const int64_t down = w.RunUntil(S::kDown, 10'000);
  EXPECT_GE(down, 1500) << w.Story();
  EXPECT_LE(down, 4000) << w.Story();
  EXPECT_THAT(w.Why(), HasSubstr("accepted, no greeting"));
  w.faults.no_greeting = false;
  EXPECT_GE(w.RunUntil(S::kUp, 5000), 0) << w.Story();
}

TEST(BackendHealthFaults, AServerThatGreetsAndNeverAnswersIsDown) {
  World cold;
  cold.faults.no_answer = true;
  EXPECT_LE(cold.RunUntil(S::kDown, 10'000), 4500) << cold.Story();
  cold.Run(30'000);
  EXPECT_EQ(cold.health.state(), S::kDown) << cold.Story();

  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.no_answer = true;
    EXPECT_GE(w.RunUntil(S::kSuspect, 3000), 0) << w.Story();
    const int64_t down = w.RunUntil(S::kDown, 15'000);
    EXPECT_GE(down, 0) << w.Why() << "\n" << w.Story();
    EXPECT_LE(down, 2500) << w.Story();
    w.faults.no_answer = false;
    EXPECT_GE(w.RunUntil(S::kUp, 5000), 0) << w.Story();
  }
}

TEST(BackendHealthFaults, AByteASecondIsNoAnswer) {
  for (const bool loaded : {true, false}) {
    World w = loaded ? Loaded() : Idle();
    w.faults.drip = true;
    const int64_t held = w.RunUntil(S::kSuspect, 6000);
    EXPECT_GE(held, 0);
    EXPECT_LE(held, loaded ? 1100 : 2200) << w.Story();
    EXPECT_LE(held + w.RunUntil(S::kDown, 6000), 3500) << w.Story();
    w.Run(20'000);
    EXPECT_EQ(w.health.state(), S::kDown) << w.Story();
    if (loaded) {
      ASSERT_FALSE(w.give_ups.empty());
      EXPECT_NE(w.give_ups[0].silent_before, kNoTime);
    }
    w.faults.drip = false;
    EXPECT_GE(w.RunUntil(S::kUp, 5000), 0) << w.Story();
  }
}

TEST(BackendHealthFaults, ARestartWithASlowRecoveryIsDownUntilItAnswers) {
  World w = Loaded();
  w.Crash();
  ASSERT_GE(w.RunUntil(S::kDown, 2000), 0);
  w.Run(20'000);
  w.faults.dead = false;
  w.faults.no_greeting = true;  // the port is open, InnoDB recovers
  w.Run(20'000);
  EXPECT_EQ(w.health.state(), S::kDown) << w.Story();
  w.faults.no_greeting = false;
  w.identity.started_at += 40;
  EXPECT_LE(w.RunUntil(S::kUp, 5000), 2000) << w.Story();
  EXPECT_EQ(w.kills, 0u);
}

TEST(BackendHealthFaults, WhatComesBackAsAnotherServerIsFenced) {
  struct Case {
    const char* why;
    IdentityFacts facts;
  };
  const IdentityFacts same{.known = true, .server = "uuid-1", .started_at = 1'700'000'000};
  std::vector<Case> cases(4, {"", same});
  cases[0] = {"another server", same};
  cases[0].facts.server = "uuid-2";
  cases[1] = {"read_only", same};
  cases[1].facts.read_only = true;
  cases[2] = {"replica", same};
  cases[2].facts.is_replica = true;
  cases[3] = {"behind", same};
  cases[3].facts.behind = "0-1-99 is missing";
  for (const Case& c : cases) {
    World w = Loaded();
    w.faults.frozen = true;
    w.Run(15'000);
    w.identity = c.facts;
    w.faults.frozen = false;
    ASSERT_GE(w.RunUntil(S::kFenced, 5000), 0) << c.why << w.Story();
    EXPECT_THAT(w.Why(), HasSubstr(c.why));
    EXPECT_EQ(w.health.effect(), GateEffect::kApplyPolicy);
    w.Run(60'000);
    EXPECT_EQ(w.health.state(), S::kFenced);
    w.health.SetMark(OperatorMark::kUp, w.now());
    EXPECT_EQ(w.health.state(), S::kUp);
    w.Run(3000);
    w.health.SetMark(OperatorMark::kAuto, w.now());
    w.Run(3000);
    EXPECT_EQ(w.health.state(), S::kUp) << w.Story();
  }
}

TEST(BackendHealthFaults, FencedByOrderItStaysSoWhateverItSays) {
  World w = Loaded();
  w.faults.frozen = true;
  w.Run(5000);
  w.health.Fence("was failed over from", w.now());
  EXPECT_EQ(w.health.state(), S::kDown);  // as long as it does not answer
  w.health.SetRole(BackendRole::kReplica, w.now());
  w.faults.frozen = false;
  ASSERT_GE(w.RunUntil(S::kFenced, 5000), 0) << w.Story();
  EXPECT_THAT(w.Why(), HasSubstr("was failed over from"));
  EXPECT_EQ(w.health.effect(), GateEffect::kApplyPolicy);
  w.Run(60'000);
  EXPECT_EQ(w.health.state(), S::kFenced);
  w.health.SetMark(OperatorMark::kUp, w.now());
  w.health.SetMark(OperatorMark::kAuto, w.now());
  w.Run(3000);
  EXPECT_EQ(w.health.state(), S::kUp) << w.Story();
}

// It was made read-only by a switchover, which then is put back.
TEST(BackendHealthFaults, OneThatWasFrozenByUsMayComeBackReadOnly) {
  World w = Loaded();
  w.health.SetRole(BackendRole::kReplica, w.now());
  w.faults.read_only = w.identity.read_only = true;
  w.faults.frozen = true;
  w.Run(15'000);
  w.faults.frozen = false;
  ASSERT_GE(w.RunUntil(S::kUp, 10'000), 0) << w.Story();
  w.faults.read_only = w.identity.read_only = false;
  w.health.SetRole(BackendRole::kPrimary, w.now());
  w.Run(10'000);
  EXPECT_EQ(w.health.state(), S::kUp) << w.Story();
  EXPECT_FALSE(w.Entered(S::kFenced));
}

TEST(BackendHealthFaults, ARestartFasterThanAnyTimeoutIsStillSeenByItsIdentity) {
  for (const bool other : {false, true}) {
    World w = Loaded();
    w.Crash();
    w.faults.dead = false;
    w.identity.started_at += 40;
    if (other) w.identity.server = "uuid-2";
    w.Run(1000);
    EXPECT_TRUE(w.Entered(other ? S::kFenced : S::kRecovering)) << w.Story();
    w.Run(2000);
    EXPECT_EQ(w.health.state(), other ? S::kFenced : S::kUp) << w.Story();
  }
}

TEST(BackendHealthFaults, FlappingIsDampedAndEnds) {
  World w = Loaded();
  for (int i = 0; i < 10; ++i) {
    w.faults.frozen = true;
    w.Run(1200);
    w.faults.frozen = false;
    w.Run(1800);
  }
  const auto ups = std::count_if(w.changes.begin(), w.changes.end(),
                                 [](const World::Change& c) { return c.to == S::kUp; });
  EXPECT_GE(ups, 2) << w.Story();
  EXPECT_LE(ups, 6) << w.Story();
  EXPECT_GE(w.RunUntil(S::kUp, 10'000), 0) << w.Story();
  // Long after, one suspicion is as light as the first.
  w.Run(70'000);
  w.faults.frozen = true;
  w.Run(1200);
  w.faults.frozen = false;
  EXPECT_LE(w.RunUntil(S::kUp, 10'000), 300) << w.Story();
}

TEST(BackendHealthFaults, APauseOfFiveSecondsGivesNothingUp) {
  World w = Loaded();
  w.faults.frozen = true;
  w.Run(5000);
  w.faults.frozen = false;
  EXPECT_LE(w.RunUntil(S::kUp, 5000), 500) << w.Story();
  EXPECT_TRUE(w.give_ups.empty());
  EXPECT_EQ(w.kills, 0u);
}

TEST(BackendHealthFaults, AThawInTheVeryMomentOfGivingUpReleasesNothingEarly) {
  World w = Loaded();
  w.gave_up_delay = 300;  // the workers answer late
  w.faults.frozen = true;
  while (w.give_ups.empty() && w.now_ms < 60'000) w.Run(1);
  w.faults.frozen = false;
  w.Run(250);
  EXPECT_EQ(w.health.state(), S::kRecovering) << w.Story();
  EXPECT_EQ(w.kills, 0u);
  w.Settle();
  EXPECT_EQ(w.kills, 1u);
}

TEST(BackendHealthFaults, WhenAllAreSilentTheVerdictWaits) {
  World w = Loaded();
  w.faults.frozen = true;
  ASSERT_GE(w.RunUntil(S::kSuspect, 2000), 0);
  w.health.OnFleet(true, w.now());
  const int64_t down = w.RunUntil(S::kDown, 20'000);
  EXPECT_GE(down, 8500);
  EXPECT_LE(down, 10'000);
  World one = Loaded();
  one.faults.frozen = true;
  ASSERT_GE(one.RunUntil(S::kSuspect, 2000), 0);
  one.health.OnFleet(true, one.now());
  one.Run(5000);
  EXPECT_THAT(one.Why(), HasSubstr("every backend is silent"));
  one.health.OnFleet(false, one.now());  // another one answers
  EXPECT_EQ(one.health.state(), S::kDown);
}

TEST(BackendHealthFaults, ARouterStartedInTheMiddleOfAHangHolds) {
  World w;
  w.faults.frozen = true;
  w.Run(1500);
  EXPECT_EQ(w.health.state(), S::kUnknown);
  EXPECT_EQ(w.health.effect(), GateEffect::kHold);
  EXPECT_LE(w.RunUntil(S::kDown, 10'000), 2500) << w.Story();
  w.faults.frozen = false;
  w.Settle();
}

TEST(BackendHealthFaults, AServerThatIsOffAtTheStartIsDown) {
  World w;
  w.faults.dead = true;
  const int64_t down = w.RunUntil(S::kDown, 10'000);
  EXPECT_GE(down, 500);
  EXPECT_LE(down, 4000) << w.Story();
}

}  // namespace
}  // namespace bulkhead::routing
