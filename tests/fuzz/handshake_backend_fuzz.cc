// A server that sends anything, against the client's side of a login and of COM_CHANGE_USER.
//
// Input: one byte of settings, then packets: a byte that is added to the expected sequence number,
// two bytes of length, the payload. The password may not leave in clear but over TLS or a Unix
// socket.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "proxy/session/backend_handshake.h"
#include "proxy/wire/frame.h"

namespace bulkhead::session {
namespace {

using Action = BackendHandshake::Action;

constexpr std::string_view kPassword = "correct horse battery staple";

void Require(bool ok) {
  if (!ok) std::abort();
}

BackendLogin MakeLogin(uint8_t settings) {
  BackendLogin login;
  login.user = "user";
  login.secret = (settings & 1) != 0
                     ? auth::LoginSecret::NativeStage1(auth::Sha1({auth::AsBytes(kPassword)}))
                     : auth::LoginSecret::Plaintext(auth::Secret(kPassword));
  login.schema = "schema";
  login.optional = ~wire::Capabilities{0};
  login.required = wire::kClientDeprecateEof;
  login.tls = (settings & 2) != 0 ? BackendTls::kRequired : BackendTls::kPreferred;
  if ((settings & 4) != 0) login.tls = BackendTls::kDisabled;
  login.is_unix_socket = (settings & 8) != 0;
  login.allow_public_key_request = (settings & 16) != 0;
  login.allow_clear_password = (settings & 32) != 0;
  login.attributes = {{"key", "value"}};
  return login;
}

void CheckOutput(std::span<const uint8_t> out, bool secure) {
  if (!secure) {
    Require(std::search(out.begin(), out.end(), kPassword.begin(), kPassword.end()) == out.end());
  }
  while (!out.empty()) {
    Require(out.size() >= wire::kFrameHeaderSize);
    const size_t size = wire::kFrameHeaderSize + wire::LoadFrameHeader(out.data()).payload_size;
    Require(out.size() >= size);
    out = out.subspan(size);
  }
}

void Run(std::span<const uint8_t> input) {
  if (input.empty()) return;
  const uint8_t settings = input[0];
  input = input.subspan(1);
  BackendHandshake handshake(MakeLogin(settings));
  bool secure = (settings & 8) != 0;
  bool tls = false;

  wire::ByteBuffer out;
  uint8_t sequence = 0;
  if ((settings & 64) != 0) {
    BackendLoginResult connection;
    connection.capabilities = wire::kClientProtocol41 | wire::kClientPluginAuth |
                              wire::kClientSecureConnection | wire::kClientConnectAttrs;
    Require(handshake.StartChangeUser(connection, &out) == Action::kSend);
    CheckOutput(out, false);
    sequence = 1;
  }
  while (input.size() >= 3) {
    const size_t size = std::min<size_t>(input[1] | input[2] << 8, input.size() - 3);
    sequence = static_cast<uint8_t>(sequence + input[0]);
    const auto payload = input.subspan(3, size);
    input = input.subspan(3 + size);
    out.clear();
    Action action = handshake.OnPacket(payload, sequence, &out);
    ++sequence;
    if (action == Action::kStartTls) {
      CheckOutput(out, false);
      Require(!tls);
      tls = secure = true;
      ++sequence;
      out.clear();
      action = handshake.OnTlsReady(&out);
    }
    CheckOutput(out, secure);
    if (action == Action::kReady) {
      Require(handshake.result().is_tls == tls);
      Require((settings & 64) != 0 || tls || (settings & 6) != 2);
      return;
    }
    if (action == Action::kFailed) {
      const BackendLoginFailure& failure = handshake.failure();
      Require(failure.from_server || !failure.message.empty());
      return;
    }
    if (!out.empty()) ++sequence;
  }
}

}  // namespace
}  // namespace bulkhead::session

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  bulkhead::session::Run({data, size});
  return 0;
}
