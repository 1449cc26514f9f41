// What the server is made of: shared by the files that implement it.
//
// Threads: the main one's, but for what says otherwise.
#ifndef BULKHEAD_PROXY_SERVER_IMPL_H_
#define BULKHEAD_PROXY_SERVER_IMPL_H_

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "metrics/registry.h"
#include "proxy/admin/admin_server.h"
#include "proxy/admin/live_source.h"
#include "proxy/auth/rsa_key.h"
#include "proxy/control/control_loop.h"
#include "proxy/control/fleet_collector.h"
#include "proxy/control/router_id.h"
#include "proxy/given_sockets.h"
#include "proxy/handover.h"
#include "proxy/http_setup.h"
#include "proxy/io/worker.h"
#include "proxy/listener_setup.h"
#include "proxy/log/log.h"
#include "proxy/process_facts.h"
#include "proxy/reloader.h"
#include "proxy/server.h"
#include "proxy/service_manager.h"
#include "proxy/session/pins.h"
#include "proxy/store_setup.h"
#include "proxy/users.h"

namespace bulkhead {

// An attempt to hand over has ended.
inline int HandoverSignal() { return SIGRTMIN + 1; }

class Accounts final : public io::ProcessAccounts {
 public:
  explicit Accounts(uint32_t default_limit) : default_limit_(default_limit) {}

  routing::ConnectionBudget* BudgetOf(const routing::Backend& backend) override {
    std::lock_guard lock(mutex_);
    std::unique_ptr<routing::ConnectionBudget>& budget = budgets_[backend.id];
    const uint32_t limit = backend.max_connections.value_or(default_limit_);
    if (budget == nullptr) budget = std::make_unique<routing::ConnectionBudget>(limit);
    if (budget->limit() != limit) budget->SetLimit(limit);  // altered by an operator
    return budget.get();
  }
  // Of budgets that are asked for from now on.
  void SetDefaultLimit(uint32_t limit) {
    std::lock_guard lock(mutex_);
    default_limit_ = limit;
  }

 private:
  // Taken when a worker meets a backend for the first time, and when a backend's pace changes.
  std::mutex mutex_;
  uint32_t default_limit_;
  absl::flat_hash_map<routing::BackendId, std::unique_ptr<routing::ConnectionBudget>> budgets_;
};

struct Server::Impl {
  struct Asked {
    control::ConfigRequest request;
    std::function<void(control::ConfigAnswer)> done;
  };

  std::shared_ptr<const config::Options> options;  // of the start
  std::string file;
  std::string version;
  std::unique_ptr<Accounts> accounts;
  std::unique_ptr<metrics::Registry> registry;
  std::unique_ptr<routing::GateBoard> gates = std::make_unique<routing::GateBoard>();
  std::unique_ptr<control::ControlLoop> control;
  routing::TenantLimits limits;
  std::shared_ptr<ConfiguredUsers> users;
  std::vector<io::Worker*> worker_pointers;
  std::vector<std::unique_ptr<io::Worker>> workers;
  std::unique_ptr<Reloader> reloader;
  std::unique_ptr<control::FleetCollector> fleet;
  std::unique_ptr<admin::LiveSource> source;
  std::unique_ptr<admin::AdminServer> admin;
  ProcessFacts facts;
  std::string router_id;
  std::unique_ptr<HttpSide> http;
  std::unique_ptr<Inheritance> inheritance;  // while it takes over
  uint32_t process = 0;
  bool handing_over = false;             // the main thread's
  std::thread hander;                    // while it is so
  std::atomic<bool> handed_over{false};  // another process serves: this one drains
  GivenSockets given;
  PlacedSockets placed;
  std::mutex asked_mutex;
  std::deque<Asked> asked;

  void MakeControl(const BuiltOptions& built, StoreAtStart store);
  // Everything that needs no store, and then the store. "" or what is wrong.
  std::string Inherit(const std::shared_ptr<const auth::RsaKeyPair>& rsa);
  std::string TakeGivenSockets(const BuiltOptions& built);
  std::string MakeWorkers(const BuiltOptions& built);
  std::string MakeAdmin(const BuiltOptions& built,
                        const std::shared_ptr<const auth::RsaKeyPair>& rsa);
  std::string StartHttp();
  void Publish(const BuiltOptions& built);
  // Any thread.
  void Ask(control::ConfigRequest request, std::function<void(control::ConfigAnswer)> done);
  void AnswerAsked();
  void ReloadBySignal();
  void EndAll();
  // server_handover.cc, on a thread of its own: another process takes over, or all is as before.
  void HandOver();
  void BeginHandover();  // the main thread's, both
  [[nodiscard]] bool EndHandover();
  [[nodiscard]] std::string TryToHandOver();
  [[nodiscard]] std::string TakeStoreBack();
  [[nodiscard]] std::vector<GivenSocket> OpenSockets() const;
  [[noreturn]] static void EndAtOnce();
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_SERVER_IMPL_H_
