#include "proxy/wire/handshake_messages.h"

#include <algorithm>

#include "proxy/wire/responses.h"

namespace bulkhead::wire {
namespace {

constexpr size_t kFirstAuthDataSize = 8;
constexpr size_t kSecondAuthDataSize = 12;  // at least, without its NUL
constexpr std::string_view kReplicationPrefix = "5.5.5-";

DecodeError Result(const ByteReader& reader) {
  return reader.ok() ? DecodeError::kNone : DecodeError::kTruncated;
}

// Where MariaDB's extended capabilities are: 4 bytes that MySQL leaves zero.
void ReadExtendedCapabilities(ByteReader* reader, Capabilities* capabilities) {
  const Capabilities extended = reader->ReadU32();
  if ((*capabilities & kClientMysql) == 0) *capabilities |= extended << 32;
}

void WriteExtendedCapabilities(Capabilities capabilities, ByteWriter* writer) {
  writer->WriteU32((capabilities & kClientMysql) == 0 ? static_cast<uint32_t>(capabilities >> 32)
                                                      : 0);
}

// What a TLS request and a handshake response begin with.
DecodeError ReadResponseHead(ByteReader* reader, SslRequest* out) {
  out->capabilities = reader->ReadU32();
  out->max_packet_size = reader->ReadU32();
  out->collation = reader->ReadU8();
  reader->Skip(19);
  ReadExtendedCapabilities(reader, &out->capabilities);
  return Result(*reader);
}

void WriteResponseHead(const SslRequest& head, ByteWriter* writer) {
  writer->WriteU32(static_cast<uint32_t>(head.capabilities));
  writer->WriteU32(head.max_packet_size);
  writer->WriteU8(head.collation);
  writer->WriteZeros(19);
  WriteExtendedCapabilities(head.capabilities, writer);
}

// A client before 4.1 sends only 2 bytes of capabilities, so the bit is looked at before the size.
bool SpeaksProtocol41(std::span<const uint8_t> payload) {
  return payload.size() < 2 || (ByteReader(payload).ReadU16() & kClientProtocol41) != 0;
}

}  // namespace

DecodeError DecodeGreeting(std::span<const uint8_t> payload, ByteBuffer* auth_data, Greeting* out) {
  *out = Greeting{};
  auth_data->clear();
  ByteReader reader(payload);
  const uint8_t version = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (version == kErrHeader) return DecodeError::kUnexpectedType;
  if (version != kProtocolVersion10) return DecodeError::kUnsupported;
  out->server_version = reader.ReadNullTerminated();
  out->connection_id = reader.ReadU32();
  const auto first = reader.ReadBytes(kFirstAuthDataSize);
  reader.Skip(1);
  out->capabilities = reader.ReadU16();
  out->collation = reader.ReadU8();
  out->status = reader.ReadU16();
  out->capabilities |= static_cast<Capabilities>(reader.ReadU16()) << 16;
  const size_t auth_data_size = reader.ReadU8();
  reader.Skip(6);
  ReadExtendedCapabilities(&reader, &out->capabilities);
  if (!reader.ok()) return DecodeError::kTruncated;
  if ((out->capabilities & kClientProtocol41) == 0) return DecodeError::kUnsupported;
  auth_data->assign(first.begin(), first.end());
  if ((out->capabilities & kClientSecureConnection) != 0) {
    // The size counts both parts and the NUL behind them.
    const size_t nul_and_first = kFirstAuthDataSize + 1;
    const size_t size =
        std::max(kSecondAuthDataSize, auth_data_size - std::min(auth_data_size, nul_and_first));
    const auto second = reader.ReadBytes(size);
    reader.Skip(1);
    auth_data->insert(auth_data->end(), second.begin(), second.end());
  }
  if ((out->capabilities & kClientPluginAuth) != 0) {
    out->auth_plugin = reader.ReadNullTerminatedOrRest();
  }
  out->auth_data = AsText(*auth_data);
  return Result(reader);
}

void EncodeGreeting(const Greeting& greeting, ByteWriter* writer) {
  writer->WriteU8(kProtocolVersion10);
  writer->WriteNullTerminated(greeting.server_version);
  writer->WriteU32(greeting.connection_id);
  const std::string_view first = greeting.auth_data.substr(0, kFirstAuthDataSize);
  const std::string_view second = greeting.auth_data.substr(first.size());
  writer->WriteText(first);
  writer->WriteZeros(kFirstAuthDataSize - first.size() + 1);
  writer->WriteU16(static_cast<uint16_t>(greeting.capabilities));
  writer->WriteU8(greeting.collation);
  writer->WriteU16(greeting.status);
  writer->WriteU16(static_cast<uint16_t>(greeting.capabilities >> 16));
  const bool plugins = (greeting.capabilities & kClientPluginAuth) != 0;
  writer->WriteU8(plugins ? static_cast<uint8_t>(greeting.auth_data.size() + 1) : 0);
  writer->WriteZeros(6);
  WriteExtendedCapabilities(greeting.capabilities, writer);
  if ((greeting.capabilities & kClientSecureConnection) != 0) {
    writer->WriteText(second);
    writer->WriteZeros(second.size() < kSecondAuthDataSize ? kSecondAuthDataSize - second.size()
                                                           : 0);
    writer->WriteU8(0);
  }
  if (plugins) writer->WriteNullTerminated(greeting.auth_plugin);
}

std::string_view StripReplicationPrefix(std::string_view server_version) {
  if (server_version.starts_with(kReplicationPrefix)) {
    server_version.remove_prefix(kReplicationPrefix.size());
  }
  return server_version;
}

bool IsMariadb(const Greeting& greeting) {
  return (greeting.capabilities & kClientMysql) == 0 ||
         greeting.server_version.find("MariaDB") != std::string_view::npos;
}

uint32_t ServerVersionNumber(std::string_view server_version) {
  // A MariaDB server 5.5.5-something does not exist, so that the prefix is never a version.
  const std::string_view text = StripReplicationPrefix(server_version);
  uint32_t parts[3] = {};
  size_t part = 0;
  size_t digits = 0;
  for (const char c : text) {
    if (c == '.' && digits != 0 && part < 2) {
      ++part;
      digits = 0;
    } else if (c >= '0' && c <= '9' && digits < 3) {
      parts[part] = parts[part] * 10 + static_cast<uint32_t>(c - '0');
      ++digits;
    } else {
      break;
    }
  }
  return parts[0] * 10000 + parts[1] * 100 + parts[2];
}

bool IsSslRequest(std::span<const uint8_t> payload) {
  return payload.size() == kSslRequestSize && (ByteReader(payload).ReadU32() & kClientSsl) != 0 &&
         SpeaksProtocol41(payload);
}

DecodeError DecodeSslRequest(std::span<const uint8_t> payload, SslRequest* out) {
  if (!SpeaksProtocol41(payload)) return DecodeError::kUnsupported;
  ByteReader reader(payload);
  if (const DecodeError error = ReadResponseHead(&reader, out); error != DecodeError::kNone) {
    return error;
  }
  return IsSslRequest(payload) ? DecodeError::kNone : DecodeError::kUnexpectedType;
}

void EncodeSslRequest(const SslRequest& request, ByteWriter* writer) {
  SslRequest with_bit = request;
  with_bit.capabilities |= kClientSsl;
  WriteResponseHead(with_bit, writer);
}

DecodeError DecodeHandshakeResponse(std::span<const uint8_t> payload, Capabilities offered,
                                    HandshakeResponse* out) {
  *out = HandshakeResponse{};
  if (!SpeaksProtocol41(payload)) return DecodeError::kUnsupported;
  ByteReader reader(payload);
  SslRequest head;
  if (const DecodeError error = ReadResponseHead(&reader, &head); error != DecodeError::kNone) {
    return error;
  }
  out->capabilities = head.capabilities;
  out->max_packet_size = head.max_packet_size;
  out->collation = head.collation;
  out->user = reader.ReadNullTerminated();
  const Capabilities agreed = head.capabilities & offered;
  if ((agreed & kClientPluginAuthLenencClientData) != 0) {
    out->auth_response = reader.ReadLenencString();
  } else if ((agreed & kClientSecureConnection) != 0) {
    out->auth_response = reader.ReadFixed(reader.ReadU8());
  } else {
    out->auth_response = reader.ReadNullTerminated();
  }
  if ((agreed & kClientConnectWithDb) != 0) out->database = reader.ReadNullTerminatedOrRest();
  if ((agreed & kClientPluginAuth) != 0) out->auth_plugin = reader.ReadNullTerminatedOrRest();
  if ((agreed & kClientConnectAttrs) != 0 && reader.ok() && !reader.AtEnd()) {
    const uint64_t size = reader.ReadLenencInt();
    if (reader.ok() && size > kMaxAttributesSize) return DecodeError::kLimitExceeded;
    out->connection_attributes = reader.ReadFixed(size);
  }
  if ((agreed & kClientZstdCompressionAlgorithm) != 0 && reader.ok() && !reader.AtEnd()) {
    out->zstd_level = reader.ReadU8();
  }
  return Result(reader);
}

DecodeError EncodeHandshakeResponse(const HandshakeResponse& response, ByteWriter* writer) {
  const Capabilities capabilities = response.capabilities;
  const bool lenenc = (capabilities & kClientPluginAuthLenencClientData) != 0;
  const bool one_byte = !lenenc && (capabilities & kClientSecureConnection) != 0;
  if (one_byte && response.auth_response.size() > 255) return DecodeError::kMalformed;
  WriteResponseHead({capabilities, response.max_packet_size, response.collation}, writer);
  writer->WriteNullTerminated(response.user);
  if (lenenc) {
    writer->WriteLenencString(response.auth_response);
  } else if (one_byte) {
    writer->WriteU8(static_cast<uint8_t>(response.auth_response.size()));
    writer->WriteText(response.auth_response);
  } else {
    writer->WriteNullTerminated(response.auth_response);
  }
  if ((capabilities & kClientConnectWithDb) != 0) writer->WriteNullTerminated(response.database);
  if ((capabilities & kClientPluginAuth) != 0) writer->WriteNullTerminated(response.auth_plugin);
  if ((capabilities & kClientConnectAttrs) != 0) {
    writer->WriteLenencString(response.connection_attributes);
  }
  if ((capabilities & kClientZstdCompressionAlgorithm) != 0) writer->WriteU8(response.zstd_level);
  return DecodeError::kNone;
}

DecodeError DecodeConnectionAttributes(std::string_view connection_attributes,
                                       std::vector<ConnectionAttribute>* out) {
  out->clear();
  if (connection_attributes.size() > kMaxAttributesSize) return DecodeError::kLimitExceeded;
  ByteReader reader(AsBytes(connection_attributes));
  while (!reader.AtEnd()) {
    if (out->size() == kMaxAttributes) return DecodeError::kLimitExceeded;
    ConnectionAttribute attribute;
    attribute.key = reader.ReadLenencString();
    attribute.value = reader.ReadLenencString();
    if (!reader.ok()) return DecodeError::kTruncated;
    out->push_back(attribute);
  }
  return DecodeError::kNone;
}

void EncodeConnectionAttribute(const ConnectionAttribute& attribute, ByteWriter* writer) {
  writer->WriteLenencString(attribute.key);
  writer->WriteLenencString(attribute.value);
}

AuthReplyKind ClassifyAuthReply(std::span<const uint8_t> payload) {
  if (payload.empty()) return AuthReplyKind::kEmpty;
  switch (payload[0]) {
    case kOkHeader:
      return AuthReplyKind::kOk;
    case kErrHeader:
      return AuthReplyKind::kErr;
    case kAuthSwitchHeader:
      return payload.size() == 1 ? AuthReplyKind::kOldAuthSwitch : AuthReplyKind::kAuthSwitch;
    case kAuthMoreDataHeader:
      return AuthReplyKind::kMoreData;
    case 0x02:
      return AuthReplyKind::kAuthNextFactor;
  }
  return AuthReplyKind::kPluginData;
}

DecodeError DecodeAuthSwitchRequest(std::span<const uint8_t> payload, AuthSwitchRequest* out) {
  *out = AuthSwitchRequest{};
  if (payload.empty()) return DecodeError::kTruncated;
  if (ClassifyAuthReply(payload) != AuthReplyKind::kAuthSwitch) return DecodeError::kUnexpectedType;
  ByteReader reader(payload.subspan(1));
  out->plugin = reader.ReadNullTerminatedOrRest();
  out->data = reader.ReadRest();
  return Result(reader);
}

void EncodeAuthSwitchRequest(const AuthSwitchRequest& request, ByteWriter* writer) {
  writer->WriteU8(kAuthSwitchHeader);
  writer->WriteNullTerminated(request.plugin);
  writer->WriteText(request.data);
}

std::string_view TrimScramble(std::string_view auth_data) {
  if (auth_data.size() == kScrambleSize + 1 && auth_data.back() == '\0') auth_data.remove_suffix(1);
  return auth_data;
}

DecodeError DecodeAuthMoreData(std::span<const uint8_t> payload, std::string_view* data) {
  if (payload.empty()) return DecodeError::kTruncated;
  if (payload[0] != kAuthMoreDataHeader) return DecodeError::kUnexpectedType;
  *data = AsText(payload.subspan(1));
  return DecodeError::kNone;
}

void EncodeAuthMoreData(std::string_view data, ByteWriter* writer) {
  writer->WriteU8(kAuthMoreDataHeader);
  writer->WriteText(data);
}

}  // namespace bulkhead::wire
