// State x event, one line each; and the small parts of the machine by themselves.
#include "routing/backend_health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "routing/health_history.h"
#include "routing/health_late.h"
#include "tests/routing/backend_health_world.h"

namespace bulkhead::routing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;
using S = BackendState;

World In(S state) {
  World w;
  if (state == S::kUnknown) {
    w.faults.no_greeting = true;
    w.Run(500);
    return w;
  }
  w.oltp = 16;
  w.writers = 4;
  w.RunUntil(S::kUp, 5000);
  w.Run(2000);
  switch (state) {
    case S::kUnknown:
    case S::kUp:
      break;
    case S::kSuspect:
    case S::kDown:
      w.faults.frozen = true;
      break;
    case S::kRecovering:
    case S::kFenced:
      w.faults.frozen = true;
      w.Run(5000);
      w.faults.frozen = false;
      if (state == S::kFenced) w.identity.server = "uuid-2";
      break;
    case S::kReadOnly:
      w.oltp = w.writers = 0;
      w.faults.read_only = true;
      break;
    case S::kWriteStalled:
      w.faults.disk_frozen = true;
      break;
    case S::kSaturated:
      w.faults.full = true;
      break;
  }
  EXPECT_GE(w.RunUntil(state, 20'000), 0) << ToString(state) << "\n" << w.Story();
  return w;
}

struct Event {
  const char* name;
  std::function<void(World&)> happen;
  std::vector<S> then;  // the state after it, in the order of kStates
};

constexpr S kStates[] = {S::kUnknown, S::kUp,       S::kSuspect,      S::kDown,     S::kRecovering,
                         S::kFenced,  S::kReadOnly, S::kWriteStalled, S::kSaturated};

TEST(BackendHealth, EveryEventInEveryState) {
  const ProbeResult ok;
  const std::vector<S> same(std::begin(kStates), std::end(kStates));
  const auto all = [](S state) { return std::vector<S>(std::size(kStates), state); };
  const IdentityFacts other{.known = true, .server = "uuid-9", .started_at = 1};
  const IdentityFacts restarted{.known = true, .server = "uuid-1", .started_at = 1'700'009'999};
  const std::vector<Event> events = {
      {"marked down", [](World& w) { w.health.SetMark(OperatorMark::kDown, w.now()); },
       all(S::kDown)},
      {"marked up", [](World& w) { w.health.SetMark(OperatorMark::kUp, w.now()); }, all(S::kUp)},
      {"nothing", [](World& w) { w.health.Step(w.now()); }, same},
      {"an unknown probe's answer", [&](World& w) { w.health.OnProbe(1 << 20, ok, w.now()); },
       same},
      {"an unknown hung probe",
       [](World& w) { w.health.OnHungProbe(1 << 20, HungEnd::kAnswered, w.now()); }, same},
      {"one data connection reset",
       [](World& w) { w.health.OnConnectionError(ConnectionError::kReset, w.now()); }, same},
      {"one refused connect",
       [](World& w) { w.health.OnConnectionError(ConnectionError::kRefused, w.now()); }, same},
      {"refused and reset, twice",
       [](World& w) {
         for (int i = 0; i < 2; ++i) {
           w.health.OnConnectionError(ConnectionError::kReset, w.now());
           w.health.OnConnectionError(ConnectionError::kRefused, w.now());
         }
       },
       {S::kDown, S::kDown, S::kDown, S::kDown, S::kDown, S::kFenced, S::kDown, S::kDown,
        S::kDown}},
      {"the pool meets 1040",
       [](World& w) {
         w.health.OnLogin({.outcome = ProbeOutcome::kTooManyConnections, .error_code = 1040},
                          w.now());
       },
       {S::kUnknown, S::kSaturated, S::kSuspect, S::kDown, S::kRecovering, S::kFenced, S::kReadOnly,
        S::kWriteStalled, S::kSaturated}},
      {"an application's login is denied",
       [](World& w) {
         w.health.OnLogin({.outcome = ProbeOutcome::kLoginFailed, .error_code = 1045}, w.now());
       },
       same},
      {"every backend is bad", [](World& w) { w.health.OnFleet(true, w.now()); }, same},
      {"replicas receive nothing",
       [](World& w) { w.health.OnReplicaView(ReplicaView::kSilent, w.now()); }, same},
      {"another server",
       [&](World& w) { w.health.OnIdentity(other, w.now()); },
       {S::kUnknown, S::kFenced, S::kFenced, S::kDown, S::kFenced, S::kFenced, S::kFenced,
        S::kFenced, S::kFenced}},
      {"the same server, restarted",
       [&](World& w) { w.health.OnIdentity(restarted, w.now()); },
       {S::kUnknown, S::kRecovering, S::kSuspect, S::kDown, S::kRecovering, S::kFenced, S::kFenced,
        S::kRecovering, S::kRecovering}},
      {"identity not readable", [](World& w) { w.health.OnIdentity({}, w.now()); }, same},
      {"this process was late", [](World& w) { w.PauseRouter(400); }, same},
      {"the role changes to replica",
       [](World& w) { w.health.SetRole(BackendRole::kReplica, w.now()); },
       {S::kUnknown, S::kUp, S::kSuspect, S::kDown, S::kRecovering, S::kFenced, S::kUp, S::kUp,
        S::kSaturated}},
  };
  for (const Event& event : events) {
    for (size_t i = 0; i < std::size(kStates); ++i) {
      if (kStates[i] == S::kRecovering && std::string(event.name) == "this process was late") {
        continue;  // it goes on in that time
      }
      World w = In(kStates[i]);
      ++w.now_ms;  // evidence of the same moment would be ambiguous
      event.happen(w);
      EXPECT_EQ(ToString(w.health.state()), ToString(event.then[i]))
          << event.name << " in " << ToString(kStates[i]) << "\n"
          << w.Story();
      (void)w.health.Reasons(w.now());
    }
  }
}

TEST(BackendHealth, EveryStateHasAnEffectAndReasons) {
  const GateEffect effects[] = {
      GateEffect::kHold,        GateEffect::kServe,       GateEffect::kHold,
      GateEffect::kApplyPolicy, GateEffect::kApplyPolicy, GateEffect::kApplyPolicy,
      GateEffect::kHoldWrites,  GateEffect::kHoldWrites,  GateEffect::kShed};
  for (size_t i = 0; i < std::size(kStates); ++i) {
    const World w = In(kStates[i]);
    EXPECT_EQ(w.health.effect(), effects[i]) << ToString(kStates[i]);
    EXPECT_FALSE(w.health.Reasons(w.now()).empty());
    EXPECT_LE(w.health.since(), w.now());
  }
}

TEST(BackendHealth, MarksOutrankAndAutoGoesBackToEvidence) {
  World w = In(S::kUp);
  w.health.SetMark(OperatorMark::kDown, w.now());
  EXPECT_EQ(w.health.effect(), GateEffect::kApplyPolicy);
  EXPECT_THAT(w.Why(), HasSubstr("an operator marked it down"));
  w.Run(3000);
  w.health.SetMark(OperatorMark::kAuto, w.now());
  EXPECT_EQ(w.health.state(), S::kRecovering);
  w.Settle();
  w.faults.frozen = true;
  w.health.SetMark(OperatorMark::kUp, w.now());
  w.Run(20'000);
  EXPECT_EQ(w.health.effect(), GateEffect::kServe);
  EXPECT_TRUE(w.give_ups.empty());
  w.health.SetMark(OperatorMark::kAuto, w.now());
  EXPECT_GE(w.RunUntil(S::kDown, 1000), 0);
}

TEST(BackendHealth, ABaselineFromTheStoreFencesAnotherServerAtTheStart) {
  World w;
  w.health.SetBaseline({.known = true, .server = "uuid-0"});
  EXPECT_GE(w.RunUntil(S::kFenced, 3000), 0) << w.Story();
  EXPECT_THAT(w.Why(), HasSubstr("another server: uuid-1, it was uuid-0"));
}

TEST(BackendHealth, WhatCannotBeLookedForIsWaitedFor) {
  World w = In(S::kUp);
  w.checkable = false;
  w.faults.frozen = true;
  w.Run(15'000);
  ASSERT_EQ(w.give_ups.size(), 1u);
  w.faults.frozen = false;
  const int64_t back = w.RunUntil(S::kUp, 30'000);
  EXPECT_GE(back, 10'000) << w.Story();
  EXPECT_LE(back, 11'000);
}

TEST(BackendHealth, NothingIsReleasedWhileAnAbandonedConnectionIsThere) {
  World w = In(S::kUp);
  w.faults.frozen = true;
  w.Run(15'000);
  w.killed_per_look = 0;
  w.faults.frozen = false;
  w.Run(120'000);
  EXPECT_EQ(w.health.state(), S::kRecovering);
  EXPECT_THAT(w.Why(), HasSubstr("16 abandoned connections are not gone yet"));
  EXPECT_NEAR(static_cast<double>(w.kills), 240, 10);
  w.killed_per_look = 100;
  w.Settle();
}

TEST(BackendHealth, AReadOnlyAnswerAsksTheServer) {
  World w = In(S::kUp);
  w.Run(1000);
  w.writers = 0;
  w.faults.read_only = true;
  w.health.OnReadOnlyAnswer(w.now());
  EXPECT_LE(w.RunUntil(S::kReadOnly, 2000), 100) << w.Story();
  const uint64_t before = w.started[3];
  for (int i = 0; i < 100; ++i) w.health.OnReadOnlyAnswer(w.now());
  w.Run(100);
  EXPECT_LE(w.started[3], before + 1);
}

TEST(BackendHealth, ReplicasThatReceiveSayThatItLives) {
  World w = In(S::kDown);
  EXPECT_FALSE(w.health.lives_elsewhere());
  w.health.OnReplicaView(ReplicaView::kReceiving, w.now());
  EXPECT_TRUE(w.health.lives_elsewhere());
  EXPECT_THAT(w.Why(), HasSubstr("its replicas still receive"));
}

TEST(BackendHealth, HistoryTellsTheStory) {
  World w = In(S::kDown);
  std::string all;
  for (const EvidenceLine& line : w.health.History()) all += line.text + "\n";
  EXPECT_THAT(all, HasSubstr("state: suspect\n"));
  EXPECT_THAT(all, HasSubstr("ping unanswered for 400 ms"));
  EXPECT_THAT(all, HasSubstr("with 16 statements in flight\n"));
  EXPECT_THAT(all, HasSubstr("identity: the same server\n"));
}

TEST(BackendHealth, StateChangesCarryTheSignals) {
  World w = In(S::kDown);
  ASSERT_FALSE(w.changes.empty());
  EXPECT_EQ(SignalWords(w.changes.back().signals), "silence, ping, connect");
  EXPECT_EQ(SignalWords(0), "");
}

TEST(LateLog, TakesOffWhatThisProcessMissed) {
  LateLog log;
  const auto at = [](int64_t ms) { return AtMs(ms); };
  EXPECT_EQ(log.Elapsed(kNoTime, at(5)), Duration::max());
  EXPECT_EQ(log.Elapsed(at(10), at(5)), 0ms);
  EXPECT_EQ(log.Elapsed(at(0), at(1000)), 1000ms);
  log.Add(at(100), at(300), 200ms);  // margin: 300..500
  EXPECT_EQ(log.Elapsed(at(0), at(1000)), 600ms);
  EXPECT_EQ(log.Elapsed(at(200), at(400)), 0ms);
  EXPECT_EQ(log.Elapsed(at(600), at(1000)), 400ms);
  log.Add(at(700), at(710), 200ms);  // a short one has a short margin
  EXPECT_EQ(log.Elapsed(at(600), at(1000)), 380ms);
  log.Add(at(705), at(715), 200ms);  // overlaps: nothing is taken off twice
  EXPECT_EQ(log.Elapsed(at(600), at(1000)), 380ms);
  for (int i = 0; i < 40; ++i) log.Add(at(2000 + 10 * i), at(2001 + 10 * i), 0ms);
  EXPECT_EQ(log.Elapsed(at(2240), at(2400)), 144ms);  // the last 16
}

TEST(EvidenceRing, KeepsTheLast64) {
  EvidenceRing ring;
  EXPECT_EQ(ring.last(), nullptr);
  for (uint32_t i = 0; i < 100; ++i) {
    ring.Add({.at = AtMs(i), .what = EvidenceRecord::What::kGaveUp, .count = i});
  }
  const std::vector<EvidenceLine> lines = ring.Lines();
  ASSERT_EQ(lines.size(), 64u);
  EXPECT_EQ(lines.front().at, AtMs(36));
  EXPECT_EQ(lines.back().text, "99 connections with statements in flight given up");
}

TEST(HealthWords, AreForPeople) {
  EXPECT_EQ(Words(812ms), "812 ms");
  EXPECT_EQ(Words(3100ms), "3.1 s");
  EXPECT_EQ(Words(12min), "12 min");
  const ProbeResult greeting{.outcome = ProbeOutcome::kTimeout, .stage = ProbeStage::kGreeting};
  EXPECT_EQ(ProbeWords(ProbeKind::kLogin, true, greeting, 900ms),
            "new connection: accepted, no greeting in 900 ms");
  EXPECT_EQ(ProbeWords(ProbeKind::kPing, true, {.outcome = ProbeOutcome::kRefused}, 0ms),
            "ping on a new connection refused");
  EXPECT_EQ(ProbeWords(ProbeKind::kCommit, false,
                       {.outcome = ProbeOutcome::kServerError, .error_code = 1205}, 1s),
            "commit: error (1205)");
}

}  // namespace
}  // namespace bulkhead::routing
