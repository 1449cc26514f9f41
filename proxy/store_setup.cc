#include "proxy/store_setup.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/control/sqlite_store.h"
#include "proxy/log/log.h"

namespace bulkhead {

namespace {

// Nothing that a topology of the configuration could contradict: what a router without one leaves
// behind, whatever else its store remembers.
bool IsEmpty(const control::StoredState& state) {
  return state.backends.empty() && state.shards.empty() && state.tenants.empty();
}

// The configuration's topology and limits, into an empty store.
absl::Status Seed(const config::Options& options, const control::StoredState& state,
                  control::TopologyStore* store) {
  const auto before = state.revision == 0
                          ? absl::StatusOr<std::shared_ptr<const routing::Topology>>(
                                *routing::TopologyBuilder().Build())
                          : control::BuildTopology(state);
  if (!before.ok()) return before.status();
  std::vector<control::StoreEdit> edits =
      control::EditsBetween(**before, *options.topology, std::nullopt);
  for (const auto& [tenant, limit] : options.tenant_limits)
    if (!state.limits.contains(tenant)) edits.push_back(control::PutLimit{tenant, limit});
  return store->Commit(state.revision, edits).status();
}

}  // namespace

std::string OpenStore(std::shared_ptr<const config::Options>* options, StoreAtStart* start) {
  absl::StatusOr<std::unique_ptr<control::SqliteStore>> store =
      control::SqliteStore::Open((*options)->state_dir);
  if (!store.ok()) return "topology store: " + std::string(store.status().message());
  absl::StatusOr<control::StoredState> state = (*store)->Load();
  const bool anything = !(*options)->topology->backends().empty();
  if (state.ok() && (state->revision == 0 || (IsEmpty(*state) && anything))) {
    if (const absl::Status seeded = Seed(**options, *state, store->get()); !seeded.ok())
      return "topology store: " + std::string(seeded.message());
    state = (*store)->Load();
  }
  if (!state.ok()) return "topology store: " + std::string(state.status().message());
  absl::StatusOr<std::shared_ptr<const routing::Topology>> topology = BuildTopology(*state);
  if (!topology.ok()) {
    return "topology store in " + (*options)->state_dir +
           " holds a topology that is not whole: " + std::string(topology.status().message());
  }
  // The version is always another one.
  const size_t differences =
      control::EditsBetween(*(*options)->topology, **topology, std::nullopt).size() - 1;
  if (differences > 0) {
    log::Info(log::event::kTopology, {{"revision", state->revision}, {"differences", differences}},
              absl::StrCat("the stored topology rules (revision ", state->revision,
                           "); the configuration's, which seeds an empty store only, differs in ",
                           differences, " places"));
  }
  auto changed = std::make_shared<config::Options>(**options);
  changed->topology = *std::move(topology);
  *options = std::move(changed);
  start->store = *std::move(store);
  start->state = *std::move(state);
  start->variables = {start->state.variables.begin(), start->state.variables.end()};
  return {};
}

}  // namespace bulkhead
