// docs/PROTOCOL.md has tables of lists that the code holds: they must say the same.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "proxy/wire/capabilities.h"
#include "proxy/wire/client_errors.h"

namespace bulkhead::wire {
namespace {

std::set<std::string> LinesOfPage() {
  std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/docs/PROTOCOL.md");
  EXPECT_TRUE(file.good());
  std::set<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.insert(line);
  return lines;
}

TEST(ProtocolPageTest, HasEveryErrorAndNoOther) {
  std::set<std::string> expected;
  for (const ClientErrorInfo& info : kClientErrors) {
    std::ostringstream row;
    row << "| " << static_cast<int>(info.error) << " | " << info.sqlstate << " | " << info.name
        << " |";
    expected.insert(row.str());
  }
  std::set<std::string> found;
  for (const std::string& line : LinesOfPage()) {
    if (line.starts_with("| 1") || line.starts_with("| 3") || line.starts_with("| 9")) {
      if (line.find(" | ER_") != std::string::npos ||
          line.find(" | BULKHEAD_") != std::string::npos) {
        found.insert(line);
      }
    }
  }
  EXPECT_EQ(found, expected);
}

TEST(ProtocolPageTest, HasEveryCapabilityWithItsGroup) {
  const std::set<std::string> lines = LinesOfPage();
  for (int bit = 0; bit < 64; ++bit) {
    if (CapabilityName(bit).empty()) continue;
    const Capabilities mask = Capabilities{1} << bit;
    const std::string group = (mask & kResultShapeBits) != 0        ? "shape"
                              : (mask & kCommandShapeBits) != 0     ? "command"
                              : (mask & kStatementMeaningBits) != 0 ? "meaning"
                                                                    : "hop";
    const std::string row =
        "| " + std::to_string(bit) + " | " + std::string(CapabilityName(bit)) + " | " + group;
    const auto at = lines.lower_bound(row);
    EXPECT_TRUE(at != lines.end() && at->starts_with(row)) << row;
  }
}

}  // namespace
}  // namespace bulkhead::wire
