#include "proxy/auth/caching_sha2.h"

#include "proxy/auth/secret.h"

namespace bulkhead::auth {

Sha256Digest CachingSha2Scramble(std::string_view password, const Nonce& nonce) {
  Sha256Digest once = Sha256({AsBytes(password)});
  const Sha256Digest twice = Sha256({once});
  Sha256Digest scramble = Sha256({twice, nonce});
  for (size_t i = 0; i < scramble.size(); ++i) scramble[i] ^= once[i];
  Wipe(once.data(), once.size());
  return scramble;
}

bool CheckCachingSha2Scramble(Bytes scramble, const Nonce& nonce, std::string_view password) {
  return ConstantTimeEqual(scramble, CachingSha2Scramble(password, nonce));
}

}  // namespace bulkhead::auth
