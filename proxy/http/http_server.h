// A small HTTP server for people and monitoring: a fixed table of pages, each a function that gives
// its text, or a stream that goes on.
//
// Purpose: carries what monitoring_pages.h, api_pages.h and asset_pages.h give. Only GET and HEAD;
//   any other path is 404. Nothing is ever read from disk, nothing can be changed.
// Threads: Start, the destructor and WakeStreams from any; pages are called on the server's own
//   threads, several at once, so they must be thread-safe and must not wait for a worker. Streams
//   are polled there too, and cost no thread while they have nothing to say. Its threads block all
//   signals.
// Limits: max_connections at once (more wait to be accepted; elsewhere than on loopback half of
//   them from one address); max_streams; kMaxHead bytes of a request's head; io_timeout for a peer
//   that says nothing; no keep-alive, so that nobody holds a place between two requests.
// Who may: on a loopback address everybody who gets there, but a Host header must be an address or
//   "localhost" (a web page elsewhere can't talk a browser into reading for it); where check_login
//   is given, everybody who has a password, by HTTP Basic, and TLS is required with it.
// Errors: Start says what went wrong (address in use, a certificate that does not fit, ...).
// Source: libmicrohttpd 0.9.75, its manual and microhttpd.h; RFC 9110, RFC 7617.
#ifndef BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_
#define BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_

#include <absl/status/statusor.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/http/listen_socket.h"

namespace bulkhead::http {

struct Request {
  std::string path{};                                       // decoded, as the page's key has it
  std::string rest{};                                       // for a page whose key ends with "/*"
  std::map<std::string, std::string, std::less<>> query{};  // decoded; of a repeated key the last
  std::string if_none_match{};

  // "" where it is not given.
  [[nodiscard]] std::string_view Query(std::string_view key) const {
    const auto it = query.find(key);
    return it == query.end() ? std::string_view() : std::string_view(it->second);
  }
};

// What a stream says next. Polled on one of the server's threads, whenever WakeStreams was called
// and the client has taken what was said before.
class Stream {
 public:
  virtual ~Stream() = default;
  // Bytes; empty: nothing now; nothing: it is over.
  [[nodiscard]] virtual std::optional<std::string> Next() = 0;
};

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body{};
  std::shared_ptr<const std::string> shared_body{};  // instead of body, where many get the same
  std::vector<std::pair<std::string, std::string>> headers{};
  std::unique_ptr<Stream> stream{};  // instead of a body
};

using Page = std::function<Response(const Request&)>;

// By exact path ("/metrics"), or by what a path begins with ("/api/v1/incidents/*").
using Pages = std::map<std::string, Page, std::less<>>;

struct HttpTls {
  std::string cert_pem;  // with intermediate certificates behind it
  std::string key_pem;
  bool only_13 = false;
};

class HttpServer {
 public:
  static constexpr size_t kMaxHead = 16 * 1024;

  using Tls = HttpTls;
  // Says whether this name and password may read. Any of the server's threads; may take a few
  // milliseconds.
  using CheckLogin = std::function<bool(std::string_view user, std::string_view password)>;

  struct Options {
    std::string host = "127.0.0.1";  // a numeric address, or "localhost"
    uint16_t port = 9306;            // 0: any free one, see port()
    int listen_fd = -1;              // a socket that listens already, taken instead; Start's
    std::optional<Tls> tls{};
    CheckLogin check_login{};  // required on other than loopback addresses, together with tls
    uint32_t threads = 4;
    uint32_t max_connections = 64;
    uint32_t max_streams = 16;
    std::chrono::seconds io_timeout{10};
  };

  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Start(Options options,
                                                                         Pages pages);
  // Another one on the same listening socket, with other options (a new certificate); host and port
  // are this one's. From then on this one accepts nobody any more: what it has under way may end
  // until it is destroyed. If the other can't start, this one goes on.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<HttpServer>> Successor(Options options, Pages pages);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Closes the listener (whoever else has the socket goes on with it), ends the requests and
  // streams under way and joins all threads.
  ~HttpServer();

  [[nodiscard]] uint16_t port() const;
  // A copy of the listening socket, for another process; the caller's. -1: none can be had.
  [[nodiscard]] int CopySocket() const;
  // There is something new for the streams.
  void WakeStreams();

  struct Counts {
    std::array<uint64_t, 6> answers{};  // by the first digit of the status
    uint64_t streams = 0;               // open now
    uint64_t streams_refused = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  // The socket is the server's from then on, whatever comes of it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> StartOn(
      const ListenSocket& socket, Options options, Pages pages);

  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_
