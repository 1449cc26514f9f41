#include <gtest/gtest.h>

#include "proxy/control/server_inspector.h"

namespace bulkhead::control {
namespace {

constexpr int64_t kNow = 1'700'000'000;

TEST(ProcessMemory, AServerThatRunsOnIsTheSame) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(100, 7, kNow);
  EXPECT_EQ(started, kNow - 100);
  EXPECT_EQ(memory.StartedAt(200, 9, kNow + 100), started);
}

// Its clock stood still meanwhile, ours did not: uptime and time of day don't agree any more.
TEST(ProcessMemory, APausedMachineIsNoRestart) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(1000, 7, kNow);
  EXPECT_EQ(memory.StartedAt(1002, 8, kNow + 600), started);
  EXPECT_EQ(memory.StartedAt(1003, 9, kNow + 4000), started);
}

TEST(ProcessMemory, AStepOfTheServersClockIsNoRestart) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(1000, 7, kNow);
  EXPECT_EQ(memory.StartedAt(945, 8, kNow + 5), started);
}

TEST(ProcessMemory, ALowerUptimeIsARestart) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(1000, 7, kNow);
  const int64_t again = memory.StartedAt(3, 8, kNow + 60);
  EXPECT_EQ(again, kNow + 57);
  EXPECT_GT(again, started);
  // And that one is the same from now on.
  EXPECT_EQ(memory.StartedAt(13, 9, kNow + 70), again);
}

// It was up for a moment only, and is up for longer now: the ids alone tell.
TEST(ProcessMemory, IdsThatBeginAnewAreARestart) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(5, 1000, kNow);
  memory.NoteConnection(1200);
  const int64_t again = memory.StartedAt(20, 6, kNow + 30);
  EXPECT_GT(again, started);
  EXPECT_EQ(memory.StartedAt(21, 7, kNow + 31), again);
}

// Restarted within seconds and with a clock that was set back: it must still be told apart.
TEST(ProcessMemory, ARestartIsAlwaysLater) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(5, 1000, kNow);
  EXPECT_GT(memory.StartedAt(4, 1, kNow - 100), started);
}

// What other connections to it said in the meantime counts too.
TEST(ProcessMemory, UptimesSeenElsewhereCount) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(10, 0, kNow);
  memory.NoteUptime(500);
  EXPECT_GT(memory.StartedAt(30, 0, kNow + 600), started);
}

// An id of 0 is none.
TEST(ProcessMemory, AnUnknownIdSaysNothing) {
  ProcessMemory memory;
  const int64_t started = memory.StartedAt(10, 50, kNow);
  EXPECT_EQ(memory.StartedAt(11, 0, kNow + 1), started);
}

}  // namespace
}  // namespace bulkhead::control
