// Prints what the tenant directory costs: bytes per tenant, nanoseconds per lookup, microseconds
// per change. Usage: bench_directory [tenants] Times are CPU time of this thread, the best of
// several rounds: what else runs on the machine should not count.
#include <malloc.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "routing/tenant_directory.h"
#include "routing/topology.h"

namespace {

using bulkhead::routing::ShardId;
using bulkhead::routing::TenantDirectory;
using bulkhead::routing::TopologyBuilder;

constexpr int kRounds = 7;
constexpr int kLookups = 500'000;
constexpr int kChanges = 5'000;

double CpuNanos() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// Nanoseconds per step of the best round.
double Best(int steps, const std::function<void()>& round) {
  double best = 1e18;
  for (int i = 0; i < kRounds; ++i) {
    const double start = CpuNanos();
    round();
    best = std::min(best, (CpuNanos() - start) / steps);
  }
  return best;
}

// What this machine takes for one cache miss in a working set of that size, at the moment.
double RandomRead(size_t bytes) {
  struct alignas(64) Line {
    size_t next;
  };
  std::vector<Line> lines(std::max<size_t>(bytes / sizeof(Line), 2));
  std::vector<size_t> order(lines.size());
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937_64(2));
  for (size_t i = 0; i < order.size(); ++i) {
    lines[order[i]].next = order[(i + 1) % order.size()];
  }
  size_t at = 0;
  const double nanos = Best(kLookups, [&] {
    for (int i = 0; i < kLookups; ++i) at = lines[at].next;
  });
  return at == lines.size() ? 0 : nanos;  // uses `at`
}

std::string NameOf(int i) { return "customer-" + std::to_string(i * 7919LL % 100'000'007); }

}  // namespace

int main(int argc, char** argv) {
  const int tenants = std::max(1, argc > 1 ? std::atoi(argv[1]) : 1'000'000);
  std::vector<std::string> names;
  names.reserve(tenants);
  size_t name_bytes = 0;
  for (int i = 0; i < tenants; ++i) {
    names.push_back(NameOf(i));
    name_bytes += names.back().size();
  }
  // Random order, so that nothing but the upper levels is in a cache; the asked names themselves
  // are read in order, as they are when they come from a packet.
  std::mt19937_64 random(1);
  std::vector<std::string> known, unknown;
  for (int i = 0; i < kLookups; ++i) {
    known.push_back(names[random() % names.size()]);
    unknown.push_back(known.back() + "x");
  }

  const size_t heap_before = mallinfo2().uordblks;
  TenantDirectory directory;
  const double build_start = CpuNanos();
  for (int i = 0; i < tenants; ++i) {
    directory.Insert(names[i], {.shard = ShardId{static_cast<uint16_t>(i % 64), 1}});
  }
  std::printf("build: %d tenants, %.2f us each\n", tenants,
              (CpuNanos() - build_start) / 1e3 / tenants);
  std::printf("memory: %.1f bytes per tenant of heap, %.1f of nodes, %.1f of them the name\n",
              static_cast<double>(mallinfo2().uordblks - heap_before) / tenants,
              static_cast<double>(directory.MemoryBytes()) / tenants,
              static_cast<double>(name_bytes) / tenants);

  uint64_t sum = 0;
  std::printf("reference: %.0f ns for one dependent read at random in as many bytes\n",
              RandomRead(directory.MemoryBytes()));
  std::printf("lookup: %.0f ns (found)\n", Best(kLookups, [&] {
                for (const std::string& name : known) sum += directory.Find(name)->shard.index;
              }));
  std::printf("lookup: %.0f ns (unknown)\n", Best(kLookups, [&] {
                for (const std::string& name : unknown) sum += directory.Find(name) ? 1 : 0;
              }));
  // A change as it is published: readers keep the old version until the new one is there.
  std::printf("change: %.2f us (one entry, old version kept)\n",
              Best(kChanges, [&] {
                for (int i = 0; i < kChanges; ++i) {
                  const TenantDirectory published = directory;
                  directory.Insert(names[random() % names.size()], {.shard = ShardId{1, 2}});
                }
              }) / 1e3);

  TopologyBuilder builder;
  bool ok = builder.AddBackend({.name = "b", .address = {.host = "127.0.0.1", .port = 3306}}).ok();
  ok = ok && builder.AddShard({.name = "s", .primary = "b"}).ok();
  for (const std::string& name : names)
    ok = ok && builder.AddTenant({.name = name, .shard = "s"}).ok();
  if (!ok) return 1;
  auto topology = builder.Build().value();
  std::printf("topology lookup: %.0f ns (shard, backend and epoch too)\n", Best(kLookups, [&] {
                for (const std::string& name : known) {
                  sum += topology->FindTenant(name).backend.index;
                }
              }));
  std::printf("topology change: %.2f us (assign one tenant, build, drop the old snapshot)\n",
              Best(kChanges, [&] {
                for (int i = 0; i < kChanges; ++i) {
                  TopologyBuilder next(*topology);
                  const std::string& name = names[random() % names.size()];
                  if (!next.AssignTenant({.name = name, .shard = "s"}).ok()) std::abort();
                  topology = next.Build().value();
                }
              }) / 1e3);
  std::printf("checksum %llu\n", static_cast<unsigned long long>(sum));
  return 0;
}
