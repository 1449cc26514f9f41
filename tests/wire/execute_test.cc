// Golden bytes in this file: packets that MariaDB 10.11.19 and MySQL 9.7.4 took, or that MariaDB
// Connector/C 3.3 sent. What they refuse was tried too, where a comment says so.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/wire/execute_messages.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr Capabilities kPlain = kClientProtocol41;
constexpr Capabilities kAttributes = kPlain | kClientQueryAttributes;

// SELECT ?+1, ?   with 41 (LONGLONG) and 'hi' (VAR_STRING).
constexpr std::string_view kTwoParameters =
    "17 01000000 00 01000000 00 01 0800 fd00 2900000000000000 026869";
// The same for a session with query attributes, and an attribute n1 = 'v1'.
constexpr std::string_view kWithAttribute =
    "17 01000000 08 01000000 03 00 01 080000 fd0000 fe00026e31 2900000000000000 026869 027631";

TEST(StatementExecuteTest, TypesAndValues) {
  const ByteBuffer payload = Hex(kTwoParameters);
  StatementExecute execute;
  ASSERT_EQ(DecodeStatementExecute(payload, kPlain, 2, &execute), DecodeError::kNone);
  EXPECT_EQ(execute.statement_id, 1u);
  EXPECT_EQ(execute.flags, 0u);
  EXPECT_EQ(execute.iteration_count, 1u);
  EXPECT_EQ(execute.parameter_count, 2u);
  EXPECT_FALSE(execute.has_count);
  EXPECT_TRUE(execute.types_bound);
  EXPECT_EQ(ToHex(execute.types.Of(payload)), "0800fd00");
  EXPECT_EQ(ToHex(execute.values.Of(payload)), "2900000000000000026869");
  std::vector<ParameterType> types;
  ASSERT_EQ(DecodeParameterTypes(execute.types.Of(payload), kPlain, 2, &types), DecodeError::kNone);
  EXPECT_EQ(types[0].type, ColumnType::kLongLong);
  EXPECT_FALSE(types[0].is_unsigned);
  std::vector<Parameter> parameters;
  ASSERT_EQ(DecodeParameters(payload, execute, types, nullptr, &parameters), DecodeError::kNone);
  EXPECT_EQ(parameters[0].value, std::string_view("\x29\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(parameters[1].value, "hi");
}

TEST(StatementExecuteTest, Attributes) {
  const ByteBuffer payload = Hex(kWithAttribute);
  StatementExecute execute;
  ASSERT_EQ(DecodeStatementExecute(payload, kAttributes, 2, &execute), DecodeError::kNone);
  EXPECT_TRUE(execute.has_count);
  EXPECT_EQ(execute.parameter_count, 3u);
  EXPECT_EQ(ToHex(execute.types.Of(payload)), "080000fd0000fe00026e31");
  std::vector<ParameterType> types;
  ASSERT_EQ(DecodeParameterTypes(execute.types.Of(payload), kAttributes, 3, &types),
            DecodeError::kNone);
  EXPECT_EQ(types[2].name, "n1");
  std::vector<Parameter> parameters;
  ASSERT_EQ(DecodeParameters(payload, execute, types, nullptr, &parameters), DecodeError::kNone);
  EXPECT_EQ(parameters[2].value, "v1");
}

// MySQL 9.7 took the first and the third of these and refused the second and the fourth.
TEST(StatementExecuteTest, CountFollowsTheCapabilityNotTheFlag) {
  StatementExecute execute;
  EXPECT_EQ(DecodeStatementExecute(
                Hex("17 01000000 00 01000000 02 00 01 080000 fd0000 2900000000000000 026869"),
                kAttributes, 2, &execute),
            DecodeError::kNone);
  EXPECT_TRUE(execute.has_count);
  EXPECT_NE(DecodeStatementExecute(
                Hex("17 01000000 00 01000000 00 01 080000 fd0000 2900000000000000 026869"),
                kAttributes, 2, &execute),
            DecodeError::kNone);
  EXPECT_EQ(DecodeStatementExecute(Hex("17 01000000 00 01000000"), kAttributes, 0, &execute),
            DecodeError::kNone);
  EXPECT_NE(DecodeStatementExecute(Hex("17 01000000 08 01000000"), kAttributes, 0, &execute),
            DecodeError::kNone);
  EXPECT_EQ(DecodeStatementExecute(Hex("17 01000000 08 01000000 00"), kAttributes, 0, &execute),
            DecodeError::kNone);
}

TEST(StatementExecuteTest, CutAtEveryByte) {
  const ByteBuffer payload = Hex(kTwoParameters);
  // The values are not looked into here, so that only cuts before them are seen ...
  ExpectCutsRefused(payload,
                    [](std::span<const uint8_t> bytes) {
                      StatementExecute out;
                      return DecodeStatementExecute(bytes, kPlain, 2, &out);
                    },
                    {16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26});
  // ... and the others when they are.
  ExpectCutsRefused(payload, [](std::span<const uint8_t> bytes) {
    StatementExecute out;
    std::vector<ParameterType> types;
    std::vector<Parameter> parameters;
    DecodeError error = DecodeStatementExecute(bytes, kPlain, 2, &out);
    if (error == DecodeError::kNone) {
      error = DecodeParameterTypes(out.types.Of(bytes), kPlain, 2, &types);
    }
    if (error == DecodeError::kNone) {
      error = DecodeParameters(bytes, out, types, nullptr, &parameters);
    }
    return error;
  });
}

TEST(StatementExecuteTest, LimitsAndMalformed) {
  StatementExecute execute;
  EXPECT_EQ(DecodeStatementExecute(Hex("17 01000000 08 01000000 01"), kAttributes, 2, &execute),
            DecodeError::kMalformed)
      << "fewer than the statement has";
  EXPECT_EQ(
      DecodeStatementExecute(Hex("17 01000000 08 01000000 fd000001"), kAttributes, 0, &execute),
      DecodeError::kLimitExceeded);
  EXPECT_EQ(DecodeStatementExecute(Hex("03"), kPlain, 0, &execute), DecodeError::kUnexpectedType);
}

TEST(StatementExecuteTest, RebuildWithTypesOfAnotherConnection) {
  const ByteBuffer bound = Hex(kTwoParameters);
  const ByteBuffer unbound = Hex("17 01000000 01 01000000 00 00 2a00000000000000 026869");
  StatementExecute first;
  StatementExecute second;
  ASSERT_EQ(DecodeStatementExecute(bound, kPlain, 2, &first), DecodeError::kNone);
  ASSERT_EQ(DecodeStatementExecute(unbound, kPlain, 2, &second), DecodeError::kNone);
  EXPECT_FALSE(second.types_bound);
  const auto types = first.types.Of(bound);
  EXPECT_EQ(ToHex(Encoded(
                [&](ByteWriter* w) { RebuildStatementExecute(unbound, second, 0x99, types, w); })),
            ToHex(Hex("17 99000000 01 01000000 00 01 0800 fd00 2a00000000000000 026869")));
  // No types to put in; and a packet's own types win.
  EXPECT_EQ(
      ToHex(Encoded([&](ByteWriter* w) { RebuildStatementExecute(unbound, second, 1, {}, w); })),
      ToHex(unbound));
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) {
              RebuildStatementExecute(bound, first, 1, Hex("06000600"), w);
            })),
            ToHex(bound));
  const ByteBuffer attribute = Hex(kWithAttribute);
  StatementExecute third;
  ASSERT_EQ(DecodeStatementExecute(attribute, kAttributes, 2, &third), DecodeError::kNone);
  EXPECT_EQ(
      ToHex(Encoded([&](ByteWriter* w) { RebuildStatementExecute(attribute, third, 1, {}, w); })),
      ToHex(attribute));
}

TEST(StatementExecuteTest, NullsAndLongData) {
  // Nine parameters: the first NULL, the ninth sent as long data (its NULL bit means nothing).
  const ByteBuffer payload =
      Hex("17 01000000 00 01000000 0101 01 fe00 0180 0100 0100 0100 0100 0100 0100 fc00 "
          "02 03 04 05 06 07 08");
  StatementExecute execute;
  ASSERT_EQ(DecodeStatementExecute(payload, kPlain, 9, &execute), DecodeError::kNone);
  EXPECT_EQ(execute.null_bitmap.size, 2u);
  std::vector<ParameterType> types;
  ASSERT_EQ(DecodeParameterTypes(execute.types.Of(payload), kPlain, 9, &types), DecodeError::kNone);
  EXPECT_TRUE(types[1].is_unsigned);
  std::vector<Parameter> parameters;
  ASSERT_EQ(DecodeParameters(
                payload, execute, types, [](size_t i) { return i == 8; }, &parameters),
            DecodeError::kNone);
  EXPECT_TRUE(parameters[0].is_null);
  EXPECT_EQ(parameters[1].value, "\x02");
  EXPECT_EQ(parameters[7].value, "\x08");
  EXPECT_FALSE(parameters[8].is_null);
  EXPECT_TRUE(parameters[8].value.empty());
  types.pop_back();
  EXPECT_EQ(DecodeParameters(payload, execute, types, nullptr, &parameters),
            DecodeError::kMalformed);
}

TEST(BinaryValueTest, SizesByType) {
  struct Case {
    ColumnType type;
    std::string_view hex;
    size_t size;
  };
  for (const Case& c :
       {Case{ColumnType::kTiny, "01", 1}, Case{ColumnType::kYear, "e807", 2},
        Case{ColumnType::kInt24, "01000000", 4}, Case{ColumnType::kFloat, "0000803f", 4},
        Case{ColumnType::kDouble, "000000000000f03f", 8}, Case{ColumnType::kNull, "", 0},
        Case{ColumnType::kDate, "04e8070b16", 4}, Case{ColumnType::kDatetime, "00", 0},
        Case{ColumnType::kTimestamp, "0be8070b16010203a0860100", 11},
        Case{ColumnType::kTime, "0c0001000000020304a0860100", 12},
        Case{ColumnType::kNewDecimal, "04312e3530", 4}, Case{ColumnType::kJson, "027b7d", 2}}) {
    const ByteBuffer bytes = Hex(c.hex);
    ByteReader reader(bytes);
    EXPECT_EQ(ReadBinaryValue(c.type, &reader).size(), c.size) << c.hex;
    EXPECT_TRUE(reader.ok() && reader.AtEnd()) << c.hex;
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader short_reader(std::span<const uint8_t>(bytes).first(cut));
      (void)ReadBinaryValue(c.type, &short_reader);
      EXPECT_FALSE(short_reader.ok()) << c.hex << " cut at " << cut;
    }
  }
  for (const ColumnType type : {ColumnType::kTime2, ColumnType::kInvalid, ColumnType{200}}) {
    const ByteBuffer bytes = Hex("0100000000000000");
    ByteReader reader(bytes);
    (void)ReadBinaryValue(type, &reader);
    EXPECT_FALSE(reader.ok());
  }
  const ByteBuffer long_date = Hex("0d00000000000000000000000000");
  ByteReader reader(long_date);
  (void)ReadBinaryValue(ColumnType::kDate, &reader);
  EXPECT_FALSE(reader.ok());
}

TEST(StatementIdTest, ReadAndPatch) {
  ByteBuffer payload = Hex(kTwoParameters);
  uint32_t id = 0;
  ASSERT_EQ(DecodeStatementId(payload, &id), DecodeError::kNone);
  EXPECT_EQ(id, 1u);
  PatchStatementId(payload, 0x0A0B0C0D);
  ASSERT_EQ(DecodeStatementId(payload, &id), DecodeError::kNone);
  EXPECT_EQ(id, 0x0A0B0C0Du);
  ASSERT_EQ(DecodeStatementId(Hex("faffffffff8000"), &id), DecodeError::kNone);
  EXPECT_EQ(id, kLastPreparedStatement);
  EXPECT_EQ(DecodeStatementId(Hex("1600000000"), &id), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeStatementId(Hex("17000000"), &id), DecodeError::kTruncated);
}

TEST(BulkExecuteTest, ConnectorC) {
  // INSERT with 'x1', NULL, 'x3'.
  const ByteBuffer payload = PayloadOf("12000000fa010000008000fe00000278310100027833");
  BulkExecute bulk;
  ASSERT_EQ(DecodeBulkExecute(payload, 1, &bulk), DecodeError::kNone);
  EXPECT_EQ(bulk.statement_id, 1u);
  EXPECT_EQ(bulk.flags, kBulkSendTypes);
  EXPECT_EQ(ToHex(bulk.types.Of(payload)), "fe00");
  EXPECT_EQ(ToHex(bulk.rows.Of(payload)), "000278310100027833");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { RebuildBulkExecute(payload, bulk, 1, {}, w); })),
            ToHex(payload));
  ExpectCutsRefused(payload,
                    [](std::span<const uint8_t> bytes) {
                      BulkExecute out;
                      return DecodeBulkExecute(bytes, 1, &out);
                    },
                    {9, 10, 11, 12, 13, 14, 15, 16, 17});

  const ByteBuffer unbound = Hex("fa 01000000 4000 00027831");
  ASSERT_EQ(DecodeBulkExecute(unbound, 1, &bulk), DecodeError::kNone);
  EXPECT_EQ(
      ToHex(Encoded([&](ByteWriter* w) { RebuildBulkExecute(unbound, bulk, 9, Hex("fe00"), w); })),
      ToHex(Hex("fa 09000000 c000 fe00 00027831")));
  EXPECT_EQ(DecodeBulkExecute(Hex("17"), 1, &bulk), DecodeError::kUnexpectedType);
}

}  // namespace
}  // namespace bulkhead::wire
