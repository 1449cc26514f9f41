#include "proxy/http/listen_socket.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace bulkhead::http {

namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

bool Parse(std::string_view host, uint16_t port, Address* out) {
  const std::string text(host == "localhost" ? std::string_view("127.0.0.1") : host);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out->storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out->storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out->size = sizeof *v4;
    return true;
  }
  if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out->size = sizeof *v6;
    return true;
  }
  return false;
}

uint16_t PortOf(int fd) {
  Address bound;
  bound.size = sizeof bound.storage;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) != 0) return 0;
  return ntohs(bound.storage.ss_family == AF_INET6
                   ? reinterpret_cast<sockaddr_in6*>(&bound.storage)->sin6_port
                   : reinterpret_cast<sockaddr_in*>(&bound.storage)->sin_port);
}

}  // namespace

absl::StatusOr<ListenSocket> Listen(const std::string& host, uint16_t port) {
  Address address;
  if (!Parse(host, port, &address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", host, "' is no numeric address: use one such as 127.0.0.1 or ::1"));
  }
  ListenSocket result;
  result.is_ipv6 = address.storage.ss_family == AF_INET6;
  const auto fail = [&](const char* what) {
    const int code = errno;
    if (result.fd >= 0) close(result.fd);
    return absl::UnavailableError(
        absl::StrCat(what, " ", host, ":", port, ": ", std::strerror(code)));
  };
  result.fd = socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (result.fd < 0) return fail("can't make a socket for");
  const int on = 1;
  (void)setsockopt(result.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(result.fd, reinterpret_cast<sockaddr*>(&address.storage), address.size) != 0 ||
      listen(result.fd, 128) != 0) {
    return fail("can't listen on");
  }
  result.port = PortOf(result.fd);
  return result;
}

absl::StatusOr<ListenSocket> ListenOn(int fd) {
  Address bound;
  bound.size = sizeof bound.storage;
  const bool known = getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.size) == 0;
  const int family = bound.storage.ss_family;
  if (!known || (family != AF_INET && family != AF_INET6)) {
    close(fd);
    return absl::InvalidArgumentError("the given socket is no TCP socket");
  }
  return ListenSocket{.fd = fd, .port = PortOf(fd), .is_ipv6 = family == AF_INET6};
}

std::string HostText(const sockaddr* address) {
  char text[INET6_ADDRSTRLEN] = "?";
  if (address != nullptr && address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    (void)inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  } else if (address != nullptr && address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  }
  return text;
}

bool IsLoopback(std::string_view host) {
  Address address;
  if (!Parse(host, 0, &address)) return false;
  if (address.storage.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
    return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
  return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

bool IsLocalHostHeader(std::string_view header) {
  std::string_view host = header;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    host = host.substr(1, end - 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  Address address;
  return host == "localhost" || Parse(host, 0, &address);
}

}  // namespace bulkhead::http
