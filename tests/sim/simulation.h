// One run: servers, network, the router's machines and clients, from one seed.
#ifndef BULKHEAD_TESTS_SIM_SIMULATION_H_
#define BULKHEAD_TESTS_SIM_SIMULATION_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/checkers.h"
#include "tests/sim/client.h"
#include "tests/sim/control.h"
#include "tests/sim/plan.h"

namespace bulkhead::sim {

struct Result {
  uint64_t seed = 0;
  uint64_t hash = 0;  // of all that happened
  uint64_t events = 0;
  Ns time = 0;  // virtual
  std::vector<Violation> violations;
  Ledger::Counts writes;
  Holds::Counts held;
  Checkers::Seen seen;
};

class Simulation {
 public:
  struct Options {
    bool verbose = false;    // tells the story on stdout
    bool stop_early = true;  // at the first violation
  };
  Simulation(uint64_t seed, Options options);
  ~Simulation();

  Result Run();

 private:
  void MakeTopology();
  void MakeClients(Random random);
  void Schedule(const Fault& fault);
  void Apply(const Fault& fault, bool on);
  void Flap(Fault fault, bool on);
  void CheckRegularly();
  void CheckLiveness();

  const uint64_t seed_;
  const Options options_;
  const Plan plan_;
  Scheduler scheduler_;
  Trace trace_;
  std::unique_ptr<Checkers> checkers_;
  routing::TenantRules rules_;
  std::shared_ptr<const routing::Topology> topology_;
  std::unique_ptr<routing::GateBoard> board_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::unique_ptr<routing::ConnectionBudget>> budgets_;
  std::unique_ptr<Control> control_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Client>> clients_;
};

Result RunSeed(uint64_t seed, const Simulation::Options& options);

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_SIMULATION_H_
