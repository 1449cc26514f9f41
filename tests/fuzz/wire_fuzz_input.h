// What the wire fuzzers share: a failed expectation ends the program; the input's first two bytes
// choose the message and the capabilities, the rest is the payload.
#ifndef BULKHEAD_TESTS_FUZZ_WIRE_FUZZ_INPUT_H_
#define BULKHEAD_TESTS_FUZZ_WIRE_FUZZ_INPUT_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"

#define FUZZ_EXPECT(condition)                                                      \
  do {                                                                              \
    if (!(condition)) {                                                             \
      std::fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                 \
    }                                                                               \
  } while (false)

namespace bulkhead::wire {

struct FuzzInput {
  uint8_t message = 0;
  Capabilities capabilities = 0;
  std::span<const uint8_t> payload;
};

// False: too short to hold anything.
inline bool ReadFuzzInput(const uint8_t* data, size_t size, FuzzInput* out) {
  if (size < 2) return false;
  static constexpr Capabilities kBits[] = {
      kClientSessionTrack,         kClientDeprecateEof,
      kClientQueryAttributes,      kClientOptionalResultsetMetadata,
      kMariadbClientCacheMetadata, kMariadbClientExtendedMetadata,
      kClientPluginAuth,           kClientConnectAttrs,
  };
  out->message = data[0];
  out->capabilities = kClientProtocol41 | kClientSecureConnection;
  for (int i = 0; i < 8; ++i) {
    if ((data[1] >> i & 1) != 0) out->capabilities |= kBits[i];
  }
  out->payload = {data + 2, size - 2};
  return true;
}

template <typename Encode>
ByteBuffer FuzzEncode(Encode&& encode) {
  ByteBuffer out;
  ByteWriter writer(&out);
  encode(&writer);
  return out;
}

}  // namespace bulkhead::wire

#endif  // BULKHEAD_TESTS_FUZZ_WIRE_FUZZ_INPUT_H_
