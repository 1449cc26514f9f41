#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/topology.h"

namespace bulkhead::routing {
namespace {

constexpr size_t kMaxSocketPath = 107;  // sun_path has 108 bytes with its NUL, unix(7)
constexpr size_t kMaxHost = 253;        // RFC 1035 as text

// The four numbers of a dotted IPv4 address.
bool ParseIpv4(std::string_view text, int* first) {
  for (int part = 0; part < 4; ++part) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || value > 255 || end - text.data() > 3) return false;
    if (part == 0) *first = static_cast<int>(value);
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    if (part == 3) return text.empty();
    if (text.empty() || text.front() != '.') return false;
    text.remove_prefix(1);
  }
  return false;
}

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHost &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}

// Characters only; connecting or binding finds out the rest.
bool IsIpv6(std::string_view host) {
  return host.find(':') != std::string_view::npos && host.size() <= 64 &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == ':' || c == '.' || c == '%';
         });
}

absl::Status Invalid(std::string_view text, std::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("'", Abs(text), "' ", Abs(why)));
}

}  // namespace

std::string Address::ToString() const {
  if (is_unix()) return absl::StrCat("unix:", socket_path);
  if (host.find(':') != std::string::npos) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

bool Address::is_local() const {
  int first = 0;
  return is_unix() || host == "localhost" || host == "::1" ||
         (ParseIpv4(host, &first) && first == 127);
}

absl::StatusOr<Address> ParseAddress(std::string_view text, uint16_t default_port) {
  constexpr std::string_view kUnix = "unix:";
  if (text.starts_with(kUnix)) {
    const std::string_view path = text.substr(kUnix.size());
    if (path.empty() || path.front() != '/') {
      return Invalid(text,
                     "needs an absolute path after unix:, for example unix:/run/bulkhead.sock");
    }
    if (path.size() > kMaxSocketPath) return Invalid(text, "has a path longer than 107 bytes");
    if (path.find('\0') != std::string_view::npos) return Invalid(text, "holds a NUL byte");
    return Address{.socket_path = std::string(path)};
  }
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return Invalid(text, "has a [ without its ]");
    host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return Invalid(text, "has more than :PORT after ]");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
    if (!IsIpv6(host)) return Invalid(text, "has no IPv6 address between [ and ]");
  } else {
    const size_t colon = text.find(':');
    if (colon != text.rfind(':')) {
      return Invalid(text, "is ambiguous: write an IPv6 address as [ADDRESS]:PORT");
    }
    has_port = colon != std::string_view::npos;
    host = text.substr(0, colon);
    if (has_port) port = text.substr(colon + 1);
    if (!IsHostName(host)) {
      return Invalid(text, "has no valid host name: write HOST:PORT, [IPV6]:PORT or unix:/PATH");
    }
  }
  if (!has_port) {
    if (default_port == 0) return Invalid(text, "has no port: write HOST:PORT");
    return Address{.host = std::string(host), .port = default_port};
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number == 0 || number > 65535) {
    return Invalid(text, "has no valid port: 1 to 65535");
  }
  return Address{.host = std::string(host), .port = static_cast<uint16_t>(number)};
}

}  // namespace bulkhead::routing
