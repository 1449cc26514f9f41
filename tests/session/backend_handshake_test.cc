// The client's side of a login, against what real servers sent and against servers that misbehave.
#include "proxy/session/backend_handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/wire/responses.h"
#include "tests/session/handshake_support.h"

namespace bulkhead::session {
namespace {

using auth::FromHex;
using auth::ToHex;
using Action = BackendHandshake::Action;
using Kind = BackendLoginFailure::Kind;
using ::testing::HasSubstr;

// Recorded from MariaDB 10.11.19 and MySQL 9.7.4: payloads of the servers, frames of the client
// whose login each server accepted. Password "secret", schema mysql.
constexpr std::string_view kMariadbGreeting =
    "0a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000c000000435560655b77667700"
    "fe"
    "ff080200ff81150000000000001d000000442f5d676c6a4e2777453267006d7973716c5f6e61746976655f70617373"
    "77"
    "6f726400";
constexpr std::string_view kMariadbResponse =
    "6d0000010ca2b901000000402d00000000000000000000000000000000000000180000006e0014187c929abcceb067"
    "53"
    "238f55b620c9ac89a488216d7973716c006d7973716c5f6e61746976655f70617373776f726400190c70726f677261"
    "6d"
    "5f6e616d65046c697665045f7069640131";
constexpr std::string_view kOk = "0000000240000000080106056d7973716c";
constexpr std::string_view kMariadbEd25519Greeting =
    "0a352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531000d000000212c5b6466534e6d00"
    "fe"
    "ff080200ff81150000000000001d00000058516d5028753a5e4a387770006d7973716c5f6e61746976655f70617373"
    "77"
    "6f726400";
constexpr std::string_view kMariadbEd25519Switch =
    "fe636c69656e745f6564323535313900a52f7441c4d0c014ee35b10682a12fcd357d8a88cfeccd835ce8592062aff6"
    "f3";
constexpr std::string_view kMariadbEd25519Signature =
    "40000003e87719d23da85a60335f31b790941840099e8e9c977a1d1639b9dd37c77fcb7edf380b2967bbc33cc4cb7b"
    "ce"
    "44667a981df36bffdd621115b82d9ee95f0e9403";
constexpr std::string_view kMysqlGreeting =
    "0a392e372e342d32001a0000006e117d321b44463d00ffffff0200ffdf15000000000000000000004101040474473e"
    "01"
    "157e531a0063616368696e675f736861325f70617373776f726400";
constexpr std::string_view kMysqlResponse =
    "790000010da2b901000000402d00000000000000000000000000000000000000000000006e0020e3b7914d0b9f44b9"
    "1c"
    "1c5f85070512788939824edb62a61f6e321e87da7e3df26d7973716c0063616368696e675f736861325f7061737377"
    "6f"
    "726400190c70726f6772616d5f6e616d65046c697665045f7069640131";
constexpr std::string_view kMysqlTlsGreeting =
    "0a392e372e342d3200190000001d293d6b684b6c2700ffffff0200ffdf1500000000000000000000790f106e1c7f65"
    "02"
    "3179417d0063616368696e675f736861325f70617373776f726400";
constexpr std::string_view kMysqlTlsRequest =
    "200000010daab901000000402d0000000000000000000000000000000000000000000000";
constexpr std::string_view kMysqlTlsResponse =
    "790000020daab901000000402d00000000000000000000000000000000000000000000006e0020a762696f8967e0ed"
    "9c"
    "026cc585a96d043f4e8e51b6cade015570e433a38d0c9b6d7973716c0063616368696e675f736861325f7061737377"
    "6f"
    "726400190c70726f6772616d5f6e616d65046c697665045f7069640131";

BackendLogin MakeLogin(std::string user = "n") {
  BackendLogin login;
  login.user = std::move(user);
  login.secret = auth::LoginSecret::Plaintext(auth::Secret("secret"));
  login.schema = "mysql";
  login.required = wire::kClientDeprecateEof | wire::kClientMultiStatements;
  login.optional = wire::kClientSessionTrack | wire::kMariadbClientExtendedMetadata |
                   wire::kMariadbClientCacheMetadata;
  login.tls = BackendTls::kDisabled;
  login.attributes = {{"program_name", "live"}, {"_pid", "1"}};
  return login;
}

struct Backend {
  explicit Backend(BackendLogin login = MakeLogin()) : handshake(std::move(login)) {}

  Action Receive(std::span<const uint8_t> payload, uint8_t sequence) {
    out.clear();
    return handshake.OnPacket(payload, sequence, &out);
  }
  Action Receive(std::string_view hex, uint8_t sequence) { return Receive(FromHex(hex), sequence); }
  Action ReceiveErr(uint16_t code, std::string_view message, uint8_t sequence) {
    Bytes payload;
    wire::ByteWriter writer(&payload);
    wire::EncodeErr({code, "HY000", message}, &writer);
    return Receive(payload, sequence);
  }
  [[nodiscard]] Kind kind() const { return handshake.failure().kind; }

  BackendHandshake handshake;
  wire::ByteBuffer out;
};

Bytes MakeGreeting(wire::Capabilities capabilities, std::string_view plugin,
                   std::string_view version = "8.0.36") {
  const auth::Nonce nonce = auth::CountingNonce();
  wire::Greeting greeting;
  greeting.server_version = version;
  greeting.connection_id = 7;
  greeting.auth_data = wire::AsText(nonce);
  greeting.capabilities = capabilities;
  greeting.auth_plugin = plugin;
  Bytes payload;
  wire::ByteWriter writer(&payload);
  wire::EncodeGreeting(greeting, &writer);
  return payload;
}

constexpr wire::Capabilities kServerCapabilities =
    wire::kMysqlCapabilityMask & ~wire::kClientMultiFactorAuthentication;

// --- recorded logins ---

TEST(BackendHandshakeTranscript, Mariadb) {
  Backend backend;
  ASSERT_EQ(backend.Receive(kMariadbGreeting, 0), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), kMariadbResponse);
  ASSERT_EQ(backend.Receive(kOk, 2), Action::kReady);
  const BackendLoginResult& result = backend.handshake.result();
  EXPECT_EQ(result.family, ServerFamily::kMariadb);
  EXPECT_EQ(result.server_version, "10.11.19-MariaDB-0+deb12u1");
  EXPECT_EQ(result.server_version_number, 101119u);
  EXPECT_EQ(result.thread_id, 12u);
  EXPECT_EQ(result.status, wire::kStatusAutocommit | wire::kStatusSessionStateChanged);
  EXPECT_EQ(result.plugin, auth::Plugin::kNativePassword);
  EXPECT_NE(result.capabilities & wire::kMariadbClientCacheMetadata, 0u);
  EXPECT_EQ(result.capabilities & wire::kClientMysql, 0u);
  EXPECT_FALSE(result.is_tls);
}

TEST(BackendHandshakeTranscript, MariadbByStage1) {
  BackendLogin login = MakeLogin();
  login.secret = auth::LoginSecret::NativeStage1(auth::Sha1({auth::AsBytes("secret")}));
  Backend backend(std::move(login));
  ASSERT_EQ(backend.Receive(kMariadbGreeting, 0), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), kMariadbResponse);
}

TEST(BackendHandshakeTranscript, MariadbEd25519) {
  Backend backend(MakeLogin("e"));
  ASSERT_EQ(backend.Receive(kMariadbEd25519Greeting, 0), Action::kSend);
  ASSERT_EQ(backend.Receive(kMariadbEd25519Switch, 2), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), kMariadbEd25519Signature);
  ASSERT_EQ(backend.Receive(kOk, 4), Action::kReady);
  EXPECT_EQ(backend.handshake.result().plugin, auth::Plugin::kEd25519);
}

TEST(BackendHandshakeTranscript, MysqlFast) {
  Backend backend;
  ASSERT_EQ(backend.Receive(kMysqlGreeting, 0), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), kMysqlResponse);
  ASSERT_EQ(backend.Receive("0103", 2), Action::kNeedMore);
  EXPECT_TRUE(backend.out.empty());
  ASSERT_EQ(backend.Receive(kOk, 3), Action::kReady);
  const BackendLoginResult& result = backend.handshake.result();
  EXPECT_EQ(result.family, ServerFamily::kMysql);
  EXPECT_EQ(result.server_version, "9.7.4-2");
  EXPECT_EQ(result.capabilities & wire::kMariadbCapabilityMask, 0u);
}

TEST(BackendHandshakeTranscript, MysqlFullOverTls) {
  BackendLogin login = MakeLogin();
  login.tls = BackendTls::kRequired;
  Backend backend(std::move(login));
  ASSERT_EQ(backend.Receive(kMysqlTlsGreeting, 0), Action::kStartTls);
  EXPECT_EQ(ToHex(backend.out), kMysqlTlsRequest);
  backend.out.clear();
  ASSERT_EQ(backend.handshake.OnTlsReady(&backend.out), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), kMysqlTlsResponse);
  ASSERT_EQ(backend.Receive("0104", 3), Action::kSend);
  EXPECT_EQ(ToHex(backend.out), "0700000473656372657400");
  ASSERT_EQ(backend.Receive(kOk, 5), Action::kReady);
  EXPECT_TRUE(backend.handshake.result().is_tls);
}

TEST(BackendHandshakeTranscript, CutAtEveryByte) {
  const auto cut = [](std::vector<std::pair<std::string_view, uint8_t>> packets) {
    for (size_t last = 0; last < packets.size(); ++last) {
      const Bytes whole = FromHex(packets[last].first);
      for (size_t size = 0; size < whole.size(); ++size) {
        Backend backend;
        for (size_t i = 0; i < last; ++i) {
          ASSERT_NE(backend.Receive(packets[i].first, packets[i].second), Action::kFailed);
        }
        const Action action = backend.Receive(std::span(whole).first(size), packets[last].second);
        if (action == Action::kFailed) {
          EXPECT_FALSE(backend.handshake.failure().message.empty());
          EXPECT_FALSE(backend.handshake.failure().from_server);
        } else {
          // An OK may end behind its fixed fields, a greeting behind its nonce: nothing else may.
          EXPECT_GE(size, whole[0] == 0x0A ? whole.size() - 22 : 7) << ToHex(whole) << ' ' << size;
        }
      }
    }
  };
  cut({{kMariadbGreeting, 0}, {kOk, 2}});
  cut({{kMariadbEd25519Greeting, 0}, {kMariadbEd25519Switch, 2}, {kOk, 4}});
  cut({{kMysqlGreeting, 0}, {"0103", 2}, {kOk, 3}});
}

// --- TLS ---

TEST(BackendHandshakeTls, RequiredAndNotOffered) {
  for (BackendTls tls : {BackendTls::kRequired, BackendTls::kVerify}) {
    BackendLogin login = MakeLogin();
    login.tls = tls;
    Backend backend(std::move(login));
    const Bytes greeting =
        MakeGreeting(kServerCapabilities & ~wire::kClientSsl, "caching_sha2_password");
    ASSERT_EQ(backend.Receive(greeting, 0), Action::kFailed);
    EXPECT_EQ(backend.kind(), Kind::kTlsMissing);
    EXPECT_TRUE(backend.out.empty());
  }
}

TEST(BackendHandshakeTls, PreferredTakesWhatThereIs) {
  const struct {
    bool offered, unix_socket, tls;
  } cases[] = {{false, false, false}, {true, false, true}, {true, true, false}};
  for (const auto& c : cases) {
    BackendLogin login = MakeLogin();
    login.tls = BackendTls::kPreferred;
    login.is_unix_socket = c.unix_socket;
    Backend backend(std::move(login));
    const wire::Capabilities without = c.offered ? 0 : wire::kClientSsl;
    const Bytes greeting = MakeGreeting(kServerCapabilities & ~without, "mysql_native_password");
    EXPECT_EQ(backend.Receive(greeting, 0), c.tls ? Action::kStartTls : Action::kSend);
  }
}

TEST(BackendHandshakeTls, NothingSecretBeforeIt) {
  BackendLogin login = MakeLogin("name_of_user");
  login.tls = BackendTls::kRequired;
  Backend backend(std::move(login));
  ASSERT_EQ(backend.Receive(kMysqlGreeting, 0), Action::kStartTls);
  EXPECT_EQ(Split(backend.out).size(), 1u);
  EXPECT_EQ(Split(backend.out)[0].payload.size(), wire::kSslRequestSize);
  // The server may not speak before TLS is up, unless to end it.
  EXPECT_EQ(backend.Receive("0104", 2), Action::kFailed);
}

// --- capabilities ---

TEST(BackendHandshakeCapabilities, RequiredOnesMustBeThere) {
  BackendLogin login = MakeLogin();
  login.required |= wire::kClientQueryAttributes;
  Backend backend(std::move(login));
  ASSERT_EQ(backend.Receive(kMariadbGreeting, 0), Action::kFailed);
  EXPECT_EQ(backend.kind(), Kind::kCapabilityMissing);
  EXPECT_THAT(backend.handshake.failure().message, HasSubstr("QUERY_ATTRIBUTES"));
  EXPECT_FALSE(backend.handshake.failure().from_server);

  login = MakeLogin();
  login.required |= wire::kMariadbClientCacheMetadata;
  Backend mysql(std::move(login));
  ASSERT_EQ(mysql.Receive(kMysqlGreeting, 0), Action::kFailed);
  EXPECT_EQ(mysql.kind(), Kind::kCapabilityMissing);
}

TEST(BackendHandshakeCapabilities, OnlyWhatWasAskedFor) {
  BackendLogin login = MakeLogin();
  login.required = login.optional = 0;
  login.schema.clear();
  login.attributes.clear();
  Backend backend(std::move(login));
  ASSERT_EQ(backend.Receive(kMysqlGreeting, 0), Action::kSend);
  wire::HandshakeResponse response;
  ASSERT_EQ(wire::DecodeHandshakeResponse(Split(backend.out)[0].payload, ~wire::Capabilities{0},
                                          &response),
            wire::DecodeError::kNone);
  constexpr wire::Capabilities kAllowed = wire::kConnectionOnlyBits | wire::kClientProtocol41;
  EXPECT_EQ(response.capabilities & ~kAllowed, 0u);
  EXPECT_EQ(response.capabilities & (wire::kClientConnectWithDb | wire::kClientConnectAttrs |
                                     wire::kClientCompress | wire::kClientSsl),
            0u);
  EXPECT_NE(response.capabilities & wire::kClientMysql, 0u);
}

TEST(BackendHandshakeCapabilities, ServersFromBefore41) {
  Backend backend;
  const Bytes greeting =
      MakeGreeting(kServerCapabilities & ~wire::kClientSecureConnection, "mysql_native_password");
  ASSERT_EQ(backend.Receive(greeting, 0), Action::kFailed);
  EXPECT_EQ(backend.kind(), Kind::kCapabilityMissing);
}

TEST(BackendHandshakeCapabilities, OneCompression) {
  const wire::Capabilities both = wire::kClientCompress | wire::kClientZstdCompressionAlgorithm;
  const struct {
    wire::Capabilities offered;
    std::optional<wire::CompressionAlgorithm> algorithm;
  } cases[] = {
      {both, wire::CompressionAlgorithm::kZlib},
      {wire::kClientZstdCompressionAlgorithm, wire::CompressionAlgorithm::kZstd},
      {0, std::nullopt},
  };
  for (const auto& c : cases) {
    BackendLogin login = MakeLogin();
    login.optional |= both;
    Backend backend(std::move(login));
    ASSERT_EQ(
        backend.Receive(
            MakeGreeting((kServerCapabilities & ~both) | c.offered, "mysql_native_password"), 0),
        Action::kSend);
    EXPECT_EQ(backend.handshake.result().compression, c.algorithm);
    EXPECT_NE(backend.handshake.result().capabilities & both, both);
  }
}

// --- refusals by the server ---

TEST(BackendHandshakeRefused, KindsOfErrors) {
  const struct {
    uint16_t code;
    Kind kind;
  } cases[] = {{1045, Kind::kCredentialsRefused}, {1698, Kind::kCredentialsRefused},
               {3118, Kind::kCredentialsRefused}, {1049, Kind::kSchemaRefused},
               {1044, Kind::kSchemaRefused},      {1040, Kind::kTooManyConnections},
               {1203, Kind::kTooManyConnections}, {1129, Kind::kHostRefused},
               {1130, Kind::kHostRefused},        {1053, Kind::kServer}};
  for (const auto& c : cases) {
    Backend backend;
    ASSERT_EQ(backend.Receive(kMariadbGreeting, 0), Action::kSend);
    ASSERT_EQ(backend.ReceiveErr(c.code, "no", 2), Action::kFailed);
    EXPECT_EQ(backend.kind(), c.kind) << c.code;
    EXPECT_TRUE(backend.handshake.failure().from_server);
    EXPECT_EQ(backend.handshake.failure().code, c.code);
    EXPECT_EQ(backend.handshake.failure().sqlstate, "HY000");
    EXPECT_EQ(backend.handshake.failure().message, "no");
    EXPECT_EQ(backend.Receive(kOk, 3), Action::kFailed);
  }
}

TEST(BackendHandshakeRefused, BeforeTheGreetingWithoutSqlstate) {
  Bytes payload;
  wire::ByteWriter writer(&payload);
  wire::EncodeErrWithoutSqlstate(1040, "Too many connections", &writer);
  Backend backend;
  ASSERT_EQ(backend.Receive(payload, 0), Action::kFailed);
  EXPECT_EQ(backend.kind(), Kind::kTooManyConnections);
  EXPECT_EQ(backend.handshake.failure().message, "Too many connections");
}

// --- servers that misbehave ---

TEST(BackendHandshakeProtocol, NotAGreeting) {
  for (std::string_view hex : {"", "00", "09", "0b382e3000", "0103", "fe"}) {
    Backend backend;
    EXPECT_EQ(backend.Receive(hex, 0), Action::kFailed) << hex;
    EXPECT_EQ(backend.kind(), Kind::kProtocol);
  }
  Backend sequence;
  EXPECT_EQ(sequence.Receive(kMariadbGreeting, 1), Action::kFailed);
}

TEST(BackendHandshakeProtocol, NotAnAnswer) {
  const struct {
    std::string_view hex;
    uint8_t sequence;
    Kind kind;
  } cases[] = {
      {"", 2, Kind::kProtocol},
      {"05", 2, Kind::kProtocol},
      {kOk, 3, Kind::kProtocol},     // wrong sequence number
      {"0000", 2, Kind::kProtocol},  // half an OK
      {"ff15", 2, Kind::kProtocol},  // half an ERR
      {"fe", 2, Kind::kCredentialsRefused},
      {"026100", 2, Kind::kCredentialsRefused},
      {"0103", 2, Kind::kCredentialsRefused},  // native expects nothing more
      {"fe7878780000", 2, Kind::kCredentialsRefused},
  };
  for (const auto& c : cases) {
    Backend backend;
    ASSERT_EQ(backend.Receive(kMariadbGreeting, 0), Action::kSend);
    EXPECT_EQ(backend.Receive(c.hex, c.sequence), Action::kFailed) << c.hex;
    EXPECT_EQ(backend.kind(), c.kind) << c.hex;
    EXPECT_TRUE(backend.out.empty());
  }
}

TEST(BackendHandshakeProtocol, SwitchesOnce) {
  Backend backend;
  ASSERT_EQ(backend.Receive(kMariadbEd25519Greeting, 0), Action::kSend);
  ASSERT_EQ(backend.Receive(kMariadbEd25519Switch, 2), Action::kSend);
  EXPECT_EQ(backend.Receive(kMariadbEd25519Switch, 4), Action::kFailed);
}

TEST(BackendHandshakeProtocol, ClearPasswordIsNotSentUnasked) {
  // A switch to mysql_clear_password, without TLS although it is allowed.
  const std::string_view to_clear = "fe6d7973716c5f636c6561725f70617373776f726400";
  BackendLogin login = MakeLogin();
  login.allow_clear_password = true;
  Backend plain(std::move(login));
  ASSERT_EQ(plain.Receive(kMariadbGreeting, 0), Action::kSend);
  ASSERT_EQ(plain.Receive(to_clear, 2), Action::kFailed);
  EXPECT_EQ(plain.kind(), Kind::kCredentialsRefused);
  EXPECT_TRUE(plain.out.empty());

  // The full exchange of caching_sha2_password, without TLS and without leave to ask for a key.
  Backend sha2;
  ASSERT_EQ(sha2.Receive(kMysqlGreeting, 0), Action::kSend);
  ASSERT_EQ(sha2.Receive("0104", 2), Action::kFailed);
  EXPECT_TRUE(sha2.out.empty());
}

TEST(BackendHandshakeProtocol, KeepsNothingSecretInTheFailure) {
  Backend backend;
  ASSERT_EQ(backend.Receive(kMysqlGreeting, 0), Action::kSend);
  ASSERT_EQ(backend.Receive("0104", 2), Action::kFailed);
  EXPECT_THAT(backend.handshake.failure().message, ::testing::Not(HasSubstr("secret")));
}

// --- COM_CHANGE_USER ---

TEST(BackendHandshakeChangeUser, ProvesOverAFreshNonceOnly) {
  Backend first;
  ASSERT_EQ(first.Receive(kMariadbGreeting, 0), Action::kSend);
  ASSERT_EQ(first.Receive(kOk, 2), Action::kReady);
  Backend change(MakeLogin("e"));
  ASSERT_EQ(change.handshake.StartChangeUser(first.handshake.result(), &change.out), Action::kSend);
  const std::vector<Packet> packets = Split(change.out);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].sequence, 0);
  // COM_CHANGE_USER, user, no auth response.
  EXPECT_EQ(ToHex(std::span(packets[0].payload).first(4)), "11650000");
  ASSERT_EQ(change.Receive(kMariadbEd25519Switch, 1), Action::kSend);
  EXPECT_EQ(ToHex(std::span(change.out).subspan(4)), kMariadbEd25519Signature.substr(8));
  ASSERT_EQ(change.Receive(kOk, 3), Action::kReady);
  EXPECT_EQ(change.handshake.result().thread_id, 12u);
  EXPECT_EQ(change.handshake.result().server_version_number, 101119u);
}

}  // namespace
}  // namespace bulkhead::session
