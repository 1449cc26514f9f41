// Files that earlier versions of the schema have left: brought forward at Open, whole or not at
// all.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "proxy/control/sqlite_rows.h"
#include "proxy/control/sqlite_store.h"

namespace bulkhead::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Written down here as they were, and never changed any more: what the store's own list says of the
// past must go on to fit the files that exist.
constexpr const char* kFirst = R"(
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE backends (name TEXT PRIMARY KEY, address TEXT NOT NULL, family TEXT NOT NULL,
  tls TEXT NOT NULL, max_connections INTEGER) WITHOUT ROWID;
CREATE TABLE shards (name TEXT PRIMARY KEY, primary_backend TEXT NOT NULL, replicas TEXT NOT NULL,
  policy TEXT NOT NULL, max_wait_ns INTEGER, outage_limit_ns INTEGER, max_statements INTEGER,
  max_bytes INTEGER, production INTEGER NOT NULL, epoch INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tenants (name TEXT PRIMARY KEY, shard TEXT NOT NULL, pooling TEXT NOT NULL,
  hold TEXT NOT NULL, physical_database TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE slots (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, shard TEXT NOT NULL);
CREATE TABLE limits (tenant TEXT PRIMARY KEY, sessions INTEGER NOT NULL, running INTEGER NOT NULL,
  per_second INTEGER NOT NULL, burst INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE orders (kind TEXT NOT NULL, name TEXT NOT NULL, word TEXT NOT NULL,
  until_ms INTEGER NOT NULL, words TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;
CREATE TABLE backend_states (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (name TEXT PRIMARY KEY, mark TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE variables (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE operations (id INTEGER PRIMARY KEY, kind TEXT NOT NULL, object TEXT NOT NULL,
  state TEXT NOT NULL, step TEXT NOT NULL, detail TEXT NOT NULL, user TEXT NOT NULL,
  begun_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL, payload TEXT NOT NULL,
  owner TEXT NOT NULL, lease_until_ms INTEGER NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL,
  object TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE acknowledged (router TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('revision', 17), ('version', '43'), ('unassigned', 'shard:s1');
INSERT INTO backends VALUES ('db1', '127.0.0.1:3306', 'mysql', 'verify', 77),
  ('db2', '127.0.0.1:3307', 'auto', '', NULL);
INSERT INTO shards VALUES
  ('s1', 'db1', 'db2', 'replica', 1500000000, NULL, NULL, 8589934592, 1, 42),
  ('s2', 'db2', '', '', NULL, NULL, NULL, NULL, 0, 7);
INSERT INTO tenants VALUES ('acme', 's1', 'session', 'reject', 't''; --'),
  ('beta', 's2', '', '', '');
INSERT INTO slots VALUES (0, 4095, 's1');
INSERT INTO limits VALUES ('acme', 0, 5, 100, 0);
INSERT INTO orders VALUES ('tenant', 'acme', 'reject', 123, 'is closed');
INSERT INTO backend_states VALUES ('db2', 'drained');
INSERT INTO marks VALUES ('db2', 'down');
INSERT INTO variables VALUES ('log.level', 'debug');
INSERT INTO operations VALUES
  (9, 'switchover', 's1', 'running', 'freeze', '', 'ada', 1, 0, '{"a":1}', 'r1', 5);
INSERT INTO events VALUES (1, 1000, 'shard', 's1', 'text');
INSERT INTO acknowledged VALUES ('r1', 43);
)";
constexpr const char* kSecond =
    "CREATE TABLE incidents (id INTEGER PRIMARY KEY, text TEXT NOT NULL);"
    "INSERT INTO incidents VALUES (1, '{\"id\":1}');";

class SqliteMigrationTest : public ::testing::TestWithParam<int> {
 protected:
  SqliteMigrationTest() {
    char pattern[] = "/tmp/bulkhead-store-XXXXXX";
    folder_ = std::string(mkdtemp(pattern));
  }
  ~SqliteMigrationTest() override { std::filesystem::remove_all(folder_); }

  void Do(const std::string& sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((folder_ + "/topology.sqlite").c_str(), &db), SQLITE_OK);
    char* error = nullptr;
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
    sqlite3_free(error);
    sqlite3_close(db);
  }
  // What the first column of the first row says.
  std::string Asked(const std::string& sql) {
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open((folder_ + "/topology.sqlite").c_str(), &db), SQLITE_OK);
    sqlite3_stmt* statement = nullptr;
    EXPECT_EQ(sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sql;
    std::string value;
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_text(statement, 0) != nullptr)
      value = reinterpret_cast<const char*>(sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
  }
  std::string Schema() {
    return Asked(
        "SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)");
  }
  void Make(int version) {
    Do(std::string("PRAGMA journal_mode=WAL;") + kFirst + (version >= 2 ? kSecond : "") +
       "PRAGMA user_version=" + std::to_string(version));
  }
  void ExpectEverything(const StoredState& state) {
    EXPECT_EQ(state.revision, 17u);
    EXPECT_EQ(state.version.value, 43u);
    EXPECT_TRUE(std::holds_alternative<routing::UnassignedShard>(state.unassigned));
    ASSERT_EQ(state.backends.size(), 2u);
    EXPECT_EQ(state.backends[0].max_connections, 77u);
    EXPECT_EQ(state.backends[0].tls, routing::BackendTls::kVerify);
    EXPECT_EQ(state.backends[0].family, routing::ServerFamily::kMysql);
    ASSERT_EQ(state.shards.size(), 2u);
    EXPECT_THAT(state.shards[0].spec.replicas, ElementsAre("db2"));
    EXPECT_EQ(state.shards[0].spec.hold.policy, routing::HoldPolicy::kReplica);
    EXPECT_EQ(state.shards[0].spec.hold.max_wait, std::chrono::milliseconds(1500));
    EXPECT_EQ(state.shards[0].spec.hold.max_bytes, 1ull << 33);
    EXPECT_TRUE(state.shards[0].spec.production);
    EXPECT_EQ(state.shards[0].epoch.value, 42u);
    ASSERT_EQ(state.tenants.size(), 2u);
    EXPECT_EQ(state.tenants[0].physical_database, "t'; --");
    EXPECT_EQ(state.tenants[0].pooling, routing::Pooling::kSession);
    EXPECT_EQ(state.tenants[0].hold, routing::HoldPolicy::kReject);
    EXPECT_EQ(state.slots, (std::vector<StoredSlots>{{0, 4095, "s1"}}));
    EXPECT_EQ(state.limits.at("acme").per_second, 100u);
    ASSERT_EQ(state.orders.size(), 1u);
    EXPECT_EQ(state.orders[0].order, routing::GateOperator::kReject);
    EXPECT_EQ(state.orders[0].until_ms, 123);
    EXPECT_EQ(state.backend_states.at("db2"), "drained");
    EXPECT_EQ(state.marks.at("db2"), routing::OperatorMark::kDown);
    EXPECT_EQ(state.variables.at("log.level"), "debug");
    ASSERT_EQ(state.operations.size(), 1u);
    EXPECT_EQ(state.operations[0].payload, "{\"a\":1}");
    EXPECT_EQ(state.operations[0].lease_until_ms, 5);
    ASSERT_EQ(state.events.size(), 1u);
    EXPECT_EQ(state.events[0].text, "text");
    // What came later.
    for (const StoredShard& shard : state.shards)
      EXPECT_EQ(shard.spec.failover, routing::FailoverMode::kManual) << shard.spec.name;
    if (GetParam() >= 2) {
      EXPECT_THAT(state.incidents, ElementsAre("{\"id\":1}"));
    } else {
      EXPECT_TRUE(state.incidents.empty());
    }
    EXPECT_TRUE(BuildTopology(state).ok());
  }

  std::string folder_;
};

TEST_P(SqliteMigrationTest, KeepsEveryRow) {
  Make(GetParam());
  {
    auto store = SqliteStore::Open(folder_);
    ASSERT_TRUE(store.ok()) << store.status();
    const auto state = (*store)->Load();
    ASSERT_TRUE(state.ok()) << state.status();
    ExpectEverything(*state);
    StoredShard shard = state->shards[1];
    shard.spec.failover = routing::FailoverMode::kAutomatic;
    ASSERT_TRUE((*store)->Commit(17, {PutShard{shard}, PutIncident{2, "{\"id\":2}"}}).ok());
  }
  EXPECT_EQ(Asked("PRAGMA user_version"), std::to_string(SqliteStore::kSchemaVersion));
  auto again = SqliteStore::Open(folder_);
  ASSERT_TRUE(again.ok()) << again.status();
  const auto state = (*again)->Load();
  EXPECT_EQ(state->shards[1].spec.failover, routing::FailoverMode::kAutomatic);
  EXPECT_EQ(state->incidents.back(), "{\"id\":2}");
  EXPECT_EQ(Asked("SELECT count(*) FROM acknowledged"), "1");
}

TEST_P(SqliteMigrationTest, EndsWithTheSchemaOfANewFile) {
  Make(GetParam());
  ASSERT_TRUE(SqliteStore::Open(folder_).ok());
  const std::string migrated = Schema();
  std::filesystem::remove_all(folder_);
  ASSERT_TRUE(SqliteStore::Open(folder_).ok());
  EXPECT_EQ(migrated, Schema());
}

// A step that fails: the file is what it was, and says so; without the obstacle it is brought
// forward.
TEST_P(SqliteMigrationTest, AStepThatFailsLeavesTheOldVersionWhole) {
  Make(GetParam());
  // The last step finds its column there already; the steps before it have been taken by then.
  Do("ALTER TABLE shards ADD COLUMN failover TEXT NOT NULL DEFAULT 'manual'");
  const std::string before = Schema();
  const auto store = SqliteStore::Open(folder_);
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("topology.sqlite: "));
  EXPECT_EQ(Asked("PRAGMA user_version"), std::to_string(GetParam()));
  EXPECT_EQ(Schema(), before);
  Do("ALTER TABLE shards DROP COLUMN failover");
  auto repaired = SqliteStore::Open(folder_);
  ASSERT_TRUE(repaired.ok()) << repaired.status();
  ExpectEverything(*(*repaired)->Load());
}

// kill -9 at any moment of it: the old version or the new one, each with all of its rows.
TEST_P(SqliteMigrationTest, SurvivesKills) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  int old = 0;
  for (int round = 0; round < 20; ++round) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    Make(GetParam());
    const pid_t child = fork();
    if (child == 0) {
      const auto store = SqliteStore::Open(folder_);
      _exit(store.ok() ? 0 : 1);
    }
    usleep(static_cast<useconds_t>(random() % 20000));  // any moment of the migration
    kill(child, SIGKILL);
    int how = 0;
    waitpid(child, &how, 0);
    ASSERT_TRUE(WIFSIGNALED(how) || WEXITSTATUS(how) == 0);
    const std::string version = Asked("PRAGMA user_version");
    const std::string later =
        Asked("SELECT count(*) FROM pragma_table_info('shards') WHERE name = 'failover'");
    if (version == std::to_string(GetParam())) {
      ++old;
      ASSERT_EQ(later, "0");
    } else {
      ASSERT_EQ(version, std::to_string(SqliteStore::kSchemaVersion));
      ASSERT_EQ(later, "1");
    }
    auto store = SqliteStore::Open(folder_);
    ASSERT_TRUE(store.ok()) << store.status();
    ExpectEverything(*(*store)->Load());
    if (HasFailure()) return;
  }
  RecordProperty("killed_before_the_commit", old);
}

// A program that only looks (topology export) never changes an old file.
TEST_P(SqliteMigrationTest, AReaderRefusesIt) {
  Make(GetParam());
  const auto store = SqliteStore::OpenToRead(folder_);
  ASSERT_FALSE(store.ok());
  EXPECT_THAT(std::string(store.status().message()),
              HasSubstr("its schema is version " + std::to_string(GetParam())));
  EXPECT_EQ(Asked("PRAGMA user_version"), std::to_string(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(From, SqliteMigrationTest, ::testing::Values(1, 2));

// A version more wants a line above, and its rows in Make().
TEST(SqliteMigrations, AreAllTried) { EXPECT_EQ(SqliteStore::kSchemaVersion, 3); }

}  // namespace
}  // namespace bulkhead::control
