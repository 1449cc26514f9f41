// The handshake's messages: decoded, encoded and decoded again they say the same.
#include <vector>

#include "proxy/wire/handshake_messages.h"
#include "tests/fuzz/wire_fuzz_input.h"

namespace bulkhead::wire {
namespace {

constexpr DecodeError kNone = DecodeError::kNone;

void GreetingOf(std::span<const uint8_t> payload) {
  ByteBuffer auth_data;
  Greeting greeting;
  if (DecodeGreeting(payload, &auth_data, &greeting) != kNone) return;
  (void)IsMariadb(greeting);
  (void)ServerVersionNumber(greeting.server_version);
  FUZZ_EXPECT(greeting.auth_data.size() >= 8 && greeting.auth_data.size() <= 254);
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeGreeting(greeting, w); });
  ByteBuffer auth_data_again;
  Greeting again;
  FUZZ_EXPECT(DecodeGreeting(bytes, &auth_data_again, &again) == kNone);
  FUZZ_EXPECT(again.server_version == greeting.server_version);
  FUZZ_EXPECT(again.connection_id == greeting.connection_id);
  FUZZ_EXPECT(again.capabilities == greeting.capabilities);
  FUZZ_EXPECT(again.collation == greeting.collation && again.status == greeting.status);
  FUZZ_EXPECT(again.auth_plugin == greeting.auth_plugin);
  // Without PLUGIN_AUTH a length above 20 has no place in the greeting.
  if ((greeting.capabilities & kClientPluginAuth) != 0) {
    FUZZ_EXPECT(again.auth_data == greeting.auth_data);
  }
}

void Response(const FuzzInput& input) {
  // All that a greeting may offer, but for what the fuzzer leaves out.
  const Capabilities offered = input.capabilities | kClientPluginAuthLenencClientData |
                               kClientConnectWithDb | kClientZstdCompressionAlgorithm;
  HandshakeResponse response;
  if (DecodeHandshakeResponse(input.payload, offered, &response) != kNone) return;
  std::vector<ConnectionAttribute> attributes;
  if (DecodeConnectionAttributes(response.connection_attributes, &attributes) == kNone) {
    ByteBuffer pairs;
    ByteWriter writer(&pairs);
    for (const ConnectionAttribute& attribute : attributes) {
      EncodeConnectionAttribute(attribute, &writer);
    }
    std::vector<ConnectionAttribute> again;
    FUZZ_EXPECT(DecodeConnectionAttributes(AsText(pairs), &again) == kNone ||
                pairs.size() > kMaxAttributesSize);
  }
  HandshakeResponse agreed = response;
  agreed.capabilities &= offered | kClientMysql;
  ByteBuffer bytes;
  ByteWriter writer(&bytes);
  FUZZ_EXPECT(EncodeHandshakeResponse(agreed, &writer) == kNone);
  HandshakeResponse again;
  FUZZ_EXPECT(DecodeHandshakeResponse(bytes, offered, &again) == kNone);
  FUZZ_EXPECT(again.capabilities == agreed.capabilities);
  FUZZ_EXPECT(again.max_packet_size == response.max_packet_size);
  FUZZ_EXPECT(again.user == response.user && again.auth_response == response.auth_response);
  FUZZ_EXPECT(again.database == response.database && again.auth_plugin == response.auth_plugin);
  FUZZ_EXPECT(again.connection_attributes == response.connection_attributes);
  FUZZ_EXPECT(again.zstd_level == response.zstd_level);
}

void Ssl(std::span<const uint8_t> payload) {
  SslRequest request;
  if (DecodeSslRequest(payload, &request) != kNone) return;
  FUZZ_EXPECT(IsSslRequest(payload));
  const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeSslRequest(request, w); });
  SslRequest again;
  FUZZ_EXPECT(DecodeSslRequest(bytes, &again) == kNone);
  FUZZ_EXPECT(again.capabilities == request.capabilities);
}

void Exchange(std::span<const uint8_t> payload) {
  (void)ClassifyAuthReply(payload);
  AuthSwitchRequest request;
  if (DecodeAuthSwitchRequest(payload, &request) == kNone) {
    FUZZ_EXPECT(TrimScramble(request.data).size() <= request.data.size());
    const ByteBuffer bytes =
        FuzzEncode([&](ByteWriter* w) { EncodeAuthSwitchRequest(request, w); });
    AuthSwitchRequest again;
    FUZZ_EXPECT(DecodeAuthSwitchRequest(bytes, &again) == kNone);
    FUZZ_EXPECT(again.plugin == request.plugin && again.data == request.data);
  }
  std::string_view data;
  if (DecodeAuthMoreData(payload, &data) == kNone) {
    const ByteBuffer bytes = FuzzEncode([&](ByteWriter* w) { EncodeAuthMoreData(data, w); });
    FUZZ_EXPECT(AsText(bytes) == AsText(payload));
  }
}

}  // namespace
}  // namespace bulkhead::wire

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::wire;  // NOLINT(google-build-using-namespace)
  FuzzInput input;
  if (!ReadFuzzInput(data, size, &input)) return 0;
  GreetingOf(input.payload);
  Response(input);
  Ssl(input.payload);
  Exchange(input.payload);
  return 0;
}
