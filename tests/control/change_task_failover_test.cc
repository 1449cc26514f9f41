// FAILOVER as an operation; see change_task_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/control/change_task_fixture.h"

namespace bulkhead::control {
namespace {

using routing::ChangeStep;
using routing::StepReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Result = StepReport::Result;

// --- failover

TEST_F(ChangeTaskTest, FailoverRefusesWhatNobodyHasAccepted) {
  EXPECT_THAT(Did(Failover{.shard = "s1", .to = "db3"}), HasSubstr("ACCEPT SPLIT BRAIN"));
  EXPECT_THAT(Did(Failover{.shard = "s1", .to = "db3"}), HasSubstr("ACCEPT DATA LOSS"));
  EXPECT_THAT(Did(Failover{.shard = "s1", .to = "db3", .accept_data_loss = true}),
              HasSubstr("ACCEPT SPLIT BRAIN"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
  EXPECT_THAT(world_.given_up_, IsEmpty());
}

TEST_F(ChangeTaskTest, FailoverGivesUpFencesAndLeavesTheOldOneFenced) {
  world_.options_.failover.fence_command = {"/bin/true"};
  std::vector<std::string> given_up_at_fence;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kFence) given_up_at_fence = world_.given_up_;
  };
  auto answer = Ask(Failover{.shard = "s1", .to = "db3", .accept_data_loss = true});
  EXPECT_TRUE(answer->reply.ok) << answer->reply.message;
  EXPECT_THAT(given_up_at_fence, ElementsAre("db1"));
  EXPECT_THAT(steps(), ElementsAre("inspect ", "fence db1", "stop receiving db3",
                                   "apply received db3", "detach db3", "promote db3", "prove db3",
                                   "keep semi-sync db3", "settle db3"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db3");
  const routing::BackendId old = world_.topology_->FindBackend("db1")->id;
  EXPECT_EQ(world_.HealthOf(old)->state(), routing::BackendState::kFenced);
  EXPECT_THAT(Did(Switchover{.shard = "s1", .to = "db1"}), HasSubstr("backend db1 is fenced"));
  EXPECT_THAT(Did(DisableBackend{"db1"}), HasSubstr("is fenced"));
  // Also in another process, until an operator says otherwise.
  Restart();
  EXPECT_EQ(world_.HealthOf(old)->state(), routing::BackendState::kFenced);
  EXPECT_THAT(Did(MarkBackend{"db1", MarkBackend::As::kUp}), HasSubstr("ok: "));
  EXPECT_EQ(world_.HealthOf(old)->state(), routing::BackendState::kUp);
  EXPECT_EQ(Stored().backend_states["db1"], "");
}

TEST_F(ChangeTaskTest, AFencedBackendIsNoReplicaAndStaysFencedWhereItIsNotDropped) {
  world_.options_.failover.fence_command = {"/bin/true"};
  EXPECT_TRUE(Ask(Failover{.shard = "s1", .to = "db3", .accept_data_loss = true})->reply.ok);
  EXPECT_THAT(Did(DropBackend{"db1"}), HasSubstr("is used by shard"));
  EXPECT_THAT(operators_->FencedWhy("db1"), HasSubstr("was failed over"));
  // db1 is listed as its replica, and not touched.
  EXPECT_THAT(Did(DropShard{"s2"}), HasSubstr("ok: "));
  AlterShard alter;
  alter.name = "s1";
  alter.replicas = {"db1", "db2"};
  EXPECT_THAT(Did(alter), HasSubstr("ok: "));
  steps().clear();
  auto answer = Ask(Switchover{.shard = "s1", .to = "db2"});
  EXPECT_TRUE(answer->reply.ok) << answer->reply.message;
  EXPECT_THAT(steps(), Not(Contains("repoint db1")));
  EXPECT_THAT(steps(), Contains("repoint db3"));  // the old primary
}

TEST_F(ChangeTaskTest, AfterAFenceOthersAreStartedAgainToo) {
  world_.options_.failover.fence_command = {"/bin/true"};
  StepReport failed;
  failed.result = Result::kFailed;
  failed.why = "it has not executed everything";
  world_.hands_.answers[ChangeStep::kApplyReceived] = failed;
  bool started = false;
  world_.hands_.on_step = [&](const routing::ChangeAction& action) {
    if (action.step == ChangeStep::kReattach) started = world_.hands_.last_context.stop_others;
  };
  EXPECT_FALSE(Ask(Failover{.shard = "s1", .to = "db3", .accept_data_loss = true})->reply.ok);
  EXPECT_TRUE(started);
}

TEST_F(ChangeTaskTest, AFenceThatDoesNotConfirmChangesNothing) {
  world_.options_.failover.fence_command = {"/bin/false"};
  StepReport failed;
  failed.result = Result::kFailed;
  failed.why = "exit code 1";
  world_.hands_.answers[ChangeStep::kFence] = failed;
  auto answer = Ask(Failover{.shard = "s1", .to = "db3", .accept_data_loss = true});
  After(1s);
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_THAT(answer->reply.message, HasSubstr("the fence did not confirm: exit code 1"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
}

}  // namespace
}  // namespace bulkhead::control
