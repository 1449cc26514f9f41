#include "routing/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace bulkhead::routing {
namespace {

using ::testing::HasSubstr;

Address At(const std::string& text) { return ParseAddress(text).value(); }

// Two backends, three shards (two share db1), two tenants.
TopologyBuilder Sample() {
  TopologyBuilder b;
  EXPECT_TRUE(b.AddBackend({.name = "db1", .address = At("10.0.0.1:3306")}).ok());
  EXPECT_TRUE(b.AddBackend({.name = "db2", .address = At("10.0.0.2:3306")}).ok());
  EXPECT_TRUE(b.AddShard({.name = "s1", .primary = "db1", .replicas = {"db2"}}).ok());
  EXPECT_TRUE(b.AddShard({.name = "s2", .primary = "db2"}).ok());
  EXPECT_TRUE(b.AddShard({.name = "s3", .primary = "db1"}).ok());
  EXPECT_TRUE(b.AddTenant({.name = "acme", .shard = "s1"}).ok());
  EXPECT_TRUE(b.AddTenant({.name = "globex",
                           .shard = "s3",
                           .pooling = Pooling::kSession,
                           .physical_database = "crm"})
                  .ok());
  return b;
}

TEST(Topology, EmptyOneFindsNothing) {
  TopologyBuilder b;
  const auto t = b.Build().value();
  EXPECT_FALSE(t->FindTenant("acme").found());
  EXPECT_FALSE(t->any_backend().valid());
  EXPECT_EQ(t->version(), Epoch{1});
}

TEST(Topology, FindsShardAndBackendInOneGo) {
  const auto t = Sample().Build().value();
  const LookupResult acme = t->FindTenant("acme");
  EXPECT_EQ(acme.origin, TenantOrigin::kDirectory);
  EXPECT_EQ(t->shard(acme.shard)->name, "s1");
  EXPECT_EQ(t->backend(acme.backend)->name, "db1");
  const LookupResult globex = t->FindTenant("globex");
  EXPECT_EQ(t->shard(globex.shard)->name, "s3");
  EXPECT_EQ(globex.backend, acme.backend);  // two shards, one backend
  EXPECT_EQ(globex.pooling, Pooling::kSession);
  EXPECT_EQ(globex.physical_database, "crm");
  EXPECT_FALSE(t->FindTenant("initech").found());
  EXPECT_FALSE(t->FindTenant("").found());
  EXPECT_EQ(t->any_backend(), acme.backend);
  EXPECT_EQ(t->shards().size(), 3u);
  EXPECT_EQ(t->backends().size(), 2u);
}

TEST(Topology, UnassignedGoByEvenSlots) {
  TopologyBuilder b = Sample();
  ASSERT_TRUE(b.SpreadSlots().ok());
  ASSERT_TRUE(b.SetUnassigned(UnassignedSlots{}).ok());
  const auto t = b.Build().value();
  std::map<uint16_t, int> count;
  for (const ShardId id : t->slots()) ++count[id.index];
  EXPECT_EQ(count.size(), 3u);
  for (const auto& [index, slots] : count) EXPECT_NEAR(slots, 4096 / 3, 1);
  const LookupResult found = t->FindTenant("somebody");
  EXPECT_EQ(found.origin, TenantOrigin::kSlot);
  EXPECT_EQ(found.shard, t->slots()[SlotOf("somebody")]);
  EXPECT_EQ(t->FindTenant("acme").origin, TenantOrigin::kDirectory);
  EXPECT_FALSE(t->FindTenant("no body").found());  // not a possible name
}

TEST(Topology, UnassignedSlotsMustAllBeAssigned) {
  TopologyBuilder b = Sample();
  ASSERT_TRUE(b.SetUnassigned(UnassignedSlots{}).ok());
  ASSERT_TRUE(b.AssignSlots(0, 99, "s1").ok());
  ASSERT_TRUE(b.AssignSlots(200, 4095, "s2").ok());
  EXPECT_EQ(b.Build().status().message(),
            "unassigned tenants go by slots, but slots 100-199 belong to no shard");
  ASSERT_TRUE(b.AssignSlots(100, 199, "s3").ok());
  EXPECT_TRUE(b.Build().ok());
  EXPECT_FALSE(b.AssignSlots(5, 4, "s1").ok());
  EXPECT_FALSE(b.AssignSlots(0, 4096, "s1").ok());
  EXPECT_FALSE(b.AssignSlots(0, 1, "s9").ok());
}

TEST(Topology, UnassignedGoToOneShard) {
  TopologyBuilder b = Sample();
  EXPECT_FALSE(b.SetUnassigned(UnassignedShard{"s9"}).ok());
  ASSERT_TRUE(b.SetUnassigned(UnassignedShard{"s2"}).ok());
  const auto t = b.Build().value();
  EXPECT_EQ(t->FindTenant("x").origin, TenantOrigin::kDefault);
  EXPECT_EQ(t->shard(t->FindTenant("x").shard)->name, "s2");
  EXPECT_THAT(std::string(b.DropShard("s2").message()), HasSubstr("used by unassigned tenants"));
}

TEST(TopologyBuilder, SnapshotsDoNotChange) {
  TopologyBuilder b = Sample();
  const auto first = b.Build().value();
  ASSERT_TRUE(b.AssignTenant({.name = "acme", .shard = "s2"}).ok());
  ASSERT_TRUE(b.SetPrimary("s1", "db2").ok());
  const auto second = b.Build().value();
  EXPECT_EQ(first->shard(first->FindTenant("acme").shard)->name, "s1");
  EXPECT_EQ(second->shard(second->FindTenant("acme").shard)->name, "s2");
  EXPECT_EQ(first->backend(first->FindShard("s1")->primary)->name, "db1");
  EXPECT_EQ(second->backend(second->FindShard("s1")->primary)->name, "db2");
  EXPECT_EQ(second->version(), Epoch{2});
}

TEST(TopologyBuilder, ANewPrimarysEpochIsAboveItsOldOne) {
  TopologyBuilder b(*Sample().Build().value());
  ASSERT_TRUE(b.RestoreEpoch("s1", Epoch{40}).ok());  // of another router
  ASSERT_TRUE(b.RaiseEpoch("s1", Epoch{7}).ok());     // never lower
  TopologyBuilder next(*b.Build().value());
  ASSERT_TRUE(next.SetPrimary("s1", "db2").ok());
  ASSERT_TRUE(next.RaiseEpoch("s1", Epoch{41}).ok());
  EXPECT_EQ(next.Build().value()->FindShard("s1")->epoch, Epoch{41});
}

TEST(TopologyBuilder, ANewPrimaryRaisesItsShardsEpochOnly) {
  const auto first = Sample().Build().value();
  TopologyBuilder b(*first);
  ASSERT_TRUE(b.SetPrimary("s1", "db2").ok());
  ASSERT_TRUE(b.SetPrimary("s3", "db1").ok());  // no change
  const auto second = b.Build().value();
  EXPECT_EQ(second->FindShard("s1")->epoch, Epoch{2});
  EXPECT_EQ(second->FindShard("s2")->epoch, Epoch{1});
  EXPECT_EQ(second->FindShard("s3")->epoch, Epoch{1});
  // The replica was promoted: the old primary takes its place.
  ASSERT_EQ(second->FindShard("s1")->replicas.size(), 1u);
  EXPECT_EQ(second->backend(second->FindShard("s1")->replicas[0])->name, "db1");
}

TEST(TopologyBuilder, AnIdIsNeverGivenTwice) {
  TopologyBuilder b;
  ASSERT_TRUE(b.AddBackend({.name = "db1", .address = At("h:1")}).ok());
  const BackendId old = b.Build().value()->FindBackend("db1")->id;
  ASSERT_TRUE(b.DropBackend("db1").ok());
  ASSERT_TRUE(b.AddBackend({.name = "db1", .address = At("h:1")}).ok());
  const auto t = b.Build().value();
  EXPECT_EQ(t->backend(old), nullptr);
  EXPECT_EQ(t->FindBackend("db1")->id.index, old.index);
  EXPECT_NE(t->FindBackend("db1")->id, old);
  EXPECT_EQ(t->backend(BackendId{}), nullptr);
  EXPECT_EQ(t->shard(ShardId{7, 1}), nullptr);
}

TEST(TopologyBuilder, AChangedAddressIsAnotherServer) {
  TopologyBuilder b = Sample();
  const auto first = b.Build().value();
  BackendSpec spec = *first->FindBackend("db1");
  spec.max_connections = 7;
  ASSERT_TRUE(b.AlterBackend(spec).ok());
  const auto second = b.Build().value();
  EXPECT_EQ(second->FindBackend("db1")->id, first->FindBackend("db1")->id);
  EXPECT_EQ(second->FindBackend("db1")->max_connections, 7u);
  EXPECT_EQ(second->FindShard("s1")->epoch, Epoch{1});
  spec.address = At("10.0.0.9:3306");
  ASSERT_TRUE(b.AlterBackend(spec).ok());
  const auto third = b.Build().value();
  EXPECT_EQ(third->backend(first->FindBackend("db1")->id), nullptr);
  EXPECT_EQ(third->backend(third->FindTenant("acme").backend)->address, spec.address);
  EXPECT_EQ(third->FindShard("s1")->epoch, Epoch{3});
  EXPECT_EQ(third->FindShard("s2")->epoch, Epoch{1});
  EXPECT_FALSE(b.AlterBackend({.name = "db1", .address = At("10.0.0.2:3306")}).ok());
}

TEST(TopologyBuilder, RefusesWhatDoesNotFit) {
  TopologyBuilder b = Sample();
  const auto text = [](const absl::Status& s) { return std::string(s.message()); };
  EXPECT_EQ(text(b.AddBackend({.name = "db1", .address = At("h:1")})),
            "backend 'db1' is there already");
  EXPECT_EQ(text(b.AddBackend({.name = "db3", .address = At("10.0.0.1:3306")})),
            "address 10.0.0.1:3306 is already that of backend 'db1'");
  EXPECT_THAT(text(b.AddBackend({.name = "d b", .address = At("h:1")})), HasSubstr("not valid"));
  EXPECT_THAT(text(b.AddBackend({.name = "db3"})), HasSubstr("no address"));
  EXPECT_EQ(text(b.AddShard({.name = "s1", .primary = "db1"})), "shard 's1' is there already");
  EXPECT_EQ(text(b.AddShard({.name = "s4", .primary = "db9"})),
            "primary 'db9' of shard 's4' is no backend");
  EXPECT_EQ(text(b.AddShard({.name = "s4", .primary = "db1", .replicas = {"db1"}})),
            "backend 'db1' is both primary and replica of shard 's4'");
  EXPECT_EQ(text(b.AddShard({.name = "s4", .primary = "db1", .replicas = {"db2", "db2"}})),
            "replica 'db2' of shard 's4' is named twice");
  EXPECT_EQ(text(b.AddTenant({.name = "acme", .shard = "s1"})), "tenant 'acme' is there already");
  EXPECT_EQ(text(b.AddTenant({.name = "x", .shard = "s9"})),
            "shard 's9' of tenant 'x' does not exist");
  EXPECT_THAT(text(b.AddTenant({.name = "a b", .shard = "s1"})), HasSubstr("white space"));
  EXPECT_EQ(text(b.DropBackend("db2")), "backend 'db2' is used by shard 's1'");
  EXPECT_EQ(text(b.DropShard("s1")), "shard 's1' is used by tenant 'acme'");
  EXPECT_EQ(text(b.DropTenant("x")), "there is no tenant 'x'");
  EXPECT_EQ(text(b.SetPrimary("s9", "db1")), "there is no shard 's9'");
  ASSERT_TRUE(b.AssignSlots(7, 7, "s2").ok());
  EXPECT_EQ(text(b.DropShard("s2")), "shard 's2' is used by slot 7");
  ASSERT_TRUE(b.AssignSlots(7, 7, "").ok());
  EXPECT_TRUE(b.DropShard("s2").ok());
}

TEST(TopologyBuilder, PhysicalOverridesCanBeLookedUp) {
  TopologyBuilder b = Sample();
  EXPECT_EQ(b.Build().value()->TenantOfPhysicalOverride("crm"), "globex");
  ASSERT_TRUE(b.AssignTenant({.name = "globex", .shard = "s3", .physical_database = "crm2"}).ok());
  EXPECT_EQ(b.Build().value()->TenantOfPhysicalOverride("crm"), "");
  EXPECT_EQ(b.Build().value()->TenantOfPhysicalOverride("crm2"), "globex");
  ASSERT_TRUE(b.DropTenant("globex").ok());
  EXPECT_EQ(b.Build().value()->TenantOfPhysicalOverride("crm2"), "");
}

TEST(ParseAddress, TakesTheThreeForms) {
  EXPECT_EQ(At("db.example.com:3307"), (Address{.host = "db.example.com", .port = 3307}));
  EXPECT_EQ(At("[2001:db8::1]:3306"), (Address{.host = "2001:db8::1", .port = 3306}));
  EXPECT_EQ(At("[2001:db8::1]:3306").ToString(), "[2001:db8::1]:3306");
  EXPECT_EQ(At("unix:/run/x.sock"), (Address{.socket_path = "/run/x.sock"}));
  EXPECT_EQ(At("unix:/run/x.sock").ToString(), "unix:/run/x.sock");
  EXPECT_EQ(ParseAddress("db1", 3306).value().ToString(), "db1:3306");
  for (const char* bad : {"", ":3306", "db1", "db1:", "db1:0", "db1:65536", "db1:x", "db1:33 06",
                          "::1:3306", "[::1", "[::1]x", "[db1]:1", "d b:1", "unix:", "unix:x"}) {
    EXPECT_FALSE(ParseAddress(bad).ok()) << bad;
  }
  EXPECT_FALSE(ParseAddress("unix:/" + std::string(107, 'x')).ok());
  EXPECT_TRUE(ParseAddress("unix:/" + std::string(106, 'x')).ok());
}

TEST(Address, KnowsWhatStaysOnThisMachine) {
  for (const char* local : {"127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "unix:/x"}) {
    EXPECT_TRUE(At(local).is_local()) << local;
  }
  for (const char* far :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.example.com:1", "db:1", "127.0.0.1.5:1"}) {
    EXPECT_FALSE(At(far).is_local()) << far;
  }
}

}  // namespace
}  // namespace bulkhead::routing
