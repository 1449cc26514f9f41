#include "proxy/io/worker.h"

#include <malloc.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/log/log.h"
#include "proxy/session/capability_rules.h"
#include "routing/abseil_view.h"

namespace bulkhead::io {

namespace {

constexpr uint64_t kTickMs = 100;
constexpr uint64_t kNsPerMs = 1'000'000;

// Ids that clients are given: bit 30 tells them from backends' thread ids, the next ones name the
// process, the low ones the worker.
constexpr uint32_t kIdMark = 1u << 30;
constexpr uint32_t kWorkerBits = 6;
constexpr uint32_t kProcessBits = 3;
constexpr uint32_t kProcessShift = 30 - kProcessBits;
static_assert(Worker::kMaxWorkers == 1u << kWorkerBits);
static_assert(Worker::kMaxProcesses == 1u << kProcessBits);
constexpr uint32_t kMaxSequence = (1u << (kProcessShift - kWorkerBits)) - 1;

uint32_t ProcessOf(uint64_t id) {
  return static_cast<uint32_t>(id >> kProcessShift) & (Worker::kMaxProcesses - 1);
}

uint64_t Ns(routing::Duration duration) { return static_cast<uint64_t>(duration.count()); }

wire::Capabilities CompressionBits(const config::Compression& compression) {
  wire::Capabilities bits = 0;
  for (config::CompressionAlgorithm algorithm : compression.backends) {
    bits |= algorithm == config::CompressionAlgorithm::kZlib
                ? wire::kClientCompress
                : wire::kClientZstdCompressionAlgorithm;
  }
  return bits;
}

// "5.5.5-10.11.6-MariaDB" is 101106, "8.0.36" 80036: what executable comments are compared with.
uint32_t VersionNumber(std::string_view version) {
  constexpr std::string_view kMariadbPrefix = "5.5.5-";
  if (version.starts_with(kMariadbPrefix)) version.remove_prefix(kMariadbPrefix.size());
  uint32_t parts[3] = {0, 0, 0};
  size_t part = 0;
  for (const char c : version) {
    if (c == '.' && part < 2) {
      ++part;
    } else if (c >= '0' && c <= '9') {
      parts[part] = parts[part] * 10 + static_cast<uint32_t>(c - '0');
    } else {
      break;
    }
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

}  // namespace

Worker::Worker(WorkerSetup setup)
    : setup_(std::move(setup)),
      slow_log_(Ns(setup_.options->log.slow_statement), setup_.options->log.slow_per_second) {
  const config::Options& options = *setup_.options;
  for (const auto& listener : setup_.listeners) {
    session::SessionContext& context = contexts_.emplace_back();
    context.states = &states_;
    context.texts = &texts_;
    context.topology = options.topology;
    context.limits = setup_.limits;
    context.server_family = listener->handshake->family;
    context.server_version = VersionNumber(listener->handshake->server_version);
  }
  BackendPool::Options pool_options;
  pool_options.wake_others = [this] { WakeOthers(); };
  pool_options.note_left = [this](routing::BackendId backend, AbandonedConnection connection) {
    setup_.gate_keeper->NoteLeft(backend, connection);
  };
  pool_ = std::make_unique<BackendPool>(
      &loop_, pool_options,
      [this](const routing::Backend& backend, const session::SessionLogin& login) {
        return BackendOptions(backend, login);
      },
      [this](const routing::Backend& backend) { return setup_.accounts->BudgetOf(backend); },
      &states_, setup_.metrics);
  pool_->SetTopology(options.topology);
  FollowOptions();
}

Worker::~Worker() = default;

std::string Worker::Listen() {
  const auto on_trouble = [](const std::string& what, uint64_t times) {
    log::Warn(log::event::kListener, {{"what", what}, {"times", times}},
              absl::StrCat("listener: ", what, " (", times, " times)"));
  };
  for (const auto& listener : setup_.listeners) {
    const auto on_accept = [this, index = listener->index](int fd, const SocketAddress& peer) {
      OnAccept(index, fd, peer);
    };
    std::string error;
    if (listener->index < setup_.given.size()) {
      for (const GivenListener& given : setup_.given[listener->index]) {
        auto on = Listener::ListenOn(&loop_, given, {}, on_accept, on_trouble, &error);
        if (on == nullptr) return error;
        listeners_.push_back(std::move(on));
      }
    }
    if (listener->index < setup_.has_given.size() && setup_.has_given[listener->index]) continue;
    if (listener->is_unix && setup_.index != 0)
      continue;  // one per path; clients of it are worker 0's
    auto bound = Listener::Listen(&loop_, listener->address, {}, on_accept, on_trouble, &error);
    if (bound == nullptr) return error;
    listeners_.push_back(std::move(bound));
  }
  for (const auto& one : listeners_) sockets_.push_back({one->fd(), one->keeps_file()});
  return {};
}

void Worker::Start() {
  last_turn_ns_.store(loop_.NowNs(), std::memory_order_relaxed);
  tick_ = std::make_unique<Timer>(&loop_, [this] { OnTick(); });
  tick_->Start(kTickMs, kTickMs);
  thread_ = std::thread([this] { loop_.Run(); });
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

// --- clients
// -------------------------------------------------------------------------------------------

void Worker::OnAccept(size_t index, int fd, const SocketAddress& peer) {
  const std::shared_ptr<const ClientListener>& listener = setup_.listeners[index];
  const config::Clients& limits = setup_.options->clients;
  ProcessAccounts& accounts = *setup_.accounts;
  if (accounts.clients.load(std::memory_order_relaxed) >= limits.max_connections ||
      accounts.unauthenticated.load(std::memory_order_relaxed) >= limits.max_unauthenticated) {
    // Before the greeting an ERR has no SQLSTATE. It fits an empty socket's buffer.
    std::vector<uint8_t> refusal;
    wire::PacketWriter writer(&refusal, 0);
    writer.Append([](wire::ByteWriter* out) {
      wire::EncodeErrWithoutSqlstate(static_cast<uint16_t>(wire::ClientError::kTooManyConnections),
                                     "Too many connections", out);
    });
    (void)!write(fd, refusal.data(), refusal.size());
    close(fd);
    setup_.metrics->logins_failed[metrics::LoginFailure::kTooManyClients].Add();
    return;
  }
  accounts.clients.fetch_add(1, std::memory_order_relaxed);
  accounts.unauthenticated.fetch_add(1, std::memory_order_relaxed);
  setup_.metrics->client_connections.Add();
  setup_.metrics->sessions[metrics::SessionState::kUnauthenticated].Add();
  const uint32_t id = NextId();
  auto runner = std::make_unique<SessionRunner>(this, listener, id,
                                                listener->is_unix ? "localhost" : peer.HostText());
  SessionRunner* raw = runner.get();
  runners_[id] = std::move(runner);
  raw->Start(fd);
}

uint32_t Worker::NextId() {
  while (true) {
    id_sequence_ = id_sequence_ >= kMaxSequence ? 1 : id_sequence_ + 1;
    const uint32_t id =
        kIdMark | setup_.process << kProcessShift | id_sequence_ << kWorkerBits | setup_.index;
    if (!runners_.contains(id)) return id;
  }
}

void Worker::OnLoggedIn(SessionRunner* runner) {
  (void)runner;
  setup_.accounts->unauthenticated.fetch_sub(1, std::memory_order_relaxed);
  setup_.metrics->sessions[metrics::SessionState::kUnauthenticated].Sub();
  setup_.metrics->sessions[metrics::SessionState::kAuthenticated].Add();
}

void Worker::Retire(SessionRunner* runner) {
  auto it = runners_.find(runner->id());
  if (it == runners_.end()) return;
  pool_->Forget(runner);
  setup_.accounts->clients.fetch_sub(1, std::memory_order_relaxed);
  if (runner->logged_in()) {
    setup_.metrics->sessions[metrics::SessionState::kAuthenticated].Sub();
  } else {
    setup_.accounts->unauthenticated.fetch_sub(1, std::memory_order_relaxed);
    setup_.metrics->sessions[metrics::SessionState::kUnauthenticated].Sub();
  }
  // Its functions may still be on the stack.
  std::shared_ptr<SessionRunner> gone = std::move(it->second);
  runners_.erase(it);
  loop_.DisposeLater(std::move(gone));
  if (shutdown_deadline_ns_ != 0) ContinueShutdown();
}

auth::ExchangeNonces Worker::MakeNonces() {
  std::array<uint8_t, auth::kExchangeRandomSize> random;
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    (void)!write(STDERR_FILENO, "the system gives no random numbers\n", 35);
    std::abort();
  }
  return auth::MakeExchangeNonces(random);
}

void Worker::RunPasswordJob(uint32_t runner_id, const auth::PasswordJob& job) {
  struct Work {
    uv_work_t request;
    Worker* worker;
    uint32_t runner_id;
    auth::PasswordJob job;
    auth::PasswordJobResult result;
  };
  auto* work = new Work{{}, this, runner_id, job, {}};
  work->request.data = work;
  uv_queue_work(
      loop_.uv(), &work->request,
      [](uv_work_t* request) {
        auto* work = static_cast<Work*>(request->data);
        work->result = auth::RunPasswordJob(work->job);
      },
      [](uv_work_t* request, int) {
        std::unique_ptr<Work> work(static_cast<Work*>(request->data));
        auto it = work->worker->runners_.find(work->runner_id);
        if (it != work->worker->runners_.end()) it->second->OnPasswordJob(std::move(work->result));
      });
}

// --- backends
// ------------------------------------------------------------------------------------------

BackendConnection::Options Worker::BackendOptions(const routing::Backend& backend,
                                                  const session::SessionLogin& login) {
  const config::Options& options = *setup_.options;
  BackendConnection::Options result;
  result.address = backend.address;
  result.tls = setup_.backend_tls;
  result.timeout_ms =
      Ns(options.pools.connect_timeout + options.pools.handshake_timeout) / kNsPerMs;
  result.zlib_level = options.compression.zlib_level;
  result.activity = &activity_.At(backend.id.index);
  session::BackendLogin& account = result.login;
  if (login.user->backend_account.has_value()) {
    account.user = login.user->backend_account->user;
    account.secret = auth::LoginSecret::Plaintext(login.user->backend_account->password);
  } else {
    account.user = login.user->name;
    account.secret = *login.secret;
  }
  account.required = session::PooledCapabilities(login.capabilities);
  account.optional = CompressionBits(options.compression);
  if (login.session_pooling) account.optional |= session::FollowedCompression(login.capabilities);
  account.collation = static_cast<uint8_t>(login.collation <= 255 ? login.collation : 45);
  account.tls = static_cast<session::BackendTls>(backend.tls.value_or(options.backend_tls.mode));
  account.is_unix_socket = backend.address.is_unix();
  account.allow_public_key_request = account.tls == session::BackendTls::kPreferred ||
                                     account.tls == session::BackendTls::kDisabled;
  if (login.attributes != nullptr) {
    account.attributes = *login.attributes;
  } else {
    account.attributes = {{"program_name", "bulkhead"}, {"_client_name", "bulkhead"}};
  }
  return result;
}

// Connections of the process are limited, and a place has come free that others wait for.
void Worker::WakeOthers() {
  for (Worker* other : *setup_.workers) {
    if (other != this) other->loop_.Post([other] { other->pool_->Retry(); });
  }
}

void Worker::PublishTopology(std::shared_ptr<const routing::Topology> topology,
                             std::function<void()> done) {
  loop_.Post([this, topology = std::move(topology), done = std::move(done)] {
    for (session::SessionContext& context : contexts_) context.topology = topology;
    pool_->SetTopology(topology);
    if (done) done();
  });
}

// --- KILL
// ----------------------------------------------------------------------------------------------

void Worker::KillById(SessionRunner* by, uint64_t id, bool query_only) {
  const std::vector<Worker*>& workers = *setup_.workers;
  const session::Session& session = *by->session();
  KillScope scope{session.login().user_as_given, std::string(session.tenant())};
  if ((id & kIdMark) != 0 && ProcessOf(id) != setup_.process && setup_.kill_elsewhere) {
    setup_.kill_elsewhere(id, query_only, scope, [this, requester = by->id(), id](bool found) {
      loop_.Post([this, requester, id, found] { FinishKill(requester, id, found); });
    });
    return;
  }
  const uint32_t first = (id & kIdMark) != 0 && id <= UINT32_MAX
                             ? static_cast<uint32_t>(id & ((1u << kWorkerBits) - 1))
                             : 0;
  if (first >= workers.size()) {
    loop_.Post([this, requester = by->id(), id] { FinishKill(requester, id, false); });
    return;
  }
  KillRequest request{.worker = setup_.index,
                      .session = by->id(),
                      .scope = std::move(scope),
                      .backend = {},
                      .id = id,
                      .query_only = query_only};
  const routing::Topology& topology = *contexts_.front().topology;
  if (!request.scope.tenant.empty()) {
    const routing::Shard* shard = topology.shard(topology.FindTenant(request.scope.tenant).shard);
    if (shard != nullptr) request.backend = shard->primary;
  }
  Worker* target = workers[first];
  target->loop_.Post([target, request = std::move(request)] { target->TryKill(request); });
}

// Another user's or tenant's session is as good as none: its existence is nobody else's business.
SessionRunner* Worker::VictimOf(const KillRequest& request) {
  SessionRunner* victim = nullptr;
  if ((request.id & kIdMark) != 0) {
    auto it = runners_.find(static_cast<uint32_t>(request.id));
    if (it != runners_.end() && it->second->logged_in()) victim = it->second.get();
  } else {
    // A backend's own id, as CONNECTION_ID() or the process list show it: only while it serves a
    // session. Other backends have the same ids.
    pool_->ForEach([&](const BackendConnection& connection) {
      if (connection.thread_id != request.id || connection.owner == nullptr ||
          connection.backend != request.backend)
        return;
      auto it = runners_.find(connection.owner->login().connection_id);
      if (it != runners_.end()) victim = it->second.get();
    });
  }
  return victim != nullptr && request.scope.Reaches(*victim->session()) ? victim : nullptr;
}

void Worker::TryKill(KillRequest request) {
  const std::vector<Worker*>& workers = *setup_.workers;
  SessionRunner* victim = VictimOf(request);
  if (victim != nullptr) {
    victim->BeKilled(request.query_only);
  } else if ((request.id & kIdMark) == 0 && ++request.tried < workers.size()) {
    Worker* next = workers[(setup_.index + 1) % workers.size()];
    next->loop_.Post([next, request = std::move(request)] { next->TryKill(request); });
    return;
  }
  Worker* back = workers[request.worker];
  back->loop_.Post([back, session = request.session, id = request.id, found = victim != nullptr] {
    back->FinishKill(session, id, found);
  });
}

void Worker::FinishKill(uint32_t requester, uint64_t id, bool found) {
  auto it = runners_.find(requester);
  if (it == runners_.end() || it->second->session() == nullptr) return;
  it->second->OnKillDone(found, id);
}

// --- time and shutdown
// -----------------------------------------------------------------------------------

void Worker::OnTick() {
  const uint64_t now = loop_.NowNs();
  const uint64_t due = last_tick_ns_ + kTickMs * kNsPerMs;
  if (last_tick_ns_ != 0)
    setup_.metrics->loop_lag.Record(std::chrono::nanoseconds(now > due ? now - due : 0));
  last_tick_ns_ = now;
  last_turn_ns_.store(now, std::memory_order_relaxed);
  pool_->Tick(now);
  pool_->SetGauges();
  if (now - last_time_check_ns_ >= 1000 * kNsPerMs) {
    last_time_check_ns_ = now;
    CheckTimes(now);
  }
  if (shutdown_deadline_ns_ != 0) ContinueShutdown();
}

// Once a second over all clients: cheaper than a timer for each, at the cost of a second's
// precision.
void Worker::CheckTimes(uint64_t now_ns) {
  const config::Clients& limits = setup_.options->clients;
  std::vector<SessionRunner*> late;
  for (const auto& [id, runner] : runners_) {
    const uint64_t limit = Ns(runner->logged_in() ? limits.idle_timeout : limits.handshake_timeout);
    const bool idle = !runner->logged_in() || runner->session()->idle();
    if (idle && now_ns - runner->last_activity_ns() > limit) late.push_back(runner.get());
  }
  EndSecondOfCounts();
  ReportHeld();
  TellPendingDdl();
  GiveMemoryBack();
  for (SessionRunner* runner : late) {
    if (!runner->logged_in()) setup_.metrics->logins_failed[metrics::LoginFailure::kTimeout].Add();
    runner->CloseClient();
  }
}

// After a peak of clients: what malloc holds of theirs goes back to the system. On another thread,
// since it walks the whole heap.
void Worker::GiveMemoryBack() {
  constexpr size_t kWorthIt = 256;
  peak_clients_ = std::max(peak_clients_, runners_.size());
  if (peak_clients_ < kWorthIt || runners_.size() > peak_clients_ / 2) return;
  peak_clients_ = runners_.size();
  auto* request = new uv_work_t;
  const int status = uv_queue_work(
      loop_.uv(), request, [](uv_work_t*) { (void)malloc_trim(0); },
      [](uv_work_t* done, int) { delete done; });
  if (status != 0) delete request;
}

void Worker::StopAccepting() {
  loop_.Post([this] {
    for (const auto& listener : listeners_) listener->KeepFile();
    listeners_.clear();
  });
}

void Worker::RequestShutdown(uint64_t deadline_ms) {
  loop_.Post([this, deadline_ms] {
    const bool first = shutdown_deadline_ns_ == 0;
    shutdown_deadline_ns_ = std::max<uint64_t>(1, loop_.NowNs() + deadline_ms * kNsPerMs);
    if (first) {
      listeners_.clear();
      std::vector<SessionRunner*> all;
      for (const auto& [id, runner] : runners_) all.push_back(runner.get());
      for (SessionRunner* runner : all) runner->Drain();
    }
    ContinueShutdown();
  });
}

void Worker::ContinueShutdown() {
  if (tick_ == nullptr || closing_all_) return;
  if (loop_.NowNs() >= shutdown_deadline_ns_) {
    closing_all_ = true;  // each one that is closed comes here again
    std::vector<SessionRunner*> all;
    for (const auto& [id, runner] : runners_) all.push_back(runner.get());
    for (SessionRunner* runner : all) runner->CloseClient();
    closing_all_ = false;
  }
  if (!runners_.empty()) return;
  pool_->Shutdown();
  tick_.reset();
  last_turn_ns_.store(kEnded, std::memory_order_relaxed);
  // What was retired in this turn goes first.
  loop_.Post([this] { loop_.Stop(); });
}

}  // namespace bulkhead::io
