#include "proxy/control/topology_message.h"

#include <string>
#include <type_traits>
#include <utility>

namespace bulkhead::control {

namespace {

using nlohmann::json;

// Absent values are null.
template <typename T>
json Maybe(const std::optional<T>& value) {
  if (!value.has_value()) return nullptr;
  if constexpr (std::is_enum_v<T>) {
    return static_cast<int64_t>(*value);
  } else if constexpr (std::is_same_v<T, routing::Duration>) {
    return value->count();
  } else {
    return *value;
  }
}
template <typename T>
std::optional<T> MaybeFrom(const json& value) {
  if (value.is_null()) return std::nullopt;
  if constexpr (std::is_enum_v<T>) {
    return static_cast<T>(value.get<int64_t>());
  } else if constexpr (std::is_same_v<T, routing::Duration>) {
    return routing::Duration(value.get<int64_t>());
  } else {
    return value.get<T>();
  }
}

struct ToJson {
  json operator()(const PutBackend& put) const {
    const routing::BackendSpec& spec = put.spec;
    return {{"put_backend", spec.name},
            {"host", spec.address.host},
            {"port", spec.address.port},
            {"socket", spec.address.socket_path},
            {"family", static_cast<int>(spec.family)},
            {"tls", Maybe(spec.tls)},
            {"max_connections", Maybe(spec.max_connections)}};
  }
  json operator()(const EraseBackend& erase) const { return {{"erase_backend", erase.name}}; }
  json operator()(const PutShard& put) const {
    const routing::ShardSpec& spec = put.shard.spec;
    return {{"put_shard", spec.name},
            {"primary", spec.primary},
            {"replicas", spec.replicas},
            {"policy", Maybe(spec.hold.policy)},
            {"max_wait", Maybe(spec.hold.max_wait)},
            {"outage_limit", Maybe(spec.hold.outage_limit)},
            {"max_statements", Maybe(spec.hold.max_statements)},
            {"max_bytes", Maybe(spec.hold.max_bytes)},
            {"production", spec.production},
            {"failover", static_cast<int>(spec.failover)},
            {"epoch", put.shard.epoch.value}};
  }
  json operator()(const EraseShard& erase) const { return {{"erase_shard", erase.name}}; }
  json operator()(const PutTenant& put) const {
    return {{"put_tenant", put.spec.name},
            {"shard", put.spec.shard},
            {"pooling", Maybe(put.spec.pooling)},
            {"hold", Maybe(put.spec.hold)},
            {"physical", put.spec.physical_database}};
  }
  json operator()(const EraseTenant& erase) const { return {{"erase_tenant", erase.name}}; }
  json operator()(const PutSlots& put) const {
    json ranges = json::array();
    for (const StoredSlots& range : put.ranges)
      ranges.push_back({range.first, range.last, range.shard});
    return {{"put_slots", std::move(ranges)}};
  }
  json operator()(const PutUnassigned& put) const {
    json result = {{"put_unassigned", put.unassigned.index()}};
    if (const auto* shard = std::get_if<routing::UnassignedShard>(&put.unassigned))
      result["shard"] = shard->shard;
    return result;
  }
  json operator()(const PutVersion& put) const { return {{"put_version", put.version.value}}; }
  template <typename Other>
  json operator()(const Other&) const {
    return nullptr;
  }
};

StoreEdit FromJson(const json& one) {
  if (one.contains("put_backend")) {
    routing::BackendSpec spec;
    one.at("put_backend").get_to(spec.name);
    one.at("host").get_to(spec.address.host);
    one.at("port").get_to(spec.address.port);
    one.at("socket").get_to(spec.address.socket_path);
    spec.family = static_cast<routing::ServerFamily>(one.at("family").get<int>());
    spec.tls = MaybeFrom<routing::BackendTls>(one.at("tls"));
    spec.max_connections = MaybeFrom<uint32_t>(one.at("max_connections"));
    return PutBackend{std::move(spec)};
  }
  if (one.contains("erase_backend")) return EraseBackend{one.at("erase_backend")};
  if (one.contains("put_shard")) {
    StoredShard shard;
    routing::ShardSpec& spec = shard.spec;
    one.at("put_shard").get_to(spec.name);
    one.at("primary").get_to(spec.primary);
    one.at("replicas").get_to(spec.replicas);
    spec.hold.policy = MaybeFrom<routing::HoldPolicy>(one.at("policy"));
    spec.hold.max_wait = MaybeFrom<routing::Duration>(one.at("max_wait"));
    spec.hold.outage_limit = MaybeFrom<routing::Duration>(one.at("outage_limit"));
    spec.hold.max_statements = MaybeFrom<uint32_t>(one.at("max_statements"));
    spec.hold.max_bytes = MaybeFrom<uint64_t>(one.at("max_bytes"));
    one.at("production").get_to(spec.production);
    spec.failover = static_cast<routing::FailoverMode>(one.at("failover").get<int>());
    one.at("epoch").get_to(shard.epoch.value);
    return PutShard{std::move(shard)};
  }
  if (one.contains("erase_shard")) return EraseShard{one.at("erase_shard")};
  if (one.contains("put_tenant")) {
    routing::TenantSpec spec;
    one.at("put_tenant").get_to(spec.name);
    one.at("shard").get_to(spec.shard);
    spec.pooling = MaybeFrom<routing::Pooling>(one.at("pooling"));
    spec.hold = MaybeFrom<routing::HoldPolicy>(one.at("hold"));
    one.at("physical").get_to(spec.physical_database);
    return PutTenant{std::move(spec)};
  }
  if (one.contains("erase_tenant")) return EraseTenant{one.at("erase_tenant")};
  if (one.contains("put_slots")) {
    PutSlots put;
    for (const json& range : one.at("put_slots"))
      put.ranges.push_back({range.at(0), range.at(1), range.at(2)});
    return put;
  }
  if (one.contains("put_unassigned")) {
    const size_t index = one.at("put_unassigned");
    if (one.contains("shard")) return PutUnassigned{routing::UnassignedShard{one.at("shard")}};
    return index == 1 ? PutUnassigned{routing::UnassignedSlots{}}
                      : PutUnassigned{routing::UnassignedReject{}};
  }
  return PutVersion{routing::Epoch{one.at("put_version").get<uint64_t>()}};
}

// What an edit needs must be there before it, and what nobody names any more goes last.
enum class Turn : uint8_t { kBackends, kShards, kTenants, kSlots, kUnassigned, kShardsGone, kLast };

class Applier {
 public:
  Applier(const routing::Topology& before, routing::TopologyBuilder* builder)
      : before_(before), builder_(builder) {}

  absl::Status Apply(const StoreEdit& edit, Turn turn) {
    return std::visit([&](const auto& one) { return One(one, turn); }, edit);
  }

 private:
  absl::Status One(const PutBackend& put, Turn turn) {
    if (turn != Turn::kBackends) return absl::OkStatus();
    return before_.FindBackend(put.spec.name) == nullptr ? builder_->AddBackend(put.spec)
                                                         : builder_->AlterBackend(put.spec);
  }
  absl::Status One(const EraseBackend& erase, Turn turn) {
    return turn == Turn::kLast ? builder_->DropBackend(erase.name) : absl::OkStatus();
  }
  absl::Status One(const PutShard& put, Turn turn) {
    if (turn != Turn::kShards) return absl::OkStatus();
    const routing::ShardSpec& spec = put.shard.spec;
    const routing::Shard* was = before_.FindShard(spec.name);
    absl::Status status;
    if (was == nullptr) {
      status = builder_->AddShard(spec);
    } else {
      if (before_.backend(was->primary)->name != spec.primary)
        status = builder_->SetPrimary(spec.name, spec.primary);
      if (status.ok()) status = builder_->SetReplicas(spec.name, spec.replicas);
      if (status.ok()) status = builder_->SetHold(spec.name, spec.hold);
      if (status.ok()) status = builder_->SetProduction(spec.name, spec.production);
      if (status.ok()) status = builder_->SetFailover(spec.name, spec.failover);
    }
    if (status.ok()) status = builder_->RestoreEpoch(spec.name, put.shard.epoch);
    return status;
  }
  absl::Status One(const EraseShard& erase, Turn turn) {
    return turn == Turn::kShardsGone ? builder_->DropShard(erase.name) : absl::OkStatus();
  }
  absl::Status One(const PutTenant& put, Turn turn) {
    return turn == Turn::kTenants ? builder_->AssignTenant(put.spec) : absl::OkStatus();
  }
  absl::Status One(const EraseTenant& erase, Turn turn) {
    return turn == Turn::kTenants ? builder_->DropTenant(erase.name) : absl::OkStatus();
  }
  absl::Status One(const PutSlots& put, Turn turn) {
    if (turn != Turn::kSlots) return absl::OkStatus();
    absl::Status status = builder_->AssignSlots(0, routing::kSlots - 1, "");
    for (const StoredSlots& range : put.ranges) {
      if (status.ok()) status = builder_->AssignSlots(range.first, range.last, range.shard);
    }
    return status;
  }
  absl::Status One(const PutUnassigned& put, Turn turn) {
    return turn == Turn::kUnassigned ? builder_->SetUnassigned(put.unassigned) : absl::OkStatus();
  }
  absl::Status One(const PutVersion& put, Turn turn) {
    if (turn == Turn::kLast) builder_->RestoreVersion(put.version);
    return absl::OkStatus();
  }
  template <typename Other>
  absl::Status One(const Other&, Turn) {
    return absl::OkStatus();
  }

  const routing::Topology& before_;
  routing::TopologyBuilder* const builder_;
};

}  // namespace

nlohmann::json EditsToJson(const std::vector<StoreEdit>& edits) {
  json result = json::array();
  for (const StoreEdit& edit : edits) {
    if (json one = std::visit(ToJson{}, edit); !one.is_null()) result.push_back(std::move(one));
  }
  return result;
}

absl::StatusOr<std::vector<StoreEdit>> EditsFromJson(const nlohmann::json& json) {
  std::vector<StoreEdit> edits;
  // The library's exceptions end here.
  try {
    for (const nlohmann::json& one : json) edits.push_back(FromJson(one));
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return edits;
}

absl::StatusOr<std::shared_ptr<const routing::Topology>> ApplyEdits(
    const routing::Topology& before, const std::vector<StoreEdit>& edits) {
  routing::TopologyBuilder builder(before);
  Applier applier(before, &builder);
  for (const Turn turn : {Turn::kBackends, Turn::kShards, Turn::kTenants, Turn::kSlots,
                          Turn::kUnassigned, Turn::kShardsGone, Turn::kLast}) {
    for (const StoreEdit& edit : edits) {
      if (absl::Status status = applier.Apply(edit, turn); !status.ok()) return status;
    }
  }
  return builder.Build();
}

}  // namespace bulkhead::control
