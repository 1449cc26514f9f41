// The simulator's short run: 200 seeds without a violation, and a seed that replays bit for bit.

#include "tests/sim/simulation.h"

#include <gtest/gtest.h>

namespace bulkhead::sim {
namespace {

std::string Words(const Result& result) {
  std::string words;
  for (const Violation& violation : result.violations) {
    words += std::string(ToString(violation.checker)) + ": " + violation.words + "\n";
  }
  return words;
}

TEST(SimulationTest, OneSeedIsOneRun) {
  for (const uint64_t seed : {1, 7, 42, 133}) {
    const Result once = RunSeed(seed, {});
    const Result again = RunSeed(seed, {});
    EXPECT_EQ(once.hash, again.hash) << "seed " << seed;
    EXPECT_EQ(once.events, again.events) << "seed " << seed;
  }
  EXPECT_NE(RunSeed(1, {}).hash, RunSeed(2, {}).hash);
}

class SeedsTest : public testing::TestWithParam<uint64_t> {};

// Twenty seeds a test, so that several can run at once.
TEST_P(SeedsTest, NothingIsViolated) {
  Holds::Counts held;
  Ledger::Counts writes;
  for (uint64_t seed = GetParam(); seed < GetParam() + 20; ++seed) {
    const Result result = RunSeed(seed, {});
    EXPECT_TRUE(result.violations.empty()) << "sim --seeds " << seed << " --verbose\n"
                                           << Words(result);
    held.released += result.held.released;
    held.refused += result.held.refused;
    writes.done += result.writes.done;
    writes.unknown += result.writes.unknown;
  }
  // A run in which nothing happens proves nothing.
  EXPECT_GT(held.released, 100u);
  EXPECT_GT(held.refused, 10u);
  EXPECT_GT(writes.done, 1000u);
  EXPECT_GT(writes.unknown, 0u);
}

INSTANTIATE_TEST_SUITE_P(Short, SeedsTest, testing::Range<uint64_t>(1, 201, 20));

}  // namespace
}  // namespace bulkhead::sim
