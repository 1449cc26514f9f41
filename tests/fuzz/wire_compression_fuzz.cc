// Compression: any bytes are decompressed within bounds and alike however they are cut; what is
// compressed comes back.
#include <cstring>

#include "proxy/wire/compression.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

constexpr size_t kMaxOutput = 4 << 20;

struct Outcome {
  CompressionStatus status = CompressionStatus::kOk;
  ByteBuffer plain;
};

Outcome DecompressAll(CompressionAlgorithm algorithm, std::span<const uint8_t> bytes, size_t step,
                      size_t limit) {
  Decompressor decompressor(algorithm);
  Outcome out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    auto input = bytes.subspan(at, std::min(step, bytes.size() - at));
    do {
      const size_t before = out.plain.size();
      out.status = decompressor.Decompress(&input, limit, &out.plain);
      FUZZ_EXPECT(out.plain.size() - before <= limit);
      if (out.plain.size() > kMaxOutput) return out;
    } while (out.status == CompressionStatus::kOutputLimit);
    if (out.status != CompressionStatus::kOk) return out;
    FUZZ_EXPECT(input.empty());
  }
  return out;
}

void AnyBytes(CompressionAlgorithm algorithm, std::span<const uint8_t> bytes, uint8_t choice) {
  const Outcome whole = DecompressAll(algorithm, bytes, bytes.size() + 1, kMaxOutput);
  const Outcome parts = DecompressAll(algorithm, bytes, 1 + choice % 32, 1 + choice * 64u);
  if (whole.plain.size() > kMaxOutput || parts.plain.size() > kMaxOutput) return;
  // Where in a broken packet an error is seen may depend on how it is cut.
  if (whole.status == CompressionStatus::kOk && parts.status == CompressionStatus::kOk) {
    FUZZ_EXPECT(whole.plain == parts.plain);
  }
  FUZZ_EXPECT((whole.status == CompressionStatus::kOk) == (parts.status == CompressionStatus::kOk));
}

void RoundTrip(CompressionAlgorithm algorithm, std::span<const uint8_t> plain, uint8_t choice) {
  Compressor compressor(algorithm, choice % 10);
  ByteBuffer packets;
  uint8_t sequence = choice;
  FUZZ_EXPECT(compressor.Compress(plain, &sequence, &packets) == CompressionStatus::kOk);
  const Outcome out = DecompressAll(algorithm, packets, 1 + choice % 64, 1 + choice * 16u);
  FUZZ_EXPECT(out.status == CompressionStatus::kOk);
  FUZZ_EXPECT(out.plain.size() == plain.size());
  FUZZ_EXPECT(plain.empty() || std::memcmp(out.plain.data(), plain.data(), plain.size()) == 0);
}

// Frames through both codecs, in pieces: payloads come through whole.
void Codecs(CompressionAlgorithm algorithm, std::span<const uint8_t> stream, uint8_t choice) {
  CompressionCodec client(algorithm, 3, CompressionCodec::Role::kClient);
  CompressionCodec server(algorithm, 3, CompressionCodec::Role::kServer);
  const size_t step = 1 + choice % 128;
  bool forth = true;
  for (size_t at = 0; at < stream.size(); at += step, forth = !forth) {
    const auto part = stream.subspan(at, std::min(step, stream.size() - at));
    ByteBuffer packets;
    ByteBuffer plain;
    FUZZ_EXPECT((forth ? client : server).Encode(part, &packets) == CompressionStatus::kOk);
    std::span<const uint8_t> input = packets;
    FUZZ_EXPECT((forth ? server : client).Decode(&input, kMaxOutput, &plain) ==
                CompressionStatus::kOk);
    FUZZ_EXPECT(plain.size() == part.size());
  }
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  if (size < 2) return 0;
  const auto algorithm =
      (data[0] & 1) != 0 ? CompressionAlgorithm::kZstd : CompressionAlgorithm::kZlib;
  const std::span<const uint8_t> rest(data + 2, size - 2);
  switch (data[0] >> 1 & 3) {
    case 0:
    case 1:
      AnyBytes(algorithm, rest, data[1]);
      break;
    case 2:
      RoundTrip(algorithm, rest, data[1]);
      break;
    case 3:
      Codecs(algorithm, rest, data[1]);
      break;
  }
  return 0;
}
