// The fleet at one moment, as the JSON that pages show.
//
// Purpose: FleetPicture holds each shard's and each backend's object as text, so that a stream can
// send what has changed by comparing texts; MakePicture puts them together from what is published.
// docs/API.md describes the fields. Pure. Thread: immutable once made.
#ifndef BULKHEAD_PROXY_HTTP_FLEET_PICTURE_H_
#define BULKHEAD_PROXY_HTTP_FLEET_PICTURE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "metrics/health_view.h"
#include "metrics/registry.h"
#include "proxy/control/incident_log.h"
#include "proxy/http/fleet_source.h"
#include "proxy/http/json.h"
#include "routing/topology.h"

namespace bulkhead::http {

// Of the last second, of one shard.
struct ShardRates {
  double per_second = 0;
  double failed = 0;
  double p50_ms = 0;
  double p99_ms = 0;
};

struct FleetPicture {
  uint64_t number = 0;    // raised with each picture
  uint64_t topology = 0;  // its version: what there is, and in which order
  int64_t now_ms = 0;
  std::string head{};  // "router", "totals", "incidents", "last_event": without braces
  // In the topology's order.
  std::vector<std::string> shards{};
  std::vector<std::string> backends{};

  // {"now_ms": ..., head, "shards": [...], "backends": [...]}
  [[nodiscard]] std::string Whole() const;
  // The same with only those shards and backends that differ; `before` of the same topology.
  [[nodiscard]] std::string ChangesSince(const FleetPicture& before) const;
};

struct PictureParts {
  RouterFacts router{};
  FleetSource::TopologyPtr topology{};
  std::shared_ptr<const metrics::HealthView> health{};  // may be null
  std::vector<metrics::ShardTotals> totals{};           // by shard index
  std::vector<ShardRates> rates{};                      // by shard index
  std::vector<uint64_t> tenants{};                      // by shard index
  std::vector<FleetSource::Connections> connections{};  // by backend index
  std::vector<control::IncidentFacts> incidents{};
  int64_t sessions = 0;
  uint64_t last_event = 0;
  int64_t now_ms = 0;
};

// One incident without its moments.
[[nodiscard]] Json IncidentSummary(const control::IncidentFacts& incident);

[[nodiscard]] FleetPicture MakePicture(const PictureParts& parts);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_FLEET_PICTURE_H_
