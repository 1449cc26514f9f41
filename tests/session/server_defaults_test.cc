#include "proxy/session/server_defaults.h"

#include <gtest/gtest.h>

#include <string>

namespace bulkhead::session {
namespace {

TEST(ServerDefaults, AreReadFromOneCell) {
  const auto defaults = ParseServerDefaults("28800|600|utf8mb4|ANSI_QUOTES,STRICT_TRANS_TABLES");
  ASSERT_TRUE(defaults.has_value());
  EXPECT_EQ(defaults->wait_timeout_s, 28800u);
  EXPECT_EQ(defaults->interactive_timeout_s, 600u);
  EXPECT_EQ(defaults->charset, "utf8mb4");
  EXPECT_EQ(defaults->sql_mode, "ANSI_QUOTES,STRICT_TRANS_TABLES");
  EXPECT_EQ(ParseServerDefaults("1|2|latin1|")->sql_mode, "");
  for (const std::string_view cell : {"", "1", "1|2", "1|2|latin1", "x|2|latin1|", "1||latin1|",
                                      "-1|2|latin1|", "99999999999999999999|2|latin1|"}) {
    EXPECT_EQ(ParseServerDefaults(cell), std::nullopt) << cell;
  }
}

TEST(ServerDefaultsTable, EqualOnesAreOnePointer) {
  ServerDefaultsTable table;
  const routing::BackendId a{0, 1}, b{1, 1}, c{2, 1};
  EXPECT_EQ(table.Of(a), nullptr);
  table.Set(a, {.charset = "utf8mb4", .sql_mode = "ANSI"});
  // Assumed of the others until they have answered.
  EXPECT_EQ(table.Of(b), table.Of(a));
  table.Set(b, {.wait_timeout_s = 5, .charset = "utf8mb4", .sql_mode = "ANSI"});
  EXPECT_EQ(table.Of(b), table.Of(a));
  table.Set(b, {.charset = "utf8mb4", .sql_mode = ""});
  EXPECT_NE(table.Of(b), table.Of(a));
  EXPECT_EQ(table.Of(c), table.Of(b));
  EXPECT_EQ(table.Of(a)->first, "ANSI");
}

TEST(ServerDefaultsTable, IsBounded) {
  ServerDefaultsTable table;
  const routing::BackendId a{0, 1};
  for (size_t i = 0; i < 2 * ServerDefaultsTable::kMaxKinds; ++i)
    table.Set(a, {.charset = "utf8mb4", .sql_mode = std::to_string(i)});
  EXPECT_EQ(table.Of(a)->first, std::to_string(ServerDefaultsTable::kMaxKinds - 1));
}

}  // namespace
}  // namespace bulkhead::session
