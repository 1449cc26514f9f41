// A whole login between both handshakes, with bytes changed, cut and added on the way: what random
// packets don't reach.
//
// Input: two bytes of settings, then changes of four bytes: number of the packet, offset,
// operation, value. A login that comes through must have been proved by the right password,
// whatever happened to the packets.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proxy/session/backend_handshake.h"
#include "proxy/session/client_handshake.h"
#include "proxy/wire/frame.h"

namespace bulkhead::session {
namespace {

void Require(bool ok) {
  if (!ok) std::abort();
}

constexpr std::string_view kPassword = "correct horse battery staple";

class Policy final : public LoginPolicy {
 public:
  explicit Policy(const auth::Credential& credential) {
    auto user = std::make_shared<auth::UserRecord>();
    user->name = "user";
    user->credential = credential;
    user_ = std::move(user);
  }

  [[nodiscard]] LoginLookup Lookup(std::string_view user_as_given) const override {
    LoginLookup lookup;
    if (user_as_given == "user") lookup.record = user_;
    return lookup;
  }
  [[nodiscard]] auth::Credential Decoy(std::string_view) const override {
    return user_->credential;
  }

 private:
  std::shared_ptr<const auth::UserRecord> user_;
};

const Policy& PolicyOf(int kind) {
  const std::array<uint8_t, auth::kCachingSha2SaltSize> salt = {1, 2, 3};
  static const std::array<Policy, 4>* const kPolicies = new std::array<Policy, 4>{
      Policy(auth::Credential::FromPlaintext(kPassword)),
      Policy(auth::Credential(auth::MakeNativeVerifier(kPassword))),
      Policy(auth::Credential(auth::MakeCachingSha2Verifier(
          kPassword, salt, auth::CachingSha2Verifier::Scheme::kShaCrypt, 1'000))),
      Policy(auth::Credential(auth::MakeEd25519PublicKey(kPassword)))};
  return (*kPolicies)[static_cast<size_t>(kind)];
}

struct Channel {
  std::span<const uint8_t> changes;
  uint8_t number = 0;

  // One packet on its way.
  std::vector<uint8_t> Pass(std::span<const uint8_t> payload) {
    std::vector<uint8_t> out(payload.begin(), payload.end());
    for (size_t i = 0; i + 4 <= changes.size(); i += 4) {
      if (changes[i] % 8 != number || out.empty()) continue;
      const size_t at = changes[i + 1] % out.size();
      switch (changes[i + 2] % 4) {
        case 0:
          out[at] ^= changes[i + 3];
          break;
        case 1:
          out[at] = changes[i + 3];
          break;
        case 2:
          out.resize(at);
          break;
        case 3:
          out.insert(out.begin() + static_cast<ptrdiff_t>(at), changes[i + 3]);
          break;
      }
    }
    ++number;
    return out;
  }
};

// The first packet of `bytes`, off its front.
std::span<const uint8_t> NextPayload(std::span<const uint8_t>* bytes, uint8_t* sequence) {
  Require(bytes->size() >= wire::kFrameHeaderSize);
  const wire::FrameHeader header = wire::LoadFrameHeader(bytes->data());
  Require(bytes->size() >= wire::kFrameHeaderSize + header.payload_size);
  *sequence = header.sequence;
  const auto payload = bytes->subspan(wire::kFrameHeaderSize, header.payload_size);
  *bytes = bytes->subspan(wire::kFrameHeaderSize + header.payload_size);
  return payload;
}

struct Pair {
  ClientHandshake server;
  BackendHandshake client;
  Channel channel;
  bool right_password;
  bool accepted = false;

  // What the client answers to the server's packets; empty at the end.
  wire::ByteBuffer ToClient(std::span<const uint8_t> bytes) {
    wire::ByteBuffer out;
    while (!bytes.empty() && out.empty()) {
      uint8_t sequence;
      const auto payload = channel.Pass(NextPayload(&bytes, &sequence));
      const auto action = client.OnPacket(payload, sequence, &out);
      if (action == BackendHandshake::Action::kFailed) return {};
      if (action != BackendHandshake::Action::kStartTls) continue;
      std::span<const uint8_t> request(out);
      const auto request_payload = channel.Pass(NextPayload(&request, &sequence));
      wire::ByteBuffer nothing;
      if (server.OnPacket(request_payload, sequence, &nothing) !=
          ClientHandshake::Action::kStartTls) {
        return {};
      }
      out.clear();
      Require(client.OnTlsReady(&out) == BackendHandshake::Action::kSend);
    }
    return out;
  }

  wire::ByteBuffer ToServer(std::span<const uint8_t> bytes) {
    uint8_t sequence;
    const auto payload = channel.Pass(NextPayload(&bytes, &sequence));
    wire::ByteBuffer out;
    auto action = server.OnPacket(payload, sequence, &out);
    while (action == ClientHandshake::Action::kCompute) {
      action = server.OnJobDone(auth::RunPasswordJob(server.job()), &out);
    }
    if (action == ClientHandshake::Action::kAccepted) {
      Require(right_password);
      accepted = true;
      const LoginResult result = server.TakeResult();
      server.WriteOk({}, result.capabilities, &out);
    }
    return out;
  }
};

void Run(std::span<const uint8_t> input) {
  if (input.size() < 2) return;
  static const std::shared_ptr<const auth::RsaKeyPair> kKey = auth::RsaKeyPair::Generate();
  const uint8_t a = input[0];
  const uint8_t b = input[1];
  auto options = std::make_shared<ClientHandshakeOptions>();
  options->family = (a & 4) != 0 ? ServerFamily::kMariadb : ServerFamily::kMysql;
  options->default_plugin =
      (a & 8) != 0 ? auth::Plugin::kNativePassword : auth::Plugin::kCachingSha2;
  options->tls_available = (a & 16) != 0;
  options->rsa = kKey;
  options->capabilities = ~wire::Capabilities{0};
  ClientTransport transport;
  transport.is_unix_socket = (a & 32) != 0;

  BackendLogin login;
  login.user = "user";
  const bool right = (b & 1) == 0;
  login.secret = auth::LoginSecret::Plaintext(auth::Secret(right ? kPassword : "wrong"));
  login.optional = ~wire::Capabilities{0};
  login.schema = (b & 2) != 0 ? "schema" : "";
  login.is_unix_socket = transport.is_unix_socket;
  login.allow_public_key_request = (b & 4) != 0;
  login.allow_clear_password = (b & 8) != 0;
  login.attributes = {{"key", "value"}};

  std::array<uint8_t, auth::kExchangeRandomSize> random;
  for (size_t i = 0; i < random.size(); ++i) random[i] = static_cast<uint8_t>(i * 7 + 1);
  Pair pair{
      ClientHandshake(options, 1, auth::MakeExchangeNonces(random), &PolicyOf(a & 3), transport),
      BackendHandshake(std::move(login)),
      {input.subspan(2), 0},
      right};
  wire::ByteBuffer to_client;
  Require(pair.server.Start(&to_client) == ClientHandshake::Action::kSend);
  for (int round = 0; round < 10 && !to_client.empty(); ++round) {
    const wire::ByteBuffer to_server = pair.ToClient(to_client);
    if (to_server.empty()) break;
    to_client = pair.ToServer(to_server);
  }
  // An undisturbed login gets through with the right password, but where the client may not ask for
  // the key.
  if (input.size() < 6 && right && (b & 4) != 0) Require(pair.accepted);
}

}  // namespace
}  // namespace bulkhead::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulkhead::session::Run({data, size});
  return 0;
}
