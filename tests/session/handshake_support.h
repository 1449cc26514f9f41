// What the tests of both handshakes share: users, packets in and out of byte strings, one side's
// bytes split up for the other.
#ifndef BULKHEAD_TESTS_SESSION_HANDSHAKE_SUPPORT_H_
#define BULKHEAD_TESTS_SESSION_HANDSHAKE_SUPPORT_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/session/backend_handshake.h"
#include "proxy/session/client_handshake.h"
#include "proxy/wire/frame.h"
#include "tests/auth/test_bytes.h"

namespace bulkhead::session {

using Bytes = std::vector<uint8_t>;

struct Packet {
  uint8_t sequence;
  Bytes payload;
};

// Takes `bytes` apart into packets of one frame each.
inline std::vector<Packet> Split(std::span<const uint8_t> bytes) {
  std::vector<Packet> packets;
  while (bytes.size() >= wire::kFrameHeaderSize) {
    const wire::FrameHeader header = wire::LoadFrameHeader(bytes.data());
    if (bytes.size() < wire::kFrameHeaderSize + header.payload_size) break;
    const auto payload = bytes.subspan(wire::kFrameHeaderSize, header.payload_size);
    packets.push_back({header.sequence, Bytes(payload.begin(), payload.end())});
    bytes = bytes.subspan(wire::kFrameHeaderSize + header.payload_size);
  }
  EXPECT_TRUE(bytes.empty()) << "not whole packets";
  return packets;
}

// The users that the tests log in as. Every password is "secret" but that of "empty".
class TestPolicy : public LoginPolicy {
 public:
  TestPolicy() : users_(MakeUsers()), decoys_(users_, auth::Secret("sixteen bytes or more")) {}

  // "user@tenant".
  [[nodiscard]] LoginLookup Lookup(std::string_view user_as_given) const override {
    LoginLookup lookup;
    const size_t at = user_as_given.find('@');
    const auth::UserRecord* record = users_.Find(user_as_given.substr(0, at));
    if (at != std::string_view::npos) lookup.tenant = user_as_given.substr(at + 1);
    if (record != nullptr) {
      lookup.record = std::shared_ptr<const auth::UserRecord>(std::shared_ptr<void>(), record);
      lookup.learned_password = learned;
    }
    return lookup;
  }
  [[nodiscard]] auth::Credential Decoy(std::string_view user_as_given) const override {
    return decoy_like.empty() ? decoys_.For(user_as_given) : DecoyLike(decoy_like);
  }

  std::shared_ptr<const auth::Secret> learned;
  std::string decoy_like;  // a user whose kind of credential every decoy has

  static const std::vector<std::string>& Names() {
    static const std::vector<std::string> kNames = {"plain", "native", "sha2", "ed"};
    return kNames;
  }

 private:
  static auth::UserRecord User(std::string name, auth::Credential credential) {
    auth::UserRecord user;
    user.name = std::move(name);
    user.credential = std::move(credential);
    return user;
  }
  static std::vector<auth::UserRecord> MakeUsers() {
    std::vector<auth::UserRecord> users;
    users.push_back(User("plain", auth::Credential::FromPlaintext("secret")));
    users.push_back(User("native", auth::Credential(auth::MakeNativeVerifier("secret"))));
    users.push_back(User("sha2", auth::Credential(auth::MakeCachingSha2Verifier(
                                     "secret", auth::CountingNonce(),
                                     auth::CachingSha2Verifier::Scheme::kShaCrypt, 1'000))));
    users.push_back(User("ed", auth::Credential(auth::MakeEd25519PublicKey("secret"))));
    users.push_back(User("empty", auth::Credential()));
    return users;
  }
  auth::Credential DecoyLike(std::string_view name) const {
    for (int i = 0;; ++i) {
      auth::Credential decoy = decoys_.For(std::to_string(i));
      if (decoy.kind() == users_.Find(name)->credential.kind()) return decoy;
    }
  }

  auth::UserTable users_;
  auth::DecoyCredentials decoys_;
};

inline std::shared_ptr<const auth::RsaKeyPair> TestRsaKey() {
  static const std::shared_ptr<const auth::RsaKeyPair> kKey = auth::RsaKeyPair::Generate();
  return kKey;
}

// The nonces of the recorded transcripts: "ABC...", "abc...", "ZZZ...".
inline auth::ExchangeNonces TestNonces() {
  auth::ExchangeNonces nonces;
  nonces.greeting = auth::CountingNonce('A');
  nonces.for_switch = auth::CountingNonce('a');
  nonces.for_ed25519.fill('Z');
  return nonces;
}

inline constexpr wire::Capabilities kTestCapabilities =
    wire::kClientFoundRows | wire::kClientLongFlag | wire::kClientConnectWithDb |
    wire::kClientLocalFiles | wire::kClientTransactions | wire::kClientMultiStatements |
    wire::kClientMultiResults | wire::kClientPsMultiResults | wire::kClientConnectAttrs |
    wire::kClientPluginAuthLenencClientData | wire::kClientSessionTrack | wire::kClientDeprecateEof;

inline std::shared_ptr<ClientHandshakeOptions> TestOptions() {
  auto options = std::make_shared<ClientHandshakeOptions>();
  options->capabilities = kTestCapabilities;
  return options;
}

inline ClientTransport PlainTransport() {
  ClientTransport transport;
  transport.host = "10.1.2.3";
  return transport;
}

// The ERR packet that `out` ends with.
struct Error {
  uint16_t code = 0;
  std::string sqlstate;
  std::string message;
};
inline Error LastError(std::span<const uint8_t> out) {
  const std::vector<Packet> packets = Split(out);
  Error error;
  wire::ErrPacket err;
  if (packets.empty() ||
      wire::DecodeErr(packets.back().payload, &err) != wire::DecodeError::kNone) {
    ADD_FAILURE() << "no ERR packet";
    return error;
  }
  error.code = err.code;
  error.sqlstate = err.sqlstate;
  error.message = err.message;
  return error;
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_TESTS_SESSION_HANDSHAKE_SUPPORT_H_
