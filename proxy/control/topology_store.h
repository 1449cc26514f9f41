// TopologyStore: what must survive the process: topology, limits, operators' orders, operations,
// events, incidents.
//
// Purpose: an interface, so that another store (one that several routers share) can take the place
// of the embedded one (sqlite_store.h). A change is a list of edits, committed whole or not at all,
// under a revision: Commit succeeds only on the revision that its caller has seen (compare and
// swap). Each edit says what is to be true afterwards, so that an edit that is applied twice does
// no harm.
// What a shared store adds: OnChange is called for revisions of others, an operation has one owner
// until its lease ends (StoredOperation::owner, lease_until_ms), and routers acknowledge epochs
// (PutAcknowledged). The embedded store has one process, so these only have to be kept.
// Threads: one; blocking (store_thread.h runs it apart). Units: wall-clock milliseconds since 1970.
// Errors: kAborted: another revision is there; kUnavailable: another process has the store;
// kDataLoss, kFailedPrecondition: it can't be used, with the way out; nothing was changed.
#ifndef BULKHEAD_PROXY_CONTROL_TOPOLOGY_STORE_H_
#define BULKHEAD_PROXY_CONTROL_TOPOLOGY_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proxy/control/event_log.h"
#include "proxy/control/operator_commands.h"
#include "routing/health_types.h"
#include "routing/shard_gate.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::control {

struct StoredShard {
  routing::ShardSpec spec;
  routing::Epoch epoch;
};

// Operators' orders for a shard or a tenant.
struct StoredOrder {
  SliceName slice;
  routing::GateOperator order = routing::GateOperator::kHold;
  int64_t until_ms = 0;  // 0: until it is released
  std::string words;
};

// Slots first..last belong to a shard.
struct StoredSlots {
  uint16_t first = 0;
  uint16_t last = 0;
  std::string shard;
  friend bool operator==(const StoredSlots&, const StoredSlots&) = default;
};

struct StoredOperation {
  Operation operation;
  std::string payload;  // of its kind's own: what is needed to go on with it
  std::string owner;    // router id; empty: nobody's
  int64_t lease_until_ms = 0;
};

// --- edits: what is to be true
struct PutBackend {
  routing::BackendSpec spec;
};
struct EraseBackend {
  std::string name;
};
struct PutShard {
  StoredShard shard;
};
struct EraseShard {
  std::string name;
};
struct PutTenant {
  routing::TenantSpec spec;
};
struct EraseTenant {
  std::string name;
};
// All of them; what is in no range belongs to nobody.
struct PutSlots {
  std::vector<StoredSlots> ranges;
};
struct PutUnassigned {
  routing::Unassigned unassigned;
};
struct PutVersion {
  routing::Epoch version;  // of the topology
};
struct PutLimit {
  std::string tenant;
  std::optional<routing::TenantLimit> limit;  // absent: none of its own
};
struct PutOrder {
  StoredOrder order;
};
struct EraseOrder {
  SliceName slice;
};
struct PutBackendState {
  std::string backend;
  std::string state;  // "drained", "disabled"; empty: none
};
struct PutMark {
  std::string backend;
  routing::OperatorMark mark = routing::OperatorMark::kAuto;
};
struct PutVariable {
  std::string name;
  std::string value;  // empty: none
};
struct PutOperation {
  StoredOperation operation;
};
struct PutEvent {
  Event event;
};
struct PutIncident {
  uint64_t id = 0;
  std::string text;  // incident_json.h
};
struct PutAcknowledged {
  std::string router;
  routing::Epoch version;
};

using StoreEdit =
    std::variant<PutBackend, EraseBackend, PutShard, EraseShard, PutTenant, EraseTenant, PutSlots,
                 PutUnassigned, PutVersion, PutLimit, PutOrder, EraseOrder, PutBackendState,
                 PutMark, PutVariable, PutOperation, PutEvent, PutIncident, PutAcknowledged>;

// All of it.
struct StoredState {
  uint64_t revision = 0;  // 0: nothing was ever committed
  routing::Epoch version;
  std::vector<routing::BackendSpec> backends;
  std::vector<StoredShard> shards;
  std::vector<routing::TenantSpec> tenants;
  std::vector<StoredSlots> slots;
  routing::Unassigned unassigned;
  std::map<std::string, routing::TenantLimit> limits;
  std::vector<StoredOrder> orders;
  std::map<std::string, std::string> backend_states;
  std::map<std::string, routing::OperatorMark> marks;
  std::map<std::string, std::string> variables;
  std::vector<StoredOperation> operations;  // by number
  std::vector<Event> events;                // oldest first
  std::vector<std::string> incidents;       // oldest first, as they were put
};

class TopologyStore {
 public:
  virtual ~TopologyStore() = default;
  [[nodiscard]] virtual absl::StatusOr<StoredState> Load() = 0;
  // The new revision.
  [[nodiscard]] virtual absl::StatusOr<uint64_t> Commit(uint64_t seen_revision,
                                                        const std::vector<StoreEdit>& edits) = 0;
  // Calls back for revisions that somebody else committed. The embedded store has nobody else.
  virtual void OnChange(std::function<void(uint64_t revision)> changed) = 0;
};

// The stored topology as a snapshot; versions and epochs go on where they were.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const routing::Topology>> BuildTopology(
    const StoredState& state);

// What makes a store of `before` one of `after`. `tenants`: the names whose entries may differ;
// absent: all are compared, which takes as long as there are tenants.
[[nodiscard]] std::vector<StoreEdit> EditsBetween(
    const routing::Topology& before, const routing::Topology& after,
    const std::optional<std::vector<std::string>>& tenants);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_TOPOLOGY_STORE_H_
