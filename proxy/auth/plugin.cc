#include "proxy/auth/plugin.h"

namespace bulkhead::auth {

std::string_view PluginName(Plugin plugin) {
  switch (plugin) {
    case Plugin::kNativePassword:
      return "mysql_native_password";
    case Plugin::kCachingSha2:
      return "caching_sha2_password";
    case Plugin::kEd25519:
      return "client_ed25519";
    case Plugin::kClearPassword:
      return "mysql_clear_password";
    case Plugin::kUnknown:
      return "";
  }
  return "";
}

Plugin PluginByName(std::string_view name) {
  for (Plugin plugin :
       {Plugin::kNativePassword, Plugin::kCachingSha2, Plugin::kEd25519, Plugin::kClearPassword}) {
    if (name == PluginName(plugin)) return plugin;
  }
  return Plugin::kUnknown;
}

Nonce MakeNonce(std::span<const uint8_t, kNonceSize> random) {
  Nonce nonce;
  for (size_t i = 0; i < kNonceSize; ++i) {
    uint8_t byte = random[i] & 0x7F;
    if (byte == 0 || byte == '$') ++byte;
    nonce[i] = byte;
  }
  return nonce;
}

}  // namespace bulkhead::auth
