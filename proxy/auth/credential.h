// What the router knows of a user's password, and what it can prove or check with it. Pure; any
// thread may read.
//
// A Credential is one of: the plaintext, or what a server stores for one of three plugins. A
// LoginSecret is what a login leaves behind for logging on to backends.
#ifndef BULKHEAD_PROXY_AUTH_CREDENTIAL_H_
#define BULKHEAD_PROXY_AUTH_CREDENTIAL_H_

#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "proxy/auth/caching_sha2_verifier.h"
#include "proxy/auth/ed25519.h"
#include "proxy/auth/native_password.h"
#include "proxy/auth/plugin.h"
#include "proxy/auth/secret.h"

namespace bulkhead::auth {

class Credential {
 public:
  enum class Kind : uint8_t { kPlaintext, kNativeVerifier, kCachingSha2Verifier, kEd25519Key };

  // The empty password.
  Credential() = default;
  explicit Credential(Secret plaintext) : value_(std::move(plaintext)) {}
  explicit Credential(const NativeVerifier& verifier) : value_(verifier) {}
  explicit Credential(CachingSha2Verifier verifier) : value_(std::move(verifier)) {}
  explicit Credential(const Ed25519PublicKey& key) : value_(key) {}

  [[nodiscard]] static Credential FromPlaintext(std::string_view password) {
    return Credential(Secret(password));
  }
  // A stored verifier as it stands in mysql.user, recognised by its form: "*" + 40 hexadecimal
  // digits, "$A$..." or
  // "$B$...", 43 characters of base 64. nullopt for anything else.
  [[nodiscard]] static std::optional<Credential> FromVerifier(std::string_view text);

  [[nodiscard]] Kind kind() const { return static_cast<Kind>(value_.index()); }

  // Each is nullptr unless kind() says so.
  [[nodiscard]] const Secret* plaintext() const { return std::get_if<Secret>(&value_); }
  [[nodiscard]] const NativeVerifier* native() const {
    return std::get_if<NativeVerifier>(&value_);
  }
  [[nodiscard]] const CachingSha2Verifier* caching_sha2() const {
    return std::get_if<CachingSha2Verifier>(&value_);
  }
  [[nodiscard]] const Ed25519PublicKey* ed25519() const {
    return std::get_if<Ed25519PublicKey>(&value_);
  }

  // Known to be the empty password. A verifier's password counts as not empty.
  [[nodiscard]] bool is_empty_password() const {
    return plaintext() != nullptr && plaintext()->empty();
  }

  // The same kind with the same value; in constant time for plaintexts.
  [[nodiscard]] bool SameAs(const Credential& other) const;

  // Whether `password` is right. Milliseconds for a caching_sha2 verifier, a tenth of one for
  // ed25519: not on an event loop then. Constant time but for the lengths.
  [[nodiscard]] bool Check(std::string_view password) const;

 private:
  std::variant<Secret, NativeVerifier, CachingSha2Verifier, Ed25519PublicKey> value_;
};

// What can be used to log on to a backend: the password, or only SHA1(password), which serves
// backends that use mysql_native_password, or nothing.
class LoginSecret {
 public:
  enum class Kind : uint8_t { kNone, kPlaintext, kNativeStage1 };

  LoginSecret() = default;

  [[nodiscard]] static LoginSecret Plaintext(Secret password) {
    return LoginSecret(Kind::kPlaintext, std::move(password));
  }
  [[nodiscard]] static LoginSecret NativeStage1(const Sha1Digest& stage1) {
    return LoginSecret(Kind::kNativeStage1, Secret(Bytes(stage1)));
  }

  [[nodiscard]] Kind kind() const { return kind_; }
  // The password if kind() is kPlaintext, otherwise empty.
  [[nodiscard]] std::string_view password() const {
    return kind_ == Kind::kPlaintext ? bytes_.view() : std::string_view();
  }
  // SHA1(password) if it is known in either way.
  [[nodiscard]] std::optional<Sha1Digest> native_stage1() const;

 private:
  LoginSecret(Kind kind, Secret bytes) : kind_(kind), bytes_(std::move(bytes)) {}

  Kind kind_ = Kind::kNone;
  Secret bytes_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_CREDENTIAL_H_
