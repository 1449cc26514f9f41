// The client's side of a login on a backend, and of COM_CHANGE_USER there.
//
// A machine without I/O: packets in, bytes and an action out. Owner: the thread of the backend
// connection. Signing and encrypting take at most a fraction of a millisecond and are done in
// place. Units: payloads in are whole packets without frame headers; bytes out are framed, with
// their sequence numbers. Limits: kMaxPackets packets from the server before it has decided. What
// it will not do: send anything secret before TLS is up where TLS is required, send a password in
// clear without TLS (caching_sha2_password's full exchange also takes a Unix socket), use less than
// the required capabilities, or more than the required and optional ones: the shape of results is
// agreed exactly. Sources: dev.mysql.com page_protocol_connection_phase; MariaDB "Connecting";
// sql-common/client.cc of MySQL.
//
// `out` may hold a password (over TLS or a Unix socket): the shell wipes it once it is sent.
#ifndef BULKHEAD_PROXY_SESSION_BACKEND_HANDSHAKE_H_
#define BULKHEAD_PROXY_SESSION_BACKEND_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proxy/auth/client_exchange.h"
#include "proxy/session/login.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/handshake_messages.h"

namespace bulkhead::session {

// kVerify differs from kRequired only in what the shell checks of the server's certificate.
enum class BackendTls : uint8_t { kDisabled, kPreferred, kRequired, kVerify };

struct BackendLogin {
  std::string user;
  auth::LoginSecret secret;
  std::string schema;  // empty: none
  // CLIENT_SSL, CLIENT_CONNECT_WITH_DB, CLIENT_CONNECT_ATTRS and what the login itself needs are
  // decided here. Of the compression bits at most one is used, zlib before zstd.
  wire::Capabilities required = 0;
  wire::Capabilities optional = 0;
  uint8_t collation = 45;  // utf8mb4_general_ci
  uint32_t max_packet_size = uint32_t{1} << 30;
  uint8_t zstd_level = 3;
  BackendTls tls = BackendTls::kPreferred;  // kPreferred leaves a Unix socket alone
  bool is_unix_socket = false;
  bool allow_public_key_request =
      false;                          // take the server's RSA key as it comes where there is no TLS
  std::string public_key_pem;         // the server's RSA key, if it is known
  bool allow_clear_password = false;  // mysql_clear_password; over TLS only in any case
  Attributes attributes;
};

struct BackendLoginResult {
  ServerFamily family = ServerFamily::kMysql;
  std::string server_version;          // without MariaDB's "5.5.5-"
  uint32_t server_version_number = 0;  // 10.11.6: 101106
  uint32_t thread_id = 0;
  wire::Capabilities capabilities = 0;  // agreed
  wire::ServerStatus status = 0;
  uint8_t collation = 0;  // asked for
  bool is_tls = false;
  std::optional<wire::CompressionAlgorithm> compression;
  auth::Plugin plugin = auth::Plugin::kUnknown;
};

struct BackendLoginFailure {
  enum class Kind : uint8_t {
    kCredentialsRefused,  // wrong user or password, locked account, plugin that we or the secret
                          // can't serve
    kSchemaRefused,       // 1044, 1049
    kTooManyConnections,  // 1040, 1203, 1226
    kHostRefused,         // 1129 blocked after errors, 1130 not allowed
    kCapabilityMissing,
    kTlsMissing,
    kProtocol,  // not what a server says
    kServer,    // any other error of the server: shutting down, out of memory
  };

  Kind kind = Kind::kProtocol;
  bool from_server = false;  // the server said so; otherwise we gave up
  uint16_t code = 0;         // the server's, or the nearest client code (20xx)
  std::string sqlstate;
  std::string message;  // from the server it is untrusted text
};

class BackendHandshake {
 public:
  enum class Action : uint8_t {
    kSend,      // send `out`, then OnPacket() with the server's next packet
    kStartTls,  // send `out`, take TLS up as a client, then OnTlsReady()
    kNeedMore,  // nothing to send; OnPacket() with the server's next packet
    kReady,     // logged on: result()
    kFailed,    // failure(); close
  };

  explicit BackendHandshake(BackendLogin login);
  BackendHandshake(const BackendHandshake&) = delete;
  BackendHandshake& operator=(const BackendHandshake&) = delete;

  // Instead of waiting for a greeting: changes the user of a connection that is logged on, as
  // `connection` says. `login`'s capabilities and TLS mode don't matter then: both stay as they
  // are.
  [[nodiscard]] Action StartChangeUser(const BackendLoginResult& connection, wire::ByteBuffer* out);

  [[nodiscard]] Action OnPacket(std::span<const uint8_t> payload, uint8_t sequence,
                                wire::ByteBuffer* out);
  // After kStartTls, once the TLS handshake is done.
  [[nodiscard]] Action OnTlsReady(wire::ByteBuffer* out);

  [[nodiscard]] const BackendLoginResult& result() const { return result_; }
  [[nodiscard]] const BackendLoginFailure& failure() const { return failure_; }

 private:
  enum class State : uint8_t { kExpectGreeting, kExpectTls, kExpectReply, kReady, kFailed };

  static constexpr int kMaxPackets = 8;

  Action OnGreeting(std::span<const uint8_t> payload, wire::ByteBuffer* out);
  [[nodiscard]] bool AgreeOnCapabilities(const wire::Greeting& greeting);
  Action SendResponse(wire::ByteBuffer* out);
  Action OnReply(std::span<const uint8_t> payload, wire::ByteBuffer* out);
  Action OnAuthSwitch(std::span<const uint8_t> payload, wire::ByteBuffer* out);
  Action OnMoreData(std::span<const uint8_t> payload, wire::ByteBuffer* out);
  Action OnOk(std::span<const uint8_t> payload);
  Action OnStep(auth::ClientExchange::Step step, wire::ByteBuffer* out);
  Action FailByServer(std::span<const uint8_t> payload);
  Action Fail(BackendLoginFailure::Kind kind, uint16_t code, std::string_view message);
  Action FailProtocol(std::string_view message);
  template <typename Encode>
  void Append(wire::ByteBuffer* out, Encode&& encode);

  BackendLogin login_;
  auth::ClientExchange exchange_;
  State state_ = State::kExpectGreeting;
  uint8_t next_sequence_ = 0;
  int packets_received_ = 0;
  bool switched_ = false;
  auth::Plugin greeting_plugin_ = auth::Plugin::kUnknown;
  wire::ByteBuffer nonce_;  // the greeting's
  wire::ByteBuffer attributes_;
  BackendLoginResult result_;
  BackendLoginFailure failure_;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_BACKEND_HANDSHAKE_H_
