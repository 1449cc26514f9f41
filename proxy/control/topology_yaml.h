// A stored topology as YAML, and back: `bulkhead topology export | import | diff`.
//
// Purpose: backups that people can read, and the same topology in another place. The text has the
// shape of the configuration's `topology:` and `tenancy: {unassigned: ...}`, so that a part of a
// configuration can be imported, and an export can be put into one. Not in it: operators' orders,
// operations, events, epochs (an import raises the epoch of each shard whose primary it changes).
// Pure but for ReadTopologyYaml's error texts; any thread. Errors: as the configuration's, with
// line and key.
#ifndef BULKHEAD_PROXY_CONTROL_TOPOLOGY_YAML_H_
#define BULKHEAD_PROXY_CONTROL_TOPOLOGY_YAML_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proxy/config/load.h"
#include "proxy/control/topology_store.h"

namespace bulkhead::control {

[[nodiscard]] std::string ToYaml(const StoredState& state);

// What must be committed to a store of `state` for it to be as `wanted` says; empty: it is.
[[nodiscard]] absl::StatusOr<std::vector<StoreEdit>> EditsForImport(const StoredState& state,
                                                                    const config::Options& wanted);

// One line an edit, for people: "+ backend db3 ...", "~ shard s1 ...", "- tenant acme".
[[nodiscard]] std::vector<std::string> Describe(const StoredState& state,
                                                const std::vector<StoreEdit>& edits);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_TOPOLOGY_YAML_H_
