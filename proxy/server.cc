#include "proxy/server.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "proxy/log/log.h"
#include "proxy/server_impl.h"
#include "proxy/service_manager.h"

namespace bulkhead {

namespace {

// Somebody asks for another configuration.
int AskedSignal() { return SIGRTMIN; }

// SIGUSR1: every worker has ended. SIGUSR2: another process is to take over.
sigset_t HandledSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, AskedSignal(), HandoverSignal()})
    sigaddset(&signals, signal);
  return signals;
}

uint32_t WorkerCount(const config::Options& options) {
  const uint32_t count =
      options.workers != 0 ? options.workers : std::max(1u, std::thread::hardware_concurrency());
  return std::min(count, io::Worker::kMaxWorkers);
}

constexpr const char* kServingWords = "serving";

}  // namespace

Server::Server(std::shared_ptr<const config::Options> options, std::string file,
               std::string version, std::unique_ptr<Inheritance> inheritance)
    : impl_(std::make_unique<Impl>()) {
  impl_->inheritance = std::move(inheritance);
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
  const std::shared_ptr<const auth::RsaKeyPair> rsa = auth::RsaKeyPair::Generate();
  error = impl_->inheritance != nullptr ? impl_->Inherit(rsa) : impl_->given.AddFromEnvironment();
  if (!error.empty()) return error;
  StoreAtStart store;
  if (error = OpenStore(&impl_->options, &store); !error.empty()) return error;
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
  // From here on nothing can fail.
  if (impl_->inheritance != nullptr) {
    (void)impl_->inheritance->Taken();
    const pid_t before = impl_->inheritance->pid();
    impl_->control->SetPredecessor(impl_->inheritance->Release(), before,
                                   [] { service_manager::Ready(kServingWords); });
    log::Info(log::event::kHandover, {{"what", "taken over"}},
              absl::StrCat("has taken over from pid ", before, ", whose sessions go on there"));
    impl_->inheritance.reset();
  }
  impl_->given.DropUnused();
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
      .clients = [this] { return uint64_t{accounts->clients.load()}; },
      .process = process,
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
  setup.process = process;
  setup.kill_elsewhere = [this](uint64_t id, bool query_only, const io::KillScope& scope,
                                std::function<void(bool)> done) {
    control->PostKillElsewhere(id, query_only, scope, std::move(done));
  };
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
  if (handed_over) {
    log::Reopen();
    return;
  }
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
  bool put_off = false;  // a signal to end came while another process was taking over
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
    if (signal == SIGUSR2) {
      if (stage == Stage::kServing) impl_->BeginHandover();
      continue;
    }
    if (signal == HandoverSignal()) {
      if (impl_->EndHandover() && put_off) kill(getpid(), SIGTERM);
      continue;
    }
    // Half of a process can't end: what is under way does, within its own limits.
    if (impl_->handing_over && (signal == SIGTERM || signal == SIGINT)) {
      if (std::exchange(put_off, true)) impl_->EndAtOnce();
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
    if (!impl_->handed_over) service_manager::Stopping("no new clients, what runs may end");
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
