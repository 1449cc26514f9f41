// The verifier that caching_sha2_password stores. Pure; any thread. Computing or checking one takes
// milliseconds: not on an event loop.
//
//   "$A$" RRR "$" salt(20 bytes) digest(43 characters)   SHA-256 crypt
//   "$B$" RRR "$" salt(20 bytes) digest(88 characters)   PBKDF2-HMAC-SHA512 in base 64; MySQL 9
//
// RRR: thousands of rounds, three hexadecimal digits (005 = 5,000; 00A = 10,000 is MySQL
// 9.7's default). Sources: sql/auth/sha2_password.cc and mysys/crypt_genhash_impl.cc of MySQL 8.0
// and 9.x.
#ifndef BULKHEAD_PROXY_AUTH_CACHING_SHA2_VERIFIER_H_
#define BULKHEAD_PROXY_AUTH_CACHING_SHA2_VERIFIER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace bulkhead::auth {

inline constexpr size_t kCachingSha2SaltSize = 20;
inline constexpr uint32_t kCachingSha2DefaultRounds = 5'000;
inline constexpr uint32_t kCachingSha2MaxRounds = 4'095'000;

// Longer passwords are refused unseen, as the server does: SHA-crypt's cost grows with the square
// of the length.
inline constexpr size_t kCachingSha2MaxPassword = 256;

struct CachingSha2Verifier {
  enum class Scheme : uint8_t { kShaCrypt, kPbkdf2Sha512 };

  Scheme scheme = Scheme::kShaCrypt;
  uint32_t rounds = kCachingSha2DefaultRounds;
  std::array<uint8_t, kCachingSha2SaltSize> salt{};
  std::string digest;  // as stored: 43 or 88 characters

  friend bool operator==(const CachingSha2Verifier&, const CachingSha2Verifier&) = default;
};

// nullopt for anything but the exact format, also for 0 rounds. Either case of hexadecimal digits.
[[nodiscard]] std::optional<CachingSha2Verifier> ParseCachingSha2Verifier(std::string_view text);
[[nodiscard]] std::string FormatCachingSha2Verifier(const CachingSha2Verifier& verifier);

// `salt`: bytes 1 to 127 but '$' (see MakeNonce). `rounds` is clamped to 1,000 ..
// kCachingSha2MaxRounds and cut to thousands.
[[nodiscard]] CachingSha2Verifier MakeCachingSha2Verifier(
    std::string_view password, std::span<const uint8_t, kCachingSha2SaltSize> salt,
    CachingSha2Verifier::Scheme scheme = CachingSha2Verifier::Scheme::kShaCrypt,
    uint32_t rounds = kCachingSha2DefaultRounds);

// Recomputes and compares in constant time. False for a password above kCachingSha2MaxPassword.
[[nodiscard]] bool CheckCachingSha2Verifier(std::string_view password,
                                            const CachingSha2Verifier& verifier);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_CACHING_SHA2_VERIFIER_H_
