#include "proxy/http/fleet_picture.h"

#include <absl/strings/str_cat.h>

#include <map>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "proxy/http/json.h"

namespace bulkhead::http {

namespace {

using metrics::BackendView;
using metrics::ShardState;
using metrics::ShardView;

// The published pictures by name, and what a whole picture adds up.
class PictureMaker {
 public:
  explicit PictureMaker(const PictureParts& parts) : parts_(parts) {
    if (parts.health != nullptr) {
      for (const BackendView& backend : parts.health->backends) backends_[backend.name] = &backend;
      for (const ShardView& shard : parts.health->shards) shards_[shard.name] = &shard;
    }
    for (const routing::ShardId owner : parts.topology->slots()) ++slots_[owner];
    for (const routing::Shard* shard : parts.topology->shards()) {
      roles_[shard->primary].primary_of.push_back(shard->name);
      for (const routing::BackendId replica : shard->replicas)
        roles_[replica].replica_of.push_back(shard->name);
    }
    for (const control::IncidentFacts& incident : parts.incidents) {
      if (incident.over_ms != 0) continue;
      for (const std::string& shard : incident.shards) open_incidents_[shard] = incident.id;
    }
  }

  FleetPicture Make();

 private:
  Json Shard(const routing::Shard& shard);
  Json Backend(const routing::Backend& backend);
  Json Totals() const;
  Json Incidents() const;
  [[nodiscard]] std::string BackendState(const std::string& name) const;
  [[nodiscard]] int64_t Ago(double seconds) const {
    return parts_.now_ms - static_cast<int64_t>(seconds * 1000);
  }
  template <typename T>
  [[nodiscard]] static T At(const std::vector<T>& all, size_t index) {
    return index < all.size() ? all[index] : T{};
  }

  const PictureParts& parts_;
  std::map<std::string, const BackendView*> backends_;
  std::map<std::string, const ShardView*> shards_;
  struct Roles {
    std::vector<std::string> primary_of, replica_of;
  };
  absl::flat_hash_map<routing::BackendId, Roles> roles_;
  absl::flat_hash_map<routing::ShardId, uint64_t> slots_;
  std::map<std::string, uint64_t> open_incidents_;
  uint64_t serving_ = 0, up_ = 0, held_ = 0, tenants_ = 0, affected_ = 0;
  double per_second_ = 0, failed_ = 0;
};

std::string PictureMaker::BackendState(const std::string& name) const {
  const auto it = backends_.find(name);
  return std::string(metrics::kBackendStateNames[it == backends_.end() ? 0 : it->second->state]);
}

std::string NameOf(const routing::Topology& topology, routing::BackendId id) {
  const routing::Backend* backend = topology.backend(id);
  return backend == nullptr ? std::string() : backend->name;
}

void AddGate(const ShardView& view, Json* json) {
  uint64_t held = 0, refused = 0;
  for (const metrics::GateKindView& kind : view.kinds) {
    held += kind.held;
    for (const uint64_t count : kind.refused) refused += count;
  }
  (*json)["held"] = held;
  (*json)["held_reads"] = view.kinds[0].held;
  (*json)["held_writes"] = view.kinds[1].held;
  (*json)["held_bytes"] = view.held_bytes;
  (*json)["limit_statements"] = view.limit_statements;
  (*json)["limit_bytes"] = view.limit_bytes;
  (*json)["refused"] = refused;
  (*json)["outage_seconds"] = Rounded(view.outage_seconds);
  (*json)["release_concurrency"] = view.ramp;
}

void AddFailover(const ShardView& view, Json* json) {
  if (!view.failover_ready.has_value() && !view.fence_configured.has_value()) return;
  Json failover;
  if (view.failover_ready.has_value()) failover["ready"] = *view.failover_ready;
  if (view.fence_configured.has_value()) failover["fence"] = *view.fence_configured;
  failover["why"] = view.failover_words;
  (*json)["failover"] = std::move(failover);
}

Json PictureMaker::Shard(const routing::Shard& shard) {
  const size_t index = shard.id.index;
  const auto found = shards_.find(shard.name);
  const ShardView view = found == shards_.end()
                             ? ShardView{.state = ShardState::kHeld, .text = "not known yet"}
                             : *found->second;
  const ShardRates rates = At(parts_.rates, index);
  const metrics::ShardTotals totals = At(parts_.totals, index);
  const uint64_t tenants = At(parts_.tenants, index);
  const std::string primary = NameOf(*parts_.topology, shard.primary);
  Json json;
  json["name"] = shard.name;
  json["state"] = metrics::kShardStateNames[static_cast<size_t>(view.state)];
  json["since_ms"] = view.since_ms;
  json["why"] = view.text;
  json["primary"] = primary;
  json["primary_state"] = BackendState(primary);
  json["primary_why"] = backends_.contains(primary) ? backends_.at(primary)->reason : "";
  Json replicas = Json::array();
  for (const routing::BackendId id : shard.replicas)
    replicas.push_back(NameOf(*parts_.topology, id));
  json["replicas"] = std::move(replicas);
  json["epoch"] = shard.epoch.value;
  json["tenants"] = tenants;
  json["slots"] = slots_.contains(shard.id) ? slots_.at(shard.id) : 0;
  AddGate(view, &json);
  constexpr auto kUnknown = static_cast<size_t>(metrics::StatementOutcome::kUnknown);
  json["unknown"] = totals.outcomes[kUnknown];
  json["per_second"] = Rounded(rates.per_second);
  json["failed_per_second"] = Rounded(rates.failed);
  json["p50_ms"] = Rounded(rates.p50_ms);
  json["p99_ms"] = Rounded(rates.p99_ms);
  AddFailover(view, &json);
  if (const auto it = open_incidents_.find(shard.name); it != open_incidents_.end())
    json["incident"] = it->second;

  const bool serves = view.state == ShardState::kServing;
  serving_ += serves ? 1 : 0;
  tenants_ += tenants;
  affected_ += serves ? 0 : tenants;
  held_ += view.kinds[0].held + view.kinds[1].held;
  per_second_ += rates.per_second;
  failed_ += rates.failed;
  return json;
}

Json PictureMaker::Backend(const routing::Backend& backend) {
  const auto found = backends_.find(backend.name);
  const BackendView view = found == backends_.end() ? BackendView{} : *found->second;
  const FleetSource::Connections connections = At(parts_.connections, backend.id.index);
  Json json;
  json["name"] = backend.name;
  json["address"] = backend.address.ToString();
  json["state"] = metrics::kBackendStateNames[view.state];
  json["since_ms"] = view.since_ms;
  json["why"] = view.reason;
  const bool up = metrics::kBackendStateNames[view.state] == "up";
  // Only where it says something: it changes with every picture.
  json["last_heard_ms"] = up ? 0 : view.heard_ms;
  Json evidence = Json::array();
  for (const auto& [ago, text] : view.evidence)
    evidence.push_back({{"at_ms", Ago(ago)}, {"text", text}});
  json["evidence"] = std::move(evidence);
  json["primary_of"] = roles_[backend.id].primary_of;
  json["replica_of"] = roles_[backend.id].replica_of;
  json["connections"] = connections.open;
  json["connection_limit"] = connections.limit;
  json["given_up"] = view.given_up;
  json["abandoned"] = view.abandoned;
  json["commits_probed"] = view.canary;
  up_ += up ? 1 : 0;
  return json;
}

Json PictureMaker::Totals() const {
  Json totals;
  totals["shards"] = parts_.topology->shards().size();
  totals["serving"] = serving_;
  totals["backends"] = parts_.topology->backends().size();
  totals["up"] = up_;
  totals["tenants"] = tenants_;
  totals["tenants_affected"] = affected_;
  totals["sessions"] = parts_.sessions;
  totals["held"] = held_;
  totals["unknown"] = parts_.health == nullptr ? 0 : parts_.health->unknown_outcomes;
  totals["per_second"] = Rounded(per_second_);
  totals["failed_per_second"] = Rounded(failed_);
  totals["store_writable"] = parts_.health == nullptr || !parts_.health->store.has_value() ||
                             parts_.health->store->writable;
  return totals;
}

Json PictureMaker::Incidents() const {
  Json incidents = Json::array();
  for (const control::IncidentFacts& incident : parts_.incidents)
    incidents.push_back(IncidentSummary(incident));
  return incidents;
}

FleetPicture PictureMaker::Make() {
  FleetPicture picture;
  picture.topology = parts_.topology->version().value;
  picture.now_ms = parts_.now_ms;
  for (const routing::Shard* shard : parts_.topology->shards())
    picture.shards.push_back(Dump(Shard(*shard)));
  for (const routing::Backend* backend : parts_.topology->backends())
    picture.backends.push_back(Dump(Backend(*backend)));
  Json router;
  router["id"] = parts_.router.id;
  router["version"] = parts_.router.version;
  router["started_ms"] = parts_.router.started_ms;
  router["ready"] = parts_.router.not_ready.empty();
  router["not_ready_because"] = parts_.router.not_ready;
  picture.head = absl::StrCat("\"router\":", Dump(router), ",\"topology\":", picture.topology,
                              ",\"totals\":", Dump(Totals()), ",\"incidents\":", Dump(Incidents()),
                              ",\"last_event\":", parts_.last_event);
  return picture;
}

// Those of `now` that `before` has not.
std::string Array(const std::vector<std::string>& now, const std::vector<std::string>* before) {
  std::string array = "[";
  for (size_t i = 0; i < now.size(); ++i) {
    if (before != nullptr && i < before->size() && (*before)[i] == now[i]) continue;
    if (array.size() > 1) array.push_back(',');
    array.append(now[i]);
  }
  array.push_back(']');
  return array;
}

}  // namespace

Json IncidentSummary(const control::IncidentFacts& incident) {
  Json one;
  one["id"] = incident.id;
  one["backend"] = incident.backend;
  one["shards"] = incident.shards;
  one["worst"] = incident.worst;
  one["last_byte_ms"] = incident.last_byte_ms;
  one["began_ms"] = incident.began_ms;
  one["held_ms"] = incident.held_ms;
  one["verdict_ms"] = incident.verdict_ms;
  one["given_up_ms"] = incident.given_up_ms;
  one["answered_ms"] = incident.answered_ms;
  one["released_ms"] = incident.released_ms;
  one["over_ms"] = incident.over_ms;
  one["most_held"] = incident.numbers.most_held;
  one["refused"] = incident.numbers.refused;
  one["unknown"] = incident.numbers.unknown;
  one["moments"] = incident.moments;
  return one;
}

std::string FleetPicture::Whole() const {
  return absl::StrCat("{\"now_ms\":", now_ms, ",", head, ",\"shards\":", Array(shards, nullptr),
                      ",\"backends\":", Array(backends, nullptr), "}");
}

std::string FleetPicture::ChangesSince(const FleetPicture& before) const {
  return absl::StrCat("{\"now_ms\":", now_ms, ",", head,
                      ",\"shards\":", Array(shards, &before.shards),
                      ",\"backends\":", Array(backends, &before.backends), "}");
}

FleetPicture MakePicture(const PictureParts& parts) { return PictureMaker(parts).Make(); }

}  // namespace bulkhead::http
