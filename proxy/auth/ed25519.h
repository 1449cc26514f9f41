// client_ed25519 of MariaDB: public keys, signatures, verification. Pure; any thread. Each call
// takes one to three tenths of a millisecond.
//
// It is Ed25519 (RFC 8032) but for the secret: where the RFC hashes a 32-byte seed with SHA-512,
// MariaDB hashes the password, of any length. A signature is therefore checked by libcrypto;
// libcrypto has no call that signs with an already expanded key, so the two multiplications of the
// base point that signing needs are done here, in constant time (edwards25519.h). The server stores
// the public key as 43 characters of base 64 without the padding. Source: plugin/auth_ed25519
// (server_ed25519.c, ref10/sign.c, ref10/keypair.c) of MariaDB.
#ifndef BULKHEAD_PROXY_AUTH_ED25519_H_
#define BULKHEAD_PROXY_AUTH_ED25519_H_

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/auth/digest.h"

namespace bulkhead::auth {

inline constexpr size_t kEd25519SignatureSize = 64;
using Ed25519Signature = std::array<uint8_t, kEd25519SignatureSize>;

struct Ed25519PublicKey {
  std::array<uint8_t, 32> bytes{};

  friend bool operator==(const Ed25519PublicKey&, const Ed25519PublicKey&) = default;
};

[[nodiscard]] Ed25519PublicKey MakeEd25519PublicKey(std::string_view password);

// 43 characters of base 64, or 44 with the padding. nullopt for anything else.
[[nodiscard]] std::optional<Ed25519PublicKey> ParseEd25519PublicKey(std::string_view text);
[[nodiscard]] std::string FormatEd25519PublicKey(const Ed25519PublicKey& key);

// What a client answers to the server's nonce.
[[nodiscard]] Ed25519Signature SignEd25519(std::string_view password, Bytes message);

// False also for a signature of the wrong length and a key that is no point of the curve.
[[nodiscard]] bool VerifyEd25519(Bytes signature, Bytes message, const Ed25519PublicKey& key);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_ED25519_H_
