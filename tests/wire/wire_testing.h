// Helpers of the wire tests: bytes from hexadecimal text, and a message cut at every byte.
#ifndef BULKHEAD_TESTS_WIRE_WIRE_TESTING_H_
#define BULKHEAD_TESTS_WIRE_WIRE_TESTING_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/decode_error.h"

namespace bulkhead::wire {

// White space between the digits is left out.
inline ByteBuffer Hex(std::string_view text) {
  ByteBuffer out;
  int high = -1;
  for (const char c : text) {
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      digit = c - 'a' + 10;
    } else {
      EXPECT_TRUE(c == ' ' || c == '\n') << "not hexadecimal: " << c;
      continue;
    }
    if (high < 0) {
      high = digit;
    } else {
      out.push_back(static_cast<uint8_t>(high << 4 | digit));
      high = -1;
    }
  }
  EXPECT_EQ(high, -1) << "half a byte";
  return out;
}

inline std::string ToHex(std::span<const uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

// The payload of a packet of one frame, as it was captured with its header.
inline ByteBuffer PayloadOf(std::string_view hex_with_header) {
  ByteBuffer frame = Hex(hex_with_header);
  frame.erase(frame.begin(), frame.begin() + 4);
  return frame;
}

// What `encode(ByteWriter*)` writes.
template <typename Encode>
ByteBuffer Encoded(Encode&& encode) {
  ByteBuffer out;
  ByteWriter writer(&out);
  encode(&writer);
  return out;
}

// Decodes every proper prefix of `payload`, each in memory of exactly its size, so that a read past
// its end is found by AddressSanitizer. None may decode but those of the sizes given.
template <typename Decode>
void ExpectCutsRefused(std::span<const uint8_t> payload, Decode&& decode,
                       std::initializer_list<size_t> allowed = {}) {
  const std::set<size_t> good(allowed);
  for (size_t size = 0; size < payload.size(); ++size) {
    const std::unique_ptr<uint8_t[]> memory(new uint8_t[size]);
    if (size != 0) std::memcpy(memory.get(), payload.data(), size);
    const DecodeError error = decode(std::span<const uint8_t>(memory.get(), size));
    if (good.contains(size)) {
      EXPECT_EQ(error, DecodeError::kNone) << "cut at byte " << size;
    } else {
      EXPECT_NE(error, DecodeError::kNone) << "cut at byte " << size;
    }
  }
}

// gtest prints the name.
inline void PrintTo(DecodeError error, std::ostream* os) { *os << DecodeErrorName(error); }

}  // namespace bulkhead::wire

#endif  // BULKHEAD_TESTS_WIRE_WIRE_TESTING_H_
