#include "metrics/registry.h"

#include <optional>
#include <span>
#include <utility>

#include "metrics/registry_parts.h"
#include "metrics/sink.h"

namespace bulkhead::metrics {
namespace {

using Workers = std::vector<std::unique_ptr<WorkerMetrics>>;

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

void AddWorkerTotals(const Workers& workers, std::span<const std::string> pin_reasons, Sink* out) {
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
void AddShard(std::string_view name, const std::vector<const ShardMetrics*>& elements, Sink* out) {
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
    if (duration.count > 0)
      out->Add(Metric::kStatementDuration, {name, kStatementKindNames[kind]}, duration);
  }
  uint64_t slow = 0;
  for (const ShardMetrics* shard : elements) slow += shard->slow.Read();
  out->Add(Metric::kSlowStatements, {name}, static_cast<double>(slow));
}

void AddShards(const Workers& workers, const std::vector<TopologyView::Shard>& shards, Sink* out) {
  std::vector<const ShardMetrics*> elements;
  for (size_t id = 0; id < shards.size(); ++id) {
    if (shards[id].name.empty()) continue;
    elements.clear();
    for (const auto& worker : workers) {
      if (const ShardMetrics* shard = worker->shards.Find(id)) elements.push_back(shard);
    }
    AddShard(shards[id].name, elements, out);
  }
  elements.clear();
  for (const auto& worker : workers) {
    elements.push_back(&worker->unrouted);
    elements.push_back(&worker->shards.overflow());
  }
  AddShard("", elements, out);
}

void AddBackends(const Workers& workers, const std::vector<TopologyView::Backend>& backends,
                 Sink* out) {
  for (size_t id = 0; id < backends.size(); ++id) {
    const std::string& name = backends[id].name;
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

void AddTotals(const ShardMetrics& shard, ShardTotals* out) {
  for (size_t kind = 0; kind < kStatementKindNames.size(); ++kind) {
    for (size_t outcome = 0; outcome < kStatementOutcomeNames.size(); ++outcome) {
      out->outcomes[outcome] += shard.statements.AtIndex(kind).AtIndex(outcome).Read();
    }
    const Histogram& duration = shard.duration.AtIndex(kind);
    for (size_t i = 0; i < Histogram::kBuckets; ++i) out->buckets[i] += duration.ReadBucket(i);
  }
}

}  // namespace

Registry::Registry(Options options)
    : options_(std::move(options)),
      tenants_(options_.busiest_tenants),
      text_sink_(std::make_unique<TextSink>()) {}

Registry::~Registry() = default;

WorkerMetrics* Registry::AddWorker(std::string thread) {
  auto worker = std::make_unique<WorkerMetrics>(std::move(thread), &tenants_);
  WorkerMetrics* const result = worker.get();
  const std::lock_guard lock(mutex_);
  workers_.push_back(std::move(worker));
  return result;
}

void Registry::AddAll(Sink* out) const {
  const TopologyView topology = options_.topology ? options_.topology() : TopologyView{};
  AddProcess(options_, out);
  for (const TenantBoard::Tenant& tenant : tenants_.Busiest()) AddTenant(tenant, out);
  AddTopology(topology, out);
  AddControl(control_, topology, out);
  if (const auto health = options_.health ? options_.health() : nullptr; health != nullptr)
    AddHealth(*health, out);
  const std::lock_guard lock(mutex_);
  AddWorkerTotals(workers_, options_.pin_reasons, out);
  AddShards(workers_, topology.shards, out);
  AddBackends(workers_, topology.backends, out);
}

std::vector<prometheus::MetricFamily> Registry::Collect() const {
  FamilySink sink;
  AddAll(&sink);
  return std::move(sink).Take();
}

std::string Registry::RenderText() const { return *SharedText(); }

std::shared_ptr<const std::string> Registry::SharedText() const {
  const std::lock_guard lock(text_mutex_);
  text_sink_->Clear();
  AddAll(text_sink_.get());
  // Of a large fleet the text has megabytes: it is made anew only while somebody still reads it.
  if (text_ == nullptr || text_.use_count() > 1) text_ = std::make_shared<std::string>();
  text_sink_->WriteTo(text_.get());
  return text_;
}

void Registry::ReadConnections(std::vector<int64_t>* out) const {
  const std::lock_guard lock(mutex_);
  for (size_t id = 0; id < out->size(); ++id) {
    (*out)[id] = 0;
    for (const auto& worker : workers_) {
      const BackendMetrics* backend = worker->backends.Find(id);
      if (backend == nullptr) continue;
      for (size_t i = 0; i < kPoolStateNames.size(); ++i)
        (*out)[id] += backend->connections.AtIndex(i).Read();
    }
  }
}

int64_t Registry::Sessions() const {
  const std::lock_guard lock(mutex_);
  int64_t sessions = 0;
  for (const auto& worker : workers_)
    sessions += worker->sessions[SessionState::kAuthenticated].Read();
  return sessions;
}

void Registry::ReadShards(std::vector<ShardTotals>* out) const {
  const std::lock_guard lock(mutex_);
  for (size_t id = 0; id < out->size(); ++id) {
    ShardTotals& totals = (*out)[id];
    totals = {};
    for (const auto& worker : workers_) {
      if (const ShardMetrics* shard = worker->shards.Find(id)) AddTotals(*shard, &totals);
    }
  }
}

}  // namespace bulkhead::metrics
