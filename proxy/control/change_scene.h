// What the topology and the control loop know before a change of primary: who takes part, and what
// stands against it already. Thread: the control loop's.
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_SCENE_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_SCENE_H_

#include <string>
#include <vector>

#include "proxy/control/change_checks.h"
#include "proxy/control/operator_world.h"
#include "routing/primary_change.h"
#include "routing/topology.h"

namespace bulkhead::control {

// All that have the same primary as the plan's, the old one or the candidate by now: they move
// together, since a server is read-only as a whole.
[[nodiscard]] std::vector<const routing::Shard*> ShardsOfChange(const routing::Topology& topology,
                                                                const routing::ChangePlan& plan);
// The other replicas of those shards, by name.
[[nodiscard]] std::vector<std::string> OthersOf(const routing::Topology& topology,
                                                const routing::ChangePlan& plan);
[[nodiscard]] ChangeScene MakeScene(OperatorWorld* world, const routing::ChangePlan& plan);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_SCENE_H_
