#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "proxy/wire/byte_reader.h"
#include "proxy/wire/byte_writer.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

TEST(ByteReaderTest, ReadsFixedIntegersLittleEndian) {
  const ByteBuffer bytes = Hex("01 0302 060504 0a090807 1211100f0e0d0c0b");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadU8(), 0x01u);
  EXPECT_EQ(reader.ReadU16(), 0x0203u);
  EXPECT_EQ(reader.ReadU24(), 0x040506u);
  EXPECT_EQ(reader.ReadU32(), 0x0708090Au);
  EXPECT_EQ(reader.ReadU64(), 0x0B0C0D0E0F101112u);
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.AtEnd());
}

TEST(ByteReaderTest, FailureSticks) {
  const ByteBuffer bytes = Hex("0102");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadU32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.ReadU8(), 0u) << "would fit, but the reader has failed";
  EXPECT_EQ(reader.ReadRest(), "");
  EXPECT_EQ(reader.ReadNullTerminated(), "");
  EXPECT_EQ(reader.ReadNullTerminatedOrRest(), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReaderTest, LenencIntegersAtTheirBorders) {
  struct Case {
    std::string_view hex;
    uint64_t value;
  };
  for (const Case& c :
       {Case{"00", 0}, Case{"fa", 250}, Case{"fcfb00", 251}, Case{"fcffff", 65535},
        Case{"fd000001", 65536}, Case{"fdffffff", 0xFFFFFF}, Case{"fe0000000100000000", 0x1000000},
        Case{"feffffffffffffffff", std::numeric_limits<uint64_t>::max()}}) {
    const ByteBuffer bytes = Hex(c.hex);
    ByteReader reader(bytes);
    EXPECT_EQ(reader.ReadLenencInt(), c.value);
    EXPECT_TRUE(reader.ok() && reader.AtEnd()) << c.hex;
    const ByteBuffer written = Encoded([&](ByteWriter* w) { w->WriteLenencInt(c.value); });
    EXPECT_EQ(ToHex(written), c.hex);
    EXPECT_EQ(LenencIntSize(c.value), written.size());
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader short_reader(std::span<const uint8_t>(bytes).first(cut));
      short_reader.ReadLenencInt();
      EXPECT_FALSE(short_reader.ok()) << c.hex << " cut at " << cut;
    }
  }
}

TEST(ByteReaderTest, NullAndUndefinedAreNoLengths) {
  for (const char* hex : {"fb00", "ff00"}) {
    const ByteBuffer bytes = Hex(hex);
    ByteReader reader(bytes);
    reader.ReadLenencInt();
    EXPECT_FALSE(reader.ok()) << hex;
  }
}

TEST(ByteReaderTest, HugeLengthDoesNotWrap) {
  const ByteBuffer bytes = Hex("feffffffffffffffff 616263");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadLenencString(), "");
  EXPECT_FALSE(reader.ok());
}

TEST(ByteReaderTest, CellsTellNullFromEmpty) {
  const ByteBuffer bytes = Hex("fb 00 0161");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadCell(), std::nullopt);
  EXPECT_EQ(reader.ReadCell(), "");
  EXPECT_EQ(reader.ReadCell(), "a");
  EXPECT_TRUE(reader.ok() && reader.AtEnd());
}

TEST(ByteReaderTest, NullTerminated) {
  const ByteBuffer bytes = Hex("6162 00 00 63");
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadNullTerminated(), "ab");
  EXPECT_EQ(reader.ReadNullTerminated(), "");
  ByteReader tolerant = reader;
  EXPECT_EQ(tolerant.ReadNullTerminatedOrRest(), "c");
  EXPECT_TRUE(tolerant.ok() && tolerant.AtEnd());
  EXPECT_EQ(tolerant.ReadNullTerminatedOrRest(), "");
  EXPECT_TRUE(tolerant.ok());
  EXPECT_EQ(reader.ReadNullTerminated(), "");
  EXPECT_FALSE(reader.ok()) << "no NUL";
}

TEST(ByteWriterTest, NullTerminatedEndsAtTheFirstNul) {
  const std::string text("a\0b", 3);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { w->WriteNullTerminated(text); })), "6100");
}

TEST(ByteWriterTest, WritesWhatTheReaderReads) {
  const ByteBuffer bytes = Encoded([](ByteWriter* w) {
    w->WriteU8(1);
    w->WriteU16(0x0203);
    w->WriteU24(0x040506);
    w->WriteU32(0x0708090A);
    w->WriteU64(0x0B0C0D0E0F101112);
    w->WriteLenencString(std::string(300, 'x'));
    w->WriteCell(std::nullopt);
    w->WriteZeros(2);
  });
  ByteReader reader(bytes);
  EXPECT_EQ(reader.ReadU8(), 1u);
  EXPECT_EQ(reader.ReadU16(), 0x0203u);
  EXPECT_EQ(reader.ReadU24(), 0x040506u);
  EXPECT_EQ(reader.ReadU32(), 0x0708090Au);
  EXPECT_EQ(reader.ReadU64(), 0x0B0C0D0E0F101112u);
  EXPECT_EQ(reader.ReadLenencString(), std::string(300, 'x'));
  EXPECT_EQ(reader.ReadCell(), std::nullopt);
  EXPECT_EQ(reader.ReadU16(), 0u);
  EXPECT_TRUE(reader.ok() && reader.AtEnd());
}

}  // namespace
}  // namespace bulkhead::wire
