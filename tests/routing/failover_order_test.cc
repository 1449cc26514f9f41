// The order of a failover's steps where the candidate waits for acknowledgements itself.
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

}  // namespace
}  // namespace bulkhead::routing
