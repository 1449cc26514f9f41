// The server's side of a login, and of COM_CHANGE_USER: greeting, TLS request, handshake response,
// plugin exchange.
//
// A machine without I/O: packets in, bytes and an action out. It reads no clock (the login timeout
// is the shell's) and makes no random numbers. Owner: the session's thread. Expensive steps come
// back as kCompute with a job for any thread. Units: payloads in are whole packets without frame
// headers; bytes out are framed, with their sequence numbers. Limits: options.max_login_bytes and
// options.max_packets from a client that is not logged in; wire's limits for connection attributes.
// The shell reads no more than bytes_left() before it has called OnPacket(). Errors: kRefused with
// an ERR packet in `out`, to be sent before closing: 1045 wrong user or password (the same, after
// the same exchange, for a user who does not exist), 1043 malformed, 1156 wrong sequence number,
// 1153 too much, 1251 client too old, 3159 TLS required. Sources: dev.mysql.com
// page_protocol_connection_phase and page_protocol_com_change_user; MariaDB "Connecting";
// sql/auth/sql_authentication.cc of MySQL.
//
// `out` never holds a secret, but what clients send may (a password in clear over TLS): the shell
// wipes what it read during a login.
#ifndef BULKHEAD_PROXY_SESSION_CLIENT_HANDSHAKE_H_
#define BULKHEAD_PROXY_SESSION_CLIENT_HANDSHAKE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proxy/auth/server_exchange.h"
#include "proxy/session/login.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/client_errors.h"
#include "proxy/wire/handshake_messages.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {

// Of one listener. Immutable, shared by its logins.
struct ClientHandshakeOptions {
  ServerFamily family = ServerFamily::kMysql;
  // As sent: "8.0.36-bulkhead", "5.5.5-10.11.6-MariaDB".
  std::string server_version = "8.0.36-bulkhead";
  // Offered. CLIENT_SSL and, by the family, CLIENT_MYSQL and MariaDB's extended bits are set and
  // cleared here; what the protocol needs anyway (PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH) is
  // added.
  wire::Capabilities capabilities = 0;
  bool tls_available = false;
  bool tls_required = false;  // a Unix socket counts as secure
  auth::Plugin default_plugin =
      auth::Plugin::kCachingSha2;  // native or caching_sha2; others count as native
  uint8_t collation = 45;          // utf8mb4_general_ci, which both families know
  wire::ServerStatus status = wire::kStatusAutocommit;
  std::shared_ptr<const auth::RsaKeyPair>
      rsa;  // nullptr: full authentication by TLS or Unix socket only
  size_t max_login_bytes = size_t{1} << 20;
  int max_packets = 8;  // five are the most that any login needs
};

// The capabilities that the greeting announces.
[[nodiscard]] wire::Capabilities OfferedCapabilities(const ClientHandshakeOptions& options);

struct ClientTransport {
  bool is_tls = false;
  bool is_unix_socket = false;
  std::string host;  // for messages: the client's address, "localhost" on a Unix socket
};

class ClientHandshake {
 public:
  enum class Action : uint8_t {
    kSend,      // send `out`, then OnPacket() with the client's next packet
    kStartTls,  // take TLS up as a server; bytes that follow the packet already belong to it; then
                // OnPacket()
    kCompute,   // run job() with auth::RunPasswordJob(), then OnJobDone(); no OnPacket() meanwhile
    kAccepted,  // the password was right: TakeResult(), then WriteOk() or WriteRefusal() behind
                // what is in `out`
    kRefused,   // send `out`, then close
  };

  // `policy` must outlive the handshake. `nonces`: see auth::MakeExchangeNonces.
  ClientHandshake(std::shared_ptr<const ClientHandshakeOptions> options, uint32_t connection_id,
                  const auth::ExchangeNonces& nonces, const LoginPolicy* policy,
                  ClientTransport transport);

  // A new connection: appends the greeting. Always kSend.
  [[nodiscard]] Action Start(wire::ByteBuffer* out);
  // Instead of Start(): a COM_CHANGE_USER on a connection that has agreed on `capabilities`.
  // `nonces.greeting` is the LoginResult::nonce of the last login. `payload` with its command byte.
  [[nodiscard]] Action StartChangeUser(std::span<const uint8_t> payload, uint8_t sequence,
                                       wire::Capabilities capabilities, wire::ByteBuffer* out);

  // `sequence`: of the packet's frame; packets of several frames are above every sensible limit.
  [[nodiscard]] Action OnPacket(std::span<const uint8_t> payload, uint8_t sequence,
                                wire::ByteBuffer* out);
  [[nodiscard]] Action OnJobDone(auth::PasswordJobResult result, wire::ByteBuffer* out);

  // After kCompute.
  [[nodiscard]] const auth::PasswordJob& job() const { return exchange_->job(); }
  // After kAccepted, once.
  [[nodiscard]] LoginResult TakeResult() { return std::move(result_); }

  // The end of an accepted login. `capabilities`: as agreed (OK's layout depends on them).
  void WriteOk(const wire::OkPacket& ok, wire::Capabilities capabilities, wire::ByteBuffer* out);
  void WriteRefusal(wire::ClientError error, std::string_view message, wire::ByteBuffer* out);
  // The answer to a packet that can't even be taken as one; `sequence`: its id.
  void RefusePacket(wire::ClientError error, uint8_t sequence, wire::ByteBuffer* out);

  // How many more bytes, headers included, this client may send.
  [[nodiscard]] size_t bytes_left() const;
  // The user as given, once known; for the log.
  [[nodiscard]] std::string_view user() const { return result_.user_as_given; }
  // Why it was refused, for the log; the client is not told more than the ERR packet says.
  [[nodiscard]] std::string_view refusal() const { return refusal_; }

 private:
  enum class State : uint8_t {
    kIdle,
    kExpectResponse,       // a TLS request or a handshake response
    kExpectResponseInTls,  // TLS is up: a handshake response
    kExpectAuthData,
    kComputing,
    kAccepted,
    kRefused,
  };

  Action OnHandshakeResponse(std::span<const uint8_t> payload, wire::ByteBuffer* out);
  Action BeginExchange(std::string_view plugin_name, std::string_view auth_response,
                       bool is_change_user, wire::ByteBuffer* out);
  [[nodiscard]] bool TakeAttributes(std::string_view encoded);
  void AgreeOnCompression(uint8_t zstd_level);
  Action OnStep(auth::ServerExchange::Step step, wire::ByteBuffer* out);
  Action Accept(wire::ByteBuffer* out);
  Action RefuseLogin(wire::ByteBuffer* out);
  Action Refuse(wire::ClientError error, std::string_view why, wire::ByteBuffer* out);
  template <typename Encode>
  void Append(wire::ByteBuffer* out, Encode&& encode);

  std::shared_ptr<const ClientHandshakeOptions> options_;
  uint32_t connection_id_;
  auth::ExchangeNonces nonces_;
  const LoginPolicy* policy_;
  ClientTransport transport_;
  State state_ = State::kIdle;
  uint8_t next_sequence_ = 0;  // of the next packet in either direction
  size_t bytes_received_ = 0;
  int packets_received_ = 0;
  bool user_exists_ = false;
  std::unique_ptr<auth::ServerExchange> exchange_;
  LoginResult result_;
  std::string_view refusal_;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_CLIENT_HANDSHAKE_H_
