// The server's side of a login, against clients that may not or can't log in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/session/client_handshake.h"
#include "tests/session/client_handshake_support.h"

namespace bulkhead::session {
namespace {

using auth::FromHex;
using Action = ClientHandshake::Action;
using ::testing::HasSubstr;

TEST(ClientHandshakeRefusal, WrongPasswordAndUnknownUserAreTheSame) {
  TestPolicy policy;
  for (const std::string& name : TestPolicy::Names()) {
    policy.decoy_like = name;
    for (bool learned : {false, true}) {
      policy.learned = learned ? std::make_shared<const auth::Secret>("secret") : nullptr;
      for (const char* plugin : {"caching_sha2_password", "mysql_native_password", "client_ed25519",
                                 "mysql_clear_password", "sha256_password"}) {
        for (bool unix_socket : {false, true}) {
          // The same course of packets, byte by byte, but for the user's name.
          std::vector<std::pair<Action, std::string>> courses[2];
          for (bool known : {true, false}) {
            ClientTransport transport = PlainTransport();
            transport.is_unix_socket = unix_socket;
            auto options = TestOptions();
            options->rsa = TestRsaKey();
            Login login(options, transport, &policy);
            Response response;
            response.user = known ? name : std::string(name.size(), '?');
            response.plugin = plugin;
            response.auth_response = Bytes(response.plugin[0] == 'm' ? 20 : 32, 0x55);
            Bytes payload = response.Encode();
            for (int round = 0; round < 4; ++round) {
              const Action action = login.Send(payload);
              std::string bytes(login.out.begin(), login.out.end());
              const size_t at = bytes.find("'" + response.user + "'");
              if (at != std::string::npos) bytes.replace(at, name.size() + 2, "x");
              courses[known ? 0 : 1].emplace_back(action, bytes);
              if (action != Action::kSend) break;
              payload = Bytes{'w', 'r', 'o', 'n', 'g', 0};
            }
            EXPECT_EQ(courses[known ? 0 : 1].back().first, Action::kRefused);
            EXPECT_EQ(LastError(login.out).code, 1045);
            EXPECT_EQ(login.handshake.refusal(), known ? "wrong password" : "no such user");
          }
          EXPECT_EQ(courses[0], courses[1]) << name << ' ' << plugin;
        }
      }
    }
  }
}

TEST(ClientHandshakeRefusal, SaysWhoAndWhetherWithAPassword) {
  Login with;
  Response response;
  response.user = "nobody@acme";
  response.auth_response = Bytes(32, 1);
  TestPolicy policy;
  policy.decoy_like = "plain";
  Login unknown(TestOptions(), PlainTransport(), &policy);
  ASSERT_EQ(unknown.Send(response.Encode()), Action::kRefused);
  Error error = LastError(unknown.out);
  EXPECT_EQ(error.sqlstate, "28000");
  EXPECT_EQ(error.message, "Access denied for user 'nobody@acme'@'10.1.2.3' (using password: YES)");
  response.user = "plain";
  response.auth_response.clear();
  Login without;
  ASSERT_EQ(without.Send(response.Encode()), Action::kRefused);
  EXPECT_THAT(LastError(without.out).message, HasSubstr("(using password: NO)"));
}

TEST(ClientHandshakeRefusal, LongUserNames) {
  Response response = RightResponse();
  response.user = std::string(127, 'u') + "\xC3\xA4" + std::string(300, 'u');
  TestPolicy policy;
  policy.decoy_like = "plain";
  Login cut(TestOptions(), PlainTransport(), &policy);
  ASSERT_EQ(cut.Send(response.Encode()), Action::kRefused);
  EXPECT_EQ(LastError(cut.out).message, "Access denied for user '" + std::string(127, 'u') +
                                            "'@'10.1.2.3' (using password: YES)");
  response.user = std::string(513, 'u');
  Login refused;
  ASSERT_EQ(refused.Send(response.Encode()), Action::kRefused);
  EXPECT_EQ(LastError(refused.out).code, 1043);
}

TEST(ClientHandshakeRefusal, ClientsFromBefore41) {
  // Protocol 3.20: capabilities (2 bytes), max packet size (3), user, scramble.
  Login old;
  ASSERT_EQ(old.Send(FromHex("85240000007573657200524553434f4445")), Action::kRefused);
  const std::vector<Packet> packets = Split(old.out);
  ASSERT_EQ(packets.size(), 1u);
  EXPECT_EQ(packets[0].payload[0], 0xFF);
  EXPECT_EQ(packets[0].payload[1] | packets[0].payload[2] << 8, 1251);
  EXPECT_NE(packets[0].payload[3], '#');

  // 4.1 with the scramble of before.
  Login mixed;
  Response response;
  response.capabilities = wire::kClientMysql | wire::kClientProtocol41;
  response.auth_response = Bytes(8, 'x');
  ASSERT_EQ(mixed.Send(response.Encode()), Action::kRefused);
  EXPECT_EQ(LastError(mixed.out).code, 1251);
}

TEST(ClientHandshakeRefusal, WithoutPluginAuthOnlyNativeWorks) {
  Response response;
  response.capabilities =
      wire::kClientMysql | wire::kClientProtocol41 | wire::kClientSecureConnection;
  response.auth_response = NativeScramble("secret", TestNonces().greeting);
  for (const std::string& name : TestPolicy::Names()) {
    Login login;
    response.user = name;
    const bool works = name == "plain" || name == "native";
    EXPECT_EQ(login.Send(response.Encode()), works ? Action::kAccepted : Action::kRefused) << name;
    if (!works) {
      EXPECT_EQ(LastError(login.out).code, 1251);
    }
  }
}

TEST(ClientHandshakeRefusal, WrongSequenceNumber) {
  for (int sequence : {0, 2, 3, 255}) {
    Login login;
    ASSERT_EQ(login.Send(RightResponse().Encode(), sequence), Action::kRefused);
    EXPECT_EQ(LastError(login.out).code, 1156);
  }
}

TEST(ClientHandshakeRefusal, TooMuch) {
  Login login;
  EXPECT_EQ(login.handshake.bytes_left(), size_t{1} << 20);
  ASSERT_EQ(login.Send(Bytes((1 << 20) - 3)), Action::kRefused);
  EXPECT_EQ(LastError(login.out).code, 1153);

  auto options = TestOptions();
  options->max_login_bytes = 300;
  Login small(options);
  Response response = RightResponse();
  response.plugin = "sha256_password";
  const Bytes payload = response.Encode();
  ASSERT_EQ(small.Send(payload), Action::kSend);
  EXPECT_EQ(small.handshake.bytes_left(), 300 - payload.size() - 4);
  ASSERT_EQ(small.Send(Bytes(300 - payload.size() - 4)), Action::kRefused);
  EXPECT_EQ(LastError(small.out).code, 1153);

  options = TestOptions();
  options->max_packets = 1;
  Login short_one(options);
  ASSERT_EQ(short_one.Send(payload), Action::kSend);
  ASSERT_EQ(short_one.Send(Bytes(32)), Action::kRefused);
}

TEST(ClientHandshakeRefusal, NothingComesAfterTheEnd) {
  Login refused;
  ASSERT_EQ(refused.Send(RightResponse().Encode(), 9), Action::kRefused);
  EXPECT_EQ(refused.Send(RightResponse().Encode()), Action::kRefused);
  Login accepted;
  ASSERT_EQ(accepted.Send(RightResponse().Encode()), Action::kAccepted);
  EXPECT_EQ(accepted.Send(RightResponse().Encode()), Action::kRefused);
  wire::ByteBuffer out;
  Login early;
  EXPECT_EQ(early.handshake.OnJobDone({.verified = true, .secret = {}}, &out), Action::kRefused);
}

TEST(ClientHandshakeRefusal, CallerMayStillRefuse) {
  Login login;
  ASSERT_EQ(login.Send(FromHex(kMariadbClient)), Action::kAccepted);
  wire::ByteBuffer out;
  login.handshake.WriteRefusal(wire::ClientError::kUnknownDatabase, "Unknown tenant 'acme'", &out);
  EXPECT_EQ(Split(out)[0].sequence, 3);
  EXPECT_EQ(LastError(out).code, 1049);
  EXPECT_EQ(LastError(out).sqlstate, "42000");
}

TEST(ClientHandshakeMalformed, CutAtEveryByte) {
  // Where the auth response ends: before that nothing can be right.
  const struct {
    std::string_view hex;
    size_t proof_end;
  } transcripts[] = {{kMariadbClient, 32 + 11 + 1 + 32},
                     {kMariadbClientToMariadb, 32 + 7 + 1 + 20},
                     {kMysqlClient, 32 + 11 + 1 + 32}};
  for (const auto& transcript : transcripts) {
    const Bytes whole = FromHex(transcript.hex);
    for (size_t size = 0; size < whole.size(); ++size) {
      Login login;
      const Action action = login.Send(std::span(whole).first(size));
      if (size < transcript.proof_end) {
        EXPECT_EQ(action, Action::kRefused) << size;
      }
      if (action == Action::kRefused) {
        EXPECT_FALSE(login.out.empty());
      }
    }
  }
}

TEST(ClientHandshakeMalformed, EveryByteChanged) {
  const Bytes whole = FromHex(kMysqlClient);
  for (size_t at = 0; at < whole.size(); ++at) {
    for (uint8_t value : {0x00, 0xFF, 0xFB, 0xFE}) {
      Bytes changed = whole;
      if (changed[at] == value) continue;
      changed[at] = value;
      Login login;
      const Action action = login.Send(changed);
      // A changed scramble must not pass, whatever else does.
      if (at >= 32 + 11 + 1 && at < 32 + 11 + 1 + 32) {
        EXPECT_EQ(action, Action::kRefused) << at;
      }
      if (action == Action::kRefused) {
        EXPECT_FALSE(login.out.empty());
      }
    }
  }
}

TEST(ClientHandshakeMalformed, Attributes) {
  Response response = RightResponse();
  response.capabilities |= wire::kClientConnectAttrs;
  response.attributes = FromHex("0361626305");  // a value that is not there
  Login cut;
  ASSERT_EQ(cut.Send(response.Encode()), Action::kRefused);
  EXPECT_EQ(LastError(cut.out).code, 1043);
  response.attributes.clear();
  wire::ByteWriter writer(&response.attributes);
  const std::string value(1'000, 'v');
  for (int i = 0; i < 70; ++i) wire::EncodeConnectionAttribute({"key", value}, &writer);
  Login large;
  ASSERT_EQ(large.Send(response.Encode()), Action::kRefused);
  EXPECT_EQ(LastError(large.out).code, 1043);
}

}  // namespace
}  // namespace bulkhead::session
