// Golden bytes in this file: MariaDB 10.11.19 and MySQL 9.7.4, captured on a loopback connection.
#include "proxy/wire/result_set.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/wire/responses.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

using Cells = std::vector<std::optional<std::string_view>>;

constexpr Capabilities kPlain = kClientProtocol41;
constexpr Capabilities kExtended = kPlain | kMariadbClientExtendedMetadata;

TEST(ColumnCountTest, WithAndWithoutMetadataFlag) {
  ColumnCount count;
  ASSERT_EQ(DecodeColumnCount(Hex("04"), kPlain, &count), DecodeError::kNone);
  EXPECT_EQ(count.columns, 4u);
  EXPECT_TRUE(count.metadata_follows);
  for (const Capabilities bit : {kMariadbClientCacheMetadata, kClientOptionalResultsetMetadata}) {
    ASSERT_EQ(DecodeColumnCount(Hex("0200"), kPlain | bit, &count), DecodeError::kNone);
    EXPECT_EQ(count.columns, 2u);
    EXPECT_FALSE(count.metadata_follows);
    EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnCount(count, kPlain | bit, w); })),
              "0200");
    EXPECT_EQ(DecodeColumnCount(Hex("02"), kPlain | bit, &count), DecodeError::kTruncated);
  }
}

TEST(ColumnCountTest, RefusesWhatIsNone) {
  ColumnCount count;
  for (const char* hex : {"00", "fb", "ff"}) {
    EXPECT_EQ(DecodeColumnCount(Hex(hex), kPlain, &count), DecodeError::kUnexpectedType) << hex;
  }
  EXPECT_EQ(DecodeColumnCount({}, kPlain, &count), DecodeError::kTruncated);
  EXPECT_EQ(DecodeColumnCount(Hex("fc0000"), kPlain, &count), DecodeError::kMalformed);
  EXPECT_EQ(DecodeColumnCount(Hex("fd000001"), kPlain, &count), DecodeError::kLimitExceeded);
}

TEST(ColumnDefinitionTest, Mysql) {
  // SELECT * FROM d.t: column j, JSON.
  const ByteBuffer payload = Hex("03646566016401740174016a016a0c3f00fffffffff59000000000");
  ColumnDefinition column;
  ASSERT_EQ(DecodeColumnDefinition(payload, kPlain, &column), DecodeError::kNone);
  EXPECT_EQ(column.catalog, "def");
  EXPECT_EQ(column.schema, "d");
  EXPECT_EQ(column.table, "t");
  EXPECT_EQ(column.original_table, "t");
  EXPECT_EQ(column.name, "j");
  EXPECT_EQ(column.original_name, "j");
  EXPECT_EQ(column.collation, kCollationBinary);
  EXPECT_EQ(column.length, 0xFFFFFFFFu);
  EXPECT_EQ(column.type, ColumnType::kJson);
  EXPECT_EQ(column.flags, 0x90u);
  EXPECT_EQ(column.decimals, 0u);
  EXPECT_FALSE(column.has_default);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnDefinition(column, kPlain, w); })),
            ToHex(payload));
  ExpectCutsRefused(payload, [](std::span<const uint8_t> bytes) {
    ColumnDefinition out;
    return DecodeColumnDefinition(bytes, kPlain, &out);
  });
}

TEST(ColumnDefinitionTest, MariadbExtendedMetadata) {
  const ByteBuffer json =
      Hex("03646566016401740174016a016a0601046a736f6e0c2d00fffffffffc9000000000");
  ColumnDefinition column;
  ExtendedMetadata extended;
  ASSERT_EQ(DecodeColumnDefinition(json, kExtended, &column), DecodeError::kNone);
  ASSERT_EQ(DecodeExtendedMetadata(column.extended_metadata, &extended), DecodeError::kNone);
  EXPECT_EQ(extended.format_name, "json");
  EXPECT_EQ(extended.type_name, "");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnDefinition(column, kExtended, w); })),
            ToHex(json));
  const ByteBuffer uuid =
      Hex("0364656601640174017401750175060004757569640c2d0090000000fea000000000");
  ASSERT_EQ(DecodeColumnDefinition(uuid, kExtended, &column), DecodeError::kNone);
  ASSERT_EQ(DecodeExtendedMetadata(column.extended_metadata, &extended), DecodeError::kNone);
  EXPECT_EQ(extended.type_name, "uuid");
  // Without the capability the same column has one field less.
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnDefinition(column, kPlain, w); })),
            "03646566016401740174017501750c2d0090000000fea000000000");
  EXPECT_NE(DecodeExtendedMetadata(column.extended_metadata.substr(0, 4), &extended),
            DecodeError::kNone);
}

TEST(ColumnDefinitionTest, FieldListHasDefaults) {
  const ByteBuffer zero = Hex("036465660164017401740269640269640c3f000b0000000303420000000130");
  ColumnDefinition column;
  ASSERT_EQ(DecodeColumnDefinition(zero, kPlain, &column), DecodeError::kNone);
  EXPECT_TRUE(column.has_default);
  EXPECT_EQ(column.default_value, "0");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnDefinition(column, kPlain, w); })),
            ToHex(zero));
  const ByteBuffer null = Hex("03646566016401740174017601760c2d0050000000fd0000000000fb");
  ASSERT_EQ(DecodeColumnDefinition(null, kPlain, &column), DecodeError::kNone);
  EXPECT_TRUE(column.has_default);
  EXPECT_EQ(column.default_value, std::nullopt);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeColumnDefinition(column, kPlain, w); })),
            ToHex(null));
}

TEST(ColumnDefinitionTest, RefusesOthers) {
  ColumnDefinition column;
  EXPECT_EQ(DecodeColumnDefinition(Hex("03"), 0, &column), DecodeError::kUnsupported);
  EXPECT_EQ(DecodeColumnDefinition(Hex("ff1e04"), kPlain, &column), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeColumnDefinition(Hex("000000000000 0b 0000000000000000000000"), kPlain, &column),
            DecodeError::kMalformed);
}

TEST(PrepareOkTest, BothServers) {
  PrepareOk ok;
  const ByteBuffer mariadb = Hex("000100000002000200000000");
  ASSERT_EQ(DecodePrepareOk(mariadb, kPlain, &ok), DecodeError::kNone);
  EXPECT_EQ(ok.statement_id, 1u);
  EXPECT_EQ(ok.columns, 2u);
  EXPECT_EQ(ok.parameters, 2u);
  EXPECT_TRUE(ok.metadata_follows);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodePrepareOk(ok, kPlain, w); })), ToHex(mariadb));
  const ByteBuffer mysql = Hex("00010000000200020000000001");
  const Capabilities optional = kPlain | kClientOptionalResultsetMetadata;
  ASSERT_EQ(DecodePrepareOk(mysql, optional, &ok), DecodeError::kNone);
  EXPECT_TRUE(ok.metadata_follows);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodePrepareOk(ok, optional, w); })), ToHex(mysql));
  ExpectCutsRefused(mysql, [&](std::span<const uint8_t> bytes) {
    PrepareOk out;
    return DecodePrepareOk(bytes, optional, &out);
  });
  EXPECT_EQ(DecodePrepareOk(Hex("ff0000"), kPlain, &ok), DecodeError::kUnexpectedType);
}

TEST(TextRowTest, GoldenAndCut) {
  const ByteBuffer payload = Hex("01310178fb");
  Cells cells(3);
  ASSERT_EQ(DecodeTextRow(payload, cells), DecodeError::kNone);
  EXPECT_EQ(cells, (Cells{"1", "x", std::nullopt}));
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeTextRow(cells, w); })), ToHex(payload));
  ExpectCutsRefused(payload, [](std::span<const uint8_t> bytes) {
    Cells out(3);
    return DecodeTextRow(bytes, out);
  });
  Cells two(2);
  EXPECT_EQ(DecodeTextRow(payload, two), DecodeError::kMalformed);
}

// All that MySQL 9.7's own client is sent for SELECT @@version_comment, frames included.
TEST(ResultSetWriterTest, SameBytesAsMysql) {
  ByteBuffer out;
  ResultSetWriter writer(&out, 1, kPlain | kClientDeprecateEof, kStatusAutocommit);
  ColumnDefinition column = TextColumn("@@version_comment");
  column.collation = 255;
  column.length = 0x15554;
  column.decimals = 0x1F;
  writer.Begin({column});
  writer.Row({"(Debian)"});
  writer.End();
  EXPECT_EQ(ToHex(out),
            "0100000101270000020364656600000011404076657273696f6e5f636f6d6d656e74000cff0054550100fd"
            "00001f000009000003082844656269616e2907000004fe000002000000");
  EXPECT_EQ(writer.sequence(), 5);
}

// The same from MariaDB 10.11 to its own client, which does not ask for DEPRECATE_EOF.
TEST(ResultSetWriterTest, SameBytesAsMariadbWithEof) {
  ByteBuffer out;
  ResultSetWriter writer(&out, 1, kExtended, kStatusAutocommit);
  ColumnDefinition number = NumberColumn("a");
  number.type = ColumnType::kLong;
  number.length = 1;
  number.flags = 0x81;
  ColumnDefinition text = TextColumn("b");
  text.collation = 33;
  text.length = 3;
  text.flags = 1;
  text.decimals = 0x27;
  ColumnDefinition null = NumberColumn("c");
  null.type = ColumnType::kNull;
  null.length = 0;
  null.flags = 0x80;
  writer.Begin({number, text, null});
  writer.Row({"1", "x", std::nullopt});
  writer.End();
  EXPECT_EQ(ToHex(out),
            "0100000103"
            "1800000203646566000000016100000c3f0001000000038100000000"
            "1800000303646566000000016200000c210003000000fd0100270000"
            "1800000403646566000000016300000c3f0000000000068000000000"
            "05000005fe00000200"
            "0500000601310178fb"
            "05000007fe00000200");
}

TEST(ResultSetWriterTest, CacheMetadataAndErrorAtTheEnd) {
  ByteBuffer out;
  ResultSetWriter writer(&out, 255, kPlain | kMariadbClientCacheMetadata | kClientDeprecateEof, 0);
  writer.Begin({TextColumn("x")});
  writer.EndWithError(9403, "HY000", "held");
  EXPECT_EQ(ToHex(std::span(out).first(6)), "020000ff0101");
  EXPECT_EQ(ToHex(std::span(out).last(4 + 13)),
            "0d000001ffbb24234859303030"
            "68656c64");
  EXPECT_EQ(writer.sequence(), 2);
}

TEST(ResultSetWriterTest, EmptyResultKeepsItsEnd) {
  ByteBuffer out;
  ResultSetWriter writer(&out, 1, kPlain, kStatusInTransaction);
  writer.Begin({NumberColumn("n", true)});
  writer.End(7);
  EXPECT_EQ(ToHex(std::span(out).last(9)), "05000004fe07000100");
}

}  // namespace
}  // namespace bulkhead::wire
