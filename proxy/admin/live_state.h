// What the tables show: plain rows, taken at one moment.
//
// Purpose: between whoever knows the state (StateSource) and SQL (tables.h). Only what a query
// names is collected.
// Threads: values. Units: seconds, bytes; times of day in UTC.
// Limits: of sessions at most kMostSessions rows; more are counted and said in a warning.
#ifndef BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_
#define BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/session_list.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::admin {

inline constexpr size_t kMostSessions = 50'000;

struct ShardRow {
  std::string name{}, state{}, primary{}, replicas{}, why{}, policy{};
  int64_t epoch = 0, slots = 0;
  int64_t held = 0, held_reads = 0, held_writes = 0, held_bytes = 0;
  std::optional<double> max_wait{}, outage_limit{};
  std::optional<int64_t> max_statements{}, max_bytes{};
};
struct BackendRow {
  std::string name{}, address{}, state{}, primary_of{}, replica_of{}, order{}, why{}, family{},
      tls{};
  double since = 0;
  std::optional<double> silent{};
  int64_t held = 0, given_up = 0, abandoned = 0, probes_ok = 0, probes_failed = 0;
  std::optional<int64_t> max_connections{};
};
struct ReplicaRow {
  std::string shard{}, backend{}, primary{}, state{}, primary_state{}, why{};
};
struct HoldRow {
  std::string shard{}, kind{}, why{};
  int64_t held = 0, enqueued = 0, released = 0, refused = 0, cancelled = 0;
};
struct UnknownRow {
  std::string time{}, tenant{}, shard{}, backend{}, digest{};
  int64_t connection = 0, session = 0;
};
struct OperationRow {
  int64_t id = 0;
  std::string kind{}, object{}, state{}, step{}, detail{}, user{}, begun{}, ended{};
};
struct EventRow {
  int64_t id = 0;
  std::string time{}, kind{}, object{}, text{};
};
struct VariableRow {
  std::string name{}, value{}, source{};
};
struct StatusRow {
  std::string name{}, value{};
};

struct LiveState {
  std::shared_ptr<const routing::Topology> topology;  // never null
  std::vector<ShardRow> shards{};
  std::vector<BackendRow> backends{};
  std::vector<ReplicaRow> replicas{};
  std::vector<HoldRow> holds{};
  std::vector<UnknownRow> unknown{};
  std::vector<OperationRow> operations{};
  std::vector<EventRow> events{};
  std::vector<VariableRow> variables{};
  std::vector<StatusRow> status{};
  std::vector<io::SessionRow> sessions{};
  std::vector<io::PoolRow> pools{};
  // Of a tenant, asked row by row: there may be a million. May be empty.
  const routing::TenantLimits* limits = nullptr;
  std::vector<std::string> warnings{};  // what is missing, in words
};

using TableSet = std::set<std::string, std::less<>>;

class StateSource {
 public:
  virtual ~StateSource() = default;
  // `done` on any thread, within a second or so whatever hangs; exactly once.
  virtual void Collect(const TableSet& tables,
                       std::function<void(std::shared_ptr<const LiveState>)> done) = 0;
  [[nodiscard]] virtual std::shared_ptr<const routing::Topology> Snapshot() = 0;
  // "serving", or why statements of the shard wait or are refused now.
  [[nodiscard]] virtual std::string ShardWords(const std::string& shard) = 0;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_
