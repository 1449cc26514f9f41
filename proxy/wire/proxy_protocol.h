// The PROXY protocol, versions 1 (text) and 2 (binary): what a load balancer in front says of the
// client; and the list of networks it is believed from.
//
// Purpose: parses the header that comes before anything else on a connection. Sans-IO: feed it all
// bytes received so far. The header is either expected from a peer or not, it is never guessed: a
// listener asks NetworkList whether the peer is one that sends it, and then nothing else is taken.
// Thread: any. Limits: version 1 at most 107 bytes, version 2 at most kMaxProxyHeader bytes with
// its TLVs, which are skipped.
// Errors: kError with a reason; the connection is to be closed without an answer.
// Source: HAProxy's doc/proxy-protocol.txt ("The PROXY protocol, Versions 1 & 2"), sections 2, 2.1
// and 2.2.
#ifndef BULKHEAD_PROXY_WIRE_PROXY_PROTOCOL_H_
#define BULKHEAD_PROXY_WIRE_PROXY_PROTOCOL_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::wire {

// IPv4 addresses are kept as IPv6-mapped ones, so that both compare with each other.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  [[nodiscard]] static std::optional<IpAddress> Parse(std::string_view text);
  [[nodiscard]] static IpAddress FromV4(std::span<const uint8_t, 4> bytes);
  [[nodiscard]] static IpAddress FromV6(std::span<const uint8_t, 16> bytes);
  [[nodiscard]] bool is_v4() const;
  [[nodiscard]] std::string ToText() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

// A list of CIDR networks.
class NetworkList {
 public:
  // "10.0.0.0/8", "::1", "fd00::/8". False: no such thing, or host bits are set.
  [[nodiscard]] bool Add(std::string_view cidr);
  [[nodiscard]] bool Contains(const IpAddress& address) const;
  // A peer by the text that the socket has for it; false if that is no IP address.
  [[nodiscard]] bool Contains(std::string_view address) const;
  [[nodiscard]] bool empty() const { return networks_.empty(); }

 private:
  struct Network {
    IpAddress base;
    uint8_t prefix;  // of the 128 bits
  };
  std::vector<Network> networks_;
};

inline constexpr size_t kMaxProxyHeader = 4096;

enum class ProxyHeaderState : uint8_t { kNeedMore, kDone, kError };

struct ProxyHeader {
  ProxyHeaderState state = ProxyHeaderState::kNeedMore;
  size_t consumed = 0;  // of kDone: what comes after belongs to the client
  // Of kDone: false for LOCAL and UNKNOWN: the peer speaks for itself (a health check, say).
  bool has_addresses = false;
  IpAddress source;
  IpAddress destination;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  std::string_view error;  // of kError, static text
};

// `bytes`: all that was received so far.
[[nodiscard]] ProxyHeader ParseProxyHeader(std::span<const uint8_t> bytes);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_PROXY_PROTOCOL_H_
