#include "proxy/io/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace bulkhead::io {

namespace {

std::optional<SocketAddress> FromV4(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  if (inet_pton(AF_INET, host.c_str(), &v4->sin_addr) != 1) return std::nullopt;
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  address.length = sizeof(sockaddr_in);
  return address;
}

std::optional<SocketAddress> FromV6(const std::string& host, uint16_t port) {
  SocketAddress address;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr) != 1) return std::nullopt;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(port);
  address.length = sizeof(sockaddr_in6);
  return address;
}

}  // namespace

std::optional<SocketAddress> SocketAddress::FromNumeric(std::string_view host, uint16_t port) {
  if (host.empty() || host == "*") host = "::";
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return FromV6(std::string(host.substr(1, host.size() - 2)), port);
  }
  // inet_pton stops at a NUL, and would take what is before it for the whole.
  if (host.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string text(host);
  if (auto address = FromV4(text, port)) return address;
  return FromV6(text, port);
}

std::optional<SocketAddress> SocketAddress::FromUnixPath(std::string_view path) {
  SocketAddress address;
  auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (path.empty() || path.size() >= sizeof un->sun_path || path.find('\0') != path.npos) {
    return std::nullopt;
  }
  un->sun_family = AF_UNIX;
  std::copy(path.begin(), path.end(), un->sun_path);
  address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return address;
}

uint16_t SocketAddress::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(&storage)->sin_port);
  if (family() == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_port);
  }
  return 0;
}

void SocketAddress::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port = htons(port);
}

std::string SocketAddress::HostText() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (family() == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&storage);
    (void)inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  } else if (family() == AF_INET6) {
    const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(&storage)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
      (void)inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    } else {
      (void)inet_ntop(AF_INET6, &v6, text, sizeof text);
    }
  } else if (is_unix()) {
    const auto* un = reinterpret_cast<const sockaddr_un*>(&storage);
    constexpr size_t kPathAt = offsetof(sockaddr_un, sun_path);
    // An unnamed socket has no path at all, and a path need not end with a NUL.
    const size_t room = length > kPathAt ? length - kPathAt : 0;
    return std::string(un->sun_path, strnlen(un->sun_path, std::min(room, sizeof un->sun_path)));
  }
  return text;
}

std::string SocketAddress::ToText() const {
  const std::string host = HostText();
  if (is_unix()) return "unix:" + host;
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port());
}

}  // namespace bulkhead::io
