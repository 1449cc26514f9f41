// Asynchronous name resolution.
//
// Purpose: host and port to socket addresses without ever blocking the loop.
// Thread: the loop's.
// Limits: names go through libuv's thread pool, which lends at most half of its threads
// (UV_THREADPOOL_SIZE, 4 by default) to resolution: a name server that does not answer delays other
// names, never the loop. Numeric addresses and Unix paths need no pool. At most kMaxAddresses
// addresses are kept.
// Errors: text with the name in it.
#ifndef BULKHEAD_PROXY_IO_RESOLVER_H_
#define BULKHEAD_PROXY_IO_RESOLVER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/event_loop.h"
#include "proxy/io/socket_address.h"

namespace bulkhead::io {

// One name being resolved. Dropping it forgets the callback, also from inside the callback; the
// loop stays alive until the system's resolver has come back.
class Resolution {
 public:
  static constexpr size_t kMaxAddresses = 16;

  struct Result {
    std::vector<SocketAddress> addresses;  // in the system's order of preference; empty: failed
    std::string error;                     // set if addresses is empty
  };
  using Callback = std::function<void(Result)>;

  // `host` is a name, a numeric address, or a path that begins with "/" (then `port` means
  // nothing). What needs no look-up, and what fails at once, is told before this returns, and
  // nullptr comes back; otherwise the callback comes later, once.
  [[nodiscard]] static std::unique_ptr<Resolution> Start(EventLoop* loop, std::string_view host,
                                                         uint16_t port, Callback callback);
  ~Resolution();
  Resolution(const Resolution&) = delete;
  Resolution& operator=(const Resolution&) = delete;

 private:
  struct Request;
  explicit Resolution(Request* request) : request_(request) {}

  Request* request_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_RESOLVER_H_
