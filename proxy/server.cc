#include "proxy/server.h"

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
#include "proxy/http_setup.h"
#include "proxy/io/worker.h"
#include "proxy/listener_setup.h"
#include "proxy/log/log.h"
#include "proxy/process_facts.h"
#include "proxy/reloader.h"
#include "proxy/service_manager.h"
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

// Somebody asks for another configuration.
int AskedSignal() { return SIGRTMIN; }

// SIGUSR1: every worker has ended.
sigset_t HandledSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, AskedSignal()}) sigaddset(&signals, signal);
  return signals;
}

uint32_t WorkerCount(const config::Options& options) {
  const uint32_t count =
      options.workers != 0 ? options.workers : std::max(1u, std::thread::hardware_concurrency());
  return std::min(count, io::Worker::kMaxWorkers);
}

constexpr const char* kServingWords = "serving";

}  // namespace

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
  GivenSockets given;
  PlacedSockets placed;
  std::mutex asked_mutex;
  std::deque<Asked> asked;

  void MakeControl(const BuiltOptions& built, StoreAtStart store);
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
  [[noreturn]] static void EndAtOnce();
};

Server::Server(std::shared_ptr<const config::Options> options, std::string file,
               std::string version)
    : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->file = std::move(file);
  impl_->version = std::move(version);
}

Server::~Server() = default;

std::string Server::Start() {
  // Threads inherit the mask: signals are the main thread's business only.
  const sigset_t signals = HandledSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  std::string error;
  if (error = impl_->given.AddFromEnvironment(); !error.empty()) return error;
  StoreAtStart store;
  if (error = OpenStore(&impl_->options, &store); !error.empty()) return error;
  const std::shared_ptr<const auth::RsaKeyPair> rsa = auth::RsaKeyPair::Generate();
  impl_->reloader = std::make_unique<Reloader>(
      Reloader::Setup{.file = impl_->file,
                      .rsa = rsa,
                      .publish = [this](const BuiltOptions& built) { impl_->Publish(built); },
                      .topology = [this] { return impl_->control->Snapshot(); }});
  const std::optional<BuiltOptions> built =
      impl_->reloader->Begin(impl_->options, store.variables, &error);
  if (!built.has_value()) return error;
  impl_->options = built->options;
  impl_->accounts = std::make_unique<Accounts>(impl_->options->pools.max_connections);
  impl_->router_id = control::RouterId(impl_->options->state_dir);
  impl_->facts.SetOptions(impl_->options);
  impl_->registry =
      std::make_unique<metrics::Registry>(impl_->facts.RegistryOptions(impl_->version));
  impl_->limits.SetDefault(impl_->options->tenant_limit);
  impl_->users = std::make_shared<ConfiguredUsers>(impl_->options);
  if (error = impl_->TakeGivenSockets(*built); !error.empty()) return error;
  impl_->MakeControl(*built, std::move(store));
  if (error = impl_->MakeWorkers(*built); !error.empty()) return error;
  if (error = impl_->MakeAdmin(*built, rsa); !error.empty()) return error;
  if (error = impl_->StartHttp(); !error.empty()) return error;
  impl_->control->Start();
  for (const auto& worker : impl_->workers) worker->Start();
  if (impl_->admin != nullptr) impl_->admin->Start();
  impl_->facts.life = ProcessFacts::Life::kServing;
  for (const auto& listener : built->listeners) {
    const std::string& given = impl_->placed.listeners[listener->index];
    const std::string address = given.empty() ? listener->address.ToText() : given;
    log::Info(log::event::kListening, {{"address", address}, {"what", "clients"}},
              absl::StrCat("listening for clients on ", address,
                           given.empty() ? "" : ", on a socket that was given"));
  }
  if (impl_->admin != nullptr) {
    const std::string address = impl_->options->admin->address.ToString();
    log::Info(log::event::kListening, {{"address", address}, {"what", "admin"}},
              "listening for operators on " + address);
  }
  service_manager::Ready(kServingWords);
  return {};
}

std::string Server::Impl::TakeGivenSockets(const BuiltOptions& built) {
  const std::string error =
      PlaceSockets(*built.options, built.listeners, WorkerCount(*built.options), &given, &placed);
  if (!error.empty()) return error;
  if (const std::string unused = given.Unused(); !unused.empty()) {
    log::Warn(log::event::kSetup, {{"what", "given sockets"}},
              "no listener of the configuration is for these sockets, which are closed: " + unused);
  }
  return {};
}

void Server::Impl::MakeControl(const BuiltOptions& built, StoreAtStart store) {
  control = std::make_unique<control::ControlLoop>(control::ControlLoop::Setup{
      .options = built.options,
      .backend_tls = built.backend_tls,
      .workers = &worker_pointers,
      .gates = gates.get(),
      .router_id = router_id,
      .limits = &limits,
      .metrics = registry->control(),
      .shut_down = [] { kill(getpid(), SIGTERM); },
      .configure =
          [this](control::ConfigRequest request, std::function<void(control::ConfigAnswer)> done) {
            Ask(std::move(request), std::move(done));
          },
      .watchdog = service_manager::WatchdogTimeout(),
      .alive = service_manager::Alive,
      .budget_of = [this](const routing::Backend& backend) { return accounts->BudgetOf(backend); },
      .store = std::move(store.store),
      .stored = std::move(store.state)});
  facts.control = control.get();
  facts.limits = &limits;
}

std::string Server::Impl::MakeWorkers(const BuiltOptions& built) {
  io::WorkerSetup setup;
  setup.options = built.options;
  setup.listeners = built.listeners;
  setup.backend_tls = built.backend_tls;
  setup.login_policy = users;
  setup.accounts = accounts.get();
  setup.workers = &worker_pointers;
  setup.gates = gates.get();
  setup.limits = &limits;
  setup.gate_keeper = control.get();
  for (const std::string& address : placed.listeners) setup.has_given.push_back(!address.empty());
  for (uint32_t i = 0; i < WorkerCount(*built.options); ++i) {
    setup.index = i;
    setup.given = placed.workers[i];
    setup.metrics = registry->AddWorker("worker-" + std::to_string(i));
    workers.push_back(std::make_unique<io::Worker>(setup));
    worker_pointers.push_back(workers.back().get());
    if (std::string error = workers.back()->Listen(); !error.empty()) return error;
  }
  return {};
}

std::string Server::Impl::MakeAdmin(const BuiltOptions& built,
                                    const std::shared_ptr<const auth::RsaKeyPair>& rsa) {
  fleet = std::make_unique<control::FleetCollector>(control.get(), worker_pointers);
  source = std::make_unique<admin::LiveSource>(
      admin::LiveSource::Setup{.fleet = fleet.get(),
                               .registry = registry.get(),
                               .limits = &limits,
                               .options = [this] { return reloader->Current(); },
                               .version = admin::AdminVersion(version)});
  if (!built.options->admin.has_value()) return {};
  admin = std::make_unique<admin::AdminServer>(admin::AdminSetup{.options = built.options,
                                                                 .tls = built.client_tls,
                                                                 .rsa = rsa,
                                                                 .version = version,
                                                                 .desk = control->operators(),
                                                                 .source = source.get(),
                                                                 .socket = placed.admin});
  return admin->Listen();
}

std::string Server::Impl::StartHttp() {
  if (!options->http.has_value()) return {};
  http =
      std::make_unique<HttpSide>(HttpSide::Setup{.options = options,
                                                 .control = control.get(),
                                                 .registry = registry.get(),
                                                 .limits = &limits,
                                                 .directory_count = &facts.directory_count,
                                                 .router_id = router_id,
                                                 .version = version,
                                                 .not_ready = [this] { return facts.NotReady(); },
                                                 .listen_fd = placed.http});
  facts.http = http.get();
  return http->Start();
}

// --- another configuration
// --------------------------------------------------------------------------------

void Server::Impl::Publish(const BuiltOptions& built) {
  limits.SetDefault(built.options->tenant_limit);
  accounts->SetDefaultLimit(built.options->pools.max_connections);
  users->Replace(built.options);
  control->PublishOptions(built.options, built.backend_tls);
  for (const auto& worker : workers)
    worker->PublishOptions({built.options, built.listeners, built.backend_tls});
  if (admin != nullptr) admin->PublishOptions(built.options, built.client_tls);
  facts.SetOptions(built.options);
  if (http != nullptr) http->Replace(built.options);
}

void Server::Impl::Ask(control::ConfigRequest request,
                       std::function<void(control::ConfigAnswer)> done) {
  {
    const std::lock_guard lock(asked_mutex);
    asked.push_back({std::move(request), std::move(done)});
  }
  kill(getpid(), AskedSignal());
}

void Server::Impl::AnswerAsked() {
  while (true) {
    Asked next;
    {
      const std::lock_guard lock(asked_mutex);
      if (asked.empty()) return;
      next = std::move(asked.front());
      asked.pop_front();
    }
    const bool reload = next.request.kind == control::ConfigRequest::Kind::kReload;
    next.done(reload ? reloader->Reload() : reloader->Set(next.request.name, next.request.value));
  }
}

void Server::Impl::ReloadBySignal() {
  service_manager::Reloading();
  log::Reopen();  // whatever becomes of the configuration: logrotate sends this signal too
  const control::ConfigAnswer answer = reloader->Reload();
  for (const std::string& note : answer.notes)
    log::Warn(log::event::kReload, {}, "SIGHUP: " + note);
  if (answer.status.ok()) {
    log::Info(log::event::kReload, {}, "SIGHUP: " + answer.message);
  } else {
    log::Error(log::event::kReload, {}, "SIGHUP: " + std::string(answer.status.message()));
  }
  service_manager::Ready(answer.status.ok() ? kServingWords
                                            : "serving; the last reload was refused, see the log");
}

// --- the end
// ------------------------------------------------------------------------------------------------

// On a thread of its own: the main one goes on hearing signals, whatever hangs here.
void Server::Impl::EndAll() {
  control->Stop();
  control->Join();
  if (admin != nullptr) {
    admin->Stop();
    admin->Join();
  }
  http.reset();
}

// The end that waits for nothing, such as a disk that does not answer. Each step of what operators
// have begun is stored before it is sent, and goes on with the next start.
void Server::Impl::EndAtOnce() {
  log::Error(log::event::kStopping, {{"signals", 2}},
             "ended before all was put away: the store or an operation does not come to an end");
  // The line is on its way through the log's own thread, which may hang at the same disk.
  const timespec patience{.tv_sec = 0, .tv_nsec = 200'000'000};
  nanosleep(&patience, nullptr);
  _exit(1);
}

int Server::Run() {
  enum class Stage : uint8_t { kServing, kDraining, kEnding };
  constexpr timespec kEndWithin{.tv_sec = 5, .tv_nsec = 0};  // after the second signal
  Stage stage = Stage::kServing;
  bool second = false;
  std::thread joiner;
  const auto then_tell = [main = pthread_self()](auto work) {
    return std::thread([main, work] {
      work();
      pthread_kill(main, SIGUSR1);
    });
  };
  const sigset_t signals = HandledSignals();
  while (true) {
    const int signal =
        second ? sigtimedwait(&signals, nullptr, &kEndWithin) : sigwaitinfo(&signals, nullptr);
    if (signal < 0 && errno == EINTR) continue;
    if (signal < 0) impl_->EndAtOnce();
    if (signal == SIGHUP || signal == AskedSignal()) {
      // From then on nobody goes by a configuration any more.
      if (stage != Stage::kEnding)
        signal == SIGHUP ? impl_->ReloadBySignal() : impl_->AnswerAsked();
      continue;
    }
    if (signal == SIGUSR1) {
      if (stage == Stage::kServing) continue;
      joiner.join();
      if (stage == Stage::kEnding) break;
      stage = Stage::kEnding;
      joiner = then_tell([impl = impl_.get()] { impl->EndAll(); });
      continue;
    }
    if (second) impl_->EndAtOnce();
    second = stage != Stage::kServing;
    impl_->facts.life = ProcessFacts::Life::kDraining;
    log::Info(
        log::event::kStopping, {{"signals", second ? 2 : 1}},
        second ? "second signal: ending at once" : "stopping: no new clients, what runs may end");
    service_manager::Stopping("no new clients, what runs may end");
    const auto wait_ms =
        static_cast<uint64_t>(routing::ToMillis(impl_->reloader->Current()->shutdown_timeout));
    for (const auto& worker : impl_->workers) worker->RequestShutdown(second ? 0 : wait_ms);
    if (stage == Stage::kServing) {
      stage = Stage::kDraining;
      joiner = then_tell([impl = impl_.get()] {
        for (const auto& worker : impl->workers) worker->Join();
      });
    }
  }
  log::Info(log::event::kStopped, {}, "stopped");
  return 0;
}

}  // namespace bulkhead
