#include "routing/route_decision.h"

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"

namespace bulkhead::routing {

std::string RefusalText(uint16_t code, std::string_view text, std::string_view tenant) {
  std::string out = absl::StrCat("[bulkhead ", code, "] ", Abs(text));
  if (!tenant.empty()) absl::StrAppend(&out, "; tenant ", Abs(tenant));
  absl::StrAppend(&out, "; executed=no");
  return out;
}

RouteDecision DecideRoute(const Topology& topology, const TenantResult& tenant,
                          const RouteRequest& request) {
  RouteDecision decision;
  if (tenant.status == TenantStatus::kNone && request.need == TenantNeed::kNone) {
    decision.action = RouteAction::kLocal;
    return decision;
  }
  if (!tenant.found()) {
    decision.code = tenant.code;
    decision.reason = tenant.reason;
    return decision;
  }
  decision.shard = tenant.where.shard;
  decision.backend = tenant.where.backend;
  decision.epoch = tenant.where.epoch;
  const Shard* shard = topology.shard(tenant.where.shard);
  const auto unavailable = [&](std::string_view why) {
    decision.action = RouteAction::kReject;
    decision.code = kErrShardUnavailable;
    decision.reason = RefusalText(kErrShardUnavailable, why, tenant.tenant);
  };
  if (shard == nullptr || topology.backend(decision.backend) == nullptr) {
    unavailable("the shard's place has changed");  // resolved under another snapshot
    return decision;
  }
  switch (request.gate) {
    case GateState::kServing:
      decision.action = RouteAction::kRoute;
      break;
    case GateState::kHolding:
    case GateState::kDraining:
      decision.action = RouteAction::kHold;
      break;
    case GateState::kRejecting:
      unavailable(request.gate_reason.empty()
                      ? absl::StrCat("shard ", shard->name, " is unavailable")
                      : std::string(request.gate_reason));
      break;
  }
  return decision;
}

}  // namespace bulkhead::routing
