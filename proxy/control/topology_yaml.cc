#include "proxy/control/topology_yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/values.h"

namespace bulkhead::control {

namespace {

using config::DurationText;
using config::SizeText;

void EmitBackend(YAML::Emitter* out, const routing::BackendSpec& spec) {
  *out << YAML::Flow << YAML::BeginMap << YAML::Key << "name" << YAML::Value << spec.name
       << YAML::Key << "address" << YAML::Value << YAML::DoubleQuoted << spec.address.ToString();
  if (spec.family != routing::ServerFamily::kAuto)
    *out << YAML::Key << "family" << YAML::Value << std::string(ToString(spec.family));
  if (spec.tls.has_value())
    *out << YAML::Key << "tls" << YAML::Value << std::string(ToString(*spec.tls));
  if (spec.max_connections.has_value())
    *out << YAML::Key << "max_connections" << YAML::Value << *spec.max_connections;
  *out << YAML::EndMap;
}

void EmitHold(YAML::Emitter* out, const routing::HoldOverrides& hold) {
  if (hold == routing::HoldOverrides{}) return;
  *out << YAML::Key << "hold" << YAML::Value << YAML::Flow << YAML::BeginMap;
  if (hold.policy.has_value())
    *out << YAML::Key << "policy" << YAML::Value << std::string(ToString(*hold.policy));
  if (hold.max_wait.has_value())
    *out << YAML::Key << "max_wait" << YAML::Value << DurationText(*hold.max_wait);
  if (hold.outage_limit.has_value())
    *out << YAML::Key << "outage_limit" << YAML::Value << DurationText(*hold.outage_limit);
  if (hold.max_statements.has_value())
    *out << YAML::Key << "max_statements" << YAML::Value << *hold.max_statements;
  if (hold.max_bytes.has_value())
    *out << YAML::Key << "max_bytes" << YAML::Value << SizeText(*hold.max_bytes);
  *out << YAML::EndMap;
}

void EmitShard(YAML::Emitter* out, const routing::ShardSpec& spec) {
  *out << YAML::Flow << YAML::BeginMap << YAML::Key << "name" << YAML::Value << spec.name
       << YAML::Key << "primary" << YAML::Value << spec.primary;
  if (!spec.replicas.empty())
    *out << YAML::Key << "replicas" << YAML::Value << YAML::Flow << spec.replicas;
  if (spec.production) *out << YAML::Key << "production" << YAML::Value << true;
  if (spec.failover != routing::FailoverMode::kManual)
    *out << YAML::Key << "failover" << YAML::Value << std::string(ToString(spec.failover));
  EmitHold(out, spec.hold);
  *out << YAML::EndMap;
}

void EmitLimit(YAML::Emitter* out, const routing::TenantLimit& limit) {
  *out << YAML::Key << "limits" << YAML::Value << YAML::Flow << YAML::BeginMap;
  *out << YAML::Key << "sessions" << YAML::Value << limit.sessions;
  *out << YAML::Key << "running" << YAML::Value << limit.running;
  *out << YAML::Key << "per_second" << YAML::Value << limit.per_second;
  *out << YAML::Key << "burst" << YAML::Value << limit.burst;
  *out << YAML::EndMap;
}

void EmitTenant(YAML::Emitter* out, const routing::TenantSpec& spec,
                const routing::TenantLimit* limit) {
  *out << YAML::Flow << YAML::BeginMap << YAML::Key << "name" << YAML::Value << YAML::DoubleQuoted
       << spec.name << YAML::Key << "shard" << YAML::Value << spec.shard;
  if (spec.pooling.has_value())
    *out << YAML::Key << "pooling" << YAML::Value << std::string(ToString(*spec.pooling));
  if (spec.hold.has_value())
    *out << YAML::Key << "hold" << YAML::Value << std::string(ToString(*spec.hold));
  if (!spec.physical_database.empty()) {
    *out << YAML::Key << "physical_database" << YAML::Value << YAML::DoubleQuoted
         << spec.physical_database;
  }
  if (limit != nullptr) EmitLimit(out, *limit);
  *out << YAML::EndMap;
}

void EmitUnassigned(YAML::Emitter* out, const routing::Unassigned& unassigned) {
  *out << YAML::Key << "tenancy" << YAML::Value << YAML::BeginMap << YAML::Key << "unassigned"
       << YAML::Value;
  if (const auto* shard = std::get_if<routing::UnassignedShard>(&unassigned)) {
    *out << YAML::Flow << YAML::BeginMap << YAML::Key << "shard" << YAML::Value << shard->shard
         << YAML::EndMap;
  } else {
    *out << (std::holds_alternative<routing::UnassignedSlots>(unassigned) ? "slots" : "reject");
  }
  *out << YAML::EndMap;
}

void EmitSlots(YAML::Emitter* out, const std::vector<StoredSlots>& slots) {
  *out << YAML::Key << "slots" << YAML::Value << YAML::BeginSeq;
  for (const StoredSlots& range : slots) {
    *out << YAML::Flow << YAML::BeginMap << YAML::Key << "range" << YAML::Value
         << YAML::DoubleQuoted << absl::StrCat(range.first, "-", range.last) << YAML::Key << "shard"
         << YAML::Value << range.shard << YAML::EndMap;
  }
  *out << YAML::EndSeq;
}

// --- describing
struct Words {
  const StoredState& state;

  template <typename Rows, typename NameOf>
  bool Has(const Rows& rows, const std::string& name, NameOf name_of) const {
    return std::any_of(rows.begin(), rows.end(),
                       [&](const auto& row) { return name_of(row) == name; });
  }
  std::string operator()(const PutBackend& put) const {
    const bool had = Has(state.backends, put.spec.name, [](const auto& b) { return b.name; });
    return absl::StrCat(had ? "~ backend " : "+ backend ", put.spec.name, " at ",
                        put.spec.address.ToString());
  }
  std::string operator()(const EraseBackend& erase) const { return "- backend " + erase.name; }
  std::string operator()(const PutShard& put) const {
    const std::string& name = put.shard.spec.name;
    for (const StoredShard& shard : state.shards) {
      if (shard.spec.name != name) continue;
      if (shard.spec.primary == put.shard.spec.primary) return "~ shard " + name;
      return "~ shard " + name + ": primary " + shard.spec.primary + " -> " +
             put.shard.spec.primary;
    }
    return "+ shard " + name + " on backend " + put.shard.spec.primary;
  }
  std::string operator()(const EraseShard& erase) const { return "- shard " + erase.name; }
  std::string operator()(const PutTenant& put) const {
    for (const routing::TenantSpec& tenant : state.tenants) {
      if (tenant.name != put.spec.name) continue;
      if (tenant.shard == put.spec.shard) return "~ tenant " + tenant.name;
      return "~ tenant " + tenant.name + ": shard " + tenant.shard + " -> " + put.spec.shard;
    }
    return "+ tenant " + put.spec.name + " on shard " + put.spec.shard;
  }
  std::string operator()(const EraseTenant& erase) const { return "- tenant " + erase.name; }
  std::string operator()(const PutSlots& put) const {
    return absl::StrCat("~ slots: ", put.ranges.size(), " ranges");
  }
  std::string operator()(const PutUnassigned&) const { return "~ unassigned tenants"; }
  std::string operator()(const PutLimit& put) const {
    return (put.limit.has_value() ? "~ limits of tenant " : "- limits of tenant ") + put.tenant;
  }
  template <typename Other>
  std::string operator()(const Other&) const {
    return {};
  }
};

}  // namespace

std::string ToYaml(const StoredState& state) {
  YAML::Emitter out;
  out.SetMapFormat(YAML::Block);
  out.SetSeqFormat(YAML::Block);
  out << YAML::BeginMap;
  EmitUnassigned(&out, state.unassigned);
  out << YAML::Key << "topology" << YAML::Value << YAML::BeginMap;
  out << YAML::Key << "backends" << YAML::Value << YAML::BeginSeq;
  for (const routing::BackendSpec& backend : state.backends) EmitBackend(&out, backend);
  out << YAML::EndSeq << YAML::Key << "shards" << YAML::Value << YAML::BeginSeq;
  for (const StoredShard& shard : state.shards) EmitShard(&out, shard.spec);
  out << YAML::EndSeq << YAML::Key << "tenants" << YAML::Value << YAML::BeginSeq;
  for (const routing::TenantSpec& tenant : state.tenants) {
    auto limit = state.limits.find(tenant.name);
    EmitTenant(&out, tenant, limit == state.limits.end() ? nullptr : &limit->second);
  }
  out << YAML::EndSeq;
  EmitSlots(&out, state.slots);
  out << YAML::EndMap << YAML::EndMap;
  return absl::StrCat("# The topology of bulkhead, as stored in revision ", state.revision, ".\n",
                      out.c_str(), "\n");
}

absl::StatusOr<std::vector<StoreEdit>> EditsForImport(const StoredState& state,
                                                      const config::Options& wanted) {
  const auto before = BuildTopology(state);
  if (!before.ok()) return before.status();
  // As wanted, but with versions that go on: a shard that keeps its primary keeps its epoch.
  routing::TopologyBuilder builder(*wanted.topology);
  const routing::Epoch version{(*before)->version().value + 1};
  for (const routing::Shard* shard : wanted.topology->shards()) {
    const routing::Shard* was = (*before)->FindShard(shard->name);
    const bool same = was != nullptr && (*before)->backend(was->primary)->name ==
                                            wanted.topology->backend(shard->primary)->name;
    if (absl::Status status = builder.RestoreEpoch(shard->name, same ? was->epoch : version);
        !status.ok()) {
      return status;
    }
  }
  builder.RestoreVersion(version);
  const auto after = builder.Build();
  if (!after.ok()) return after.status();
  std::vector<StoreEdit> edits = EditsBetween(**before, **after, std::nullopt);
  const std::map<std::string, routing::TenantLimit> limits(wanted.tenant_limits.begin(),
                                                           wanted.tenant_limits.end());
  for (const auto& [tenant, limit] : limits) {
    auto it = state.limits.find(tenant);
    if (it == state.limits.end() || !(it->second == limit))
      edits.push_back(PutLimit{tenant, limit});
  }
  for (const auto& [tenant, limit] : state.limits) {
    if (!limits.contains(tenant)) edits.push_back(PutLimit{tenant, std::nullopt});
  }
  if (edits.size() == 1) edits.clear();  // the version alone
  return edits;
}

std::vector<std::string> Describe(const StoredState& state, const std::vector<StoreEdit>& edits) {
  std::vector<std::string> lines;
  for (const StoreEdit& edit : edits) {
    if (std::string line = std::visit(Words{state}, edit); !line.empty())
      lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace bulkhead::control
