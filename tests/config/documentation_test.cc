// The list of options, the documentation and the example say the same.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "proxy/config/load.h"
#include "proxy/config/option_list.h"

namespace bulkhead::config {
namespace {

constexpr char kDocument[] = BULKHEAD_SOURCE_DIR "/docs/CONFIGURATION.md";
constexpr char kExample[] = BULKHEAD_SOURCE_DIR "/deploy/bulkhead.example.yaml";
constexpr char kBegin[] = "<!-- options: begin -->\n";
constexpr char kEnd[] = "<!-- options: end -->\n";

std::string Slurp(const char* path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// BULKHEAD_UPDATE_DOCS=1 in the environment writes the tables instead of comparing them.
TEST(Documentation, HoldsTheTablesOfAllOptions) {
  std::string text = Slurp(kDocument);
  const size_t begin = text.find(kBegin);
  const size_t end = text.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t from = begin + std::string(kBegin).size();
  if (std::getenv("BULKHEAD_UPDATE_DOCS") != nullptr) {
    text.replace(from, end - from, OptionTable() + "\n");
    std::ofstream(kDocument) << text;
    return;
  }
  EXPECT_EQ(text.substr(from, end - from), OptionTable() + "\n")
      << "run this test with BULKHEAD_UPDATE_DOCS=1";
}

TEST(Example, CanBeLoaded) {
  Environment e = Environment::Empty();
  e.variable = [](const std::string&) { return "from the environment"; };
  e.read_file = [](const std::string&, std::string*) -> std::optional<Environment::File> {
    return Environment::File{"from a file\n", false};
  };
  const LoadResult result = LoadString(Slurp(kExample), "bulkhead.example.yaml", e);
  for (const ConfigError& error : result.errors) ADD_FAILURE() << error.ToString();
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result.options->topology->shards().size(), 2u);
}

// Every key is in the example, as a setting or as a comment.
TEST(Example, NamesEveryKey) {
  const std::string text = Slurp(kExample);
  for (const Option& option : OptionList()) {
    const std::string_view key = option.path.substr(option.path.rfind('.') + 1);
    const std::string wanted = std::string(key.substr(0, key.find('['))) + ":";
    EXPECT_NE(text.find(wanted), std::string::npos) << option.path;
  }
}

TEST(OptionList, IsInOrder) {
  std::set<std::string_view> seen;
  for (const Option& option : OptionList()) {
    EXPECT_TRUE(seen.insert(option.path).second) << option.path << " twice";
    EXPECT_FALSE(option.type.empty()) << option.path;
    EXPECT_TRUE(option.help.ends_with('.')) << option.path;
    EXPECT_EQ(FindOption(option.path), &option);
  }
  EXPECT_EQ(FindOption("pools"), nullptr);
}

TEST(OptionList, KeysAndNeighbours) {
  using ::testing::ElementsAre;
  EXPECT_THAT(KeysBelow("tls"), ElementsAre("clients", "backends"));
  EXPECT_THAT(KeysBelow("topology.slots[]"), ElementsAre("range", "shard"));
  EXPECT_THAT(KeysBelow("workers"), ElementsAre());
  const auto keys = KeysBelow("log");
  EXPECT_EQ(NearestKey("levle", keys), "level");
  EXPECT_EQ(NearestKey("fil", keys), "file");
  EXPECT_EQ(NearestKey("colour", keys), "");
  EXPECT_EQ(NearestKey("", keys), "");
  EXPECT_EQ(NearestKey(std::string(100'000, 'x'), keys), "");
}

TEST(Load, ManyErrorsAreCut) {
  std::string text =
      "listen: {mysql: \"h:1\"}\nusers: [{name: a, password: b}]\ntopology:\n  backends:\n";
  for (int i = 0; i < 500; ++i) text += "    - {}\n";
  const LoadResult result = LoadString(text, "x.yaml", Environment::Empty());
  EXPECT_FALSE(result.ok());
  EXPECT_EQ(result.errors.size(), kMaxErrors + 1);
  EXPECT_EQ(result.errors.back().message, "and 800 more");
}

}  // namespace
}  // namespace bulkhead::config
