// Frames: a stream walked in pieces gives what it gives in one, and what FindPacket finds is what
// was written.
#include <cstring>

#include "proxy/wire/frame.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

struct Walked {
  ByteBuffer payload;
  ByteBuffer sequences;
  size_t packets = 0;
  bool at_packet_start = false;
};

Walked Walk(std::span<const uint8_t> stream, size_t step) {
  Walked out;
  FrameWalker walker;
  FrameWalker::Piece piece;
  uint32_t in_frame = 0;
  for (size_t at = 0; at < stream.size(); at += step) {
    auto input = stream.subspan(at, std::min(step, stream.size() - at));
    while (walker.Next(&input, &piece)) {
      if (piece.starts_frame) {
        in_frame = 0;
        out.sequences.push_back(piece.header.sequence);
      }
      FUZZ_EXPECT(piece.offset == in_frame);
      in_frame += static_cast<uint32_t>(piece.bytes.size());
      FUZZ_EXPECT(in_frame <= piece.header.payload_size);
      FUZZ_EXPECT(piece.ends_frame == (in_frame == piece.header.payload_size));
      if (piece.ends_packet) ++out.packets;
      out.payload.insert(out.payload.end(), piece.bytes.begin(), piece.bytes.end());
    }
    FUZZ_EXPECT(input.empty());
  }
  out.at_packet_start = walker.AtPacketStart();
  return out;
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  if (size < 2) return 0;
  const size_t step = 1 + data[0] % 16;
  const size_t limit = data[1] * 8u;
  const std::span<const uint8_t> stream(data + 2, size - 2);
  const Walked whole = Walk(stream, stream.size() + 1);
  const Walked pieces = Walk(stream, step);
  FUZZ_EXPECT(whole.payload == pieces.payload);
  FUZZ_EXPECT(whole.sequences == pieces.sequences);
  FUZZ_EXPECT(whole.packets == pieces.packets);
  FUZZ_EXPECT(whole.at_packet_start == pieces.at_packet_start);

  const RowRun run = SkipRows(stream);
  FUZZ_EXPECT(run.bytes <= stream.size());
  const Walked rows = Walk(stream.first(run.bytes), run.bytes + 1);
  FUZZ_EXPECT(rows.packets == run.frames && rows.at_packet_start);
  FUZZ_EXPECT(run.frames == 0 || rows.sequences.back() == run.last_sequence);

  PacketExtent extent;
  const FindResult result = FindPacket(stream, limit, &extent);
  if (result != FindResult::kPacket) return 0;
  FUZZ_EXPECT(extent.wire_size <= stream.size());
  FUZZ_EXPECT(extent.payload_size <= limit);
  FUZZ_EXPECT(whole.packets != 0);
  ByteBuffer scratch;
  const auto payload = PacketPayload(stream, extent, &scratch);
  ByteBuffer again;
  PacketWriter writer(&again, extent.first_sequence);
  writer.Write(payload);
  FUZZ_EXPECT(again.size() == extent.wire_size);
  FUZZ_EXPECT(std::memcmp(again.data(), stream.data(), again.size()) == 0);
  return 0;
}
