// A stored topology as YAML and back: the same, and every difference is said.
#include "proxy/control/topology_yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace bulkhead::control {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kText[] = R"(
tenancy: {unassigned: {shard: s1}}
topology:
  backends:
    - {name: db1, address: "10.0.0.1:3306", family: mysql, tls: required, max_connections: 50}
    - {name: db2, address: "[::1]:3306"}
    - {name: db3, address: "unix:/run/db3.sock"}
  shards:
    - {name: s1, primary: db1, replicas: [db2, db3],
       hold: {policy: reject, max_wait: 1500ms, max_bytes: 1MiB}}
    - {name: s2, primary: db2, production: true}
  tenants:
    - {name: acme, shard: s1, pooling: session, hold: hold, physical_database: "x: #1"}
    - {name: "null", shard: s2, limits: {running: 4, per_second: 100}}
  slots: [{range: 0-2047, shard: s1}, {range: 2048-4095, shard: s2}]
)";

std::shared_ptr<const config::Options> Loaded(const std::string& text) {
  const config::LoadResult result = config::LoadTopology(text, "t.yaml");
  for (const config::ConfigError& error : result.errors) ADD_FAILURE() << error.ToString();
  return result.options;
}

// The store as the edits leave it: by a store of its own, in memory only.
StoredState After(const StoredState& state, const config::Options& wanted) {
  StoredState next = state;
  const auto edits = EditsForImport(state, wanted);
  EXPECT_TRUE(edits.ok()) << edits.status();
  for (const StoreEdit& edit : *edits) {
    if (const auto* put = std::get_if<PutBackend>(&edit)) next.backends.push_back(put->spec);
    if (const auto* put = std::get_if<PutShard>(&edit)) next.shards.push_back(put->shard);
    if (const auto* put = std::get_if<PutTenant>(&edit)) next.tenants.push_back(put->spec);
    if (const auto* put = std::get_if<PutSlots>(&edit)) next.slots = put->ranges;
    if (const auto* put = std::get_if<PutUnassigned>(&edit)) next.unassigned = put->unassigned;
    if (const auto* put = std::get_if<PutVersion>(&edit)) next.version = put->version;
    if (const auto* put = std::get_if<PutLimit>(&edit)) next.limits[put->tenant] = *put->limit;
  }
  return next;
}

TEST(TopologyYamlTest, ComesBackAsItWas) {
  const StoredState first = After({}, *Loaded(kText));
  EXPECT_EQ(first.shards.size(), 2u);
  const std::string text = ToYaml(first);
  const auto again = Loaded(text);
  ASSERT_NE(again, nullptr) << text;
  const auto edits = EditsForImport(first, *again);
  ASSERT_TRUE(edits.ok()) << edits.status();
  EXPECT_THAT(Describe(first, *edits), IsEmpty()) << text;
  EXPECT_TRUE(edits->empty());
}

TEST(TopologyYamlTest, SaysWhatAnImportChanges) {
  const StoredState first = After({}, *Loaded(kText));
  std::string text = kText;
  const auto replace = [&](const std::string& from, const std::string& to) {
    ASSERT_NE(text.find(from), std::string::npos);
    text.replace(text.find(from), from.size(), to);
  };
  replace("name: s2, primary: db2, production: true", "name: s2, primary: db3");
  replace("{name: acme, shard: s1", "{name: acme, shard: s2");
  replace("{name: \"null\", shard: s2, limits: {running: 4, per_second: 100}}",
          "{name: new, shard: s1}");
  const auto edits = EditsForImport(first, *Loaded(text));
  ASSERT_TRUE(edits.ok());
  EXPECT_THAT(Describe(first, *edits),
              ::testing::UnorderedElementsAre(
                  "~ shard s2: primary db2 -> db3", "~ tenant acme: shard s1 -> s2",
                  "- tenant null", "+ tenant new on shard s1", "- limits of tenant null"));
  for (const StoreEdit& edit : *edits) {
    const auto* put = std::get_if<PutShard>(&edit);
    if (put == nullptr) continue;
    EXPECT_GT(put->shard.epoch, first.version);  // never an epoch that was used
  }
}

TEST(TopologyYamlTest, ErrorsNameTheLine) {
  const config::LoadResult result =
      config::LoadTopology("topology:\n  shards:\n    - {name: s1, primary: db9}\n", "t.yaml");
  EXPECT_FALSE(result.ok());
  ASSERT_EQ(result.errors.size(), 1u);
  EXPECT_THAT(result.errors[0].ToString(), HasSubstr("t.yaml:3:"));
}

}  // namespace
}  // namespace bulkhead::control
