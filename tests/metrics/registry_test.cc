#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

namespace bulkhead::metrics {
namespace {

using std::chrono::milliseconds;
using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

Registry::Options TwoShards() {
  return {.version = "1.2.3",
          .start_time_seconds = 1000,
          .pin_reasons = {"temporary_table", "lock"},
          .names = [] {
            return TopologyNames{.shards = {"s1", "", "s3"}, .backends = {"db1", "db2"}};
          }};
}

TEST(RegistryTest, SumsWorkers) {
  Registry registry(TwoShards());
  WorkerMetrics* const a = registry.AddWorker("worker-0");
  WorkerMetrics* const b = registry.AddWorker("worker-1");
  a->client_connections.Add(2);
  b->client_connections.Add(3);
  a->sessions[SessionState::kAuthenticated].Add(7);
  b->sessions[SessionState::kAuthenticated].Sub(2);
  b->logins_failed[LoginFailure::kTimeout].Add();
  a->client_bytes[Direction::kSent].Add(1024);
  a->pinned_sessions[1].Add();
  b->pool_restores[RestoreKind::kChangeUser].Add(4);
  const std::string text = registry.RenderText();
  EXPECT_THAT(text, HasSubstr("\nbulkhead_client_connections_total 5\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_sessions{state=\"authenticated\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_sessions{state=\"unauthenticated\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_logins_failed_total{reason=\"timeout\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_client_bytes_total{direction=\"sent\"} 1024\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pinned_sessions{reason=\"lock\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_restores_total{kind=\"change_user\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_build_info{version=\"1.2.3\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_loop_lag_seconds_count{thread=\"worker-1\"} 0\n"));
}

TEST(RegistryTest, StatementsByShardKindAndOutcome) {
  Registry registry(TwoShards());
  WorkerMetrics* const a = registry.AddWorker("worker-0");
  WorkerMetrics* const b = registry.AddWorker("worker-1");
  a->shard(2).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(3));
  b->shard(2).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(70));
  b->unrouted.Record(StatementKind::kOther, StatementOutcome::kRefused, milliseconds(0));
  const std::string text = registry.RenderText();
  EXPECT_THAT(
      text,
      HasSubstr("\nbulkhead_statements_total{shard=\"s3\",kind=\"read\",outcome=\"ok\"} 2\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\nbulkhead_statements_total{shard=\"s1\",kind=\"read\",outcome=\"ok\"} 0\n"));
  EXPECT_THAT(
      text,
      HasSubstr("\nbulkhead_statements_total{shard=\"\",kind=\"other\",outcome=\"refused\"} 1\n"));
  const std::string series = "\nbulkhead_statement_duration_seconds";
  EXPECT_THAT(text, HasSubstr(series + "_count{shard=\"s3\",kind=\"read\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(series + "_sum{shard=\"s3\",kind=\"read\"} 0.073\n"));
  EXPECT_THAT(text, ContainsRegex("bucket.shard=\"s3\",kind=\"read\",le=\"0.002\". 0\n"));
  EXPECT_THAT(text, ContainsRegex("bucket.shard=\"s3\",kind=\"read\",le=\"0.05\". 1\n"));
  EXPECT_THAT(text, ContainsRegex("bucket.shard=\"s3\",kind=\"read\",le=\"60\". 2\n"));
  EXPECT_THAT(text, ContainsRegex("bucket.shard=\"s3\",kind=\"read\",le=\".Inf\". 2\n"));
  EXPECT_THAT(text, Not(HasSubstr("_count{shard=\"s1\",kind=\"read\"}")));
}

TEST(RegistryTest, PoolByBackend) {
  Registry registry(TwoShards());
  WorkerMetrics* const worker = registry.AddWorker("worker-0");
  BackendMetrics& backend = worker->backend(1);
  backend.connections[PoolState::kConnecting].Add();
  backend.connects[ConnectResult::kOk].Add();
  backend.Move(PoolState::kConnecting, PoolState::kIdle);
  backend.waits.Add(3);
  backend.waiting.Add();
  const std::string text = registry.RenderText();
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_connections{backend=\"db2\",state=\"idle\"} 1\n"));
  EXPECT_THAT(text,
              HasSubstr("\nbulkhead_pool_connections{backend=\"db2\",state=\"connecting\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_connects_total{backend=\"db2\",result=\"ok\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_waits_total{backend=\"db2\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_waiting{backend=\"db2\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nbulkhead_pool_connections{backend=\"db1\",state=\"idle\"} 0\n"));
}

TEST(RegistryTest, ShardsWithoutANameAreLeftOut) {
  Registry registry(TwoShards());
  WorkerMetrics* const worker = registry.AddWorker("worker-0");
  worker->shard(1).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(1));
  const auto families = registry.Collect();
  std::set<std::string> shards;
  for (const auto& sample : families[static_cast<size_t>(Metric::kStatements)].metric) {
    shards.insert(sample.label[0].value);
  }
  EXPECT_THAT(shards, ::testing::ElementsAre("", "s1", "s3"));
}

TEST(RegistryTest, IdsBeyondTheLimitAreCountedWithoutAShard) {
  Registry registry(TwoShards());
  WorkerMetrics* const worker = registry.AddWorker("worker-0");
  worker->shard(UINT32_MAX).Record(StatementKind::kDdl, StatementOutcome::kOk, milliseconds(1));
  EXPECT_THAT(registry.RenderText(),
              HasSubstr("\nbulkhead_statements_total{shard=\"\",kind=\"ddl\",outcome=\"ok\"} 1\n"));
}

TEST(RegistryTest, ProcessMetricsAreThere) {
  Registry registry({.version = "x", .start_time_seconds = 5});
  const std::string text = registry.RenderText();
  EXPECT_THAT(text, HasSubstr("\nprocess_start_time_seconds 5\n"));
  EXPECT_THAT(text, ContainsRegex("\nprocess_resident_memory_bytes [1-9]"));
  EXPECT_THAT(text, ContainsRegex("\nprocess_open_fds [1-9]"));
  EXPECT_THAT(text, ContainsRegex("\nprocess_max_fds [1-9]"));
  EXPECT_THAT(text, ContainsRegex("\nprocess_cpu_seconds_total [0-9]"));
}

TEST(RegistryTest, FamiliesAreThoseOfTheList) {
  Registry::Options options = TwoShards();
  options.health = [] {
    auto view = std::make_shared<HealthView>();
    view->backends.push_back({.name = "db1", .state = 1});
    view->shards.push_back({.name = "s1", .serving = true});
    return view;
  };
  Registry registry(std::move(options));
  WorkerMetrics* const worker = registry.AddWorker("worker-0");
  worker->shard(0).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(1));
  const auto families = registry.Collect();
  ASSERT_EQ(families.size(), kDefinitions.size());
  for (size_t i = 0; i < families.size(); ++i) {
    const Definition& row = kDefinitions[i];
    SCOPED_TRACE(row.name);
    EXPECT_EQ(static_cast<size_t>(row.id), i);
    EXPECT_EQ(families[i].name, row.name);
    ASSERT_FALSE(families[i].metric.empty());
    for (const auto& sample : families[i].metric) {
      std::string labels;
      for (const auto& label : sample.label) {
        labels += (labels.empty() ? "" : ",") + label.name;
      }
      EXPECT_EQ(labels, row.labels);
    }
  }
}

TEST(ListTest, NamesFollowTheConventions) {
  std::set<std::string_view> names;
  for (const Definition& row : kDefinitions) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second);
    EXPECT_TRUE(row.name.starts_with("bulkhead_") || row.name.starts_with("process_"));
    EXPECT_TRUE(
        std::ranges::all_of(row.name, [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); }));
    EXPECT_EQ(row.name.ends_with("_total"), row.type == Type::kCounter);
    if (row.type == Type::kHistogram) {
      EXPECT_THAT(std::string(row.name), EndsWith("_seconds"));
    }
    EXPECT_THAT(std::string(row.help), EndsWith("."));
    EXPECT_FALSE(row.counted.empty());
  }
}

TEST(ListTest, MarkdownTableHasARowForEach) {
  const std::string table = RenderMarkdownTable();
  EXPECT_THAT(table, StartsWith("| metric | type |"));
  EXPECT_EQ(std::ranges::count(table, '\n'), static_cast<long>(kDefinitions.size()) + 2);
  EXPECT_THAT(table, HasSubstr("| `bulkhead_statements_total` | counter | `shard`, `kind`, "
                               "`outcome` | "));
}

// Under ThreadSanitizer: counting, growing and scraping at once is no race, and no count is lost.
TEST(RegistryTest, ScrapeWhileWorkersCount) {
  Registry registry(TwoShards());
  constexpr int kRounds = 20'000;
  std::atomic<int> running{2};
  const auto work = [&](WorkerMetrics* worker) {
    for (int i = 0; i < kRounds; ++i) {
      worker->shard(static_cast<uint32_t>(i) % 300)
          .Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(i % 100));
      worker->backend(static_cast<uint32_t>(i) % 50).waits.Add();
      worker->client_connections.Add();
    }
    running.fetch_sub(1);
  };
  std::thread first(work, registry.AddWorker("worker-0"));
  std::thread second(work, registry.AddWorker("worker-1"));
  double last = 0;
  do {
    const auto families = registry.Collect();
    const double now =
        families[static_cast<size_t>(Metric::kClientConnections)].metric[0].counter.value;
    EXPECT_GE(now, last);
    last = now;
  } while (running.load() > 0);
  first.join();
  second.join();
  EXPECT_THAT(registry.RenderText(),
              HasSubstr("\nbulkhead_client_connections_total " + std::to_string(2 * kRounds)));
}

}  // namespace
}  // namespace bulkhead::metrics
