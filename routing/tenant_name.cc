#include <cstdint>
#include <string_view>

#include "routing/tenant_directory.h"

namespace bulkhead::routing {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `s` (RFC 3629), 0 if there is none.
size_t Utf8Length(std::string_view s) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
  const auto trail = [&](size_t i, uint8_t low = 0x80, uint8_t high = 0xBF) {
    return i < s.size() && byte(i) >= low && byte(i) <= high;
  };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return trail(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const uint8_t high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return trail(1, low, high) && trail(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    return trail(1, low, high) && trail(2) && trail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

uint64_t StableTenantHash(std::string_view name) {
  uint64_t x = 14695981039346656037ull;
  for (const char c : name) {
    x ^= static_cast<uint8_t>(c);
    x *= 1099511628211ull;
  }
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  x ^= x >> 33;
  return x;
}

std::string_view TenantNameProblem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxTenantName) return "is longer than 128 bytes";
  // What would end a comment hint, a literal or a list, or garble a log line.
  constexpr std::string_view kForbidden = "'\"`\\/*;,";
  for (size_t i = 0; i < name.size();) {
    const auto c = static_cast<uint8_t>(name[i]);
    if (c <= 0x20 || c == 0x7F) return "holds white space or a control character";
    if (kForbidden.find(name[i]) != std::string_view::npos) {
      return "holds one of ' \" ` \\ / * ; ,";
    }
    const size_t length = Utf8Length(name.substr(i));
    if (length == 0) return "is not valid UTF-8";
    i += length;
  }
  return {};
}

}  // namespace bulkhead::routing
