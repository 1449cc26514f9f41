// Golden bytes in this file: what MariaDB Connector/C 3.3 and MySQL 9.7's client sent, or what
// MariaDB 10.11.19 and MySQL 9.7.4 were sent and took.
#include "proxy/wire/commands.h"

#include <gtest/gtest.h>

#include <string>

#include "proxy/wire/handshake_messages.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr Capabilities kPlain = kClientProtocol41;
constexpr Capabilities kAttributes = kPlain | kClientQueryAttributes;

TEST(QueryTest, WithoutAttributes) {
  const ByteBuffer payload = PayloadOf("09000000037365742040783d31");
  QueryCommand query;
  ASSERT_EQ(DecodeQuery(payload, kPlain, &query), DecodeError::kNone);
  EXPECT_EQ(query.sql, "set @x=1");
  EXPECT_EQ(query.sql_offset, 1u);
  EXPECT_TRUE(query.attributes.empty());
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeQuery("set @x=1", kPlain, w); })),
            ToHex(payload));
}

TEST(QueryTest, MysqlClientWithoutAttributes) {
  const ByteBuffer payload = PayloadOf("0b0000000300017365742040783d31");
  QueryCommand query;
  ASSERT_EQ(DecodeQuery(payload, kAttributes, &query), DecodeError::kNone);
  EXPECT_EQ(query.sql, "set @x=1");
  EXPECT_EQ(query.sql_offset, 3u);
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeQuery("set @x=1", kAttributes, w); })),
            ToHex(payload));
}

TEST(QueryTest, WithAttributes) {
  // n1 = 'v1' (STRING), n2 = -1 (LONGLONG), n3 = NULL; the values come after all types.
  const ByteBuffer payload = Hex(
      "03 03 01 04 01 fe00026e31 0800026e32 fe00026e33 027631 ffffffffffffffff 53454c4543542031");
  QueryCommand query;
  ASSERT_EQ(DecodeQuery(payload, kAttributes, &query), DecodeError::kNone);
  EXPECT_EQ(query.sql, "SELECT 1");
  ASSERT_EQ(query.attributes.size(), 3u);
  EXPECT_EQ(query.attributes[0].type.name, "n1");
  EXPECT_EQ(query.attributes[0].value, "v1");
  EXPECT_EQ(query.attributes[1].type.type, ColumnType::kLongLong);
  EXPECT_EQ(query.attributes[1].value, std::string(8, '\xFF'));
  EXPECT_TRUE(query.attributes[2].is_null);
  size_t offset = 0;
  EXPECT_EQ(FindQueryText(payload, kAttributes, &offset), DecodeError::kNone);
  EXPECT_EQ(offset, query.sql_offset);
  // Cut anywhere before the text: refused. In the text: the text is what there is.
  for (size_t size = 0; size < payload.size(); ++size) {
    const DecodeError error = FindQueryText(std::span(payload).first(size), kAttributes, &offset);
    EXPECT_EQ(error == DecodeError::kNone, size >= query.sql_offset) << size;
    QueryCommand cut;
    EXPECT_EQ(DecodeQuery(std::span(payload).first(size), kAttributes, &cut), error) << size;
  }
}

TEST(QueryTest, RefusesMalformedAttributes) {
  size_t offset = 0;
  EXPECT_EQ(FindQueryText(Hex("03 00 02 53"), kAttributes, &offset), DecodeError::kMalformed);
  EXPECT_EQ(FindQueryText(Hex("03 fd000001 01"), kAttributes, &offset),
            DecodeError::kLimitExceeded);
  EXPECT_EQ(FindQueryText(Hex("03 01 01 00 00 53"), kAttributes, &offset), DecodeError::kMalformed)
      << "no types";
  EXPECT_NE(FindQueryText(Hex("03 01 01 00 01 110000 00"), kAttributes, &offset),
            DecodeError::kNone)
      << "a type that is not sent";
  EXPECT_EQ(FindQueryText(Hex("16"), kPlain, &offset), DecodeError::kUnexpectedType);
}

TEST(CommandsTest, TextOnly) {
  std::string_view text;
  const ByteBuffer init_db = PayloadOf("06000000026d7973716c");
  ASSERT_EQ(DecodeInitDb(init_db, &text), DecodeError::kNone);
  EXPECT_EQ(text, "mysql");
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeInitDb("mysql", w); })), "026d7973716c");
  const ByteBuffer prepare =
      PayloadOf("1b00000016696e7365727420696e746f20742876292076616c756573283f29");
  ASSERT_EQ(DecodeStatementPrepare(prepare, &text), DecodeError::kNone);
  EXPECT_EQ(text, "insert into t(v) values(?)");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeStatementPrepare(text, w); })),
            ToHex(prepare));
  EXPECT_EQ(DecodeStatementPrepare(Hex("17"), &text), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeInitDb({}, &text), DecodeError::kTruncated);
}

TEST(CommandsTest, CloseResetKill) {
  const ByteBuffer close = PayloadOf("050000001901000000");
  uint32_t id = 0;
  ASSERT_EQ(DecodeStatementClose(close, &id), DecodeError::kNone);
  EXPECT_EQ(id, 1u);
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeStatementClose(1, w); })), ToHex(close));
  ExpectCutsRefused(close,
                    [&](std::span<const uint8_t> b) { return DecodeStatementClose(b, &id); });
  const ByteBuffer reset = Encoded([](ByteWriter* w) { EncodeStatementReset(0x01020304, w); });
  EXPECT_EQ(ToHex(reset), "1a04030201");
  ASSERT_EQ(DecodeStatementReset(reset, &id), DecodeError::kNone);
  EXPECT_EQ(id, 0x01020304u);
  const ByteBuffer kill = Encoded([](ByteWriter* w) { EncodeProcessKill(7, w); });
  EXPECT_EQ(ToHex(kill), "0c07000000");
  ASSERT_EQ(DecodeProcessKill(kill, &id), DecodeError::kNone);
  EXPECT_EQ(id, 7u);
  ExpectCutsRefused(kill, [&](std::span<const uint8_t> b) { return DecodeProcessKill(b, &id); });
}

TEST(CommandsTest, FetchAndLongData) {
  const ByteBuffer fetch = Encoded([](ByteWriter* w) { EncodeStatementFetch({5, 100}, w); });
  EXPECT_EQ(ToHex(fetch), "1c0500000064000000");
  StatementFetch out;
  ASSERT_EQ(DecodeStatementFetch(fetch, &out), DecodeError::kNone);
  EXPECT_EQ(out.statement_id, 5u);
  EXPECT_EQ(out.rows, 100u);
  ExpectCutsRefused(fetch,
                    [&](std::span<const uint8_t> b) { return DecodeStatementFetch(b, &out); });
  const ByteBuffer data = Encoded([](ByteWriter* w) {
    EncodeStatementSendLongData({5, 1, "abc"}, w);
  });
  EXPECT_EQ(ToHex(data), "18050000000100616263");
  StatementSendLongData long_data;
  ASSERT_EQ(DecodeStatementSendLongData(data, &long_data), DecodeError::kNone);
  EXPECT_EQ(long_data.parameter, 1u);
  EXPECT_EQ(long_data.data, "abc");
  ExpectCutsRefused(
      data, [&](std::span<const uint8_t> b) { return DecodeStatementSendLongData(b, &long_data); },
      {7, 8, 9});
}

TEST(CommandsTest, SetOption) {
  SetOption option;
  ASSERT_EQ(DecodeSetOption(Hex("1b0100"), &option), DecodeError::kNone);
  EXPECT_EQ(option, SetOption::kMultiStatementsOff);
  EXPECT_EQ(
      ToHex(Encoded([](ByteWriter* w) { EncodeSetOption(SetOption::kMultiStatementsOn, w); })),
      "1b0000");
  EXPECT_EQ(DecodeSetOption(Hex("1b0200"), &option), DecodeError::kMalformed);
  EXPECT_EQ(DecodeSetOption(Hex("1b01"), &option), DecodeError::kTruncated);
}

TEST(CommandsTest, FieldList) {
  FieldListCommand field_list;
  const ByteBuffer payload = Hex("047400");
  ASSERT_EQ(DecodeFieldList(payload, &field_list), DecodeError::kNone);
  EXPECT_EQ(field_list.table, "t");
  EXPECT_EQ(field_list.wildcard, "");
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeFieldList({"t", "a%"}, w); })), "0474006125");
  EXPECT_EQ(DecodeFieldList(Hex("0474"), &field_list), DecodeError::kTruncated);
}

TEST(ChangeUserTest, ConnectorC) {
  const ByteBuffer payload = PayloadOf(
      "9e00000011750014b44d99cbd8a4a06e4ab1f1cd58ec6ac2e75bd7ae64002d006d7973716c5f6e61746976655f70"
      "617373776f7264006b035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f70"
      "696404313137310f5f636c69656e745f76657273696f6e06332e332e3230095f706c6174666f726d067838365f36"
      "340c5f7365727665725f686f7374093132372e302e302e31");
  const Capabilities capabilities =
      kPlain | kClientSecureConnection | kClientPluginAuth | kClientConnectAttrs;
  ChangeUserCommand command;
  ASSERT_EQ(DecodeChangeUser(payload, capabilities, &command), DecodeError::kNone);
  EXPECT_EQ(command.user, "u");
  EXPECT_EQ(command.auth_response.size(), 20u);
  EXPECT_EQ(command.database, "d");
  EXPECT_EQ(command.collation, 45u);
  EXPECT_EQ(command.auth_plugin, "mysql_native_password");
  std::vector<ConnectionAttribute> attributes;
  ASSERT_EQ(DecodeConnectionAttributes(command.connection_attributes, &attributes),
            DecodeError::kNone);
  ASSERT_EQ(attributes.size(), 6u);
  EXPECT_EQ(attributes[1].key, "_client_name");
  EXPECT_EQ(attributes[1].value, "libmariadb");
  ByteBuffer again;
  ByteWriter writer(&again);
  ASSERT_EQ(EncodeChangeUser(command, capabilities, &writer), DecodeError::kNone);
  EXPECT_EQ(ToHex(again), ToHex(payload));

  // The database may end with the packet, cut or not; then the plugin's name, cut or not; then its
  // attributes may be missing, but not cut. Half a collation is none.
  for (size_t size = 0; size < payload.size(); ++size) {
    const DecodeError error =
        DecodeChangeUser(std::span(payload).first(size), capabilities, &command);
    const bool good = (size >= 24 && size <= 26) || (size >= 28 && size <= 50);
    EXPECT_EQ(error == DecodeError::kNone, good) << size;
  }
}

TEST(ChangeUserTest, ShortForms) {
  ChangeUserCommand command;
  ASSERT_EQ(DecodeChangeUser(Hex("11 7500 00 00"), kPlain | kClientSecureConnection, &command),
            DecodeError::kNone);
  EXPECT_FALSE(command.has_collation);
  EXPECT_EQ(command.database, "");
  command.auth_response = std::string_view("01234567890123456789");
  const std::string long_response(256, 'x');
  command.auth_response = long_response;
  ByteBuffer out;
  ByteWriter writer(&out);
  EXPECT_EQ(EncodeChangeUser(command, kPlain | kClientSecureConnection, &writer),
            DecodeError::kMalformed);
  EXPECT_TRUE(out.empty());
}

TEST(CommandsTest, NamesAndSilentCommands) {
  EXPECT_EQ(CommandName(0x03), "COM_QUERY");
  EXPECT_EQ(CommandName(0xFA), "COM_STMT_BULK_EXECUTE");
  EXPECT_EQ(CommandName(0x55), "");
  int silent = 0;
  for (int byte = 0; byte < 256; ++byte) silent += HasNoResponse(static_cast<uint8_t>(byte));
  EXPECT_EQ(silent, 3);
  EXPECT_EQ(ToHex(Encoded([](ByteWriter* w) { EncodeBareCommand(Command::kPing, w); })), "0e");
}

}  // namespace
}  // namespace bulkhead::wire
