// Operators' orders for single tenants: a gate of their own, in front of their shard's.

#include <utility>

#include "proxy/control/gate_desk.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

using routing::GateAction;
using routing::GateOperator;

const routing::ShardGate* GateDesk::tenant_gate(const std::string& tenant) const {
  auto it = tenants_.find(tenant);
  return it == tenants_.end() ? nullptr : it->second.gate.get();
}

void GateDesk::SetTenantOrder(const std::string& tenant, const routing::GateOrder& order,
                              routing::MonoTime now) {
  if (order_listener_) order_listener_({}, tenant, order);
  HeldTenant& held = tenants_[tenant];
  if (held.gate == nullptr) {
    routing::GateRules rules = defaults_;
    rules.noun = "tenant";
    held.gate =
        std::make_unique<routing::ShardGate>(routing::ShardId{}, tenant, rules, &totals_, now);
    held.gate->SetHealth({.effect = routing::GateEffect::kServe, .since = now}, now, &actions_);
    limits_->SetHeld(tenant, true);
  }
  held.gate->SetOrder(order, now, &actions_);
  CarryTenant(tenant, now);
}

// What its gate lets through goes on to the shard's; what it refuses is answered. A tenant without
// an order needs no gate.
void GateDesk::CarryTenant(const std::string& tenant, routing::MonoTime now) {
  HeldTenant& held = tenants_.at(tenant);
  std::vector<io::HeldStatement> through;
  while (!actions_.empty()) {
    routing::ShardGate::Actions actions = std::exchange(actions_, {});
    for (GateAction& action : actions) {
      auto it = held.waiting.find(action.waiter);
      if (it == held.waiting.end()) continue;
      at_tenant_.erase(action.waiter);
      if (action.kind == GateAction::Kind::kRefuse) {
        (*workers_)[action.worker]->PostRefused(
            {{action.waiter, action.code, action.retry_after_ms, std::move(action.reason)}});
      } else {
        through.push_back(std::move(it->second));
        // Its place here is free at once: the shard's own gate paces what is released.
        if (action.report) held.gate->Finished(action.waiter, {}, true, now, &actions_);
      }
      held.waiting.erase(it);
    }
  }
  const bool ended = held.gate->order().order == GateOperator::kNone && held.waiting.empty();
  if (ended) {
    limits_->SetHeld(tenant, false);
    tenants_.erase(tenant);
    log::Info(log::event::kGate, {{"tenant", tenant}},
              "gate: tenant " + tenant + " is served again");
  }
  for (const io::HeldStatement& statement : through) EnqueueAtShard(statement, now);
}

}  // namespace bulkhead::control
