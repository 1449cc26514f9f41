// The authentication plugins by name, and the nonces they sign. Pure; any thread.
//
// Names are those of the client side, as they stand in the greeting and in an auth switch request.
// Sources: MySQL internals manual "Authentication Methods"; MariaDB knowledge base "Authentication
// plugin - ed25519".
#ifndef BULKHEAD_PROXY_AUTH_PLUGIN_H_
#define BULKHEAD_PROXY_AUTH_PLUGIN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace bulkhead::auth {

enum class Plugin : uint8_t { kNativePassword, kCachingSha2, kEd25519, kClearPassword, kUnknown };

[[nodiscard]] std::string_view PluginName(Plugin plugin);
// kUnknown for any other name; an empty name is no plugin's.
[[nodiscard]] Plugin PluginByName(std::string_view name);

// The nonce of mysql_native_password and caching_sha2_password.
inline constexpr size_t kNonceSize = 20;
using Nonce = std::array<uint8_t, kNonceSize>;

// The nonce of client_ed25519: 32 bytes of any value, sent without a trailing zero.
inline constexpr size_t kEd25519NonceSize = 32;
using Ed25519Nonce = std::array<uint8_t, kEd25519NonceSize>;

// Maps random bytes to a nonce that every client takes: 7 bits, no zero byte (clients read it as a
// string) and no '$' (servers keep it out too). Source: generate_user_salt() in
// mysys/crypt_genhash_impl.cc of MySQL.
[[nodiscard]] Nonce MakeNonce(std::span<const uint8_t, kNonceSize> random);

}  // namespace bulkhead::auth

#endif  // BULKHEAD_PROXY_AUTH_PLUGIN_H_
