// What operators' commands act on: the control thread's own things, as one interface.
//
// Purpose: the seam between ControlLoop, which owns them, and Operators with its operations, which
// change them. Thread: the control loop's.
#ifndef BULKHEAD_PROXY_CONTROL_OPERATOR_WORLD_H_
#define BULKHEAD_PROXY_CONTROL_OPERATOR_WORLD_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "proxy/config/options.h"
#include "proxy/control/change_hands.h"
#include "proxy/control/event_log.h"
#include "proxy/control/gate_desk.h"
#include "proxy/control/incident_log.h"
#include "proxy/control/topology_store.h"
#include "proxy/io/busy_count.h"
#include "proxy/io/worker.h"
#include "routing/backend_health.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::control {

// RELOAD CONFIG or SET: asked of whoever holds the configuration.
struct ConfigRequest {
  enum class Kind : uint8_t { kReload, kSet };
  Kind kind = Kind::kReload;
  std::string name{};                  // kSet
  std::optional<std::string> value{};  // kSet; absent: what the file says, again
};
struct ConfigAnswer {
  absl::Status status{};
  std::string message{};             // ok: what was done
  std::vector<std::string> notes{};  // each error of a file, each thing that needs a restart
};

class OperatorWorld {
 public:
  using TopologyPtr = std::shared_ptr<const routing::Topology>;
  virtual ~OperatorWorld() = default;

  // Runs it on this thread, later. Any thread.
  virtual void Post(std::function<void()> message) = 0;
  [[nodiscard]] virtual routing::MonoTime Now() = 0;
  [[nodiscard]] virtual const config::Options& options() const = 0;
  [[nodiscard]] virtual const TopologyPtr& topology() const = 0;
  // Watches, gates and workers follow it; `done` once every worker has. `edits`: what is different.
  virtual void Publish(TopologyPtr topology, const std::vector<StoreEdit>& edits,
                       std::function<void()> done) = 0;
  // Counts on all workers, which have then seen what the gates said before the call.
  virtual void CountBusy(io::BusyFilter filter, std::function<void(const io::BusyCount&)> done) = 0;
  // nullptr: no such backend.
  [[nodiscard]] virtual routing::BackendHealth* HealthOf(routing::BackendId backend) = 0;
  // Resets every connection to it, whatever runs there, and answers what ran truthfully; `done`
  // once all workers have.
  virtual void GiveUp(routing::BackendId backend, std::function<void()> done) = 0;
  // A change of primary has made it read-only, or makes it so: that is no trouble of its own.
  virtual void ExpectReadOnly(routing::BackendId backend, bool expected) = 0;
  // What is known of these servers without asking them: other routers, semi-synchronous
  // replication, the last position of the old primary.
  virtual void AddKnown(ChangeScene* scene) = 0;
  // Those whose canaries are alive on one of these, in words.
  [[nodiscard]] virtual std::vector<std::string> OtherRoutersOn(
      const std::vector<routing::BackendId>& backends) const = 0;
  [[nodiscard]] virtual std::unique_ptr<ChangeHands> MakeHands(const ChangeScene& scene) = 0;
  [[nodiscard]] virtual const std::string& router_id() const = 0;
  // After HealthOf was given evidence or a mark: does what follows from it.
  virtual void CarryOut(routing::BackendId backend) = 0;
  // Stores it, in order; `done` with what went wrong, or once it is on disk.
  virtual void Persist(std::vector<StoreEdit> edits,
                       std::function<void(const absl::Status&)> done) = 0;
  [[nodiscard]] virtual GateDesk* gates() = 0;
  [[nodiscard]] virtual const std::vector<io::Worker*>& workers() const = 0;
  [[nodiscard]] virtual routing::TenantLimits* limits() = 0;
  [[nodiscard]] virtual EventLog* events() = 0;
  [[nodiscard]] virtual OperationLog* operations() = 0;
  [[nodiscard]] virtual IncidentLog* incidents() = 0;
  // Builds and checks the whole configuration, then swaps it; not on this thread. `done` on it.
  virtual void Configure(ConfigRequest request, std::function<void(ConfigAnswer)> done) = 0;
  // A session of a process that this one took over from; `done` on this thread.
  virtual void KillElsewhere(uint64_t id, bool query_only, std::function<void(bool found)> done) {
    (void)id, (void)query_only;
    done(false);
  }
  // Such a process does not follow: why nothing may be changed now, with the way out. "": it may.
  [[nodiscard]] virtual std::string FollowerTrouble() { return {}; }
  // SIGTERM's way.
  virtual void ShutDown() = 0;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_OPERATOR_WORLD_H_
