#include "metrics/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
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
          .topology = [] {
            TopologyView view;
            view.shards = {{.name = "s1"}, {}, {.name = "s3", .primary = "db2", .epoch = 4}};
            view.backends = {{.name = "db1", .max_connections = 9}, {.name = "db2"}};
            return view;
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

TEST(RegistryTest, ATextThatIsStillReadStaysAsItIs) {
  Registry registry(TwoShards());
  WorkerMetrics* const worker = registry.AddWorker("worker-0");
  std::shared_ptr<const std::string> first = registry.SharedText();
  const std::string before = *first;
  worker->shard(UINT32_MAX).Record(StatementKind::kDdl, StatementOutcome::kOk, milliseconds(1));
  std::shared_ptr<const std::string> second = registry.SharedText();
  EXPECT_EQ(*first, before);
  EXPECT_NE(*second, before);
  // And one that nobody reads any more is used again.
  first.reset();
  const std::string* const memory = second.get();
  second.reset();
  EXPECT_EQ(registry.SharedText().get(), memory);
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

// Everything that has a metric.
void Fill(Registry::Options* options) {
  options->busiest_tenants = 5;
  options->health = [] {
    auto view = std::make_shared<HealthView>();
    BackendView backend;
    backend.name = "db1";
    backend.state = 1;
    backend.is_primary = true;
    view->backends.push_back(backend);
    ShardView shard;
    shard.name = "s1";
    shard.serving = true;
    shard.failover_ready = false;
    shard.fence_configured = true;
    view->shards.push_back(shard);
    view->store.emplace();
    return view;
  };
  options->topology = [] {
    TopologyView view;
    view.shards = {{.name = "s1", .primary = "db1", .epoch = 3, .tenants = 12}};
    view.backends = {{.name = "db1", .max_connections = 200}};
    return view;
  };
  options->process = [] {
    ProcessView view;
    view.certificates = {{"clients", 1'800'000'000}};
    view.limited = {{"acme", 1, 2, 3}};
    view.operations = {{"drain", 1}};
    return view;
  };
}

void Use(Registry* registry) {
  WorkerMetrics* const worker = registry->AddWorker("worker-0");
  worker->shard(0).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(1));
  worker->backend(0).waits.Add();
  TenantMeter::Hint hint = 0;
  worker->tenants.Record("acme", StatementOutcome::kOk, milliseconds(1), &hint);
  worker->tenants.GiveOn();
  registry->control()->detection[DetectedState::kDown].Record(milliseconds(2100));
  registry->control()->shard(0).held[HoldEnd::kReleased].Record(milliseconds(900));
}

TEST(RegistryTest, FamiliesAreThoseOfTheList) {
  Registry::Options options = TwoShards();
  Fill(&options);
  Registry registry(std::move(options));
  Use(&registry);
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

// Two ways out, one content.
TEST(RegistryTest, TheTextIsWhatPrometheusCppWouldWrite) {
  Registry::Options options = TwoShards();
  Fill(&options);
  Registry registry(std::move(options));
  Use(&registry);
  std::ostringstream theirs;
  prometheus::TextSerializer().Serialize(theirs, registry.Collect());
  const auto lines = [](const std::string& text) {
    std::map<std::string, double> samples;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with('#') || line.starts_with("process_")) continue;
      const size_t space = line.rfind(' ');
      std::string name = line.substr(0, space);
      // They write 5e-05, we write 5e-05 or 0.00005: the same bound.
      const size_t le =
          name.find("_bucket{") == std::string::npos ? std::string::npos : name.rfind("le=\"");
      if (le != std::string::npos && !name.ends_with("+Inf\"}")) {
        const double bound = std::stod(name.substr(le + 4));
        name = name.substr(0, le + 4) + std::to_string(bound);
      }
      samples[name] = std::stod(line.substr(space + 1));
    }
    return samples;
  };
  EXPECT_EQ(lines(registry.RenderText()), lines(theirs.str()));
}

TEST(RegistryTest, LabelValuesAreEscaped) {
  Registry::Options options;
  options.topology = [] {
    TopologyView view;
    view.shards = {{.name = "a\"b\\c\nd"}};
    return view;
  };
  Registry registry(std::move(options));
  EXPECT_THAT(registry.RenderText(),
              HasSubstr("bulkhead_shard_epoch{shard=\"a\\\"b\\\\c\\nd\"} 0\n"));
}

TEST(RegistryTest, ReadsShardsConnectionsAndSessions) {
  Registry registry(TwoShards());
  WorkerMetrics* const a = registry.AddWorker("worker-0");
  WorkerMetrics* const b = registry.AddWorker("worker-1");
  a->shard(0).Record(StatementKind::kRead, StatementOutcome::kOk, milliseconds(3));
  b->shard(0).Record(StatementKind::kWrite, StatementOutcome::kUnknown, milliseconds(3));
  std::vector<ShardTotals> totals(3);
  registry.ReadShards(&totals);
  EXPECT_EQ(totals[0].outcomes[static_cast<size_t>(StatementOutcome::kOk)], 1u);
  EXPECT_EQ(totals[0].outcomes[static_cast<size_t>(StatementOutcome::kUnknown)], 1u);
  EXPECT_EQ(totals[0].buckets[BucketOf(3'000'000)], 2u);
  EXPECT_EQ(totals[2].outcomes[0], 0u);
  a->backend(1).connections[PoolState::kIdle].Set(4);
  b->backend(1).connections[PoolState::kLent].Set(3);
  std::vector<int64_t> connections(2);
  registry.ReadConnections(&connections);
  EXPECT_THAT(connections, ::testing::ElementsAre(0, 7));
  a->sessions[SessionState::kAuthenticated].Add(2);
  b->sessions[SessionState::kAuthenticated].Add(5);
  EXPECT_EQ(registry.Sessions(), 7);
}

// BULKHEAD_UPDATE_DOCS=1 in the environment writes the table instead of comparing it.
TEST(ListTest, TheDocumentHoldsTheTable) {
  constexpr char kDocument[] = BULKHEAD_SOURCE_DIR "/docs/METRICS.md";
  const std::string begin_mark = "<!-- metrics: begin -->\n";
  std::stringstream slurped;
  slurped << std::ifstream(kDocument).rdbuf();
  std::string text = slurped.str();
  const size_t begin = text.find(begin_mark);
  const size_t end = text.find("<!-- metrics: end -->");
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t from = begin + begin_mark.size();
  if (std::getenv("BULKHEAD_UPDATE_DOCS") != nullptr) {
    text.replace(from, end - from, RenderMarkdownTable());
    std::ofstream(kDocument) << text;
    return;
  }
  EXPECT_EQ(text.substr(from, end - from), RenderMarkdownTable())
      << "run this test with BULKHEAD_UPDATE_DOCS=1";
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
