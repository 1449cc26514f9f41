// The parts of a scrape that come from pictures: health, topology, the process itself.

#include <array>
#include <string_view>

#include "metrics/process_stats.h"
#include "metrics/registry_parts.h"

namespace bulkhead::metrics {

namespace {

void AddBackendHealth(const BackendView& backend, Sink* out) {
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
  if (backend.is_primary)
    out->Add(Metric::kBackendCanary, {backend.name}, backend.canary ? 1.0 : 0.0);
  for (size_t i = 0; i < kSignalNames.size(); ++i) {
    out->Add(Metric::kDetectionSignals, {backend.name, kSignalNames[i]},
             static_cast<double>(backend.signals[i]));
  }
  out->Add(Metric::kFalseSuspects, {backend.name}, static_cast<double>(backend.false_suspects));
  out->Add(Metric::kGivenUp, {backend.name}, static_cast<double>(backend.given_up));
  out->Add(Metric::kAbandoned, {backend.name}, static_cast<double>(backend.abandoned));
}

void AddGate(const ShardView& shard, Sink* out) {
  out->Add(Metric::kShardServing, {shard.name}, shard.serving ? 1.0 : 0.0);
  out->Add(Metric::kShardOutage, {shard.name}, shard.outage_seconds);
  out->Add(Metric::kHoldLimitStatements, {shard.name}, static_cast<double>(shard.limit_statements));
  out->Add(Metric::kHoldLimitBytes, {shard.name}, static_cast<double>(shard.limit_bytes));
  if (shard.failover_ready.has_value())
    out->Add(Metric::kShardFailoverReady, {shard.name}, *shard.failover_ready ? 1.0 : 0.0);
  if (shard.fence_configured.has_value())
    out->Add(Metric::kShardFence, {shard.name}, *shard.fence_configured ? 1.0 : 0.0);
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

}  // namespace

void AddHealth(const HealthView& view, Sink* out) {
  for (const BackendView& backend : view.backends) AddBackendHealth(backend, out);
  for (const ShardView& shard : view.shards) AddGate(shard, out);
  out->Add(Metric::kUnknownOutcomes, {}, static_cast<double>(view.unknown_outcomes));
  out->Add(Metric::kChangesStuck, {}, static_cast<double>(view.changes_stuck));
  if (!view.store.has_value()) return;
  out->Add(Metric::kStoreWritable, {}, view.store->writable ? 1.0 : 0.0);
  out->Add(Metric::kStoreCommits, {"ok"}, static_cast<double>(view.store->commits_ok));
  out->Add(Metric::kStoreCommits, {"failed"}, static_cast<double>(view.store->commits_failed));
}

void AddTopology(const TopologyView& topology, Sink* out) {
  out->Add(Metric::kTopologyVersion, {}, static_cast<double>(topology.version));
  for (const TopologyView::Shard& shard : topology.shards) {
    if (shard.name.empty()) continue;
    if (!shard.primary.empty()) out->Add(Metric::kShardPrimary, {shard.name, shard.primary}, 1.0);
    out->Add(Metric::kShardEpoch, {shard.name}, static_cast<double>(shard.epoch));
    if (shard.tenants.has_value())
      out->Add(Metric::kShardTenants, {shard.name}, static_cast<double>(*shard.tenants));
  }
  for (const TopologyView::Backend& backend : topology.backends) {
    if (backend.name.empty()) continue;
    out->Add(Metric::kPoolLimit, {backend.name}, static_cast<double>(backend.max_connections));
  }
}

void AddControl(const ControlMetrics& control, const TopologyView& topology, Sink* out) {
  const auto sum_of = [](const Histogram& histogram) {
    HistogramSum sum;
    sum.Add(histogram);
    return sum;
  };
  out->Add(Metric::kLoopLag, {"control"}, sum_of(control.loop_lag));
  for (size_t i = 0; i < kDetectedStateNames.size(); ++i) {
    out->Add(Metric::kDetection, {kDetectedStateNames[i]}, sum_of(control.detection.AtIndex(i)));
  }
  for (size_t id = 0; id < topology.shards.size(); ++id) {
    const ShardHoldMetrics* shard = control.shards.Find(id);
    if (shard == nullptr || topology.shards[id].name.empty()) continue;
    for (size_t i = 0; i < kHoldEndNames.size(); ++i) {
      const HistogramSum sum = sum_of(shard->held.AtIndex(i));
      if (sum.count > 0)
        out->Add(Metric::kHoldDuration, {topology.shards[id].name, kHoldEndNames[i]}, sum);
    }
  }
}

void AddTenant(const TenantBoard::Tenant& tenant, Sink* out) {
  for (size_t i = 0; i < kStatementOutcomeNames.size(); ++i) {
    out->Add(Metric::kTenantStatements, {tenant.name, kStatementOutcomeNames[i]},
             static_cast<double>(tenant.counts.statements[i]));
  }
  out->Add(Metric::kTenantBusy, {tenant.name}, static_cast<double>(tenant.counts.busy_ns) / 1e9);
}

void AddProcess(const Registry::Options& options, Sink* out) {
  const ProcessStats stats = ReadProcessStats();
  out->Add(Metric::kBuildInfo, {options.version}, 1.0);
  out->Add(Metric::kStartTime, {}, options.start_time_seconds);
  out->Add(Metric::kResidentMemory, stats.resident_bytes);
  out->Add(Metric::kVirtualMemory, stats.virtual_bytes);
  out->Add(Metric::kOpenFds, stats.open_fds);
  out->Add(Metric::kMaxFds, stats.max_fds);
  out->Add(Metric::kCpuSeconds, stats.cpu_seconds);
  if (!options.process) return;
  const ProcessView view = options.process();
  out->Add(Metric::kReady, {}, view.ready ? 1.0 : 0.0);
  for (const auto& [role, end] : view.certificates)
    out->Add(Metric::kCertificateExpiry, {role}, static_cast<double>(end));
  constexpr std::array<std::string_view, 4> kLevels = {"debug", "info", "warn", "error"};
  for (size_t i = 0; i < kLevels.size(); ++i)
    out->Add(Metric::kLogLines, {kLevels[i]}, static_cast<double>(view.log_lines[i]));
  out->Add(Metric::kLogHeldBack, {}, static_cast<double>(view.log_held_back));
  out->Add(Metric::kLogDropped, {}, static_cast<double>(view.log_dropped));
  constexpr std::array<std::string_view, 6> kCodes = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  for (size_t i = 2; i < kCodes.size(); ++i)
    out->Add(Metric::kHttpAnswers, {kCodes[i]}, static_cast<double>(view.http_answers[i]));
  out->Add(Metric::kHttpStreams, {}, static_cast<double>(view.http_streams));
  for (const LimitedTenant& tenant : view.limited) {
    out->Add(Metric::kTenantLimitSessions, {tenant.name}, tenant.sessions);
    out->Add(Metric::kTenantLimitRunning, {tenant.name}, tenant.running);
    out->Add(Metric::kTenantLimitRefused, {tenant.name}, static_cast<double>(tenant.refused));
  }
  for (const auto& [kind, count] : view.operations)
    out->Add(Metric::kOperationsRunning, {kind}, static_cast<double>(count));
  out->Add(Metric::kPredecessorSessions, {}, static_cast<double>(view.predecessor_sessions));
}

}  // namespace bulkhead::metrics
