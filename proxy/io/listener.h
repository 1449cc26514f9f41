// A listening socket of one loop: TCP with SO_REUSEPORT, so that each worker has its own, or Unix,
// of which there can be only one per path.
//
// Purpose: accepts connections and hands their sockets to a callback.
// Thread: the loop's. The callback may drop the listener, and may hand the fd to another thread
// (EventLoop::Post): it is an ordinary non-blocking, close-on-exec socket that nobody watches yet.
// Limits: at most accepts_per_turn connections per turn of the loop, so that a flood of new
// connections does not starve those that exist. Out of file descriptors: the connection is accepted
// with a descriptor kept in reserve and closed at once, so that its client knows, and the loop does
// not spin; told through on_trouble at most once a second.
// Errors: from Listen, text with the address in it.
// Source: socket(7) SO_REUSEPORT, accept(2), unix(7).
#ifndef BULKHEAD_PROXY_IO_LISTENER_H_
#define BULKHEAD_PROXY_IO_LISTENER_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "proxy/io/event_loop.h"
#include "proxy/io/socket_address.h"

namespace bulkhead::io {

// A listening socket that is there already, non-blocking and close-on-exec.
struct GivenListener {
  int fd = -1;
  bool keep_file = true;  // of a Unix socket, at the end: somebody else removes it
  bool shared = false;    // other loops accept from it too: one at a time, so that all get some
};

struct ListenerOptions {
  int backlog = 4096;         // the kernel caps it at net.core.somaxconn
  int accepts_per_turn = 64;  // at least 1
  mode_t unix_mode = 0777;    // as servers do: who may log in is decided by the login
  bool reuse_port = true;     // TCP only
};

class Listener {
 public:
  // The fd is the callback's to own.
  using AcceptCallback = std::function<void(int fd, const SocketAddress& peer)>;
  // What went wrong, and how many times since it was last told.
  using TroubleCallback = std::function<void(const std::string& what, uint64_t times)>;

  // Binds and listens at once; connections are accepted from the loop. Port 0 lets the kernel
  // choose, see address(). A Unix path: a socket file that nobody answers on is replaced, one that
  // somebody answers on, and a file that is no socket, are errors. nullptr and *error on failure.
  [[nodiscard]] static std::unique_ptr<Listener> Listen(
      EventLoop* loop, const SocketAddress& address, const ListenerOptions& options,
      AcceptCallback on_accept, TroubleCallback on_trouble, std::string* error);
  // On a socket that is given; it is the listener's from then on. Otherwise as above.
  [[nodiscard]] static std::unique_ptr<Listener> ListenOn(
      EventLoop* loop, const GivenListener& given, const ListenerOptions& options,
      AcceptCallback on_accept, TroubleCallback on_trouble, std::string* error);
  // Only the socket, which is the caller's; -1 and *error on failure.
  [[nodiscard]] static int Bind(SocketAddress* address, const ListenerOptions& options,
                                std::string* error);
  // Closes, and removes the Unix socket's file if it is still ours.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // What it is bound to, with the true port.
  [[nodiscard]] const SocketAddress& address() const;
  // While paused, new connections wait in the backlog.
  void Pause();
  void Resume();
  // Constant for the listener's life: any thread.
  [[nodiscard]] int fd() const;
  [[nodiscard]] bool keeps_file() const;
  // Whoever has the socket too removes the Unix socket's file.
  void KeepFile();

 private:
  struct Handle;
  static std::unique_ptr<Listener> Begin(EventLoop* loop, int fd, const SocketAddress& bound,
                                         bool keep_file, const ListenerOptions& options,
                                         AcceptCallback on_accept, TroubleCallback on_trouble,
                                         std::string* error);
  explicit Listener(Handle* handle) : handle_(handle) {}

  Handle* handle_;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_LISTENER_H_
