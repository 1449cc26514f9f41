#include "proxy/control/sqlite_rows.h"

#include <array>
#include <charconv>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proxy/control/sqlite_query.h"
#include "proxy/control/sqlite_store.h"

namespace bulkhead::control {

namespace {

using routing::Duration;

constexpr const char* kVersion1 = R"(
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
)";

constexpr const char* kVersion2 =
    "CREATE TABLE incidents (id INTEGER PRIMARY KEY, text TEXT NOT NULL);";

constexpr const char* kVersion3 =
    "ALTER TABLE shards ADD COLUMN failover TEXT NOT NULL DEFAULT 'manual'";

constexpr std::array kSteps = {kVersion1, kVersion2, kVersion3};
static_assert(kSteps.size() == SqliteStore::kSchemaVersion);

// The words of an enum that has ToString; "" is absent.
template <typename E, size_t N>
std::optional<E> Parse(const std::string& word, const std::array<E, N>& all) {
  for (const E one : all) {
    if (word == ToString(one)) return one;
  }
  return std::nullopt;
}
template <typename E>
std::string_view Word(const std::optional<E>& value) {
  return value.has_value() ? ToString(*value) : std::string_view();
}

constexpr std::array kFailoverModes = {routing::FailoverMode::kManual,
                                       routing::FailoverMode::kAutomatic,
                                       routing::FailoverMode::kAutomaticWithLoss};
constexpr std::array kPolicies = {routing::HoldPolicy::kHold, routing::HoldPolicy::kReject,
                                  routing::HoldPolicy::kReplica};
constexpr std::array kPoolings = {routing::Pooling::kTransaction, routing::Pooling::kSession};
constexpr std::array kFamilies = {routing::ServerFamily::kAuto, routing::ServerFamily::kMysql,
                                  routing::ServerFamily::kMariadb};
constexpr std::array kTlsModes = {routing::BackendTls::kDisabled, routing::BackendTls::kPreferred,
                                  routing::BackendTls::kRequired, routing::BackendTls::kVerify};
constexpr std::array kMarks = {routing::OperatorMark::kAuto, routing::OperatorMark::kUp,
                               routing::OperatorMark::kDown};
constexpr std::array kStates = {Operation::State::kRunning, Operation::State::kDone,
                                Operation::State::kFailed, Operation::State::kCancelled};
constexpr std::array kOrders = {std::pair(routing::GateOperator::kHold, "hold"),
                                std::pair(routing::GateOperator::kReject, "reject"),
                                std::pair(routing::GateOperator::kDrain, "drain"),
                                std::pair(routing::GateOperator::kServe, "serve")};

std::string_view WordOf(routing::GateOperator order) {
  for (const auto& [one, word] : kOrders) {
    if (one == order) return word;
  }
  return "hold";
}

template <typename T>
std::optional<int64_t> Count(const std::optional<T>& value) {
  if (!value.has_value()) return std::nullopt;
  return static_cast<int64_t>(*value);
}
std::optional<int64_t> Count(const std::optional<Duration>& value) {
  if (!value.has_value()) return std::nullopt;
  return value->count();
}
template <typename T>
std::optional<T> As(const std::optional<int64_t>& value) {
  if (!value.has_value()) return std::nullopt;
  return static_cast<T>(*value);
}

std::string_view KindOf(SliceName::Kind kind) {
  return kind == SliceName::Kind::kShard ? "shard" : "tenant";
}

// --- writing
class Writer {
 public:
  explicit Writer(sqlite3* db) : db_(db) {}

  absl::Status operator()(const PutBackend& put) {
    const routing::BackendSpec& spec = put.spec;
    SqliteQuery query(db_, "INSERT OR REPLACE INTO backends VALUES (?,?,?,?,?)");
    return query.Bind(spec.name)
        .Bind(spec.address.ToString())
        .Bind(ToString(spec.family))
        .Bind(Word(spec.tls))
        .Bind(Count(spec.max_connections))
        .Run();
  }
  absl::Status operator()(const EraseBackend& erase) {
    absl::Status status = Erase("DELETE FROM backends WHERE name = ?", erase.name);
    if (status.ok()) status = Erase("DELETE FROM backend_states WHERE name = ?", erase.name);
    if (status.ok()) status = Erase("DELETE FROM marks WHERE name = ?", erase.name);
    return status;
  }
  absl::Status operator()(const PutShard& put) {
    const routing::ShardSpec& spec = put.shard.spec;
    SqliteQuery query(db_, "INSERT OR REPLACE INTO shards VALUES (?,?,?,?,?,?,?,?,?,?,?)");
    return query.Bind(spec.name)
        .Bind(spec.primary)
        .Bind(absl::StrJoin(spec.replicas, ","))
        .Bind(Word(spec.hold.policy))
        .Bind(Count(spec.hold.max_wait))
        .Bind(Count(spec.hold.outage_limit))
        .Bind(Count(spec.hold.max_statements))
        .Bind(Count(spec.hold.max_bytes))
        .Bind(int64_t{spec.production})
        .Bind(static_cast<int64_t>(put.shard.epoch.value))
        .Bind(ToString(spec.failover))
        .Run();
  }
  absl::Status operator()(const EraseShard& erase) {
    absl::Status status = Erase("DELETE FROM shards WHERE name = ?", erase.name);
    if (status.ok())
      status = Erase("DELETE FROM orders WHERE kind = 'shard' AND name = ?", erase.name);
    return status;
  }
  absl::Status operator()(const PutTenant& put) {
    const routing::TenantSpec& spec = put.spec;
    SqliteQuery query(db_, "INSERT OR REPLACE INTO tenants VALUES (?,?,?,?,?)");
    return query.Bind(spec.name)
        .Bind(spec.shard)
        .Bind(Word(spec.pooling))
        .Bind(Word(spec.hold))
        .Bind(spec.physical_database)
        .Run();
  }
  absl::Status operator()(const EraseTenant& erase) {
    return Erase("DELETE FROM tenants WHERE name = ?", erase.name);
  }
  absl::Status operator()(const PutSlots& put) {
    absl::Status status = SqliteQuery::Execute(db_, "DELETE FROM slots");
    for (const StoredSlots& range : put.ranges) {
      if (!status.ok()) break;
      SqliteQuery query(db_, "INSERT INTO slots VALUES (?,?,?)");
      status = query.Bind(int64_t{range.first}).Bind(int64_t{range.last}).Bind(range.shard).Run();
    }
    return status;
  }
  absl::Status operator()(const PutUnassigned& put) {
    std::string text = "reject";
    if (std::holds_alternative<routing::UnassignedSlots>(put.unassigned)) text = "slots";
    if (const auto* shard = std::get_if<routing::UnassignedShard>(&put.unassigned))
      text = "shard:" + shard->shard;
    SqliteQuery query(db_, "INSERT OR REPLACE INTO meta VALUES ('unassigned', ?)");
    return query.Bind(text).Run();
  }
  absl::Status operator()(const PutVersion& put) {
    SqliteQuery query(db_, "INSERT OR REPLACE INTO meta VALUES ('version', ?)");
    return query.Bind(static_cast<int64_t>(put.version.value)).Run();
  }
  absl::Status operator()(const PutLimit& put) {
    if (!put.limit.has_value()) return Erase("DELETE FROM limits WHERE tenant = ?", put.tenant);
    SqliteQuery query(db_, "INSERT OR REPLACE INTO limits VALUES (?,?,?,?,?)");
    return query.Bind(put.tenant)
        .Bind(int64_t{put.limit->sessions})
        .Bind(int64_t{put.limit->running})
        .Bind(int64_t{put.limit->per_second})
        .Bind(int64_t{put.limit->burst})
        .Run();
  }
  absl::Status operator()(const PutOrder& put) {
    SqliteQuery query(db_, "INSERT OR REPLACE INTO orders VALUES (?,?,?,?,?)");
    return query.Bind(KindOf(put.order.slice.kind))
        .Bind(put.order.slice.name)
        .Bind(WordOf(put.order.order))
        .Bind(put.order.until_ms)
        .Bind(put.order.words)
        .Run();
  }
  absl::Status operator()(const EraseOrder& erase) {
    SqliteQuery query(db_, "DELETE FROM orders WHERE kind = ? AND name = ?");
    return query.Bind(KindOf(erase.slice.kind)).Bind(erase.slice.name).Run();
  }
  absl::Status operator()(const PutBackendState& put) {
    if (put.state.empty()) return Erase("DELETE FROM backend_states WHERE name = ?", put.backend);
    SqliteQuery query(db_, "INSERT OR REPLACE INTO backend_states VALUES (?,?)");
    return query.Bind(put.backend).Bind(put.state).Run();
  }
  absl::Status operator()(const PutMark& put) {
    if (put.mark == routing::OperatorMark::kAuto)
      return Erase("DELETE FROM marks WHERE name = ?", put.backend);
    SqliteQuery query(db_, "INSERT OR REPLACE INTO marks VALUES (?,?)");
    return query.Bind(put.backend).Bind(ToString(put.mark)).Run();
  }
  absl::Status operator()(const PutVariable& put) {
    if (put.value.empty()) {
      SqliteQuery erase(db_, "DELETE FROM variables WHERE name = ?");
      return erase.Bind(put.name).Run();
    }
    SqliteQuery query(db_, "INSERT OR REPLACE INTO variables VALUES (?,?)");
    return query.Bind(put.name).Bind(put.value).Run();
  }
  absl::Status operator()(const PutOperation& put) {
    const Operation& operation = put.operation.operation;
    SqliteQuery query(db_, "INSERT OR REPLACE INTO operations VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
    const absl::Status status = query.Bind(static_cast<int64_t>(operation.id))
                                    .Bind(operation.kind)
                                    .Bind(operation.object)
                                    .Bind(ToString(operation.state))
                                    .Bind(operation.step)
                                    .Bind(operation.detail)
                                    .Bind(operation.user)
                                    .Bind(operation.begun_ms)
                                    .Bind(operation.ended_ms)
                                    .Bind(put.operation.payload)
                                    .Bind(put.operation.owner)
                                    .Bind(put.operation.lease_until_ms)
                                    .Run();
    if (!status.ok()) return status;
    SqliteQuery prune(db_, "DELETE FROM operations WHERE state <> 'running' AND id <= ?");
    return prune.Bind(static_cast<int64_t>(operation.id) - SqliteStore::kKeptOperations).Run();
  }
  absl::Status operator()(const PutEvent& put) {
    SqliteQuery query(db_, "INSERT OR REPLACE INTO events VALUES (?,?,?,?,?)");
    const absl::Status status = query.Bind(static_cast<int64_t>(put.event.id))
                                    .Bind(put.event.at_ms)
                                    .Bind(put.event.kind)
                                    .Bind(put.event.object)
                                    .Bind(put.event.text)
                                    .Run();
    if (!status.ok()) return status;
    SqliteQuery prune(db_, "DELETE FROM events WHERE id <= ?");
    return prune.Bind(static_cast<int64_t>(put.event.id) - SqliteStore::kKeptEvents).Run();
  }
  absl::Status operator()(const PutIncident& put) {
    SqliteQuery query(db_, "INSERT OR REPLACE INTO incidents VALUES (?,?)");
    const absl::Status status = query.Bind(static_cast<int64_t>(put.id)).Bind(put.text).Run();
    if (!status.ok()) return status;
    SqliteQuery prune(db_, "DELETE FROM incidents WHERE id <= ?");
    return prune.Bind(static_cast<int64_t>(put.id) - SqliteStore::kKeptIncidents).Run();
  }
  absl::Status operator()(const PutAcknowledged& put) {
    SqliteQuery query(db_, "INSERT OR REPLACE INTO acknowledged VALUES (?,?)");
    return query.Bind(put.router).Bind(static_cast<int64_t>(put.version.value)).Run();
  }

 private:
  absl::Status Erase(std::string_view sql, const std::string& name) {
    SqliteQuery query(db_, sql);
    return query.Bind(name).Run();
  }

  sqlite3* const db_;
};

// --- reading
// A table's rows, one by one.
template <typename F>
absl::Status EachRow(sqlite3* db, std::string_view sql, F take) {
  SqliteQuery query(db, sql);
  while (query.Next()) take(query);
  return query.status();
}

absl::Status BadRow(std::string_view table, const std::string& name) {
  return absl::DataLossError(
      absl::StrCat("table ", std::string(table), " has a row that makes no sense: ", name));
}

absl::Status ReadMeta(sqlite3* db, StoredState* state) {
  return EachRow(db, "SELECT name, value FROM meta", [&](SqliteQuery& row) {
    const std::string name = row.Text();
    const std::string value = row.Text();
    if (name == "version") {
      (void)std::from_chars(value.data(), value.data() + value.size(), state->version.value);
    } else if (name == "unassigned") {
      if (value == "slots") state->unassigned = routing::UnassignedSlots{};
      if (value.starts_with("shard:"))
        state->unassigned = routing::UnassignedShard{value.substr(std::string("shard:").size())};
    }
  });
}

absl::Status ReadBackends(sqlite3* db, StoredState* state) {
  absl::Status bad;
  absl::Status status = EachRow(db, "SELECT * FROM backends", [&](SqliteQuery& row) {
    routing::BackendSpec spec;
    spec.name = row.Text();
    const absl::StatusOr<routing::Address> address = routing::ParseAddress(row.Text());
    const std::optional<routing::ServerFamily> family = Parse(row.Text(), kFamilies);
    spec.tls = Parse(row.Text(), kTlsModes);
    spec.max_connections = As<uint32_t>(row.MaybeNumber());
    if (!address.ok() || !family.has_value()) {
      bad = BadRow("backends", spec.name);
      return;
    }
    spec.address = *address;
    spec.family = *family;
    state->backends.push_back(std::move(spec));
  });
  status.Update(bad);
  return status;
}

absl::Status ReadShards(sqlite3* db, StoredState* state) {
  return EachRow(db, "SELECT * FROM shards", [&](SqliteQuery& row) {
    StoredShard shard;
    shard.spec.name = row.Text();
    shard.spec.primary = row.Text();
    const std::string replicas = row.Text();
    if (!replicas.empty()) shard.spec.replicas = absl::StrSplit(replicas, ',');
    shard.spec.hold.policy = Parse(row.Text(), kPolicies);
    if (const auto ns = row.MaybeNumber(); ns.has_value()) shard.spec.hold.max_wait = Duration(*ns);
    if (const auto ns = row.MaybeNumber(); ns.has_value())
      shard.spec.hold.outage_limit = Duration(*ns);
    shard.spec.hold.max_statements = As<uint32_t>(row.MaybeNumber());
    shard.spec.hold.max_bytes = As<uint64_t>(row.MaybeNumber());
    shard.spec.production = row.Number() != 0;
    shard.epoch.value = static_cast<uint64_t>(row.Number());
    shard.spec.failover =
        Parse(row.Text(), kFailoverModes).value_or(routing::FailoverMode::kManual);
    state->shards.push_back(std::move(shard));
  });
}

absl::Status ReadTenants(sqlite3* db, StoredState* state) {
  absl::Status status = EachRow(db, "SELECT * FROM tenants", [&](SqliteQuery& row) {
    routing::TenantSpec spec;
    spec.name = row.Text();
    spec.shard = row.Text();
    spec.pooling = Parse(row.Text(), kPoolings);
    spec.hold = Parse(row.Text(), kPolicies);
    spec.physical_database = row.Text();
    state->tenants.push_back(std::move(spec));
  });
  status.Update(EachRow(db, "SELECT * FROM slots ORDER BY first", [&](SqliteQuery& row) {
    const int64_t first = row.Number();
    const int64_t last = row.Number();
    state->slots.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(last), row.Text()});
  }));
  status.Update(EachRow(db, "SELECT * FROM limits", [&](SqliteQuery& row) {
    routing::TenantLimit& limit = state->limits[row.Text()];
    limit.sessions = static_cast<uint32_t>(row.Number());
    limit.running = static_cast<uint32_t>(row.Number());
    limit.per_second = static_cast<uint32_t>(row.Number());
    limit.burst = static_cast<uint32_t>(row.Number());
  }));
  return status;
}

absl::Status ReadOrders(sqlite3* db, StoredState* state) {
  absl::Status status = EachRow(db, "SELECT * FROM orders", [&](SqliteQuery& row) {
    StoredOrder order;
    order.slice.kind = row.Text() == "shard" ? SliceName::Kind::kShard : SliceName::Kind::kTenant;
    order.slice.name = row.Text();
    const std::string word = row.Text();
    for (const auto& [one, known] : kOrders) {
      if (word == known) order.order = one;
    }
    order.until_ms = row.Number();
    order.words = row.Text();
    state->orders.push_back(std::move(order));
  });
  status.Update(EachRow(db, "SELECT * FROM backend_states", [&](SqliteQuery& row) {
    std::string name = row.Text();
    state->backend_states[std::move(name)] = row.Text();
  }));
  status.Update(EachRow(db, "SELECT * FROM marks", [&](SqliteQuery& row) {
    std::string name = row.Text();
    state->marks[std::move(name)] =
        Parse(row.Text(), kMarks).value_or(routing::OperatorMark::kAuto);
  }));
  status.Update(EachRow(db, "SELECT * FROM variables", [&](SqliteQuery& row) {
    std::string name = row.Text();
    state->variables[std::move(name)] = row.Text();
  }));
  return status;
}

absl::Status ReadHistory(sqlite3* db, StoredState* state) {
  absl::Status status = EachRow(db, "SELECT * FROM operations ORDER BY id", [&](SqliteQuery& row) {
    StoredOperation stored;
    Operation& operation = stored.operation;
    operation.id = static_cast<uint64_t>(row.Number());
    operation.kind = row.Text();
    operation.object = row.Text();
    operation.state = Parse(row.Text(), kStates).value_or(Operation::State::kFailed);
    operation.step = row.Text();
    operation.detail = row.Text();
    operation.user = row.Text();
    operation.begun_ms = row.Number();
    operation.ended_ms = row.Number();
    stored.payload = row.Text();
    stored.owner = row.Text();
    stored.lease_until_ms = row.Number();
    state->operations.push_back(std::move(stored));
  });
  status.Update(EachRow(db, "SELECT * FROM events ORDER BY id", [&](SqliteQuery& row) {
    Event event;
    event.id = static_cast<uint64_t>(row.Number());
    event.at_ms = row.Number();
    event.kind = row.Text();
    event.object = row.Text();
    event.text = row.Text();
    state->events.push_back(std::move(event));
  }));
  status.Update(EachRow(db, "SELECT text FROM incidents ORDER BY id",
                        [&](SqliteQuery& row) { state->incidents.push_back(row.Text()); }));
  return status;
}

}  // namespace

std::span<const char* const> SchemaSteps() { return kSteps; }

absl::Status ApplyEdit(sqlite3* db, const StoreEdit& edit) { return std::visit(Writer(db), edit); }

absl::Status ReadRows(sqlite3* db, StoredState* state) {
  absl::Status status = ReadMeta(db, state);
  status.Update(ReadBackends(db, state));
  status.Update(ReadShards(db, state));
  status.Update(ReadTenants(db, state));
  status.Update(ReadOrders(db, state));
  status.Update(ReadHistory(db, state));
  return status;
}

}  // namespace bulkhead::control
