// The gates of all shards: takes what workers ask, and tells them what was decided.
//
// Purpose: carries routing::ShardGate's actions to the workers, and its notices to the GateBoard;
// counts how long was waited.
// One for the process, so that the order and the limits of held statements are the process's.
// Thread: the control loop's.
#ifndef BULKHEAD_PROXY_CONTROL_GATE_DESK_H_
#define BULKHEAD_PROXY_CONTROL_GATE_DESK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "metrics/worker_metrics.h"
#include "proxy/config/options.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/worker.h"
#include "routing/gate_board.h"
#include "routing/shard_gate.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::control {

class GateDesk {
 public:
  // New connections to this backend from now on, a second; 0: no limit.
  using SetPace = std::function<void(routing::BackendId, double)>;
  // What a gate says to workers has changed.
  using Noticed = std::function<void(const routing::ShardGate&)>;

  // `workers`, `board` and `metrics` outlive this; the last two parameters may be left out.
  GateDesk(const config::Hold& hold, uint32_t max_connections,
           const std::vector<io::Worker*>* workers, routing::GateBoard* board,
           routing::TenantLimits* limits, SetPace set_pace,
           metrics::ControlMetrics* metrics = nullptr, Noticed noticed = {});

  // The configuration's rules for all gates from now on.
  void SetDefaults(const config::Hold& hold, uint32_t max_connections,
                   const routing::Topology& topology, routing::MonoTime now);
  // Makes gates for shards that have none, and drops those of shards that are gone.
  void SetTopology(const routing::Topology& topology, routing::MonoTime now);
  // Of the primary of these shards.
  void SetHealth(routing::BackendId primary, const routing::GateHealth& health,
                 routing::MonoTime now);
  // Where plain reads of this shard may go; invalid id: nowhere.
  void SetReplica(routing::ShardId shard, routing::BackendId replica, routing::MonoTime now);

  // An operator's order for a shard, or for a tenant wherever its data is. kNone: none any more.
  void SetOrder(routing::ShardId shard, const routing::GateOrder& order, routing::MonoTime now);
  void SetTenantOrder(const std::string& tenant, const routing::GateOrder& order,
                      routing::MonoTime now);
  // Told of each order before it is carried out; shard invalid: the tenant's.
  using OrderListener = std::function<void(routing::ShardId shard, const std::string& tenant,
                                           const routing::GateOrder& order)>;
  void set_order_listener(OrderListener listener) { order_listener_ = std::move(listener); }
  // A drill: this shard's gate goes by `health` and not by its backend's; absent: no drill any
  // more.
  void SetDrill(routing::ShardId shard, const std::optional<routing::GateHealth>& health,
                routing::MonoTime now);
  // nullptr: there is none.
  [[nodiscard]] const routing::ShardGate* gate(routing::ShardId shard) const;
  [[nodiscard]] const routing::ShardGate* tenant_gate(const std::string& tenant) const;

  void Enqueue(const io::HeldStatement& statement, routing::MonoTime now);
  void Cancel(routing::ShardId shard, uint64_t ticket, routing::MonoTime now);
  void Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok,
                routing::MonoTime now);
  void Tick(routing::MonoTime now);

  // Calls f(const routing::ShardGate&) for each.
  template <typename F>
  void ForEach(F f) const {
    for (const auto& [id, gate] : gates_) f(*gate);
  }
  template <typename F>
  void ForEachTenant(F f) const {
    for (const auto& [name, held] : tenants_) f(*held.gate);
  }
  [[nodiscard]] const routing::HoldTotals& totals() const { return totals_; }

 private:
  // A tenant under an order: what it sends waits here first, and then goes on to its shard's gate.
  struct HeldTenant {
    std::unique_ptr<routing::ShardGate> gate;
    absl::flat_hash_map<uint64_t, io::HeldStatement> waiting;  // by ticket
  };
  void EnqueueAtShard(const io::HeldStatement& statement, routing::MonoTime now);
  void CarryTenant(const std::string& tenant, routing::MonoTime now);
  void TellWorkers();
  void CountHolds(routing::ShardId shard);
  void Carry(routing::ShardGate* gate);
  void PaceConnects(routing::BackendId primary);
  [[nodiscard]] routing::ShardGate* Find(routing::ShardId shard);

  routing::GateRules defaults_;
  const std::vector<io::Worker*>* const workers_;
  routing::GateBoard* const board_;
  const SetPace set_pace_;
  metrics::ControlMetrics* const metrics_;
  const Noticed noticed_;
  OrderListener order_listener_;
  routing::HoldTotals totals_;
  absl::flat_hash_map<routing::ShardId, std::unique_ptr<routing::ShardGate>> gates_;
  absl::flat_hash_map<routing::ShardId, routing::BackendId> primaries_;
  absl::flat_hash_map<routing::BackendId, routing::GateHealth> healths_;  // as last told
  absl::flat_hash_set<routing::ShardId> drills_;
  absl::flat_hash_map<routing::ShardId, uint64_t> published_;
  absl::flat_hash_map<routing::ShardId, bool> serves_;
  routing::TenantLimits* const limits_;
  std::map<std::string, HeldTenant> tenants_;
  absl::flat_hash_map<uint64_t, std::string> at_tenant_;  // ticket to tenant
  routing::ShardGate::Actions actions_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_GATE_DESK_H_
