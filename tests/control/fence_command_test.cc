#include "proxy/control/fence_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(FenceCommand, OnlyExitZeroConfirms) {
  const FenceResult good = RunFence({"/bin/sh", "-c", "echo off; echo really >&2"}, 20s);
  EXPECT_TRUE(good.confirmed) << good.why;
  EXPECT_EQ(good.output, "off really ");
  const FenceResult bad = RunFence({"/bin/sh", "-c", "echo no power switch; exit 3"}, 20s);
  EXPECT_FALSE(bad.confirmed);
  EXPECT_EQ(bad.why, "exit code 3");
  EXPECT_EQ(bad.output, "no power switch ");
  EXPECT_THAT(RunFence({"/bin/sh", "-c", "kill -9 $$"}, 20s).why, HasSubstr("signal 9"));
}

TEST(FenceCommand, ThatCantBeStartedConfirmsNothing) {
  EXPECT_THAT(RunFence({"/no/such/program"}, 20s).why, HasSubstr("No such file"));
  EXPECT_THAT(RunFence({"/etc/passwd"}, 20s).why, HasSubstr("Permission denied"));
  EXPECT_THAT(RunFence({}, 20s).why, HasSubstr("no command"));
  // No PATH, no shell.
  EXPECT_FALSE(RunFence({"true"}, 20s).confirmed);
}

TEST(FenceCommand, IsKilledWithItsChildrenAtTheLimit) {
  const FenceResult late = RunFence({"/bin/sh", "-c", "echo begins; sleep 600 & wait"}, 300ms);
  EXPECT_FALSE(late.confirmed);
  EXPECT_THAT(late.why, HasSubstr("killed"));
  EXPECT_EQ(late.output, "begins ");
}

TEST(FenceCommand, DoesNotWaitForWhoKeepsItsOutput) {
  const FenceResult quick = RunFence({"/bin/sh", "-c", "echo done; sleep 5 & exit 0"}, 60s);
  EXPECT_TRUE(quick.confirmed) << quick.why;
}

TEST(FenceCommand, KeepsTheEndOfALongOutput) {
  const FenceResult result = RunFence(
      {"/bin/sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done"}, 60s);
  EXPECT_TRUE(result.confirmed);
  EXPECT_LE(result.output.size(), kMostFenceOutput);
  EXPECT_THAT(result.output, HasSubstr("line 2999"));
}

TEST(FenceCommand, FillsInPlaceholdersAsWholeTexts) {
  const routing::Address address{.host = "10.0.0.1", .port = 3306};
  EXPECT_THAT(
      FilledIn({"/f", "{backend}", "--at={host}:{port}", "{shard}; rm"}, "db1", address, "s1"),
      ElementsAre("/f", "db1", "--at=10.0.0.1:3306", "s1; rm"));
}

}  // namespace
}  // namespace bulkhead::control
