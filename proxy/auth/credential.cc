#include "proxy/auth/credential.h"

#include <algorithm>

namespace bulkhead::auth {

std::optional<Credential> Credential::FromVerifier(std::string_view text) {
  if (const auto native = ParseNativeVerifier(text)) return Credential(*native);
  if (auto caching_sha2 = ParseCachingSha2Verifier(text))
    return Credential(std::move(*caching_sha2));
  if (const auto ed25519 = ParseEd25519PublicKey(text)) return Credential(*ed25519);
  return std::nullopt;
}

bool Credential::SameAs(const Credential& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kPlaintext:
      return ConstantTimeEqual(plaintext()->bytes(), other.plaintext()->bytes());
    case Kind::kNativeVerifier:
      return *native() == *other.native();
    case Kind::kCachingSha2Verifier:
      return *caching_sha2() == *other.caching_sha2();
    case Kind::kEd25519Key:
      return *ed25519() == *other.ed25519();
  }
  return false;
}

bool Credential::Check(std::string_view password) const {
  switch (kind()) {
    case Kind::kPlaintext:
      return ConstantTimeEqual(AsBytes(password), plaintext()->bytes());
    case Kind::kNativeVerifier:
      return ConstantTimeEqual(MakeNativeVerifier(password).double_sha1, native()->double_sha1);
    case Kind::kCachingSha2Verifier:
      return CheckCachingSha2Verifier(password, *caching_sha2());
    case Kind::kEd25519Key:
      return ConstantTimeEqual(MakeEd25519PublicKey(password).bytes, ed25519()->bytes);
  }
  return false;
}

std::optional<Sha1Digest> LoginSecret::native_stage1() const {
  switch (kind_) {
    case Kind::kNone:
      return std::nullopt;
    case Kind::kPlaintext:
      return Sha1({bytes_.bytes()});
    case Kind::kNativeStage1: {
      Sha1Digest stage1;
      std::copy_n(bytes_.bytes().begin(), stage1.size(), stage1.begin());
      return stage1;
    }
  }
  return std::nullopt;
}

}  // namespace bulkhead::auth
