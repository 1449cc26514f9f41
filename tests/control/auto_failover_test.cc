#include "proxy/control/auto_failover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::control {
namespace {

using routing::FailoverMode;
using routing::MonoTime;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class AutoFailoverTest : public ::testing::Test {
 protected:
  AutoFailoverTest() {
    view.shard = "s1";
    view.primary = "db1";
    view.mode = FailoverMode::kAutomatic;
    view.primary_down = true;
    view.down_since = MonoTime(100s);
    view.fence_configured = true;
    view.replicas = {{"db2", true, 7}, {"db3", true, 9}};
  }
  std::string Chosen() { return policy.Choose(view, 3s, now, &why_not).value_or("none"); }
  AutoFailoverView view;
  AutoFailover policy;
  MonoTime now = MonoTime(104s);
  std::string why_not;
};

TEST_F(AutoFailoverTest, TakesTheReplicaThatHasMost) { EXPECT_EQ(Chosen(), "db3"); }

TEST_F(AutoFailoverTest, OnlyWhereItIsWanted) {
  view.mode = FailoverMode::kManual;
  EXPECT_EQ(Chosen(), "none");
  EXPECT_EQ(why_not, "");
}

TEST_F(AutoFailoverTest, OnlyAfterItsTime) {
  now = MonoTime(102900ms);
  EXPECT_EQ(Chosen(), "none");
  now = MonoTime(103s);
  EXPECT_EQ(Chosen(), "db3");
}

TEST_F(AutoFailoverTest, NeverWithoutAFence) {
  view.fence_configured = false;
  EXPECT_EQ(Chosen(), "none");
  EXPECT_THAT(why_not, HasSubstr("no fence command"));
  EXPECT_EQ(Chosen(), "none");
  EXPECT_EQ(why_not, "");  // said once
}

TEST_F(AutoFailoverTest, NeverWhenEverythingIsBadAtOnce) {
  view.all_bad = true;
  EXPECT_EQ(Chosen(), "none");
  EXPECT_THAT(why_not, HasSubstr("every backend is bad"));
  view.all_bad = false;
  EXPECT_EQ(Chosen(), "db3");
}

TEST_F(AutoFailoverTest, NeverWhileOthersHearIt) {
  view.heard_elsewhere = true;
  EXPECT_EQ(Chosen(), "none");
  EXPECT_THAT(why_not, HasSubstr("still heard"));
}

TEST_F(AutoFailoverTest, EachCandidateOnceAnOutage) {
  EXPECT_EQ(Chosen(), "db3");
  view.under_way = true;
  EXPECT_EQ(Chosen(), "none");
  view.under_way = false;  // it was refused
  EXPECT_EQ(Chosen(), "db2");
  EXPECT_EQ(Chosen(), "none");
  EXPECT_THAT(why_not, HasSubstr("every replica that is up was tried"));
  // Another outage.
  view.primary_down = false;
  EXPECT_EQ(Chosen(), "none");
  view.primary_down = true;
  view.down_since = MonoTime(200s);
  now = MonoTime(204s);
  EXPECT_EQ(Chosen(), "db3");
}

TEST_F(AutoFailoverTest, WaitsForAReplica) {
  for (auto& replica : view.replicas) replica.up = false;
  EXPECT_EQ(Chosen(), "none");
  EXPECT_THAT(why_not, HasSubstr("no replica"));
  view.replicas[0].up = true;
  EXPECT_EQ(Chosen(), "db2");
}

}  // namespace
}  // namespace bulkhead::control
