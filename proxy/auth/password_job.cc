#include "proxy/auth/password_job.h"

#include <optional>
#include <utility>

namespace bulkhead::auth {
namespace {

PasswordJobResult Check(const Credential& credential, const Secret& password) {
  PasswordJobResult result;
  result.password_empty = password.empty();
  result.verified = credential.Check(password.view());
  if (result.verified) result.secret = LoginSecret::Plaintext(password);
  return result;
}

PasswordJobResult VerifySignature(const PasswordJob& job) {
  PasswordJobResult result;
  const Secret* plaintext = job.credential.plaintext();
  Ed25519PublicKey key;
  if (plaintext != nullptr) {
    key = MakeEd25519PublicKey(plaintext->view());
  } else if (job.credential.ed25519() != nullptr) {
    key = *job.credential.ed25519();
  } else {
    return result;
  }
  result.verified = VerifyEd25519(job.input, job.ed25519_nonce, key);
  if (result.verified && plaintext != nullptr) result.secret = LoginSecret::Plaintext(*plaintext);
  return result;
}

}  // namespace

PasswordJobResult RunPasswordJob(const PasswordJob& job) {
  switch (job.kind) {
    case PasswordJob::Kind::kCheckPassword:
      return Check(job.credential, job.password);
    case PasswordJob::Kind::kDecryptAndCheck: {
      if (job.rsa == nullptr) return {};
      const std::optional<Secret> password = job.rsa->DecryptPassword(job.input, job.nonce);
      if (password) return Check(job.credential, *password);
      // The same work as for a password that decrypts but is wrong.
      (void)job.credential.Check("");
      return {};
    }
    case PasswordJob::Kind::kVerifySignature:
      return VerifySignature(job);
  }
  return {};
}

}  // namespace bulkhead::auth
