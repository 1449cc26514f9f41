// SWITCHOVER and FAILOVER as operations: orders, storing, answers, resuming. The machine behind
// them has its own tests (tests/routing); servers are a script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/control/change_task_fixture.h"

namespace bulkhead::control {
namespace {

using routing::ChangeStep;
using routing::GateMode;
using routing::StepReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Result = StepReport::Result;

TEST_F(ChangeTaskTest, SwitchesOverAndAnswersOnceItIsStored) {
  std::vector<GateMode> modes;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kPromote || action.step == ChangeStep::kRepoint)
      modes.push_back(world_.ModeOf("s1"));
  };
  auto answer = Switch();
  ASSERT_EQ(answer->count, 1);
  EXPECT_TRUE(answer->reply.ok) << answer->reply.message;
  EXPECT_THAT(answer->reply.message, HasSubstr("shard s1 has its primary on db3 now"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db3");
  EXPECT_THAT(steps(), ElementsAre("inspect ", "freeze old db1", "end privileged db1",
                                   "read position db1", "catch up db3", "detach db3", "promote db3",
                                   "prove db3", "repoint db1", "keep semi-sync db3", "settle db3"));
  EXPECT_THAT(modes, ElementsAre(GateMode::kAsk, GateMode::kServing));  // held; released
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(answer->progress, Contains(HasSubstr("promote (db3)")));
  const StoredState stored = Stored();
  ASSERT_THAT(stored.operations, SizeIs(1));
  EXPECT_EQ(stored.operations[0].operation.state, Operation::State::kDone);
  EXPECT_TRUE(stored.operations[0].payload.empty());
  // The epoch that was published is the one that is proved.
  ASSERT_THAT(world_.hands_.last_context.epochs, SizeIs(1));
  EXPECT_EQ(world_.hands_.last_context.epochs[0].epoch,
            world_.topology_->FindShard("s1")->epoch.value);
}

TEST_F(ChangeTaskTest, IsRefusedWithEveryReasonAndChangesNothing) {
  StepReport report;
  report.reasons = {"db3: log_bin is OFF", "db1: has 1 prepared XA transactions"};
  report.rows = {{"inspect", "db3", "log_bin", "AGAINST IT"}};
  world_.hands_.answers[ChangeStep::kInspect] = report;
  auto answer = Switch();
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_THAT(answer->reply.message, HasSubstr("log_bin is OFF; db1: has 1 prepared"));
  EXPECT_THAT(steps(), ElementsAre("inspect "));
  EXPECT_EQ(LastOperation().state, Operation::State::kFailed);
  auto dry = Ask(Switchover{.shard = "s1", .to = "db3", .dry_run = true});
  EXPECT_TRUE(dry->reply.ok);
  EXPECT_THAT(dry->reply.message, HasSubstr("is refused"));
  EXPECT_THAT(dry->reply.rows, SizeIs(1));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
}

TEST_F(ChangeTaskTest, ChecksNamesBeforeAnyServerIsAsked) {
  EXPECT_THAT(Did(Switchover{.shard = "s9", .to = "db3"}), HasSubstr("9421: there is no shard"));
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db1"}), HasSubstr("is the primary of shard s1"));
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db2"}), HasSubstr("is no replica of shard s1"));
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db3", .timeout = 0s}), HasSubstr("9422: "));
  Ask(DisableBackend{"db3"});
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db3"}), HasSubstr("ENABLE BACKEND db3"));
  Ask(EnableBackend{"db3"});
  world_.options_.control.reset();
  EXPECT_THAT(Did(Failover{.shard = "s1", .to = "db3"}), HasSubstr("no control account"));
  EXPECT_THAT(steps(), IsEmpty());
}

TEST_F(ChangeTaskTest, PutsBackWhatFailedBeforeThePromotion) {
  StepReport failed;
  failed.result = Result::kFailed;
  failed.why = "Lost connection to the primary";
  world_.hands_.answers[ChangeStep::kCatchUp] = failed;
  bool expected = false;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kCatchUp) expected = world_.expected_read_only_.contains("db1");
  };
  auto answer = Switch();
  After(1s);
  ASSERT_EQ(answer->count, 1);
  EXPECT_TRUE(expected);
  EXPECT_THAT(world_.expected_read_only_, IsEmpty());
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_THAT(answer->reply.message, HasSubstr("was put back: catch up: Lost connection"));
  EXPECT_THAT(steps(), Contains("thaw old db1"));
  EXPECT_THAT(steps(), Not(Contains("promote db3")));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

TEST_F(ChangeTaskTest, WaitsForWhatRunsAndThenEndsIt) {
  world_.busy_.transactions = 1;
  auto answer = Ask(Switchover{.shard = "s1", .to = "db3", .timeout = 2s});
  After(1s);
  EXPECT_EQ(answer->count, 0);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_THAT(LastOperation().step, HasSubstr("waits for 0 statements and 1 transactions"));
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kEndRunning) world_.busy_ = {};
  };
  After(2s);
  EXPECT_TRUE(answer->reply.ok) << answer->reply.message;
  EXPECT_THAT(steps(), Contains("end running db1"));
  EXPECT_FALSE(world_.hands_.last_context.end_all);
}

TEST_F(ChangeTaskTest, AfterALockEverybodyIsEnded) {
  StepReport locked;
  locked.result = Result::kFailed;
  locked.locked = true;
  world_.hands_.answers[ChangeStep::kFreezeOld] = locked;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kEndRunning) world_.hands_.answers[ChangeStep::kFreezeOld] = {};
  };
  EXPECT_TRUE(Switch()->reply.ok);
  EXPECT_THAT(steps(), Contains("end running db1"));
  EXPECT_TRUE(world_.hands_.last_context.end_all);
}

TEST_F(ChangeTaskTest, IsCancelledByItsNumberOrItsAsker) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  auto answer = Switch();
  After(200ms);
  EXPECT_THAT(Did(CancelOperation{LastOperation().id}), HasSubstr("is being cancelled"));
  After(1s);
  ASSERT_EQ(answer->count, 1);
  EXPECT_THAT(answer->reply.message, HasSubstr("was put back: cancelled"));
  EXPECT_EQ(world_.hands_.aborted, 1);
  EXPECT_EQ(LastOperation().state, Operation::State::kCancelled);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

TEST_F(ChangeTaskTest, AfterThePromotionItIsTooLateToCancel) {
  world_.hands_.silent = {ChangeStep::kRepoint};
  auto answer = Switch();
  EXPECT_EQ(answer->count, 0);
  EXPECT_THAT(Did(CancelOperation{LastOperation().id}),
              HasSubstr("can't be cancelled: db3 is promoted"));
}

TEST_F(ChangeTaskTest, OthersMayNotTouchItsShardMeanwhile) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  Switch();
  const std::string under_way = "operation 1 (switchover of s1) is under way";
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db3"}), HasSubstr(under_way));
  EXPECT_THAT(Did(Failover{.shard = "s1", .to = "db3"}), HasSubstr(under_way));
  EXPECT_THAT(Did(DropShard{"s1"}), HasSubstr(under_way));
  EXPECT_THAT(Did(DropBackend{"db3"}), HasSubstr(under_way));
  EXPECT_THAT(Did(DrainBackend{"db1"}), HasSubstr(under_way));
  EXPECT_THAT(Did(AssignTenant{"acme", "s2"}), HasSubstr(under_way));
  EXPECT_THAT(
      Did(AlterShard{.name = "s1", .primary = "db3", .replicas = {}, .hold = {}, .production = {}}),
      HasSubstr(under_way));
  // Its hold is not an operator's to take.
  EXPECT_THAT(Did(ReleaseSlice{{SliceName::Kind::kShard, "s1"}, true}), HasSubstr(under_way));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  // Others' shards go on.
  EXPECT_THAT(Did(HoldSlice{{SliceName::Kind::kShard, "s2"}, {}}), HasSubstr("ok: "));
}

TEST_F(ChangeTaskTest, ShardsThatShareThePrimaryMoveTogether) {
  EXPECT_TRUE(Ask(CreateShard{{.name = "s3", .primary = "db1", .replicas = {"db3"}}})->reply.ok);
  std::vector<GateMode> modes;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kPromote) modes.push_back(world_.ModeOf("s3"));
  };
  EXPECT_TRUE(Switch()->reply.ok);
  EXPECT_EQ(world_.PrimaryOf("s3"), "db3");
  EXPECT_THAT(modes, ElementsAre(GateMode::kAsk));
  EXPECT_THAT(world_.hands_.last_context.epochs, SizeIs(2));
  EXPECT_EQ(world_.ModeOf("s3"), GateMode::kServing);
}

TEST_F(ChangeTaskTest, WhatCantBeStoredIsNotSent) {
  world_.stored_ = absl::UnavailableError("the disk is full");
  auto answer = Switch();
  After(1s);
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_THAT(answer->reply.message, HasSubstr("could not be stored"));
  EXPECT_THAT(steps(), ElementsAre("inspect "));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

// Every step: the process ends after it was sent and before it was answered.
TEST_F(ChangeTaskTest, AnotherProcessPutsBackOrFinishes) {
  for (const ChangeStep step : {ChangeStep::kFreezeOld, ChangeStep::kReadPosition,
                                ChangeStep::kCatchUp, ChangeStep::kDetach, ChangeStep::kPromote,
                                ChangeStep::kProve, ChangeStep::kRepoint, ChangeStep::kSettle}) {
    ChangeTaskTest::SetUp();
    const std::string from = world_.PrimaryOf("s1");
    const std::string to = from == "db1" ? "db3" : "db1";
    world_.edits_.clear();
    steps().clear();
    world_.hands_.silent = {step};
    auto answer = Ask(Switchover{.shard = "s1", .to = to});
    ASSERT_EQ(answer->count, 0) << routing::ToString(step);
    const uint64_t number = LastOperation().id;
    world_.hands_.silent.clear();
    const bool after = step >= ChangeStep::kPromote;
    StepReport writable;
    writable.writable = after;
    world_.hands_.answers[ChangeStep::kConfirm] = writable;
    Restart();
    After(1s);
    EXPECT_EQ(world_.PrimaryOf("s1"), after ? to : from) << routing::ToString(step);
    EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing) << routing::ToString(step);
    const Operation operation = *world_.operations_.Find(number);
    EXPECT_NE(operation.state, Operation::State::kRunning) << routing::ToString(step);
    EXPECT_THAT(operation.detail, HasSubstr("after a restart of the router"));
    EXPECT_THAT(operation.detail, HasSubstr(after ? "has its primary on" : "was put back"));
  }
}

// The old primary must not be made writable beside one that somebody promoted meanwhile.
TEST_F(ChangeTaskTest, AnotherProcessLeavesToAPersonWhatAnOperatorDidByHand) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  Switch();
  world_.hands_.silent.clear();
  StepReport writable;
  writable.writable = true;
  world_.hands_.answers[ChangeStep::kConfirm] = writable;
  steps().clear();
  Restart();
  After(3s);
  EXPECT_THAT(steps(), Not(Contains(HasSubstr("thaw old"))));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  const uint64_t number = LastOperation().id;
  EXPECT_EQ(LastOperation().state, Operation::State::kRunning);
  EXPECT_THAT(Did(CancelOperation{number}), HasSubstr("ok: "));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk) << "held until somebody says who is right";
}

TEST_F(ChangeTaskTest, AnotherProcessPutsBackWhereTheCandidateCantBeAsked) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  Switch();
  world_.hands_.silent.clear();
  StepReport failed;
  failed.result = Result::kFailed;
  failed.why = "does not answer";
  world_.hands_.answers[ChangeStep::kConfirm] = failed;
  Restart();
  After(3s);
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(LastOperation().detail, HasSubstr("was put back"));
}

TEST_F(ChangeTaskTest, HeldFromTheFirstMomentOfTheNextProcess) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  Switch();
  const StoredState state = Stored();
  FakeWorld next;
  next.topology_ = world_.topology_;
  next.options_ = world_.options_;
  next.Follow();
  EXPECT_EQ(next.ModeOf("s1"), GateMode::kServing);
  Operators operators(&next);
  operators.Restore(state);
  EXPECT_EQ(next.ModeOf("s1"), GateMode::kAsk);
}

TEST_F(ChangeTaskTest, TheEndOfTheProcessPutsNothingBack) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  auto answer = Switch();
  steps().clear();
  operators_->Stop();
  RunPosted();
  EXPECT_THAT(steps(), IsEmpty());
  EXPECT_EQ(Stored().operations[0].operation.state, Operation::State::kRunning);
  EXPECT_FALSE(Stored().operations[0].payload.empty());
}

TEST_F(ChangeTaskTest, AnUnknownPromotionStaysHeldUntilAnOperatorSaysSo) {
  StepReport lost;
  lost.result = Result::kUnknown;
  lost.why = "no answer";
  world_.hands_.answers[ChangeStep::kPromote] = lost;
  world_.hands_.answers[ChangeStep::kConfirm] = lost;
  auto answer = Switch();
  After(5s);
  EXPECT_EQ(answer->count, 0);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_THAT(answer->progress, Contains(HasSubstr("ALERT: ")));
  Ask(CancelOperation{LastOperation().id});
  After(100ms);
  ASSERT_EQ(answer->count, 1);
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);  // and now it is an operator's to release
  EXPECT_THAT(Did(ReleaseSlice{{SliceName::Kind::kShard, "s1"}}), HasSubstr("is released"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

TEST_F(ChangeTaskTest, OnlyAnOperatorEndsWhatNeedsAPerson) {
  StepReport lost;
  lost.result = Result::kUnknown;
  world_.hands_.answers[ChangeStep::kPromote] = lost;
  world_.hands_.answers[ChangeStep::kConfirm] = lost;
  auto answer = Switch();
  EXPECT_EQ(operators_->stuck(), 0u);
  After(5s);
  EXPECT_EQ(operators_->stuck(), 1u);
  operators_->CancelSubmitted(answer->ticket);  // its client has left
  RunPosted();
  operators_->CancelAll();  // the process ends
  After(1s);
  EXPECT_TRUE(operators_->idle());  // and does not wait for it
  EXPECT_EQ(LastOperation().state, Operation::State::kRunning);
  EXPECT_FALSE(Stored().operations[0].payload.empty());
  operators_->Stop();
  StepReport writable;
  writable.writable = true;
  world_.hands_.answers[ChangeStep::kConfirm] = writable;
  Restart();
  After(3s);
  EXPECT_EQ(world_.PrimaryOf("s1"), "db3");
  EXPECT_EQ(operators_->stuck(), 0u);
}

TEST_F(ChangeTaskTest, WhatCantBeReadIsHeldAndNotForgotten) {
  world_.hands_.silent = {ChangeStep::kCatchUp};
  Switch();
  StoredState state = Stored();
  state.operations[0].payload = "change 99\n";
  operators_ = std::make_unique<Operators>(&world_);
  world_.posted_.clear();
  world_.hands_.silent.clear();
  operators_->Restore(state);
  RunPosted();
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_EQ(LastOperation().state, Operation::State::kFailed);
  EXPECT_THAT(LastOperation().detail, HasSubstr("can't be read"));
  EXPECT_EQ(Stored().operations[0].operation.state, Operation::State::kFailed);
  EXPECT_THAT(Did(ReleaseSlice{{SliceName::Kind::kShard, "s1"}}), HasSubstr("is released"));
}

TEST_F(ChangeTaskTest, ALaterChangeTakesWhatAFrozenOneHasLeft) {
  StepReport lost;
  lost.result = Result::kUnknown;
  world_.hands_.answers[ChangeStep::kPromote] = lost;
  world_.hands_.answers[ChangeStep::kConfirm] = lost;
  Switch();
  After(5s);
  Ask(CancelOperation{LastOperation().id});
  world_.hands_.answers.erase(ChangeStep::kPromote);
  EXPECT_TRUE(Switch()->reply.ok);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

}  // namespace
}  // namespace bulkhead::control
