// The floor: what it costs to pass bytes from one socket to another and back, and nothing else.
//
// One thread, one epoll set, level-triggered; one read and one write per readiness; a buffer of a
// connection's own only while its peer does not take what was read. No proxy that uses epoll and
// ordinary reads and writes can be much cheaper.
#include <sys/epoll.h>

#include <array>
#include <memory>
#include <vector>

#include "tests/bench/support.h"

namespace bulkhead::bench {
namespace {

constexpr std::string_view kUsage =
    "bench_relay --port N --to-port N [--host A] [--to-host A] [--unix PATH] [--to-unix PATH]\n";

struct Pair;

// One of the two sockets of a relayed connection.
struct Side {
  Pair* pair = nullptr;
  Side* peer = nullptr;
  int fd = -1;
  uint32_t interest = 0;
  bool registered = false;
  std::string pending;  // read from the peer, not yet taken by this socket
};

struct Pair {
  Side client;
  Side server;
};

class Relay {
 public:
  Relay(Address listen, Address to) : to_(std::move(to)), listener_(Listen(listen)) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = nullptr;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
  }

  [[noreturn]] void Run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int count = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<size_t>(i)];
        if (event.data.ptr == nullptr) {
          Accept();
        } else {
          OnEvent(static_cast<Side*>(event.data.ptr), event.events);
        }
      }
      // Events of this turn may still point into a pair that was closed.
      for (Pair* pair : closed_) delete pair;
      closed_.clear();
    }
  }

 private:
  void Accept() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    NoDelay(fd);
    const int server = Connect(to_);
    if (server < 0) {
      close(fd);
      return;
    }
    auto* const pair = new Pair;
    pair->client = {.pair = pair, .peer = &pair->server, .fd = fd, .pending = {}};
    pair->server = {.pair = pair, .peer = &pair->client, .fd = server, .pending = {}};
    UpdateInterest(&pair->client);
    UpdateInterest(&pair->server);
  }

  // A side is read while its peer has taken everything, and written to while something is left.
  void UpdateInterest(Side* side) {
    const uint32_t interest =
        (side->peer->pending.empty() ? EPOLLIN : 0u) | (side->pending.empty() ? 0u : EPOLLOUT);
    if (side->registered && side->interest == interest) return;
    epoll_event event{};
    event.events = interest;
    event.data.ptr = side;
    epoll_ctl(epoll_, side->registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, side->fd, &event);
    side->interest = interest;
    side->registered = true;
  }

  void OnEvent(Side* side, uint32_t events) {
    if (side->fd < 0) return;
    if ((events & EPOLLOUT) != 0 && !Flush(side)) return ClosePair(side->pair);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !Read(side)) ClosePair(side->pair);
  }

  // False: the connection is over.
  bool Read(Side* side) {
    Side* const peer = side->peer;
    if (!peer->pending.empty()) return false;  // only an error or a hang-up comes here
    const ssize_t size = recv(side->fd, buffer_.data(), buffer_.size(), 0);
    if (size < 0) return errno == EAGAIN;
    if (size == 0) return false;
    const ssize_t sent = send(peer->fd, buffer_.data(), static_cast<size_t>(size), MSG_NOSIGNAL);
    if (sent == size) return true;
    if (sent < 0 && errno != EAGAIN) return false;
    const size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
    peer->pending.assign(buffer_.data() + taken, static_cast<size_t>(size) - taken);
    UpdateInterest(peer);
    UpdateInterest(side);
    return true;
  }

  bool Flush(Side* side) {
    const ssize_t sent = send(side->fd, side->pending.data(), side->pending.size(), MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    side->pending.erase(0, static_cast<size_t>(sent));
    if (!side->pending.empty()) return true;
    side->pending = std::string();
    UpdateInterest(side);
    UpdateInterest(side->peer);
    return true;
  }

  void ClosePair(Pair* pair) {
    for (Side* side : {&pair->client, &pair->server}) {
      close(side->fd);
      side->fd = -1;
    }
    closed_.push_back(pair);
  }

  const Address to_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int listener_;
  std::vector<Pair*> closed_;
  std::array<char, 65536> buffer_;
};

}  // namespace
}  // namespace bulkhead::bench

int main(int argc, char** argv) {
  using bulkhead::bench::Address;
  bulkhead::bench::Flags flags(argc, argv, bulkhead::bench::kUsage);
  const Address listen{.host = flags.Text("host", "127.0.0.1"),
                       .port = static_cast<int>(flags.Number("port", 0)),
                       .path = flags.Text("unix", "")};
  const Address to{.host = flags.Text("to-host", "127.0.0.1"),
                   .port = static_cast<int>(flags.Number("to-port", 0)),
                   .path = flags.Text("to-unix", "")};
  flags.RefuseUnknown();
  bulkhead::bench::RaiseFileLimit();
  // 64 KiB of buffer: not on the stack.
  std::make_unique<bulkhead::bench::Relay>(listen, to)->Run();
}
