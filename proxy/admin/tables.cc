#include "proxy/admin/tables.h"

#include <algorithm>
#include <array>
#include <utility>

namespace bulkhead::admin {

namespace {

template <typename Row>
struct ColumnOf {
  Column column;
  Value (*get)(const Row&, const LiveState&);
};

template <typename Number>
Value MaybeNumber(const std::optional<Number>& number) {
  if (!number.has_value()) return std::monostate();
  return *number;
}
Value MaybeText(const std::string& text) {
  if (text.empty()) return std::monostate();
  return text;
}
Value Seconds(uint64_t ns) {
  if (ns == 0) return std::monostate();
  return static_cast<double>(ns / 1'000'000) / 1000;
}
Value ShardName(routing::ShardId id, const LiveState& state) {
  const routing::Shard* shard = id.valid() ? state.topology->shard(id) : nullptr;
  if (shard == nullptr) return std::monostate();
  return shard->name;
}
Value BackendName(routing::BackendId id, const LiveState& state) {
  const routing::Backend* backend = id.valid() ? state.topology->backend(id) : nullptr;
  if (backend == nullptr) return std::monostate();
  return backend->name;
}

// A column that shows a member as it is.
#define PLAIN(member) [](const auto& row, const LiveState&) -> Value { return row.member; }
#define TEXT(member) \
  [](const auto& row, const LiveState&) -> Value { return MaybeText(row.member); }
#define MAYBE(member) \
  [](const auto& row, const LiveState&) -> Value { return MaybeNumber(row.member); }
#define NUMBER(member) \
  [](const auto& row, const LiveState&) -> Value { return static_cast<int64_t>(row.member); }

constexpr ColumnKind kText = ColumnKind::kText;
constexpr ColumnKind kNumber = ColumnKind::kNumber;
constexpr ColumnKind kReal = ColumnKind::kReal;

const std::vector<ColumnOf<ShardRow>> kShards = {
    {{"name", kText, true, "the shard"}, PLAIN(name)},
    {{"state", kText, true,
      "serving, held, rejected, writes held, writes rejected, shedding, releasing"},
     PLAIN(state)},
    {{"primary_backend", kText, true, "where its writes go"}, PLAIN(primary)},
    {{"replicas", kText, true, "backends, separated by commas"}, TEXT(replicas)},
    {{"epoch", kNumber, true, "raised with each change of the primary"}, PLAIN(epoch)},
    {{"held", kNumber, true, "statements that wait now"}, PLAIN(held)},
    {{"why", kText, true, "why it does not plainly serve", 40}, TEXT(why)},
    {{"reads_from", kText, false, "the replica that plain reads may go to now"}, TEXT(reads_from)},
    {{"held_reads", kNumber, false, "of held"}, PLAIN(held_reads)},
    {{"held_writes", kNumber, false, "of held"}, PLAIN(held_writes)},
    {{"held_bytes", kNumber, false, "of the statements that wait"}, PLAIN(held_bytes)},
    {{"slots", kNumber, false, "slots of tenants without an entry"}, PLAIN(slots)},
    {{"policy", kText, false, "its own hold policy; NULL: the configuration's"}, TEXT(policy)},
    {{"max_wait", kReal, false, "seconds; NULL: the configuration's"}, MAYBE(max_wait)},
    {{"outage_limit", kReal, false, "seconds; NULL: the configuration's"}, MAYBE(outage_limit)},
    {{"max_statements", kNumber, false, "NULL: the configuration's"}, MAYBE(max_statements)},
    {{"max_bytes", kNumber, false, "NULL: the configuration's"}, MAYBE(max_bytes)},
    {{"failover", kText, false, "manual, automatic, automatic_with_loss"}, PLAIN(failover)},
};

const std::vector<ColumnOf<BackendRow>> kBackends = {
    {{"name", kText, true, "the backend"}, PLAIN(name)},
    {{"address", kText, true, "host:port"}, PLAIN(address)},
    {{"state", kText, true,
      "unknown, up, suspect, down, recovering, fenced, read_only, write_stalled, saturated"},
     PLAIN(state)},
    {{"since", kReal, true, "seconds in this state"}, PLAIN(since)},
    {{"held", kNumber, true, "statements that wait for its shards"}, PLAIN(held)},
    {{"primary_of", kText, true, "shards, separated by commas"}, TEXT(primary_of)},
    {{"why", kText, true, "the evidence, where it is not up", 40}, TEXT(why)},
    {{"replica_of", kText, false, "shards, separated by commas"}, TEXT(replica_of)},
    {{"silent", kReal, false, "seconds since its last sign of life"}, MAYBE(silent)},
    {{"operator_order", kText, false, "what an operator has ordered, if anything"}, TEXT(order)},
    {{"given_up", kNumber, false, "connections that were reset under a statement, ever"},
     PLAIN(given_up)},
    {{"abandoned", kNumber, false, "of them, not seen gone from the server yet"}, PLAIN(abandoned)},
    {{"probes_ok", kNumber, false, "since the start"}, PLAIN(probes_ok)},
    {{"probes_failed", kNumber, false, "since the start"}, PLAIN(probes_failed)},
    {{"family", kText, false, "auto, mysql, mariadb"}, PLAIN(family)},
    {{"tls", kText, false, "its own mode; NULL: the configuration's"}, TEXT(tls)},
    {{"max_connections", kNumber, false, "its own; NULL: the configuration's"},
     MAYBE(max_connections)},
};

const std::vector<ColumnOf<ReplicaRow>> kReplicas = {
    {{"shard", kText, true, "the shard"}, PLAIN(shard)},
    {{"backend", kText, true, "the replica"}, PLAIN(backend)},
    {{"state", kText, true, "of the replica, as in backends"}, PLAIN(state)},
    {{"primary_backend", kText, true, "the shard's primary"}, PLAIN(primary)},
    {{"primary_state", kText, true, "of the primary"}, PLAIN(primary_state)},
    {{"why", kText, true, "the evidence, where the replica is not up", 40}, TEXT(why)},
};

const std::vector<ColumnOf<io::SessionRow>> kSessions = {
    {{"id", kNumber, true, "the client's connection id, for KILL SESSION"}, NUMBER(id)},
    {{"user", kText, true, "as the client gave it"}, PLAIN(user)},
    {{"address", kText, true, "the client's"}, PLAIN(address)},
    {{"tenant", kText, true, "NULL: none yet"}, TEXT(tenant)},
    {{"shard", kText, true, "of the last statement"},
     [](const io::SessionRow& row, const LiveState& state) { return ShardName(row.shard, state); }},
    {{"state", kText, true, "login, idle, held (at a gate), waiting (for a connection), running"},
     PLAIN(state)},
    {{"running", kReal, true, "seconds since its statement came"},
     [](const io::SessionRow& row, const LiveState&) { return Seconds(row.running_ns); }},
    {{"idle", kReal, true, "seconds since its client sent something"},
     [](const io::SessionRow& row, const LiveState&) { return Seconds(row.idle_ns); }},
    {{"pin", kText, true, "why it keeps its connection: docs/PROTOCOL.md has the words"},
     TEXT(pins)},
    {{"statement", kText, false, "what runs or waits, without its literals"}, TEXT(statement)},
    {{"backend", kText, false, "of the connection it uses or keeps"},
     [](const io::SessionRow& row, const LiveState& state) {
       return BackendName(row.backend, state);
     }},
    {{"backend_connection", kNumber, false, "the backend's id of that connection"},
     [](const io::SessionRow& row, const LiveState&) -> Value {
       if (row.backend_connection == 0) return std::monostate();
       return static_cast<int64_t>(row.backend_connection);
     }},
    {{"database_name", kText, false, "the current one, as the client named it"}, TEXT(schema)},
    {{"tls", kNumber, false, "1: the client's connection is encrypted"}, NUMBER(tls)},
    {{"worker", kNumber, false, "the thread"}, NUMBER(worker)},
};

const std::vector<ColumnOf<HoldRow>> kHolds = {
    {{"shard", kText, true, "the shard; NULL: it is a tenant's own gate"}, TEXT(shard)},
    {{"tenant", kText, true, "whom an operator holds, rejects or moves; NULL: all of the shard"},
     TEXT(tenant)},
    {{"kind", kText, true, "read or write"}, PLAIN(kind)},
    {{"held", kNumber, true, "statements that wait now"}, PLAIN(held)},
    {{"state", kText, false, "of the gate, as in shards"}, PLAIN(state)},
    {{"why", kText, true, "why they wait", 32}, TEXT(why)},
    {{"enqueued", kNumber, true, "ever = released + refused + cancelled + held"}, PLAIN(enqueued)},
    {{"released", kNumber, true, "let through, ever"}, PLAIN(released)},
    {{"refused", kNumber, true, "answered 9401 to 9404, ever"}, PLAIN(refused)},
    {{"cancelled", kNumber, true, "whose client left or was killed, ever"}, PLAIN(cancelled)},
};

const std::vector<ColumnOf<UnknownRow>> kUnknown = {
    {{"time", kText, true, "when it was sent, UTC"}, PLAIN(time)},
    {{"tenant", kText, true, "whose"}, TEXT(tenant)},
    {{"shard", kText, true, "which slice"}, TEXT(shard)},
    {{"backend", kText, true, "which server"}, TEXT(backend)},
    {{"backend_connection", kNumber, true, "the server's id of the connection"}, PLAIN(connection)},
    {{"session", kNumber, true, "the client's connection id"}, PLAIN(session)},
    {{"digest", kText, true, "the statement without its literals", 32}, TEXT(digest)},
};

const std::vector<ColumnOf<OperationRow>> kOperations = {
    {{"id", kNumber, true, "for CANCEL OPERATION"}, PLAIN(id)},
    {{"kind", kText, true, "drain, assign, switchover, failover, drill"}, PLAIN(kind)},
    {{"object", kText, true, "what it is about"}, PLAIN(object)},
    {{"state", kText, true, "running, done, failed, cancelled"}, PLAIN(state)},
    {{"step", kText, true, "what it does, or did last", 48}, TEXT(step)},
    {{"begun", kText, true, "UTC"}, PLAIN(begun)},
    {{"ended", kText, false, "UTC; NULL: not yet"}, TEXT(ended)},
    {{"detail", kText, false, "how it ended"}, TEXT(detail)},
    {{"user", kText, false, "who asked for it"}, TEXT(user)},
};

const std::vector<ColumnOf<EventRow>> kEvents = {
    {{"id", kNumber, true, "in their order"}, PLAIN(id)},
    {{"time", kText, true, "UTC"}, PLAIN(time)},
    {{"kind", kText, true, "backend, shard, tenant, operator, operation, topology"}, PLAIN(kind)},
    {{"object", kText, true, "what it is about", 20}, TEXT(object)},
    {{"text", kText, true, "what happened", 46}, PLAIN(text)},
};

const std::vector<ColumnOf<io::PoolRow>> kPools = {
    {{"backend", kText, true, "the server"},
     [](const io::PoolRow& row, const LiveState& state) {
       return BackendName(row.backend, state);
     }},
    {{"user", kText, true, "the account on the server"}, PLAIN(user)},
    {{"worker", kNumber, true, "the thread that owns them"}, NUMBER(worker)},
    {{"connections", kNumber, true, "all of them"}, NUMBER(connections)},
    {{"free", kNumber, true, "idle, nobody's"}, NUMBER(free)},
    {{"kept", kNumber, true, "idle, its last session's while nobody else wants it"}, NUMBER(kept)},
    {{"lent", kNumber, true, "a session uses it"}, NUMBER(lent)},
    {{"busy", kNumber, true, "the router itself uses it: reset, ping, diagnostics"}, NUMBER(busy)},
    {{"opening", kNumber, true, "being opened"}, NUMBER(opening)},
};

const std::vector<ColumnOf<VariableRow>> kVariables = {
    {{"variable_name", kText, true, "a key of docs/CONFIGURATION.md, or one of MySQL's"},
     PLAIN(name)},
    {{"value", kText, true, "as one would write it"}, PLAIN(value)},
    {{"source", kText, true,
      "default, file, SET; client: MySQL's, only there for clients that ask"},
     PLAIN(source)},
};

const std::vector<ColumnOf<StatusRow>> kStatus = {
    {{"variable_name", kText, true, "a metric of /metrics with its labels, or one of MySQL's"},
     PLAIN(name)},
    {{"value", kText, true, "now"}, PLAIN(value)},
};

#undef PLAIN
#undef TEXT
#undef MAYBE
#undef NUMBER

template <typename Row>
class PlainRows final : public Rows {
 public:
  PlainRows(const LiveState& state, const std::vector<Row>& rows,
            const std::vector<ColumnOf<Row>>& columns)
      : state_(state), rows_(rows), columns_(columns) {}
  [[nodiscard]] size_t size() const override { return rows_.size(); }
  [[nodiscard]] Value Cell(size_t row, size_t column) const override {
    return columns_[column].get(rows_[row], state_);
  }

 private:
  const LiveState& state_;
  const std::vector<Row>& rows_;
  const std::vector<ColumnOf<Row>>& columns_;
};

template <typename Row>
Table MakeTable(std::string_view name, std::string_view help, std::vector<Row> LiveState::*member,
                const std::vector<ColumnOf<Row>>* columns) {
  Table table{.name = name, .help = help, .columns = {}, .open = {}};
  for (const ColumnOf<Row>& column : *columns) table.columns.push_back(column.column);
  table.open = [member, columns](const LiveState& state, const std::optional<std::string>&) {
    return std::make_unique<PlainRows<Row>>(state, state.*member, *columns);
  };
  return table;
}

}  // namespace

Table TenantsTable();  // tenant_rows.cc

std::span<const Table> TableList() {
  static const auto* const tables = new std::vector<Table>{
      MakeTable("shards", "Slices of tenants.", &LiveState::shards, &kShards),
      MakeTable("backends", "Servers.", &LiveState::backends, &kBackends),
      MakeTable("replicas", "Which backends are whose replicas.", &LiveState::replicas, &kReplicas),
      TenantsTable(),
      MakeTable("sessions", "Clients.", &LiveState::sessions, &kSessions),
      MakeTable("holds", "What waits at the shards' gates, and has waited.", &LiveState::holds,
                &kHolds),
      MakeTable("unknown", "Statements whose outcome is not known.", &LiveState::unknown,
                &kUnknown),
      MakeTable("operations", "What operators have begun that takes its time.",
                &LiveState::operations, &kOperations),
      MakeTable("events", "What happened lately.", &LiveState::events, &kEvents),
      MakeTable("pools", "Connections to backends.", &LiveState::pools, &kPools),
      MakeTable("variables", "The configuration.", &LiveState::variables, &kVariables),
      MakeTable("status", "Counters and gauges.", &LiveState::status, &kStatus),
  };
  return *tables;
}

const Table* FindTable(std::string_view name) {
  for (const Table& table : TableList()) {
    if (table.name == name) return &table;
  }
  return nullptr;
}

const std::vector<std::string_view>& TableNames() {
  static const auto* const names = [] {
    auto* all = new std::vector<std::string_view>();
    for (const Table& table : TableList()) all->push_back(table.name);
    return all;
  }();
  return *names;
}

std::string ShowColumns(const Table& table, bool full) {
  std::string columns;
  for (const Column& column : table.columns) {
    if (!column.shown) continue;
    if (!columns.empty()) columns += ", ";
    const std::string name(column.name);
    if (full || column.most_shown == 0) {
      columns += name;
      continue;
    }
    const std::string most = std::to_string(column.most_shown);
    columns += "iif(length(" + name + ") > " + most + ", substr(" + name + ", 1, " + most +
               " - 1) || '…', " + name + ") AS " + name;
  }
  return columns;
}

std::string TableTable() {
  std::string text;
  for (const Table& table : TableList()) {
    text += "`" + std::string(table.name) + "`: " + std::string(table.help) + "\n\n";
    text += "| column | shown | what |\n|---|---|---|\n";
    for (const Column& column : table.columns) {
      text += "| `" + std::string(column.name) + "` | " + (column.shown ? "yes" : "") + " | " +
              std::string(column.help) + " |\n";
    }
    text += "\n";
  }
  return text;
}

}  // namespace bulkhead::admin
