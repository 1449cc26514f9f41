// A shard in virtual time: tenants that send statements, a gate, and a server with some cores that
// can freeze. It checks the gate's promises with a bookkeeping of its own after every step.
//
// Time goes in steps of a millisecond; one seed is one run.
#ifndef BULKHEAD_TESTS_ROUTING_GATE_WORLD_H_
#define BULKHEAD_TESTS_ROUTING_GATE_WORLD_H_

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "routing/shard_gate.h"

namespace bulkhead::routing {

struct WorldOptions {
  GateRules rules{};
  uint64_t seed = 1;
  std::vector<double> arrivals_per_second = {1600};  // of each tenant
  double cores = 16;
  double work_ms = 5;         // of a statement, on a core of its own; drawn from [0.5, 1.5] of it
  double thrash_above = 1e9;  // running more than that, the server gets slower for all
  size_t connections = 64;    // the others wait in the workers' pools
  // Parts of the statements.
  double reads = 0.5, continuing = 0, leaving = 0, rejecting = 0, replica_ok = 0, earlier = 0;
  uint64_t max_bytes = 200;  // of a statement
};

class GateWorld {
 public:
  GateWorld(const WorldOptions& options, HoldTotals* totals);

  void Step();  // a millisecond
  void Run(Duration time) {
    for (const MonoTime end = now_ + time; now_ < end;) Step();
  }
  void Health(GateEffect effect, uint32_t concurrency = 0);
  void Order(GateOperator order, MonoTime until);
  void Replica(BackendId replica);
  // What was in flight is given up.
  void KillRunning();
  void Freeze(bool frozen) { frozen_ = frozen; }
  // How much longer a statement takes (cold caches).
  void SetSlowness(double factor) { slowness_ = factor; }
  void SetArrivals(std::vector<double> per_second) {
    options_.arrivals_per_second = std::move(per_second);
  }

  MonoTime now() const { return now_; }
  ShardGate& gate() { return gate_; }
  uint64_t random(uint64_t below) { return random_() % below; }
  bool Chance(double p) { return std::uniform_real_distribution<double>(0, 1)(random_) < p; }

  uint64_t done() const { return done_; }
  uint64_t done_of(size_t tenant) const { return done_of_[tenant]; }
  uint64_t refused(uint16_t code) const { return refused_[code - 9401]; }
  uint64_t refused_of(size_t tenant) const { return refused_of_[tenant]; }
  uint64_t newest_first() const { return newest_first_; }
  size_t running() const { return running_.size() + pooled_.size(); }
  size_t most_reported() const { return most_reported_; }
  void ForgetMost() { most_reported_ = 0; }
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  enum class At : uint8_t { kWaiting, kRunning, kOver };
  struct Statement {
    size_t tenant = 0;
    bool is_read = false, continues = false, asked_at_once = false, report = false;
    MonoTime since{}, arrived{}, released{};
    uint64_t bytes = 0;
    double work_left = 0;
    At at = At::kWaiting;
  };
  struct TenantView {                                       // the checker's
    std::map<std::pair<MonoTime, WaiterId>, bool> waiting;  // not continuing; value: a read
    uint64_t waits_since = 0;  // number of the release before which it began to wait
    uint64_t last_release = 0;
  };

  void Arrive(size_t tenant);
  void Send(WaiterId id, Statement* statement);
  void Serve();
  void End(WaiterId id);
  void Leave();
  void Obey();
  void ObeyRelease(const GateAction& action, Statement* statement);
  void ObeyRefusal(const GateAction& action, const Statement& statement);
  void CheckTurn(const GateAction& action, const Statement& statement);
  void CheckLimits();
  void NotWaiting(WaiterId id, const Statement& statement);
  bool MayServe(bool is_read) const;
  bool MayServe(const Statement& statement) const;
  bool MayServeByHealth(bool is_read) const;
  void Complain(const std::string& what);

  WorldOptions options_;
  std::mt19937_64 random_;
  MonoTime now_ = MonoTime{} + std::chrono::seconds(1000);
  HoldTotals* totals_;
  ShardGate gate_;
  ShardGate::Actions actions_;
  GateHealth health_{};
  GateOrder order_{};
  uint32_t most_shed_ = 0;
  BackendId replica_{};
  MonoTime no_ramp_at_{};  // when it was last seen that there is none
  bool frozen_ = false;
  double slowness_ = 1;
  std::map<WaiterId, Statement> statements_;  // not over yet
  std::vector<WaiterId> running_;
  std::deque<WaiterId> pooled_;  // released, without a connection; may name some that left
  std::map<size_t, TenantView> views_;
  std::vector<double> due_;  // arrivals of each tenant, in parts
  uint64_t releases_ = 0;
  WaiterId last_id_ = 0;
  uint64_t asked_ = 0, answered_ = 0, cancelled_ = 0;
  size_t reported_ = 0, most_reported_ = 0;
  uint64_t done_ = 0, newest_first_ = 0;
  std::vector<uint64_t> done_of_, refused_of_;
  std::vector<uint64_t> refused_ = {0, 0, 0, 0};
  std::vector<std::string> complaints_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_TESTS_ROUTING_GATE_WORLD_H_
