// The server's side of the plugin exchange: from a user's credential and what the client sends to
// "the password is right" or not. A machine without I/O, used for logins and for COM_CHANGE_USER
// alike.
//
// Owner: the session's thread; only RunPasswordJob() may run elsewhere. Payloads in and out are
// without frame headers and without the status byte (0x01 more data, 0xFE switch): proxy/session
// writes those.
//
// Which plugin checks which credential:
// - plaintext: what the client offers of native, caching_sha2, ed25519; else the greeting's;
// - native verifier: native; caching_sha2 where "full" applies;
// - "$A$", "$B$": caching_sha2, fast once the password has been learned;
// - ed25519 key: client_ed25519; caching_sha2 where "full" applies;
// - each of them: mysql_clear_password over TLS, if the client offers it.
// "Full" applies where the client offers caching_sha2 and the transport is secure: it is asked for
// the password itself. MySQL's newest clients have no other plugin, and a password that was shown
// logs on to backends, which a scramble or a signature may not.
//
// One switch of plugins at most. A user who does not exist is to be given a decoy credential by the
// caller: nothing here tells him apart.
//
// A COM_CHANGE_USER is answered with a switch, as servers do. For mysql_native_password it carries
// the connection's last nonce once more: Connector/C and libmysqlclient 5 scramble with that
// whatever the switch says. caching_sha2_password and client_ed25519 get a new one.
//
// Sources: MySQL source documentation, "Authentication Methods" and "Caching_sha2_password Message
// exchanges"; sql/auth/sql_authentication.cc and sql/auth/sha2_password.cc of MySQL;
// plugin/auth_ed25519 of MariaDB.
#ifndef BULKHEAD_PROXY_AUTH_SERVER_EXCHANGE_H_
#define BULKHEAD_PROXY_AUTH_SERVER_EXCHANGE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "proxy/auth/credential.h"
#include "proxy/auth/password_job.h"
#include "proxy/auth/plugin.h"
#include "proxy/auth/rsa_key.h"

namespace bulkhead::auth {

// Nonces of one exchange. A connection's next exchange needs new ones, but for `greeting`.
struct ExchangeNonces {
  Nonce greeting{};  // the one that the client has already
  Nonce for_switch{};
  Ed25519Nonce for_ed25519{};
};

// From random bytes of a good generator.
inline constexpr size_t kExchangeRandomSize = 2 * kNonceSize + kEd25519NonceSize;
[[nodiscard]] ExchangeNonces MakeExchangeNonces(
    std::span<const uint8_t, kExchangeRandomSize> random);

struct ServerExchangeOptions {
  Plugin greeting_plugin = Plugin::kCachingSha2;  // native or caching_sha2
  ExchangeNonces nonces;
  bool is_tls = false;
  bool is_unix_socket = false;
  bool client_can_switch = true;  // CLIENT_PLUGIN_AUTH
  // `nonces.greeting` is then the connection's last nonce, and a switch comes first in any case.
  bool is_change_user = false;
  std::shared_ptr<const RsaKeyPair> rsa;  // nullptr: no full authentication without TLS
};

class ServerExchange {
 public:
  enum class Step : uint8_t {
    kSwitch,        // send an auth switch request: switch_plugin(), output() as its data
    kSend,          // send output() as more data
    kCompute,       // run job(), then OnJobDone()
    kAccepted,      // if output() is not empty, send it as more data before the OK
    kDenied,        // wrong password, or an answer that no client would give
    kCannotSwitch,  // the client speaks only mysql_native_password, the credential needs another
  };

  explicit ServerExchange(ServerExchangeOptions options) : options_(std::move(options)) {}

  // `offered`: the plugin the client named (kUnknown for a name we don't know; native if it names
  // none). `learned`: the user's password if an earlier login has shown it, else nullptr.
  [[nodiscard]] Step Begin(Credential credential, std::shared_ptr<const Secret> learned,
                           Plugin offered, Bytes response);
  // The client's next packet, after kSwitch or kSend.
  [[nodiscard]] Step OnData(Bytes data);
  // After kCompute.
  [[nodiscard]] Step OnJobDone(PasswordJobResult result);

  [[nodiscard]] Plugin switch_plugin() const { return plugin_; }
  [[nodiscard]] const std::vector<uint8_t>& output() const { return output_; }
  [[nodiscard]] const PasswordJob& job() const { return job_; }
  // The plugin that decided.
  [[nodiscard]] Plugin plugin() const { return plugin_; }
  // For the error message's "using password: YES".
  [[nodiscard]] bool password_given() const { return password_given_; }
  // After kAccepted.
  [[nodiscard]] LoginSecret TakeSecret() { return std::move(secret_); }
  // The last nonce of 20 bytes that the client was sent: a later COM_CHANGE_USER starts from it.
  [[nodiscard]] const Nonce& current_nonce() const { return nonce_; }

 private:
  enum class State : uint8_t {
    kIdle,
    kExpectResponse,
    kExpectPassword,
    kExpectCiphertext,
    kComputing
  };

  [[nodiscard]] Plugin Choose(Plugin offered) const;
  [[nodiscard]] bool IsSecure() const { return options_.is_tls || options_.is_unix_socket; }
  [[nodiscard]] bool ResponseFits(Bytes response) const;
  [[nodiscard]] const Secret* KnownPassword() const;

  Step Switch();
  Step OnResponse(Bytes response);
  Step OnNativeScramble(Bytes scramble);
  Step OnCachingSha2Scramble(Bytes scramble);
  Step OnFullAuthData(Bytes data);
  Step OnCiphertext(Bytes data);
  Step OnClearPassword(Bytes data);
  Step CheckNow(Secret password);
  Step Compute(PasswordJob::Kind kind);
  Step Accept(LoginSecret secret);
  Step Deny();

  ServerExchangeOptions options_;
  State state_ = State::kIdle;
  Credential credential_;
  std::shared_ptr<const Secret> learned_;
  Plugin plugin_ = Plugin::kUnknown;
  Nonce nonce_{};
  bool switched_ = false;
  bool password_given_ = false;
  std::vector<uint8_t> output_;
  PasswordJob job_;
  LoginSecret secret_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_SERVER_EXCHANGE_H_
