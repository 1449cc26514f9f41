#include "proxy/wire/client_errors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>

namespace bulkhead::wire {
namespace {

TEST(ClientErrorsTest, CodesAreUniqueAndWellFormed) {
  std::set<uint16_t> codes;
  std::set<std::string_view> names;
  for (const ClientErrorInfo& info : kClientErrors) {
    EXPECT_TRUE(codes.insert(static_cast<uint16_t>(info.error)).second) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_EQ(info.sqlstate.size(), 5u) << info.name;
    EXPECT_NE(info.sqlstate, "08S01") << info.name;
    EXPECT_FALSE(info.text.empty()) << info.name;
  }
}

TEST(ClientErrorsTest, InfoOfFindsEachEntry) {
  for (const ClientErrorInfo& info : kClientErrors) EXPECT_EQ(InfoOf(info.error).name, info.name);
  EXPECT_EQ(InfoOf(ClientError::kDeadlock).sqlstate, "40001");
}

TEST(ClientErrorsTest, BulkheadsOwnSayWhetherExecuted) {
  for (const ClientErrorInfo& info : kClientErrors) {
    if (static_cast<uint16_t>(info.error) < 9400) continue;
    EXPECT_EQ(info.sqlstate, "HY000") << info.name;
    const bool unknown = info.error == ClientError::kOutcomeUnknown;
    EXPECT_NE(info.text.find(unknown ? "executed=unknown" : "executed=no"), std::string_view::npos)
        << info.name;
  }
}

// Texts at which drivers and frameworks run a statement again must not be in these two.
TEST(ClientErrorsTest, UnknownOutcomesHoldNoDigitsAndNoWordsToRetryAt) {
  for (const ClientError error : {ClientError::kOutcomeUnknown, ClientError::kStateLost}) {
    std::string text(InfoOf(error).text);
    EXPECT_TRUE(std::none_of(text.begin(), text.end(), [](unsigned char c) {
      return std::isdigit(c) != 0;
    })) << text;
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    for (const char* word :
         {"gone away", "lost connection", "deadlock", "try restarting", "lock wait", "timeout",
          "timed out", "closed", "communication link", "is dead", "no connection", "broken pipe",
          "reset by peer", "refused", "error while", "server has"}) {
      EXPECT_EQ(text.find(word), std::string::npos) << word << " in: " << text;
    }
  }
}

}  // namespace
}  // namespace bulkhead::wire
