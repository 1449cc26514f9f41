// What one worker counts: the sink that code on the data path writes to.
//
// Purpose: a worker owns one WorkerMetrics and writes it without locks; Registry adds up all
//   workers' cells when somebody scrapes. Whatever is summed over workers is right at any moment,
//   because each cell has one writer; cells are not read in one instant, so sums of different
//   cells may be off by what happened during the scrape.
// Thread: the worker that owns it; the registry reads.
// Use:
//     auto& shard = metrics->shard(shard_id.value());
//     shard.statements[kind][outcome].Add();       or, both in one:
//     shard.Record(StatementKind::kRead, StatementOutcome::kOk, duration);
// Limits: ids are dense and small (see GrowingArray). An id must not be given to another shard or
//   backend while the process lives, because its counters would go on from the old one's.
#ifndef BULKHEAD_METRICS_WORKER_METRICS_H_
#define BULKHEAD_METRICS_WORKER_METRICS_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "metrics/cell.h"
#include "metrics/list.h"
#include "metrics/tenant_meter.h"

namespace bulkhead::metrics {

template <typename Cell>
using ByStatementKind = CellsBy<Cell, StatementKind, kStatementKindNames.size()>;
template <typename Cell>
using ByOutcome = CellsBy<Cell, StatementOutcome, kStatementOutcomeNames.size()>;
template <typename Cell>
using ByDirection = CellsBy<Cell, Direction, kDirectionNames.size()>;

struct ShardMetrics {
  ByStatementKind<ByOutcome<Counter>> statements;
  ByStatementKind<Histogram> duration;
  Counter slow;

  void Record(StatementKind kind, StatementOutcome outcome, std::chrono::nanoseconds took) {
    statements[kind][outcome].Add();
    duration[kind].Record(took);
  }
};

struct BackendMetrics {
  CellsBy<Gauge, PoolState, kPoolStateNames.size()> connections;
  Gauge waiting;
  Counter waits;
  CellsBy<Counter, ConnectResult, kConnectResultNames.size()> connects;
  ByDirection<Counter> bytes;

  // A connection goes from one state to another.
  void Move(PoolState from, PoolState to) {
    connections[from].Sub();
    connections[to].Add();
  }
};

struct alignas(64) WorkerMetrics {
  // Reasons to pin are the session's vocabulary; the registry is told their words.
  static constexpr size_t kMaxPinReasons = 32;

  explicit WorkerMetrics(std::string thread_name, TenantBoard* board = nullptr)
      : thread(std::move(thread_name)), tenants(board) {}

  const std::string thread;  // the label of loop lag: "worker-0", "control"

  CellsBy<Gauge, SessionState, kSessionStateNames.size()> sessions;
  Counter client_connections;
  CellsBy<Counter, LoginFailure, kLoginFailureNames.size()> logins_failed;
  ByDirection<Counter> client_bytes;
  CellsBy<Gauge, size_t, kMaxPinReasons> pinned_sessions;  // index below kMaxPinReasons
  CellsBy<Counter, RestoreKind, kRestoreKindNames.size()> pool_restores;
  Histogram loop_lag;

  // Statements for which no shard was known: answered by the router itself, or refused.
  ShardMetrics unrouted;

  [[nodiscard]] ShardMetrics& shard(uint32_t id) { return shards.At(id); }
  [[nodiscard]] BackendMetrics& backend(uint32_t id) { return backends.At(id); }

  TenantMeter tenants;  // read by nobody else: it gives on by itself

  GrowingArray<ShardMetrics> shards;
  GrowingArray<BackendMetrics> backends;
};

// What the control thread counts: the same, with that thread as the only writer.
struct ShardHoldMetrics {
  CellsBy<Histogram, HoldEnd, kHoldEndNames.size()> held;
};
struct alignas(64) ControlMetrics {
  CellsBy<Histogram, DetectedState, kDetectedStateNames.size()> detection;
  Histogram loop_lag;

  [[nodiscard]] ShardHoldMetrics& shard(uint32_t id) { return shards.At(id); }
  GrowingArray<ShardHoldMetrics> shards;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_WORKER_METRICS_H_
