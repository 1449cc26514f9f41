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
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "metrics/worker_metrics.h"
#include "proxy/config/options.h"
#include "proxy/io/backend_pool.h"
#include "proxy/io/event_loop.h"
#include "proxy/io/listener.h"
#include "proxy/io/session_runner.h"
#include "proxy/io/tls_context.h"
#include "proxy/session/client_handshake.h"
#include "proxy/wire/proxy_protocol.h"

namespace bulkhead::io {

// One configured listener, as all workers see it.
struct ClientListener {
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

// What a worker is made of; the same for all workers but `index` and `metrics`.
struct WorkerSetup {
  uint32_t index = 0;
  std::shared_ptr<const config::Options> options;
  std::vector<std::shared_ptr<const ClientListener>> listeners;
  std::shared_ptr<const session::LoginPolicy> login_policy;
  TlsContext::Ptr backend_tls;
  ProcessAccounts* accounts = nullptr;
  metrics::WorkerMetrics* metrics = nullptr;
  // The other workers, for KILL; set before the threads start.
  std::vector<class Worker*>* workers = nullptr;
};

class Worker {
 public:
  static constexpr uint32_t kMaxWorkers = 64;

  explicit Worker(WorkerSetup setup);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Binds this worker's sockets. "" or what is wrong.
  [[nodiscard]] std::string Listen();
  void Start();  // the thread
  void Join();
  void PublishTopology(std::shared_ptr<const routing::Topology> topology);
  // Stops accepting, lets what runs end until `deadline_ms` from now, then closes the rest.
  void RequestShutdown(uint64_t deadline_ms);

  // --- for session runners ---
  [[nodiscard]] EventLoop* loop() { return &loop_; }
  [[nodiscard]] BackendPool* pool() { return pool_.get(); }
  [[nodiscard]] metrics::WorkerMetrics* metrics() { return setup_.metrics; }
  [[nodiscard]] const session::LoginPolicy* login_policy() const {
    return setup_.login_policy.get();
  }
  [[nodiscard]] session::SessionContext* context() { return &contexts_.front(); }
  [[nodiscard]] session::SessionContext* ContextOf(const ClientListener& listener);
  [[nodiscard]] auth::ExchangeNonces MakeNonces();
  [[nodiscard]] uint64_t flush_limit_ms() const { return 5000; }
  [[nodiscard]] int zlib_level() const { return setup_.options->compression.zlib_level; }
  // Takes the runner out of use; its memory goes with the next turn of the loop.
  void Retire(SessionRunner* runner);
  void OnLoggedIn(SessionRunner* runner);
  void RunPasswordJob(uint32_t runner_id, const auth::PasswordJob& job);
  void KillById(uint32_t requester, const std::string& requester_user, uint64_t id,
                bool query_only);
  void CountStatement(routing::ShardId shard, sql::StatementKind kind, session::Outcome outcome,
                      uint64_t duration_ns);
  static void LogLoginEnd(std::string_view host, std::string_view user, std::string_view why);

 private:
  void OnAccept(const ClientListener* listener, int fd, const SocketAddress& peer);
  [[nodiscard]] uint32_t NextId();
  void OnTick();
  void CheckTimes(uint64_t now_ns);
  void CountPins();
  void ContinueShutdown();
  BackendConnection::Options BackendOptions(const routing::Backend& backend,
                                            const session::SessionLogin& login) const;
  // Looks for the victim here, then asks the next worker. Runs on this worker's thread.
  void TryKill(uint32_t requester_worker, uint32_t requester, const std::string& user, uint64_t id,
               bool query_only, uint32_t tried);
  void FinishKill(uint32_t requester, uint64_t id, bool found);

  const WorkerSetup setup_;
  EventLoop loop_;
  std::thread thread_;
  session::StateInterner states_;
  session::StatementTexts texts_;
  std::vector<session::SessionContext> contexts_;  // one per listener
  std::unique_ptr<BackendPool> pool_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<SessionRunner>> runners_;
  std::unique_ptr<Timer> tick_;
  uint32_t id_sequence_ = 0;
  uint64_t shutdown_deadline_ns_ = 0;  // 0: not shutting down
  uint64_t last_time_check_ns_ = 0;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_WORKER_H_
