// caching_sha2_password's fast exchange: scrambles. Pure; any thread.
//
//   verifier = SHA256(SHA256(password))
//   scramble = SHA256(password) XOR SHA256(verifier + nonce)
//
// and the bytes of its slow exchange (the password itself over TLS or a Unix socket, RSA otherwise:
// rsa_key.h). Source: MySQL source documentation, "Caching_sha2_password Message exchanges".
#ifndef BULKHEAD_PROXY_AUTH_CACHING_SHA2_H_
#define BULKHEAD_PROXY_AUTH_CACHING_SHA2_H_

#include <string_view>

#include "proxy/auth/digest.h"
#include "proxy/auth/plugin.h"

namespace bulkhead::auth {

inline constexpr size_t kCachingSha2ScrambleSize = kSha256Size;

// Client: "send me your public key". Server: "the scramble is right, an OK follows" and "I need the
// password itself".
inline constexpr uint8_t kRequestPublicKey = 0x02;
inline constexpr uint8_t kFastAuthSuccess = 0x03;
inline constexpr uint8_t kPerformFullAuth = 0x04;

// What a client sends. An empty password is sent as an empty response instead: the caller's to
// decide.
[[nodiscard]] Sha256Digest CachingSha2Scramble(std::string_view password, const Nonce& nonce);

// Compares in constant time; false for a scramble of the wrong length.
[[nodiscard]] bool CheckCachingSha2Scramble(Bytes scramble, const Nonce& nonce,
                                            std::string_view password);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_CACHING_SHA2_H_
