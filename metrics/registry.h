// Adds up what all workers counted and renders it for Prometheus.
//
// Purpose: owns the workers' cells; Collect() gives prometheus-cpp's families, RenderText() the
//   text exposition format 0.0.4 as prometheus-cpp's TextSerializer writes it.
// Thread: AddWorker, Collect and RenderText may be called from any thread; a mutex guards the list
//   of workers (never taken on the data path). `names` is called on the scraping thread and must
//   be safe there (it reads the published snapshot).
// Limits: a series for each shard and backend that has a name, times the label values in list.h.
// Errors: none; what can't be read from /proc is left out.
// Sources: prometheus-cpp 1.0 headers; https://prometheus.io/docs/instrumenting/exposition_formats/
#ifndef BULKHEAD_METRICS_REGISTRY_H_
#define BULKHEAD_METRICS_REGISTRY_H_

#include <prometheus/metric_family.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/health_view.h"
#include "metrics/list.h"
#include "metrics/worker_metrics.h"

namespace bulkhead::metrics {

// Names by id, taken from the topology that is published now. An empty name: no such shard or
// backend any more (or not yet), its series are left out.
struct TopologyNames {
  std::vector<std::string> shards;
  std::vector<std::string> backends;
};

class Registry {
 public:
  struct Options {
    std::string version = {};
    double start_time_seconds = 0;  // since the epoch
    std::vector<std::string> pin_reasons =
        {};  // words by index, at most WorkerMetrics::kMaxPinReasons
    std::function<TopologyNames()> names = {};  // may be empty: no shards, no backends
    // The control thread's last picture; may be empty or give null.
    std::function<std::shared_ptr<const HealthView>()> health = {};
  };

  explicit Registry(Options options);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // Lives as long as the registry. `thread` must be unique: "worker-0", "control", ...
  [[nodiscard]] WorkerMetrics* AddWorker(std::string thread);

  // One family per row of kDefinitions, in that order.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Collect() const;
  [[nodiscard]] std::string RenderText() const;

 private:
  const Options options_;
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<WorkerMetrics>> workers_;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_REGISTRY_H_
