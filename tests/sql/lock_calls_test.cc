#include "proxy/sql/lock_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

using ::testing::ElementsAre;
using Kind = LockCall::Kind;

TEST(LockCalls, AreCountedInPlainStatements) {
  const LockCalls get = FindLockCalls("SELECT GET_LOCK('Job-1', 10)", MariaDb());
  EXPECT_TRUE(get.understood);
  EXPECT_THAT(get.calls, ElementsAre(LockCall{Kind::kGet, "job-1"}));
  EXPECT_THAT(FindLockCalls("do release_lock(\"a\") ;", MariaDb()).calls,
              ElementsAre(LockCall{Kind::kRelease, "a"}));
  EXPECT_THAT(
      FindLockCalls("SELECT /* x */ GET_LOCK('a', -1) AS got, RELEASE_LOCK('b') x", MariaDb())
          .calls,
      ElementsAre(LockCall{Kind::kGet, "a"}, LockCall{Kind::kRelease, "b"}));
  EXPECT_THAT(FindLockCalls("SELECT RELEASE_ALL_LOCKS() AS `n`", MariaDb()).calls,
              ElementsAre(LockCall{Kind::kReleaseAll, ""}));
}

TEST(LockCalls, AreNotUnderstoodElsewhere) {
  for (const std::string_view text :
       {"SELECT GET_LOCK(name, 1) FROM jobs", "SELECT GET_LOCK('a', 1) FROM jobs",
        "SELECT IF(1, GET_LOCK('a', 1), 0)", "SELECT GET_LOCK(?, 1)", "SELECT GET_LOCK(@a, 1)",
        "SELECT GET_LOCK('a', 1); SELECT 1", "SELECT 1, GET_LOCK('a', 1)",
        "SELECT GET_LOCK('a', 1) WHERE 0", "SELECT GET_LOCK(CONCAT('a', 'b'), 1)",
        "SELECT GET_LOCK('\xC3\x84', 1)", "SELECT GET_LOCK('a', 1) + 1", "SELECT GET_LOCK('a', 1",
        "INSERT INTO t SELECT GET_LOCK('a', 1)", "SELECT RELEASE_LOCK()", "", "SELECT"}) {
    const LockCalls calls = FindLockCalls(text, MariaDb());
    EXPECT_FALSE(calls.understood) << text;
    EXPECT_TRUE(calls.calls.empty()) << text;
  }
}

}  // namespace
}  // namespace bulkhead::sql
