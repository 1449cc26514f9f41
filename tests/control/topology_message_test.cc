#include "proxy/control/topology_message.h"

#include <gtest/gtest.h>

namespace bulkhead::control {
namespace {

using routing::Topology;
using routing::TopologyBuilder;

routing::BackendSpec BackendOf(const std::string& name, uint16_t port) {
  routing::BackendSpec spec;
  spec.name = name;
  spec.address = {.host = "127.0.0.1", .port = port};
  return spec;
}

std::shared_ptr<const Topology> Before() {
  TopologyBuilder builder;
  for (uint16_t i = 1; i <= 3; ++i)
    EXPECT_TRUE(builder.AddBackend(BackendOf("db" + std::to_string(i), 3300 + i)).ok());
  EXPECT_TRUE(builder.AddShard({.name = "s1", .primary = "db1", .replicas = {"db2"}}).ok());
  EXPECT_TRUE(builder.AddShard({.name = "s2", .primary = "db3"}).ok());
  EXPECT_TRUE(builder.AddTenant({.name = "acme", .shard = "s1"}).ok());
  EXPECT_TRUE(builder.AddTenant({.name = "zeta", .shard = "s2"}).ok());
  EXPECT_TRUE(builder.AssignSlots(0, 4095, "s1").ok());
  EXPECT_TRUE(builder.SetUnassigned(routing::UnassignedSlots{}).ok());
  return *builder.Build();
}

// What another process makes of the edits between the two.
std::shared_ptr<const Topology> Followed(const Topology& before, const Topology& after) {
  const std::string text = EditsToJson(EditsBetween(before, after, std::nullopt)).dump();
  const auto edits = EditsFromJson(nlohmann::json::parse(text));
  EXPECT_TRUE(edits.ok()) << edits.status();
  auto followed = ApplyEdits(before, *edits);
  EXPECT_TRUE(followed.ok()) << followed.status();
  return followed.ok() ? *followed : nullptr;
}

void ExpectSame(const Topology& followed, const Topology& wanted) {
  EXPECT_EQ(followed.version(), wanted.version());
  // The version is always said.
  EXPECT_EQ(EditsBetween(followed, wanted, std::nullopt).size(), 1u);
}

TEST(TopologyMessage, CarriesAChangeOfPrimary) {
  const auto before = Before();
  TopologyBuilder builder(*before);
  ASSERT_TRUE(builder.SetPrimary("s1", "db2").ok());
  ASSERT_TRUE(builder.RaiseEpoch("s1", routing::Epoch{77}).ok());
  const auto after = *builder.Build();
  const auto followed = Followed(*before, *after);
  ASSERT_NE(followed, nullptr);
  ExpectSame(*followed, *after);
  EXPECT_EQ(followed->FindShard("s1")->epoch, after->FindShard("s1")->epoch);
}

TEST(TopologyMessage, CarriesEverythingElse) {
  const auto before = Before();
  TopologyBuilder builder(*before);
  routing::BackendSpec fourth = BackendOf("db4", 3399);
  fourth.family = routing::ServerFamily::kMysql;
  fourth.tls = routing::BackendTls::kRequired;
  fourth.max_connections = 7;
  ASSERT_TRUE(builder.AddBackend(fourth).ok());
  ASSERT_TRUE(builder
                  .AddShard({.name = "s3",
                             .primary = "db4",
                             .hold = {.policy = routing::HoldPolicy::kReject,
                                      .max_wait = std::chrono::seconds(3),
                                      .max_bytes = 1000},
                             .production = true,
                             .failover = routing::FailoverMode::kAutomatic})
                  .ok());
  ASSERT_TRUE(builder
                  .AssignTenant({.name = "acme",
                                 .shard = "s3",
                                 .pooling = routing::Pooling::kSession,
                                 .hold = routing::HoldPolicy::kHold,
                                 .physical_database = "t_acme"})
                  .ok());
  ASSERT_TRUE(builder.AssignTenant({.name = "zeta", .shard = "s3"}).ok());
  ASSERT_TRUE(builder.AddTenant({.name = "new", .shard = "s1"}).ok());
  ASSERT_TRUE(builder.AssignSlots(100, 200, "s3").ok());
  ASSERT_TRUE(builder.DropShard("s2").ok());
  ASSERT_TRUE(builder.DropBackend("db3").ok());
  ASSERT_TRUE(builder.SetUnassigned(routing::UnassignedShard{"s3"}).ok());
  const auto after = *builder.Build();
  const auto followed = Followed(*before, *after);
  ASSERT_NE(followed, nullptr);
  ExpectSame(*followed, *after);
  ExpectSame(*Followed(*after, *before), *before);
}

TEST(TopologyMessage, RefusesWhatMakesNoSense) {
  EXPECT_FALSE(EditsFromJson(nlohmann::json::parse(R"([{"put_shard": 12}])")).ok());
  EXPECT_FALSE(EditsFromJson(nlohmann::json::parse(R"([{"put_tenant": "a"}])")).ok());
  EXPECT_FALSE(EditsFromJson(nlohmann::json::parse(R"([{}])")).ok());
  const auto before = Before();
  EXPECT_FALSE(ApplyEdits(*before, {PutTenant{{.name = "acme", .shard = "nowhere"}}}).ok());
}

}  // namespace
}  // namespace bulkhead::control
