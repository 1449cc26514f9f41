#include "proxy/log/line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace bulkhead::log {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kTime = 1'793'515'752'345;  // 2026-11-01T06:49:12.345Z

std::string Json(const Event& event, Fields fields, std::string_view message,
                 uint64_t repeated = 0) {
  const std::string packed = Pack(event, fields, message);
  return RenderJson(Unpack(packed), {.unix_ms = kTime, .level = Level::kWarn, .repeated = repeated},
                    /*journal=*/false);
}

std::string Text(const Event& event, std::string_view message, bool journal = false) {
  const std::string packed = Pack(event, {}, message);
  return RenderText(Unpack(packed), {.unix_ms = kTime, .level = Level::kWarn}, journal);
}

TEST(LineTest, TextHoldsTimeLevelAndMessage) {
  EXPECT_EQ(Text(event::kGate, "gate: shard s1 is held"),
            "2026-11-01T06:49:12.345Z warn gate: shard s1 is held\n");
}

TEST(LineTest, JsonHoldsTheFieldsApart) {
  const auto json = nlohmann::json::parse(
      Json(event::kGivenUp, {{"backend", "db2"}, {"connections", 7}, {"share", 0.5}, {"ok", true}},
           "given up"));
  EXPECT_EQ(json["time"], "2026-11-01T06:49:12.345Z");
  EXPECT_EQ(json["level"], "warn");
  EXPECT_EQ(json["event"], "given_up");
  EXPECT_EQ(json["message"], "given up");
  EXPECT_EQ(json["backend"], "db2");
  EXPECT_EQ(json["connections"], 7);
  EXPECT_EQ(json["share"], 0.5);
  EXPECT_EQ(json["ok"], true);
  EXPECT_FALSE(json.contains("repeated"));
}

// Whatever a client calls itself, the line is one line and one JSON object.
TEST(LineTest, AnyBytesGiveValidJson) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all.push_back(static_cast<char>(byte));
  for (const std::string& bytes :
       {all, std::string("\"}\n{\"level\":\"info"), std::string("\xff"), std::string("\xf0\x9f"),
        std::string("a\x1f"
                    "b\x1f"
                    "c")}) {
    const std::string line = Json(event::kLogin, {{"address", bytes}, {"user", bytes}}, bytes);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_EQ(json["event"], "login_failed");
    EXPECT_EQ(json["level"], "warn");
    EXPECT_EQ(json.size(), 6u);
  }
}

TEST(LineTest, NobodyCanForgeALineOfText) {
  const std::string line =
      Text(event::kLogin, "login of 'x\n2026-11-01T00:00:00.000Z info all is well\x1b[2J'");
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_THAT(line, HasSubstr("x\\n2026"));
  EXPECT_THAT(line, HasSubstr("\\x1b[2J"));
}

TEST(LineTest, TheJournalHasPriorities) {
  EXPECT_EQ(Text(event::kGate, "held", true), "<4>held\n");
  const std::string packed = Pack(event::kGate, {{"shard", "s1"}}, "held");
  const std::string json =
      RenderJson(Unpack(packed), {.unix_ms = kTime, .level = Level::kError}, true);
  EXPECT_THAT(json, ::testing::StartsWith("<3>{\"time\":"));
}

TEST(LineTest, RepeatsAreSaid) {
  const std::string packed = Pack(event::kLogin, {{"address", "10.0.0.1"}}, "login failed");
  const Stamp stamp{.unix_ms = kTime, .level = Level::kInfo, .repeated = 41};
  EXPECT_THAT(RenderText(Unpack(packed), stamp, false),
              HasSubstr("login failed (repeated 41 times)\n"));
  EXPECT_EQ(nlohmann::json::parse(RenderJson(Unpack(packed), stamp, false))["repeated"], 41);
}

TEST(LineTest, RepeatsAreToldApartByTheFirstField) {
  const auto key = [](Fields fields) {
    return std::string(Unpack(Pack(event::kLogin, fields, "x")).key);
  };
  EXPECT_EQ(key({{"address", "a"}, {"user", "u"}}), key({{"address", "a"}, {"user", "v"}}));
  EXPECT_NE(key({{"address", "a"}}), key({{"address", "b"}}));
  EXPECT_EQ(std::string(Unpack(Pack(event::kGate, {{"shard", "s"}}, "x")).key), "");
}

TEST(LineTest, SomebodyElsesLineIsAMessage) {
  const Record record = Unpack("just a text");
  EXPECT_EQ(record.message, "just a text");
  EXPECT_EQ(record.event, "");
  EXPECT_EQ(record.fields, "");
}

TEST(LineTest, LongMessagesAreCutBetweenCharacters) {
  std::string message(kMaxMessage - 1, 'x');
  message += "\xc3\xa4 and more";
  const std::string line = Text(event::kGate, message);
  EXPECT_LT(line.size(), kMaxMessage + 64);
  EXPECT_THAT(line, Not(HasSubstr("\xc3")));
}

}  // namespace
}  // namespace bulkhead::log
