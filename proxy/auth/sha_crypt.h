// SHA-256 crypt, the many-rounds digest behind caching_sha2_password's "$A$" verifiers. Pure; any
// thread. It takes milliseconds: not on an event loop.
//
// Source: Ulrich Drepper, "Unix crypt using SHA-256 and SHA-512" (SHA-crypt.txt), with its test
// vectors. Here the salt may be of any length (MySQL uses 20 bytes where crypt(3) stops at 16).
#ifndef BULKHEAD_PROXY_AUTH_SHA_CRYPT_H_
#define BULKHEAD_PROXY_AUTH_SHA_CRYPT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace bulkhead::auth {

inline constexpr size_t kShaCryptDigestSize = 43;
using ShaCryptDigest = std::array<char, kShaCryptDigestSize>;

// The digest in crypt's own base 64, without prefix and salt. The cost grows with rounds and with
// the square of the password's length: the caller bounds both.
[[nodiscard]] ShaCryptDigest ShaCrypt(std::string_view password, std::string_view salt,
                                      uint32_t rounds);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_SHA_CRYPT_H_
