// What the metrics registry and the pages ask of the process: topology, tenants by shard, limits,
// certificates, log and HTTP counters, as plain values.
//
// Thread: any, off the data path. Errors: what can't be read is left out.
#ifndef BULKHEAD_PROXY_PROCESS_FACTS_H_
#define BULKHEAD_PROXY_PROCESS_FACTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "metrics/process_view.h"
#include "metrics/registry.h"
#include "proxy/config/options.h"
#include "proxy/control/control_loop.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead {

class HttpSide;

// Of the clock that does not go back.
[[nodiscard]] int64_t SteadyMs();

// How many tenants have an entry for each shard. Walks the whole directory (about 50 ms for a
// million), so only when the topology has changed, and at most once in ten seconds.
class DirectoryCount {
 public:
  static constexpr int64_t kLeastMs = 10'000;
  using TopologyPtr = std::shared_ptr<const routing::Topology>;
  // By shard index. `now_ms`: SteadyMs.
  [[nodiscard]] std::vector<uint64_t> Of(const TopologyPtr& topology, int64_t now_ms);

 private:
  std::mutex mutex_;
  std::optional<routing::Epoch> counted_;
  int64_t counted_ms_ = 0;
  std::vector<uint64_t> counts_;
};

[[nodiscard]] metrics::TopologyView TopologyViewOf(const routing::Topology& topology,
                                                   const std::vector<uint64_t>& tenants,
                                                   uint32_t default_max_connections);

// Role and end (seconds since 1970) of the certificates that the configuration names.
[[nodiscard]] std::vector<std::pair<std::string, int64_t>> CertificateEnds(
    const config::Options& options);

// Of each kind, how many are under way; kinds that are not are there with 0.
[[nodiscard]] std::vector<std::pair<std::string, uint64_t>> RunningByKind(
    const std::vector<control::Operation>& operations);

// What the registry is told, put together from who knows it. Made before them, so they are given
// one by one; all before the first scrape.
class ProcessFacts {
 public:
  // Where the process is in its life: listening and the topology loaded, or on its way out.
  enum class Life : uint8_t { kStarting, kServing, kDraining };

  ProcessFacts() = default;
  ProcessFacts(const ProcessFacts&) = delete;
  ProcessFacts& operator=(const ProcessFacts&) = delete;

  // Those pointed to outlive every scrape.
  control::ControlLoop* control = nullptr;
  const routing::TenantLimits* limits = nullptr;
  const HttpSide* http = nullptr;
  std::atomic<Life> life{Life::kStarting};
  DirectoryCount directory_count;

  // At the start and with each reload. Any thread.
  void SetOptions(std::shared_ptr<const config::Options> options);
  [[nodiscard]] metrics::Registry::Options RegistryOptions(const std::string& version);
  // Why clients can't be served; "": they can.
  [[nodiscard]] std::string NotReady() const;

 private:
  [[nodiscard]] metrics::ProcessView View();
  [[nodiscard]] metrics::TopologyView Topology();

  std::mutex mutex_;  // of both below
  std::shared_ptr<const config::Options> options_;
  std::vector<std::pair<std::string, int64_t>> certificates_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_PROCESS_FACTS_H_
