#include "proxy/config/values.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace bulkhead::config {
namespace {

// Splits "10s" into 10 and "s".
std::optional<std::pair<uint64_t, std::string_view>> NumberAndUnit(std::string_view text) {
  uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  return std::pair(number, std::string_view(rest, static_cast<size_t>(end - rest)));
}

bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool AllHex(std::string_view text) { return std::all_of(text.begin(), text.end(), IsHex); }

int HexValue(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

// mysql.user.authentication_string of caching_sha2_password: "$A$", thousands of rounds as three
// hex digits, "$", 20 bytes of salt, 43 characters of digest (MySQL 8.4 source documentation,
// sha2_password).
bool IsSha2(std::string_view text) {
  constexpr size_t kHead = 7;
  return text.size() == kHead + 20 + 43 && text.starts_with("$A$") && AllHex(text.substr(3, 3)) &&
         text.substr(3, 3) != "000" && text[6] == '$' && text.find('\0') == std::string_view::npos;
}

}  // namespace

std::optional<Duration> ParseDuration(std::string_view text) {
  constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"ns", 1},
      {"us", 1'000},
      {"ms", 1'000'000},
      {"s", 1'000'000'000},
      {"m", 60'000'000'000},
      {"h", 3'600'000'000'000},
      {"d", 86'400'000'000'000},
  };
  constexpr int64_t kMost = 3650 * 86'400'000'000'000;
  const auto parts = NumberAndUnit(text);
  if (!parts) return std::nullopt;
  if (parts->second.empty() && parts->first == 0) return Duration(0);
  for (const auto& [unit, nanos] : kUnits) {
    if (parts->second != unit) continue;
    if (parts->first > static_cast<uint64_t>(kMost / nanos)) return std::nullopt;
    return Duration(static_cast<int64_t>(parts->first) * nanos);
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  constexpr std::pair<std::string_view, int> kUnits[] = {
      {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  const auto parts = NumberAndUnit(text);
  if (!parts) return std::nullopt;
  if (parts->second.empty() && parts->first == 0) return 0;
  for (const auto& [unit, shift] : kUnits) {
    if (parts->second != unit) continue;
    if (parts->first > (uint64_t{1} << 62) >> shift) return std::nullopt;
    return parts->first << shift;
  }
  return std::nullopt;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  const auto parts = NumberAndUnit(text);
  if (!parts || !parts->second.empty()) return std::nullopt;
  return parts->first;
}

std::optional<bool> ParseBool(std::string_view text) {
  if (text == "true" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "no" || text == "off") return false;
  return std::nullopt;
}

bool IsNetwork(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  if (address.find('\0') != std::string::npos) return false;
  unsigned char bytes[16];
  const bool v4 = inet_pton(AF_INET, address.c_str(), bytes) == 1;
  const bool v6 = !v4 && inet_pton(AF_INET6, address.c_str(), bytes) == 1;
  if (!v4 && !v6) return false;
  if (slash == std::string_view::npos) return true;
  const auto bits = ParseNumber(text.substr(slash + 1));
  return bits && *bits <= (v4 ? 32u : 128u);
}

std::optional<Verifier> ParseVerifier(std::string_view text) {
  if (text.size() == 41 && text.front() == '*' && AllHex(text.substr(1))) {
    return Verifier{VerifierKind::kNative, std::string(text)};
  }
  if (text.starts_with("0x") && AllHex(text.substr(2))) {
    if (text.size() % 2 != 0) return std::nullopt;
    std::string bytes;
    for (size_t i = 2; i < text.size(); i += 2) {
      bytes += static_cast<char>(HexValue(text[i]) << 4 | HexValue(text[i + 1]));
    }
    if (IsSha2(bytes)) return Verifier{VerifierKind::kSha2, bytes};
    return std::nullopt;
  }
  if (IsSha2(text)) return Verifier{VerifierKind::kSha2, std::string(text)};
  const bool base64 = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' ||
           c == '/';
  });
  if (text.size() == 43 && base64) return Verifier{VerifierKind::kEd25519, std::string(text)};
  return std::nullopt;
}

std::string DurationText(Duration duration) {
  const int64_t ns = duration.count();
  if (ns == 0) return "0s";
  for (const auto& [unit_ns, unit] : {std::pair<int64_t, const char*>{3'600'000'000'000, "h"},
                                      {60'000'000'000, "m"},
                                      {1'000'000'000, "s"},
                                      {1'000'000, "ms"},
                                      {1'000, "us"}}) {
    if (ns % unit_ns == 0) return std::to_string(ns / unit_ns) + unit;
  }
  return std::to_string(ns) + "ns";
}

std::string SizeText(uint64_t bytes) {
  for (const auto& [shift, unit] : {std::pair{30, "GiB"}, {20, "MiB"}, {10, "KiB"}}) {
    if (bytes != 0 && bytes % (uint64_t{1} << shift) == 0)
      return std::to_string(bytes >> shift) + unit;
  }
  return std::to_string(bytes) + "B";
}

}  // namespace bulkhead::config
