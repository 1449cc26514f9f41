// Edits of the topology as JSON, and applied to a snapshot: how a process that has handed over
// follows the one that took over.
//
// Purpose: the same edits that the store gets (topology_store.h), between two processes of one
// router. Both are on one machine; enums travel as their numbers, which are only ever appended to.
// Pure; any thread. Errors: text that makes no sense, and edits that the snapshot can't take.
#ifndef BULKHEAD_PROXY_CONTROL_TOPOLOGY_MESSAGE_H_
#define BULKHEAD_PROXY_CONTROL_TOPOLOGY_MESSAGE_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/control/topology_store.h"

namespace bulkhead::control {

// Edits of other things than the topology are left out.
[[nodiscard]] nlohmann::json EditsToJson(const std::vector<StoreEdit>& edits);
[[nodiscard]] absl::StatusOr<std::vector<StoreEdit>> EditsFromJson(const nlohmann::json& json);

[[nodiscard]] absl::StatusOr<std::shared_ptr<const routing::Topology>> ApplyEdits(
    const routing::Topology& before, const std::vector<StoreEdit>& edits);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_TOPOLOGY_MESSAGE_H_
