#include "proxy/io/backend_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "proxy/io/compression_filter.h"
#include "proxy/io/tls_filter.h"
#include "proxy/wire/frame.h"

namespace bulkhead::io {

namespace {

using Action = session::BackendHandshake::Action;

// A greeting or an OK is never near this; an ERR neither.
constexpr size_t kMaxLoginPacket = 64 * 1024;

BackendConnection::Failure::Kind KindOf(int error) {
  return error == ECONNREFUSED ? BackendConnection::Failure::Kind::kRefused
                               : BackendConnection::Failure::Kind::kUnreachable;
}

// A host that is gone ends an idle connection after about twice this time. Fails on Unix sockets.
void KeepAlive(int fd, int seconds) {
  const int on = 1;
  const int interval = std::max(1, seconds / 4);
  const int count = 4;
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

std::string Describe(const session::BackendLoginFailure& failure) {
  std::string text = failure.from_server ? "the server refused the login: " : "login failed: ";
  text += std::to_string(failure.code);
  if (!failure.sqlstate.empty()) text += " (" + failure.sqlstate + ")";
  return text + " " + failure.message;
}

}  // namespace

BackendConnection::BackendConnection(EventLoop* loop, BackendConnectionOwner* owner)
    : loop_(loop), owner_(owner) {}

BackendConnection::~BackendConnection() = default;

void BackendConnection::Open(Options options) {
  options_ = std::move(options);
  phase_ = Phase::Resolving;
  deadline_ = std::make_unique<Timer>(loop_, [this] { OnDeadline(); });
  deadline_->Start(options_.timeout_ms);
  const std::string& host =
      options_.address.is_unix() ? options_.address.socket_path : options_.address.host;
  resolving_ =
      Resolution::Start(loop_, host, options_.address.port,
                        [this](Resolution::Result result) { OnAddresses(std::move(result)); });
}

void BackendConnection::OnDeadline() {
  if (phase_ != Phase::LoggingIn) {
    failure_.kind = Failure::Kind::kNoConnect;
    Fail("could not connect in time");
    return;
  }
  failure_.kind = greeted_ ? Failure::Kind::kNoLogin : Failure::Kind::kNoGreeting;
  Fail(greeted_ ? "connected, but the server did not answer the login in time"
                : "connected, but the server did not greet in time");
}

void BackendConnection::OnAddresses(Resolution::Result result) {
  if (result.addresses.empty()) {
    failure_.kind = Failure::Kind::kName;
    FailLater(result.error);
    return;
  }
  addresses_ = std::move(result.addresses);
  TryNextAddress();
}

void BackendConnection::TryNextAddress() {
  while (next_address_ < addresses_.size()) {
    const SocketAddress& address = addresses_[next_address_++];
    int error = 0;
    phase_ = Phase::Connecting;
    stream_ = Stream::Connect(loop_, address.get(), address.length, this, &error);
    if (stream_ != nullptr) {
      if (bytes != nullptr) stream_->CountInto(bytes);
      return;
    }
    failure_.kind = KindOf(error);
    last_error_ = address.ToText() + ": " + std::strerror(error);
  }
  FailLater(last_error_);
}

void BackendConnection::OnConnected() {
  phase_ = Phase::LoggingIn;
  heard_ns_ = loop_->NowNs();
  KeepAlive(stream_->fd(), options_.keepalive_s);
  session::BackendLogin login = options_.login;
  handshake_ = std::make_unique<session::BackendHandshake>(std::move(login));
}

void BackendConnection::OnBytes(std::span<uint8_t> bytes) {
  heard_ns_ = loop_->NowNs();
  if (options_.activity != nullptr) options_.activity->Receive(heard_ns_, bytes.size());
  if (phase_ == Phase::LoggingIn) {
    OnLoginBytes(bytes);
    return;
  }
  if (phase_ != Phase::Ready) return;
  switch (use) {
    case Use::kLent:
      user->OnLinkBytes(bytes);
      return;
    case Use::kErrand: {
      if (errand_ == nullptr) break;
      const session::LinkErrand::Progress progress = errand_->Feed(bytes);
      if (progress == session::LinkErrand::Progress::kMore) return;
      EndExchange(/*committed=*/false);
      owner_->OnErrandDone(this, progress == session::LinkErrand::Progress::kDone);
      return;
    }
    case Use::kFree:
    case Use::kKept:
    case Use::kGone:
      break;
  }
  // A server speaks unasked only to say that it closes the connection (wait_timeout, KILL,
  // shutdown).
  owner_->OnConnectionLost(this, /*known_dead=*/true);
}

void BackendConnection::OnLoginBytes(std::span<uint8_t> bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  while (phase_ == Phase::LoggingIn) {
    wire::PacketExtent extent;
    switch (wire::FindPacket(input_, kMaxLoginPacket, &extent)) {
      case wire::FindResult::kPacket:
        break;
      case wire::FindResult::kNeedMore:
        return;
      case wire::FindResult::kTooLarge:
      case wire::FindResult::kBadSequence:
        failure_.kind = Failure::Kind::kProtocol;
        Fail("the server sent something that is no MySQL login");
        return;
    }
    const auto end = input_.begin() + static_cast<ptrdiff_t>(extent.wire_size);
    const std::vector<uint8_t> packet(input_.begin(), end);
    input_.erase(input_.begin(), end);
    greeted_ = true;
    std::vector<uint8_t> output;
    const Action action = handshake_->OnPacket(
        std::span<const uint8_t>(packet).subspan(wire::kFrameHeaderSize, extent.payload_size),
        extent.first_sequence, &output);
    if (!OnLoginAction(action, output)) return;
  }
}

bool BackendConnection::OnLoginAction(Action action, std::span<const uint8_t> output) {
  stream_->Write(output);
  switch (action) {
    case Action::kSend:
    case Action::kNeedMore:
      return true;
    case Action::kStartTls: {
      if (options_.tls == nullptr) {
        Fail("TLS is wanted, and there is no TLS context");
        return false;
      }
      const TlsVerify verify = options_.login.tls == session::BackendTls::kVerify
                                   ? TlsVerify::kIdentity
                                   : TlsVerify::kNone;
      if (!stream_->PushFilter(
              TlsFilter::MakeClient(options_.tls, options_.address.host, verify))) {
        Fail("TLS could not be started");
        return false;
      }
      std::vector<uint8_t> response;
      const Action next = handshake_->OnTlsReady(&response);
      return OnLoginAction(next, response);
    }
    case Action::kReady:
      FinishLogin();
      return false;
    case Action::kFailed:
      failure_ = {
          handshake_->failure().from_server ? Failure::Kind::kServer : Failure::Kind::kProtocol,
          handshake_->failure().code};
      account_refused =
          handshake_->failure().kind == session::BackendLoginFailure::Kind::kCredentialsRefused ||
          handshake_->failure().kind == session::BackendLoginFailure::Kind::kSchemaRefused ||
          handshake_->failure().kind == session::BackendLoginFailure::Kind::kCapabilityMissing;
      Fail(Describe(handshake_->failure()));
      return false;
  }
  return false;
}

void BackendConnection::FinishLogin() {
  const session::BackendLoginResult& result = handshake_->result();
  thread_id = result.thread_id;
  capabilities = result.capabilities;
  status = result.status;
  family = result.family;
  server_version = result.server_version_number;
  if (result.compression.has_value()) {
    const bool zstd = *result.compression == wire::CompressionAlgorithm::kZstd;
    (void)stream_->PushFilter(MakeCompressionFilter(
        CompressionSide::kClient, zstd ? CompressionMethod::kZstd : CompressionMethod::kZlib,
        zstd ? options_.login.zstd_level : options_.zlib_level));
  }
  phase_ = Phase::Ready;
  if (options_.activity != nullptr) {
    BackendActivity::Count(&options_.activity->ready);
    BackendActivity::Count(&options_.activity->logins);
  }
  deadline_.reset();
  handshake_.reset();
  input_ = {};
  addresses_ = {};
  owner_->OnConnectionReady(this);
}

void BackendConnection::RunErrand(std::unique_ptr<session::LinkErrand> errand) {
  use = Use::kErrand;
  errand_ = std::move(errand);
  errand_->Start(this);
}

void BackendConnection::Send(std::span<const uint8_t> bytes) {
  heard_ns_ = loop_->NowNs();
  if (stream_ != nullptr) stream_->Write(bytes);
}

void BackendConnection::BeginExchange(bool may_write) {
  // A restore was answered, and its statement follows: two exchanges, each counted for what it is.
  EndExchange(/*committed=*/false);
  in_exchange_ = true;
  may_write_ = may_write;
  UpdateDemand();
}

void BackendConnection::EndExchange(bool committed) {
  if (!in_exchange_) return;
  in_exchange_ = false;
  UpdateDemand();
  BackendActivity* activity = options_.activity;
  if (activity == nullptr || phase_ != Phase::Ready) return;
  activity->last_answer_ns.store(loop_->NowNs(), std::memory_order_relaxed);
  if (committed) activity->last_commit_ns.store(loop_->NowNs(), std::memory_order_relaxed);
}

// A server that waits for us to read is not silent.
void BackendConnection::UpdateDemand() {
  if (options_.activity == nullptr) return;
  const bool demand = in_exchange_ && stream_ != nullptr && stream_->reading();
  if (demand == in_demand_) return;
  in_demand_ = demand;
  if (demand) {
    options_.activity->Begin(loop_->NowNs(), may_write_);
  } else {
    options_.activity->End(may_write_);
  }
}

void BackendConnection::PauseReading() {
  if (stream_ == nullptr) return;
  stream_->PauseReading();
  UpdateDemand();
}

void BackendConnection::ResumeReading() {
  if (stream_ == nullptr || stream_->reading()) return;
  stream_->ResumeReading();
  UpdateDemand();
}

bool BackendConnection::AbortUndelivered() {
  if (stream_ == nullptr) return true;
  const bool undelivered = stream_->AbortUndelivered();
  Close(/*abort=*/true);
  return undelivered;
}

void BackendConnection::OnWritable() {
  if (user != nullptr && use == Use::kLent) user->OnLinkWritable();
}

bool BackendConnection::LooksAlive() const {
  if (stream_ == nullptr) return false;
  uint8_t byte;
  const ssize_t n = recv(stream_->fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

BackendConnection::Stage BackendConnection::stage() const {
  switch (phase_) {
    case Phase::New:
    case Phase::Resolving:
    case Phase::Connecting:
      return Stage::kConnect;
    case Phase::LoggingIn:
      return greeted_ ? Stage::kLogin : Stage::kGreeting;
    case Phase::Ready:
      return Stage::kReady;
    case Phase::Closed:
      return Stage::kClosed;
  }
  return Stage::kClosed;
}

std::optional<bool> BackendConnection::Acknowledged() const {
  if (stream_ == nullptr || (phase_ != Phase::LoggingIn && phase_ != Phase::Ready))
    return std::nullopt;
  tcp_info info{};
  socklen_t length = sizeof info;
  if (getsockopt(stream_->fd(), IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
  return info.tcpi_unacked == 0 && !HasUnsent();
}

void BackendConnection::OnEnd(const StreamEnd& end) {
  std::string why;
  switch (end.kind) {
    case StreamEnd::Kind::kPeerClosed:
      why = "the server closed the connection";
      failure_.kind = Failure::Kind::kReset;
      break;
    case StreamEnd::Kind::kSocketError:
      why = std::strerror(end.error);
      failure_.kind = end.error == ECONNRESET ? Failure::Kind::kReset : Failure::Kind::kUnreachable;
      break;
    case StreamEnd::Kind::kFilterError:
      why = end.detail;
      failure_.kind = Failure::Kind::kProtocol;
      break;
    case StreamEnd::Kind::kConnectFailed:
      failure_.kind = KindOf(end.error);
      last_error_ = addresses_[next_address_ - 1].ToText() + ": " + std::strerror(end.error);
      stream_.reset();
      TryNextAddress();
      return;
  }
  if (phase_ == Phase::Ready) {
    const bool known_dead = end.kind == StreamEnd::Kind::kPeerClosed ||
                            (end.kind == StreamEnd::Kind::kSocketError && end.error == ECONNRESET);
    if (in_exchange_ && options_.activity != nullptr)
      BackendActivity::Count(&options_.activity->reset);
    owner_->OnConnectionLost(this, known_dead);
    return;
  }
  Fail(why);
}

// For failures found inside Open.
void BackendConnection::FailLater(std::string why) {
  if (phase_ == Phase::Closed) return;
  soon_ = std::make_unique<Timer>(loop_, [this, why = std::move(why)] { Fail(why); });
  soon_->Start(0);
}

void BackendConnection::Fail(const std::string& why) {
  if (phase_ == Phase::Closed) return;
  const std::string copy = why;
  if (options_.activity != nullptr) NoteFailure(options_.activity);
  Close(/*abort=*/false);
  owner_->OnConnectionFailed(this, copy);
}

void BackendConnection::NoteFailure(BackendActivity* activity) const {
  constexpr uint16_t kTooManyConnections = 1040;
  switch (failure_.kind) {
    case Failure::Kind::kRefused:
    case Failure::Kind::kUnreachable:
      BackendActivity::Count(&activity->refused);
      return;
    case Failure::Kind::kNoConnect:
    case Failure::Kind::kNoGreeting:
    case Failure::Kind::kNoLogin:
      BackendActivity::Count(&activity->login_timeouts);
      return;
    case Failure::Kind::kServer:
      // Whatever it said, it answered.
      BackendActivity::Count(failure_.server_code == kTooManyConnections ? &activity->full
                                                                         : &activity->logins);
      return;
    case Failure::Kind::kNone:
    case Failure::Kind::kName:
    case Failure::Kind::kReset:
    case Failure::Kind::kProtocol:
      return;
  }
}

void BackendConnection::NoteReadOnly() {
  if (options_.activity != nullptr) BackendActivity::Count(&options_.activity->read_only);
}

void BackendConnection::Close(bool abort) {
  if (phase_ == Phase::Closed) return;
  const bool in_order = phase_ == Phase::Ready && !abort;
  if (phase_ == Phase::Ready && options_.activity != nullptr)
    BackendActivity::Down(&options_.activity->ready);
  phase_ = Phase::Closed;
  use = Use::kGone;
  deadline_.reset();
  soon_.reset();
  resolving_.reset();
  in_exchange_ = false;
  UpdateDemand();
  if (stream_ == nullptr) return;
  if (in_order) {
    constexpr uint8_t kQuit[] = {1, 0, 0, 0, 1};
    stream_->Write(kQuit);
  }
  if (abort) stream_->AbortOnClose();
  stream_.reset();
}

}  // namespace bulkhead::io
