// Small helpers of the authentication tests.
#ifndef BULKHEAD_TESTS_AUTH_TEST_BYTES_H_
#define BULKHEAD_TESTS_AUTH_TEST_BYTES_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/auth/plugin.h"

namespace bulkhead::auth {

inline std::string ToHex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

inline std::vector<uint8_t> FromHex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; };
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(digit(text[i]) << 4 | digit(text[i + 1])));
  }
  return bytes;
}

// 01 02 ... 14.
inline Nonce CountingNonce(uint8_t first = 1) {
  Nonce nonce;
  for (uint8_t& byte : nonce) byte = first++;
  return nonce;
}

}  // namespace bulkhead::auth

#endif  // BULKHEAD_TESTS_AUTH_TEST_BYTES_H_
