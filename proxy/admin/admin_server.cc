#include "proxy/admin/admin_server.h"

#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/io/socket_address.h"
#include "proxy/log/log.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"

namespace bulkhead::admin {

namespace {

constexpr uint64_t kTickMs = 1000;
constexpr uint64_t kNsPerSecond = 1'000'000'000;
constexpr uint64_t kIdleEnoughNs = 60 * kNsPerSecond;
constexpr uint32_t kMostId = 1u << 30;  // above are the sessions of clients

constexpr wire::Capabilities kOffered =
    wire::kClientFoundRows | wire::kClientLongFlag | wire::kClientConnectWithDb |
    wire::kClientNoSchema | wire::kClientOdbc | wire::kClientIgnoreSpace | wire::kClientProtocol41 |
    wire::kClientInteractive | wire::kClientTransactions | wire::kClientSecureConnection |
    wire::kClientMultiStatements | wire::kClientMultiResults | wire::kClientPsMultiResults |
    wire::kClientPluginAuth | wire::kClientConnectAttrs | wire::kClientPluginAuthLenencClientData |
    wire::kClientSessionTrack | wire::kClientDeprecateEof | wire::kMariadbClientProgress;

void FillRandom(std::span<uint8_t> bytes) {
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1) return;
  (void)!write(STDERR_FILENO, "the system gives no random numbers\n", 35);
  std::abort();
}

auth::Secret RandomKey() {
  auth::Secret key = auth::Secret::OfSize(32);
  FillRandom({key.data(), key.size()});
  return key;
}

std::string OutcomeOf(const control::OperatorReply& reply, const std::string& statement) {
  if (reply.ok) return "ok: " + reply.message;
  return ErrorOutcome(reply.code, reply.message, statement);
}

}  // namespace

std::string AdminVersion(const std::string& router_version) {
  return "10.11.0-MariaDB-bulkhead-" + router_version;
}

AdminServer::AdminServer(AdminSetup setup)
    : setup_(std::move(setup)),
      decoy_key_(RandomKey()),
      users_(std::make_shared<const AdminUsers>(setup_.options->admin_users, decoy_key_)),
      threads_(std::make_unique<QueryThreads>()) {
  MakeHandshake();
}

AdminServer::~AdminServer() = default;

void AdminServer::MakeHandshake() {
  session::ClientHandshakeOptions handshake;
  handshake.family = session::ServerFamily::kMariadb;
  handshake.server_version = "5.5.5-" + AdminVersion(setup_.version);
  handshake.capabilities = kOffered;
  const config::TlsMode mode = setup_.options->admin->tls;
  handshake.tls_available = setup_.tls != nullptr && mode != config::TlsMode::kDisabled;
  handshake.tls_required = mode == config::TlsMode::kRequired;
  handshake.default_plugin = auth::Plugin::kNativePassword;
  handshake.rsa = setup_.rsa;
  handshake.max_login_bytes = setup_.options->clients.max_unauthenticated_bytes;
  handshake_ = std::make_shared<const session::ClientHandshakeOptions>(std::move(handshake));
}

std::string AdminServer::Listen() {
  const routing::Address& configured = setup_.options->admin->address;
  const std::optional<io::SocketAddress> address =
      configured.is_unix() ? io::SocketAddress::FromUnixPath(configured.socket_path)
                           : io::SocketAddress::FromNumeric(configured.host, configured.port);
  if (!address.has_value()) {
    return "listen.admin: " + configured.ToString() +
           " is no numeric address and no usable socket path";
  }
  const io::ListenerOptions options{.backlog = 128, .accepts_per_turn = 16, .reuse_port = false};
  const auto on_accept = [this](int fd, const io::SocketAddress& peer) { OnAccept(fd, peer); };
  const auto on_trouble = [](const std::string& what, uint64_t times) {
    log::Warn(log::event::kListener, {{"what", "admin: " + what}, {"times", times}},
              absl::StrCat("admin listener: ", what, " (", times, " times)"));
  };
  std::string error;
  listener_ =
      setup_.socket.has_value()
          ? io::Listener::ListenOn(&loop_, *setup_.socket, options, on_accept, on_trouble, &error)
          : io::Listener::Listen(&loop_, *address, options, on_accept, on_trouble, &error);
  return error;
}

uint16_t AdminServer::port() const { return listener_->address().port(); }

void AdminServer::Start() {
  started_ns_ = loop_.NowNs();
  tick_ = std::make_unique<io::Timer>(&loop_, [this] { OnTick(); });
  tick_->Start(kTickMs, kTickMs);
  thread_ = std::thread([this] { loop_.Run(); });
}

void AdminServer::KeepFile() {
  loop_.Post([this] { listener_->KeepFile(); });
}

void AdminServer::Stop() {
  loop_.Post([this] {
    listener_.reset();
    tick_.reset();
    std::vector<AdminConnection*> all;
    for (const auto& [id, connection] : connections_) all.push_back(connection.get());
    for (AdminConnection* connection : all) connection->Close();
    // What was retired in this turn goes first.
    loop_.Post([this] { loop_.Stop(); });
  });
}

void AdminServer::Join() {
  if (thread_.joinable()) thread_.join();
  threads_.reset();
}

void AdminServer::PublishOptions(std::shared_ptr<const config::Options> options,
                                 io::TlsContext::Ptr tls) {
  loop_.Post([this, options = std::move(options), tls = std::move(tls)] {
    setup_.options = options;
    setup_.tls = tls;
    users_ = std::make_shared<const AdminUsers>(options->admin_users, decoy_key_);
    MakeHandshake();
  });
}

// --- connections
// --------------------------------------------------------------------------------------

void AdminServer::OnAccept(int fd, const io::SocketAddress& peer) {
  if (!MakeRoom()) {
    // Before the greeting an ERR has no SQLSTATE. It fits an empty socket's buffer.
    std::vector<uint8_t> refusal;
    wire::PacketWriter writer(&refusal, 0);
    writer.Append([](wire::ByteWriter* out) {
      wire::EncodeErrWithoutSqlstate(1040, "Too many admin connections (admin.max_connections)",
                                     out);
    });
    (void)!write(fd, refusal.data(), refusal.size());
    close(fd);
    return;
  }
  const uint32_t id = NextId();
  const bool is_unix = setup_.options->admin->address.is_unix();
  auto connection = std::make_unique<AdminConnection>(
      this, id, is_unix ? std::string("localhost") : peer.HostText(), is_unix);
  AdminConnection* raw = connection.get();
  connections_[id] = std::move(connection);
  raw->Start(fd);
}

uint32_t AdminServer::NextId() {
  do {
    last_id_ = last_id_ + 1 < kMostId ? last_id_ + 1 : 1;
  } while (connections_.contains(last_id_));
  return last_id_;
}

// An operator must get in: whoever does nothing makes room. False: everybody does something.
bool AdminServer::MakeRoom() {
  const config::AdminLimits& limits = setup_.options->admin_limits;
  size_t strangers = 0;
  AdminConnection* oldest_stranger = nullptr;
  AdminConnection* idlest = nullptr;
  for (const auto& [id, connection] : connections_) {
    AdminConnection* one = connection.get();
    if (!one->logged_in()) {
      ++strangers;
      if (oldest_stranger == nullptr ||
          one->last_activity_ns() < oldest_stranger->last_activity_ns())
        oldest_stranger = one;
    } else if (!one->session()->busy() &&
               (idlest == nullptr || one->last_activity_ns() < idlest->last_activity_ns())) {
      idlest = one;
    }
  }
  if (strangers >= limits.max_unauthenticated) {
    oldest_stranger->Close();
    return true;
  }
  if (connections_.size() < limits.max_connections) return true;
  const bool idle_enough =
      idlest != nullptr && loop_.NowNs() - idlest->last_activity_ns() >= kIdleEnoughNs;
  if (idle_enough) {
    log::Warn(log::event::kListener, {{"what", "admin: full"}, {"times", 1}},
              absl::StrCat("admin: ", connections_.size(),
                           " connections, the limit; the one that is idle longest is closed"));
    idlest->Close();
    return true;
  }
  if (oldest_stranger == nullptr) return false;
  oldest_stranger->Close();
  return true;
}

void AdminServer::Retire(AdminConnection* connection) {
  auto it = connections_.find(connection->id());
  if (it == connections_.end()) return;
  // Its functions may still be on the stack.
  std::shared_ptr<AdminConnection> gone = std::move(it->second);
  connections_.erase(it);
  loop_.DisposeLater(std::move(gone));
}

void AdminServer::OnTick() {
  const uint64_t now = loop_.NowNs();
  std::vector<AdminConnection*> all;
  for (const auto& [id, connection] : connections_) all.push_back(connection.get());
  for (AdminConnection* connection : all) connection->CheckTime(now);
}

void AdminServer::Tell(uint32_t id, std::function<void(AdminConnection*)> message) {
  loop_.Post([this, id, message = std::move(message)] {
    auto it = connections_.find(id);
    if (it != connections_.end()) message(it->second.get());
  });
}

// --- for connections
// ---------------------------------------------------------------------------------

auth::ExchangeNonces AdminServer::MakeNonces() {
  std::array<uint8_t, auth::kExchangeRandomSize> random;
  FillRandom(random);
  return auth::MakeExchangeNonces(random);
}

std::shared_ptr<SqlRunner> AdminServer::MakeRunner(const AdminLogin& login) {
  return std::make_shared<SqlRunner>(SessionFacts{.user = login.user,
                                                  .address = login.address,
                                                  .connection_id = login.connection_id,
                                                  .version = AdminVersion(setup_.version)},
                                     setup_.source, &budget_);
}

void AdminServer::RunPasswordJob(uint32_t id, const std::string& host,
                                 const auth::PasswordJob& job) {
  threads_->Run("login from " + host, [this, id, job] {
    auto result = std::make_shared<auth::PasswordJobResult>(auth::RunPasswordJob(job));
    Tell(id,
         [result](AdminConnection* connection) { connection->OnPasswordJob(std::move(*result)); });
  });
}

void AdminServer::RunWork(uint32_t id, const std::string& caller, std::shared_ptr<SqlRunner> runner,
                          std::shared_ptr<SqlWork> work) {
  ++statements_;
  threads_->Run(caller, [this, id, runner = std::move(runner), work = std::move(work)] {
    runner->Do(work.get());
    Tell(id, [work](AdminConnection* connection) { connection->OnWorkDone(*work); });
  });
}

uint64_t AdminServer::Submit(uint32_t id, control::OperatorCommand command, AuditRecord audit) {
  ++statements_;
  control::OperatorOrigin origin{
      .user = audit.user, .address = audit.address, .statement = audit.statement};
  const auto begun = std::chrono::steady_clock::now();
  return setup_.desk->Submit(
      std::move(command), std::move(origin),
      {.progress =
           [this, id](const std::string& words) {
             Tell(id, [words](AdminConnection* connection) { connection->OnProgress(words); });
           },
       .done =
           [this, id, audit = std::move(audit), begun](control::OperatorReply reply) mutable {
             audit.outcome = OutcomeOf(reply, audit.statement);
             audit.took_ms =
                 static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                           std::chrono::steady_clock::now() - begun)
                                           .count());
             LogAudit(audit);
             auto shared = std::make_shared<control::OperatorReply>(std::move(reply));
             Tell(id, [shared](AdminConnection* connection) { connection->OnReply(*shared); });
           }});
}

void AdminServer::CancelSubmitted(uint64_t ticket) { setup_.desk->CancelSubmitted(ticket); }

AdminShell::KillAnswer AdminServer::Kill(const AdminLogin& by, uint64_t id, bool query_only) {
  auto it = id < kMostId ? connections_.find(static_cast<uint32_t>(id)) : connections_.end();
  if (it == connections_.end() || !it->second->logged_in())
    return AdminShell::KillAnswer::kNotFound;
  const bool own = it->second->session()->login().user == by.user;
  if (by.read_only && !own) return AdminShell::KillAnswer::kNotAllowed;
  it->second->BeKilled(query_only);
  return AdminShell::KillAnswer::kDone;
}

std::string AdminServer::Statistics() {
  const uint64_t seconds = (loop_.NowNs() - started_ns_) / kNsPerSecond;
  return "Uptime: " + std::to_string(seconds) +
         "  Threads: " + std::to_string(connections_.size()) +
         "  Questions: " + std::to_string(statements_) + "  Slow queries: 0";
}

}  // namespace bulkhead::admin
