// Switchover and failover step by step: each step with each kind of answer, cancelled, restarted.
#include "routing/primary_change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/routing/change_driver.h"

namespace bulkhead::routing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Result = StepReport::Result;
using Steps = std::vector<std::string>;

const Steps kSwitchover = {"inspect",        "hold",          "drain",          "freeze old",
                           "end privileged", "read position", "catch up",       "detach",
                           "promote",        "publish",       "prove",          "release",
                           "repoint old",    "repoint other", "keep semi-sync", "settle"};

Steps UpTo(const Steps& all, const std::string& last, const Steps& then) {
  Steps out;
  for (const std::string& step : all) {
    out.push_back(step);
    if (step == last) break;
  }
  out.insert(out.end(), then.begin(), then.end());
  return out;
}

TEST(SwitchoverTest, GoesThroughAllStepsInOrder) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([](const ChangeAction& action) { return Good(action); });
  EXPECT_EQ(driver.steps, kSwitchover);
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
  EXPECT_THAT(driver.alerts, IsEmpty());
  EXPECT_EQ(driver.ends, 1);
  EXPECT_EQ(driver.machine->record().position, "0-1-7");
}

TEST(SwitchoverTest, WithSemiSyncTheOthersComeBeforeTheFirstCommit) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([](const ChangeAction& action) {
    StepReport report = Good(action);
    report.semi_sync = action.step == ChangeStep::kInspect;
    return report;
  });
  const Steps finish = {"publish", "repoint old", "repoint other", "keep semi-sync",
                        "prove",   "release",     "settle"};
  EXPECT_EQ(driver.steps, UpTo(kSwitchover, "promote", finish));
}

// The step that fails, and what follows it.
struct Row {
  ChangeStep step;
  Result result;
  Steps then;
  ChangeOutcome outcome;
  size_t alerts = 0;
};

class SwitchoverFailure : public testing::TestWithParam<Row> {};

TEST_P(SwitchoverFailure, IsPutBackOrFinished) {
  const Row& row = GetParam();
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    return action.step == row.step ? Bad(row.result) : Good(action);
  });
  EXPECT_EQ(driver.steps, UpTo(kSwitchover, std::string(ToString(row.step)), row.then));
  EXPECT_EQ(driver.machine->outcome(), row.outcome);
  EXPECT_EQ(driver.alerts.size(), row.alerts);
  if (row.outcome == ChangeOutcome::kPutBack) {
    EXPECT_THAT(driver.machine->words(), HasSubstr("so it was told"));
  }
}

const Steps kAfterHold = {"release"};
const Steps kAfterFreeze = {"thaw old", "release"};
const Steps kAfterDetach = {"thaw old", "release", "reattach"};
constexpr ChangeOutcome kBack = ChangeOutcome::kPutBack;
INSTANTIATE_TEST_SUITE_P(
    EachStep, SwitchoverFailure,
    testing::Values(Row{ChangeStep::kInspect, Result::kFailed, {}, ChangeOutcome::kRefused},
                    Row{ChangeStep::kInspect, Result::kUnknown, {}, ChangeOutcome::kRefused},
                    Row{ChangeStep::kHold, Result::kFailed, kAfterHold, kBack},
                    Row{ChangeStep::kHold, Result::kUnknown, kAfterHold, kBack},
                    Row{ChangeStep::kDrain, Result::kFailed, kAfterHold, kBack},
                    Row{ChangeStep::kDrain, Result::kUnknown, kAfterHold, kBack},
                    Row{ChangeStep::kFreezeOld, Result::kFailed, kAfterFreeze, kBack},
                    Row{ChangeStep::kFreezeOld, Result::kUnknown, kAfterFreeze, kBack},
                    Row{ChangeStep::kEndPrivileged, Result::kFailed, kAfterFreeze, kBack},
                    Row{ChangeStep::kEndPrivileged, Result::kUnknown, kAfterFreeze, kBack},
                    Row{ChangeStep::kReadPosition, Result::kFailed, kAfterFreeze, kBack},
                    Row{ChangeStep::kReadPosition, Result::kUnknown, kAfterFreeze, kBack},
                    Row{ChangeStep::kCatchUp, Result::kFailed, kAfterFreeze, kBack},
                    Row{ChangeStep::kCatchUp, Result::kUnknown, kAfterFreeze, kBack},
                    Row{ChangeStep::kDetach, Result::kFailed, kAfterDetach, kBack},
                    Row{ChangeStep::kDetach, Result::kUnknown, kAfterDetach, kBack}));

TEST(SwitchoverTest, APromotionThatIsRefusedIsPutBack) {
  for (const Result result : {Result::kFailed, Result::kUnknown}) {
    ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
    driver.Run([&](const ChangeAction& action) {
      return action.step == ChangeStep::kPromote ? Bad(result) : Good(action);
    });
    EXPECT_EQ(driver.steps,
              UpTo(kSwitchover, "promote", {"confirm", "thaw old", "release", "reattach"}));
    EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kPutBack);
  }
}

TEST(SwitchoverTest, APromotionWhoseAnswerWasLostIsFinishedIfItWasDone) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) -> std::optional<StepReport> {
    if (action.step == ChangeStep::kPromote) return std::nullopt;  // nothing comes at all
    StepReport report = Good(action);
    report.writable = action.step == ChangeStep::kConfirm;
    return report;
  });
  EXPECT_EQ(driver.aborted, 1);
  EXPECT_EQ(driver.steps, UpTo(kSwitchover, "promote",
                               {"confirm", "publish", "prove", "release", "repoint old",
                                "repoint other", "keep semi-sync", "settle"}));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
}

TEST(SwitchoverTest, WhileNobodyKnowsBothStayFrozenAndAnAlertFires) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  int asked = 0;
  driver.Run([&](const ChangeAction& action) {
    if (action.step == ChangeStep::kConfirm && ++asked == 10) driver.machine->Cancel(driver.now);
    const bool silent = action.step == ChangeStep::kPromote || action.step == ChangeStep::kConfirm;
    return silent ? Bad(Result::kUnknown) : Good(action);
  });
  EXPECT_EQ(asked, 10);
  EXPECT_EQ(driver.alerts.size(), 1u);
  EXPECT_THAT(driver.alerts[0], HasSubstr("both servers stay frozen"));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFrozen);
  EXPECT_EQ(driver.steps.back(), "confirm");  // neither thawed nor released
  EXPECT_THAT(driver.machine->words(), HasSubstr("stays held"));
}

TEST(SwitchoverTest, ItEndsByItselfOnceTheCandidateAnswers) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  int asked = 0;
  driver.Run([&](const ChangeAction& action) {
    if (action.step == ChangeStep::kPromote) return Bad(Result::kUnknown);
    if (action.step == ChangeStep::kConfirm && ++asked < 6) return Bad(Result::kUnknown);
    return Good(action);
  });
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kPutBack);
  EXPECT_EQ(driver.alerts.size(), 1u);
}

TEST(SwitchoverTest, RunningWorkIsEndedAfterTimeout) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  bool killed = false;
  const MonoTime begun = driver.now;
  MonoTime ended{};
  driver.Run([&](const ChangeAction& action) {
    StepReport report = Good(action);
    if (action.step == ChangeStep::kEndRunning) {
      killed = true;
      ended = driver.now;
    }
    report.busy = killed ? 0 : 2;
    if (action.step == ChangeStep::kDrain && !killed) {
      driver.now += std::chrono::milliseconds(100);
    }
    return report;
  });
  EXPECT_TRUE(killed);
  EXPECT_GE(ended - begun, std::chrono::seconds(2));
  EXPECT_LT(ended - begun, std::chrono::milliseconds(2300));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
}

TEST(SwitchoverTest, WorkThatDoesNotEndEvenThenIsPutBack) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  int killed = 0;
  driver.Run([&](const ChangeAction& action) {
    StepReport report = Good(action);
    killed += action.step == ChangeStep::kEndRunning ? 1 : 0;
    report.busy = 1;
    driver.now += std::chrono::milliseconds(200);
    return report;
  });
  EXPECT_EQ(killed, 1);
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kPutBack);
  EXPECT_EQ(driver.steps.back(), "release");
}

TEST(SwitchoverTest, LocksOfStrangersAreEndedOnce) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    if (action.step != ChangeStep::kFreezeOld) return Good(action);
    StepReport report = Bad(Result::kFailed, "lock wait timeout");
    report.locked = true;
    return report;
  });
  EXPECT_EQ(driver.steps,
            UpTo(kSwitchover, "freeze old", {"end running", "freeze old", "thaw old", "release"}));
}

TEST(SwitchoverTest, APositionThatMovesIsPutBackAfterThreeRounds) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    StepReport report = Good(action);
    report.stable = false;
    return report;
  });
  EXPECT_EQ(driver.steps, UpTo(kSwitchover, "read position",
                               {"end privileged", "read position", "end privileged",
                                "read position", "thaw old", "release"}));
  EXPECT_THAT(driver.machine->words(), HasSubstr("still writes"));
}

TEST(SwitchoverTest, AllReasonsAtOnceAndNothingIsTouched) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    StepReport report = Good(action);
    report.reasons = {"it lags", "it has errors"};
    return report;
  });
  EXPECT_THAT(driver.steps, ElementsAre("inspect"));
  EXPECT_EQ(driver.stored, "");
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kRefused);
  EXPECT_EQ(driver.machine->words(), "it lags; it has errors");
}

TEST(SwitchoverTest, DryRunTouchesNothing) {
  ChangePlan plan = PlanFor(ChangeKind::kSwitchover);
  plan.dry_run = true;
  ChangeDriver driver(plan);
  driver.Run([](const ChangeAction& action) {
    StepReport report = Good(action);
    report.rows = {{"inspect", "old", "log_bin", "ON"}};
    return report;
  });
  EXPECT_THAT(driver.steps, ElementsAre("inspect"));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kDryRun);
  EXPECT_EQ(driver.machine->rows().size(), 1u);
}

TEST(SwitchoverTest, EachStepIsStoredBeforeItIsSent) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    if (action.step != ChangeStep::kInspect) {
      const std::optional<ChangeRecord> stored = DecodeChange(driver.stored);
      EXPECT_TRUE(stored.has_value());
      EXPECT_EQ(stored->step, action.step);
      EXPECT_EQ(stored->server, action.server);
      EXPECT_EQ(stored->plan, action.record.plan);
      EXPECT_EQ(stored->saved, "scheduler=ON\nsecond line\\");
    }
    return Good(action);
  });
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
}

TEST(SwitchoverTest, WhatCanNotBeStoredIsNotSent) {
  for (const std::string& at : UpTo(kSwitchover, "promote", {})) {
    if (at == "inspect") continue;
    ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
    driver.on_store = [&](const ChangeAction& action) {
      if (ToString(action.step) == at) driver.store_works = false;
    };
    driver.Run([](const ChangeAction& action) { return Good(action); });
    EXPECT_EQ(std::count(driver.steps.begin(), driver.steps.end(), at), 0) << at;
    EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kPutBack) << at;
    EXPECT_THAT(driver.machine->words(), HasSubstr("could not be stored"));
  }
}

// Cancelled while step n runs: before the promotion everything is put back, afterwards it goes on.
TEST(SwitchoverTest, CancelledAtEachStep) {
  const size_t promote = UpTo(kSwitchover, "promote", {}).size() - 1;
  for (size_t at = 0; at < kSwitchover.size(); ++at) {
    ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
    size_t seen = 0;
    driver.Run([&](const ChangeAction& action) {
      if (seen++ == at) driver.machine->Cancel(driver.now);
      return Good(action);
    });
    EXPECT_EQ(driver.machine->outcome(),
              at < promote ? ChangeOutcome::kPutBack : ChangeOutcome::kFinished)
        << kSwitchover[at];
    EXPECT_EQ(driver.machine->outcome() == ChangeOutcome::kPutBack && at > 0,
              driver.steps.back() == "release" || driver.steps.back() == "reattach")
        << kSwitchover[at];
  }
}

TEST(SwitchoverTest, CancelledWhileStepIsStored) {
  for (const std::string& at : UpTo(kSwitchover, "promote", {})) {
    if (at == "inspect") continue;
    ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
    driver.on_store = [&](const ChangeAction& action) {
      if (ToString(action.step) == at) driver.machine->Cancel(driver.now);
    };
    driver.Run([](const ChangeAction& action) { return Good(action); });
    EXPECT_EQ(std::count(driver.steps.begin(), driver.steps.end(), at), 0) << at;
    EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kPutBack) << at;
  }
}

// The process ends while step n runs, having done it or not.
TEST(SwitchoverTest, RestartedAtEachStep) {
  for (size_t at = 1; at < kSwitchover.size(); ++at) {
    for (const bool was_promoted : {false, true}) {
      ChangeDriver first(PlanFor(ChangeKind::kSwitchover));
      size_t seen = 0;
      std::string stored;
      first.Run([&](const ChangeAction& action) {
        if (seen++ == at) stored = first.stored;
        return Good(action);
      });
      const std::optional<ChangeRecord> record = DecodeChange(stored);
      ASSERT_TRUE(record.has_value()) << kSwitchover[at];
      ChangeDriver second(*record);
      second.Run([&](const ChangeAction& action) {
        StepReport report = Good(action);
        report.writable = was_promoted;
        return report;
      });
      ASSERT_FALSE(second.steps.empty());
      const std::string& step = kSwitchover[at];
      const bool released = at > 11;
      EXPECT_EQ(second.steps.front(), released ? step : "hold");
      const bool before = at < 8;
      if (before && at >= 3 && was_promoted) {
        // Somebody else did it, or it was restarted: two must not be writable, and nobody guesses.
        EXPECT_EQ(second.machine->outcome(), ChangeOutcome::kRunning);
        EXPECT_THAT(second.alerts, ElementsAre(HasSubstr("is writable, and this switchover")));
        EXPECT_EQ(std::count(second.steps.begin(), second.steps.end(), "thaw old"), 0);
        EXPECT_EQ(std::count(second.steps.begin(), second.steps.end(), "publish"), 0);
        second.machine->Cancel(second.now);
        EXPECT_EQ(second.machine->outcome(), ChangeOutcome::kFrozen);
        continue;
      }
      const bool finishes = !before && (step != "promote" || was_promoted);
      EXPECT_EQ(second.machine->outcome(),
                finishes ? ChangeOutcome::kFinished : ChangeOutcome::kPutBack)
          << step;
      if (at > 8 && !released) {
        EXPECT_EQ(second.steps[1], step);
      }
      EXPECT_EQ(std::count(second.steps.begin(), second.steps.end(), "promote"), 0);
      EXPECT_EQ(std::count(second.steps.begin(), second.steps.end(), "release"), released ? 0 : 1);
    }
  }
}

TEST(SwitchoverTest, StrayEventsChangeNothing) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    driver.machine->OnStored(action.id, false, driver.now);
    driver.machine->OnStep(action.id + 1000, Bad(Result::kFailed), driver.now);
    driver.machine->OnStep(action.id - 1, Bad(Result::kFailed), driver.now);
    driver.machine->Tick(driver.now);
    return Good(action);
  });
  EXPECT_EQ(driver.steps, kSwitchover);
  driver.machine->Cancel(driver.now);
  driver.machine->Tick(driver.now + std::chrono::hours(1));
  EXPECT_THAT(driver.machine->TakeActions(), IsEmpty());
}

TEST(SwitchoverTest, WhatFollowsThePromotionIsTriedAgainAndNotWaitedForForEver) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([&](const ChangeAction& action) {
    return action.step == ChangeStep::kRepoint && action.server == "other" ? Bad(Result::kUnknown)
                                                                           : Good(action);
  });
  EXPECT_EQ(std::count(driver.steps.begin(), driver.steps.end(), "repoint other"), 3);
  EXPECT_EQ(driver.alerts.size(), 1u);
  EXPECT_EQ(driver.steps.back(), "settle");
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
}

const Steps kFailover = {"inspect", "hold",          "stop receiving", "apply received",
                         "detach",  "promote",       "publish",        "prove",
                         "release", "repoint other", "keep semi-sync", "settle"};

ChangePlan AcceptAll() {
  ChangePlan plan = PlanFor(ChangeKind::kFailover);
  plan.accept_data_loss = plan.accept_split_brain = true;
  return plan;
}

TEST(FailoverTest, RefusesByItself) {
  ChangeDriver driver(PlanFor(ChangeKind::kFailover));
  driver.Run([](const ChangeAction& action) {
    StepReport report = Good(action);
    report.lost = {"0-1-8"};
    return report;
  });
  EXPECT_THAT(driver.steps, ElementsAre("inspect"));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kRefused);
  EXPECT_THAT(driver.machine->words(), HasSubstr("ACCEPT SPLIT BRAIN"));
  EXPECT_THAT(driver.machine->words(), HasSubstr("ACCEPT DATA LOSS"));
  EXPECT_THAT(driver.machine->words(), HasSubstr("at least these: 0-1-8"));
}

TEST(FailoverTest, AcceptedItGoesThrough) {
  ChangeDriver driver(AcceptAll());
  driver.Run([](const ChangeAction& action) { return Good(action); });
  EXPECT_EQ(driver.steps, kFailover);
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
  EXPECT_FALSE(driver.machine->record().fenced);
}

TEST(FailoverTest, AFenceTakesThePlaceOfAcceptSplitBrain) {
  ChangePlan plan = PlanFor(ChangeKind::kFailover);
  plan.fence_configured = plan.accept_data_loss = true;
  ChangeDriver confirmed(plan);
  confirmed.Run([](const ChangeAction& action) { return Good(action); });
  EXPECT_EQ(confirmed.steps[2], "fence");
  EXPECT_TRUE(confirmed.machine->record().fenced);
  EXPECT_EQ(confirmed.machine->outcome(), ChangeOutcome::kFinished);

  for (const Result result : {Result::kFailed, Result::kUnknown}) {
    ChangeDriver failed(plan);
    failed.Run([&](const ChangeAction& action) {
      return action.step == ChangeStep::kFence ? Bad(result) : Good(action);
    });
    EXPECT_THAT(failed.steps, ElementsAre("inspect", "hold", "fence", "release"));
    EXPECT_EQ(failed.machine->outcome(), ChangeOutcome::kPutBack);
  }
  plan.accept_split_brain = true;
  ChangeDriver accepted(plan);
  accepted.Run([&](const ChangeAction& action) {
    return action.step == ChangeStep::kFence ? Bad(Result::kFailed) : Good(action);
  });
  EXPECT_EQ(accepted.machine->outcome(), ChangeOutcome::kFinished);
  EXPECT_FALSE(accepted.machine->record().fenced);
}

TEST(FailoverTest, SemiSyncIsAFenceOnlyOnceEveryReplicaWasSeenStopped) {
  for (const bool all_stopped : {false, true}) {
    ChangeDriver driver(PlanFor(ChangeKind::kFailover));
    driver.Run([&](const ChangeAction& action) {
      StepReport report = Good(action);
      report.lossless = true;
      report.semi_sync_fence = action.step == ChangeStep::kInspect || all_stopped;
      return report;
    });
    EXPECT_EQ(driver.machine->outcome(),
              all_stopped ? ChangeOutcome::kFinished : ChangeOutcome::kPutBack);
    EXPECT_EQ(driver.machine->record().fenced, all_stopped);
  }
}

TEST(FailoverTest, WhatTurnsOutToBeMissingIsRefusedToo) {
  ChangePlan plan = PlanFor(ChangeKind::kFailover);
  plan.fence_configured = true;
  ChangeDriver driver(plan);
  driver.Run([](const ChangeAction& action) {
    StepReport report = Good(action);
    report.lossless = true;
    if (action.step == ChangeStep::kApplyReceived) report.lost = {"0-1-9 in part"};
    return report;
  });
  EXPECT_THAT(driver.steps, ElementsAre("inspect", "hold", "fence", "stop receiving",
                                        "apply received", "release", "reattach"));
  EXPECT_THAT(driver.machine->words(), HasSubstr("0-1-9 in part"));
}

TEST(ChangeRecordTest, TextThatWasNotOurs) {
  ChangeRecord record;
  record.plan = PlanFor(ChangeKind::kFailover);
  record.plan.fence_timeout = std::chrono::seconds(77);
  record.step = ChangeStep::kRepoint;
  record.server = "other";
  record.why = "a\nb\\n=c";
  record.promoted = record.fenced = true;
  const std::string text = EncodeChange(record);
  ASSERT_TRUE(DecodeChange(text).has_value());
  EXPECT_EQ(*DecodeChange(text), record);
  for (size_t cut = 0; cut < text.size(); ++cut) {
    EXPECT_FALSE(DecodeChange(text.substr(0, cut)).has_value()) << cut;
  }
  EXPECT_FALSE(DecodeChange(text + "more=1\n").has_value());
  for (size_t i = 0; i < kChangeSteps; ++i) {
    const auto step = static_cast<ChangeStep>(i);
    EXPECT_EQ(ChangeStepOf(ToString(step)), step);
  }
}

}  // namespace
}  // namespace bulkhead::routing
