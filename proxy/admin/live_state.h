// What the tables show: plain rows, taken at one moment.
//
// Purpose: between whoever knows the state (StateSource) and SQL (tables.h). Only what a query
// names is collected. The rows of the fleet are control's (fleet_rows.h): the status page shows
// them too.
// Threads: values. Units: seconds, bytes; times of day in UTC.
#ifndef BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_
#define BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/options.h"
#include "proxy/control/fleet_rows.h"
#include "proxy/io/session_list.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::admin {

using control::BackendRow;
using control::EventRow;
using control::HoldRow;
using control::OperationRow;
using control::ReplicaRow;
using control::ShardRow;
using control::UnknownRow;

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
  // Blocks, about a second at most whatever hangs: not on an event loop. Any thread, several at
  // once.
  [[nodiscard]] virtual std::shared_ptr<const LiveState> Collect(const TableSet& tables) = 0;
  // The configuration of now. Any thread.
  [[nodiscard]] virtual std::shared_ptr<const config::Options> Options() = 0;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_LIVE_STATE_H_
