// Adds up what all workers counted and renders it for Prometheus.
//
// Purpose: owns the workers' cells; Collect() gives prometheus-cpp's families, RenderText() the
//   text exposition format 0.0.4.
// Thread: AddWorker, Collect and RenderText may be called from any thread; a mutex guards the list
//   of workers (never taken on the data path). Options' functions are called on the scraping thread
//   and must be safe there (they read published snapshots).
// Limits: a series for each shard and backend that has a name, times the label values in list.h.
// Errors: none; what can't be read from /proc is left out.
// Sources: prometheus-cpp 1.0 headers; https://prometheus.io/docs/instrumenting/exposition_formats/
#ifndef BULKHEAD_METRICS_REGISTRY_H_
#define BULKHEAD_METRICS_REGISTRY_H_

#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/health_view.h"
#include "metrics/list.h"
#include "metrics/process_view.h"
#include "metrics/worker_metrics.h"

namespace bulkhead::metrics {

// What the scrape needs of the topology that is published now, by id. An empty name: no such shard
// or backend any more (or not yet), its series are left out.
struct TopologyView {
  struct Shard {
    std::string name{};
    std::string primary{};
    uint64_t epoch = 0;
    std::optional<uint64_t> tenants{};  // entries in the directory; absent: not counted yet
  };
  struct Backend {
    std::string name{};
    uint32_t max_connections = 0;
  };
  uint64_t version = 0;
  std::vector<Shard> shards{};
  std::vector<Backend> backends{};
};

// What all workers have counted of one shard, all kinds together: for the status page's samples.
struct ShardTotals {
  std::array<uint64_t, kStatementOutcomeNames.size()> outcomes{};
  std::array<uint64_t, Histogram::kBuckets> buckets{};
};

class Sink;
class TextSink;

class Registry {
 public:
  struct Options {
    std::string version = {};
    double start_time_seconds = 0;  // since the epoch
    std::vector<std::string> pin_reasons =
        {};                        // words by index, at most WorkerMetrics::kMaxPinReasons
    uint32_t busiest_tenants = 0;  // how many tenants get series of their own
    std::function<TopologyView()> topology = {};  // may be empty: no shards, no backends
    // The control thread's last picture; may be empty or give null.
    std::function<std::shared_ptr<const HealthView>()> health = {};
    std::function<ProcessView()> process = {};  // may be empty: left out
  };

  explicit Registry(Options options);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // Lives as long as the registry. `thread` must be unique: "worker-0", "control", ...
  [[nodiscard]] WorkerMetrics* AddWorker(std::string thread);

  // The control thread's own cells. They live as long as the registry.
  [[nodiscard]] ControlMetrics* control() { return &control_; }

  // One family per row of kDefinitions, in that order.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const;
  [[nodiscard]] std::string RenderText() const;
  // The same without a copy. Its memory is used again once nobody holds it.
  [[nodiscard]] std::shared_ptr<const std::string> SharedText() const;

  // Fills the elements, by shard id.
  void ReadShards(std::vector<ShardTotals>* out) const;
  // Fills the elements, by backend id: connections that are open or being opened.
  void ReadConnections(std::vector<int64_t>* out) const;
  // Client sessions that are logged in.
  [[nodiscard]] int64_t Sessions() const;
  [[nodiscard]] std::vector<TenantBoard::Tenant> BusiestTenants() const {
    return tenants_.Busiest();
  }

 private:
  void AddAll(Sink* out) const;

  const Options options_;
  TenantBoard tenants_;
  ControlMetrics control_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<WorkerMetrics>> workers_;
  mutable std::mutex text_mutex_;  // one scrape at a time makes its text
  std::unique_ptr<TextSink> text_sink_;
  mutable std::shared_ptr<std::string> text_;  // the last one
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_REGISTRY_H_
