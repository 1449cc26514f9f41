// Other routers by their canary rows: two clocks must say that one lives.
#include "proxy/control/other_routers.h"

#include <gtest/gtest.h>

namespace bulkhead::control {
namespace {

using namespace std::chrono_literals;

TEST(OtherRouters, LiveWhileTheirNumberChanges) {
  routing::MonoTime now{1000s};
  std::vector<OtherRouter> known = Followed({}, {{.id = "a", .number = 7}}, now);
  EXPECT_TRUE(IsAlive(known[0], now));
  // The server's newest row stands still: its clock says nothing any more.
  known = Followed(known, {{.id = "a", .number = 7}}, now + 20s);
  EXPECT_TRUE(IsAlive(known[0], now + 30s));
  EXPECT_FALSE(IsAlive(known[0], now + 31s));
  known = Followed(known, {{.id = "a", .number = 8}}, now + 31s);
  EXPECT_TRUE(IsAlive(known[0], now + 31s));
}

TEST(OtherRouters, WhoFellBehindTheNewestRowIsGoneAtOnce) {
  const routing::MonoTime now{1000s};
  const auto known = Followed({}, {{.id = "a", .number = 7, .behind_seconds = 31}}, now);
  EXPECT_FALSE(IsAlive(known[0], now));
}

}  // namespace
}  // namespace bulkhead::control
