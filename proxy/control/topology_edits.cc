// Between stored rows and snapshots of the topology.

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "proxy/control/topology_store.h"

namespace bulkhead::control {

namespace {

using routing::Topology;

StoredShard StoredOf(const Topology& topology, const routing::Shard& shard) {
  StoredShard stored;
  stored.spec.name = shard.name;
  stored.spec.primary = topology.backend(shard.primary)->name;
  for (const routing::BackendId replica : shard.replicas)
    stored.spec.replicas.push_back(topology.backend(replica)->name);
  stored.spec.hold = shard.hold;
  stored.spec.production = shard.production;
  stored.spec.failover = shard.failover;
  stored.epoch = shard.epoch;
  return stored;
}

bool Same(const StoredShard& a, const StoredShard& b) {
  return a.spec.primary == b.spec.primary && a.spec.replicas == b.spec.replicas &&
         a.spec.hold == b.spec.hold && a.spec.production == b.spec.production &&
         a.spec.failover == b.spec.failover && a.epoch == b.epoch;
}

std::optional<routing::TenantSpec> SpecOf(const Topology& topology, std::string_view tenant) {
  const std::optional<routing::TenantRecord> record = topology.directory().Find(tenant);
  if (!record.has_value()) return std::nullopt;
  routing::TenantSpec spec;
  spec.name = tenant;
  spec.shard = topology.shard(record->shard)->name;
  spec.pooling = record->pooling;
  spec.hold = record->hold;
  spec.physical_database = record->physical_database;
  return spec;
}

bool Same(const routing::TenantSpec& a, const routing::TenantSpec& b) {
  return a.shard == b.shard && a.pooling == b.pooling && a.hold == b.hold &&
         a.physical_database == b.physical_database;
}

std::vector<StoredSlots> RangesOf(const Topology& topology) {
  std::vector<StoredSlots> ranges;
  for (size_t i = 0; i < routing::kSlots; ++i) {
    const routing::Shard* shard = topology.shard(topology.slots()[i]);
    if (shard == nullptr) continue;
    const auto slot = static_cast<uint16_t>(i);
    if (!ranges.empty() && ranges.back().last + 1u == i && ranges.back().shard == shard->name) {
      ranges.back().last = slot;
    } else {
      ranges.push_back({slot, slot, shard->name});
    }
  }
  return ranges;
}

void AddTenantEdit(const Topology& before, const Topology& after, const std::string& name,
                   std::vector<StoreEdit>* edits) {
  const std::optional<routing::TenantSpec> was = SpecOf(before, name);
  std::optional<routing::TenantSpec> is = SpecOf(after, name);
  if (is.has_value() && (!was.has_value() || !Same(*was, *is))) {
    edits->push_back(PutTenant{*std::move(is)});
  } else if (was.has_value() && !is.has_value()) {
    edits->push_back(EraseTenant{name});
  }
}

bool Differs(const Topology& before, const Topology& after, const std::string& name) {
  std::vector<StoreEdit> edits;
  AddTenantEdit(before, after, name, &edits);
  return !edits.empty();
}

void AddTenantEdits(const Topology& before, const Topology& after,
                    const std::optional<std::vector<std::string>>& tenants,
                    std::vector<StoreEdit>* edits) {
  if (tenants.has_value()) {
    for (const std::string& name : *tenants) AddTenantEdit(before, after, name, edits);
    return;
  }
  absl::flat_hash_set<std::string> names;
  const auto collect = [&](std::string_view name, const routing::TenantRecord&) {
    names.emplace(name);
    return true;
  };
  before.directory().ForEach(collect);
  after.directory().ForEach(collect);
  // In an order of their own: what an operator is shown twice looks the same twice.
  std::vector<std::string> sorted;
  for (const std::string& name : names) {
    if (Differs(before, after, name)) sorted.push_back(name);
  }
  std::sort(sorted.begin(), sorted.end());
  for (const std::string& name : sorted) AddTenantEdit(before, after, name, edits);
}

}  // namespace

std::vector<StoreEdit> EditsBetween(const Topology& before, const Topology& after,
                                    const std::optional<std::vector<std::string>>& tenants) {
  std::vector<StoreEdit> edits;
  for (const routing::Backend* backend : after.backends()) {
    const routing::Backend* was = before.FindBackend(backend->name);
    const routing::BackendSpec& spec = *backend;
    if (was == nullptr || !(static_cast<const routing::BackendSpec&>(*was) == spec))
      edits.push_back(PutBackend{spec});
  }
  for (const routing::Backend* backend : before.backends()) {
    if (after.FindBackend(backend->name) == nullptr) edits.push_back(EraseBackend{backend->name});
  }
  for (const routing::Shard* shard : after.shards()) {
    const routing::Shard* was = before.FindShard(shard->name);
    StoredShard stored = StoredOf(after, *shard);
    if (was == nullptr || !Same(StoredOf(before, *was), stored))
      edits.push_back(PutShard{std::move(stored)});
  }
  for (const routing::Shard* shard : before.shards()) {
    if (after.FindShard(shard->name) == nullptr) edits.push_back(EraseShard{shard->name});
  }
  AddTenantEdits(before, after, tenants, &edits);
  if (std::vector<StoredSlots> ranges = RangesOf(after); ranges != RangesOf(before))
    edits.push_back(PutSlots{std::move(ranges)});
  if (!(before.unassigned() == after.unassigned()))
    edits.push_back(PutUnassigned{after.unassigned()});
  edits.push_back(PutVersion{after.version()});
  return edits;
}

absl::StatusOr<std::shared_ptr<const Topology>> BuildTopology(const StoredState& state) {
  routing::TopologyBuilder builder;
  absl::Status status;
  for (const routing::BackendSpec& backend : state.backends)
    status.Update(builder.AddBackend(backend));
  for (const StoredShard& shard : state.shards) {
    status.Update(builder.AddShard(shard.spec));
    if (status.ok()) status.Update(builder.RestoreEpoch(shard.spec.name, shard.epoch));
  }
  for (const routing::TenantSpec& tenant : state.tenants) status.Update(builder.AddTenant(tenant));
  for (const StoredSlots& range : state.slots)
    status.Update(builder.AssignSlots(range.first, range.last, range.shard));
  status.Update(builder.SetUnassigned(state.unassigned));
  if (!status.ok()) return status;
  builder.RestoreVersion(state.version);
  return builder.Build();
}

}  // namespace bulkhead::control
