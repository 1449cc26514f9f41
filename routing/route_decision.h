// Where one statement goes: to a shard's primary, to an answer of the router's own, or back with a
// reason.
//
// Pure; any thread. The snapshot and the tenant's resolution come from the caller and belong
// together. The gate is the place of the hold machinery: today it is serving or rejecting; holding
// and draining are decided the same way once something sets them.
#ifndef BULKHEAD_ROUTING_ROUTE_DECISION_H_
#define BULKHEAD_ROUTING_ROUTE_DECISION_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "routing/ids.h"
#include "routing/tenant_resolution.h"
#include "routing/topology.h"

namespace bulkhead::routing {

// What the shard's gate says of new work.
enum class GateState : uint8_t { kServing, kHolding, kRejecting, kDraining };

enum class TenantNeed : uint8_t {
  kNone,    // SET, SELECT @@x, SELECT 1: works before a tenant is known
  kNeeded,  // names tables, or could
};

enum class RouteAction : uint8_t {
  kRoute,   // to `backend`
  kLocal,   // the router answers itself (no tenant, none needed)
  kHold,    // keep it, unsent; not made yet by anything but a gate that holds
  kReject,  // ERR with code, sqlstate and reason; not executed
};

struct RouteRequest {
  TenantNeed need = TenantNeed::kNeeded;
  GateState gate = GateState::kServing;
  std::string_view gate_reason{};  // "shard s2 is down since 06:49:12Z": for kRejecting
};

struct RouteDecision {
  RouteAction action = RouteAction::kReject;
  ShardId shard;
  BackendId backend;
  Epoch epoch;         // the shard's: what it was decided under
  uint16_t code = 0;   // for kReject
  std::string reason;  // for kReject: the message for the client
};

// `tenant` is ResolveTenant's answer under the same snapshot.
RouteDecision DecideRoute(const Topology& topology, const TenantResult& tenant,
                          const RouteRequest& request);

// "[bulkhead CODE] TEXT; tenant T; executed=no", the form of every refusal of a statement that was
// not sent. tenant "" is left out.
std::string RefusalText(uint16_t code, std::string_view text, std::string_view tenant = {});

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_ROUTE_DECISION_H_
