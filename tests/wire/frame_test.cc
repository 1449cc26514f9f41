#include "proxy/wire/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;

TEST(FrameTest, HeaderRoundTrip) {
  const ByteBuffer bytes = Hex("0a0b0c0d");
  const FrameHeader header = LoadFrameHeader(bytes.data());
  EXPECT_EQ(header.payload_size, 0x0C0B0Au);
  EXPECT_EQ(header.sequence, 0x0D);
  EXPECT_FALSE(header.continues());
  uint8_t stored[4];
  StoreFrameHeader(header, stored);
  EXPECT_EQ(ToHex(stored), "0a0b0c0d");
}

TEST(FrameTest, FindsPacketOnlyWhenWhole) {
  const ByteBuffer bytes = Hex("03000005 616263 0100");
  PacketExtent extent;
  for (size_t size = 0; size < 7; ++size) {
    EXPECT_EQ(FindPacket(std::span(bytes).first(size), kNoLimit, &extent), FindResult::kNeedMore);
    EXPECT_EQ(extent.wire_size, size < 4 ? 4u : 7u);
  }
  for (size_t size = 7; size <= bytes.size(); ++size) {
    ASSERT_EQ(FindPacket(std::span(bytes).first(size), kNoLimit, &extent), FindResult::kPacket);
    EXPECT_EQ(extent.wire_size, 7u);
    EXPECT_EQ(extent.payload_size, 3u);
    EXPECT_EQ(extent.first_sequence, 5);
    EXPECT_EQ(extent.last_sequence, 5);
  }
  ByteBuffer scratch;
  EXPECT_EQ(AsText(PacketPayload(bytes, extent, &scratch)), "abc");
  EXPECT_TRUE(scratch.empty()) << "one frame is not copied";
}

TEST(FrameTest, EmptyPacket) {
  PacketExtent extent;
  EXPECT_EQ(FindPacket(Hex("00000003"), kNoLimit, &extent), FindResult::kPacket);
  EXPECT_EQ(extent.payload_size, 0u);
  EXPECT_EQ(extent.wire_size, 4u);
}

TEST(FrameTest, RefusesTooLargeByItsHeaderAlone) {
  PacketExtent extent;
  EXPECT_EQ(FindPacket(Hex("05000000"), 4, &extent), FindResult::kTooLarge);
  EXPECT_EQ(FindPacket(Hex("05000000"), 5, &extent), FindResult::kNeedMore);
}

// Sizes around the border, one frame and several.
class LargePacketTest : public ::testing::TestWithParam<size_t> {};

TEST_P(LargePacketTest, WriteFindAndWalk) {
  const size_t size = GetParam();
  ByteBuffer payload(size);
  for (size_t i = 0; i < size; ++i) payload[i] = static_cast<uint8_t>(i * 31 >> 3);
  ByteBuffer written;
  PacketWriter writer(&written, 255);
  writer.Write(payload);
  const size_t frames = size / kMaxFramePayload + 1;
  EXPECT_EQ(writer.sequence(), static_cast<uint8_t>(255 + frames));
  EXPECT_EQ(written.size(), size + 4 * frames);

  ByteBuffer sealed;
  PacketWriter sealer(&sealed, 255);
  sealer.Append([&](ByteWriter* w) { w->WriteBytes(payload); });
  EXPECT_TRUE(sealed == written) << "in place and from a payload are the same bytes";
  EXPECT_EQ(sealer.sequence(), writer.sequence());

  PacketExtent extent;
  EXPECT_EQ(FindPacket(std::span(written).first(written.size() - 1), kNoLimit, &extent),
            FindResult::kNeedMore);
  ASSERT_EQ(FindPacket(written, kNoLimit, &extent), FindResult::kPacket);
  EXPECT_EQ(extent.frames, frames);
  EXPECT_EQ(extent.payload_size, size);
  EXPECT_EQ(extent.wire_size, written.size());
  EXPECT_EQ(extent.last_sequence, static_cast<uint8_t>(255 + frames - 1));
  ByteBuffer scratch;
  const auto found = PacketPayload(written, extent, &scratch);
  EXPECT_TRUE(std::equal(found.begin(), found.end(), payload.begin(), payload.end()));
}

INSTANTIATE_TEST_SUITE_P(Sizes, LargePacketTest,
                         ::testing::Values(0, 1, kMaxFramePayload - 1, kMaxFramePayload,
                                           kMaxFramePayload + 1, 2 * kMaxFramePayload,
                                           2 * kMaxFramePayload + 5));

TEST(FrameTest, FramesOfOnePacketMustCountUp) {
  ByteBuffer bytes;
  PacketWriter writer(&bytes, 7);
  writer.Write(ByteBuffer(kMaxFramePayload + 1));
  bytes[4 + kMaxFramePayload + 3] = 9;
  PacketExtent extent;
  EXPECT_EQ(FindPacket(bytes, kNoLimit, &extent), FindResult::kBadSequence);
}

TEST(FrameWalkerTest, SamePiecesHoweverTheStreamIsCut) {
  const ByteBuffer stream = Hex("03000000 616263 00000001 01000002 64");
  for (size_t step = 1; step <= stream.size(); ++step) {
    FrameWalker walker;
    std::string payload;
    std::vector<int> sequences;
    int ends = 0;
    EXPECT_TRUE(walker.AtPacketStart());
    for (size_t at = 0; at < stream.size(); at += step) {
      std::span<const uint8_t> input =
          std::span(stream).subspan(at, std::min(step, stream.size() - at));
      FrameWalker::Piece piece;
      while (walker.Next(&input, &piece)) {
        if (piece.starts_frame) {
          EXPECT_TRUE(piece.starts_packet);
          EXPECT_EQ(piece.offset, 0u);
          sequences.push_back(piece.header.sequence);
        }
        payload += AsText(piece.bytes);
        if (piece.ends_frame) {
          EXPECT_TRUE(piece.ends_packet);
          ++ends;
        }
      }
      EXPECT_TRUE(input.empty());
    }
    EXPECT_EQ(payload, "abcd") << "step " << step;
    EXPECT_EQ(sequences, (std::vector<int>{0, 1, 2}));
    EXPECT_EQ(ends, 3);
    EXPECT_TRUE(walker.AtPacketStart());
  }
}

TEST(FrameWalkerTest, FullFrameGoesOnInTheNext) {
  ByteBuffer stream;
  PacketWriter writer(&stream, 0);
  writer.Write(ByteBuffer(kMaxFramePayload));
  writer.Write(Hex("0e"));
  std::span<const uint8_t> input = stream;
  FrameWalker walker;
  FrameWalker::Piece piece;
  ASSERT_TRUE(walker.Next(&input, &piece));
  EXPECT_TRUE(piece.starts_packet && piece.ends_frame && !piece.ends_packet);
  EXPECT_FALSE(walker.AtPacketStart());
  ASSERT_TRUE(walker.Next(&input, &piece));
  EXPECT_TRUE(piece.starts_frame && !piece.starts_packet && piece.ends_packet);
  EXPECT_TRUE(piece.bytes.empty());
  ASSERT_TRUE(walker.Next(&input, &piece));
  EXPECT_TRUE(piece.starts_packet && piece.ends_packet);
  EXPECT_FALSE(walker.Next(&input, &piece));
}

TEST(FrameWalkerTest, HeaderAloneIsAPieceAlready) {
  const ByteBuffer bytes = Hex("05000000");
  std::span<const uint8_t> input = bytes;
  FrameWalker walker;
  FrameWalker::Piece piece;
  ASSERT_TRUE(walker.Next(&input, &piece));
  EXPECT_TRUE(piece.starts_frame && !piece.ends_frame && piece.bytes.empty());
  EXPECT_FALSE(walker.Next(&input, &piece));
  EXPECT_FALSE(walker.AtPacketStart());
}

TEST(SkipRowsTest, StopsWhereSomethingElseMayBe) {
  const ByteBuffer rows = Hex("02000003 0131 01000004 fb 03000005 026869");

  struct Case {
    std::string_view after;
    std::string_view why;
  };
  for (const Case& c :
       {Case{"", "the end"}, Case{"050000", "half a header"}, Case{"02000006 01", "half a frame"},
        Case{"05000006 fe00000200", "EOF"}, Case{"03000006 ff1504", "ERR"},
        Case{"00000006", "an empty frame"}, Case{"00000006 0100000701", "an empty frame and more"},
        Case{"02000006", "a header"}}) {
    ByteBuffer stream = rows;
    const ByteBuffer after = Hex(c.after);
    stream.insert(stream.end(), after.begin(), after.end());
    const RowRun run = SkipRows(stream);
    EXPECT_EQ(run.bytes, rows.size()) << c.why;
    EXPECT_EQ(run.frames, 3u) << c.why;
    EXPECT_EQ(run.last_sequence, 5) << c.why;
  }
  EXPECT_EQ(SkipRows({}).bytes, 0u);
  ByteBuffer full;
  PacketWriter writer(&full, 1);
  writer.Write(ByteBuffer(kMaxFramePayload + 3, 1));
  EXPECT_EQ(SkipRows(full).frames, 0u);
}

TEST(PacketWriterTest, CountsSequences) {
  ByteBuffer out;
  PacketWriter writer(&out, 254);
  writer.Write(Hex("01"));
  writer.Append([](ByteWriter* w) { w->WriteText("xy"); });
  writer.Write({});
  EXPECT_EQ(ToHex(out), "010000fe01020000ff787900000000");
  EXPECT_EQ(writer.sequence(), 1);
}

}  // namespace
}  // namespace bulkhead::wire
