// A small HTTP server for monitoring: a fixed table of pages, each a function that gives its text.
//
// Purpose: /metrics, /healthz and /readyz (see monitoring_pages.h); later the status page. Only GET
//   and HEAD; any other path is 404. Nothing is ever read from disk.
// Thread: Start, Stop and the destructor on one thread of the caller's. Pages are called on the
//   server's own threads, several at once, so they must be thread-safe and must not wait for a
//   worker. Its threads block all signals.
// Limits: `threads` requests at a time, 16 KiB of request head, io_timeout for a slow peer, no
//   keep-alive (so a scraper can't hold a thread between scrapes).
// Errors: Start says what went wrong (address in use, not a loopback address, ...).
// Source: civetweb 1.15, UserManual.md and civetweb.h.
#ifndef BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_
#define BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_

#include <absl/status/statusor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace bulkhead::http {

struct Response {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
};

using Page = std::function<Response()>;

// By exact path, e.g. "/metrics"; what follows a question mark is ignored.
using Pages = std::map<std::string, Page, std::less<>>;

class HttpServer {
 public:
  struct Options {
    // An IPv4 loopback address or "localhost": others need TLS and a password, which this server
    // can't do yet.
    std::string host = "127.0.0.1";
    uint16_t port = 9306;  // 0: any free one, see port()
    int threads = 4;
    std::chrono::milliseconds io_timeout{5000};
  };

  [[nodiscard]] static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const Options& options,
                                                                         Pages pages);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  // Closes the listener, ends the requests under way and joins all threads (at most io_timeout).
  ~HttpServer();

  [[nodiscard]] uint16_t port() const;

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_HTTP_SERVER_H_
