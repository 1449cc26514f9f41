// The order of the steps where the new primary waits for acknowledgements.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/routing/change_driver.h"

namespace bulkhead::routing {
namespace {

TEST(FailoverOrder, ACandidateThatWaitsForReplicasGetsThemBeforeItCommits) {
  ChangePlan plan = PlanFor(ChangeKind::kFailover);
  plan.accept_data_loss = plan.accept_split_brain = true;
  ChangeDriver driver(plan);
  driver.Run([](const ChangeAction&) {
    StepReport report;
    report.semi_sync = true;
    return report;
  });
  const auto at = [&](const char* step) {
    return std::find_if(driver.steps.begin(), driver.steps.end(),
                        [&](const std::string& one) { return one.starts_with(step); });
  };
  ASSERT_NE(at("keep semi-sync"), driver.steps.end());
  EXPECT_LT(at("repoint"), at("keep semi-sync"));
  EXPECT_LT(at("keep semi-sync"), at("prove"));
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
}

TEST(SwitchoverTest, WhileClientsWaitASilentReplicaHasOneChance) {
  ChangeDriver driver(PlanFor(ChangeKind::kSwitchover));
  driver.Run([](const ChangeAction& action) -> std::optional<StepReport> {
    if (action.step == ChangeStep::kRepoint && action.server == "other") return std::nullopt;
    StepReport report = Good(action);
    report.semi_sync = action.step == ChangeStep::kInspect;
    return report;
  });
  EXPECT_EQ(std::count(driver.steps.begin(), driver.steps.end(), "repoint other"), 1);
  EXPECT_EQ(driver.machine->outcome(), ChangeOutcome::kFinished);
  EXPECT_EQ(driver.alerts.size(), 1U);
}

}  // namespace
}  // namespace bulkhead::routing
