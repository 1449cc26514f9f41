// Golden bytes in this file: MariaDB 10.11.19 with its own client (zlib) and MySQL 9.7.4 with its
// own (zstd), captured on a loopback connection.
#include "proxy/wire/compression.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "proxy/wire/commands.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr size_t kNoLimit = size_t{1} << 40;
using Role = CompressionCodec::Role;

// A result set of one row, SELECT REPEAT('a', 200), as MariaDB compressed it.
constexpr std::string_view kZlibResult =
    "4e0000010f0100789c63626060646454636060624e494d636060e02f4a2d484d2cd1504f54d7313230d06460e05164"
    "88606260f8cbc0a0cec0c0cac0c0fc0fa89ae1240303cb89c4610280be6205fb0a00b20456c8";
// The same from MySQL.
constexpr std::string_view kZstdResult =
    "5100000106010028b52ffd6006003d0200f403010000010125000002036465660000000f726570656174282761272c"
    "32303029000cff0020030000fd00001f0000c9000003c86107000004fe000002000000010044a40014";

// Compressible, but not only repetition.
ByteBuffer SomeText(size_t size) {
  std::mt19937 random(static_cast<uint32_t>(size));
  ByteBuffer out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>('a' + random() % 5);
  return out;
}

ByteBuffer Noise(size_t size) {
  std::mt19937 random(7);
  ByteBuffer out(size);
  for (uint8_t& byte : out) byte = static_cast<uint8_t>(random());
  return out;
}

// Decompresses everything in steps of `step` input bytes, `limit` output bytes a call.
ByteBuffer DecompressAll(CompressionAlgorithm algorithm, std::span<const uint8_t> bytes,
                         size_t step, size_t limit, CompressionStatus* status) {
  Decompressor decompressor(algorithm);
  ByteBuffer out;
  for (size_t at = 0; at < bytes.size(); at += step) {
    std::span<const uint8_t> input = bytes.subspan(at, std::min(step, bytes.size() - at));
    do {
      const size_t before = out.size();
      *status = decompressor.Decompress(&input, limit, &out);
      EXPECT_LE(out.size() - before, limit);
    } while (*status == CompressionStatus::kOutputLimit);
    if (*status != CompressionStatus::kOk) return out;
    EXPECT_TRUE(input.empty());
  }
  EXPECT_TRUE(decompressor.AtPacketStart());
  return out;
}

class CompressionTest : public ::testing::TestWithParam<CompressionAlgorithm> {};

INSTANTIATE_TEST_SUITE_P(Both, CompressionTest,
                         ::testing::Values(CompressionAlgorithm::kZlib,
                                           CompressionAlgorithm::kZstd),
                         [](const auto& info) {
                           return std::string(CompressionAlgorithmName(info.param));
                         });

TEST_P(CompressionTest, ReadsWhatServersSend) {
  const bool zlib = GetParam() == CompressionAlgorithm::kZlib;
  const ByteBuffer bytes = Hex(zlib ? kZlibResult : kZstdResult);
  for (const size_t step : {size_t{1}, size_t{3}, bytes.size()}) {
    for (const size_t limit : {size_t{1}, size_t{100}, kNoLimit}) {
      CompressionStatus status;
      const ByteBuffer plain = DecompressAll(GetParam(), bytes, step, limit, &status);
      ASSERT_EQ(status, CompressionStatus::kOk);
      EXPECT_EQ(plain.size(), zlib ? 271u : 262u);
      EXPECT_EQ(ToHex(std::span(plain).first(5)), zlib ? "0200000101" : "0100000101");
      EXPECT_NE(AsText(plain).find(std::string(200, 'a')), std::string_view::npos);
    }
  }
}

TEST_P(CompressionTest, RoundTripOfManySizes) {
  for (const size_t size : {1u, 49u, 50u, 51u, 1000u, 65536u, 262143u, 262144u, 262145u, 900000u}) {
    for (const bool noise : {false, true}) {
      const ByteBuffer plain = noise ? Noise(size) : SomeText(size);
      Compressor compressor(GetParam(), 3);
      ByteBuffer packets;
      uint8_t sequence = 254;
      ASSERT_EQ(compressor.Compress(plain, &sequence, &packets), CompressionStatus::kOk);
      EXPECT_EQ(sequence, static_cast<uint8_t>(254 + (size + 262143) / 262144));
      if (!noise && size >= 1000) {
        EXPECT_LT(packets.size(), size / 2);
      }
      EXPECT_LE(packets.size(), size + 7 * (size / 262144 + 1)) << "never more than stored";
      for (const size_t step : {size_t{997}, packets.size()}) {
        for (const size_t limit : {size_t{5000}, kNoLimit}) {
          CompressionStatus status;
          EXPECT_TRUE(DecompressAll(GetParam(), packets, step, limit, &status) == plain)
              << size << ' ' << noise;
          EXPECT_EQ(status, CompressionStatus::kOk);
        }
      }
    }
  }
}

TEST_P(CompressionTest, SmallBodiesGoUncompressed) {
  Compressor compressor(GetParam(), 3);
  ByteBuffer packets;
  uint8_t sequence = 0;
  ASSERT_EQ(compressor.Compress(Hex("010000000e"), &sequence, &packets), CompressionStatus::kOk);
  EXPECT_EQ(ToHex(packets), "05000000000000010000000e");
  packets.clear();
  ASSERT_EQ(compressor.Compress(ByteBuffer(kMinCompressSize - 1), &sequence, &packets),
            CompressionStatus::kOk);
  EXPECT_EQ(ToHex(std::span(packets).first(7)), "31000001000000");
  packets.clear();
  ASSERT_EQ(compressor.Compress(ByteBuffer(kMinCompressSize), &sequence, &packets),
            CompressionStatus::kOk);
  EXPECT_EQ(ToHex(std::span(packets).subspan(4, 3)), "320000");
}

TEST_P(CompressionTest, StateComesBackAfterIdle) {
  Compressor compressor(GetParam(), 3);
  Decompressor decompressor(GetParam());
  for (int round = 0; round < 3; ++round) {
    const ByteBuffer plain = SomeText(1000 + static_cast<size_t>(round));
    ByteBuffer packets;
    uint8_t sequence = 0;
    ASSERT_EQ(compressor.Compress(plain, &sequence, &packets), CompressionStatus::kOk);
    ByteBuffer out;
    std::span<const uint8_t> half = std::span<const uint8_t>(packets).first(packets.size() / 2);
    ASSERT_EQ(decompressor.Decompress(&half, kNoLimit, &out), CompressionStatus::kOk);
    decompressor.Idle();  // must not: a packet is half read
    std::span<const uint8_t> rest = std::span<const uint8_t>(packets).subspan(packets.size() / 2);
    ASSERT_EQ(decompressor.Decompress(&rest, kNoLimit, &out), CompressionStatus::kOk);
    EXPECT_TRUE(out == plain);
    compressor.Idle();
    decompressor.Idle();
  }
}

TEST_P(CompressionTest, SizesThatLieAreRefused) {
  const ByteBuffer plain = SomeText(5000);
  Compressor compressor(GetParam(), 3);
  ByteBuffer packets;
  uint8_t sequence = 0;
  ASSERT_EQ(compressor.Compress(plain, &sequence, &packets), CompressionStatus::kOk);
  // The plain size one less, one more, and the least there is.
  for (const size_t says : {4999u, 5001u, 1u}) {
    ByteBuffer lie = packets;
    lie[4] = static_cast<uint8_t>(says);
    lie[5] = static_cast<uint8_t>(says >> 8);
    CompressionStatus status;
    const ByteBuffer out = DecompressAll(GetParam(), lie, lie.size(), kNoLimit, &status);
    EXPECT_EQ(status, CompressionStatus::kWrongSize) << says;
    EXPECT_LE(out.size(), says) << "never more than the header says";
  }
  // The body one byte short (the next packet's first byte is missing to it), and one byte long.
  ByteBuffer small = packets;
  small.pop_back();
  --small[0];
  CompressionStatus status;
  DecompressAll(GetParam(), small, small.size(), kNoLimit, &status);
  EXPECT_EQ(status, CompressionStatus::kWrongSize);
  ByteBuffer large = packets;
  large.push_back(0);
  ++large[0];
  DecompressAll(GetParam(), large, large.size(), kNoLimit, &status);
  EXPECT_EQ(status, CompressionStatus::kWrongSize);
  // Says that it is compressed, and has no body.
  DecompressAll(GetParam(), Hex("000000000a0000"), 7, kNoLimit, &status);
  EXPECT_EQ(status, CompressionStatus::kWrongSize);
}

TEST_P(CompressionTest, GarbageIsCorrupt) {
  ByteBuffer bytes = Hex("40000000000100");
  const ByteBuffer noise = Noise(64);
  bytes.insert(bytes.end(), noise.begin(), noise.end());
  CompressionStatus status;
  DecompressAll(GetParam(), bytes, bytes.size(), kNoLimit, &status);
  EXPECT_EQ(status, CompressionStatus::kCorrupt);
  EXPECT_EQ(CompressionStatusName(status), "corrupt");
}

TEST(DecompressorTest, FormatsBeforeZstdOneAreRefused) {
  for (const size_t step : {1u, 20u}) {
    CompressionStatus status;
    DecompressAll(CompressionAlgorithm::kZstd,
                  Hex("10000000000100 27b52ffd6006003d0200f40301000001"), step, kNoLimit, &status);
    EXPECT_EQ(status, CompressionStatus::kCorrupt);
  }
}

// 15 MiB of zeros in a few bytes: what comes out in one call stays within the limit.
TEST_P(CompressionTest, BombsComeOutInSmallParts) {
  Compressor compressor(GetParam(), 3);
  ByteBuffer packets;
  uint8_t sequence = 0;
  const ByteBuffer zeros(15 << 20);
  ASSERT_EQ(compressor.Compress(zeros, &sequence, &packets), CompressionStatus::kOk);
  Decompressor decompressor(GetParam());
  std::span<const uint8_t> input = packets;
  size_t total = 0;
  CompressionStatus status;
  do {
    ByteBuffer out;
    status = decompressor.Decompress(&input, 100000, &out);
    EXPECT_LE(out.size(), 100000u);
    total += out.size();
  } while (status == CompressionStatus::kOutputLimit);
  EXPECT_EQ(status, CompressionStatus::kOk);
  EXPECT_EQ(total, zeros.size());
}

TEST(DecompressorTest, StoredBodiesAndEmptyOnes) {
  CompressionStatus status;
  const ByteBuffer bytes = Hex("05000000000000 010000000e 00000001000000 02000002000000 6162");
  for (size_t step = 1; step <= bytes.size(); ++step) {
    EXPECT_EQ(ToHex(DecompressAll(CompressionAlgorithm::kZlib, bytes, step, 2, &status)),
              "010000000e6162");
    EXPECT_EQ(status, CompressionStatus::kOk);
  }
}

// --- both directions
// ------------------------------------------------------------------------------

ByteBuffer Frame(uint8_t sequence, std::string_view payload) {
  ByteBuffer out;
  PacketWriter(&out, sequence).Write(AsBytes(payload));
  return out;
}

// The sequence numbers of the compressed packets in `bytes`.
std::vector<int> CompressedSequences(std::span<const uint8_t> bytes) {
  std::vector<int> out;
  while (!bytes.empty()) {
    const FrameHeader header = LoadFrameHeader(bytes.data());
    out.push_back(header.sequence);
    bytes = bytes.subspan(kCompressedHeaderSize + header.payload_size);
  }
  return out;
}

std::vector<int> FrameSequences(std::span<const uint8_t> bytes) {
  std::vector<int> out;
  FrameWalker walker;
  FrameWalker::Piece piece;
  while (walker.Next(&bytes, &piece)) {
    if (piece.starts_frame) out.push_back(piece.header.sequence);
  }
  return out;
}

class CodecTest : public ::testing::Test {
 protected:
  // One side sends; returns the numbers of the compressed packets.
  std::vector<int> Send(CompressionCodec* from, CompressionCodec* to,
                        std::span<const uint8_t> plain) {
    ByteBuffer packets;
    EXPECT_EQ(from->Encode(plain, &packets), CompressionStatus::kOk);
    std::span<const uint8_t> input = packets;
    received_.clear();
    EXPECT_EQ(to->Decode(&input, kNoLimit, &received_), CompressionStatus::kOk);
    return CompressedSequences(packets);
  }

  CompressionCodec client_{CompressionAlgorithm::kZlib, 6, Role::kClient};
  CompressionCodec server_{CompressionAlgorithm::kZlib, 6, Role::kServer};
  ByteBuffer received_;
};

TEST_F(CodecTest, CommandsBeginAtZeroAndResponsesAtOne) {
  for (int round = 0; round < 300; ++round) {
    EXPECT_EQ(Send(&client_, &server_, Frame(0, "\x0e")), std::vector<int>{0});
    EXPECT_EQ(FrameSequences(received_), std::vector<int>{0});
    EXPECT_EQ(Send(&server_, &client_, Frame(1, "ok")), std::vector<int>{1});
    EXPECT_EQ(FrameSequences(received_), std::vector<int>{1});
  }
}

TEST_F(CodecTest, SilentCommandsAndPipelining) {
  ByteBuffer commands = Frame(0, "\x19....");
  const ByteBuffer more = Frame(0, "\x0e");
  commands.insert(commands.end(), more.begin(), more.end());
  EXPECT_EQ(Send(&client_, &server_, commands), (std::vector<int>{0, 0}));
  EXPECT_EQ(FrameSequences(received_), (std::vector<int>{0, 0}));
  // Two responses, although nothing was received between them.
  EXPECT_EQ(Send(&server_, &client_, Frame(1, "first")), std::vector<int>{1});
  EXPECT_EQ(Send(&server_, &client_, Frame(2, "goes on")), std::vector<int>{2});
  EXPECT_EQ(Send(&server_, &client_, Frame(1, "second")), std::vector<int>{1});
}

TEST_F(CodecTest, LongResponseCountsOnThoughACommandComesMeanwhile) {
  Send(&client_, &server_, Frame(0, "\x03SELECT"));
  EXPECT_EQ(Send(&server_, &client_, Frame(1, "a")), std::vector<int>{1});
  Send(&client_, &server_, Frame(0, "\x03SELECT"));
  EXPECT_EQ(Send(&server_, &client_, Frame(2, "b")), std::vector<int>{2});
  EXPECT_EQ(Send(&server_, &client_, Frame(3, "c")), std::vector<int>{3});
  EXPECT_EQ(Send(&server_, &client_, Frame(1, "next")), std::vector<int>{1});
}

TEST_F(CodecTest, SequencesWrapInLongResponses) {
  Send(&client_, &server_, Frame(0, "\x03SELECT"));
  for (int i = 1; i < 600; ++i) {
    EXPECT_EQ(Send(&server_, &client_, Frame(static_cast<uint8_t>(i), "row")),
              std::vector<int>{i & 255});
    EXPECT_EQ(FrameSequences(received_), std::vector<int>{i & 255});
  }
}

TEST_F(CodecTest, UploadWrapsWithoutBeginningAnew) {
  Send(&client_, &server_, Frame(0, "\x03LOAD DATA"));
  EXPECT_EQ(Send(&server_, &client_, Frame(1, "\xfb")), std::vector<int>{1});
  for (int i = 2; i < 600; ++i) {
    EXPECT_EQ(Send(&client_, &server_, Frame(static_cast<uint8_t>(i), "data")),
              std::vector<int>{i & 255});
    EXPECT_EQ(FrameSequences(received_), std::vector<int>{i & 255});
  }
  EXPECT_EQ(Send(&server_, &client_, Frame(600 & 255, "ok")), std::vector<int>{600 & 255});
}

// A command of several compressed packets: a real server then numbers its response by these.
TEST_F(CodecTest, ServersNumbersAreMadeThoseOfAnUncompressedOne) {
  ByteBuffer packets;
  ASSERT_EQ(client_.Encode(Frame(0, std::string(600000, 'x')), &packets), CompressionStatus::kOk);
  EXPECT_EQ(CompressedSequences(packets), (std::vector<int>{0, 1, 2}));
  ByteBuffer response = Frame(3, "first");
  for (const auto& frame : {Frame(4, "second"), Frame(5, "third")}) {
    response.insert(response.end(), frame.begin(), frame.end());
  }
  ByteBuffer server_packets;
  Compressor compressor(CompressionAlgorithm::kZlib, 6);
  uint8_t sequence = 3;
  ASSERT_EQ(compressor.Compress(response, &sequence, &server_packets), CompressionStatus::kOk);
  // However it is cut.
  ByteBuffer plain;
  for (size_t i = 0; i < server_packets.size(); ++i) {
    std::span<const uint8_t> input = std::span<const uint8_t>(server_packets).subspan(i, 1);
    ASSERT_EQ(client_.Decode(&input, kNoLimit, &plain), CompressionStatus::kOk);
  }
  EXPECT_EQ(FrameSequences(plain), (std::vector<int>{1, 2, 3}));
  // What follows in the exchange counts on from the server's own number.
  packets.clear();
  ASSERT_EQ(client_.Encode(Frame(4, "data"), &packets), CompressionStatus::kOk);
  EXPECT_EQ(CompressedSequences(packets), std::vector<int>{4});
}

TEST_F(CodecTest, ClientsNumbersAreMadeThoseOfAnUncompressedOne) {
  Send(&client_, &server_, Frame(0, "\x03SELECT 1; LOAD DATA"));
  ByteBuffer response;
  for (uint8_t i = 1; i <= 50; ++i) {
    const ByteBuffer frame = Frame(i, "packet");
    response.insert(response.end(), frame.begin(), frame.end());
  }
  EXPECT_EQ(Send(&server_, &client_, response), std::vector<int>{1});
  // A real client takes 2, since it has seen one compressed packet.
  ByteBuffer packets;
  Compressor compressor(CompressionAlgorithm::kZlib, 6);
  uint8_t sequence = 2;
  ByteBuffer data = Frame(2, "data");
  const ByteBuffer end = Frame(3, "");
  data.insert(data.end(), end.begin(), end.end());
  ASSERT_EQ(compressor.Compress(data, &sequence, &packets), CompressionStatus::kOk);
  std::span<const uint8_t> input = packets;
  ByteBuffer plain;
  ASSERT_EQ(server_.Decode(&input, kNoLimit, &plain), CompressionStatus::kOk);
  EXPECT_EQ(FrameSequences(plain), (std::vector<int>{51, 52}));
  packets.clear();
  ASSERT_EQ(server_.Encode(Frame(53, "ok"), &packets), CompressionStatus::kOk);
  EXPECT_EQ(CompressedSequences(packets), std::vector<int>{3});
}

// Connector/J 2.7 numbers a long frame that does not shrink 1, in a compressed packet numbered 0.
TEST_F(CodecTest, CommandsAreKnownByTheirCompressedPackets) {
  const ByteBuffer command = Frame(1, "\x03SELECT 'what does not shrink'");
  const auto receive = [&](uint8_t number, std::span<const uint8_t> plain) {
    ByteBuffer packets;
    Compressor compressor(CompressionAlgorithm::kZlib, 6);
    EXPECT_EQ(compressor.Compress(plain, &number, &packets), CompressionStatus::kOk);
    received_.clear();
    for (size_t i = 0; i < packets.size(); ++i) {  // however it is cut
      std::span<const uint8_t> input = std::span<const uint8_t>(packets).subspan(i, 1);
      EXPECT_EQ(server_.Decode(&input, kNoLimit, &received_), CompressionStatus::kOk);
    }
    return FrameSequences(received_);
  };
  EXPECT_EQ(receive(0, command), std::vector<int>{0});  // the first one of all
  for (int size = 1; size < 600; ++size) {              // responses of any length
    ByteBuffer packets;
    for (int i = 1; i <= size; ++i) {
      ASSERT_EQ(server_.Encode(Frame(static_cast<uint8_t>(i), "row"), &packets),
                CompressionStatus::kOk);
    }
    ASSERT_EQ(receive(0, command), std::vector<int>{0}) << size;
  }
  EXPECT_EQ(receive(0, command), std::vector<int>{0});  // one behind the other
  // What a file's data is numbered after such a response is its place in the exchange.
  ByteBuffer packets;
  for (int i = 1; i < 256; ++i) {
    ASSERT_EQ(server_.Encode(Frame(static_cast<uint8_t>(i), i == 255 ? "\xfb" : "row"), &packets),
              CompressionStatus::kOk);
  }
  EXPECT_EQ(receive(0, Frame(0, "data")), std::vector<int>{0});
  EXPECT_EQ(receive(1, Frame(1, "data")), std::vector<int>{1});
  for (int i = 2; i < 600; ++i) {
    EXPECT_EQ(receive(static_cast<uint8_t>(i), Frame(static_cast<uint8_t>(i), "data")),
              std::vector<int>{i & 255});
  }
  EXPECT_EQ(receive(0, command), std::vector<int>{0});
}

}  // namespace
}  // namespace bulkhead::wire
