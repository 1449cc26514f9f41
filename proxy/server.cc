#include "proxy/server.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "metrics/registry.h"
#include "proxy/control/control_loop.h"
#include "proxy/control/router_id.h"
#include "proxy/http/http_server.h"
#include "proxy/http/monitoring_pages.h"
#include "proxy/io/worker.h"
#include "proxy/listener_setup.h"
#include "proxy/session/pins.h"
#include "proxy/store_setup.h"
#include "proxy/users.h"

namespace bulkhead {

namespace {

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

 private:
  const uint32_t default_limit_;
  // Taken when a worker meets a backend for the first time, and when a backend's pace changes.
  std::mutex mutex_;
  absl::flat_hash_map<routing::BackendId, std::unique_ptr<routing::ConnectionBudget>> budgets_;
};

metrics::TopologyNames NamesOf(const routing::Topology& topology) {
  metrics::TopologyNames names;
  for (const routing::Shard* shard : topology.shards()) {
    if (names.shards.size() <= shard->id.index) names.shards.resize(shard->id.index + 1u);
    names.shards[shard->id.index] = shard->name;
  }
  for (const routing::Backend* backend : topology.backends()) {
    if (names.backends.size() <= backend->id.index) names.backends.resize(backend->id.index + 1u);
    names.backends[backend->id.index] = backend->name;
  }
  return names;
}

sigset_t HandledSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  return signals;
}

}  // namespace

struct Server::Impl {
  std::shared_ptr<const config::Options> options;
  std::string version;
  std::unique_ptr<Accounts> accounts;
  std::unique_ptr<metrics::Registry> registry;
  std::unique_ptr<routing::GateBoard> gates = std::make_unique<routing::GateBoard>();
  std::unique_ptr<control::ControlLoop> control;
  routing::TenantLimits limits;
  std::vector<io::Worker*> worker_pointers;
  std::vector<std::unique_ptr<io::Worker>> workers;
  std::unique_ptr<http::HttpServer> http;

  std::string StartHttp();
};

Server::Server(std::shared_ptr<const config::Options> options, std::string version)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->version = std::move(version);
}

Server::~Server() = default;

std::string Server::Start() {
  // Threads inherit the mask: signals are the main thread's business only.
  const sigset_t signals = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  std::string error;
  StoreAtStart store;
  if (error = OpenStore(&impl_->options, &store); !error.empty()) return error;
  const config::Options& options = *impl_->options;
  impl_->accounts = std::make_unique<Accounts>(options.pools.max_connections);
  metrics::Registry::Options metrics_options;
  metrics_options.version = impl_->version;
  metrics_options.start_time_seconds = static_cast<double>(std::time(nullptr));
  for (std::string_view name : session::kPinNames) metrics_options.pin_reasons.emplace_back(name);
  metrics_options.health = [this]() -> std::shared_ptr<const metrics::HealthView> {
    return impl_->control == nullptr ? nullptr : impl_->control->View();
  };
  metrics_options.names = [this] {
    return NamesOf(impl_->control == nullptr ? *impl_->options->topology
                                             : *impl_->control->Snapshot());
  };
  impl_->registry = std::make_unique<metrics::Registry>(std::move(metrics_options));

  impl_->limits.SetDefault(options.tenant_limit);

  io::WorkerSetup setup;
  setup.options = impl_->options;
  setup.listeners = MakeListeners(options, &error);
  if (!error.empty()) return error;
  setup.backend_tls = MakeBackendTls(options, &error);
  if (!error.empty()) return error;
  setup.login_policy = std::make_shared<const ConfiguredUsers>(impl_->options);
  setup.accounts = impl_->accounts.get();
  setup.workers = &impl_->worker_pointers;
  impl_->control = std::make_unique<control::ControlLoop>(control::ControlLoop::Setup{
      .options = impl_->options,
      .backend_tls = setup.backend_tls,
      .workers = &impl_->worker_pointers,
      .gates = impl_->gates.get(),
      .router_id = control::RouterId(options.state_dir),
      .limits = &impl_->limits,
      .shut_down = [] { kill(getpid(), SIGTERM); },
      .budget_of =
          [this](const routing::Backend& backend) { return impl_->accounts->BudgetOf(backend); },
      .store = std::move(store.store),
      .stored = std::move(store.state)});
  setup.gates = impl_->gates.get();
  setup.limits = &impl_->limits;
  setup.gate_keeper = impl_->control.get();

  const uint32_t count =
      options.workers != 0 ? options.workers : std::max(1u, std::thread::hardware_concurrency());
  for (uint32_t i = 0; i < std::min(count, io::Worker::kMaxWorkers); ++i) {
    setup.index = i;
    setup.metrics = impl_->registry->AddWorker("worker-" + std::to_string(i));
    impl_->workers.push_back(std::make_unique<io::Worker>(setup));
    impl_->worker_pointers.push_back(impl_->workers.back().get());
    if (error = impl_->workers.back()->Listen(); !error.empty()) return error;
  }
  if (error = impl_->StartHttp(); !error.empty()) return error;
  impl_->control->Start();
  for (const auto& worker : impl_->workers) worker->Start();
  for (const auto& listener : setup.listeners)
    spdlog::info("listening for clients on {}", listener->address.ToText());
  return {};
}

std::string Server::Impl::StartHttp() {
  if (!options->http.has_value()) return {};
  http::HttpServer::Options http_options;
  http_options.host = options->http->address.host;
  http_options.port = options->http->address.port;
  auto started = http::HttpServer::Start(
      http_options, http::MonitoringPages(registry.get(), [] { return std::string(); }));
  if (!started.ok()) return "http: " + std::string(started.status().message());
  http = std::move(*started);
  spdlog::info("metrics on http://{}:{}/metrics", http_options.host, http->port());
  return {};
}

int Server::Run() {
  // SIGUSR1 is the joiner's: every worker has ended.
  const sigset_t signals = HandledSignals();
  const auto wait_ms = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(impl_->options->shutdown_timeout)
          .count());
  std::thread joiner;
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGHUP) {
      spdlog::warn("SIGHUP: this version reads its configuration at start only");
      continue;
    }
    if (signal == SIGUSR1) {
      if (!joiner.joinable()) continue;
      break;
    }
    const bool second = joiner.joinable();
    spdlog::info(second ? "second signal: ending at once"
                        : "stopping: no new clients, what runs may end");
    for (const auto& worker : impl_->workers) worker->RequestShutdown(second ? 0 : wait_ms);
    if (!second) {
      joiner = std::thread([this, main = pthread_self()] {
        for (const auto& worker : impl_->workers) worker->Join();
        pthread_kill(main, SIGUSR1);
      });
    }
  }
  joiner.join();
  impl_->control->Stop();
  impl_->control->Join();
  impl_->http.reset();
  spdlog::info("stopped");
  return 0;
}

}  // namespace bulkhead
