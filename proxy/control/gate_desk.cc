#include "proxy/control/gate_desk.h"

#include <utility>

#include "proxy/log/log.h"

namespace bulkhead::control {

namespace {

routing::GateRules RulesOf(const config::Hold& hold, uint32_t max_connections) {
  routing::GateRules rules;
  rules.policy = hold.policy;
  rules.max_wait = hold.max_wait;
  rules.outage_limit = hold.outage_limit;
  rules.max_statements = hold.max_statements;
  rules.max_bytes = hold.max_bytes;
  rules.ramp.initial = hold.ramp_start;
  rules.ramp.connects_per_second = static_cast<double>(hold.ramp_connects);
  rules.ramp.limit = std::min(hold.ramp_limit, max_connections);
  return rules;
}

routing::GateRequest RequestOf(const io::HeldStatement& statement) {
  return {.waiter = statement.ticket,
          .worker = statement.worker,
          .tenant = statement.tenant,
          .bytes = statement.bytes,
          .is_read = statement.is_read,
          .continues_transaction = statement.continues_transaction,
          .plain_read = statement.plain_read,
          .policy = statement.policy,
          .since = routing::MonoTimeFromNanos(static_cast<int64_t>(statement.since_ns))};
}

}  // namespace

GateDesk::GateDesk(const config::Hold& hold, uint32_t max_connections,
                   const std::vector<io::Worker*>* workers, routing::GateBoard* board,
                   routing::TenantLimits* limits, SetPace set_pace,
                   metrics::ControlMetrics* metrics, Noticed noticed)
    : defaults_(RulesOf(hold, max_connections)),
      workers_(workers),
      board_(board),
      set_pace_(std::move(set_pace)),
      metrics_(metrics),
      noticed_(std::move(noticed)),
      totals_(hold.total_statements, hold.total_bytes),
      limits_(limits) {}

routing::ShardGate* GateDesk::Find(routing::ShardId shard) {
  auto it = gates_.find(shard);
  return it == gates_.end() ? nullptr : it->second.get();
}

void GateDesk::SetDefaults(const config::Hold& hold, uint32_t max_connections,
                           const routing::Topology& topology, routing::MonoTime now) {
  defaults_ = RulesOf(hold, max_connections);
  totals_.SetLimits(hold.total_statements, hold.total_bytes);
  SetTopology(topology, now);  // each gate gets its rules
}

void GateDesk::SetTopology(const routing::Topology& topology, routing::MonoTime now) {
  std::vector<routing::ShardId> gone;
  for (const auto& [id, gate] : gates_) {
    if (topology.shard(id) == nullptr) gone.push_back(id);
  }
  for (const routing::ShardId id : gone) {
    routing::ShardGate* gate = Find(id);
    gate->Close(now, &actions_);
    Carry(gate);
    gates_.erase(id);
    primaries_.erase(id);
    drills_.erase(id);
    published_.erase(id);
  }
  for (const routing::Shard* shard : topology.shards()) {
    const routing::BackendId before = std::exchange(primaries_[shard->id], shard->primary);
    if (before.valid() && before != shard->primary) {
      PaceConnects(before);
      PaceConnects(shard->primary);
    }
    const routing::GateRules rules = routing::GateRules::With(defaults_, shard->hold);
    std::unique_ptr<routing::ShardGate>& gate = gates_[shard->id];
    if (gate == nullptr) {
      gate = std::make_unique<routing::ShardGate>(shard->id, shard->name, rules, &totals_, now);
      board_->SetShard(shard->id, gate->notice().mode);
    } else {
      gate->SetRules(rules, now, &actions_);
    }
    Carry(gate.get());
  }
}

void GateDesk::SetHealth(routing::BackendId primary, const routing::GateHealth& health,
                         routing::MonoTime now) {
  healths_[primary] = health;
  for (const auto& [id, gate] : gates_) {
    if (primaries_[id] != primary || drills_.contains(id)) continue;
    gate->SetHealth(health, now, &actions_);
    Carry(gate.get());
  }
}

void GateDesk::SetReplica(routing::ShardId shard, routing::BackendId replica,
                          routing::MonoTime now) {
  routing::ShardGate* gate = Find(shard);
  if (gate == nullptr || gate->replica() == replica) return;
  gate->SetReplica(replica, now, &actions_);
  Carry(gate);
}

void GateDesk::SetOrder(routing::ShardId shard, const routing::GateOrder& order,
                        routing::MonoTime now) {
  routing::ShardGate* gate = Find(shard);
  if (gate == nullptr) return;
  if (order_listener_) order_listener_(shard, {}, order);
  gate->SetOrder(order, now, &actions_);
  Carry(gate);
}

void GateDesk::SetDrill(routing::ShardId shard, const std::optional<routing::GateHealth>& health,
                        routing::MonoTime now) {
  routing::ShardGate* gate = Find(shard);
  if (gate == nullptr) return;
  if (health.has_value()) {
    drills_.insert(shard);
    gate->SetHealth(*health, now, &actions_);
  } else {
    drills_.erase(shard);
    auto it = healths_.find(primaries_[shard]);
    if (it != healths_.end()) gate->SetHealth(it->second, now, &actions_);
  }
  Carry(gate);
}

const routing::ShardGate* GateDesk::gate(routing::ShardId shard) const {
  auto it = gates_.find(shard);
  return it == gates_.end() ? nullptr : it->second.get();
}

void GateDesk::Enqueue(const io::HeldStatement& statement, routing::MonoTime now) {
  auto it = tenants_.find(statement.tenant);
  if (it == tenants_.end()) {
    EnqueueAtShard(statement, now);
    return;
  }
  it->second.waiting.emplace(statement.ticket, statement);
  at_tenant_[statement.ticket] = statement.tenant;
  it->second.gate->Enqueue(RequestOf(statement), now, &actions_);
  CarryTenant(statement.tenant, now);
}

void GateDesk::EnqueueAtShard(const io::HeldStatement& statement, routing::MonoTime now) {
  routing::ShardGate* gate = Find(statement.shard);
  if (gate == nullptr) {
    (*workers_)[statement.worker]->PostRefused(
        {{statement.ticket, routing::kErrShardUnavailable, 1000, "the shard is gone"}});
    return;
  }
  gate->Enqueue(RequestOf(statement), now, &actions_);
  Carry(gate);
}

void GateDesk::Cancel(routing::ShardId shard, uint64_t ticket, routing::MonoTime now) {
  if (auto it = at_tenant_.find(ticket); it != at_tenant_.end()) {
    const std::string tenant = it->second;
    at_tenant_.erase(it);
    HeldTenant& held = tenants_.at(tenant);
    held.waiting.erase(ticket);
    (void)held.gate->Cancel(ticket, now, &actions_);
    CarryTenant(tenant, now);
    return;
  }
  routing::ShardGate* gate = Find(shard);
  if (gate == nullptr) return;
  (void)gate->Cancel(ticket, now, &actions_);
  Carry(gate);
}

void GateDesk::Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok,
                        routing::MonoTime now) {
  routing::ShardGate* gate = Find(shard);
  if (gate == nullptr) return;
  gate->Finished(ticket, routing::Duration(static_cast<int64_t>(took_ns)), ok, now, &actions_);
  Carry(gate);
}

void GateDesk::Tick(routing::MonoTime now) {
  for (const auto& [id, gate] : gates_) {
    if (gate->NextDeadline() > now) continue;
    gate->Tick(now, &actions_);
    Carry(gate.get());
  }
  std::vector<std::string> due;
  for (const auto& [tenant, held] : tenants_) {
    if (held.gate->NextDeadline() <= now) due.push_back(tenant);
  }
  for (const std::string& tenant : due) {
    tenants_.at(tenant).gate->Tick(now, &actions_);
    CarryTenant(tenant, now);
  }
}

// Of the shards that live there, the one that goes most carefully decides.
void GateDesk::PaceConnects(routing::BackendId primary) {
  double pace = 0;
  for (const auto& [id, gate] : gates_) {
    if (gate == nullptr || primaries_[id] != primary) continue;
    const double wanted = gate->notice().connects_per_second;
    if (wanted > 0 && (pace == 0 || wanted < pace)) pace = wanted;
  }
  set_pace_(primary, pace);
}

void GateDesk::Carry(routing::ShardGate* gate) {
  // What is published first: a worker that is told to release must not find the gate closed.
  const routing::GateNotice& notice = gate->notice();
  uint64_t& published = published_[gate->id()];
  if (published != notice.version) {
    published = notice.version;
    const routing::GateMode before = board_->shard(gate->id());
    board_->SetShard(gate->id(), notice.mode);
    PaceConnects(primaries_[gate->id()]);
    if (!notice.text.empty())
      log::Info(log::event::kGate, {{"shard", gate->name()}}, "gate: " + notice.text);
    // Also where it was served through the ramp until now: who was let through and waits for a
    // connection still waits at the gate again.
    const bool served = std::exchange(serves_[gate->id()], notice.serves);
    const bool closed = before != notice.mode || (served && !notice.serves);
    if (closed && notice.mode != routing::GateMode::kServing) {
      for (io::Worker* worker : *workers_) worker->PostGateClosed({gate->id()});
    }
    if (noticed_) noticed_(*gate);
  }
  CountHolds(gate->id());
  TellWorkers();
}

// What was let through or refused without having waited is no hold.
void GateDesk::CountHolds(routing::ShardId shard) {
  if (metrics_ == nullptr) return;
  for (const routing::GateAction& action : actions_) {
    if (action.waited <= routing::Duration::zero()) continue;
    const bool refused = action.kind == routing::GateAction::Kind::kRefuse;
    metrics_->shard(shard.index)
        .held[refused ? metrics::HoldEnd::kRefused : metrics::HoldEnd::kReleased]
        .Record(action.waited);
  }
}

void GateDesk::TellWorkers() {
  if (actions_.empty()) return;
  std::vector<std::vector<io::GateRelease>> released(workers_->size());
  std::vector<std::vector<io::GateRefusal>> refused(workers_->size());
  for (routing::GateAction& action : actions_) {
    switch (action.kind) {
      case routing::GateAction::Kind::kRelease:
      case routing::GateAction::Kind::kReleaseToReplica:
        released[action.worker].push_back({action.waiter, action.replica});
        break;
      case routing::GateAction::Kind::kRefuse:
        refused[action.worker].push_back(
            {action.waiter, action.code, action.retry_after_ms, std::move(action.reason)});
        break;
    }
  }
  actions_.clear();
  for (size_t i = 0; i < workers_->size(); ++i) {
    if (!released[i].empty()) (*workers_)[i]->PostReleased(std::move(released[i]));
    if (!refused[i].empty()) (*workers_)[i]->PostRefused(std::move(refused[i]));
  }
}

}  // namespace bulkhead::control
