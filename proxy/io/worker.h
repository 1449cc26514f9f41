// A worker: one event loop on one thread, its listeners, its clients and its backend connections.
//
// Purpose: owns everything on the data path; nothing of it is shared with another worker but the
// accounts of the process
//   (connection budgets, the number of clients) and immutable snapshots.
// Thread: Start, RequestShutdown, PublishTopology and Join from the server's thread; all else on
// the worker's own. Limits: clients, unauthenticated clients, times of login and idleness:
// config::Clients.
#ifndef BULKHEAD_PROXY_IO_WORKER_H_
#define BULKHEAD_PROXY_IO_WORKER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "metrics/worker_metrics.h"
#include "proxy/config/options.h"
#include "proxy/io/backend_pool.h"
#include "proxy/io/busy_count.h"
#include "proxy/io/event_loop.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/kill_scope.h"
#include "proxy/io/listener.h"
#include "proxy/io/session_list.h"
#include "proxy/io/session_runner.h"
#include "proxy/io/slow_log.h"
#include "proxy/io/tls_context.h"
#include "proxy/session/client_handshake.h"
#include "proxy/wire/proxy_protocol.h"
#include "routing/gate_board.h"

namespace bulkhead::io {

// One configured listener, as all workers see it.
struct ClientListener {
  size_t index = 0;  // in the configuration
  SocketAddress address;
  bool is_unix = false;
  bool proxy_protocol = false;
  wire::NetworkList proxy_networks;  // empty: from everywhere
  std::shared_ptr<const session::ClientHandshakeOptions> handshake;
  TlsContext::Ptr tls;

  [[nodiscard]] bool ExpectsProxyHeader(std::string_view host) const {
    return proxy_protocol && (proxy_networks.empty() || proxy_networks.Contains(host));
  }
};

// Accounts of the whole process. Any thread.
class ProcessAccounts {
 public:
  virtual ~ProcessAccounts() = default;
  [[nodiscard]] virtual routing::ConnectionBudget* BudgetOf(const routing::Backend& backend) = 0;
  std::atomic<uint32_t> clients{0};
  std::atomic<uint32_t> unauthenticated{0};
};

// What a reload replaces, built and checked whole. The listeners are those that the worker has,
// with other handshakes and certificates.
struct WorkerOptions {
  std::shared_ptr<const config::Options> options;
  std::vector<std::shared_ptr<const ClientListener>> listeners;
  TlsContext::Ptr backend_tls;
};

// What a worker is made of; the same for all workers but `index` and `metrics`.
struct WorkerSetup {
  uint32_t index = 0;
  std::shared_ptr<const config::Options> options;
  std::vector<std::shared_ptr<const ClientListener>> listeners;
  std::shared_ptr<const session::LoginPolicy> login_policy;
  TlsContext::Ptr backend_tls;
  ProcessAccounts* accounts = nullptr;
  metrics::WorkerMetrics* metrics = nullptr;
  // What the control thread publishes, and where statements that find a gate closed ask. Both live
  // longer than the worker.
  const routing::GateBoard* gates = nullptr;
  GateKeeper* gate_keeper = nullptr;
  routing::TenantLimits* limits = nullptr;  // of the process; lives as long
  // By listener: sockets that are given to this worker; it binds its own where there are none.
  std::vector<std::vector<GivenListener>> given;
  // By listener: sockets were given, if not to this worker.
  std::vector<bool> has_given;
  // This process among those of one router that live at once: a part of its sessions' ids.
  uint32_t process = 0;  // below Worker::kMaxProcesses
  // KILL of a session of another one of them, by a user. Any thread; so is `done`'s. May be empty.
  std::function<void(uint64_t id, bool query_only, const KillScope& scope,
                     std::function<void(bool found)> done)>
      kill_elsewhere;
  // The other workers, for KILL; set before the threads start.
  std::vector<class Worker*>* workers = nullptr;
};

class Worker {
 public:
  static constexpr uint32_t kMaxWorkers = 64;
  static constexpr uint32_t kMaxProcesses = 8;

  explicit Worker(WorkerSetup setup);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Binds this worker's sockets. "" or what is wrong.
  [[nodiscard]] std::string Listen();
  // The sockets that it has bound or was given; constant from Listen on, open until StopAccepting.
  struct OpenSocket {
    int fd = -1;
    bool keep_file = false;
  };
  [[nodiscard]] const std::vector<OpenSocket>& sockets() const { return sockets_; }
  void Start();  // the thread
  void Join();
  // `done`, on this worker's thread, once everything here goes by it. May be empty.
  void PublishTopology(std::shared_ptr<const routing::Topology> topology,
                       std::function<void()> done);
  // For logins, connections and statements from now on; nobody is dropped. Any thread.
  void PublishOptions(WorkerOptions options);
  // Another process accepts from the same sockets: here they are closed. Sessions go on.
  void StopAccepting();
  // Stops accepting, lets what runs end until `deadline_ms` from now, then closes the rest.
  void RequestShutdown(uint64_t deadline_ms);

  // --- for the control thread: any thread ---
  void PostReleased(std::vector<GateRelease> releases);
  void PostRefused(std::vector<GateRefusal> refusals);
  void PostGateClosed(std::vector<routing::ShardId> shards);
  void PostTables(std::shared_ptr<const routing::TransactionalTables> tables);
  // Resets the connections of a backend that is given up, and answers what ran on them.
  // `writes_only`: of those under which a statement that may write is running.
  // See BackendPool::GiveUp.
  void PostGiveUp(routing::BackendId backend, bool writes_only, uint64_t silent_before_ns,
                  bool idle_too = false);
  // Whoever awaits `done` (called on this worker's thread) knows that from then on every statement
  // here sees what the gates said when this was posted.
  void PostCountBusy(BusyFilter filter, std::function<void(const BusyCount&)> done);
  // Whoever's session it is, or only a session of `user`. `done` says whether it was found here.
  void PostKill(uint64_t id, bool query_only, std::optional<KillScope> scope,
                std::function<void(bool)> done);

  // For the admin listener: any thread. `done` is called on this worker's.
  void PostList(size_t most_sessions, std::function<void(SessionList)> done);

  // How many runs of the loop's timer it missed last, as a moment: see BackendHealth::OnLoopLate.
  // kEnded: it has.
  static constexpr uint64_t kEnded = UINT64_MAX;
  [[nodiscard]] uint64_t last_turn_ns() const {
    return last_turn_ns_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const ActivityBoard& activity() const { return activity_; }

  // --- for session runners ---
  [[nodiscard]] const routing::GateBoard& gates() const { return *setup_.gates; }
  [[nodiscard]] GateKeeper* gate_keeper() { return setup_.gate_keeper; }
  [[nodiscard]] uint32_t index() const { return setup_.index; }
  // A statement that may make a table of another kind is sent to, or was answered by, this backend.
  void NoteDdl(routing::BackendId backend);
  void NoteUnknown(uint32_t session_id, const session::UnknownOutcome& outcome);
  [[nodiscard]] EventLoop* loop() { return &loop_; }
  [[nodiscard]] BackendPool* pool() { return pool_.get(); }
  [[nodiscard]] metrics::WorkerMetrics* metrics() { return setup_.metrics; }
  [[nodiscard]] const session::LoginPolicy* login_policy() const {
    return setup_.login_policy.get();
  }
  [[nodiscard]] session::SessionContext* context() { return &contexts_.front(); }
  [[nodiscard]] session::SessionContext* ContextOf(const ClientListener& listener) {
    return &contexts_[listener.index];
  }
  [[nodiscard]] auth::ExchangeNonces MakeNonces();
  [[nodiscard]] uint64_t flush_limit_ms() const { return 5000; }
  [[nodiscard]] int zlib_level() const { return setup_.options->compression.zlib_level; }
  // Takes the runner out of use; its memory goes with the next turn of the loop.
  void Retire(SessionRunner* runner);
  void OnLoggedIn(SessionRunner* runner);
  void RunPasswordJob(uint32_t runner_id, const auth::PasswordJob& job);
  // KILL: `by` is a session of this worker; OnKillDone follows there.
  void KillById(SessionRunner* by, uint64_t id, bool query_only);
  // worker_count.cc
  void CountStatement(SessionRunner* runner, metrics::TenantMeter::Hint* tenant_hint,
                      routing::ShardId shard, sql::StatementKind kind, session::Outcome outcome,
                      uint64_t duration_ns);
  static void LogLoginEnd(std::string_view host, std::string_view user, std::string_view why);

 private:
  void OnAccept(size_t listener, int fd, const SocketAddress& peer);
  void FollowOptions();
  [[nodiscard]] uint32_t NextId();
  void WakeOthers();
  void OnTick();
  void CheckTimes(uint64_t now_ns);
  void LogSlow(SessionRunner* runner, routing::ShardId shard, metrics::StatementKind kind,
               metrics::StatementOutcome outcome, uint64_t ran_ns);
  void EndSecondOfCounts();
  void CountPins();
  void ReportHeld();
  void TellPendingDdl();
  void GiveMemoryBack();
  void ContinueShutdown();
  BackendConnection::Options BackendOptions(const routing::Backend& backend,
                                            const session::SessionLogin& login);
  [[nodiscard]] SessionRunner* RunnerOfTicket(uint64_t ticket);
  struct KillRequest {
    uint32_t worker;  // whose session asks
    uint32_t session;
    KillScope scope;
    routing::BackendId backend;  // whose own ids it has seen; not valid: nobody's
    uint64_t id;
    bool query_only;
    uint32_t tried = 0;  // workers that were asked
  };
  // Looks for the victim here, then asks the next worker. Runs on this worker's thread.
  void TryKill(KillRequest request);
  [[nodiscard]] SessionRunner* VictimOf(const KillRequest& request);
  void FinishKill(uint32_t requester, uint64_t id, bool found);
  // worker_list.cc
  struct Listing;
  void ContinueListing(const std::shared_ptr<Listing>& listing);
  [[nodiscard]] std::vector<PoolRow> PoolRows() const;

  WorkerSetup setup_;  // what PublishOptions replaces is this thread's
  SlowLog slow_log_;
  EventLoop loop_;
  std::thread thread_;
  session::StateInterner states_;
  session::StatementTexts texts_;
  std::vector<session::SessionContext> contexts_;  // one per listener
  std::unique_ptr<BackendPool> pool_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<OpenSocket> sockets_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<SessionRunner>> runners_;
  std::unique_ptr<Timer> tick_;
  uint32_t id_sequence_ = 0;
  struct DdlNote {
    uint64_t told_ns = 0;
    bool pending = false;
  };
  absl::flat_hash_map<routing::BackendId, DdlNote> ddl_notes_;
  bool closing_all_ = false;
  ActivityBoard activity_;
  std::atomic<uint64_t> last_turn_ns_{0};
  uint64_t shutdown_deadline_ns_ = 0;  // 0: not shutting down
  uint64_t last_time_check_ns_ = 0;
  uint64_t last_tick_ns_ = 0;
  size_t peak_clients_ = 0;  // since memory was given back last
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_WORKER_H_
