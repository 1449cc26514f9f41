#include "proxy/wire/capabilities.h"

#include <array>
#include <cstddef>
#include <span>

namespace bulkhead::wire {
namespace {

constexpr std::array<std::string_view, 64> kCapabilityNames = {
    "LONG_PASSWORD",
    "FOUND_ROWS",
    "LONG_FLAG",
    "CONNECT_WITH_DB",
    "NO_SCHEMA",
    "COMPRESS",
    "ODBC",
    "LOCAL_FILES",
    "IGNORE_SPACE",
    "PROTOCOL_41",
    "INTERACTIVE",
    "SSL",
    "IGNORE_SIGPIPE",
    "TRANSACTIONS",
    "RESERVED",
    "SECURE_CONNECTION",
    "MULTI_STATEMENTS",
    "MULTI_RESULTS",
    "PS_MULTI_RESULTS",
    "PLUGIN_AUTH",
    "CONNECT_ATTRS",
    "PLUGIN_AUTH_LENENC_CLIENT_DATA",
    "CAN_HANDLE_EXPIRED_PASSWORDS",
    "SESSION_TRACK",
    "DEPRECATE_EOF",
    "OPTIONAL_RESULTSET_METADATA",
    "ZSTD_COMPRESSION_ALGORITHM",
    "QUERY_ATTRIBUTES",
    "MULTI_FACTOR_AUTHENTICATION",
    "CAPABILITY_EXTENSION",
    "SSL_VERIFY_SERVER_CERT",
    "REMEMBER_OPTIONS",
    "MARIADB_PROGRESS",
    "MARIADB_COM_MULTI",
    "MARIADB_STMT_BULK_OPERATIONS",
    "MARIADB_EXTENDED_METADATA",
    "MARIADB_CACHE_METADATA",
    "MARIADB_BULK_UNIT_RESULTS",
};

constexpr std::array<std::string_view, 16> kStatusNames = {
    "IN_TRANS",
    "AUTOCOMMIT",
    "",
    "MORE_RESULTS_EXISTS",
    "NO_GOOD_INDEX_USED",
    "NO_INDEX_USED",
    "CURSOR_EXISTS",
    "LAST_ROW_SENT",
    "DB_DROPPED",
    "NO_BACKSLASH_ESCAPES",
    "METADATA_CHANGED",
    "QUERY_WAS_SLOW",
    "PS_OUT_PARAMS",
    "IN_TRANS_READONLY",
    "SESSION_STATE_CHANGED",
    "ANSI_QUOTES",
};

std::string JoinBits(uint64_t bits, std::span<const std::string_view> names) {
  std::string out;
  for (size_t bit = 0; bit < names.size(); ++bit) {
    if ((bits >> bit & 1) == 0) continue;
    if (!out.empty()) out += '|';
    if (names[bit].empty()) {
      out += "bit" + std::to_string(bit);
    } else {
      out += names[bit];
    }
  }
  return out;
}

}  // namespace

std::string_view CapabilityName(int bit) {
  if (bit < 0 || bit >= static_cast<int>(kCapabilityNames.size())) return {};
  return kCapabilityNames[static_cast<size_t>(bit)];
}

std::string CapabilitiesToString(Capabilities capabilities) {
  return JoinBits(capabilities, kCapabilityNames);
}

std::string ServerStatusToString(ServerStatus status) { return JoinBits(status, kStatusNames); }

}  // namespace bulkhead::wire
