#include "proxy/io/listener.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace bulkhead::io {

namespace {

constexpr uint64_t kTroubleIntervalNs = 1'000'000'000;
constexpr uint64_t kBackOffMs = 100;

int OpenReserve() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

bool Fail(const SocketAddress& address, const char* what, std::string* error) {
  *error = "cannot listen on " + address.ToText() + ": " + what + ": " + std::strerror(errno);
  return false;
}

// Makes room for a new socket file: a file that a process left behind is removed, one that is in
// use is not.
bool ClearUnixPath(const SocketAddress& address, std::string* error) {
  const std::string path = address.HostText();
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return true;  // bind will say what is wrong, if anything
  if (!S_ISSOCK(found.st_mode)) {
    *error = "cannot listen on " + address.ToText() + ": the path is taken by a file";
    return false;
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return Fail(address, "socket", error);
  const int status = connect(fd, address.get(), address.length);
  const int why = errno;
  close(fd);
  if (status != 0 && why == ECONNREFUSED) {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return true;
    return Fail(address, "removing the file of a socket nobody answers on", error);
  }
  if (status != 0 && why == ENOENT) return true;
  errno = status == 0 || why == EAGAIN ? EADDRINUSE : why;
  return Fail(address, "somebody may be using it", error);
}

bool SetTcpOptions(int fd, const SocketAddress& address, bool reuse_port, std::string* error) {
  const int on = 1;
  const int off = 0;
  if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)) {
    return Fail(address, "setsockopt", error);
  }
  // The IPv6 wildcard takes IPv4 too, whatever the system's default.
  if (address.family() == AF_INET6 &&
      setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) {
    return Fail(address, "setsockopt", error);
  }
  // Accepted sockets inherit it: a client whose machine vanished is noticed some day.
  (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  return true;
}

bool BindAndListen(int fd, SocketAddress* address, const ListenerOptions& options,
                   std::string* error) {
  if (!address->is_unix() && !SetTcpOptions(fd, *address, options.reuse_port, error)) return false;
  if (bind(fd, address->get(), address->length) != 0) return Fail(*address, "bind", error);
  // Nobody can connect before listen, so the mode holds from the first connection on.
  if (address->is_unix() && chmod(address->HostText().c_str(), options.unix_mode) != 0) {
    return Fail(*address, "chmod", error);
  }
  if (listen(fd, options.backlog) != 0) return Fail(*address, "listen", error);
  if (!address->is_unix()) {
    address->length = sizeof address->storage;
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&address->storage), &address->length) != 0) {
      return Fail(*address, "getsockname", error);
    }
  }
  return true;
}

}  // namespace

// What libuv keeps until it has closed; the listener may be gone before.
struct Listener::Handle {
  Handle(EventLoop* loop, int fd) : loop(loop), fd(fd) {}
  static void OnReadable(uv_poll_t* poll, int status, int events);
  void Start() { uv_poll_start(&poll, UV_READABLE, &Handle::OnReadable); }
  bool DropOne();
  void BackOff();
  void Trouble(const std::string& what);

  uv_poll_t poll;
  EventLoop* loop;
  int fd;
  int reserve_fd = -1;
  int accepts_per_turn = 1;
  bool closed = false;
  bool paused = false;
  bool keep_file = false;
  SocketAddress address;
  struct stat file {};  // of the Unix socket
  AcceptCallback on_accept;
  TroubleCallback on_trouble;
  uint64_t troubles = 0;  // since they were last told
  uint64_t told_ns = 0;
  std::unique_ptr<Timer> back_off;
};

int Listener::Bind(SocketAddress* address, const ListenerOptions& options, std::string* error) {
  if (address->is_unix() && !ClearUnixPath(*address, error)) return -1;
  const int fd = socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    (void)Fail(*address, "socket", error);
    return -1;
  }
  if (BindAndListen(fd, address, options, error)) return fd;
  close(fd);
  return -1;
}

std::unique_ptr<Listener> Listener::Listen(EventLoop* loop, const SocketAddress& address,
                                           const ListenerOptions& options, AcceptCallback on_accept,
                                           TroubleCallback on_trouble, std::string* error) {
  SocketAddress bound = address;
  const int fd = Bind(&bound, options, error);
  if (fd < 0) return nullptr;
  return Begin(loop, fd, bound, /*keep_file=*/false, options, std::move(on_accept),
               std::move(on_trouble), error);
}

std::unique_ptr<Listener> Listener::ListenOn(EventLoop* loop, const GivenListener& given,
                                             const ListenerOptions& options,
                                             AcceptCallback on_accept, TroubleCallback on_trouble,
                                             std::string* error) {
  SocketAddress bound;
  bound.length = sizeof bound.storage;
  if (getsockname(given.fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length) != 0) {
    *error = std::string("a given socket has no address: ") + std::strerror(errno);
    close(given.fd);
    return nullptr;
  }
  const int on = 1;
  if (!bound.is_unix()) (void)setsockopt(given.fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  ListenerOptions changed = options;
  if (given.shared) changed.accepts_per_turn = 1;
  return Begin(loop, given.fd, bound, given.keep_file, changed, std::move(on_accept),
               std::move(on_trouble), error);
}

std::unique_ptr<Listener> Listener::Begin(EventLoop* loop, int fd, const SocketAddress& bound,
                                          bool keep_file, const ListenerOptions& options,
                                          AcceptCallback on_accept, TroubleCallback on_trouble,
                                          std::string* error) {
  auto* handle = new Handle(loop, fd);
  if (int status = uv_poll_init(loop->uv(), &handle->poll, fd); status != 0) {
    *error = "cannot listen on " + bound.ToText() + ": " + uv_strerror(status);
    close(fd);
    delete handle;
    return nullptr;
  }
  handle->poll.data = handle;
  handle->address = bound;
  handle->keep_file = keep_file;
  if (bound.is_unix()) (void)lstat(bound.HostText().c_str(), &handle->file);
  handle->accepts_per_turn = std::max(options.accepts_per_turn, 1);
  handle->on_accept = std::move(on_accept);
  handle->on_trouble = std::move(on_trouble);
  handle->reserve_fd = OpenReserve();
  handle->Start();
  return std::unique_ptr<Listener>(new Listener(handle));
}

Listener::~Listener() {
  handle_->closed = true;
  handle_->back_off.reset();
  uv_poll_stop(&handle_->poll);
  close(handle_->fd);
  if (handle_->reserve_fd >= 0) close(handle_->reserve_fd);
  if (handle_->address.is_unix() && !handle_->keep_file) {
    // Another process may have taken the path meanwhile.
    const std::string path = handle_->address.HostText();
    struct stat now {};
    if (lstat(path.c_str(), &now) == 0 && now.st_dev == handle_->file.st_dev &&
        now.st_ino == handle_->file.st_ino) {
      (void)unlink(path.c_str());
    }
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->poll),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

const SocketAddress& Listener::address() const { return handle_->address; }

int Listener::fd() const { return handle_->fd; }

bool Listener::keeps_file() const { return handle_->keep_file; }

void Listener::KeepFile() { handle_->keep_file = true; }

void Listener::Pause() {
  handle_->paused = true;
  uv_poll_stop(&handle_->poll);
}

void Listener::Resume() {
  handle_->paused = false;
  handle_->Start();
}

void Listener::Handle::OnReadable(uv_poll_t* poll, int, int) {
  auto* self = static_cast<Handle*>(poll->data);
  for (int i = 0; i < self->accepts_per_turn; ++i) {
    SocketAddress peer;
    peer.length = sizeof peer.storage;
    const int fd = accept4(self->fd, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length,
                           SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      self->on_accept(fd, peer);
      if (self->closed || self->paused) return;
      continue;
    }
    if (errno == EAGAIN) return;
    if (errno == EMFILE || errno == ENFILE) {
      if (!self->DropOne()) return;
      continue;
    }
    if (errno == ENOBUFS || errno == ENOMEM) {
      self->Trouble(std::string("accept: ") + std::strerror(errno));
      if (!self->closed) self->BackOff();
      return;
    }
    // The rest are errors of the connection that is lost, not of the listener (accept(2)).
  }
}

// Out of descriptors: gives up the one in reserve for as long as it takes to send one client away.
// False: stop for this turn.
bool Listener::Handle::DropOne() {
  const std::string what = std::string("accept: ") + std::strerror(errno);
  if (reserve_fd >= 0) close(std::exchange(reserve_fd, -1));
  const int fd = accept4(this->fd, nullptr, nullptr, SOCK_CLOEXEC);
  const int why = errno;
  if (fd >= 0) close(fd);
  reserve_fd = OpenReserve();
  if (fd < 0 && why == EAGAIN) return false;  // nobody is waiting: accept says EMFILE all the same
  Trouble(what);
  if (closed) return false;
  // Another thread took the descriptor in between: without a pause this would spin.
  if (fd < 0) BackOff();
  return fd >= 0;
}

void Listener::Handle::BackOff() {
  uv_poll_stop(&poll);
  back_off = std::make_unique<Timer>(loop, [this] {
    if (reserve_fd < 0) reserve_fd = OpenReserve();
    if (!paused) Start();
  });
  back_off->Start(kBackOffMs);
}

void Listener::Handle::Trouble(const std::string& what) {
  ++troubles;
  const uint64_t now_ns = loop->NowNs();
  if (told_ns != 0 && now_ns - told_ns < kTroubleIntervalNs) return;
  told_ns = now_ns;
  if (on_trouble) on_trouble(what, std::exchange(troubles, 0));
}

}  // namespace bulkhead::io
