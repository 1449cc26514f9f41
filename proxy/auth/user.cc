#include "proxy/auth/user.h"

#include <algorithm>
#include <cstring>

#include "proxy/auth/sha_crypt.h"

namespace bulkhead::auth {
namespace {

// Any fixed text of the right form: without knowing a password for it none fits.
CachingSha2Verifier DecoyCachingSha2(CachingSha2Verifier::Scheme scheme, uint32_t rounds,
                                     const Sha512Digest& seed) {
  static constexpr std::string_view kAlphabet =
      "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  CachingSha2Verifier verifier;
  verifier.scheme = scheme;
  verifier.rounds = rounds;
  verifier.salt = MakeNonce(std::span(seed).subspan<1, kNonceSize>());
  const size_t size = scheme == CachingSha2Verifier::Scheme::kShaCrypt ? kShaCryptDigestSize : 88;
  for (size_t i = 0; i < size; ++i) verifier.digest += kAlphabet[seed[i % seed.size()] & 63];
  return verifier;
}

}  // namespace

UserTable::UserTable(std::vector<UserRecord> users) : users_(std::move(users)) {
  std::stable_sort(users_.begin(), users_.end(),
                   [](const UserRecord& a, const UserRecord& b) { return a.name < b.name; });
}

const UserRecord* UserTable::Find(std::string_view login_name) const {
  const auto at = std::lower_bound(
      users_.begin(), users_.end(), login_name,
      [](const UserRecord& user, std::string_view name) { return user.name < name; });
  return at != users_.end() && at->name == login_name ? &*at : nullptr;
}

DecoyCredentials::DecoyCredentials(const UserTable& users, Secret key)
    : ed25519_(MakeEd25519PublicKey(key.view())), key_(std::move(key)) {
  for (const UserRecord& user : users.users()) {
    kinds_.push_back(user.credential.kind());
    if (const CachingSha2Verifier* verifier = user.credential.caching_sha2()) {
      scheme_ = verifier->scheme;
      rounds_ = verifier->rounds;
    }
  }
  if (kinds_.empty()) kinds_.push_back(Credential::Kind::kPlaintext);
}

Credential DecoyCredentials::For(std::string_view login_name) const {
  const Sha512Digest seed = Sha512({key_.bytes(), AsBytes(login_name)});
  uint64_t number;
  std::memcpy(&number, seed.data() + 48, sizeof(number));
  switch (kinds_[number % kinds_.size()]) {
    case Credential::Kind::kPlaintext:
      return Credential(Secret(Bytes(seed).first(32)));
    case Credential::Kind::kNativeVerifier: {
      NativeVerifier verifier;
      std::copy_n(seed.begin(), verifier.double_sha1.size(), verifier.double_sha1.begin());
      return Credential(verifier);
    }
    case Credential::Kind::kCachingSha2Verifier:
      return Credential(DecoyCachingSha2(scheme_, rounds_, seed));
    case Credential::Kind::kEd25519Key:
      return Credential(ed25519_);
  }
  return Credential(Secret(Bytes(seed).first(32)));
}

}  // namespace bulkhead::auth
