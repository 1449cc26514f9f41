#include "proxy/io/backend_connection.h"

#include <sys/socket.h>

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
  deadline_ = std::make_unique<Timer>(loop_, [this] {
    Fail(phase_ == Phase::LoggingIn ? "connected, but the server did not answer the login in time"
                                    : "could not connect in time");
  });
  deadline_->Start(options_.timeout_ms);
  const std::string& host =
      options_.address.is_unix() ? options_.address.socket_path : options_.address.host;
  resolving_ =
      Resolution::Start(loop_, host, options_.address.port,
                        [this](Resolution::Result result) { OnAddresses(std::move(result)); });
}

void BackendConnection::OnAddresses(Resolution::Result result) {
  if (result.addresses.empty()) {
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
    if (stream_ != nullptr) return;
    last_error_ = address.ToText() + ": " + std::strerror(error);
  }
  FailLater(last_error_);
}

void BackendConnection::OnConnected() {
  phase_ = Phase::LoggingIn;
  session::BackendLogin login = options_.login;
  handshake_ = std::make_unique<session::BackendHandshake>(std::move(login));
}

void BackendConnection::OnBytes(std::span<uint8_t> bytes) {
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
        Fail("the server sent something that is no MySQL login");
        return;
    }
    const auto end = input_.begin() + static_cast<ptrdiff_t>(extent.wire_size);
    const std::vector<uint8_t> packet(input_.begin(), end);
    input_.erase(input_.begin(), end);
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
      if (!stream_->PushFilter(TlsFilter::MakeClient(options_.tls, options_.address.host))) {
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
  if (stream_ != nullptr) stream_->Write(bytes);
}

void BackendConnection::PauseReading() {
  if (stream_ != nullptr) stream_->PauseReading();
}

void BackendConnection::ResumeReading() {
  if (stream_ != nullptr && !stream_->reading()) stream_->ResumeReading();
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

void BackendConnection::OnEnd(const StreamEnd& end) {
  std::string why;
  switch (end.kind) {
    case StreamEnd::Kind::kPeerClosed:
      why = "the server closed the connection";
      break;
    case StreamEnd::Kind::kSocketError:
      why = std::strerror(end.error);
      break;
    case StreamEnd::Kind::kFilterError:
      why = end.detail;
      break;
    case StreamEnd::Kind::kConnectFailed:
      last_error_ = addresses_[next_address_ - 1].ToText() + ": " + std::strerror(end.error);
      stream_.reset();
      TryNextAddress();
      return;
  }
  if (phase_ == Phase::Ready) {
    const bool known_dead = end.kind == StreamEnd::Kind::kPeerClosed ||
                            (end.kind == StreamEnd::Kind::kSocketError && end.error == ECONNRESET);
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
  Close(/*abort=*/false);
  owner_->OnConnectionFailed(this, copy);
}

void BackendConnection::Close(bool abort) {
  if (phase_ == Phase::Closed) return;
  const bool in_order = phase_ == Phase::Ready && !abort;
  phase_ = Phase::Closed;
  use = Use::kGone;
  deadline_.reset();
  soon_.reset();
  resolving_.reset();
  if (stream_ == nullptr) return;
  if (in_order) {
    constexpr uint8_t kQuit[] = {1, 0, 0, 0, 1};
    stream_->Write(kQuit);
  }
  if (abort) stream_->AbortOnClose();
  stream_.reset();
}

}  // namespace bulkhead::io
