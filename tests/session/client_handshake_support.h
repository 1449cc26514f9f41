// One login at the server's side, step by step, and packets that real clients sent.
#ifndef BULKHEAD_TESTS_SESSION_CLIENT_HANDSHAKE_SUPPORT_H_
#define BULKHEAD_TESTS_SESSION_CLIENT_HANDSHAKE_SUPPORT_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/auth/caching_sha2.h"
#include "proxy/session/client_handshake.h"
#include "tests/session/handshake_support.h"

namespace bulkhead::session {

// Sent by real clients to a greeting whose nonce was that of TestNonces(); password "secret".
// MariaDB's mysql, Connector/C 3.3.20: user plain@acme, database x, caching_sha2_password.
inline constexpr std::string_view kMariadbClient =
    "8da2bf0000001000210000000000000000000000000000000000000000000000706c61696e4061636d650020d721e1"
    "83"
    "c1f036a196c1389201b8d53f38064a16f1d0923683ab886763152d75780063616368696e675f736861325f70617373"
    "77"
    "6f7264007f035f6f73054c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f706964053238"
    "38"
    "30300f5f636c69656e745f76657273696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f67"
    "72"
    "616d5f6e616d65056d7973716c0c5f7365727665725f686f7374093132372e302e302e31";
// The same, to a greeting of the MariaDB family: user native, database x, mysql_native_password.
inline constexpr std::string_view kMariadbClientToMariadb =
    "8ca2bf00000010002100000000000000000000000000000000000000140000006e6174697665001428441590674285"
    "e7"
    "d03cae7af237504797f70e9178006d7973716c5f6e61746976655f70617373776f7264007f035f6f73054c696e7578"
    "0c"
    "5f636c69656e745f6e616d650a6c69626d617269616462045f7069640532383832340f5f636c69656e745f76657273"
    "69"
    "6f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d7973716c0c5f"
    "73"
    "65727665725f686f7374093132372e302e302e31";
// The same as user ed, and its answer to the switch to client_ed25519.
inline constexpr std::string_view kMariadbClientEd25519 =
    "85a2bf000000100021000000000000000000000000000000000000000000000065640020d721e183c1f036a196c138"
    "92"
    "01b8d53f38064a16f1d0923683ab886763152d7563616368696e675f736861325f70617373776f7264007f035f6f73"
    "05"
    "4c696e75780c5f636c69656e745f6e616d650a6c69626d617269616462045f7069640532383830360f5f636c69656e"
    "74"
    "5f76657273696f6e06332e332e3230095f706c6174666f726d067838365f36340c70726f6772616d5f6e616d65056d"
    "79"
    "73716c0c5f7365727665725f686f7374093132372e302e302e31";
inline constexpr std::string_view kMariadbClientEd25519Signature =
    "b25b18cf6173109b990af2f59c1f4400ab7b3f618ecf38d5be2b68aa5208f91768a985704a247dfcbe429cf671d44f"
    "22"
    "33c66d95b03fc831cd0ef35ccd0d0700";
// mysql 9.7.4: user plain@acme, database x, caching_sha2_password.
inline constexpr std::string_view kMysqlClient =
    "8da2bf1900000001ff0000000000000000000000000000000000000000000000706c61696e4061636d650020d721e1"
    "83"
    "c1f036a196c1389201b8d53f38064a16f1d0923683ab886763152d75780063616368696e675f736861325f70617373"
    "77"
    "6f72640072045f706964053238383332095f706c6174666f726d067838365f3634035f6f73054c696e75780c5f636c"
    "69"
    "656e745f6e616d65086c69626d7973716c076f735f7573657204726f6f740f5f636c69656e745f76657273696f6e05"
    "39"
    "2e372e340c70726f6772616d5f6e616d65056d7973716c";

// A handshake with its greeting already sent.
struct Login {
  explicit Login(std::shared_ptr<const ClientHandshakeOptions> options = TestOptions(),
                 ClientTransport transport = PlainTransport(), const LoginPolicy* policy = nullptr)
      : offered(OfferedCapabilities(*options)),
        handshake(options, 42, TestNonces(), policy != nullptr ? policy : &default_policy,
                  std::move(transport)) {
    EXPECT_EQ(handshake.Start(&greeting), ClientHandshake::Action::kSend);
  }

  // Runs jobs in place.
  ClientHandshake::Action Send(std::span<const uint8_t> payload, int sequence = -1) {
    out.clear();
    if (sequence >= 0) next_sequence = static_cast<uint8_t>(sequence);
    ClientHandshake::Action action = handshake.OnPacket(payload, next_sequence, &out);
    while (action == ClientHandshake::Action::kCompute) {
      ++jobs;
      action = handshake.OnJobDone(auth::RunPasswordJob(handshake.job()), &out);
    }
    ++next_sequence;
    for (const Packet& packet : Split(out)) {
      EXPECT_EQ(packet.sequence, next_sequence);
      ++next_sequence;
    }
    return action;
  }

  TestPolicy default_policy;
  wire::Capabilities offered;
  ClientHandshake handshake;
  wire::ByteBuffer greeting;
  wire::ByteBuffer out;
  uint8_t next_sequence = 1;
  int jobs = 0;
};

struct Response {
  std::string user = "plain";
  Bytes auth_response;
  std::string plugin = "caching_sha2_password";
  std::string database;
  Bytes attributes;
  wire::Capabilities capabilities =
      wire::kClientMysql | wire::kClientProtocol41 | wire::kClientSecureConnection |
      wire::kClientPluginAuth | wire::kClientPluginAuthLenencClientData | wire::kClientDeprecateEof;

  [[nodiscard]] Bytes Encode() const {
    wire::HandshakeResponse response;
    response.capabilities = capabilities;
    response.user = user;
    response.auth_response = wire::AsText(auth_response);
    response.auth_plugin = plugin;
    response.database = database;
    response.collation = 45;
    response.zstd_level = 7;
    response.connection_attributes = wire::AsText(attributes);
    Bytes payload;
    wire::ByteWriter writer(&payload);
    EXPECT_EQ(wire::EncodeHandshakeResponse(response, &writer), wire::DecodeError::kNone);
    return payload;
  }
};

inline Bytes Sha2Scramble(std::string_view password, const auth::Nonce& nonce) {
  const auth::Sha256Digest digest = auth::CachingSha2Scramble(password, nonce);
  return {digest.begin(), digest.end()};
}
inline Bytes NativeScramble(std::string_view password, const auth::Nonce& nonce) {
  const auth::Sha1Digest digest = auth::NativeScramble(password, nonce);
  return {digest.begin(), digest.end()};
}

inline Response RightResponse() {
  Response response;
  response.auth_response = Sha2Scramble("secret", TestNonces().greeting);
  return response;
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_TESTS_SESSION_CLIENT_HANDSHAKE_SUPPORT_H_
