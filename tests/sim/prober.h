// Carries out what a backend's health machine asks for, against a simulated server: probes,
// identity, KILL. What proxy/control's Prober and ServerInspector do, in virtual time.
//
// Every probe is a connection of its own to the server, so that a fault of the server, of its
// process or of the network shows in it as it would. Owner: control's actor.
#ifndef BULKHEAD_TESTS_SIM_PROBER_H_
#define BULKHEAD_TESTS_SIM_PROBER_H_

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "routing/backend_health.h"
#include "tests/sim/connection.h"

namespace bulkhead::sim {

class ProberOwner {
 public:
  virtual ~ProberOwner() = default;
  virtual void OnProbe(uint64_t probe, const routing::ProbeResult& result) = 0;
  virtual void OnHungProbe(uint64_t probe, routing::HungEnd end) = 0;
  virtual void OnProbeConnectionLost(routing::ProbeKind kind, routing::ConnectionError error) = 0;
};

class Prober {
 public:
  Prober(Scheduler* scheduler, Actor* actor, Server* server, Random random, ProberOwner* owner);
  ~Prober();

  void Start(const routing::HealthAction& action);
  void Abandon(uint64_t probe);

  // Asks on a new connection; nullopt in `done`: no answer in 2 s. At most one of a kind at once.
  using Done = std::function<void(std::optional<std::vector<std::string>>)>;
  enum class Task : uint8_t { kIdentity, kKill };
  void Ask(Task task, std::vector<std::string> texts, Done done);

 private:
  struct Attempt;
  struct Errand;
  void OnOpen(Attempt* attempt);
  void OnAnswer(Attempt* attempt);
  void OnEnded(Attempt* attempt, TcpUser::End end);
  void OnTimeout(routing::ProbeKind kind, uint64_t probe);
  void Finish(Attempt* attempt, const routing::ProbeResult& result);
  void FinishHung(Attempt* attempt, routing::HungEnd end);
  void Run(Attempt* attempt);
  void Drop(std::unique_ptr<Attempt> attempt, bool abort);
  void EndErrand(Task task, std::optional<std::vector<std::string>> answers);
  std::unique_ptr<Attempt>& Lane(routing::ProbeKind kind) {
    return lanes_[static_cast<size_t>(kind)];
  }

  Scheduler* const scheduler_;
  Actor* const actor_;
  Server* const server_;
  Random random_;
  ProberOwner* const owner_;
  uint64_t opened_ = 0;
  std::array<std::unique_ptr<Attempt>, routing::kProbeKinds> lanes_;
  std::vector<std::unique_ptr<Attempt>> hung_;
  std::array<std::unique_ptr<Errand>, 2> errands_;
  uint64_t last_errand_ = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_PROBER_H_
