// The server's side of a login, against packets that real clients sent.
#include "proxy/session/client_handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/wire/commands.h"
#include "tests/session/client_handshake_support.h"

namespace bulkhead::session {
namespace {

using auth::FromHex;
using Action = ClientHandshake::Action;

// --- greeting ---

TEST(ClientHandshakeGreeting, OfMysqlFamily) {
  auto options = TestOptions();
  options->capabilities |= wire::kMariadbClientCacheMetadata | wire::kClientSsl;
  Login login(options);
  wire::ByteBuffer nonce;
  wire::Greeting greeting;
  const std::vector<Packet> packets = Split(login.greeting);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].sequence, 0);
  ASSERT_EQ(wire::DecodeGreeting(packets[0].payload, &nonce, &greeting), wire::DecodeError::kNone);
  EXPECT_EQ(greeting.server_version, "8.0.36-bulkhead");
  EXPECT_EQ(greeting.connection_id, 42u);
  EXPECT_EQ(wire::AsText(nonce), wire::AsText(TestNonces().greeting));
  EXPECT_EQ(greeting.auth_plugin, "caching_sha2_password");
  EXPECT_EQ(greeting.capabilities, kTestCapabilities | wire::kClientMysql |
                                       wire::kClientProtocol41 | wire::kClientSecureConnection |
                                       wire::kClientPluginAuth);
  EXPECT_EQ(greeting.status, wire::kStatusAutocommit);
}

TEST(ClientHandshakeGreeting, OfMariadbFamily) {
  auto options = TestOptions();
  options->family = ServerFamily::kMariadb;
  options->server_version = "5.5.5-10.11.6-MariaDB";
  options->default_plugin = auth::Plugin::kNativePassword;
  options->capabilities |= wire::kMariadbClientCacheMetadata | wire::kClientMysql;
  options->tls_available = true;
  Login login(options);
  wire::ByteBuffer nonce;
  wire::Greeting greeting;
  const std::vector<Packet> packets = Split(login.greeting);
  ASSERT_EQ(packets.size(), 1u);
  ASSERT_EQ(wire::DecodeGreeting(packets[0].payload, &nonce, &greeting), wire::DecodeError::kNone);
  EXPECT_TRUE(wire::IsMariadb(greeting));
  EXPECT_EQ(greeting.capabilities & wire::kClientMysql, 0u);
  EXPECT_NE(greeting.capabilities & wire::kClientSsl, 0u);
  EXPECT_NE(greeting.capabilities & wire::kMariadbClientCacheMetadata, 0u);
  EXPECT_EQ(greeting.auth_plugin, "mysql_native_password");
}

// --- what real clients send ---

TEST(ClientHandshakeTranscript, MariadbClient) {
  Login login;
  ASSERT_EQ(login.Send(FromHex(kMariadbClient)), Action::kAccepted);
  EXPECT_EQ(Split(login.out).size(), 1u);  // fast_auth_success
  LoginResult result = login.handshake.TakeResult();
  EXPECT_EQ(result.user_as_given, "plain@acme");
  EXPECT_EQ(result.tenant, "acme");
  ASSERT_NE(result.record, nullptr);
  EXPECT_EQ(result.record->name, "plain");
  EXPECT_EQ(result.schema, "x");
  EXPECT_EQ(result.collation, 33);
  EXPECT_EQ(result.plugin, auth::Plugin::kCachingSha2);
  EXPECT_EQ(result.secret.password(), "secret");
  EXPECT_EQ(result.compression, std::nullopt);
  ASSERT_EQ(result.attributes.size(), 7u);
  EXPECT_EQ(result.attributes[1],
            (std::pair<std::string, std::string>("_client_name", "libmariadb")));
  EXPECT_EQ(result.capabilities & ~login.offered, 0u);
  EXPECT_NE(result.capabilities & wire::kClientMultiStatements, 0u);

  wire::ByteBuffer out;
  login.handshake.WriteOk({}, result.capabilities, &out);
  const std::vector<Packet> packets = Split(out);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].sequence, 3);  // behind fast_auth_success
  EXPECT_EQ(packets[0].payload[0], wire::kOkHeader);
}

TEST(ClientHandshakeTranscript, MariadbClientToMariadbFamily) {
  auto options = TestOptions();
  options->family = ServerFamily::kMariadb;
  options->default_plugin = auth::Plugin::kNativePassword;
  options->capabilities |=
      wire::kMariadbClientCacheMetadata | wire::kMariadbClientStmtBulkOperations;
  Login login(options);
  ASSERT_EQ(login.Send(FromHex(kMariadbClientToMariadb)), Action::kAccepted);
  EXPECT_TRUE(login.out.empty());
  LoginResult result = login.handshake.TakeResult();
  EXPECT_EQ(result.user_as_given, "native");
  EXPECT_EQ(result.tenant, "");
  EXPECT_EQ(result.capabilities & wire::kMariadbCapabilityMask,
            wire::kMariadbClientCacheMetadata | wire::kMariadbClientStmtBulkOperations);
  EXPECT_EQ(result.secret.kind(), auth::LoginSecret::Kind::kNativeStage1);
}

TEST(ClientHandshakeTranscript, MariadbClientWithEd25519) {
  Login login;
  ASSERT_EQ(login.Send(FromHex(kMariadbClientEd25519)), Action::kSend);
  const std::vector<Packet> packets = Split(login.out);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(wire::AsText(packets[0].payload),
            std::string("\xFE") + "client_ed25519" + std::string(1, '\0') + std::string(32, 'Z'));
  ASSERT_EQ(login.Send(FromHex(kMariadbClientEd25519Signature)), Action::kAccepted);
  EXPECT_EQ(login.jobs, 1);
  EXPECT_EQ(login.handshake.TakeResult().secret.kind(), auth::LoginSecret::Kind::kNone);
}

TEST(ClientHandshakeTranscript, MysqlClient) {
  Login login;
  ASSERT_EQ(login.Send(FromHex(kMysqlClient)), Action::kAccepted);
  LoginResult result = login.handshake.TakeResult();
  EXPECT_EQ(result.user_as_given, "plain@acme");
  EXPECT_EQ(result.collation, 255);
  EXPECT_EQ(result.attributes.size(), 7u);
}

// --- TLS ---

TEST(ClientHandshakeTls, RequestThenResponse) {
  auto options = TestOptions();
  options->tls_available = options->tls_required = true;
  Login login(options);
  Bytes request;
  wire::ByteWriter writer(&request);
  wire::EncodeSslRequest({wire::kClientProtocol41 | wire::kClientSsl, 1 << 24, 45}, &writer);
  ASSERT_EQ(login.Send(request), Action::kStartTls);
  EXPECT_TRUE(login.out.empty());
  Response response = RightResponse();
  response.capabilities |= wire::kClientSsl;
  ASSERT_EQ(login.Send(response.Encode()), Action::kAccepted);
  EXPECT_NE(login.handshake.TakeResult().capabilities & wire::kClientSsl, 0u);
}

TEST(ClientHandshakeTls, NotOfferedOrTwice) {
  Bytes request;
  wire::ByteWriter writer(&request);
  wire::EncodeSslRequest({wire::kClientProtocol41 | wire::kClientSsl, 1 << 24, 45}, &writer);
  Login not_offered;
  EXPECT_EQ(not_offered.Send(request), Action::kRefused);
  EXPECT_EQ(LastError(not_offered.out).code, 1043);
  auto options = TestOptions();
  options->tls_available = true;
  Login twice(options);
  ASSERT_EQ(twice.Send(request), Action::kStartTls);
  EXPECT_EQ(twice.Send(request), Action::kRefused);
}

TEST(ClientHandshakeTls, RequiredButNotOnAUnixSocket) {
  auto options = TestOptions();
  options->tls_available = options->tls_required = true;
  Login tcp(options);
  ASSERT_EQ(tcp.Send(RightResponse().Encode()), Action::kRefused);
  EXPECT_EQ(LastError(tcp.out).code, 3159);
  ClientTransport socket = PlainTransport();
  socket.is_unix_socket = true;
  Login unix_socket(options, socket);
  EXPECT_EQ(unix_socket.Send(RightResponse().Encode()), Action::kAccepted);
}

// --- agreements ---

TEST(ClientHandshakeAgreement, OneCompression) {
  auto options = TestOptions();
  options->capabilities |= wire::kClientCompress | wire::kClientZstdCompressionAlgorithm;
  const struct {
    wire::Capabilities asked, agreed;
    std::optional<wire::CompressionAlgorithm> algorithm;
  } cases[] = {
      {0, 0, std::nullopt},
      {wire::kClientCompress, wire::kClientCompress, wire::CompressionAlgorithm::kZlib},
      {wire::kClientZstdCompressionAlgorithm, wire::kClientZstdCompressionAlgorithm,
       wire::CompressionAlgorithm::kZstd},
      {wire::kClientCompress | wire::kClientZstdCompressionAlgorithm, wire::kClientCompress,
       wire::CompressionAlgorithm::kZlib},
  };
  for (const auto& c : cases) {
    Login login(options);
    Response response = RightResponse();
    response.capabilities |= c.asked;
    ASSERT_EQ(login.Send(response.Encode()), Action::kAccepted);
    const LoginResult result = login.handshake.TakeResult();
    EXPECT_EQ(result.compression, c.algorithm);
    EXPECT_EQ(result.capabilities & (wire::kClientCompress | wire::kClientZstdCompressionAlgorithm),
              c.agreed);
    EXPECT_EQ(result.zstd_level, c.algorithm == wire::CompressionAlgorithm::kZstd ? 7 : 0);
  }
  Login not_offered;
  Response response = RightResponse();
  response.capabilities |= wire::kClientCompress;
  ASSERT_EQ(not_offered.Send(response.Encode()), Action::kAccepted);
  EXPECT_EQ(not_offered.handshake.TakeResult().compression, std::nullopt);
}

TEST(ClientHandshakeAgreement, NotMoreThanWasOffered) {
  Login login;
  Response response = RightResponse();
  response.capabilities |=
      wire::kClientQueryAttributes | wire::kClientSsl | wire::kClientOptionalResultsetMetadata;
  ASSERT_EQ(login.Send(response.Encode()), Action::kAccepted);
  EXPECT_EQ(login.handshake.TakeResult().capabilities,
            RightResponse().capabilities & login.offered);
}

TEST(ClientHandshakeAgreement, EmptyPassword) {
  Response response;
  response.user = "empty";
  Login login;
  EXPECT_EQ(login.Send(response.Encode()), Action::kAccepted);
}

// --- COM_CHANGE_USER ---

constexpr wire::Capabilities kAgreed = wire::kClientMysql | wire::kClientProtocol41 |
                                       wire::kClientSecureConnection | wire::kClientPluginAuth |
                                       wire::kClientConnectAttrs | wire::kClientDeprecateEof;

Bytes ChangeUser(std::string_view user, std::span<const uint8_t> auth_response,
                 std::string_view plugin = "mysql_native_password",
                 wire::Capabilities capabilities = kAgreed) {
  wire::ChangeUserCommand command;
  command.user = user;
  command.auth_response = wire::AsText(auth_response);
  command.database = "other";
  command.has_collation = true;
  command.collation = 309;
  command.auth_plugin = plugin;
  Bytes payload;
  wire::ByteWriter writer(&payload);
  EXPECT_EQ(wire::EncodeChangeUser(command, capabilities, &writer), wire::DecodeError::kNone);
  return payload;
}

TEST(ClientHandshakeChangeUser, SwitchesFirst) {
  TestPolicy policy;
  for (const char* user : {"plain@acme", "native", "nobody"}) {
    for (const char* plugin : {"mysql_native_password", "caching_sha2_password"}) {
      for (bool right : {true, false}) {
        const bool native = plugin[0] == 'm' || std::string_view(user) == "native";
        policy.decoy_like = "plain";
        ClientHandshake handshake(TestOptions(), 42, TestNonces(), &policy, PlainTransport());
        wire::ByteBuffer out;
        ASSERT_EQ(handshake.StartChangeUser(
                      ChangeUser(user, NativeScramble("secret", TestNonces().greeting), plugin), 0,
                      kAgreed, &out),
                  Action::kSend);
        const std::vector<Packet> packets = Split(out);
        ASSERT_EQ(packets.size(), 1u);
        EXPECT_EQ(packets[0].sequence, 1);
        wire::AuthSwitchRequest request;
        ASSERT_EQ(wire::DecodeAuthSwitchRequest(packets[0].payload, &request),
                  wire::DecodeError::kNone);
        EXPECT_EQ(request.plugin, native ? "mysql_native_password" : "caching_sha2_password");
        const auth::Nonce nonce = native ? TestNonces().greeting : TestNonces().for_switch;
        EXPECT_EQ(wire::TrimScramble(request.data), wire::AsText(nonce));
        out.clear();
        const char* password = right ? "secret" : "wrong";
        const Action action = handshake.OnPacket(
            native ? NativeScramble(password, nonce) : Sha2Scramble(password, nonce), 2, &out);
        if (!right || std::string_view(user) == "nobody") {
          ASSERT_EQ(action, Action::kRefused);
          EXPECT_EQ(LastError(out).code, 1045);
          continue;
        }
        ASSERT_EQ(action, Action::kAccepted);
        const LoginResult result = handshake.TakeResult();
        EXPECT_EQ(result.user_as_given, user);
        EXPECT_EQ(result.schema, "other");
        EXPECT_EQ(result.collation, 309);
        EXPECT_EQ(result.capabilities, kAgreed);
        EXPECT_EQ(result.nonce, nonce);
      }
    }
  }
}

TEST(ClientHandshakeChangeUser, OldClientsScrambleWithTheLastNonce) {
  const wire::Capabilities agreed =
      wire::kClientMysql | wire::kClientProtocol41 | wire::kClientSecureConnection;
  TestPolicy policy;
  ClientHandshake handshake(TestOptions(), 42, TestNonces(), &policy, PlainTransport());
  wire::ByteBuffer out;
  EXPECT_EQ(handshake.StartChangeUser(
                ChangeUser("native", NativeScramble("secret", TestNonces().greeting), "", agreed),
                0, agreed, &out),
            Action::kAccepted);
  EXPECT_TRUE(out.empty());
}

TEST(ClientHandshakeChangeUser, CutAtEveryByte) {
  const Bytes whole = ChangeUser("plain", NativeScramble("secret", TestNonces().greeting));
  TestPolicy policy;
  for (size_t size = 0; size < whole.size(); ++size) {
    ClientHandshake handshake(TestOptions(), 42, TestNonces(), &policy, PlainTransport());
    wire::ByteBuffer out;
    const Action action = handshake.StartChangeUser(std::span(whole).first(size), 0, kAgreed, &out);
    EXPECT_NE(action, Action::kAccepted);
    if (action == Action::kRefused) {
      EXPECT_NE(LastError(out).code, 0);
    }
    if (size < 1 + 6 + 1 + 20) {
      EXPECT_EQ(action, Action::kRefused) << size;
    }
  }
}

}  // namespace
}  // namespace bulkhead::session
