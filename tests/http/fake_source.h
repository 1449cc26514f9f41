// A fleet that a test makes up: what pages would read of a running process.
#ifndef BULKHEAD_TESTS_HTTP_FAKE_SOURCE_H_
#define BULKHEAD_TESTS_HTTP_FAKE_SOURCE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy/http/fleet_source.h"

namespace bulkhead::http {

// Shards s1, s2, ... on backends db1, db2, ... with one tenant each: t1, t2, ...
class FakeSource final : public FleetSource {
 public:
  explicit FakeSource(int shards) { SetShards(shards); }

  void SetShards(int shards) {
    routing::TopologyBuilder builder;
    auto view = std::make_shared<metrics::HealthView>();
    for (int i = 1; i <= shards; ++i) {
      const std::string number = std::to_string(i);
      Must(builder.AddBackend(
          {.name = "db" + number, .address = {.host = "10.0.0." + number, .port = 3306}}));
      Must(builder.AddShard({.name = "s" + number, .primary = "db" + number}));
      Must(builder.AddTenant({.name = "t" + number, .shard = "s" + number}));
      metrics::BackendView backend;
      backend.name = "db" + number;
      backend.state = 1;
      view->backends.push_back(backend);
      metrics::ShardView shard;
      shard.name = "s" + number;
      shard.serving = true;
      shard.limit_statements = 5000;
      view->shards.push_back(shard);
    }
    topology = *builder.Build();
    health = std::move(view);
    totals.resize(static_cast<size_t>(shards));
  }
  static void Must(const absl::Status& status) {
    if (!status.ok()) std::abort();
  }
  // Dropped and made anew: the same name, another id.
  void ReplaceShard(const std::string& name) {
    routing::TopologyBuilder builder(*topology);
    const std::string tenant = "t" + name.substr(1);
    const std::string primary = topology->backend(topology->FindShard(name)->primary)->name;
    Must(builder.DropTenant(tenant));
    Must(builder.DropShard(name));
    Must(builder.AddShard({.name = name, .primary = primary}));
    Must(builder.AddTenant({.name = tenant, .shard = name}));
    topology = *builder.Build();
  }
  // A copy to change; published when it is given back.
  [[nodiscard]] metrics::HealthView View() const { return *health; }
  void Publish(metrics::HealthView view) {
    health = std::make_shared<const metrics::HealthView>(std::move(view));
  }

  RouterFacts Router() const override { return router; }
  TopologyPtr Topology() const override { return topology; }
  std::shared_ptr<const metrics::HealthView> Health() const override { return health; }
  void ReadShards(std::vector<metrics::ShardTotals>* out) const override {
    for (size_t i = 0; i < out->size() && i < totals.size(); ++i) (*out)[i] = totals[i];
  }
  std::vector<uint64_t> TenantCounts(const TopologyPtr& of) const override {
    return std::vector<uint64_t>(of->shards().size(), 1);
  }
  std::vector<Connections> BackendConnections(const routing::Topology& of) const override {
    return std::vector<Connections>(of.backends().size(), {3, 200});
  }
  int64_t Sessions() const override { return 7; }
  std::vector<metrics::TenantBoard::Tenant> BusiestTenants() const override { return busiest; }
  routing::TenantLimits::Usage UsageOf(std::string_view) const override { return {1, 2, 3}; }
  routing::TenantLimit LimitOf(std::string_view) const override { return limit; }
  std::vector<control::Event> EventsAfter(uint64_t id) const override {
    std::vector<control::Event> after;
    for (const control::Event& event : events) {
      if (event.id > id) after.push_back(event);
    }
    return after;
  }
  std::vector<control::Operation> Operations() const override { return operations; }
  std::vector<control::IncidentFacts> Incidents(size_t most) const override {
    std::vector<control::IncidentFacts> newest;
    for (auto it = incidents.rbegin(); it != incidents.rend() && newest.size() < most; ++it) {
      newest.push_back(*it);
      newest.back().moments = it->timeline.size();
    }
    return newest;
  }
  std::optional<control::Incident> FindIncident(uint64_t id) const override {
    for (const control::Incident& incident : incidents) {
      if (incident.id == id) return incident;
    }
    return std::nullopt;
  }
  std::vector<UnknownFacts> Unknown(size_t most) const override {
    return {unknown.begin(), unknown.begin() + static_cast<long>(std::min(most, unknown.size()))};
  }

  RouterFacts router{.id = "0123456789abcdef", .version = "1.2.3", .started_ms = 1000};
  TopologyPtr topology;
  std::shared_ptr<const metrics::HealthView> health;
  std::vector<metrics::ShardTotals> totals;
  std::vector<metrics::TenantBoard::Tenant> busiest;
  routing::TenantLimit limit;
  std::vector<control::Event> events;
  std::vector<control::Operation> operations;
  std::vector<control::Incident> incidents;
  std::vector<UnknownFacts> unknown;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_TESTS_HTTP_FAKE_SOURCE_H_
