// One backend under watch: its health machine, and the hands that carry out what the machine asks.
//
// Purpose: joins routing::BackendHealth (decides) with Prober and ServerInspector (do), and keeps
// the connections that were abandoned on this backend until they are seen gone.
// Thread: the control loop's. Times: the loop's clock.
#ifndef BULKHEAD_PROXY_CONTROL_BACKEND_WATCH_H_
#define BULKHEAD_PROXY_CONTROL_BACKEND_WATCH_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy/control/prober.h"
#include "proxy/control/server_inspector.h"
#include "proxy/io/gate_keeper.h"
#include "routing/backend_health.h"
#include "routing/topology.h"

namespace bulkhead::control {

class BackendWatch;

class BackendWatchOwner {
 public:
  virtual ~BackendWatchOwner() = default;
  virtual void OnStateChanged(BackendWatch* watch, const routing::HealthAction& change) = 0;
  virtual void OnNotice(BackendWatch* watch, const std::string& words) = 0;
  virtual void OnCanaryBegun(BackendWatch* watch, routing::MonoTime begun) = 0;
  virtual void OnCanary(BackendWatch* watch, uint64_t number, routing::MonoTime begun) = 0;
  virtual void OnCanarySeen(BackendWatch* watch, uint64_t number) = 0;
  virtual void OnEpochs(BackendWatch* watch, const std::vector<SeenEpoch>& epochs) = 0;
  // Reset what is in flight there; BackendWatch::GaveUp is the answer.
  virtual void GiveUpInFlight(BackendWatch* watch, const routing::HealthAction& action) = 0;
};

class BackendWatch : public ProberOwner {
 public:
  struct Options {
    routing::HealthRules rules;
    routing::BackendRole role = routing::BackendRole::kPrimary;
    io::QueryConnection::Options probe;
    io::QueryConnection::Options killer;
    std::string router_id;
    uint64_t seed = 0;
    std::function<int64_t()> wall_seconds;
  };

  BackendWatch(io::EventLoop* loop, const routing::Backend& backend, const Options& options,
               BackendWatchOwner* owner);
  ~BackendWatch() override = default;

  [[nodiscard]] routing::BackendId id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] routing::BackendHealth& health() { return health_; }
  [[nodiscard]] const routing::BackendHealth& health() const { return health_; }
  // Whether commits are probed: the account may, and it is a primary.
  [[nodiscard]] bool probes_commits() const {
    return rules_.can_login && rules_.can_commit && !commit_refused_ &&
           health_.role() == routing::BackendRole::kPrimary;
  }
  [[nodiscard]] size_t abandoned() const { return abandoned_.size(); }
  // GTIDs as last seen on it, when it committed a canary; empty: never.
  [[nodiscard]] const std::string& position() const { return position_; }
  // As last read there.
  // Rows of bulkhead.epoch, as last read.
  [[nodiscard]] const std::vector<SeenEpoch>& epochs() const { return epochs_; }
  [[nodiscard]] const std::vector<OtherRouter>& other_routers() const { return other_routers_; }
  using ProbeCounts = std::array<uint64_t, routing::kProbeKinds>;
  [[nodiscard]] const ProbeCounts& probes_ok() const { return probes_ok_; }
  [[nodiscard]] const ProbeCounts& probes_failed() const { return probes_failed_; }

  // For its shards, as the topology says now.
  struct Role {
    routing::BackendRole role = routing::BackendRole::kPrimary;
    std::optional<routing::Duration> heartbeat{};  // of a primary with replicas
  };
  void SetRole(const Role& role, routing::Duration usual_heartbeat);

  // Rules and accounts from now on; its state stays. The heartbeat is SetRole's.
  void SetOptions(const Options& options);

  // The answer to GiveUpInFlight, of all workers together.
  void GaveUp(const std::vector<io::AbandonedConnection>& connections);
  // Others that were closed in mid-statement, by and by. CarryOut is the caller's.
  void Abandon(const std::vector<io::AbandonedConnection>& connections);
  // Does what the machine has asked for since; after each piece of evidence.
  void CarryOut();

 private:
  void OnProbe(uint64_t probe, routing::ProbeKind kind,
               const routing::ProbeResult& result) override;
  void OnHungProbe(uint64_t probe, routing::HungEnd end) override;
  void OnProbeConnectionLost(routing::ProbeKind kind, routing::ConnectionError error) override;
  void OnCanaryRefused(const std::string& why) override;
  void OnCanaryBegun(routing::MonoTime begun) override;
  void OnCanary(uint64_t number, routing::MonoTime begun, const std::string& gtids) override;
  void OnCanarySeen(uint64_t number) override;
  void OnOtherRouters(std::vector<OtherRouter> routers) override;
  void OnEpochs(std::vector<SeenEpoch> epochs) override;
  void OnUptime(int64_t seconds) override;
  void CarryOutOne(const routing::HealthAction& action);
  void AskForCommitsAgain();
  [[nodiscard]] routing::MonoTime Now() const;

  io::EventLoop* const loop_;
  const routing::BackendId id_;
  const std::string name_;
  BackendWatchOwner* const owner_;
  routing::HealthRules rules_;
  std::string prober_account_;
  routing::BackendHealth health_;
  Prober prober_;
  ServerInspector inspector_;
  std::string position_;  // GTIDs last seen on it
  std::vector<OtherRouter> other_routers_;
  std::vector<SeenEpoch> epochs_;
  std::vector<uint32_t> abandoned_;
  ProbeCounts probes_ok_{};
  ProbeCounts probes_failed_{};
  bool carrying_out_ = false;
  bool may_commit_;              // as far as the configuration goes
  bool commit_refused_ = false;  // by the server, the last time
  routing::MonoTime refused_at_{};
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_BACKEND_WATCH_H_
