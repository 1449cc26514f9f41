// What a scrape of /metrics, a picture for the status page and a second's sampling cost for a large
// fleet, and whether workers notice: 1,000 backends and shards, 10,000 sessions by default.
//
//   bench_scrape [BACKENDS [ROUNDS]]
//
// Two threads count statements all the time, as workers do; the third scrapes. Printed are the
// medians, and what a counted statement costs with and without somebody scraping.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "metrics/registry.h"
#include "proxy/http/fleet_sampler.h"
#include "tests/http/fake_source.h"

namespace {

using bulkhead::metrics::BackendView;
using bulkhead::metrics::HealthView;
using bulkhead::metrics::Registry;
using bulkhead::metrics::ShardTotals;
using bulkhead::metrics::ShardView;
using bulkhead::metrics::StatementKind;
using bulkhead::metrics::StatementOutcome;
using bulkhead::metrics::TopologyView;
using bulkhead::metrics::WorkerMetrics;
using Clock = std::chrono::steady_clock;

double Ms(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Registry::Options Fleet(size_t backends) {
  Registry::Options options;
  options.version = "bench";
  options.busiest_tenants = 20;
  auto topology = std::make_shared<TopologyView>();
  auto health = std::make_shared<HealthView>();
  for (size_t i = 0; i < backends; ++i) {
    const std::string number = std::to_string(i);
    topology->shards.push_back(
        {.name = "shard-" + number, .primary = "backend-" + number, .epoch = 1, .tenants = 1000});
    topology->backends.push_back({.name = "backend-" + number, .max_connections = 200});
    BackendView backend;
    backend.name = "backend-" + number;
    backend.state = 1;
    backend.is_primary = true;
    health->backends.push_back(backend);
    ShardView shard;
    shard.name = "shard-" + number;
    shard.serving = true;
    health->shards.push_back(shard);
  }
  options.topology = [topology] { return *topology; };
  options.health = [health]() -> std::shared_ptr<const HealthView> { return health; };
  return options;
}

// Counts as a worker does, until told to stop; nanoseconds for each statement.
double Count(WorkerMetrics* worker, size_t shards, const std::atomic<bool>& stop) {
  bulkhead::metrics::TenantMeter::Hint hints[64] = {};
  const auto began = Clock::now();
  uint64_t count = 0;
  while (!stop.load(std::memory_order_relaxed)) {
    for (size_t i = 0; i < 1000; ++i, ++count) {
      const std::chrono::microseconds took(100 + count % 5000);
      worker->shard(static_cast<uint32_t>(count % shards))
          .Record(count % 3 == 0 ? StatementKind::kWrite : StatementKind::kRead,
                  StatementOutcome::kOk, took);
      worker->tenants.Record(i % 2 == 0 ? "tenant-of-this-session" : "another-tenant",
                             StatementOutcome::kOk, took, &hints[i % 64]);
    }
  }
  return std::chrono::duration<double, std::nano>(Clock::now() - began).count() /
         static_cast<double>(count);
}

struct Workers {
  Workers(Registry* registry, std::vector<WorkerMetrics*> metrics, size_t shards) {
    (void)registry;
    cost.resize(metrics.size());
    for (size_t i = 0; i < metrics.size(); ++i) {
      threads.emplace_back(
          [this, i, worker = metrics[i], shards] { cost[i] = Count(worker, shards, stop); });
    }
  }
  double Finish() {
    stop = true;
    for (std::thread& thread : threads) thread.join();
    return *std::max_element(cost.begin(), cost.end());
  }
  std::atomic<bool> stop{false};
  std::vector<double> cost;
  std::vector<std::thread> threads;
};

}  // namespace

int main(int argc, char** argv) {
  const size_t backends = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 1000;
  const size_t rounds = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 20;
  Registry registry(Fleet(backends));
  std::vector<WorkerMetrics*> metrics;
  for (int i = 0; i < 2; ++i) {
    metrics.push_back(registry.AddWorker("worker-" + std::to_string(i)));
    metrics.back()->sessions[bulkhead::metrics::SessionState::kAuthenticated].Set(5000);
    for (uint32_t id = 0; id < backends; ++id) metrics.back()->backend(id).waits.Add();
  }
  {
    Workers alone(&registry, metrics, backends);
    std::this_thread::sleep_for(std::chrono::seconds(2));  // for so long they count
    std::printf("counting a statement, nobody scrapes   %8.1f ns\n", alone.Finish());
  }
  std::vector<double> scrape, collect, sample;
  size_t bytes = 0, lines = 0;
  Workers watched(&registry, metrics, backends);
  for (size_t i = 0; i < rounds; ++i) {
    auto began = Clock::now();
    const std::shared_ptr<const std::string> shared = registry.SharedText();
    const std::string& text = *shared;
    scrape.push_back(Ms(Clock::now() - began));
    bytes = text.size();
    lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
    began = Clock::now();
    (void)registry.Collect();
    collect.push_back(Ms(Clock::now() - began));
    std::vector<ShardTotals> totals(backends);
    began = Clock::now();
    registry.ReadShards(&totals);
    sample.push_back(Ms(Clock::now() - began));
  }
  std::printf("counting a statement, somebody scrapes %8.1f ns\n", watched.Finish());
  std::printf("scrape of %zu backends as text          %8.1f ms  (%zu lines, %.1f MB)\n", backends,
              Median(scrape), lines, static_cast<double>(bytes) / 1e6);
  std::printf("the same as prometheus-cpp's families  %8.1f ms\n", Median(collect));
  std::printf("a second's sample of all shards        %8.2f ms\n", Median(sample));
  bulkhead::http::FakeSource source(static_cast<int>(backends));
  bulkhead::http::FleetSampler sampler(&source, {});
  std::vector<double> picture;
  int64_t now_ms = int64_t{4'000'000'000'000};
  const auto look = [&] {
    now_ms += 250;
    sampler.Look(now_ms, now_ms);
  };
  for (size_t i = 0; i < rounds; ++i) {
    for (int n = 1; n < bulkhead::http::FleetSampler::kLooksPerSample; ++n) look();
    const auto began = Clock::now();
    look();
    picture.push_back(Ms(Clock::now() - began));
  }
  std::printf("the status page's picture, once a second %6.1f ms  (%.1f MB as JSON)\n",
              Median(picture), static_cast<double>(sampler.Picture()->Whole().size()) / 1e6);
  return 0;
}
