#include "proxy/http/http_server.h"

#include <absl/status/status.h>
#include <absl/strings/str_cat.h>
#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

namespace bulkhead::http {
namespace {

// The numeric address; nothing where it is no loopback address. Debian's civetweb is built without
// IPv6.
std::optional<std::string> LoopbackAddress(const std::string& host) {
  if (host == "localhost") return "127.0.0.1";
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) != 1 || (ntohl(v4.s_addr) >> 24) != 127) {
    return std::nullopt;
  }
  return host;
}

void Send(mg_connection* connection, const Response& response, bool with_body,
          const char* more_headers = "") {
  mg_printf(
      connection,
      "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n%sConnection: close\r\n\r\n",
      response.status, mg_get_response_code_text(connection, response.status),
      response.content_type.c_str(), response.body.size(), more_headers);
  if (with_body) mg_write(connection, response.body.data(), response.body.size());
}

// Called first for each request; a result other than 0 tells civetweb that all is done, so that
// its own handling of files is never reached.
int OnRequest(mg_connection* connection) {
  const mg_request_info* const request = mg_get_request_info(connection);
  const auto* const pages = static_cast<const Pages*>(request->user_data);
  const std::string_view method = request->request_method;
  const bool head = method == "HEAD";
  Response response;
  const char* more_headers = "";
  if (!head && method != "GET") {
    response = {.status = 405, .body = "only GET and HEAD\n"};
    more_headers = "Allow: GET, HEAD\r\n";
  } else if (const char* path = request->local_uri; path == nullptr) {
    response = {.status = 400, .body = "bad request\n"};
  } else if (const auto page = pages->find(std::string_view(path)); page != pages->end()) {
    response = page->second();
  } else {
    response = {.status = 404, .body = "not found\n"};
  }
  Send(connection, response, !head, more_headers);
  return response.status;
}

int OnLogMessage(const mg_connection*, const char* message) {
  spdlog::warn("http: {}", message);
  return 1;
}

// Opens a connection and closes it again.
void Knock(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  close(fd);
}

// Signals are for the main thread's loop: threads made while this lives never receive any.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
};

}  // namespace

struct HttpServer::Impl {
  Pages pages;
  mg_context* context = nullptr;

  std::string host;
  uint16_t port = 0;

  Impl() { mg_init_library(MG_FEATURES_DEFAULT); }
  ~Impl() {
    if (context != nullptr) Stop();
    mg_exit_library();
  }

  // civetweb's listening thread looks at its stop flag only when poll returns, every two seconds;
  // a connection wakes it at once. One that comes just before the flag is set wakes it too soon,
  // so they are repeated.
  void Stop() {
    std::atomic<bool> stopped{false};
    std::thread waker([&] {
      while (!stopped.load()) {
        Knock(host, port);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
    });
    mg_stop(context);
    stopped.store(true);
    waker.join();
  }
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

uint16_t HttpServer::port() const { return impl_->port; }

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options, Pages pages) {
  const std::optional<std::string> host = LoopbackAddress(options.host);
  if (!host.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("http: ", options.host, " is not an IPv4 loopback address"));
  }
  auto impl = std::make_unique<Impl>();
  impl->pages = std::move(pages);
  mg_callbacks callbacks{};
  callbacks.begin_request = OnRequest;
  callbacks.log_message = OnLogMessage;
  const std::string listen = absl::StrCat(*host, ":", options.port);
  const std::string threads = absl::StrCat(options.threads);
  const std::string timeout = absl::StrCat(options.io_timeout.count());
  std::array<const char*, 11> settings = {"listening_ports",
                                          listen.c_str(),
                                          "num_threads",
                                          threads.c_str(),
                                          "request_timeout_ms",
                                          timeout.c_str(),
                                          "enable_keep_alive",
                                          "no",
                                          "max_request_size",
                                          "16384",
                                          nullptr};
  std::array<char, 256> text{};
  mg_init_data init{&callbacks, &impl->pages, settings.data()};
  mg_error_data error{nullptr, text.data(), text.size()};
  {
    const SignalsBlocked blocked;
    impl->context = mg_start2(&init, &error);
  }
  if (impl->context == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("http: can't listen on ", listen, ": ", text.data()));
  }
  mg_server_port bound{};
  const int count = mg_get_server_ports(impl->context, 1, &bound);
  impl->host = *host;
  impl->port = static_cast<uint16_t>(count > 0 ? bound.port : options.port);
  // Not make_unique: the constructor is private.
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace bulkhead::http
