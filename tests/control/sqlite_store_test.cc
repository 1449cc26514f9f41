// The embedded store on a real disk: what is committed is there again, and nothing else.
#include "proxy/control/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "proxy/control/store_thread.h"

namespace bulkhead::control {
namespace {

using ::testing::HasSubstr;

class SqliteStoreTest : public ::testing::Test {
 protected:
  SqliteStoreTest() {
    char pattern[] = "/tmp/bulkhead-store-XXXXXX";
    folder_ = std::string(mkdtemp(pattern)) + "/state";
  }
  ~SqliteStoreTest() override {
    std::filesystem::remove_all(std::filesystem::path(folder_).parent_path());
  }

  std::unique_ptr<SqliteStore> Open() {
    auto store = SqliteStore::Open(folder_);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  StoredState Loaded() {
    auto store = Open();
    auto state = store->Load();
    EXPECT_TRUE(state.ok()) << state.status();
    return *state;
  }
  std::string file() const { return folder_ + "/topology.sqlite"; }

  std::string folder_;
};

routing::BackendSpec Backend(const std::string& name, uint16_t port) {
  routing::BackendSpec spec;
  spec.name = name;
  spec.address = {.host = "127.0.0.1", .port = port};
  return spec;
}

TEST_F(SqliteStoreTest, KeepsEverything) {
  {
    auto store = Open();
    EXPECT_EQ(store->Load()->revision, 0u);
    routing::BackendSpec db1 = Backend("db1", 3306);
    db1.family = routing::ServerFamily::kMysql;
    db1.tls = routing::BackendTls::kVerify;
    db1.max_connections = 77;
    StoredShard s1;
    s1.spec.name = "s1";
    s1.spec.primary = "db1";
    s1.spec.replicas = {"db2", "db3"};
    s1.spec.hold.policy = routing::HoldPolicy::kReplica;
    s1.spec.hold.max_wait = std::chrono::milliseconds(1500);
    s1.spec.hold.max_bytes = 1ull << 33;
    s1.spec.production = true;
    s1.epoch = routing::Epoch{42};
    routing::TenantSpec acme{.name = "acme", .shard = "s1", .physical_database = "t'; --"};
    acme.pooling = routing::Pooling::kSession;
    Operation operation;
    operation.id = 9;
    operation.kind = "switchover";
    operation.state = Operation::State::kRunning;
    operation.step = "freeze";
    const auto revision = store->Commit(
        0, {PutBackend{db1}, PutBackend{Backend("db2", 3307)}, PutBackend{Backend("db3", 3308)},
            PutShard{s1}, PutTenant{acme}, PutSlots{{{0, 4095, "s1"}}},
            PutUnassigned{routing::UnassignedShard{"s1"}}, PutVersion{routing::Epoch{43}},
            PutLimit{"acme", routing::TenantLimit{.running = 5, .per_second = 100}},
            PutOrder{{.slice = {SliceName::Kind::kTenant, "acme"},
                      .order = routing::GateOperator::kReject,
                      .until_ms = 123,
                      .words = "is closed"}},
            PutBackendState{"db2", "drained"}, PutMark{"db3", routing::OperatorMark::kDown},
            PutVariable{"log_level", "debug"}, PutOperation{{operation, "{\"a\":1}", "r1", 5}},
            PutEvent{{1, 1000, "shard", "s1", "text"}}});
    ASSERT_TRUE(revision.ok()) << revision.status();
    EXPECT_EQ(*revision, 1u);
  }
  const StoredState state = Loaded();
  EXPECT_EQ(state.revision, 1u);
  EXPECT_EQ(state.version.value, 43u);
  ASSERT_EQ(state.backends.size(), 3u);
  EXPECT_EQ(state.backends[0].max_connections, 77u);
  EXPECT_EQ(state.backends[0].tls, routing::BackendTls::kVerify);
  ASSERT_EQ(state.shards.size(), 1u);
  EXPECT_THAT(state.shards[0].spec.replicas, ::testing::ElementsAre("db2", "db3"));
  EXPECT_EQ(state.shards[0].spec.hold.max_wait, std::chrono::milliseconds(1500));
  EXPECT_EQ(state.shards[0].spec.hold.max_bytes, 1ull << 33);
  EXPECT_FALSE(state.shards[0].spec.hold.outage_limit.has_value());
  ASSERT_EQ(state.tenants.size(), 1u);
  EXPECT_EQ(state.tenants[0].physical_database, "t'; --");
  EXPECT_EQ(state.limits.at("acme").per_second, 100u);
  ASSERT_EQ(state.orders.size(), 1u);
  EXPECT_EQ(state.orders[0].order, routing::GateOperator::kReject);
  EXPECT_EQ(state.backend_states.at("db2"), "drained");
  EXPECT_EQ(state.marks.at("db3"), routing::OperatorMark::kDown);
  EXPECT_EQ(state.variables.at("log_level"), "debug");
  ASSERT_EQ(state.operations.size(), 1u);
  EXPECT_EQ(state.operations[0].payload, "{\"a\":1}");
  EXPECT_EQ(state.events.size(), 1u);

  const auto topology = BuildTopology(state);
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ((*topology)->version().value, 43u);
  EXPECT_EQ((*topology)->FindShard("s1")->epoch.value, 42u);
  EXPECT_EQ((*topology)->FindTenant("someone").origin, routing::TenantOrigin::kDefault);
}

TEST_F(SqliteStoreTest, CommitsOnlyOnTheRevisionThatWasSeen) {
  auto store = Open();
  ASSERT_EQ(*store->Commit(0, {PutVariable{"a", "1"}}), 1u);
  const auto late = store->Commit(0, {PutVariable{"a", "2"}});
  EXPECT_EQ(late.status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(store->Load()->variables.at("a"), "1");
  EXPECT_EQ(*store->Commit(1, {PutVariable{"a", "3"}}), 2u);
}

TEST_F(SqliteStoreTest, IsOpenInOneProcessAtATime) {
  auto store = Open();
  const auto second = SqliteStore::Open(folder_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("pid " + std::to_string(getpid())));
  store.reset();
  EXPECT_NE(Open(), nullptr);
}

TEST_F(SqliteStoreTest, IsReadableByItsUserOnly) {
  auto store = Open();
  struct stat info {};
  ASSERT_EQ(stat(folder_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const char* name : {"/topology.sqlite", "/topology.sqlite-wal", "/topology.lock"}) {
    ASSERT_EQ(stat((folder_ + name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(SqliteStoreTest, RefusesADamagedAndANewerFile) {
  {
    auto store = Open();
    std::vector<StoreEdit> many;
    for (int i = 0; i < 2000; ++i) many.push_back(PutVariable{"v" + std::to_string(i), "value"});
    ASSERT_TRUE(store->Commit(0, many).ok());
  }
  {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(file().c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
    EXPECT_THAT(std::string(SqliteStore::Open(folder_).status().message()),
                HasSubstr("newer bulkhead"));
    ASSERT_EQ(sqlite3_open(file().c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=1; PRAGMA wal_checkpoint(TRUNCATE)", nullptr,
                           nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(db);
  }
  {
    std::fstream damage(file(), std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(4096);
    damage << std::string(40'000, 'x');
  }
  const auto damaged = SqliteStore::Open(folder_);
  EXPECT_EQ(damaged.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(damaged.status().message()), HasSubstr("put a copy back"));
  {
    std::ofstream other(file(), std::ios::trunc);
    other << "this is no database, but long enough to be looked at as one";
  }
  EXPECT_EQ(SqliteStore::Open(folder_).status().code(), absl::StatusCode::kDataLoss);
}

// Random edits by TopologyBuilder in memory, their differences committed: what is read back is the
// same.
TEST_F(SqliteStoreTest, FollowsATopology) {
  std::mt19937 random(7);
  const auto pick = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  auto store = Open();
  auto topology = *routing::TopologyBuilder().Build();
  uint64_t revision = 0;
  for (int round = 0; round < 400; ++round) {
    routing::TopologyBuilder builder(*topology);
    std::vector<std::string> tenants;
    for (int i = pick(4); i >= 0; --i) {
      const std::string b = "b" + std::to_string(pick(6));
      const std::string s = "s" + std::to_string(pick(5));
      const std::string t = "t" + std::to_string(pick(30));
      switch (pick(11)) {
        case 0:
        case 1:
          (void)builder.AddBackend(Backend(b, static_cast<uint16_t>(3306 + pick(1000))));
          break;
        case 2:
          (void)builder.AlterBackend(Backend(b, static_cast<uint16_t>(3306 + pick(1000))));
          break;
        case 3:
          (void)builder.DropBackend(b);
          break;
        case 4:
        case 5:
          (void)builder.AddShard({.name = s, .primary = b, .production = pick(2) == 0});
          break;
        case 6:
          (void)builder.SetPrimary(s, b);
          break;
        case 7:
          (void)builder.DropShard(s);
          break;
        case 8:
          tenants.push_back(t);
          (void)builder.AssignTenant({.name = t, .shard = s, .physical_database = b});
          break;
        case 9:
          tenants.push_back(t);
          (void)builder.DropTenant(t);
          break;
        case 10: {
          const auto first = static_cast<uint16_t>(pick(4000));
          (void)builder.AssignSlots(first, static_cast<uint16_t>(first + pick(96)),
                                    pick(3) == 0 ? "" : s);
          break;
        }
      }
    }
    auto next = builder.Build();
    ASSERT_TRUE(next.ok());
    // Named tenants, or all of them: the same.
    const auto edits = pick(2) == 0 ? EditsBetween(*topology, **next, tenants)
                                    : EditsBetween(*topology, **next, std::nullopt);
    const auto committed = store->Commit(revision, edits);
    ASSERT_TRUE(committed.ok()) << committed.status();
    revision = *committed;
    topology = *next;
    if (round % 40 != 39) continue;
    store.reset();
    store = Open();
    const auto state = store->Load();
    ASSERT_TRUE(state.ok());
    const auto loaded = BuildTopology(*state);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->version(), topology->version());
    const auto differing = EditsBetween(*topology, **loaded, std::nullopt);
    EXPECT_EQ(differing.size(), 1u);  // the version alone
  }
}

// kill -9 at any moment: what was acknowledged is there, whole.
TEST_F(SqliteStoreTest, SurvivesKills) {
  constexpr int kKills = 200;
  std::mt19937 random(11);
  uint64_t acknowledged = 0;
  for (int round = 0; round < kKills; ++round) {
    int told[2];
    ASSERT_EQ(pipe(told), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(told[0]);
      auto store = SqliteStore::Open(folder_);
      if (!store.ok()) _exit(1);
      uint64_t revision = (*store)->Load()->revision;
      for (;;) {
        // Two rows that belong together, and one that is replaced.
        const std::string n = std::to_string(revision + 1);
        const auto next =
            (*store)->Commit(revision, {PutVariable{"left" + n, n}, PutVariable{"newest", n},
                                        PutTenant{{.name = "right" + n, .shard = "s"}}});
        if (!next.ok()) _exit(2);
        revision = *next;
        if (write(told[1], &revision, sizeof revision) < 0) _exit(3);
      }
    }
    close(told[1]);
    uint64_t revision = 0;
    const auto commits = static_cast<int>(1 + random() % 4);
    for (int i = 0; i < commits; ++i) {
      if (read(told[0], &revision, sizeof revision) != sizeof revision) break;
      acknowledged = revision;
    }
    usleep(static_cast<useconds_t>(random() % 4000));
    kill(child, SIGKILL);
    int how = 0;
    waitpid(child, &how, 0);
    ASSERT_TRUE(WIFSIGNALED(how)) << "exit " << WEXITSTATUS(how);
    while (read(told[0], &revision, sizeof revision) == sizeof revision) acknowledged = revision;
    close(told[0]);
    const StoredState state = Loaded();
    // One more may have been committed and not told.
    ASSERT_GE(state.revision, acknowledged);
    ASSERT_LE(state.revision, acknowledged + 1);
    ASSERT_EQ(state.variables.at("newest"), std::to_string(state.revision));
    ASSERT_EQ(state.variables.size(), state.revision + 1);
    ASSERT_EQ(state.tenants.size(), state.revision);
  }
  EXPECT_GE(acknowledged, static_cast<uint64_t>(kKills));
}

TEST_F(SqliteStoreTest, TheThreadCommitsInOrder) {
  std::mutex mutex;
  std::vector<int> done;
  {
    auto store = Open();
    StoreThread thread(std::move(store), 0, [](std::function<void()> message) { message(); });
    for (int i = 0; i < 50; ++i) {
      thread.Commit({PutVariable{"last", std::to_string(i)}}, [&, i](const absl::Status& status) {
        const std::lock_guard lock(mutex);
        done.push_back(status.ok() ? i : -1);
      });
    }
  }
  std::vector<int> expected;
  for (int i = 0; i < 50; ++i) expected.push_back(i);
  EXPECT_EQ(done, expected);
  EXPECT_EQ(Loaded().variables.at("last"), "49");
}

}  // namespace
}  // namespace bulkhead::control
