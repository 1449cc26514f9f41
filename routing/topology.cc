#include "routing/topology.h"

#include <string>
#include <string_view>

#include "routing/abseil_view.h"

namespace bulkhead::routing {

Topology::Topology()
    : tables_(std::make_shared<const Tables>()), slots_(std::make_shared<const SlotTable>()) {}

const Shard* Topology::shard(ShardId id) const {
  if (id.index >= tables_->shards.size()) return nullptr;
  const Slot<Shard>& slot = tables_->shards[id.index];
  return slot.generation == id.generation ? slot.object.get() : nullptr;
}

const Backend* Topology::backend(BackendId id) const {
  if (id.index >= tables_->backends.size()) return nullptr;
  const Slot<Backend>& slot = tables_->backends[id.index];
  return slot.generation == id.generation ? slot.object.get() : nullptr;
}

const Shard* Topology::FindShard(std::string_view name) const {
  const auto it = tables_->shard_index.find(Abs(name));
  return it == tables_->shard_index.end() ? nullptr : tables_->shards[it->second].object.get();
}

const Backend* Topology::FindBackend(std::string_view name) const {
  const auto it = tables_->backend_index.find(Abs(name));
  return it == tables_->backend_index.end() ? nullptr : tables_->backends[it->second].object.get();
}

BackendId Topology::any_backend() const {
  if (!tables_->live_shards.empty()) return tables_->live_shards.front()->primary;
  if (!tables_->live_backends.empty()) return tables_->live_backends.front()->id;
  return {};
}

bool Topology::Fill(ShardId id, TenantOrigin origin, LookupResult* result) const {
  const Shard* found = shard(id);
  if (found == nullptr) return false;
  result->origin = origin;
  result->shard = found->id;
  result->backend = found->primary;
  result->epoch = found->epoch;
  return true;
}

LookupResult Topology::FindTenant(std::string_view tenant) const {
  LookupResult result;
  if (tenant.empty() || tenant.size() > kMaxTenantName) return result;
  const uint64_t hash = StableTenantHash(tenant);
  if (const auto record = directory_.Find(tenant, hash)) {
    if (Fill(record->shard, TenantOrigin::kDirectory, &result)) {
      result.pooling = record->pooling;
      result.hold = record->hold;
      result.physical_database = record->physical_database;
    }
    return result;
  }
  if (rest_ == Rest::kReject || !TenantNameProblem(tenant).empty()) return result;
  switch (rest_) {
    case Rest::kReject:
      break;
    case Rest::kSlots:
      Fill((*slots_)[SlotOfHash(hash)], TenantOrigin::kSlot, &result);
      break;
    case Rest::kShard:
      Fill(default_shard_, TenantOrigin::kDefault, &result);
      break;
  }
  return result;
}

std::string_view Topology::TenantOfPhysicalOverride(std::string_view schema) const {
  if (overrides_.empty()) return {};
  const auto record = overrides_.Find(schema);
  return record ? record->physical_database : std::string_view();
}

}  // namespace bulkhead::routing
