// The client's side of the plugin exchange, for logging on to a backend. A machine without I/O.
//
// Owner: the thread of the backend connection. Payloads in and out are without frame headers and
// status byte. What it will not do: send a password in clear text without TLS (the full exchange of
// caching_sha2_password also takes a Unix socket), or encrypt one for a public key it was not
// allowed to ask for. Sources: sql-common/client_authentication.cc and sql-common/client.cc of
// MySQL; plugin/auth_ed25519 of MariaDB.
#ifndef BULKHEAD_PROXY_AUTH_CLIENT_EXCHANGE_H_
#define BULKHEAD_PROXY_AUTH_CLIENT_EXCHANGE_H_

#include <string>
#include <string_view>
#include <vector>

#include "proxy/auth/credential.h"
#include "proxy/auth/plugin.h"

namespace bulkhead::auth {

struct ClientExchangeOptions {
  bool is_tls = false;
  bool is_unix_socket = false;
  bool allow_public_key_request = false;  // take the server's RSA key as it comes, without TLS
  std::string public_key_pem{};       // the server's RSA key, if it is known: never asked for then
  bool allow_clear_password = false;  // mysql_clear_password; over TLS only in any case
};

class ClientExchange {
 public:
  enum class Step : uint8_t {
    kSend,    // send output(), which may be empty
    kWait,    // nothing to send: the server speaks next
    kFailed,  // give up; failure() says why, without secrets
  };

  ClientExchange(ClientExchangeOptions options, LoginSecret secret)
      : options_(std::move(options)), secret_(std::move(secret)) {}

  void set_transport(bool is_tls, bool is_unix_socket) {
    options_.is_tls = is_tls;
    options_.is_unix_socket = is_unix_socket;
  }

  // The plugin to begin with, given the one that the greeting names: that one where we can answer
  // it, otherwise one that we can; the server asks for a switch if the account needs another.
  [[nodiscard]] Plugin ChooseFirst(Plugin greeting_plugin) const;

  // Answers a greeting or an auth switch request. `data` is the nonce as received, with or without
  // its last zero.
  [[nodiscard]] Step Begin(Plugin plugin, Bytes data);
  // A packet of more data from the server.
  [[nodiscard]] Step OnMoreData(Bytes data);

  [[nodiscard]] Plugin plugin() const { return plugin_; }
  [[nodiscard]] const std::vector<uint8_t>& output() const { return output_; }
  [[nodiscard]] std::string_view failure() const { return failure_; }

  // Wipes the password and what was sent of it. No call but failure() afterwards.
  void Forget();

 private:
  enum class State : uint8_t { kIdle, kExpectVerdict, kExpectPublicKey, kDone };

  [[nodiscard]] bool CanAnswer(Plugin plugin) const;
  Step BeginNative(Bytes data);
  Step BeginCachingSha2(Bytes data);
  Step BeginEd25519(Bytes data);
  Step SendClearPassword();
  Step SendEncrypted(std::string_view public_key_pem);
  Step OnFullAuthRequested();
  Step Send(Bytes bytes, State next);
  Step Fail(std::string_view why);

  ClientExchangeOptions options_;
  LoginSecret secret_;
  State state_ = State::kIdle;
  Plugin plugin_ = Plugin::kUnknown;
  Nonce nonce_{};
  std::vector<uint8_t> output_;
  std::string_view failure_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_CLIENT_EXCHANGE_H_
