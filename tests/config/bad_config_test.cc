// Bad configurations, each with exactly the lines it must give: bad_configs.txt beside this file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "proxy/config/load.h"

namespace bulkhead::config {
namespace {

// A block of the file: "=== name", the YAML, "---", the expected lines without the file's name. A
// YAML that doesn't begin with
// "!" comes behind a listener on line 1 and a user on line 2.
struct Case {
  std::string name;
  std::string text;
  std::string expected;
};

constexpr char kHead[] =
    "listen: {mysql: [\"0.0.0.0:3306\"]}\nusers: [{name: app, password: hunter2}]\n";

Environment TestEnvironment() {
  Environment e = Environment::Empty();
  e.variable = [](const std::string& name) -> std::optional<std::string> {
    if (name == "EMPTY") return "";
    return std::nullopt;
  };
  e.read_file = [](const std::string& path, std::string* why) -> std::optional<Environment::File> {
    if (path == "/etc/empty") return Environment::File{"\n", false};
    if (path == "/etc/public") return Environment::File{"hunter2", true};
    if (path == "/etc/nul") return Environment::File{std::string("a\0b", 3), false};
    if (path == "/etc/cert") return Environment::File{"", true};
    *why = "No such file or directory";
    return std::nullopt;
  };
  return e;
}

std::vector<Case> Cases() {
  std::ifstream in(BULKHEAD_SOURCE_DIR "/tests/config/bad_configs.txt");
  std::vector<Case> cases;
  bool in_expected = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("=== ")) {
      cases.push_back({line.substr(4), "", ""});
      in_expected = false;
    } else if (line == "---") {
      in_expected = true;
    } else if (!cases.empty()) {
      (in_expected ? cases.back().expected : cases.back().text) += line + "\n";
    }
  }
  return cases;
}

class BadConfig : public ::testing::TestWithParam<Case> {};

TEST_P(BadConfig, GivesExactlyTheseLines) {
  const Case& c = GetParam();
  const std::string text = c.text.starts_with('!') ? c.text.substr(2) : kHead + c.text;
  const LoadResult result = LoadString(text, "/etc/b.yaml", TestEnvironment());
  std::string lines;
  bool has_error = false;
  for (const ConfigError& error : result.errors) {
    lines += error.ToString().substr(std::string("/etc/b.yaml:").size()) + "\n";
    has_error = has_error || error.severity == Severity::kError;
  }
  EXPECT_EQ(lines, c.expected);
  EXPECT_EQ(lines.find("hunter2"), std::string::npos) << "a secret is shown";
  EXPECT_EQ(result.ok(), !has_error);
}

INSTANTIATE_TEST_SUITE_P(All, BadConfig, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(BadConfigs, AreAtLeastThirty) { EXPECT_GE(Cases().size(), 30u); }

}  // namespace
}  // namespace bulkhead::config
