// SHA-1, SHA-256 and SHA-512 over a list of parts. Pure; any thread.
//
// The digests of these algorithms can't fail on memory input: an error of libcrypto here is a
// broken build and aborts.
#ifndef BULKHEAD_PROXY_AUTH_DIGEST_H_
#define BULKHEAD_PROXY_AUTH_DIGEST_H_

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace bulkhead::auth {

using Bytes = std::span<const uint8_t>;

inline constexpr size_t kSha1Size = 20;
inline constexpr size_t kSha256Size = 32;
inline constexpr size_t kSha512Size = 64;
using Sha1Digest = std::array<uint8_t, kSha1Size>;
using Sha256Digest = std::array<uint8_t, kSha256Size>;
using Sha512Digest = std::array<uint8_t, kSha512Size>;

[[nodiscard]] inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

[[nodiscard]] Sha1Digest Sha1(std::initializer_list<Bytes> parts);
[[nodiscard]] Sha256Digest Sha256(std::initializer_list<Bytes> parts);
[[nodiscard]] Sha512Digest Sha512(std::initializer_list<Bytes> parts);

// One context used over and over, for the thousands of digests of SHA-crypt.
class Sha256Hasher {
 public:
  Sha256Hasher();
  Sha256Hasher(const Sha256Hasher&) = delete;
  Sha256Hasher& operator=(const Sha256Hasher&) = delete;
  ~Sha256Hasher();

  void Start();
  void Add(Bytes part);
  void Finish(Sha256Digest& out);

 private:
  EVP_MD_CTX* context_;
};

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_DIGEST_H_
