// One GET of an HTTP page, for `bulkhead top`.
//
// Purpose: what a terminal needs to read /api/v1/: http and https, HTTP Basic, the server's
// certificate checked. Blocking; each step within the timeout. Thread: any.
// Limits: kMaxAnswer bytes of an answer. Errors: in words, with the address; the password is in
// none. Source: RFC 9112; OpenSSL 3.0's SSL_set1_host, SSL_CTX_set_verify.
#ifndef BULKHEAD_PROXY_HTTP_HTTP_GET_H_
#define BULKHEAD_PROXY_HTTP_HTTP_GET_H_

#include <absl/status/statusor.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bulkhead::http {

inline constexpr size_t kMaxAnswer = size_t{64} << 20;

struct Target {
  std::string host = "127.0.0.1";
  uint16_t port = 9306;
  bool tls = false;
  std::string ca_file{};  // empty: the system's
  bool insecure = false;  // the certificate is not checked
  std::string user{};     // empty: none is given
  std::string password{};
  std::chrono::milliseconds timeout{3000};
};

// "http://host[:port]" or "https://...", with or without a slash at the end.
[[nodiscard]] absl::StatusOr<Target> ParseUrl(std::string_view url);

// The body of a 200.
[[nodiscard]] absl::StatusOr<std::string> Get(const Target& target, const std::string& path);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_HTTP_GET_H_
