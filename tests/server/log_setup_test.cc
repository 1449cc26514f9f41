// A log line is one line, and JSON is JSON, whatever a client sent.

#include "proxy/log_setup.h"

#include <gtest/gtest.h>

namespace bulkhead {
namespace {

TEST(Log, EscapesWhatWouldEndALineOrAString) {
  EXPECT_EQ(JsonEscaped("a \"b\" \\ \n\x1b"), "a \\\"b\\\" \\\\ \\u000a\\u001b");
  EXPECT_EQ(TextEscaped("user 'x\n2026-01-01 info audit: forged'\r"),
            "user 'x 2026-01-01 info audit: forged' ");
}

TEST(Log, SaysWhatCanNotBeOpened) {
  config::Log log;
  log.file = "/dev/null/log";
  EXPECT_NE(SetUpLog(log), "");
}

}  // namespace
}  // namespace bulkhead
