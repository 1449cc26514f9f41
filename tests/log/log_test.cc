#include "proxy/log/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "proxy/log/events.h"

namespace bulkhead::log {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string Slurp(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

class LogTest : public ::testing::Test {
 protected:
  void TearDown() override {
    Stop();
    std::filesystem::remove(file_);
    std::filesystem::remove(file_ + ".1");
  }
  const std::string file_ = ::testing::TempDir() + "bulkhead-log-" + std::to_string(getpid()) +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(LogTest, WritesWhatItsLevelAsksFor) {
  ASSERT_EQ(Start({.level = Level::kInfo, .file = file_}), "");
  Debug(event::kHttp, {}, "too fine");
  Info(event::kGate, {{"shard", "s1"}}, "gate: s1");
  SetLevel(Level::kError);
  Warn(event::kGate, {{"shard", "s1"}}, "gate: not any more");
  Stop();
  const std::string text = Slurp(file_);
  EXPECT_THAT(text, HasSubstr(" info gate: s1\n"));
  EXPECT_THAT(text, Not(HasSubstr("too fine")));
  EXPECT_THAT(text, Not(HasSubstr("not any more")));
}

TEST_F(LogTest, HoldsRepeatsBackAndSaysHowMany) {
  ASSERT_EQ(Start({.file = file_, .max_repeats = 2}), "");
  for (int i = 0; i < 50; ++i) Info(event::kLogin, {{"address", "10.0.0.1"}}, "login failed");
  for (int i = 0; i < 5; ++i) Info(event::kOperator, {{"user", "u"}}, "audit");
  Stop();  // tells what was held back
  const std::string text = Slurp(file_);
  EXPECT_THAT(text, HasSubstr("login failed (repeated 48 times)\n"));
  size_t audits = 0;
  for (size_t at = text.find("audit"); at != std::string::npos; at = text.find("audit", at + 1))
    ++audits;
  EXPECT_EQ(audits, 5u);
}

TEST_F(LogTest, ReopensItsFile) {
  ASSERT_EQ(Start({.file = file_}), "");
  Info(event::kStarted, {}, "before");
  while (Counted().lines[1] < 1) std::this_thread::yield();
  std::filesystem::rename(file_, file_ + ".1");
  Reopen();
  Info(event::kStopped, {}, "after");
  Stop();
  EXPECT_THAT(Slurp(file_ + ".1"), HasSubstr("before"));
  EXPECT_THAT(Slurp(file_ + ".1"), Not(HasSubstr("after")));
  EXPECT_THAT(Slurp(file_), HasSubstr("after"));
}

TEST_F(LogTest, ManyThreadsLoseNothingThatIsNotCounted) {
  ASSERT_EQ(Start({.file = file_}), "");
  constexpr int kThreads = 4, kLines = 3000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < kLines; ++i) Info(event::kOperator, {{"user", "u"}}, "line");
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The numbers of the closed log are gone: wait for its thread instead.
  Counts counts = Counted();
  while (counts.lines[1] + counts.dropped < kThreads * kLines) {
    std::this_thread::yield();
    counts = Counted();
  }
  Stop();
  const std::string text = Slurp(file_);
  EXPECT_EQ(static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')), counts.lines[1]);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsSaid) {
  EXPECT_THAT(Start({.file = "/nowhere/at/all"}), HasSubstr("/nowhere/at/all can't be opened"));
}

TEST(EventsTest, NamesAreUniqueAndFieldsWellFormed) {
  std::set<std::string_view> names;
  for (const Event* event : kEvents) {
    EXPECT_TRUE(names.insert(event->name).second) << event->name;
    EXPECT_TRUE(event->meaning.ends_with('.')) << event->name;
    for (const std::string_view reserved : {"time", "level", "event", "message", "repeated"}) {
      EXPECT_EQ(("," + std::string(event->fields) + ",").find("," + std::string(reserved) + ","),
                std::string::npos)
          << event->name;
    }
    if (event->repeat == Repeat::kLimited) {
      EXPECT_FALSE(event->fields.empty()) << event->name;
    }
  }
}

// BULKHEAD_UPDATE_DOCS=1 in the environment writes the table instead of comparing it.
TEST(EventsTest, TheDocumentHoldsTheTable) {
  constexpr char kDocument[] = BULKHEAD_SOURCE_DIR "/docs/LOGS.md";
  const std::string begin_mark = "<!-- events: begin -->\n";
  std::string text = Slurp(kDocument);
  const size_t begin = text.find(begin_mark);
  const size_t end = text.find("<!-- events: end -->");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t from = begin + begin_mark.size();
  if (std::getenv("BULKHEAD_UPDATE_DOCS") != nullptr) {
    text.replace(from, end - from, RenderEventTable());
    std::ofstream(kDocument) << text;
    return;
  }
  EXPECT_EQ(text.substr(from, end - from), RenderEventTable())
      << "run this test with BULKHEAD_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace bulkhead::log
