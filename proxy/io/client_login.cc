// The part of SessionRunner that ends with a session: PROXY header, login, change of user.

#include <utility>

#include "proxy/io/compression_filter.h"
#include "proxy/io/session_runner.h"
#include "proxy/io/tls_filter.h"
#include "proxy/io/worker.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/proxy_protocol.h"
#include "proxy/wire/session_state.h"

namespace bulkhead::io {

namespace {

using Action = session::ClientHandshake::Action;

metrics::LoginFailure FailureOf(std::string_view refusal) {
  if (refusal.find("password") != std::string_view::npos ||
      refusal.find("user") != std::string_view::npos) {
    return metrics::LoginFailure::kPassword;
  }
  if (refusal.find("TLS") != std::string_view::npos) return metrics::LoginFailure::kTlsRequired;
  return metrics::LoginFailure::kProtocol;
}

}  // namespace

void SessionRunner::OnProxyHeader() {
  const wire::ProxyHeader header = wire::ParseProxyHeader(input_);
  switch (header.state) {
    case wire::ProxyHeaderState::kNeedMore:
      return;
    case wire::ProxyHeaderState::kError:
      RefuseAndClose(metrics::LoginFailure::kProtocol);
      return;
    case wire::ProxyHeaderState::kDone:
      break;
  }
  if (header.has_addresses) host_ = header.source.ToText();
  input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(header.consumed));
  StartLogin();
  if (phase_ == Phase::Login && !input_.empty()) OnLoginInput();
}

void SessionRunner::StartLogin() {
  phase_ = Phase::Login;
  session::ClientTransport transport{
      .is_tls = false, .is_unix_socket = listener_->is_unix, .host = host_};
  handshake_ =
      std::make_unique<session::ClientHandshake>(listener_->handshake, id_, worker_->MakeNonces(),
                                                 worker_->login_policy(), std::move(transport));
  OnLoginAction(handshake_->Start(&output_));
}

void SessionRunner::ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) {
  phase_ = Phase::ChangeUser;
  session::ClientTransport transport{
      .is_tls = is_tls_, .is_unix_socket = listener_->is_unix, .host = host_};
  auth::ExchangeNonces nonces = worker_->MakeNonces();
  nonces.greeting = nonce_;
  handshake_ = std::make_unique<session::ClientHandshake>(
      listener_->handshake, id_, nonces, worker_->login_policy(), std::move(transport));
  OnLoginAction(
      handshake_->StartChangeUser(payload, sequence, session_->login().capabilities, &output_));
}

void SessionRunner::OnLoginInput() {
  while ((phase_ == Phase::Login || phase_ == Phase::ChangeUser) && !computing_) {
    if (input_.size() > handshake_->bytes_left() + wire::kFrameHeaderSize) {
      AnswerNoLogin(wire::ClientError::kPacketTooLarge);
      return;
    }
    wire::PacketExtent extent;
    switch (wire::FindPacket(input_, handshake_->bytes_left(), &extent)) {
      case wire::FindResult::kNeedMore:
        return;
      case wire::FindResult::kPacket:
        break;
      case wire::FindResult::kTooLarge:
        AnswerNoLogin(wire::ClientError::kPacketTooLarge);
        return;
      case wire::FindResult::kBadSequence:
        AnswerNoLogin(wire::ClientError::kPacketsOutOfOrder);
        return;
    }
    std::vector<uint8_t> packet(input_.begin(),
                                input_.begin() + static_cast<ptrdiff_t>(extent.wire_size));
    // A client in TLS may send its password in clear.
    auth::Wipe(input_.data(), extent.wire_size);
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(extent.wire_size));
    const std::span<const uint8_t> payload =
        std::span<const uint8_t>(packet).subspan(wire::kFrameHeaderSize, extent.payload_size);
    const Action action = handshake_->OnPacket(payload, extent.first_sequence, &output_);
    auth::Wipe(packet.data(), packet.size());
    OnLoginAction(action);
  }
}

void SessionRunner::OnLoginAction(Action action) {
  switch (action) {
    case Action::kSend:
      Flush();
      return;
    case Action::kStartTls: {
      Flush();
      is_tls_ = true;
      std::vector<uint8_t> rest = std::exchange(input_, {});
      if (listener_->tls == nullptr ||
          !stream_->PushFilter(TlsFilter::MakeServer(listener_->tls))) {
        RefuseAndClose(metrics::LoginFailure::kProtocol);
        return;
      }
      if (!rest.empty()) stream_->Reinject(rest);
      return;
    }
    case Action::kCompute:
      Flush();
      computing_ = true;
      worker_->RunPasswordJob(id_, handshake_->job());
      return;
    case Action::kAccepted:
      FinishLogin();
      return;
    case Action::kRefused:
      worker_->LogLoginEnd(host_, handshake_->user(), handshake_->refusal());
      EndRefusedLogin(FailureOf(handshake_->refusal()));
      return;
  }
}

void SessionRunner::OnPasswordJob(auth::PasswordJobResult result) {
  if (phase_ != Phase::Login && phase_ != Phase::ChangeUser) return;
  computing_ = false;
  OnLoginAction(handshake_->OnJobDone(std::move(result), &output_));
  if (!input_.empty() && (phase_ == Phase::Login || phase_ == Phase::ChangeUser)) OnLoginInput();
}

session::SessionLogin SessionRunner::MakeLogin(session::LoginResult& result) const {
  session::SessionLogin login;
  login.connection_id = id_;
  login.capabilities = result.capabilities;
  login.collation = result.collation.value_or(listener_->handshake->collation);
  login.user = result.record;
  login.user_as_given = std::move(result.user_as_given);
  login.schema = std::move(result.schema);
  login.tenant_from_user = std::move(result.tenant);
  for (const auto& [name, value] : result.attributes) {
    if (name == routing::kTenantAttribute) login.tenant_from_attribute = value;
  }
  login.client_host = host_;
  login.session_pooling = result.record->pooling == auth::PoolingMode::kSession;
  if (login.session_pooling) {
    login.attributes = std::make_shared<const session::Attributes>(std::move(result.attributes));
  }
  login.pool_account = worker_->pool()->AccountOf(login);
  login.secret = std::make_shared<const auth::LoginSecret>(std::move(result.secret));
  return login;
}

// False: the tenant has as many sessions as it may; the login was refused.
bool SessionRunner::BindLimits(std::string_view tenant, routing::TenantHandle* handle) {
  routing::TenantLimits* const limits = worker_->context()->limits;
  if (limits == nullptr || tenant.empty() || limits->Bind(tenant, handle).ok()) return true;
  const std::string why = "tenant " + std::string(tenant) + " has as many sessions as it may";
  handshake_->WriteRefusal(wire::ClientError::kTooManyUserConnections, why, &output_);
  EndRefusedLogin(metrics::LoginFailure::kTenant);
  return false;
}

// False: the user has as many sessions as he may; the login was refused.
bool SessionRunner::TakePlace(const session::SessionLogin& login) {
  if (user_place_.Take(login.user->sessions)) return true;
  const std::string why =
      "user " + login.user->name + " has as many connections as it may (" +
      "users[].max_connections: " + std::to_string(login.user->sessions->most.load()) + ")";
  handshake_->WriteRefusal(wire::ClientError::kTooManyUserConnections, why, &output_);
  worker_->LogLoginEnd(host_, login.user_as_given, why);
  EndRefusedLogin(metrics::LoginFailure::kTooManyClients);
  return false;
}

void SessionRunner::FinishLogin() {
  session::LoginResult result = handshake_->TakeResult();
  worker_->login_policy()->Learn(result);
  nonce_ = result.nonce;
  const std::optional<wire::CompressionAlgorithm> compression = result.compression;
  const int zstd_level = result.zstd_level;
  const wire::Capabilities capabilities = result.capabilities;
  session::SessionLogin login = MakeLogin(result);
  session::TenantBinding binding(login.schema);
  if (std::optional<session::RouterError> error = binding.CheckLogin(*worker_->context(), login);
      error.has_value()) {
    handshake_->WriteRefusal(static_cast<wire::ClientError>(error->code), error->message, &output_);
    worker_->LogLoginEnd(host_, login.user_as_given, error->message);
    EndRefusedLogin(metrics::LoginFailure::kTenant);
    return;
  }
  routing::TenantHandle limits;
  if (!BindLimits(binding.tenant(), &limits) || !TakePlace(login)) return;
  wire::OkPacket ok;
  ok.status = wire::kStatusAutocommit;
  std::vector<uint8_t> changes;
  if (!login.schema.empty()) {
    // Servers report the schema that a login and a change of user leave; EncodeOk drops it without
    // session tracking.
    wire::ByteWriter writer(&changes);
    wire::EncodeSchemaChange(login.schema, &writer);
    ok.status |= wire::kStatusSessionStateChanged;
    ok.session_state = {reinterpret_cast<const char*>(changes.data()), changes.size()};
  }
  handshake_->WriteOk(ok, capabilities, &output_);
  Flush();
  handshake_.reset();
  const bool first = session_ == nullptr;
  if (first && compression.has_value()) {
    const bool zstd = *compression == wire::CompressionAlgorithm::kZstd;
    (void)stream_->PushFilter(MakeCompressionFilter(
        CompressionSide::kServer, zstd ? CompressionMethod::kZstd : CompressionMethod::kZlib,
        zstd ? zstd_level : worker_->zlib_level()));
  }
  phase_ = Phase::Session;
  if (first) {
    session_ =
        std::make_unique<session::Session>(this, worker_->ContextOf(*listener_), std::move(login));
    worker_->OnLoggedIn(this);
  } else {
    session_->OnUserChanged(std::move(login));
  }
  session_->TakeLimits(std::move(limits));
  if (first && compression.has_value() && !input_.empty()) {
    std::vector<uint8_t> rest = std::exchange(input_, {});
    stream_->Reinject(rest);
    return;
  }
  if (!input_.empty()) {
    PumpInput();
  } else {
    input_ = {};
  }
}

// The answer is written; a session that only wanted another user may go on.
void SessionRunner::EndRefusedLogin(metrics::LoginFailure why) {
  Flush();
  worker_->metrics()->logins_failed[why].Add();
  if (phase_ != Phase::ChangeUser || !session_->OnChangeUserRefused()) {
    CloseClient();
    return;
  }
  handshake_.reset();
  phase_ = Phase::Session;
  if (!input_.empty()) PumpInput();
}

// What the login wrote, in one system call; and no buffer is kept for the rest of the connection's
// life.
void SessionRunner::Flush() {
  stream_->Write(output_);
  output_ = {};
}

// What came can't be a login's next packet; a client that speaks the protocol is told why.
void SessionRunner::AnswerNoLogin(wire::ClientError code) {
  handshake_->RefusePacket(code, input_[wire::kFrameHeaderSize - 1], &output_);
  Flush();
  RefuseAndClose(metrics::LoginFailure::kProtocol);
}

void SessionRunner::RefuseAndClose(metrics::LoginFailure why) {
  worker_->metrics()->logins_failed[why].Add();
  worker_->LogLoginEnd(host_, {}, "bytes that are no login");
  CloseClient();
}

}  // namespace bulkhead::io
