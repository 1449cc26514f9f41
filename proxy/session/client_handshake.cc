#include "proxy/session/client_handshake.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/commands.h"
#include "proxy/wire/frame.h"

namespace bulkhead::session {
namespace {

using auth::Plugin;
using wire::ClientError;

constexpr wire::Capabilities kAlwaysOffered =
    wire::kClientProtocol41 | wire::kClientSecureConnection | wire::kClientPluginAuth;
constexpr wire::Capabilities kCompressionBits =
    wire::kClientCompress | wire::kClientZstdCompressionAlgorithm;

// Servers store 32 (MySQL) and 128 (MariaDB) characters; a tenant may be part of the name.
constexpr size_t kMaxUserSize = 512;
// Of a user name in a message: what a name can't be is not echoed at length.
constexpr size_t kMaxUserInMessage = 128;

constexpr std::string_view kClientTooOld =
    "Client does not support authentication protocol requested by server; consider upgrading MySQL "
    "client";
constexpr std::string_view kTlsRequired =
    "Connections using insecure transport are prohibited while --require_secure_transport=ON.";

// Cut at a UTF-8 boundary.
std::string_view CutUser(std::string_view user) {
  if (user.size() <= kMaxUserInMessage) return user;
  size_t size = kMaxUserInMessage;
  while (size > 0 && (static_cast<uint8_t>(user[size]) & 0xC0) == 0x80) --size;
  return user.substr(0, size);
}

// The greeting's nonce is made for either of these two.
Plugin GreetingPlugin(const ClientHandshakeOptions& options) {
  return options.default_plugin == Plugin::kCachingSha2 ? Plugin::kCachingSha2
                                                        : Plugin::kNativePassword;
}

}  // namespace

wire::Capabilities OfferedCapabilities(const ClientHandshakeOptions& options) {
  wire::Capabilities offered = options.capabilities | kAlwaysOffered;
  switch (options.family) {
    case ServerFamily::kMysql:
      offered &= wire::kMysqlCapabilityMask;
      offered |= wire::kClientMysql;
      break;
    case ServerFamily::kMariadb:
      offered &= ~wire::kClientMysql;
      break;
  }
  offered &= ~(wire::kClientSsl | wire::kClientMultiFactorAuthentication);
  if (options.tls_available) offered |= wire::kClientSsl;
  return offered;
}

ClientHandshake::ClientHandshake(std::shared_ptr<const ClientHandshakeOptions> options,
                                 uint32_t connection_id, const auth::ExchangeNonces& nonces,
                                 const LoginPolicy* policy, ClientTransport transport)
    : options_(std::move(options)),
      connection_id_(connection_id),
      nonces_(nonces),
      policy_(policy),
      transport_(std::move(transport)) {}

template <typename Encode>
void ClientHandshake::Append(wire::ByteBuffer* out, Encode&& encode) {
  wire::PacketWriter writer(out, next_sequence_);
  writer.Append(std::forward<Encode>(encode));
  next_sequence_ = writer.sequence();
}

ClientHandshake::Action ClientHandshake::Start(wire::ByteBuffer* out) {
  wire::Greeting greeting;
  greeting.server_version = options_->server_version;
  greeting.connection_id = connection_id_;
  greeting.auth_data = wire::AsText(nonces_.greeting);
  greeting.capabilities = OfferedCapabilities(*options_);
  greeting.collation = options_->collation;
  greeting.status = options_->status;
  greeting.auth_plugin = auth::PluginName(GreetingPlugin(*options_));
  Append(out, [&](wire::ByteWriter* writer) { wire::EncodeGreeting(greeting, writer); });
  state_ = State::kExpectResponse;
  return Action::kSend;
}

ClientHandshake::Action ClientHandshake::OnPacket(std::span<const uint8_t> payload,
                                                  uint8_t sequence, wire::ByteBuffer* out) {
  const uint8_t expected = next_sequence_;
  next_sequence_ = static_cast<uint8_t>(sequence + 1);
  const size_t size = payload.size() + wire::kFrameHeaderSize;
  if (size > bytes_left() || packets_received_ >= options_->max_packets) {
    return Refuse(ClientError::kPacketTooLarge, "sent too much before being logged in", out);
  }
  bytes_received_ += size;
  ++packets_received_;
  if (sequence != expected) {
    return Refuse(ClientError::kPacketsOutOfOrder, "wrong sequence number", out);
  }

  switch (state_) {
    case State::kExpectResponse:
      if (wire::IsSslRequest(payload)) {
        if (!options_->tls_available || transport_.is_tls) {
          return Refuse(ClientError::kHandshakeError, "asks for TLS that was not offered", out);
        }
        transport_.is_tls = true;
        state_ = State::kExpectResponseInTls;
        return Action::kStartTls;
      }
      return OnHandshakeResponse(payload, out);
    case State::kExpectResponseInTls:
      return OnHandshakeResponse(payload, out);
    case State::kExpectAuthData:
      return OnStep(exchange_->OnData(payload), out);
    case State::kIdle:
    case State::kComputing:
    case State::kAccepted:
    case State::kRefused:
      break;
  }
  return Refuse(ClientError::kHandshakeError, "a packet out of turn", out);
}

ClientHandshake::Action ClientHandshake::OnHandshakeResponse(std::span<const uint8_t> payload,
                                                             wire::ByteBuffer* out) {
  const wire::Capabilities offered = OfferedCapabilities(*options_);
  wire::HandshakeResponse response;
  const wire::DecodeError error = wire::DecodeHandshakeResponse(payload, offered, &response);
  if (error == wire::DecodeError::kUnsupported) {
    // A client from before 4.1 does not know SQLSTATEs.
    refusal_ = "a client from before 4.1";
    state_ = State::kRefused;
    Append(out, [&](wire::ByteWriter* writer) {
      wire::EncodeErrWithoutSqlstate(static_cast<uint16_t>(ClientError::kUnsupportedAuthMode),
                                     kClientTooOld, writer);
    });
    return Action::kRefused;
  }
  if (error != wire::DecodeError::kNone || response.user.size() > kMaxUserSize) {
    return Refuse(ClientError::kHandshakeError, "malformed handshake response", out);
  }
  if (options_->tls_required && !transport_.is_tls && !transport_.is_unix_socket) {
    return Refuse(ClientError::kSecureTransportRequired, "TLS is required", out);
  }

  result_.user_as_given = response.user;
  result_.capabilities = response.capabilities & offered;
  if ((response.capabilities & wire::kClientMysql) != 0) {
    result_.capabilities &= wire::kMysqlCapabilityMask;
  }
  if (!transport_.is_tls) result_.capabilities &= ~wire::kClientSsl;
  result_.schema = response.database;
  result_.collation = response.collation;
  result_.max_packet_size = response.max_packet_size;
  AgreeOnCompression(response.zstd_level);
  if (!TakeAttributes(response.connection_attributes)) {
    return Refuse(ClientError::kHandshakeError, "malformed connection attributes", out);
  }
  constexpr wire::Capabilities kModernAuth = wire::kClientSecureConnection |
                                             wire::kClientPluginAuth |
                                             wire::kClientPluginAuthLenencClientData;
  if ((response.capabilities & kModernAuth) == 0) {
    return Refuse(ClientError::kUnsupportedAuthMode, "scrambles as before 4.1", out);
  }
  return BeginExchange(response.auth_plugin, response.auth_response, false, out);
}

ClientHandshake::Action ClientHandshake::StartChangeUser(std::span<const uint8_t> payload,
                                                         uint8_t sequence,
                                                         wire::Capabilities capabilities,
                                                         wire::ByteBuffer* out) {
  next_sequence_ = static_cast<uint8_t>(sequence + 1);
  const size_t size = payload.size() + wire::kFrameHeaderSize;
  if (size > bytes_left()) {
    return Refuse(ClientError::kPacketTooLarge, "an oversized COM_CHANGE_USER", out);
  }
  bytes_received_ += size;
  ++packets_received_;
  wire::ChangeUserCommand command;
  if (wire::DecodeChangeUser(payload, capabilities, &command) != wire::DecodeError::kNone ||
      command.user.size() > kMaxUserSize) {
    return Refuse(ClientError::kMalformedPacket, "malformed COM_CHANGE_USER", out);
  }
  result_.user_as_given = command.user;
  result_.capabilities = capabilities;
  result_.schema = command.database;
  if (command.has_collation) result_.collation = command.collation;
  if (!TakeAttributes(command.connection_attributes)) {
    return Refuse(ClientError::kMalformedPacket, "malformed connection attributes", out);
  }
  return BeginExchange(command.auth_plugin, command.auth_response, true, out);
}

bool ClientHandshake::TakeAttributes(std::string_view encoded) {
  std::vector<wire::ConnectionAttribute> attributes;
  if (wire::DecodeConnectionAttributes(encoded, &attributes) != wire::DecodeError::kNone) {
    return false;
  }
  for (const wire::ConnectionAttribute& attribute : attributes) {
    result_.attributes.emplace_back(attribute.key, attribute.value);
  }
  return true;
}

// zlib comes first where a client offers both, as at a server with the default
// protocol_compression_algorithms.
void ClientHandshake::AgreeOnCompression(uint8_t zstd_level) {
  const wire::Capabilities agreed = result_.capabilities & kCompressionBits;
  result_.capabilities &= ~kCompressionBits;
  if ((agreed & wire::kClientCompress) != 0) {
    result_.compression = wire::CompressionAlgorithm::kZlib;
    result_.capabilities |= wire::kClientCompress;
  } else if (agreed != 0) {
    result_.compression = wire::CompressionAlgorithm::kZstd;
    result_.capabilities |= wire::kClientZstdCompressionAlgorithm;
    result_.zstd_level = zstd_level;
  }
}

ClientHandshake::Action ClientHandshake::BeginExchange(std::string_view plugin_name,
                                                       std::string_view auth_response,
                                                       bool is_change_user, wire::ByteBuffer* out) {
  LoginLookup lookup = policy_->Lookup(result_.user_as_given);
  user_exists_ = lookup.record != nullptr;
  result_.record = std::move(lookup.record);
  result_.tenant = std::move(lookup.tenant);

  auth::ServerExchangeOptions options;
  options.greeting_plugin = GreetingPlugin(*options_);
  options.nonces = nonces_;
  options.is_tls = transport_.is_tls;
  options.is_unix_socket = transport_.is_unix_socket;
  options.client_can_switch = (result_.capabilities & wire::kClientPluginAuth) != 0;
  options.is_change_user = is_change_user;
  options.rsa = options_->rsa;
  exchange_ = std::make_unique<auth::ServerExchange>(std::move(options));

  // A client that can name its plugin and does not wants the oldest one.
  const Plugin offered =
      plugin_name.empty() ? Plugin::kNativePassword : auth::PluginByName(plugin_name);
  return OnStep(
      exchange_->Begin(
          user_exists_ ? result_.record->credential : policy_->Decoy(result_.user_as_given),
          std::move(lookup.learned_password), offered, wire::AsBytes(auth_response)),
      out);
}

ClientHandshake::Action ClientHandshake::OnJobDone(auth::PasswordJobResult result,
                                                   wire::ByteBuffer* out) {
  if (state_ != State::kComputing) {
    return Refuse(ClientError::kHandshakeError, "a job's result out of turn", out);
  }
  return OnStep(exchange_->OnJobDone(std::move(result)), out);
}

ClientHandshake::Action ClientHandshake::OnStep(auth::ServerExchange::Step step,
                                                wire::ByteBuffer* out) {
  using Step = auth::ServerExchange::Step;
  switch (step) {
    case Step::kSwitch: {
      const wire::AuthSwitchRequest request{auth::PluginName(exchange_->switch_plugin()),
                                            wire::AsText(exchange_->output())};
      Append(out, [&](wire::ByteWriter* writer) { EncodeAuthSwitchRequest(request, writer); });
      state_ = State::kExpectAuthData;
      return Action::kSend;
    }
    case Step::kSend:
      Append(out, [&](wire::ByteWriter* writer) {
        wire::EncodeAuthMoreData(wire::AsText(exchange_->output()), writer);
      });
      state_ = State::kExpectAuthData;
      return Action::kSend;
    case Step::kCompute:
      state_ = State::kComputing;
      return Action::kCompute;
    case Step::kAccepted:
      // No decoy fits any password; if one did, it would still be no user.
      return user_exists_ ? Accept(out) : RefuseLogin(out);
    case Step::kDenied:
      return RefuseLogin(out);
    case Step::kCannotSwitch:
      return Refuse(ClientError::kUnsupportedAuthMode, "can't be switched to the plugin it needs",
                    out);
  }
  return RefuseLogin(out);
}

ClientHandshake::Action ClientHandshake::Accept(wire::ByteBuffer* out) {
  if (!exchange_->output().empty()) {
    Append(out, [&](wire::ByteWriter* writer) {
      wire::EncodeAuthMoreData(wire::AsText(exchange_->output()), writer);
    });
  }
  result_.plugin = exchange_->plugin();
  result_.secret = exchange_->TakeSecret();
  result_.nonce = exchange_->current_nonce();
  exchange_.reset();
  state_ = State::kAccepted;
  return Action::kAccepted;
}

ClientHandshake::Action ClientHandshake::RefuseLogin(wire::ByteBuffer* out) {
  std::string message = "Access denied for user '";
  message += CutUser(result_.user_as_given);
  message += "'@'";
  message += transport_.host;
  message += "' (using password: ";
  message += exchange_->password_given() ? "YES)" : "NO)";
  WriteRefusal(ClientError::kAccessDenied, message, out);
  refusal_ = user_exists_ ? "wrong password" : "no such user";
  return Action::kRefused;
}

ClientHandshake::Action ClientHandshake::Refuse(ClientError error, std::string_view why,
                                                wire::ByteBuffer* out) {
  std::string_view message = wire::InfoOf(error).text;
  if (error == ClientError::kUnsupportedAuthMode) message = kClientTooOld;
  if (error == ClientError::kSecureTransportRequired) message = kTlsRequired;
  WriteRefusal(error, message, out);
  refusal_ = why;
  return Action::kRefused;
}

void ClientHandshake::WriteOk(const wire::OkPacket& ok, wire::Capabilities capabilities,
                              wire::ByteBuffer* out) {
  Append(out, [&](wire::ByteWriter* writer) { wire::EncodeOk(ok, capabilities, writer); });
}

void ClientHandshake::WriteRefusal(ClientError error, std::string_view message,
                                   wire::ByteBuffer* out) {
  const wire::ErrPacket err{static_cast<uint16_t>(error), wire::InfoOf(error).sqlstate, message};
  Append(out, [&](wire::ByteWriter* writer) { wire::EncodeErr(err, writer); });
  state_ = State::kRefused;
}

void ClientHandshake::RefusePacket(ClientError error, uint8_t sequence, wire::ByteBuffer* out) {
  next_sequence_ = static_cast<uint8_t>(sequence + 1);
  WriteRefusal(error, wire::InfoOf(error).text, out);
}

size_t ClientHandshake::bytes_left() const {
  return options_->max_login_bytes - std::min(options_->max_login_bytes, bytes_received_);
}

}  // namespace bulkhead::session
