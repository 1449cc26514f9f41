// The address of a socket, IPv4, IPv6 or Unix, and its text.
//
// Purpose: one value type between resolver, listener and stream. Pure; any thread.
// Errors: parsing yields nothing; there is no partly valid address.
// Source: ip(7), ipv6(7), unix(7).
#ifndef BULKHEAD_PROXY_IO_SOCKET_ADDRESS_H_
#define BULKHEAD_PROXY_IO_SOCKET_ADDRESS_H_

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead::io {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  // A numeric IPv4 or IPv6 address, the latter with or without brackets. "" and "*" are the IPv6
  // wildcard, which takes IPv4 too.
  [[nodiscard]] static std::optional<SocketAddress> FromNumeric(std::string_view host,
                                                                uint16_t port);
  // Nothing where the path is empty or longer than sun_path takes (107 bytes).
  [[nodiscard]] static std::optional<SocketAddress> FromUnixPath(std::string_view path);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] bool is_unix() const { return storage.ss_family == AF_UNIX; }
  // 0 for Unix sockets.
  [[nodiscard]] uint16_t port() const;
  void set_port(uint16_t port);
  // "10.0.0.1", "fe80::1"; an IPv4 address mapped into IPv6 is shown as IPv4. The path of a Unix
  // socket, "" where it has none.
  [[nodiscard]] std::string HostText() const;
  // "10.0.0.1:3306", "[fe80::1]:3306", "unix:/path".
  [[nodiscard]] std::string ToText() const;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_SOCKET_ADDRESS_H_
