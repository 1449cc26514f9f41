// What goes wrong in a run, and how the router is set up: drawn from the seed, nothing else.
#ifndef BULKHEAD_TESTS_SIM_PLAN_H_
#define BULKHEAD_TESTS_SIM_PLAN_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "routing/health_rules.h"
#include "routing/shard_gate.h"
#include "tests/sim/random.h"
#include "tests/sim/scheduler.h"

namespace bulkhead::sim {

enum class FaultKind : uint8_t {
  kCrash,         // every connection is reset, nobody listens; then it is started again
  kHang,          // the process stops; its kernel goes on
  kSlow,          // everything takes so much longer
  kDrip,          // answers leave at a byte a second
  kPartition,     // no packet either way
  kToServerLost,  // our packets do not arrive
  kToRouterLost,  // the server's do not
  kFlapping,      // hangs again and again
  kCommitsHang,   // the disk: reads work
  kOwnStall,      // a thread of the router, or all, do not run
};
inline constexpr size_t kFaultKinds = 10;

struct Fault {
  FaultKind kind{};
  size_t server = 0;
  Ns begin = 0;
  Ns end = 0;
  uint32_t amount = 1;   // kSlow: how many times; kFlapping: ms of a cycle
  uint32_t threads = 0;  // kOwnStall: bits; 1 control, 2 and 4 the workers
  [[nodiscard]] std::string Words() const;
};

struct Plan {
  explicit Plan(uint64_t seed);

  size_t servers = 1;
  size_t workers = 2;
  std::vector<Fault> faults;  // none: the same seed, undisturbed
  std::set<size_t> calm;      // servers without a fault
  routing::HealthRules health;
  routing::GateRules gate;
  uint32_t connections = 8;      // of a backend, at most
  bool few_connections = false;  // sessions have to wait for them
  uint64_t total_statements = 0;
  uint64_t total_bytes = 0;
  bool tables_known = true;
  bool read_retry = false;
  uint32_t clients_per_server = 5;

  static constexpr Ns kFaultsBegin = 4 * kSecond;
  Ns healed = 0;  // no fault from here on
  Ns judged = 0;  // all must be back
  Ns end = 0;

 private:
  void DrawFaults(Random random);
  void DrawRules(Random random);
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_PLAN_H_
