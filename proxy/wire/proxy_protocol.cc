#include "proxy/wire/proxy_protocol.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace bulkhead::wire {

namespace {

constexpr std::array<uint8_t, 12> kV4Mapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::string_view kV1Start = "PROXY ";
constexpr size_t kV1MaxLine = 107;
constexpr std::array<uint8_t, 12> kV2Signature = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                                  0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
constexpr size_t kV2FixedSize = 16;

enum class V2Family : uint8_t { kUnspecified = 0, kInet = 1, kInet6 = 2, kUnix = 3 };
constexpr uint8_t kV2LastFamily = 3;
constexpr uint8_t kV2Stream = 1;
constexpr uint8_t kV2LastTransport = 2;

ProxyHeader Error(std::string_view reason) {
  ProxyHeader header;
  header.state = ProxyHeaderState::kError;
  header.error = reason;
  return header;
}

std::optional<IpAddress> ParseV4(const std::string& text) {
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) != 1) return std::nullopt;
  std::array<uint8_t, 4> bytes;
  std::memcpy(bytes.data(), &v4, sizeof v4);
  return IpAddress::FromV4(bytes);
}

std::optional<IpAddress> ParseV6(const std::string& text) {
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return std::nullopt;
  return IpAddress::FromV6(v6.s6_addr);
}

// Decimal without sign and leading zeros, up to `max`.
std::optional<uint16_t> ParseNumber(std::string_view text, uint16_t max) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  uint16_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

// Takes what is before the next space, and the space. Nothing: there is no space.
std::optional<std::string_view> TakeWord(std::string_view* rest) {
  const size_t space = rest->find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const std::string_view word = rest->substr(0, space);
  rest->remove_prefix(space + 1);
  return word;
}

// `rest` is the line behind "PROXY TCPn ", without CRLF.
bool ParseV1Addresses(std::string_view rest, bool v6, ProxyHeader* header) {
  const auto source = TakeWord(&rest);
  const auto destination = TakeWord(&rest);
  const auto source_port = TakeWord(&rest);
  if (!source || !destination || !source_port) return false;
  if (rest.find('\0') != rest.npos || source->find('\0') != source->npos ||
      destination->find('\0') != destination->npos) {
    return false;
  }
  const auto parse = v6 ? &ParseV6 : &ParseV4;
  const auto from = parse(std::string(*source));
  const auto to = parse(std::string(*destination));
  const auto from_port = ParseNumber(*source_port, UINT16_MAX);
  const auto to_port = ParseNumber(rest, UINT16_MAX);
  if (!from || !to || !from_port || !to_port) return false;
  header->source = *from;
  header->destination = *to;
  header->source_port = *from_port;
  header->destination_port = *to_port;
  header->has_addresses = true;
  return true;
}

ProxyHeader ParseV1(std::string_view text) {
  const size_t end = text.substr(0, kV1MaxLine).find('\r');
  if (end == std::string_view::npos) {
    if (text.size() >= kV1MaxLine) return Error("PROXY line without an end");
    if (text.find('\n') != text.npos) return Error("PROXY line that ends without CR");
    return {};
  }
  if (text.substr(0, end).find('\n') != text.npos) return Error("PROXY line that ends without CR");
  if (end + 2 > kV1MaxLine) return Error("PROXY line without an end");
  if (text.size() == end + 1) return {};
  if (text[end + 1] != '\n') return Error("PROXY line that ends without LF");

  ProxyHeader header;
  header.state = ProxyHeaderState::kDone;
  header.consumed = end + 2;
  std::string_view rest = text.substr(kV1Start.size(), end - kV1Start.size());
  if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return header;
  const bool v6 = rest.starts_with("TCP6 ");
  if (!v6 && !rest.starts_with("TCP4 ")) return Error("PROXY line of an unknown protocol");
  rest.remove_prefix(5);
  if (!ParseV1Addresses(rest, v6, &header)) return Error("PROXY line with malformed addresses");
  return header;
}

uint16_t LoadU16(const uint8_t* at) { return static_cast<uint16_t>(at[0] << 8 | at[1]); }

// The address block of IPv4 (size 4) or IPv6 (size 16): source, destination, both ports.
bool ReadV2Addresses(std::span<const uint8_t> block, size_t size, ProxyHeader* header) {
  if (block.size() < 2 * size + 4) return false;
  if (size == 4) {
    header->source = IpAddress::FromV4(block.subspan<0, 4>());
    header->destination = IpAddress::FromV4(block.subspan<4, 4>());
  } else {
    header->source = IpAddress::FromV6(block.subspan<0, 16>());
    header->destination = IpAddress::FromV6(block.subspan<16, 16>());
  }
  header->source_port = LoadU16(&block[2 * size]);
  header->destination_port = LoadU16(&block[2 * size + 2]);
  header->has_addresses = true;
  return true;
}

ProxyHeader ParseV2(std::span<const uint8_t> bytes) {
  // What can be refused early is refused early: nobody should feed 4 KiB to hear it.
  if (bytes.size() > 12 && bytes[12] >> 4 != 2) return Error("PROXY header of unknown version");
  if (bytes.size() > 12 && (bytes[12] & 0x0F) > 1) return Error("PROXY header, unknown command");
  if (bytes.size() < kV2FixedSize) return {};
  const bool local = (bytes[12] & 0x0F) == 0;
  const uint8_t family = bytes[13] >> 4;
  const uint8_t transport = bytes[13] & 0x0F;
  const size_t length = LoadU16(&bytes[14]);
  if (length > kMaxProxyHeader - kV2FixedSize) return Error("PROXY header too long");
  // What LOCAL says of addresses is ignored.
  if (!local && (family > kV2LastFamily || transport > kV2LastTransport)) {
    return Error("PROXY header of unknown address family or transport");
  }
  if (bytes.size() < kV2FixedSize + length) return {};

  ProxyHeader header;
  header.state = ProxyHeaderState::kDone;
  header.consumed = kV2FixedSize + length;
  if (local || transport != kV2Stream) return header;
  const std::span<const uint8_t> block = bytes.subspan(kV2FixedSize, length);
  bool ok = true;
  switch (static_cast<V2Family>(family)) {
    case V2Family::kUnspecified:
    case V2Family::kUnix:
      break;
    case V2Family::kInet:
      ok = ReadV2Addresses(block, 4, &header);
      break;
    case V2Family::kInet6:
      ok = ReadV2Addresses(block, 16, &header);
      break;
  }
  return ok ? header : Error("PROXY header too short for its addresses");
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  // inet_pton stops at a NUL, and would take what is before it for the whole.
  if (text.find('\0') != text.npos) return std::nullopt;
  const std::string copy(text);
  if (auto address = ParseV4(copy)) return address;
  return ParseV6(copy);
}

IpAddress IpAddress::FromV4(std::span<const uint8_t, 4> v4) {
  IpAddress address;
  std::copy(kV4Mapped.begin(), kV4Mapped.end(), address.bytes.begin());
  std::copy(v4.begin(), v4.end(), address.bytes.begin() + kV4Mapped.size());
  return address;
}

IpAddress IpAddress::FromV6(std::span<const uint8_t, 16> v6) {
  IpAddress address;
  std::copy(v6.begin(), v6.end(), address.bytes.begin());
  return address;
}

bool IpAddress::is_v4() const {
  return std::equal(kV4Mapped.begin(), kV4Mapped.end(), bytes.begin());
}

std::string IpAddress::ToText() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    (void)inet_ntop(AF_INET, bytes.data() + kV4Mapped.size(), text, sizeof text);
  } else {
    (void)inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  }
  return text;
}

bool NetworkList::Add(std::string_view cidr) {
  const size_t slash = cidr.find('/');
  const auto base = IpAddress::Parse(cidr.substr(0, slash));
  if (!base) return false;
  const uint8_t bits = base->is_v4() ? 32 : 128;
  uint8_t length = bits;
  if (slash != std::string_view::npos) {
    const auto number = ParseNumber(cidr.substr(slash + 1), bits);
    if (!number) return false;
    length = static_cast<uint8_t>(*number);
  }
  const Network network{*base, static_cast<uint8_t>(128 - bits + length)};
  // Host bits are more likely a slip than meant.
  for (size_t bit = network.prefix; bit < 128; ++bit) {
    if ((base->bytes[bit / 8] >> (7 - bit % 8) & 1) != 0) return false;
  }
  networks_.push_back(network);
  return true;
}

bool NetworkList::Contains(const IpAddress& address) const {
  return std::any_of(networks_.begin(), networks_.end(), [&](const Network& network) {
    const size_t whole = network.prefix / 8;
    const size_t rest = network.prefix % 8;
    if (!std::equal(address.bytes.begin(), address.bytes.begin() + whole,
                    network.base.bytes.begin())) {
      return false;
    }
    return rest == 0 || (address.bytes[whole] ^ network.base.bytes[whole]) >> (8 - rest) == 0;
  });
}

bool NetworkList::Contains(std::string_view address) const {
  const auto parsed = IpAddress::Parse(address);
  return parsed.has_value() && Contains(*parsed);
}

ProxyHeader ParseProxyHeader(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::string_view signature(reinterpret_cast<const char*>(kV2Signature.data()),
                                   kV2Signature.size());
  if (text.starts_with(kV1Start)) return ParseV1(text);
  if (text.starts_with(signature)) return ParseV2(bytes);
  if (kV1Start.starts_with(text) || signature.starts_with(text)) return {};
  return Error("not a PROXY header");
}

}  // namespace bulkhead::wire
