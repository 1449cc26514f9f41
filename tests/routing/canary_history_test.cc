#include "routing/canary_history.h"

#include <gtest/gtest.h>

namespace bulkhead::routing {
namespace {

using std::chrono_literals::operator""ms;

MonoTime At(int64_t ms) { return MonoTimeFromNanos(ms * 1'000'000); }

TEST(CanaryHistoryTest, NothingIsKnownBeforeTheFirst) {
  CanaryHistory history;
  EXPECT_EQ(history.last(), 0u);
  EXPECT_FALSE(history.BehindAt(7, At(1000)).has_value());
}

TEST(CanaryHistoryTest, BehindByTheNewestThatIsSeen) {
  CanaryHistory history;
  history.Committed(5, At(1000));
  history.Committed(6, At(3000));
  history.Committed(9, At(5000));  // 7 and 8 got no answer
  EXPECT_EQ(history.last(), 9u);
  EXPECT_FALSE(history.BehindAt(4, At(6000)).has_value());
  EXPECT_EQ(history.BehindAt(5, At(6000)), 5000ms);
  EXPECT_EQ(history.BehindAt(6, At(6000)), 3000ms);
  EXPECT_EQ(history.BehindAt(8, At(6000)), 3000ms);  // of 8 it is not known when it was begun
  EXPECT_EQ(history.BehindAt(9, At(6000)), 1000ms);
  EXPECT_EQ(history.BehindAt(12, At(6000)), 1000ms);
  EXPECT_EQ(history.BehindAt(9, At(4000)), 0ms);
}

TEST(CanaryHistoryTest, OldOnesAreForgotten) {
  CanaryHistory history;
  for (uint64_t n = 1; n <= CanaryHistory::kKept + 3; ++n)
    history.Committed(n, At(static_cast<int64_t>(n) * 100));
  EXPECT_FALSE(history.BehindAt(3, At(10'000)).has_value());
  EXPECT_EQ(history.BehindAt(4, At(10'000)), 9600ms);
}

TEST(CanaryHistoryTest, ATableThatWasEmptiedBeginsAnew) {
  CanaryHistory history;
  history.Committed(50, At(1000));
  history.Committed(1, At(2000));
  EXPECT_EQ(history.last(), 1u);
  EXPECT_EQ(history.BehindAt(50, At(3000)), 1000ms);  // seen before, and so is all until 1 is gone
  EXPECT_FALSE(history.BehindAt(0, At(3000)).has_value());
}

}  // namespace
}  // namespace bulkhead::routing
