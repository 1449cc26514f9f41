// The expensive steps of a login (SHA-crypt, RSA, Ed25519), as values that any thread can run.
// Pure.
//
// A job owns all it needs: the session that asked for it may be gone when it runs. Its cost is
// bounded: one RSA decryption, one verifier of at most kCachingSha2MaxRounds, one signature.
#ifndef BULKHEAD_PROXY_AUTH_PASSWORD_JOB_H_
#define BULKHEAD_PROXY_AUTH_PASSWORD_JOB_H_

#include <memory>
#include <vector>

#include "proxy/auth/credential.h"
#include "proxy/auth/rsa_key.h"

namespace bulkhead::auth {

struct PasswordJob {
  enum class Kind : uint8_t {
    kCheckPassword,    // `password` against `credential`
    kDecryptAndCheck,  // `input` is the password encrypted for `rsa`, XORed with `nonce`
    kVerifySignature,  // `input` is a client_ed25519 signature of `ed25519_nonce`
  };

  Kind kind = Kind::kCheckPassword;
  Credential credential;
  Secret password;
  std::vector<uint8_t> input;
  Nonce nonce{};
  Ed25519Nonce ed25519_nonce{};
  std::shared_ptr<const RsaKeyPair> rsa;
};

struct PasswordJobResult {
  bool verified = false;
  bool password_empty = false;  // the client's, where it became known; only for the error message
  LoginSecret secret;           // what became known, if verified
};

[[nodiscard]] PasswordJobResult RunPasswordJob(const PasswordJob& job);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_PASSWORD_JOB_H_
