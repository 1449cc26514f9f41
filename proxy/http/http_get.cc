#include "proxy/http/http_get.h"

#include <absl/status/status.h>
#include <absl/strings/ascii.h>
#include <absl/strings/escaping.h>
#include <absl/strings/match.h>
#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace bulkhead::http {

namespace {

constexpr size_t kMaxReason = 300;

absl::string_view A(std::string_view text) { return {text.data(), text.size()}; }

std::string Where(const Target& target) { return absl::StrCat(target.host, ":", target.port); }

absl::Status Failed(const Target& target, const std::string& what) {
  return absl::UnavailableError(absl::StrCat(Where(target), ": ", what));
}

// A connected socket, and TLS over it if asked for.
class Connection {
 public:
  explicit Connection(const Target& target) : target_(target) {}
  ~Connection() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    if (fd_ >= 0) close(fd_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  absl::Status Open();
  absl::Status Write(std::string_view bytes);
  // Until the server closes.
  absl::StatusOr<std::string> ReadAll();

 private:
  absl::Status Connect(const addrinfo& address);
  absl::Status Encrypt();
  [[nodiscard]] std::string TlsWords() const;

  const Target& target_;
  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
};

absl::Status Connection::Connect(const addrinfo& address) {
  fd_ = socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return Failed(target_, std::strerror(errno));
  const auto timeout_ms = static_cast<int>(target_.timeout.count());
  if (connect(fd_, address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return Failed(target_, std::strerror(errno));
    pollfd waited{fd_, POLLOUT, 0};
    if (poll(&waited, 1, timeout_ms) <= 0) return Failed(target_, "no connection in time");
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return Failed(target_, std::strerror(error));
  }
  (void)fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) & ~O_NONBLOCK);
  const timeval limit{timeout_ms / 1000, (timeout_ms % 1000) * 1000};
  (void)setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  (void)setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return absl::OkStatus();
}

absl::Status Connection::Open() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      getaddrinfo(target_.host.c_str(), std::to_string(target_.port).c_str(), &hints, &found);
  if (code != 0) return Failed(target_, gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  absl::Status status = Failed(target_, "no address");
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
    status = Connect(*address);
    if (status.ok()) return target_.tls ? Encrypt() : status;
  }
  return status;
}

std::string Connection::TlsWords() const {
  if (ssl_ != nullptr) {
    if (const long verdict = SSL_get_verify_result(ssl_); verdict != X509_V_OK)
      return X509_verify_cert_error_string(verdict);
  }
  const unsigned long error = ERR_get_error();
  const char* const words = error == 0 ? nullptr : ERR_reason_error_string(error);
  return words == nullptr ? "the server does not answer as a TLS server does" : words;
}

absl::Status Connection::Encrypt() {
  context_ = SSL_CTX_new(TLS_client_method());
  if (context_ == nullptr) return Failed(target_, "no TLS");
  (void)SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_verify(context_, target_.insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  const int loaded = target_.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context_)
                                             : SSL_CTX_load_verify_locations(
                                                   context_, target_.ca_file.c_str(), nullptr);
  if (loaded != 1) return Failed(target_, absl::StrCat(target_.ca_file, " can't be used as a CA"));
  ssl_ = SSL_new(context_);
  if (ssl_ == nullptr || SSL_set_fd(ssl_, fd_) != 1) return Failed(target_, "no TLS");
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_);
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, target_.host.c_str()) != 1) {
    (void)SSL_set1_host(ssl_, target_.host.c_str());
    (void)SSL_set_tlsext_host_name(ssl_, target_.host.c_str());
  }
  if (SSL_connect(ssl_) == 1) return absl::OkStatus();
  return Failed(target_, absl::StrCat("TLS: ", TlsWords()));
}

absl::Status Connection::Write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ssl_ != nullptr
                             ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                             : send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return Failed(target_, "the request can't be sent");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Connection::ReadAll() {
  std::string answer;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t size = ssl_ != nullptr ? SSL_read(ssl_, buffer, sizeof buffer)
                                         : recv(fd_, buffer, sizeof buffer, 0);
    if (size == 0) return answer;
    if (size < 0) {
      if (ssl_ == nullptr && errno == EINTR) continue;
      if (answer.empty()) return Failed(target_, "no answer in time");
      return answer;  // closed without a TLS farewell: its length is checked
    }
    answer.append(buffer, static_cast<size_t>(size));
    if (answer.size() > kMaxAnswer) return Failed(target_, "the answer is too long");
  }
}

// What a header of the answer says; empty: nothing.
std::string_view HeaderOf(std::string_view head, std::string_view name) {
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end == std::string_view::npos ? head.size() : end + 2);
    if (line.size() > name.size() && line[name.size()] == ':' &&
        absl::EqualsIgnoreCase(A(line.substr(0, name.size())), A(name))) {
      std::string_view value = line.substr(name.size() + 1);
      while (value.starts_with(' ')) value.remove_prefix(1);
      return value;
    }
  }
  return {};
}

absl::StatusOr<std::string> BodyOf(const Target& target, std::string answer) {
  const size_t head_end = answer.find("\r\n\r\n");
  int status = 0;
  if (head_end == std::string::npos || answer.size() < 12 || !answer.starts_with("HTTP/1.") ||
      !absl::SimpleAtoi(A(std::string_view(answer).substr(9, 3)), &status)) {
    return Failed(target, "the answer is no HTTP");
  }
  if (status == 401) return Failed(target, "wants the name and password of one of admin_users");
  if (status == 503) {
    // Of /readyz: its reason is one line.
    std::string reason = answer.substr(std::min(head_end + 4, answer.size()), kMaxReason);
    reason.resize(std::min(reason.find('\n'), reason.size()));
    return Failed(target, absl::StrCat("answers with status 503: ", reason));
  }
  if (status != 200) return Failed(target, absl::StrCat("answers with status ", status));
  size_t length = 0;
  const std::string_view said =
      HeaderOf(std::string_view(answer).substr(0, head_end), "Content-Length");
  const size_t size = answer.size() - head_end - 4;
  if (absl::SimpleAtoi(A(said), &length) && length != size)
    return Failed(target, "the answer was cut off");
  answer.erase(0, head_end + 4);
  return answer;
}

}  // namespace

absl::StatusOr<Target> ParseUrl(std::string_view url) {
  Target target;
  const auto wrong = [&](const char* why) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", A(url), "' ", why, ": use one such as http://127.0.0.1:9306"));
  };
  std::string_view rest = url;
  if (rest.starts_with("https://")) {
    target.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return wrong("is no http or https address");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@ ") != std::string_view::npos) return wrong("holds more than a host");
  std::string_view host = rest;
  std::string_view port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return wrong("has no ] behind its address");
    host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    if (!port.empty() && !port.starts_with(':')) return wrong("has no port behind its ]");
  } else if (const size_t colon = rest.find(':'); colon != std::string_view::npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon);
  }
  if (host.empty()) return wrong("has no host");
  target.host = host;
  uint32_t number = target.port;
  if (!port.empty() &&
      (!absl::SimpleAtoi(A(port.substr(1)), &number) || number == 0 || number > UINT16_MAX)) {
    return wrong("has no usable port");
  }
  target.port = static_cast<uint16_t>(number);
  return target;
}

absl::StatusOr<std::string> Get(const Target& target, const std::string& path) {
  Connection connection(target);
  if (absl::Status status = connection.Open(); !status.ok()) return status;
  const bool is_ipv6 = target.host.find(':') != std::string::npos;
  const std::string host = is_ipv6 ? absl::StrCat("[", target.host, "]") : target.host;
  std::string request = absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", host, ":", target.port,
                                     "\r\nConnection: close\r\nAccept: application/json\r\n");
  if (!target.user.empty()) {
    absl::StrAppend(&request, "Authorization: Basic ",
                    absl::Base64Escape(absl::StrCat(target.user, ":", target.password)), "\r\n");
  }
  request += "\r\n";
  if (absl::Status status = connection.Write(request); !status.ok()) return status;
  absl::StatusOr<std::string> answer = connection.ReadAll();
  if (!answer.ok()) return answer.status();
  return BodyOf(target, *std::move(answer));
}

}  // namespace bulkhead::http
