#include "proxy/http/top_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/http/http_get.h"

namespace bulkhead::http {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Json Fleet(const char* state, int shards = 2) {
  Json fleet;
  fleet["now_ms"] = 1'793'515'752'345;
  fleet["router"] = {{"id", "0123456789abcdef"}, {"version", "1.2.3"}};
  fleet["totals"] = {{"shards", shards},
                     {"serving", shards - 1},
                     {"tenants", 12},
                     {"tenants_affected", 5},
                     {"held", 40}};
  Json all = Json::array();
  for (int i = 1; i < shards; ++i)
    all.push_back({{"name", "s" + std::to_string(i)}, {"state", "serving"}, {"primary", "db1"}});
  all.push_back({{"name", "zebra"},
                 {"state", state},
                 {"primary", "db2"},
                 {"held", 40},
                 {"why", "is down since 06:49:12Z"},
                 {"since_ms", 1'793'515'740'000}});
  fleet["shards"] = all;
  fleet["backends"] = {{{"name", "db1"}, {"state", "up"}, {"primary_of", {"s1"}}},
                       {{"name", "db2"}, {"state", "down"}, {"primary_of", {"zebra"}}}};
  return fleet;
}

std::string Joined(const TopLines& top) {
  std::string text;
  for (const std::string& line : top.lines) text += line + "\n";
  return text;
}

TEST(TopViewTest, TheWorstComesFirstAndIsMarkedWithoutColour) {
  const std::string text = Joined(RenderTop(Fleet("held"), {.width = 160}));
  EXPECT_THAT(text, HasSubstr("1 of 2 shards: zebra is held. Tenants affected: 5 of 12."));
  EXPECT_LT(text.find("! zebra"), text.find("  s1 "));
  EXPECT_THAT(text, HasSubstr("is down since 06:49:12Z"));
  EXPECT_THAT(text, HasSubstr("12.3 s"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_LT(text.find("! db2"), text.find("\n  db1 "));
}

TEST(TopViewTest, EveryStateHasAWord) {
  for (const char* state : {"held", "rejected", "reads_only", "shedding", "releasing", "new one"})
    EXPECT_THAT(Joined(RenderTop(Fleet(state), {.width = 160})), Not(HasSubstr("All 2"))) << state;
  EXPECT_THAT(Joined(RenderTop(Fleet("serving"), {.width = 160})),
              HasSubstr("All 2 shards are served."));
}

TEST(TopViewTest, NoLineIsWiderThanTheTerminal) {
  for (const size_t width : {1u, 10u, 40u, 79u, 80u, 200u}) {
    for (const std::string& line : RenderTop(Fleet("held"), {.width = width}).lines)
      EXPECT_LE(Columns(line), width);
  }
}

TEST(TopViewTest, ScrollsWithinItsHeight) {
  const Json fleet = Fleet("held", 500);
  const TopLines top = RenderTop(fleet, {.width = 100, .height = 24});
  EXPECT_EQ(top.lines.size(), 24u);
  EXPECT_EQ(top.shown, 21u);
  EXPECT_EQ(top.rows, 2u + 500 + 2 + 2);
  const TopLines end = RenderTop(fleet, {.width = 100, .height = 24, .first = top.rows - 21});
  EXPECT_THAT(end.lines.back(), HasSubstr("db1"));
  EXPECT_EQ(RenderTop(fleet, {.width = 100, .height = 24, .first = 1'000'000}).shown, 0u);
  EXPECT_EQ(RenderTop(fleet, {.width = 100, .height = 2}).shown, 0u);
}

TEST(TopViewTest, NamesCannotDriveTheTerminal) {
  Json fleet = Fleet("held");
  fleet["shards"][0]["name"] = "s\x1b[2J\n1";
  EXPECT_THAT(Joined(RenderTop(fleet, {.width = 160})), Not(HasSubstr("\x1b")));
}

TEST(TopViewTest, RubbishIsShownAsNothing) {
  for (const char* text : {"{}", "{\"shards\":1}", "{\"shards\":[1,{}]}", "{\"totals\":[]}"})
    EXPECT_FALSE(RenderTop(Json::parse(text), {.width = 80}).lines.empty()) << text;
}

TEST(TopViewTest, AStateThatIsNotKnownIsShownByItsOwnWord) {
  const Json fleet = Fleet("a_state_of_a_newer_router_with_a_name_that_is_long");
  const std::string text = Joined(RenderTop(fleet, {.width = 200}));
  EXPECT_THAT(text, HasSubstr("is a_state_of_a_newer_router_with_a_name_that_is_long"));
  EXPECT_THAT(text, HasSubstr("? "));
}

TEST(TopViewTest, AllServedIsWhatEveryShardSays) {
  EXPECT_TRUE(AllServed(Json::parse(R"({"shards":[{"state":"serving"}]})")));
  for (const char* text : {"{}", "{\"shards\":1}", "{\"shards\":[1]}", "{\"shards\":[{}]}",
                           "{\"shards\":[{\"state\":\"serving\"},{\"state\":\"held\"}]}"})
    EXPECT_FALSE(AllServed(Json::parse(text))) << text;
}

TEST(ParseUrlTest, TakesWhatPeopleType) {
  const auto plain = ParseUrl("http://10.0.0.1:9306/");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->host, "10.0.0.1");
  EXPECT_EQ(plain->port, 9306);
  EXPECT_FALSE(plain->tls);
  const auto secure = ParseUrl("https://[::1]:1");
  ASSERT_TRUE(secure.ok());
  EXPECT_EQ(secure->host, "::1");
  EXPECT_EQ(secure->port, 1);
  EXPECT_TRUE(secure->tls);
  EXPECT_EQ(ParseUrl("http://router")->port, 9306);
  for (const char* wrong :
       {"", "router", "ftp://x", "http://", "http://x:0", "http://x:99999",
        "http://x:", "http://x/y", "http://u@x", "http://[::1", "http://[::1]x"})
    EXPECT_FALSE(ParseUrl(wrong).ok()) << wrong;
}

TEST(GetTest, NobodyThereIsSaid) {
  Target target;
  target.port = 1;
  const auto answer = Get(target, "/");
  ASSERT_FALSE(answer.ok());
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("127.0.0.1:1: "));
}

}  // namespace
}  // namespace bulkhead::http
