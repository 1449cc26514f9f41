// The messages by which two sides agree on capabilities and a client logs in.
//
// Purpose: decode and encode the greeting, the TLS request, the client's answer and the messages of
// the authentication plugins' exchange (their contents are the auth folder's business).
// Thread: any; pure. Views in decoded messages point into the payload.
// Units: a payload is a packet without frame headers.
// Limits: connection attributes at most kMaxAttributesSize bytes and kMaxAttributes pairs.
// Errors: DecodeError; kUnsupported for protocol versions but 10 and for clients before 4.1.
// Sources: dev.mysql.com page_protocol_connection_phase_packets and its pages; MariaDB
// "Connecting".
#ifndef BULKHEAD_PROXY_WIRE_HANDSHAKE_MESSAGES_H_
#define BULKHEAD_PROXY_WIRE_HANDSHAKE_MESSAGES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/decode_error.h"

namespace bulkhead::wire {

inline constexpr uint8_t kProtocolVersion10 = 10;
inline constexpr size_t kScrambleSize = 20;
inline constexpr size_t kSslRequestSize = 32;
inline constexpr size_t kMaxAttributesSize = 65536;
inline constexpr size_t kMaxAttributes = 512;

inline constexpr uint8_t kAuthSwitchHeader = 0xFE;
inline constexpr uint8_t kAuthMoreDataHeader = 0x01;

// --- server: greeting
// ------------------------------------------------------------------------------

struct Greeting {
  std::string_view server_version;  // as sent, with MariaDB's "5.5.5-" where it has one
  uint32_t connection_id = 0;
  std::string_view auth_data;  // decoded: see DecodeGreeting; 20 bytes from every server of today
  Capabilities capabilities = 0;  // with MariaDB's extended ones where CLIENT_MYSQL is off
  uint8_t collation = 0;
  ServerStatus status = 0;
  std::string_view auth_plugin;
};

// The greeting's auth data comes in two parts; they are joined in *auth_data, which must outlive
// the greeting (its view points there).
[[nodiscard]] DecodeError DecodeGreeting(std::span<const uint8_t> payload, ByteBuffer* auth_data,
                                         Greeting* out);
// `auth_data` must be at least kScrambleSize bytes and hold no NUL.
void EncodeGreeting(const Greeting& greeting, ByteWriter* writer);

// MariaDB from 10.0 to 10.11 sends its version behind "5.5.5-" for old replicas' sake.
[[nodiscard]] std::string_view StripReplicationPrefix(std::string_view server_version);
// By its version text, or by CLIENT_MYSQL being off.
[[nodiscard]] bool IsMariadb(const Greeting& greeting);
// 10.11.6 as 101106 and 8.0.36 as 80036; 0 where there is no number. Prefix allowed.
[[nodiscard]] uint32_t ServerVersionNumber(std::string_view server_version);

// --- client: TLS request and handshake response
// ---------------------------------------------------

struct SslRequest {
  Capabilities capabilities = 0;
  uint32_t max_packet_size = 0;
  uint8_t collation = 0;
};

struct HandshakeResponse {
  Capabilities capabilities = 0;  // what the client sent; agreed is what both sides have
  uint32_t max_packet_size = 1u << 24;
  uint8_t collation = 0;
  std::string_view user;
  std::string_view auth_response;
  std::string_view database;
  std::string_view auth_plugin;
  std::string_view connection_attributes;  // undecoded, without its length
  uint8_t zstd_level = 0;                  // only with CLIENT_ZSTD_COMPRESSION_ALGORITHM
};

// Whether a client's first packet after the greeting asks for TLS. False says nothing of whether
// the packet is a good handshake response.
[[nodiscard]] bool IsSslRequest(std::span<const uint8_t> payload);
[[nodiscard]] DecodeError DecodeSslRequest(std::span<const uint8_t> payload, SslRequest* out);
void EncodeSslRequest(const SslRequest& request, ByteWriter* writer);

// `offered` are the capabilities of the greeting: the optional fields are those that both have.
[[nodiscard]] DecodeError DecodeHandshakeResponse(std::span<const uint8_t> payload,
                                                  Capabilities offered, HandshakeResponse* out);
// Writes the fields that response.capabilities call for; these must be within what was offered.
// kMalformed, with nothing written, when the auth response does not fit the layout (above 255 bytes
// without PLUGIN_AUTH_LENENC_CLIENT_DATA).
[[nodiscard]] DecodeError EncodeHandshakeResponse(const HandshakeResponse& response,
                                                  ByteWriter* writer);

// --- connection attributes
// -------------------------------------------------------------------------

struct ConnectionAttribute {
  std::string_view key;
  std::string_view value;
};
[[nodiscard]] DecodeError DecodeConnectionAttributes(std::string_view connection_attributes,
                                                     std::vector<ConnectionAttribute>* out);
// The pairs, without the total length: what HandshakeResponse::connection_attributes wants.
void EncodeConnectionAttribute(const ConnectionAttribute& attribute, ByteWriter* writer);

// --- the plugins' exchange
// ------------------------------------------------------------------------

// What the server may answer to a handshake response, an auth response or COM_CHANGE_USER.
enum class AuthReplyKind : uint8_t {
  kOk,
  kErr,
  kAuthSwitch,
  kOldAuthSwitch,  // 0xFE alone: mysql_old_password, which we refuse
  kMoreData,
  kAuthNextFactor,  // 0x02: multi-factor authentication, which we do not agree on
  kPluginData,      // anything else: MariaDB's plugins need not put 0x01 first
  kEmpty,
};
[[nodiscard]] AuthReplyKind ClassifyAuthReply(std::span<const uint8_t> payload);

struct AuthSwitchRequest {
  std::string_view plugin;
  // As sent; mysql_native_password and caching_sha2_password end it with a NUL: see TrimScramble.
  std::string_view data;
};
[[nodiscard]] DecodeError DecodeAuthSwitchRequest(std::span<const uint8_t> payload,
                                                  AuthSwitchRequest* out);
void EncodeAuthSwitchRequest(const AuthSwitchRequest& request, ByteWriter* writer);
// 21 bytes with a NUL last become 20; anything else stays.
[[nodiscard]] std::string_view TrimScramble(std::string_view auth_data);

// The plugin's data behind the 0x01.
[[nodiscard]] DecodeError DecodeAuthMoreData(std::span<const uint8_t> payload,
                                             std::string_view* data);
void EncodeAuthMoreData(std::string_view data, ByteWriter* writer);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_HANDSHAKE_MESSAGES_H_
