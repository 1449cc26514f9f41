#include "proxy/session/backend_handshake.h"

#include <utility>

#include "proxy/wire/commands.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {
namespace {

using auth::Plugin;
using Kind = BackendLoginFailure::Kind;

constexpr wire::Capabilities kLoginBits =
    wire::kClientProtocol41 | wire::kClientSecureConnection | wire::kClientPluginAuth;
// Used where the server has them: none changes what results look like.
constexpr wire::Capabilities kWelcomeBits =
    wire::kClientLongFlag | wire::kClientTransactions | wire::kClientPluginAuthLenencClientData;
// Decided here, whatever the caller asks for.
constexpr wire::Capabilities kOwnBits =
    wire::kClientMysql | wire::kClientSsl | wire::kClientConnectWithDb | wire::kClientConnectAttrs |
    wire::kClientMultiFactorAuthentication | kLoginBits | kWelcomeBits;

// Client errors of both families' connectors, the nearest to what we found ourselves.
constexpr uint16_t kCodeServerHandshake = 2012;  // CR_SERVER_HANDSHAKE_ERR
constexpr uint16_t kCodeTls = 2026;              // CR_SSL_CONNECTION_ERROR
constexpr uint16_t kCodeMalformed = 2027;        // CR_MALFORMED_PACKET
constexpr uint16_t kCodeAuthPlugin = 2061;       // CR_AUTH_PLUGIN_ERR
constexpr uint16_t kCodeVersion = 2007;          // CR_VERSION_ERROR

Kind KindOfServerError(uint16_t code) {
  switch (code) {
    case 1045:  // access denied
    case 1251:  // authentication protocol not supported by client
    case 1275:  // account without a new-style password
    case 1524:  // the account's plugin is not loaded
    case 1698:  // access denied, no password
    case 1820:  // password expired
    case 1862:
    case 1873:  // access denied for change of user
    case 3118:  // account locked (MySQL)
    case 3159:  // TLS required
    case 4151:  // account locked (MariaDB)
      return Kind::kCredentialsRefused;
    case 1044:
    case 1049:
      return Kind::kSchemaRefused;
    case 1040:
    case 1203:
    case 1226:
      return Kind::kTooManyConnections;
    case 1129:
    case 1130:
      return Kind::kHostRefused;
  }
  return Kind::kServer;
}

auth::ClientExchangeOptions ExchangeOptions(const BackendLogin& login) {
  auth::ClientExchangeOptions options;
  options.is_unix_socket = login.is_unix_socket;
  options.allow_public_key_request = login.allow_public_key_request;
  options.public_key_pem = login.public_key_pem;
  options.allow_clear_password = login.allow_clear_password;
  return options;
}

// "MULTI_STATEMENTS|..." is for logs; a server's list of what is missing is short.
std::string MissingMessage(wire::Capabilities missing) {
  return "the server lacks " + wire::CapabilitiesToString(missing);
}

}  // namespace

BackendHandshake::BackendHandshake(BackendLogin login)
    : login_(std::move(login)), exchange_(ExchangeOptions(login_), std::move(login_.secret)) {
  wire::ByteWriter writer(&attributes_);
  for (const auto& [key, value] : login_.attributes) {
    wire::EncodeConnectionAttribute({key, value}, &writer);
  }
}

template <typename Encode>
void BackendHandshake::Append(wire::ByteBuffer* out, Encode&& encode) {
  wire::PacketWriter writer(out, next_sequence_);
  writer.Append(std::forward<Encode>(encode));
  next_sequence_ = writer.sequence();
}

BackendHandshake::Action BackendHandshake::OnPacket(std::span<const uint8_t> payload,
                                                    uint8_t sequence, wire::ByteBuffer* out) {
  const uint8_t expected = next_sequence_;
  next_sequence_ = static_cast<uint8_t>(sequence + 1);
  if (state_ != State::kExpectGreeting && state_ != State::kExpectReply) {
    return FailProtocol("a packet out of turn");
  }
  if (++packets_received_ > kMaxPackets) return FailProtocol("the server does not come to an end");
  // An error may come before our packet was read: then it is numbered by the server's own count.
  if (wire::IsErr(payload)) return FailByServer(payload);
  if (sequence != expected) return FailProtocol("wrong sequence number");
  return state_ == State::kExpectGreeting ? OnGreeting(payload, out) : OnReply(payload, out);
}

BackendHandshake::Action BackendHandshake::OnGreeting(std::span<const uint8_t> payload,
                                                      wire::ByteBuffer* out) {
  wire::Greeting greeting;
  const wire::DecodeError error = wire::DecodeGreeting(payload, &nonce_, &greeting);
  if (error == wire::DecodeError::kUnsupported) {
    return Fail(Kind::kProtocol, kCodeVersion, "the server speaks a protocol version but 10");
  }
  if (error != wire::DecodeError::kNone) return FailProtocol("malformed greeting");
  result_.family = wire::IsMariadb(greeting) ? ServerFamily::kMariadb : ServerFamily::kMysql;
  result_.server_version = wire::StripReplicationPrefix(greeting.server_version);
  result_.server_version_number = wire::ServerVersionNumber(greeting.server_version);
  result_.thread_id = greeting.connection_id;
  result_.status = greeting.status;
  result_.collation = login_.collation;
  greeting_plugin_ = auth::PluginByName(greeting.auth_plugin);

  const wire::Capabilities needed = login_.required | kLoginBits;
  const wire::Capabilities missing = needed & ~kOwnBits & ~greeting.capabilities;
  if (missing != 0 || (greeting.capabilities & kLoginBits) != kLoginBits) {
    return Fail(Kind::kCapabilityMissing, kCodeServerHandshake,
                MissingMessage(missing | (kLoginBits & ~greeting.capabilities)));
  }
  if (nonce_.size() < auth::kNonceSize) return FailProtocol("the server's nonce is too short");
  nonce_.resize(auth::kNonceSize);
  if (!AgreeOnCapabilities(greeting)) {
    return Fail(Kind::kTlsMissing, kCodeTls, "TLS is required and the server does not offer it");
  }
  if (!result_.is_tls) return SendResponse(out);

  const wire::SslRequest request{result_.capabilities, login_.max_packet_size, login_.collation};
  Append(out, [&](wire::ByteWriter* writer) { wire::EncodeSslRequest(request, writer); });
  state_ = State::kExpectTls;
  return Action::kStartTls;
}

// False where TLS is required and not offered.
bool BackendHandshake::AgreeOnCapabilities(const wire::Greeting& greeting) {
  const wire::Capabilities offered = greeting.capabilities;
  const bool wants_tls = login_.tls == BackendTls::kRequired || login_.tls == BackendTls::kVerify ||
                         (login_.tls == BackendTls::kPreferred && !login_.is_unix_socket);
  result_.is_tls = wants_tls && (offered & wire::kClientSsl) != 0;
  if (!result_.is_tls && wants_tls && login_.tls != BackendTls::kPreferred) return false;

  wire::Capabilities wanted = ((login_.required | login_.optional) & ~kOwnBits) | kLoginBits |
                              kWelcomeBits | (offered & wire::kClientMysql);
  if (result_.is_tls) wanted |= wire::kClientSsl;
  if (!login_.schema.empty()) wanted |= wire::kClientConnectWithDb;
  if (!attributes_.empty()) wanted |= wire::kClientConnectAttrs;
  wire::Capabilities agreed = wanted & offered;
  if ((agreed & wire::kClientCompress) != 0) {
    agreed &= ~wire::kClientZstdCompressionAlgorithm;
    result_.compression = wire::CompressionAlgorithm::kZlib;
  } else if ((agreed & wire::kClientZstdCompressionAlgorithm) != 0) {
    result_.compression = wire::CompressionAlgorithm::kZstd;
  }
  result_.capabilities = agreed;
  return true;
}

BackendHandshake::Action BackendHandshake::OnTlsReady(wire::ByteBuffer* out) {
  if (state_ != State::kExpectTls) return FailProtocol("TLS out of turn");
  return SendResponse(out);
}

BackendHandshake::Action BackendHandshake::SendResponse(wire::ByteBuffer* out) {
  exchange_.set_transport(result_.is_tls, login_.is_unix_socket);
  const auth::ClientExchange::Step step =
      exchange_.Begin(exchange_.ChooseFirst(greeting_plugin_), nonce_);
  if (step == auth::ClientExchange::Step::kFailed) return OnStep(step, out);

  wire::HandshakeResponse response;
  response.capabilities = result_.capabilities;
  response.max_packet_size = login_.max_packet_size;
  response.collation = login_.collation;
  response.user = login_.user;
  response.auth_response = wire::AsText(exchange_.output());
  response.database = login_.schema;
  response.auth_plugin = auth::PluginName(exchange_.plugin());
  response.connection_attributes = wire::AsText(attributes_);
  response.zstd_level = login_.zstd_level;
  wire::ByteBuffer payload;
  wire::ByteWriter writer(&payload);
  if (wire::EncodeHandshakeResponse(response, &writer) != wire::DecodeError::kNone) {
    return FailProtocol("the login does not fit into a handshake response");
  }
  Append(out, [&](wire::ByteWriter* packet) { packet->WriteBytes(payload); });
  state_ = State::kExpectReply;
  return Action::kSend;
}

BackendHandshake::Action BackendHandshake::StartChangeUser(const BackendLoginResult& connection,
                                                           wire::ByteBuffer* out) {
  result_ = connection;
  result_.collation = login_.collation;
  exchange_.set_transport(result_.is_tls, login_.is_unix_socket);
  next_sequence_ = 0;
  wire::ChangeUserCommand command;
  command.user = login_.user;
  command.database = login_.schema;
  command.has_collation = true;
  command.collation = login_.collation;
  // No proof over an old nonce: every server answers with an auth switch request and a new one.
  command.auth_plugin = auth::PluginName(Plugin::kNativePassword);
  command.connection_attributes = wire::AsText(attributes_);
  wire::ByteBuffer payload;
  wire::ByteWriter writer(&payload);
  if (wire::EncodeChangeUser(command, result_.capabilities, &writer) != wire::DecodeError::kNone) {
    return FailProtocol("the login does not fit into a COM_CHANGE_USER");
  }
  Append(out, [&](wire::ByteWriter* packet) { packet->WriteBytes(payload); });
  state_ = State::kExpectReply;
  return Action::kSend;
}

BackendHandshake::Action BackendHandshake::OnReply(std::span<const uint8_t> payload,
                                                   wire::ByteBuffer* out) {
  switch (wire::ClassifyAuthReply(payload)) {
    case wire::AuthReplyKind::kOk:
      return OnOk(payload);
    case wire::AuthReplyKind::kErr:
      return FailByServer(payload);
    case wire::AuthReplyKind::kAuthSwitch:
      return OnAuthSwitch(payload, out);
    case wire::AuthReplyKind::kMoreData:
      return OnMoreData(payload, out);
    case wire::AuthReplyKind::kOldAuthSwitch:
      return Fail(Kind::kCredentialsRefused, kCodeAuthPlugin,
                  "the server asks for mysql_old_password, which is not supported");
    case wire::AuthReplyKind::kAuthNextFactor:
      return Fail(Kind::kCredentialsRefused, kCodeAuthPlugin,
                  "the server asks for another factor, which is not supported");
    case wire::AuthReplyKind::kPluginData:
    case wire::AuthReplyKind::kEmpty:
      break;
  }
  return FailProtocol("not an answer to a login");
}

BackendHandshake::Action BackendHandshake::OnAuthSwitch(std::span<const uint8_t> payload,
                                                        wire::ByteBuffer* out) {
  wire::AuthSwitchRequest request;
  if (wire::DecodeAuthSwitchRequest(payload, &request) != wire::DecodeError::kNone || switched_) {
    return FailProtocol("malformed auth switch request");
  }
  switched_ = true;
  return OnStep(exchange_.Begin(auth::PluginByName(request.plugin), wire::AsBytes(request.data)),
                out);
}

BackendHandshake::Action BackendHandshake::OnMoreData(std::span<const uint8_t> payload,
                                                      wire::ByteBuffer* out) {
  std::string_view data;
  if (wire::DecodeAuthMoreData(payload, &data) != wire::DecodeError::kNone) {
    return FailProtocol("malformed authentication data");
  }
  return OnStep(exchange_.OnMoreData(wire::AsBytes(data)), out);
}

BackendHandshake::Action BackendHandshake::OnStep(auth::ClientExchange::Step step,
                                                  wire::ByteBuffer* out) {
  switch (step) {
    case auth::ClientExchange::Step::kSend:
      Append(out, [&](wire::ByteWriter* writer) { writer->WriteBytes(exchange_.output()); });
      return Action::kSend;
    case auth::ClientExchange::Step::kWait:
      return Action::kNeedMore;
    case auth::ClientExchange::Step::kFailed:
      return Fail(Kind::kCredentialsRefused, kCodeAuthPlugin, exchange_.failure());
  }
  return FailProtocol("");
}

BackendHandshake::Action BackendHandshake::OnOk(std::span<const uint8_t> payload) {
  wire::OkPacket ok;
  if (wire::DecodeOk(payload, result_.capabilities, &ok) != wire::DecodeError::kNone) {
    return FailProtocol("malformed OK");
  }
  result_.status = ok.status;
  result_.plugin = exchange_.plugin();
  exchange_.Forget();
  state_ = State::kReady;
  return Action::kReady;
}

BackendHandshake::Action BackendHandshake::FailByServer(std::span<const uint8_t> payload) {
  wire::ErrPacket err;
  if (wire::DecodeErr(payload, &err) != wire::DecodeError::kNone) {
    return FailProtocol("malformed ERR");
  }
  Fail(KindOfServerError(err.code), err.code, err.message);
  failure_.from_server = true;
  failure_.sqlstate = err.sqlstate;
  return Action::kFailed;
}

BackendHandshake::Action BackendHandshake::Fail(Kind kind, uint16_t code,
                                                std::string_view message) {
  exchange_.Forget();
  state_ = State::kFailed;
  failure_ = {kind, false, code, "HY000", std::string(message)};
  return Action::kFailed;
}

BackendHandshake::Action BackendHandshake::FailProtocol(std::string_view message) {
  return Fail(Kind::kProtocol, kCodeMalformed, message);
}

}  // namespace bulkhead::session
