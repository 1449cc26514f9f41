// Where the status page's data comes from: what the process has published or counted.
//
// Purpose: the seam between the pages and the rest of the process (proxy/http_setup.cc), so that
// pages can be tested without one. Nothing here waits for a worker or a backend.
// Threads: all methods from any thread. Times: milliseconds since 1970.
#ifndef BULKHEAD_PROXY_HTTP_FLEET_SOURCE_H_
#define BULKHEAD_PROXY_HTTP_FLEET_SOURCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/health_view.h"
#include "metrics/registry.h"
#include "proxy/control/event_log.h"
#include "proxy/control/incident_log.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::http {

struct RouterFacts {
  std::string id{};
  std::string version{};
  int64_t started_ms = 0;
  std::string not_ready{};  // why not; empty: ready
};

struct UnknownFacts {
  int64_t sent_ms = 0;
  std::string tenant{}, shard{}, backend{}, digest{};
  uint32_t connection = 0;  // the server's number of it
  uint64_t session = 0;     // the client's
};

class FleetSource {
 public:
  using TopologyPtr = std::shared_ptr<const routing::Topology>;
  virtual ~FleetSource() = default;

  [[nodiscard]] virtual RouterFacts Router() const = 0;
  [[nodiscard]] virtual TopologyPtr Topology() const = 0;
  // May be null: nothing was published yet.
  [[nodiscard]] virtual std::shared_ptr<const metrics::HealthView> Health() const = 0;
  // By shard index.
  virtual void ReadShards(std::vector<metrics::ShardTotals>* out) const = 0;
  // Entries of the directory, by shard index; may be a few seconds old.
  [[nodiscard]] virtual std::vector<uint64_t> TenantCounts(const TopologyPtr& topology) const = 0;
  // Connections to a backend of all workers, and how many there may be; by backend index.
  struct Connections {
    int64_t open = 0;
    uint32_t limit = 0;
  };
  [[nodiscard]] virtual std::vector<Connections> BackendConnections(
      const routing::Topology& topology) const = 0;
  [[nodiscard]] virtual int64_t Sessions() const = 0;
  [[nodiscard]] virtual std::vector<metrics::TenantBoard::Tenant> BusiestTenants() const = 0;
  [[nodiscard]] virtual routing::TenantLimits::Usage UsageOf(std::string_view tenant) const = 0;
  [[nodiscard]] virtual routing::TenantLimit LimitOf(std::string_view tenant) const = 0;

  [[nodiscard]] virtual std::vector<control::Event> EventsAfter(uint64_t id) const = 0;
  [[nodiscard]] virtual std::vector<control::Operation> Operations() const = 0;
  // The newest first.
  [[nodiscard]] virtual std::vector<control::IncidentFacts> Incidents(size_t most) const = 0;
  [[nodiscard]] virtual std::optional<control::Incident> FindIncident(uint64_t id) const = 0;
  // The newest first.
  [[nodiscard]] virtual std::vector<UnknownFacts> Unknown(size_t most) const = 0;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_FLEET_SOURCE_H_
