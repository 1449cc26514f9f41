// A client that sends anything, against the server's side of a login and of COM_CHANGE_USER.
//
// Input: one byte of settings, then packets: a byte that is added to the expected sequence number,
// two bytes of length, the payload. Nobody but the user without a password may get in: the fuzzer
// knows no password.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "proxy/session/client_handshake.h"
#include "proxy/wire/frame.h"

namespace bulkhead::session {
namespace {

using Action = ClientHandshake::Action;

constexpr std::string_view kPassword = "no fuzzer guesses this one, not in its whole long life";

void Require(bool ok) {
  if (!ok) std::abort();
}

class Policy final : public LoginPolicy {
 public:
  Policy() {
    Add("plain", auth::Credential::FromPlaintext(kPassword));
    Add("native", auth::Credential(auth::MakeNativeVerifier(kPassword)));
    const std::array<uint8_t, auth::kCachingSha2SaltSize> salt = {1, 2, 3};
    Add("sha2", auth::Credential(auth::MakeCachingSha2Verifier(
                    kPassword, salt, auth::CachingSha2Verifier::Scheme::kShaCrypt, 1'000)));
    Add("ed", auth::Credential(auth::MakeEd25519PublicKey(kPassword)));
    Add("empty", auth::Credential());
  }

  [[nodiscard]] LoginLookup Lookup(std::string_view user_as_given) const override {
    LoginLookup lookup;
    for (const auto& user : users_) {
      if (user->name == user_as_given.substr(0, user_as_given.find('@'))) lookup.record = user;
    }
    return lookup;
  }
  [[nodiscard]] auth::Credential Decoy(std::string_view user_as_given) const override {
    return users_[user_as_given.size() % 4]->credential;
  }

 private:
  void Add(std::string name, auth::Credential credential) {
    auto user = std::make_shared<auth::UserRecord>();
    user->name = std::move(name);
    user->credential = std::move(credential);
    users_.push_back(std::move(user));
  }

  std::vector<std::shared_ptr<const auth::UserRecord>> users_;
};

auth::ExchangeNonces Nonces() {
  std::array<uint8_t, auth::kExchangeRandomSize> random;
  for (size_t i = 0; i < random.size(); ++i) random[i] = static_cast<uint8_t>(i * 7 + 1);
  return auth::MakeExchangeNonces(random);
}

std::shared_ptr<const ClientHandshakeOptions> MakeOptions(uint8_t settings) {
  static const std::shared_ptr<const auth::RsaKeyPair> kKey = auth::RsaKeyPair::Generate();
  auto options = std::make_shared<ClientHandshakeOptions>();
  options->family = (settings & 1) != 0 ? ServerFamily::kMariadb : ServerFamily::kMysql;
  options->default_plugin =
      (settings & 2) != 0 ? auth::Plugin::kNativePassword : auth::Plugin::kCachingSha2;
  options->tls_available = (settings & 4) != 0;
  options->tls_required = (settings & 8) != 0;
  if ((settings & 16) != 0) options->rsa = kKey;
  options->capabilities = ~wire::Capabilities{0};
  return options;
}

// What was written since `from` is whole packets.
void CheckPackets(std::span<const uint8_t> out) {
  while (!out.empty()) {
    Require(out.size() >= wire::kFrameHeaderSize);
    const size_t size = wire::kFrameHeaderSize + wire::LoadFrameHeader(out.data()).payload_size;
    Require(out.size() >= size);
    out = out.subspan(size);
  }
}

void Run(std::span<const uint8_t> input) {
  static const Policy* const kPolicy = new Policy;
  if (input.empty()) return;
  const uint8_t settings = input[0];
  input = input.subspan(1);
  const bool change_user = (settings & 64) != 0;
  const auto options = MakeOptions(settings);
  ClientTransport transport;
  transport.is_unix_socket = (settings & 32) != 0;
  transport.host = "host";
  ClientHandshake handshake(options, 1, Nonces(), kPolicy, transport);

  wire::ByteBuffer out;
  uint8_t sequence = 0;
  if (!change_user) {
    Require(handshake.Start(&out) == Action::kSend);
    sequence = 1;
  }
  for (bool first = true; input.size() >= 3; first = false) {
    const size_t size = std::min<size_t>(input[1] | input[2] << 8, input.size() - 3);
    sequence = static_cast<uint8_t>(sequence + input[0]);
    const auto payload = input.subspan(3, size);
    input = input.subspan(3 + size);
    out.clear();
    Action action =
        change_user && first
            ? handshake.StartChangeUser(payload, sequence, OfferedCapabilities(*options), &out)
            : handshake.OnPacket(payload, sequence, &out);
    while (action == Action::kCompute) {
      action = handshake.OnJobDone(auth::RunPasswordJob(handshake.job()), &out);
    }
    CheckPackets(out);
    if (action == Action::kRefused) {
      Require(!out.empty() && !handshake.refusal().empty());
      return;
    }
    if (action == Action::kAccepted) {
      const LoginResult result = handshake.TakeResult();
      Require(result.record != nullptr && result.record->name == "empty");
      handshake.WriteOk({}, result.capabilities, &out);
      CheckPackets(out);
      return;
    }
    sequence = static_cast<uint8_t>(sequence + (out.empty() ? 1 : 2));
  }
}

}  // namespace
}  // namespace bulkhead::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulkhead::session::Run({data, size});
  return 0;
}
