// What must not take a backend down, or even hold its work: no false verdicts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/routing/backend_health_world.h"

namespace bulkhead::routing {
namespace {

using ::testing::HasSubstr;
using S = BackendState;

World Up(HealthRules rules = {}, uint64_t seed = 1) {
  World w(rules, BackendRole::kPrimary, seed);
  w.Settle();
  w.ForgetChanges();
  return w;
}

TEST(BackendHealthCalm, AMinuteLongQueryAlone) {
  World w = Up();
  w.long_query = true;
  w.Run(60'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  // Silence asks for pings, five a second and more, not for logins.
  EXPECT_GE(w.started[1], 250u);
  EXPECT_LE(w.started[0], 20u);
  // A freeze under it is seen all the same.
  w.faults.frozen = true;
  EXPECT_LE(w.RunUntil(S::kSuspect, 5000), 1000) << w.Story();
  EXPECT_LE(w.RunUntil(S::kDown, 5000), 2500) << w.Story();
}

TEST(BackendHealthCalm, AMinuteLongQueryAndOneLostProbe) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    World w = Up({}, seed);
    w.long_query = true;
    w.Run(5000);
    w.faults.lose_pings = 1;
    w.Run(10'000);
    // Silence and an unanswered probe: suspect at the most, and only until the next probe, unless
    // another probe refutes it before.
    EXPECT_FALSE(w.Entered(S::kDown)) << w.Story();
    EXPECT_EQ(w.health.state(), S::kUp) << w.Story();
    EXPECT_TRUE(w.changes.empty()) << seed << w.Story();
  }
}

TEST(BackendHealthCalm, LostProbesOfAnIdleServer) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    World w = Up({}, seed);
    for (int i = 0; i < 10; ++i) {
      w.Run(2000);
      w.faults.lose_pings = 1;
    }
    EXPECT_TRUE(w.changes.empty()) << seed << w.Story();
  }
}

TEST(BackendHealthCalm, ATableLockOrMetadataLockThatHoldsEveryWriter) {
  // The clients' statements wait, all of them; the server's own canary isn't behind that lock.
  World w = Up();
  w.oltp = w.writers = 16;
  w.Run(2000);
  w.ForgetChanges();
  w.oltp = w.writers = 0;
  w.long_query = true;  // silence with statements in flight
  w.Run(60'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
}

TEST(BackendHealthCalm, ProbesSlowedToJustUnderTheirTimeouts) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    World w = Up({}, seed);
    w.oltp = 16;
    w.writers = 4;
    w.Run(2000);
    w.ForgetChanges();
    w.faults.slow_ms = 390;
    w.Run(60'000);
    EXPECT_TRUE(w.changes.empty()) << seed << w.Story();
  }
}

TEST(BackendHealthCalm, ProbesSlowedAboveTheirTimeoutsWhileStatementsAreAnswered) {
  World w = Up();
  w.oltp = 16;
  w.writers = 4;
  w.Run(2000);
  w.ForgetChanges();
  for (int i = 0; i < 20; ++i) {
    w.faults.slow_ms = 700;
    w.Run(3000);
    w.faults.slow_ms = 0;
    w.Run(1000);
  }
  EXPECT_FALSE(w.Entered(S::kSuspect)) << w.Story();
  EXPECT_FALSE(w.Entered(S::kDown)) << w.Story();
}

TEST(BackendHealthCalm, AnIdleServerThatIsSlowIsNeverDown) {
  World w = Up();
  w.faults.slow_ms = 650;  // above every timeout but that of P0
  w.Run(60'000);
  EXPECT_FALSE(w.Entered(S::kDown)) << w.Story();
}

TEST(BackendHealthCalm, SlowReverseDnsDelaysNewConnectionsOnly) {
  World w = Up();
  w.oltp = 16;
  w.faults.no_greeting = true;
  w.Run(120'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  w.long_query = true;
  w.Run(60'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
}

TEST(BackendHealthCalm, ThisProcessStoppedAndContinued) {
  for (const int64_t pause : {150, 420, 500, 1000, 5000, 60'000}) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      World w = Up({}, seed);
      w.oltp = 16;
      w.writers = 4;
      w.Run(2000 + static_cast<int64_t>(seed) * 53);
      w.ForgetChanges();
      // In the very moment in which a ping is under way.
      const uint64_t pings = w.started[1];
      while (w.started[1] == pings) w.Run(1);
      w.PauseRouter(pause, seed % 2 == 0);
      w.Run(5000);
      EXPECT_TRUE(w.changes.empty()) << pause << " " << seed << "\n" << w.Story();
    }
  }
}

TEST(BackendHealthCalm, AFreezeBehindAStoppedRouterIsSeenAfterwards) {
  World w = Up();
  w.oltp = 16;
  w.Run(2000);
  w.ForgetChanges();
  w.faults.frozen = true;
  w.PauseRouter(3000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  EXPECT_LE(w.RunUntil(S::kSuspect, 5000), 1200) << w.Story();
  EXPECT_LE(w.RunUntil(S::kDown, 5000), 2500) << w.Story();
}

TEST(BackendHealthCalm, ALoopThatIsOftenLateStillSees) {
  World w = Up();
  w.oltp = 16;
  w.Run(2000);
  w.ForgetChanges();
  for (int i = 0; i < 50; ++i) {
    w.PauseRouter(60);
    w.Run(140);
  }
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  w.faults.frozen = true;
  const int64_t start = w.now_ms;
  while (w.health.state() != S::kDown && w.now_ms - start < 20'000) {
    w.PauseRouter(60);
    w.Run(140);
  }
  EXPECT_LE(w.now_ms - start, 7000) << w.Story();
}

TEST(BackendHealthCalm, ProbeConnectionsKilledByAnAdministrator) {
  World w = Up();
  w.Run(5000);
  w.health.OnProbeConnectionLost(ProbeKind::kPing, ConnectionError::kClosed, w.now());
  w.Run(10'000);
  EXPECT_FALSE(w.Entered(S::kDown)) << w.Story();
  EXPECT_FALSE(w.Entered(S::kRecovering)) << w.Story();
  EXPECT_EQ(w.health.state(), S::kUp);
  EXPECT_EQ(w.identity_checks, 2u);  // asked again on the new connection
}

TEST(BackendHealthCalm, StatementsKilledByAnAdministrator) {
  World w = Up();
  w.oltp = 16;
  w.Run(2000);
  w.ForgetChanges();
  for (int i = 0; i < 20; ++i) {
    for (int k = 0; k < 5; ++k) w.health.OnConnectionError(ConnectionError::kClosed, w.now());
    w.Run(1000);
  }
  EXPECT_TRUE(w.changes.empty()) << w.Story();
}

TEST(BackendHealthCalm, SemiSyncWaitsStallWritesAtMost) {
  World w = Up();
  w.oltp = 16;
  w.writers = 4;
  w.Run(2000);
  w.ForgetChanges();
  w.faults.disk_frozen = true;  // commits wait for an acknowledgement
  w.Run(50'000);
  for (const World::Change& c : w.changes) EXPECT_EQ(c.to, S::kWriteStalled) << w.Story();
}

TEST(BackendHealthCalm, WithoutAProbeAccountItSaysSoAndUsesWhatRemains) {
  HealthRules rules;
  rules.can_login = false;
  World w = Up(rules);
  EXPECT_THAT(w.Why(), HasSubstr("no probe account"));
  w.oltp = 16;
  w.Run(30'000);
  w.oltp = 0;
  w.long_query = true;
  w.Run(60'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  EXPECT_EQ(w.logins, 0u);
  // Silence alone is no verdict; the pool's logins time out as well.
  w.faults.frozen = true;
  const ProbeResult timeout{.outcome = ProbeOutcome::kTimeout, .stage = ProbeStage::kGreeting};
  w.Run(1000);
  w.health.OnLogin(timeout, w.now());
  EXPECT_EQ(w.health.state(), S::kSuspect);
  w.Run(1500);
  w.health.OnLogin(timeout, w.now());
  w.Run(1000);
  EXPECT_EQ(w.health.state(), S::kDown) << w.Story();
  w.faults.frozen = false;
  w.long_query = false;
  EXPECT_GE(w.RunUntil(S::kUp, 20'000), 0) << w.Why();
}

TEST(BackendHealthCalm, ARefusedProbeAccountDoesNotHoldTheFleet) {
  World w;
  w.faults.login_refused = true;
  EXPECT_GE(w.RunUntil(S::kUp, 2000), 0) << w.Why();
  EXPECT_THAT(w.Why(), HasSubstr("the probe account is refused (1045)"));
  w.Run(30'000);
  EXPECT_EQ(w.notices.size(), 1u);
  EXPECT_LE(w.logins, 40u);
  w.faults.login_refused = false;
  w.Run(10'000);
  EXPECT_EQ(w.Why(), "up; its probes are answered");
}

TEST(BackendHealthCalm, DetectionModesLimitWhatIsDone) {
  for (const DetectionMode mode : {DetectionMode::kHold, DetectionMode::kObserve}) {
    HealthRules rules;
    rules.detection = mode;
    World w = Up(rules);
    w.oltp = 16;
    w.Run(2000);
    w.faults.frozen = true;
    w.Run(30'000);
    EXPECT_EQ(w.health.state(), S::kDown);
    EXPECT_EQ(w.health.effect(),
              mode == DetectionMode::kHold ? GateEffect::kHold : GateEffect::kServe);
    EXPECT_TRUE(w.give_ups.empty());
    w.faults.frozen = false;
    EXPECT_GE(w.RunUntil(S::kUp, 3000), 0);
  }
}

}  // namespace
}  // namespace bulkhead::routing
