// Golden bytes in this file: MariaDB 10.11.19, MySQL 9.7.4 and their clients, captured on a
// loopback connection.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxy/wire/handshake_messages.h"
#include "tests/wire/wire_testing.h"

namespace bulkhead::wire {
namespace {

constexpr std::string_view kMariadbGreeting =
    "640000000a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000600000073705c5a30"
    "21525a00fef7080200ff81150000000000001d0000004d543f7969236f2874364c5b006d7973716c5f6e6174697665"
    "5f70617373776f726400";
constexpr std::string_view kMysqlGreeting =
    "4b0000000a392e372e342d3200090000005b47120d254d5f2200ffffff0200ffdf15000000000000000000005d5302"
    "0f3d6c1671207f31680063616368696e675f736861325f70617373776f726400";
constexpr std::string_view kMariadbResponse =
    "cf0000018ca2bf000000100021000000000000000000000000000000000000001d000000750014c4f4f55b83d4ef6e"
    "66c6aa9f3f37e47ff90f7ee464006d7973716c5f6e61746976655f70617373776f7264007f035f6f73054c696e7578"
    "0c5f636c69656e745f6e616d650a6c69626d617269616462045f7069640532353037360f5f636c69656e745f766572"
    "73696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c"
    "0c5f7365727665725f686f7374093132372e302e302e31";
// With zstd, level 5.
constexpr std::string_view kMysqlResponse =
    "cf0000018da2bf1d00000001ff00000000000000000000000000000000000000000000007500200914ac730d93fc9b"
    "0d0188d8c68743895b320ec0f0e7b9819b321816bf46791d640063616368696e675f736861325f70617373776f7264"
    "0072045f706964053235393433095f706c6174666f726d067838365f3634035f6f73054c696e75780c5f636c69656e"
    "745f6e616d65086c69626d7973716c076f735f7573657204726f6f740f5f636c69656e745f76657273696f6e05392e"
    "372e340c70726f6772616d5f6e616d65056d7973716c05";

DecodeError DecodeGreetingOf(std::span<const uint8_t> payload) {
  ByteBuffer auth_data;
  Greeting greeting;
  return DecodeGreeting(payload, &auth_data, &greeting);
}

TEST(GreetingTest, Mariadb) {
  const ByteBuffer payload = PayloadOf(kMariadbGreeting);
  ByteBuffer auth_data;
  Greeting greeting;
  ASSERT_EQ(DecodeGreeting(payload, &auth_data, &greeting), DecodeError::kNone);
  EXPECT_EQ(greeting.server_version, "5.5.5-10.11.19-MariaDB-0+deb12u1");
  EXPECT_EQ(greeting.connection_id, 6u);
  EXPECT_EQ(ToHex(AsBytes(greeting.auth_data)), "73705c5a3021525a4d543f7969236f2874364c5b");
  EXPECT_EQ(greeting.capabilities & kMysqlCapabilityMask, 0x81FFF7FEu);
  EXPECT_EQ(greeting.capabilities & kMariadbCapabilityMask,
            kMariadbClientProgress | kMariadbClientStmtBulkOperations |
                kMariadbClientExtendedMetadata | kMariadbClientCacheMetadata);
  EXPECT_EQ(greeting.collation, 8u);
  EXPECT_EQ(greeting.status, kStatusAutocommit);
  EXPECT_EQ(greeting.auth_plugin, "mysql_native_password");
  EXPECT_TRUE(IsMariadb(greeting));
  EXPECT_EQ(StripReplicationPrefix(greeting.server_version), "10.11.19-MariaDB-0+deb12u1");
  EXPECT_EQ(ServerVersionNumber(greeting.server_version), 101119u);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeGreeting(greeting, w); })), ToHex(payload));
}

TEST(GreetingTest, Mysql) {
  const ByteBuffer payload = PayloadOf(kMysqlGreeting);
  ByteBuffer auth_data;
  Greeting greeting;
  ASSERT_EQ(DecodeGreeting(payload, &auth_data, &greeting), DecodeError::kNone);
  EXPECT_EQ(greeting.server_version, "9.7.4-2");
  EXPECT_EQ(greeting.auth_data.size(), kScrambleSize);
  EXPECT_EQ(greeting.capabilities, 0xDFFFFFFFu);
  EXPECT_EQ(greeting.auth_plugin, "caching_sha2_password");
  EXPECT_FALSE(IsMariadb(greeting));
  EXPECT_EQ(ServerVersionNumber(greeting.server_version), 90704u);
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeGreeting(greeting, w); })), ToHex(payload));
}

TEST(GreetingTest, CutAtEveryByte) {
  // Only the plugin's name may end early: some servers leave its NUL out.
  const ByteBuffer mysql = PayloadOf(kMysqlGreeting);
  const size_t name = mysql.size() - sizeof("caching_sha2_password");
  for (size_t size = 0; size < mysql.size(); ++size) {
    EXPECT_EQ(DecodeGreetingOf(std::span(mysql).first(size)) == DecodeError::kNone, size >= name)
        << size;
  }
  ByteBuffer mariadb = PayloadOf(kMariadbGreeting);
  mariadb.erase(mariadb.end() - sizeof("mysql_native_password"), mariadb.end());
  EXPECT_EQ(DecodeGreetingOf(mariadb), DecodeError::kNone);
  ExpectCutsRefused(mariadb, DecodeGreetingOf);
}

TEST(GreetingTest, RefusesOthers) {
  EXPECT_EQ(DecodeGreetingOf(Hex("ff1004546f6f")), DecodeError::kUnexpectedType);
  EXPECT_EQ(DecodeGreetingOf(Hex("09352e3000")), DecodeError::kUnsupported);
  ByteBuffer old = PayloadOf(kMysqlGreeting);
  old[1 + 8 + 4 + 8 + 1 + 1] &= 0xFD;  // PROTOCOL_41
  EXPECT_EQ(DecodeGreetingOf(old), DecodeError::kUnsupported);
}

TEST(GreetingTest, ExtendedCapabilitiesOnlyWithoutClientMysql) {
  Greeting greeting;
  greeting.server_version = "11.8.3-MariaDB";
  greeting.auth_data = "01234567890123456789";
  greeting.capabilities =
      kClientProtocol41 | kClientSecureConnection | kClientMysql | kMariadbClientCacheMetadata;
  const ByteBuffer payload = Encoded([&](ByteWriter* w) { EncodeGreeting(greeting, w); });
  ByteBuffer auth_data;
  Greeting again;
  ASSERT_EQ(DecodeGreeting(payload, &auth_data, &again), DecodeError::kNone);
  EXPECT_EQ(again.capabilities, kClientProtocol41 | kClientSecureConnection | kClientMysql);
  EXPECT_TRUE(IsMariadb(again)) << "by its version";
  EXPECT_EQ(again.auth_data, "01234567890123456789");
}

TEST(ServerVersionTest, Numbers) {
  EXPECT_EQ(ServerVersionNumber("8.0.36"), 80036u);
  EXPECT_EQ(ServerVersionNumber("5.7.44-log"), 50744u);
  EXPECT_EQ(ServerVersionNumber("5.5.5-10.6.16-MariaDB"), 100616u);
  EXPECT_EQ(ServerVersionNumber("11.8"), 110800u);
  EXPECT_EQ(ServerVersionNumber("banana"), 0u);
  EXPECT_EQ(ServerVersionNumber(""), 0u);
  EXPECT_EQ(ServerVersionNumber("99999999999.1.1"), 9990000u) << "bounded";
}

TEST(HandshakeResponseTest, ConnectorC) {
  const ByteBuffer payload = PayloadOf(kMariadbResponse);
  const Capabilities offered = 0x1D'81FFF7FEull;
  HandshakeResponse response;
  ASSERT_EQ(DecodeHandshakeResponse(payload, offered, &response), DecodeError::kNone);
  EXPECT_EQ(response.capabilities, 0x1D'00BFA28Cull);
  EXPECT_EQ(response.max_packet_size, 0x100000u);
  EXPECT_EQ(response.collation, 33u);
  EXPECT_EQ(response.user, "u");
  EXPECT_EQ(response.auth_response.size(), 20u);
  EXPECT_EQ(response.database, "d");
  EXPECT_EQ(response.auth_plugin, "mysql_native_password");
  std::vector<ConnectionAttribute> attributes;
  ASSERT_EQ(DecodeConnectionAttributes(response.connection_attributes, &attributes),
            DecodeError::kNone);
  ASSERT_EQ(attributes.size(), 7u);
  EXPECT_EQ(attributes[5].key, "program_name");
  EXPECT_EQ(attributes[5].value, "mysql");
  ByteBuffer again;
  ByteWriter writer(&again);
  ASSERT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kNone);
  EXPECT_EQ(ToHex(again), ToHex(payload));
}

TEST(HandshakeResponseTest, MysqlWithZstdLevel) {
  const ByteBuffer payload = PayloadOf(kMysqlResponse);
  HandshakeResponse response;
  ASSERT_EQ(DecodeHandshakeResponse(payload, 0xDFFFFFFF, &response), DecodeError::kNone);
  EXPECT_EQ(response.capabilities, 0x1DBFA28Du);
  EXPECT_EQ(response.auth_response.size(), 32u);
  EXPECT_EQ(response.collation, 255u);
  EXPECT_EQ(response.zstd_level, 5u);
  ByteBuffer again;
  ByteWriter writer(&again);
  ASSERT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kNone);
  EXPECT_EQ(ToHex(again), ToHex(payload));
}

TEST(HandshakeResponseTest, CutAtEveryByte) {
  const ByteBuffer payload = PayloadOf(kMysqlResponse);
  for (size_t size = 0; size < payload.size(); ++size) {
    HandshakeResponse response;
    const std::vector<uint8_t> exact(payload.begin(), payload.begin() + size);
    const DecodeError error = DecodeHandshakeResponse(exact, 0xDFFFFFFF, &response);
    // After the auth response, database and plugin may end early and all behind them be missing,
    // but connection attributes that began must be whole.
    const bool good = (size >= 67 && size <= 91) || size == payload.size() - 1;
    EXPECT_EQ(error == DecodeError::kNone, good) << size;
  }
}

TEST(HandshakeResponseTest, FieldsAreThoseThatBothHave) {
  // The client says LENENC; without it on our side the length has one byte, which can be 0xFC.
  HandshakeResponse response;
  const std::string long_response(252, 'r');
  response.capabilities = kClientProtocol41 | kClientSecureConnection | kClientConnectWithDb;
  response.user = "name";
  response.auth_response = long_response;
  response.database = "db";
  ByteBuffer payload;
  ByteWriter writer(&payload);
  ASSERT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kNone);
  payload[2] |= 0x20;  // PLUGIN_AUTH_LENENC_CLIENT_DATA
  HandshakeResponse again;
  ASSERT_EQ(DecodeHandshakeResponse(payload, response.capabilities, &again), DecodeError::kNone);
  EXPECT_EQ(again.auth_response, long_response);
  EXPECT_EQ(again.database, "db");
}

TEST(HandshakeResponseTest, LongAuthResponseNeedsLenenc) {
  HandshakeResponse response;
  const std::string long_response(300, 'r');
  response.auth_response = long_response;
  response.capabilities = kClientProtocol41 | kClientSecureConnection;
  ByteBuffer payload;
  ByteWriter writer(&payload);
  EXPECT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kMalformed);
  EXPECT_TRUE(payload.empty());
  response.capabilities |= kClientPluginAuthLenencClientData;
  ASSERT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kNone);
  HandshakeResponse again;
  ASSERT_EQ(DecodeHandshakeResponse(payload, ~0ull, &again), DecodeError::kNone);
  EXPECT_EQ(again.auth_response, long_response);
}

TEST(HandshakeResponseTest, RefusesOldClientsAndTooManyAttributes) {
  HandshakeResponse response;
  EXPECT_EQ(DecodeHandshakeResponse(Hex("85a6 000000 7500 00"), ~0ull, &response),
            DecodeError::kTruncated)
      << "4.1 and short";
  EXPECT_EQ(DecodeHandshakeResponse(Hex("85a0 000000 7500 00"), ~0ull, &response),
            DecodeError::kUnsupported);
  response = HandshakeResponse{};
  response.capabilities = kClientProtocol41 | kClientSecureConnection | kClientConnectAttrs;
  const std::string attributes(kMaxAttributesSize + 1, '\0');
  response.connection_attributes = attributes;
  ByteBuffer payload;
  ByteWriter writer(&payload);
  ASSERT_EQ(EncodeHandshakeResponse(response, &writer), DecodeError::kNone);
  EXPECT_EQ(DecodeHandshakeResponse(payload, ~0ull, &response), DecodeError::kLimitExceeded);
}

TEST(SslRequestTest, RoundTrip) {
  SslRequest request;
  request.capabilities = kClientProtocol41 | kClientSsl | kMariadbClientProgress;
  request.max_packet_size = 1 << 24;
  request.collation = 45;
  const ByteBuffer payload = Encoded([&](ByteWriter* w) { EncodeSslRequest(request, w); });
  ASSERT_EQ(payload.size(), kSslRequestSize);
  EXPECT_TRUE(IsSslRequest(payload));
  SslRequest again;
  ASSERT_EQ(DecodeSslRequest(payload, &again), DecodeError::kNone);
  EXPECT_EQ(again.capabilities, request.capabilities);
  EXPECT_EQ(again.max_packet_size, request.max_packet_size);
  EXPECT_EQ(again.collation, 45u);
  ExpectCutsRefused(payload, [](std::span<const uint8_t> bytes) {
    SslRequest out;
    EXPECT_FALSE(IsSslRequest(bytes));
    return DecodeSslRequest(bytes, &out);
  });
  EXPECT_FALSE(IsSslRequest(PayloadOf(kMysqlResponse)));
  EXPECT_EQ(DecodeSslRequest(PayloadOf(kMysqlResponse), &again), DecodeError::kUnexpectedType);
}

TEST(ConnectionAttributesTest, BoundsAndCuts) {
  ByteBuffer bytes;
  ByteWriter writer(&bytes);
  EncodeConnectionAttribute({"tenant", "acme"}, &writer);
  EncodeConnectionAttribute({"k", ""}, &writer);
  std::vector<ConnectionAttribute> attributes;
  ASSERT_EQ(DecodeConnectionAttributes(AsText(bytes), &attributes), DecodeError::kNone);
  ASSERT_EQ(attributes.size(), 2u);
  EXPECT_EQ(attributes[0].key, "tenant");
  EXPECT_EQ(attributes[0].value, "acme");
  ExpectCutsRefused(bytes,
                    [&](std::span<const uint8_t> b) {
                      return DecodeConnectionAttributes(AsText(b), &attributes);
                    },
                    {0, 12});
  const std::string many(2 * (kMaxAttributes + 1), '\0');
  EXPECT_EQ(DecodeConnectionAttributes(many, &attributes), DecodeError::kLimitExceeded);
  const std::string long_ones(kMaxAttributesSize + 1, '\0');
  EXPECT_EQ(DecodeConnectionAttributes(long_ones, &attributes), DecodeError::kLimitExceeded);
}

TEST(AuthExchangeTest, SwitchRequest) {
  const ByteBuffer payload = PayloadOf(
      "2c000002fe6d7973716c5f6e61746976655f70617373776f7264007a3a5167367569335d5a2f783332423524514c"
      "6800");
  EXPECT_EQ(ClassifyAuthReply(payload), AuthReplyKind::kAuthSwitch);
  AuthSwitchRequest request;
  ASSERT_EQ(DecodeAuthSwitchRequest(payload, &request), DecodeError::kNone);
  EXPECT_EQ(request.plugin, "mysql_native_password");
  EXPECT_EQ(request.data.size(), 21u);
  EXPECT_EQ(TrimScramble(request.data), "z:Qg6ui3]Z/x32B5$QLh");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeAuthSwitchRequest(request, w); })),
            ToHex(payload));
  for (size_t size = 0; size < payload.size(); ++size) {
    const DecodeError error = DecodeAuthSwitchRequest(std::span(payload).first(size), &request);
    EXPECT_EQ(error == DecodeError::kNone, size >= 2) << size;
  }
  EXPECT_EQ(TrimScramble(std::string(32, 'x')), std::string(32, 'x')) << "client_ed25519's";
}

TEST(AuthExchangeTest, KindsOfReplies) {
  EXPECT_EQ(ClassifyAuthReply(Hex("00")), AuthReplyKind::kOk);
  EXPECT_EQ(ClassifyAuthReply(Hex("ff1504")), AuthReplyKind::kErr);
  EXPECT_EQ(ClassifyAuthReply(Hex("fe")), AuthReplyKind::kOldAuthSwitch);
  EXPECT_EQ(ClassifyAuthReply(Hex("0104")), AuthReplyKind::kMoreData);
  EXPECT_EQ(ClassifyAuthReply(Hex("026d")), AuthReplyKind::kAuthNextFactor);
  EXPECT_EQ(ClassifyAuthReply(Hex("50")), AuthReplyKind::kPluginData);
  EXPECT_EQ(ClassifyAuthReply({}), AuthReplyKind::kEmpty);
  AuthSwitchRequest request;
  EXPECT_EQ(DecodeAuthSwitchRequest(Hex("fe"), &request), DecodeError::kUnexpectedType);
}

TEST(AuthExchangeTest, MoreData) {
  std::string_view data;
  const ByteBuffer payload = PayloadOf("020000020104");
  ASSERT_EQ(DecodeAuthMoreData(payload, &data), DecodeError::kNone);
  EXPECT_EQ(data, "\x04");
  EXPECT_EQ(ToHex(Encoded([&](ByteWriter* w) { EncodeAuthMoreData(data, w); })), ToHex(payload));
  EXPECT_EQ(DecodeAuthMoreData({}, &data), DecodeError::kTruncated);
  EXPECT_EQ(DecodeAuthMoreData(Hex("00"), &data), DecodeError::kUnexpectedType);
}

}  // namespace
}  // namespace bulkhead::wire
