// The HTTP server's listening socket, and what is known of an address without asking anybody.
//
// Thread: any. Errors: in words, with the address. Source: socket(7), ipv6(7).
#ifndef BULKHEAD_PROXY_HTTP_LISTEN_SOCKET_H_
#define BULKHEAD_PROXY_HTTP_LISTEN_SOCKET_H_

#include <absl/status/statusor.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http {

struct ListenSocket {
  int fd = -1;  // the caller's from now on
  uint16_t port = 0;
  bool is_ipv6 = false;
};

// `host`: a numeric address or "localhost"; port 0: any free one.
[[nodiscard]] absl::StatusOr<ListenSocket> Listen(const std::string& host, uint16_t port);

// A socket that listens already. It is the result's, or closed where it is none.
[[nodiscard]] absl::StatusOr<ListenSocket> ListenOn(int fd);

// Without the port; "?" where it is none.
[[nodiscard]] std::string HostText(const sockaddr* address);

[[nodiscard]] bool IsLoopback(std::string_view host);

// Whether a Host header names this machine by address or as "localhost", with or without a port.
[[nodiscard]] bool IsLocalHostHeader(std::string_view header);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_LISTEN_SOCKET_H_
