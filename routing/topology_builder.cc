#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/topology.h"

namespace bulkhead::routing {
namespace {

constexpr size_t kMaxObjects = 65'535;
constexpr size_t kMaxObjectName = 64;

absl::Status CheckObjectName(std::string_view what, std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  };
  if (!name.empty() && name.size() <= kMaxObjectName &&
      std::all_of(name.begin(), name.end(), allowed)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      Abs(what), " name '", Abs(name), "' is not valid: 1 to 64 letters, digits, '_', '.' or '-'"));
}

absl::Status Unknown(std::string_view what, std::string_view name) {
  return absl::NotFoundError(absl::StrCat("there is no ", Abs(what), " '", Abs(name), "'"));
}

absl::Status Exists(std::string_view what, std::string_view name) {
  return absl::AlreadyExistsError(absl::StrCat(Abs(what), " '", Abs(name), "' is there already"));
}

// An index for a new object: a place whose object was dropped, with a new generation, or a new
// place.
template <typename Slots>
bool NewPlace(const Slots& slots, uint16_t* index, uint16_t* generation) {
  for (size_t i = 0; i < slots.size(); ++i) {
    // A place whose generations are used up stays empty: an id is never given twice.
    if (slots[i].object != nullptr || slots[i].generation == 0xFFFF) continue;
    *index = static_cast<uint16_t>(i);
    *generation = static_cast<uint16_t>(slots[i].generation + 1);
    return true;
  }
  if (slots.size() >= kMaxObjects) return false;
  *index = static_cast<uint16_t>(slots.size());
  *generation = 1;
  return true;
}

absl::Status TooMany(std::string_view what) {
  return absl::FailedPreconditionError(absl::StrCat("more than 65535 ", Abs(what)));
}

// Puts `object` at its id's place.
template <typename Slots, typename T>
void Place(Slots& slots, const T& object) {
  if (object.id.index >= slots.size()) slots.resize(object.id.index + size_t{1});
  slots[object.id.index].object = std::make_shared<const T>(object);
  slots[object.id.index].generation = object.id.generation;
}

}  // namespace

TopologyBuilder::TopologyBuilder() = default;
TopologyBuilder::TopologyBuilder(const Topology& previous) : next_(previous) {}

Topology::Tables& TopologyBuilder::tables() {
  if (own_tables_ == nullptr) {
    auto copy = std::make_shared<Topology::Tables>(*next_.tables_);
    own_tables_ = copy.get();
    next_.tables_ = std::move(copy);
  }
  return *own_tables_;
}

Topology::SlotTable& TopologyBuilder::slots() {
  if (own_slots_ == nullptr) {
    auto copy = std::make_shared<Topology::SlotTable>(*next_.slots_);
    own_slots_ = copy.get();
    next_.slots_ = std::move(copy);
  }
  return *own_slots_;
}

absl::Status TopologyBuilder::AddBackend(const BackendSpec& spec) {
  if (absl::Status s = CheckObjectName("backend", spec.name); !s.ok()) return s;
  if (next_.FindBackend(spec.name) != nullptr) return Exists("backend", spec.name);
  if (!spec.address.is_unix() && (spec.address.host.empty() || spec.address.port == 0)) {
    return absl::InvalidArgumentError(absl::StrCat("backend '", spec.name, "' has no address"));
  }
  for (const Topology::Slot<Backend>& slot : next_.tables_->backends) {
    if (slot.object != nullptr && slot.object->address == spec.address) {
      return absl::AlreadyExistsError(absl::StrCat("address ", spec.address.ToString(),
                                                   " is already that of backend '",
                                                   slot.object->name, "'"));
    }
  }
  Backend backend{spec, {}};
  if (!NewPlace(next_.tables_->backends, &backend.id.index, &backend.id.generation)) {
    return TooMany("backends");
  }
  Place(tables().backends, backend);
  tables().backend_index[spec.name] = backend.id.index;
  return absl::OkStatus();
}

absl::Status TopologyBuilder::AlterBackend(const BackendSpec& spec) {
  const Backend* old = next_.FindBackend(spec.name);
  if (old == nullptr) return Unknown("backend", spec.name);
  const bool moved = old->address != spec.address;
  Backend changed{spec, old->id};
  if (moved) {
    for (const Topology::Slot<Backend>& slot : next_.tables_->backends) {
      if (slot.object != nullptr && slot.object->address == spec.address) {
        return absl::AlreadyExistsError(absl::StrCat("address ", spec.address.ToString(),
                                                     " is already that of backend '",
                                                     slot.object->name, "'"));
      }
    }
    if (old->id.generation == 0xFFFF) return TooMany("changes of this backend's address");
    ++changed.id.generation;
  }
  const BackendId old_id = old->id;
  Place(tables().backends, changed);
  if (!moved) return absl::OkStatus();
  // Another server: whoever named it names the new one, and a shard that writes to it is in a new
  // epoch.
  for (const Topology::Slot<Shard>& slot : next_.tables_->shards) {
    if (slot.object == nullptr) continue;
    Shard shard = *slot.object;
    std::replace(shard.replicas.begin(), shard.replicas.end(), old_id, changed.id);
    if (shard.primary == old_id) {
      shard.primary = changed.id;
      shard.epoch = EpochAfter(shard.epoch);
    }
    ReplaceShard(shard);
  }
  return absl::OkStatus();
}

absl::Status TopologyBuilder::DropBackend(std::string_view name) {
  const Backend* backend = next_.FindBackend(name);
  if (backend == nullptr) return Unknown("backend", name);
  for (const Topology::Slot<Shard>& slot : next_.tables_->shards) {
    const Shard* shard = slot.object.get();
    if (shard == nullptr) continue;
    if (shard->primary == backend->id || std::find(shard->replicas.begin(), shard->replicas.end(),
                                                   backend->id) != shard->replicas.end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("backend '", Abs(name), "' is used by shard '", shard->name, "'"));
    }
  }
  const uint16_t index = backend->id.index;
  tables().backend_index.erase(Abs(name));
  tables().backends[index].object.reset();
  return absl::OkStatus();
}

absl::Status TopologyBuilder::ResolveReplicas(std::string_view shard,
                                              const std::vector<std::string>& names,
                                              BackendId primary,
                                              std::vector<BackendId>* out) const {
  out->clear();
  for (const std::string& name : names) {
    const Backend* backend = next_.FindBackend(name);
    if (backend == nullptr) {
      return absl::NotFoundError(
          absl::StrCat("replica '", name, "' of shard '", Abs(shard), "' is no backend"));
    }
    if (backend->id == primary) {
      return absl::InvalidArgumentError(absl::StrCat(
          "backend '", name, "' is both primary and replica of shard '", Abs(shard), "'"));
    }
    if (std::find(out->begin(), out->end(), backend->id) != out->end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("replica '", name, "' of shard '", Abs(shard), "' is named twice"));
    }
    out->push_back(backend->id);
  }
  return absl::OkStatus();
}

void TopologyBuilder::ReplaceShard(const Shard& shard) { Place(tables().shards, shard); }

absl::Status TopologyBuilder::AddShard(const ShardSpec& spec) {
  if (absl::Status s = CheckObjectName("shard", spec.name); !s.ok()) return s;
  if (next_.FindShard(spec.name) != nullptr) return Exists("shard", spec.name);
  const Backend* primary = next_.FindBackend(spec.primary);
  if (primary == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("primary '", spec.primary, "' of shard '", spec.name, "' is no backend"));
  }
  Shard shard;
  shard.name = spec.name;
  shard.primary = primary->id;
  shard.hold = spec.hold;
  shard.production = spec.production;
  shard.failover = spec.failover;
  shard.epoch = next_version();
  if (absl::Status s = ResolveReplicas(spec.name, spec.replicas, primary->id, &shard.replicas);
      !s.ok()) {
    return s;
  }
  if (!NewPlace(next_.tables_->shards, &shard.id.index, &shard.id.generation)) {
    return TooMany("shards");
  }
  ReplaceShard(shard);
  tables().shard_index[spec.name] = shard.id.index;
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetPrimary(std::string_view name, std::string_view backend_name) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  const Backend* backend = next_.FindBackend(backend_name);
  if (backend == nullptr) return Unknown("backend", backend_name);
  Shard shard = *old;
  if (shard.primary == backend->id) return absl::OkStatus();
  // A promoted replica and the old primary change places; otherwise the old primary is no longer
  // the shard's.
  const auto it = std::find(shard.replicas.begin(), shard.replicas.end(), backend->id);
  if (it != shard.replicas.end()) *it = shard.primary;
  shard.primary = backend->id;
  shard.epoch = EpochAfter(shard.epoch);
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetReplicas(std::string_view name,
                                          const std::vector<std::string>& backends) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  Shard shard = *old;
  if (absl::Status s = ResolveReplicas(name, backends, shard.primary, &shard.replicas); !s.ok()) {
    return s;
  }
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetHold(std::string_view name, const HoldOverrides& hold) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  Shard shard = *old;
  shard.hold = hold;
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetProduction(std::string_view name, bool production) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  Shard shard = *old;
  shard.production = production;
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetFailover(std::string_view name, FailoverMode mode) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  Shard shard = *old;
  shard.failover = mode;
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::DropShard(std::string_view name) {
  const Shard* shard = next_.FindShard(name);
  if (shard == nullptr) return Unknown("shard", name);
  const ShardId id = shard->id;
  std::string used_by;
  next_.directory_.ForEach([&](std::string_view tenant, const TenantRecord& record) {
    if (record.shard == id) used_by = absl::StrCat("tenant '", Abs(tenant), "'");
    return used_by.empty();
  });
  if (used_by.empty()) {
    const auto slot = std::find(next_.slots_->begin(), next_.slots_->end(), id);
    if (slot != next_.slots_->end()) {
      used_by = absl::StrCat("slot ", slot - next_.slots_->begin());
    }
  }
  if (used_by.empty() && next_.default_shard_ == id) used_by = "unassigned tenants";
  if (!used_by.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("shard '", Abs(name), "' is used by ", used_by));
  }
  tables().shard_index.erase(Abs(name));
  tables().shards[id.index].object.reset();
  return absl::OkStatus();
}

absl::Status TopologyBuilder::PutTenant(const TenantSpec& spec, bool replace) {
  if (const std::string_view problem = TenantNameProblem(spec.name); !problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tenant name '", spec.name, "' ", Abs(problem)));
  }
  if (spec.physical_database.size() > kMaxEntryText) {
    return absl::InvalidArgumentError(
        absl::StrCat("physical_database of tenant '", spec.name, "' is longer than 255 bytes"));
  }
  const Shard* shard = next_.FindShard(spec.shard);
  if (shard == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("shard '", spec.shard, "' of tenant '", spec.name, "' does not exist"));
  }
  if (const auto old = next_.directory_.Find(spec.name)) {
    if (!replace) return Exists("tenant", spec.name);
    ForgetOverride(spec.name, *old);
  }
  next_.directory_.Insert(spec.name, {.shard = shard->id,
                                      .pooling = spec.pooling,
                                      .hold = spec.hold,
                                      .physical_database = spec.physical_database});
  if (!spec.physical_database.empty()) {
    next_.overrides_.Insert(spec.physical_database, {.physical_database = spec.name});
  }
  return absl::OkStatus();
}

void TopologyBuilder::ForgetOverride(std::string_view tenant, const TenantRecord& record) {
  if (record.physical_database.empty()) return;
  const auto owner = next_.overrides_.Find(record.physical_database);
  // Another tenant on another shard may have the same physical name, and came later.
  if (owner && owner->physical_database == tenant) {
    next_.overrides_.Erase(std::string(record.physical_database));
  }
}

absl::Status TopologyBuilder::AddTenant(const TenantSpec& spec) { return PutTenant(spec, false); }
absl::Status TopologyBuilder::AssignTenant(const TenantSpec& spec) { return PutTenant(spec, true); }

absl::Status TopologyBuilder::DropTenant(std::string_view name) {
  const auto old = next_.directory_.Find(name);
  if (!old) return Unknown("tenant", name);
  ForgetOverride(name, *old);
  next_.directory_.Erase(name);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::AssignSlots(uint16_t first, uint16_t last, std::string_view name) {
  if (first > last || last >= kSlots) {
    return absl::InvalidArgumentError(
        absl::StrCat("slots ", first, "-", last, " are no range within 0-", kSlots - 1));
  }
  ShardId id;
  if (!name.empty()) {
    const Shard* shard = next_.FindShard(name);
    if (shard == nullptr) return Unknown("shard", name);
    id = shard->id;
  }
  std::fill(slots().begin() + first, slots().begin() + last + 1, id);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SpreadSlots() {
  std::vector<ShardId> live;
  for (const Topology::Slot<Shard>& slot : next_.tables_->shards) {
    if (slot.object != nullptr) live.push_back(slot.object->id);
  }
  if (live.empty())
    return absl::FailedPreconditionError("there are no shards to spread slots over");
  for (size_t i = 0; i < kSlots; ++i) slots()[i] = live[i * live.size() / kSlots];
  return absl::OkStatus();
}

absl::Status TopologyBuilder::SetUnassigned(const Unassigned& unassigned) {
  ShardId shard_id;
  Topology::Rest rest = Topology::Rest::kReject;
  if (std::holds_alternative<UnassignedSlots>(unassigned)) rest = Topology::Rest::kSlots;
  if (const auto* by_shard = std::get_if<UnassignedShard>(&unassigned)) {
    const Shard* shard = next_.FindShard(by_shard->shard);
    if (shard == nullptr) return Unknown("shard", by_shard->shard);
    shard_id = shard->id;
    rest = Topology::Rest::kShard;
  }
  next_.unassigned_ = unassigned;
  next_.default_shard_ = shard_id;
  next_.rest_ = rest;
  return absl::OkStatus();
}

absl::Status TopologyBuilder::RestoreEpoch(std::string_view name, Epoch epoch) {
  const Shard* old = next_.FindShard(name);
  if (old == nullptr) return Unknown("shard", name);
  Shard shard = *old;
  shard.epoch = epoch;
  ReplaceShard(shard);
  return absl::OkStatus();
}

absl::Status TopologyBuilder::RaiseEpoch(std::string_view name, Epoch least) {
  const Shard* shard = next_.FindShard(name);
  if (shard == nullptr) return Unknown("shard", name);
  return shard->epoch < least ? RestoreEpoch(name, least) : absl::OkStatus();
}

// Above the old one too: that may have come from another router.
Epoch TopologyBuilder::EpochAfter(Epoch old) const {
  return std::max(next_version(), Epoch{old.value + 1});
}

void TopologyBuilder::RestoreVersion(Epoch version) {
  next_.version_ = Epoch{version.value == 0 ? 0 : version.value - 1};
}

absl::StatusOr<std::shared_ptr<const Topology>> TopologyBuilder::Build() {
  if (next_.rest_ == Topology::Rest::kSlots) {
    for (size_t i = 0; i < kSlots; ++i) {
      if ((*next_.slots_)[i].valid()) continue;
      size_t last = i;
      while (last + 1 < kSlots && !(*next_.slots_)[last + 1].valid()) ++last;
      return absl::FailedPreconditionError(absl::StrCat(
          "unassigned tenants go by slots, but slots ", i, "-", last, " belong to no shard"));
    }
  }
  if (own_tables_ != nullptr) {
    Topology::Tables& t = *own_tables_;
    t.live_shards.clear();
    t.live_backends.clear();
    for (const auto& slot : t.shards) {
      if (slot.object != nullptr) t.live_shards.push_back(slot.object.get());
    }
    for (const auto& slot : t.backends) {
      if (slot.object != nullptr) t.live_backends.push_back(slot.object.get());
    }
  }
  next_.version_ = next_version();
  own_tables_ = nullptr;  // from here on shared with the snapshot
  own_slots_ = nullptr;
  return std::shared_ptr<const Topology>(new Topology(next_));
}

}  // namespace bulkhead::routing
