#include "metrics/registry.h"

#include <prometheus/text_serializer.h>

#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include "metrics/process_stats.h"

namespace bulkhead::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

using Workers = std::vector<std::unique_ptr<WorkerMetrics>>;

struct HistogramSum {
  std::array<uint64_t, Histogram::kBuckets> buckets{};
  uint64_t sum_ns = 0;
  uint64_t count = 0;

  void Add(const Histogram& histogram) {
    for (size_t i = 0; i < buckets.size(); ++i) {
      const uint64_t n = histogram.ReadBucket(i);
      buckets[i] += n;
      count += n;
    }
    sum_ns += histogram.ReadSumNs();
  }
};

// All families of one scrape, by Metric. Labels are given as values only, in the order of the
// definition's label names.
class Families {
 public:
  Families() : families_(kDefinitions.size()) {
    for (size_t i = 0; i < kDefinitions.size(); ++i) {
      families_[i].name = kDefinitions[i].name;
      families_[i].help = kDefinitions[i].help;
      switch (kDefinitions[i].type) {
        case Type::kCounter:
          families_[i].type = prometheus::MetricType::Counter;
          break;
        case Type::kGauge:
          families_[i].type = prometheus::MetricType::Gauge;
          break;
        case Type::kHistogram:
          families_[i].type = prometheus::MetricType::Histogram;
          break;
      }
    }
  }

  void Add(Metric metric, std::initializer_list<std::string_view> labels, double value) {
    ClientMetric& sample = NewSample(metric, labels);
    if (DefinitionOf(metric).type == Type::kCounter) {
      sample.counter.value = value;
    } else {
      sample.gauge.value = value;
    }
  }

  void Add(Metric metric, std::optional<double> value) {
    if (value.has_value()) Add(metric, {}, *value);
  }

  void Add(Metric metric, std::initializer_list<std::string_view> labels,
           const HistogramSum& histogram) {
    ClientMetric& sample = NewSample(metric, labels);
    sample.histogram.sample_count = histogram.count;
    sample.histogram.sample_sum = static_cast<double>(histogram.sum_ns) / 1e9;
    uint64_t cumulative = 0;
    for (size_t i = 0; i < kDurationBoundsNs.size(); ++i) {
      cumulative += histogram.buckets[i];
      sample.histogram.bucket.push_back(
          {.cumulative_count = cumulative,
           .upper_bound = static_cast<double>(kDurationBoundsNs[i]) / 1e9});
    }
    // The serializer adds the +Inf bucket from sample_count.
  }

  [[nodiscard]] std::vector<MetricFamily> Take() && { return std::move(families_); }

 private:
  ClientMetric& NewSample(Metric metric, std::initializer_list<std::string_view> labels) {
    ClientMetric& sample = families_[static_cast<size_t>(metric)].metric.emplace_back();
    std::string_view names = DefinitionOf(metric).labels;
    for (std::string_view value : labels) {
      const size_t comma = names.find(',');
      sample.label.push_back(
          {.name = std::string(names.substr(0, comma)), .value = std::string(value)});
      names = comma == std::string_view::npos ? "" : names.substr(comma + 1);
    }
    return sample;
  }

  std::vector<MetricFamily> families_;
};

// The sum over workers of what `read(worker)` gives.
template <typename Read>
double Sum(const Workers& workers, Read read) {
  double sum = 0;
  for (const auto& worker : workers) sum += static_cast<double>(read(*worker));
  return sum;
}

// The same over those workers that have the element `id` of a growing array.
template <typename Array, typename Read>
double SumOf(const Workers& workers, Array WorkerMetrics::*array, size_t id, Read read) {
  double sum = 0;
  for (const auto& worker : workers) {
    const auto* element = ((*worker).*array).Find(id);
    if (element != nullptr) sum += static_cast<double>(read(*element));
  }
  return sum;
}

void AddWorkerTotals(const Workers& workers, std::span<const std::string> pin_reasons,
                     Families* out) {
  for (size_t i = 0; i < kSessionStateNames.size(); ++i) {
    out->Add(Metric::kSessions, {kSessionStateNames[i]},
             Sum(workers, [i](const auto& w) { return w.sessions.AtIndex(i).Read(); }));
  }
  out->Add(Metric::kClientConnections, {},
           Sum(workers, [](const auto& w) { return w.client_connections.Read(); }));
  for (size_t i = 0; i < kLoginFailureNames.size(); ++i) {
    out->Add(Metric::kLoginsFailed, {kLoginFailureNames[i]},
             Sum(workers, [i](const auto& w) { return w.logins_failed.AtIndex(i).Read(); }));
  }
  for (size_t i = 0; i < kDirectionNames.size(); ++i) {
    out->Add(Metric::kClientBytes, {kDirectionNames[i]},
             Sum(workers, [i](const auto& w) { return w.client_bytes.AtIndex(i).Read(); }));
  }
  for (size_t i = 0; i < pin_reasons.size() && i < WorkerMetrics::kMaxPinReasons; ++i) {
    out->Add(Metric::kPinnedSessions, {pin_reasons[i]},
             Sum(workers, [i](const auto& w) { return w.pinned_sessions.AtIndex(i).Read(); }));
  }
  for (size_t i = 0; i < kRestoreKindNames.size(); ++i) {
    out->Add(Metric::kPoolRestores, {kRestoreKindNames[i]},
             Sum(workers, [i](const auto& w) { return w.pool_restores.AtIndex(i).Read(); }));
  }
  for (const auto& worker : workers) {
    HistogramSum lag;
    lag.Add(worker->loop_lag);
    out->Add(Metric::kLoopLag, {worker->thread}, lag);
  }
}

// `elements`: what each worker counted for one shard, or for none.
void AddShard(std::string_view name, const std::vector<const ShardMetrics*>& elements,
              Families* out) {
  for (size_t kind = 0; kind < kStatementKindNames.size(); ++kind) {
    for (size_t outcome = 0; outcome < kStatementOutcomeNames.size(); ++outcome) {
      uint64_t count = 0;
      for (const ShardMetrics* shard : elements) {
        count += shard->statements.AtIndex(kind).AtIndex(outcome).Read();
      }
      out->Add(Metric::kStatements,
               {name, kStatementKindNames[kind], kStatementOutcomeNames[outcome]},
               static_cast<double>(count));
    }
    HistogramSum duration;
    for (const ShardMetrics* shard : elements) duration.Add(shard->duration.AtIndex(kind));
    if (duration.count > 0) {
      out->Add(Metric::kStatementDuration, {name, kStatementKindNames[kind]}, duration);
    }
  }
}

void AddShards(const Workers& workers, std::span<const std::string> names, Families* out) {
  std::vector<const ShardMetrics*> elements;
  for (size_t id = 0; id < names.size(); ++id) {
    if (names[id].empty()) continue;
    elements.clear();
    for (const auto& worker : workers) {
      if (const ShardMetrics* shard = worker->shards.Find(id)) elements.push_back(shard);
    }
    AddShard(names[id], elements, out);
  }
  elements.clear();
  for (const auto& worker : workers) {
    elements.push_back(&worker->unrouted);
    elements.push_back(&worker->shards.overflow());
  }
  AddShard("", elements, out);
}

void AddBackends(const Workers& workers, std::span<const std::string> names, Families* out) {
  for (size_t id = 0; id < names.size(); ++id) {
    const std::string& name = names[id];
    if (name.empty()) continue;
    const auto sum = [&](auto read) { return SumOf(workers, &WorkerMetrics::backends, id, read); };
    for (size_t i = 0; i < kPoolStateNames.size(); ++i) {
      out->Add(Metric::kPoolConnections, {name, kPoolStateNames[i]},
               sum([i](const auto& b) { return b.connections.AtIndex(i).Read(); }));
    }
    out->Add(Metric::kPoolWaiting, {name}, sum([](const auto& b) { return b.waiting.Read(); }));
    out->Add(Metric::kPoolWaits, {name}, sum([](const auto& b) { return b.waits.Read(); }));
    for (size_t i = 0; i < kConnectResultNames.size(); ++i) {
      out->Add(Metric::kPoolConnects, {name, kConnectResultNames[i]},
               sum([i](const auto& b) { return b.connects.AtIndex(i).Read(); }));
    }
    for (size_t i = 0; i < kDirectionNames.size(); ++i) {
      out->Add(Metric::kBackendBytes, {name, kDirectionNames[i]},
               sum([i](const auto& b) { return b.bytes.AtIndex(i).Read(); }));
    }
  }
}

void AddBackendHealth(const BackendView& backend, Families* out) {
  for (size_t i = 0; i < kBackendStateNames.size(); ++i) {
    out->Add(Metric::kBackendState, {backend.name, kBackendStateNames[i]},
             i == backend.state ? 1.0 : 0.0);
    out->Add(Metric::kBackendStateChanges, {backend.name, kBackendStateNames[i]},
             static_cast<double>(backend.entered[i]));
  }
  out->Add(Metric::kBackendSilence, {backend.name}, backend.silent_seconds);
  for (size_t i = 0; i < kProbeKindNames.size(); ++i) {
    out->Add(Metric::kProbes, {backend.name, kProbeKindNames[i], "ok"},
             static_cast<double>(backend.probes_ok[i]));
    out->Add(Metric::kProbes, {backend.name, kProbeKindNames[i], "failed"},
             static_cast<double>(backend.probes_failed[i]));
  }
  out->Add(Metric::kGivenUp, {backend.name}, static_cast<double>(backend.given_up));
  out->Add(Metric::kAbandoned, {backend.name}, static_cast<double>(backend.abandoned));
}

void AddGate(const ShardView& shard, Families* out) {
  out->Add(Metric::kShardServing, {shard.name}, shard.serving ? 1.0 : 0.0);
  out->Add(Metric::kHeldBytes, {shard.name}, static_cast<double>(shard.held_bytes));
  out->Add(Metric::kReleaseConcurrency, {shard.name}, shard.ramp);
  for (size_t i = 0; i < kGateKindNames.size(); ++i) {
    const GateKindView& kind = shard.kinds[i];
    const std::string_view name = kGateKindNames[i];
    out->Add(Metric::kHeldStatements, {shard.name, name}, static_cast<double>(kind.held));
    out->Add(Metric::kGateEnqueued, {shard.name, name}, static_cast<double>(kind.enqueued));
    out->Add(Metric::kGateReleased, {shard.name, name}, static_cast<double>(kind.released));
    out->Add(Metric::kGateCancelled, {shard.name, name}, static_cast<double>(kind.cancelled));
    for (size_t code = 0; code < kRefusalCodeNames.size(); ++code) {
      out->Add(Metric::kGateRefused, {shard.name, name, kRefusalCodeNames[code]},
               static_cast<double>(kind.refused[code]));
    }
  }
}

void AddHealth(const HealthView& view, Families* out) {
  for (const BackendView& backend : view.backends) AddBackendHealth(backend, out);
  for (const ShardView& shard : view.shards) AddGate(shard, out);
  out->Add(Metric::kUnknownOutcomes, {}, static_cast<double>(view.unknown_outcomes));
}

void AddProcess(std::string_view version, double start_time, Families* out) {
  const ProcessStats stats = ReadProcessStats();
  out->Add(Metric::kBuildInfo, {version}, 1.0);
  out->Add(Metric::kStartTime, {}, start_time);
  out->Add(Metric::kResidentMemory, stats.resident_bytes);
  out->Add(Metric::kOpenFds, stats.open_fds);
  out->Add(Metric::kMaxFds, stats.max_fds);
  out->Add(Metric::kCpuSeconds, stats.cpu_seconds);
}

}  // namespace

Registry::Registry(Options options) : options_(std::move(options)) {}

Registry::~Registry() = default;

WorkerMetrics* Registry::AddWorker(std::string thread) {
  auto worker = std::make_unique<WorkerMetrics>(std::move(thread));
  WorkerMetrics* const result = worker.get();
  const std::lock_guard lock(mutex_);
  workers_.push_back(std::move(worker));
  return result;
}

std::vector<MetricFamily> Registry::Collect() const {
  const TopologyNames names = options_.names ? options_.names() : TopologyNames{};
  Families families;
  AddProcess(options_.version, options_.start_time_seconds, &families);
  const std::lock_guard lock(mutex_);
  AddWorkerTotals(workers_, options_.pin_reasons, &families);
  AddShards(workers_, names.shards, &families);
  AddBackends(workers_, names.backends, &families);
  if (const auto health = options_.health ? options_.health() : nullptr; health != nullptr)
    AddHealth(*health, &families);
  return std::move(families).Take();
}

std::string Registry::RenderText() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, Collect());
  return std::move(out).str();
}

}  // namespace bulkhead::metrics
