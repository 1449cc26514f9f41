// Prints what the tenant directory costs: bytes per tenant, nanoseconds per lookup, microseconds
// per change. Usage: bench_directory [tenants]
#include <malloc.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "routing/tenant_directory.h"
#include "routing/topology.h"

namespace {

using bulkhead::routing::ShardId;
using bulkhead::routing::TenantDirectory;
using Clock = std::chrono::steady_clock;

double NanosSince(Clock::time_point start) {
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

std::string NameOf(int i) { return "customer-" + std::to_string(i * 7919LL % 100'000'007); }

}  // namespace

int main(int argc, char** argv) {
  const int tenants = argc > 1 ? std::atoi(argv[1]) : 1'000'000;
  std::vector<std::string> names;
  names.reserve(tenants);
  size_t name_bytes = 0;
  for (int i = 0; i < tenants; ++i) {
    names.push_back(NameOf(i));
    name_bytes += names.back().size();
  }

  const size_t heap_before = mallinfo2().uordblks;
  TenantDirectory directory;
  auto start = Clock::now();
  for (int i = 0; i < tenants; ++i) {
    directory.Insert(names[i], {.shard = ShardId{static_cast<uint16_t>(i % 64), 1}});
  }
  std::printf("build: %d tenants, %.2f us each\n", tenants, NanosSince(start) / 1e3 / tenants);
  std::printf("memory: %.1f bytes per tenant of heap, %.1f of nodes, %.1f of them the name\n",
              double(mallinfo2().uordblks - heap_before) / tenants,
              double(directory.MemoryBytes()) / tenants, double(name_bytes) / tenants);

  // Random order, so that nothing but the upper levels is in a cache; the names themselves are read
  // in order, as they are when they come from a packet.
  std::mt19937_64 random(1);
  std::vector<std::string> asked;
  const int lookups = 2'000'000;
  asked.reserve(lookups);
  for (int i = 0; i < lookups; ++i) asked.push_back(names[random() % names.size()]);
  uint64_t sum = 0;
  start = Clock::now();
  for (const std::string& name : asked) sum += directory.Find(name)->shard.index;
  std::printf("lookup: %.0f ns (found)\n", NanosSince(start) / lookups);
  for (std::string& name : asked) name.back() = 'x';
  start = Clock::now();
  for (const std::string& name : asked) sum += directory.Find(name) ? 1 : 0;
  std::printf("lookup: %.0f ns (unknown)\n", NanosSince(start) / lookups);

  // A change as it is published: readers keep the old version until the new one is there.
  const int changes = 20'000;
  start = Clock::now();
  for (int i = 0; i < changes; ++i) {
    const TenantDirectory published = directory;
    directory.Insert(names[random() % names.size()], {.shard = ShardId{1, 2}});
  }
  std::printf("change: %.2f us (one entry, old version kept)\n", NanosSince(start) / 1e3 / changes);

  bulkhead::routing::TopologyBuilder builder;
  (void)builder.AddBackend({.name = "b", .address = {.host = "127.0.0.1", .port = 3306}});
  (void)builder.AddShard({.name = "s", .primary = "b"});
  for (const std::string& name : names) (void)builder.AddTenant({.name = name, .shard = "s"});
  auto topology = builder.Build().value();
  for (std::string& name : asked) name = names[random() % names.size()];
  start = Clock::now();
  for (const std::string& name : asked) sum += topology->FindTenant(name).backend.index;
  std::printf("topology lookup: %.0f ns (found, shard and backend too)\n",
              NanosSince(start) / lookups);
  start = Clock::now();
  for (int i = 0; i < changes; ++i) {
    bulkhead::routing::TopologyBuilder next(*topology);
    (void)next.AssignTenant({.name = names[random() % names.size()], .shard = "s"});
    topology = next.Build().value();
  }
  std::printf("topology change: %.2f us (assign one tenant, build, drop the old one)\n",
              NanosSince(start) / 1e3 / changes);
  std::printf("checksum %llu\n", static_cast<unsigned long long>(sum));
}
