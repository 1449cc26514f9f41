// A worker's backend connections: lent to sessions, kept for the session that used them last,
// shared when others wait.
//
// Purpose: the shell around routing::PoolPolicy, which decides. Opens, resets and closes
// connections, and sees to it that
//   nothing of one session is ever visible to another: what was not read yet is fetched for its
//   owner before a kept connection changes hands, and what can't be restored is reset.
// Thread: the worker's. The number of a backend's connections is limited for the whole process
// (routing::ConnectionBudget). Limits: each session waits at most Options::acquire_timeout; how
// many may wait is the policy's. Errors: RouterError 9401 with the reason in words.
#ifndef BULKHEAD_PROXY_IO_BACKEND_POOL_H_
#define BULKHEAD_PROXY_IO_BACKEND_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "metrics/worker_metrics.h"
#include "proxy/io/backend_connection.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/link_user.h"
#include "proxy/session/session_shell.h"
#include "routing/limits.h"
#include "routing/pool_policy.h"
#include "routing/topology.h"

namespace bulkhead::io {

class BackendPool : public BackendConnectionOwner {
 public:
  struct Options {
    uint64_t acquire_timeout_ms = 10000;
    uint64_t failure_pause_ms =
        250;  // after a failed connect others are refused at once for so long
    uint64_t ask_defaults_ms = 10000;  // a backend's global variables are asked for no more often
    routing::PoolLimits limits;
    // A connection's place came free that sessions of other workers wait for. May be empty.
    std::function<void()> wake_others;
    // A connection is closed under a statement that may still run on the server.
    std::function<void(routing::BackendId, AbandonedConnection)> note_left;
  };
  // Account, address and capabilities of a new connection; made by the worker.
  using MakeOptions = std::function<BackendConnection::Options(const routing::Backend&,
                                                               const session::SessionLogin&)>;
  // The process's account of a backend's connections; lives as long as the process.
  using FindBudget = std::function<routing::ConnectionBudget*(const routing::Backend&)>;

  BackendPool(EventLoop* loop, Options options, MakeOptions make_options, FindBudget find_budget,
              session::StateInterner* states, metrics::WorkerMetrics* metrics);
  ~BackendPool() override;

  // What belongs to a backend that is gone is closed: free connections at once, lent ones when they
  // are given back. Limits are read anew.
  void SetTopology(std::shared_ptr<const routing::Topology> topology);

  // Times and limits from now on; the callbacks stay.
  void SetLimits(uint64_t acquire_timeout_ms, const routing::PoolLimits& limits);

  // The number of a login's account, the same for all that may share connections.
  [[nodiscard]] routing::PoolUser AccountOf(const session::SessionLogin& login);

  // See session::SessionShell. `user` is told what happens on the connection from now on.
  [[nodiscard]] session::BackendLink* Acquire(const session::LinkRequest& request, LinkUser* user,
                                              std::optional<session::RouterError>* error);
  void CancelAcquire(LinkUser* user);
  void Keep(session::BackendLink* link);
  [[nodiscard]] bool Retake(session::BackendLink* link);
  void Release(session::BackendLink* link, session::ReleaseHow how);
  // Runs KILL [QUERY] for what runs on `link`, on a connection of its own.
  void KillOn(session::BackendLink* link, bool query_only);
  // The backend does not answer: resets every connection on which something runs (`writes_only`:
  // something that may write), tells their sessions, and closes the free ones. What is lent to a
  // session and idle stays, and is asked with a ping before it is used. Returns the ones under
  // which the server may still be running something.
  // `idle_too`: it will not be this shard's any more; what sessions hold there is lost now.
  // `silent_before_ns`: only where nothing was sent or received since then; UINT64_MAX: wherever.
  [[nodiscard]] std::vector<AbandonedConnection> GiveUp(routing::BackendId backend,
                                                        bool writes_only, uint64_t silent_before_ns,
                                                        bool idle_too = false);
  // For sessions that end: nothing is kept for them any more.
  void Forget(LinkUser* user);

  // Another worker has given places back: sessions that wait here may open connections.
  void Retry();

  // Every 100 ms: ages idle connections, times waiting sessions out, gives back what another worker
  // wants.
  void Tick(uint64_t now_ns);
  // What the metrics show of the pool, as it is now.
  void SetGauges();
  // Closes what is idle at once, and everything else when it is released. Then idle() comes true.
  void Shutdown();
  [[nodiscard]] bool empty() const { return connections_.empty() && kills_.empty(); }

  // Calls f(const BackendConnection&) for each connection.
  template <typename F>
  void ForEach(F f) const {
    for (const auto& [id, connection] : connections_) f(*connection);
  }

 private:
  struct PerBackend {
    PerBackend(const routing::PoolLimits& limits, routing::ConnectionBudget* budget)
        : policy(limits, budget), budget(budget) {}
    routing::PoolPolicy policy;
    routing::ConnectionBudget* budget;
    std::string failure;  // why the last connect failed
    uint32_t waiting = 0;
    session::ServerDefaults defaults;
    uint64_t defaults_asked_ns = 0;  // 0: never
    // The policy counts its connections from 1: an id means something within one backend only.
    absl::flat_hash_map<routing::PoolConnection, BackendConnection*> by_id;
  };
  struct Waiting {
    PerBackend* backend;
    uint64_t since_ns;
    session::LinkRequest request;
  };
  struct Kill {
    std::unique_ptr<BackendConnection> connection;
    BackendConnection* victim;  // nullptr: gone
    uint32_t thread_id;
    bool query_only;
  };
  // An account and the capabilities agreed with it: connections are shared within one of these.
  struct AccountKey {
    // Shared, so that a later record can't come to lie at the address of one that is gone.
    std::shared_ptr<const auth::UserRecord> account;
    uint64_t capabilities;
    bool has_schema;  // none can be brought out of one
    bool operator==(const AccountKey&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const AccountKey& key) {
      return H::combine(std::move(h), key.account.get(), key.capabilities, key.has_schema);
    }
  };

  void OnConnectionReady(BackendConnection* connection) override;
  void OnConnectionFailed(BackendConnection* connection, const std::string& why) override;
  void OnConnectionLost(BackendConnection* connection, bool known_dead) override;
  void OnErrandDone(BackendConnection* connection, bool ok) override;

  PerBackend* Find(const routing::Backend& backend);
  static BackendConnection* ConnectionOf(const PerBackend& backend, routing::PoolConnection id);
  // Carries a decision of the policy out. Returns the connection where it can be used at once.
  BackendConnection* CarryOut(PerBackend* backend, const routing::Acquired& acquired,
                              const session::LinkRequest& request, LinkUser* user,
                              std::optional<session::RouterError>* error);
  void CarryOutForWaiter(PerBackend* backend, const std::optional<routing::Acquired>& acquired);
  void OpenConnection(PerBackend* backend, routing::PoolConnection id,
                      const session::LinkRequest& request, LinkUser* user);
  void Lend(BackendConnection* connection, LinkUser* user);
  void TakeFromOwner(BackendConnection* connection, session::SavedDiagnostics saved);
  void StartDiagnostics(BackendConnection* connection, LinkUser* next);
  void FinishDiagnostics(BackendConnection* connection, const session::LinkErrand& errand);
  void StartReset(BackendConnection* connection, LinkUser* next);
  void HandOver(BackendConnection* connection);
  [[nodiscard]] bool AskDefaults(BackendConnection* connection);
  void TakeDefaults(BackendConnection* connection, const session::LinkErrand& errand);
  void NowOpen(BackendConnection* connection);
  void NoteServerTimeout(BackendConnection* connection);
  void FinishKill(BackendConnection* killer);
  // False: it is no connection for a KILL.
  [[nodiscard]] bool OnKillerReady(BackendConnection* connection);
  void ForgetVictim(BackendConnection* victim);
  void NoteLeft(BackendConnection* connection);
  void ReleaseInErrand(BackendConnection* connection, session::ReleaseHow how);
  void GiveToPolicy(BackendConnection* connection, routing::Returned how);
  void Discard(BackendConnection* connection, bool abort = false);
  void AcquireAgain(const Waiting& waiting, LinkUser* user);
  void Tell(const Waiting& waiting, LinkUser* user, session::BackendLink* link,
            const std::optional<session::RouterError>& error);
  void RetryInTime(const PerBackend& backend);
  // Those who don't wait it out.
  void FailWaiting(PerBackend* backend, const session::RouterError& error);
  void FailMoved();
  [[nodiscard]] session::RouterError Unavailable(routing::BackendId id,
                                                 const std::string& why) const;

  EventLoop* const loop_;
  Options options_;
  const MakeOptions make_options_;
  const FindBudget find_budget_;
  session::StateInterner* const states_;
  metrics::WorkerMetrics* const metrics_;
  std::shared_ptr<const routing::Topology> topology_;
  absl::flat_hash_map<routing::BackendId, std::unique_ptr<PerBackend>> backends_;
  absl::flat_hash_map<AccountKey, routing::PoolUser> accounts_;
  absl::flat_hash_map<BackendConnection*, std::unique_ptr<BackendConnection>> connections_;
  absl::flat_hash_map<LinkUser*, Waiting> waiting_;
  // KILLs under way, each on a connection of its own.
  absl::flat_hash_map<BackendConnection*, Kill> kills_;
  std::unique_ptr<Timer> retry_;  // when time lets a waiter open a connection
  bool shutting_down_ = false;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_BACKEND_POOL_H_
