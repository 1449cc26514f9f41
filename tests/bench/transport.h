// A client's socket, with TLS on it or not.
#ifndef BULKHEAD_TESTS_BENCH_TRANSPORT_H_
#define BULKHEAD_TESTS_BENCH_TRANSPORT_H_

#include <openssl/ssl.h>

#include <cerrno>
#include <span>
#include <string_view>

#include "tests/bench/support.h"

namespace bulkhead::bench {

class Transport {
 public:
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport() { Close(); }

  void Adopt(int fd) { fd_ = fd; }
  [[nodiscard]] int fd() const { return fd_; }

  void Close() {
    SSL_free(ssl_);
    ssl_ = nullptr;
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // As recv(2): 0 at the end, -1 and EAGAIN when there is nothing (yet).
  [[nodiscard]] ssize_t Receive(std::span<char> to) {
    if (ssl_ == nullptr) return recv(fd_, to.data(), to.size(), 0);
    const int size = SSL_read(ssl_, to.data(), static_cast<int>(to.size()));
    if (size > 0) return size;
    return Error(size);
  }

  // False where not everything was taken.
  [[nodiscard]] bool Send(std::string_view bytes) {
    const ssize_t sent = ssl_ == nullptr
                             ? send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL)
                             : SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
    // A dead socket is noticed when reading.
    return sent < 0 || static_cast<size_t>(sent) == bytes.size();
  }

  // The handshake goes on with each readiness, until it is true or errno is not EAGAIN.
  void StartTls() {
    ssl_ = SSL_new(Context());
    SSL_set_fd(ssl_, fd_);
    SSL_set_connect_state(ssl_);
  }
  [[nodiscard]] bool Handshake() {
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) return true;
    if (Error(result) == 0) errno = ECONNRESET;
    return false;
  }

 private:
  // Certificates are not checked: this is about cost.
  static SSL_CTX* Context() {
    static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    return context;
  }

  ssize_t Error(int result) {
    switch (SSL_get_error(ssl_, result)) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
      case SSL_ERROR_ZERO_RETURN:
        return 0;
      default:
        errno = EPROTO;
        return -1;
    }
  }

  int fd_ = -1;
  SSL* ssl_ = nullptr;
};

}  // namespace bulkhead::bench

#endif  // BULKHEAD_TESTS_BENCH_TRANSPORT_H_
