#include "proxy/log_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "proxy/log/log.h"

namespace bulkhead {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

TEST(LogSetup, SaysWhatCanNotBeOpened) {
  config::Log log;
  log.file = "/dev/null/log";
  EXPECT_THAT(SetUpLog(log), HasSubstr("/dev/null/log"));
}

// Another configuration while the process runs: another form, another file, another level.
TEST(LogSetup, FollowsAReload) {
  const std::string file = ::testing::TempDir() + "log-setup-" + std::to_string(getpid());
  config::Log log;
  log.file = file;
  ASSERT_EQ(SetUpLog(log), "");
  log::Info(log::event::kGate, {{"shard", "s1"}}, "as text");
  log.format = config::LogFormat::kJson;
  log.level = config::LogLevel::kWarn;
  ASSERT_EQ(SetUpLog(log), "");
  log::Info(log::event::kGate, {{"shard", "s1"}}, "too fine now");
  log::Warn(log::event::kGate, {{"shard", "s1"}}, "as json");
  log.file = file + ".2";
  ASSERT_EQ(SetUpLog(log), "");
  log::Warn(log::event::kGate, {{"shard", "s1"}}, "elsewhere");
  log.file = "/nowhere/at/all";
  EXPECT_NE(SetUpLog(log), "");
  log::Warn(log::event::kGate, {{"shard", "s1"}}, "still elsewhere");
  log::Stop();
  const std::string first = Slurp(file), second = Slurp(file + ".2");
  EXPECT_THAT(first, HasSubstr(" info as text\n"));
  EXPECT_THAT(first, HasSubstr("\"message\":\"as json\""));
  EXPECT_THAT(first, Not(HasSubstr("too fine")));
  EXPECT_THAT(first, Not(HasSubstr("elsewhere")));
  EXPECT_THAT(second, HasSubstr("\"message\":\"elsewhere\""));
  EXPECT_THAT(second, HasSubstr("still elsewhere"));
  std::filesystem::remove(file);
  std::filesystem::remove(file + ".2");
}

}  // namespace
}  // namespace bulkhead
