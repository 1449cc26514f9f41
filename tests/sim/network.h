// TCP between the router and one server, as much of it as matters when a peer goes silent.
//
// What is sent is retransmitted until it is acknowledged; the peer's kernel takes bytes and
// acknowledges them whether or not the process runs, until its buffer is full; an abortive close
// sends one RST, which may be lost, and drops what was not sent; what arrived before it stays
// readable. Sources: RFC 9293 (states, RST), RFC 6298 (retransmission timeout, doubled each time),
// Linux tcp(7) (SIOCOUTQNSD) and net/ipv4/tcp_input.c (a reset leaves the receive queue).
// Units: bytes, nanoseconds. Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_NETWORK_H_
#define BULKHEAD_TESTS_SIM_NETWORK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "tests/sim/random.h"
#include "tests/sim/scheduler.h"

namespace bulkhead::sim {

using Bytes = std::vector<uint8_t>;

// The way between the router's machine and a server's.
struct Link {
  bool to_server = true;  // packets in this direction arrive
  bool to_router = true;
  Ns latency = 50 * kUs;
  Ns jitter = 20 * kUs;
};

// One end's user: the router's connection, or the server's kernel.
class TcpUser {
 public:
  virtual ~TcpUser() = default;
  virtual void OnConnected() {}
  virtual void OnBytes(const Bytes& bytes) = 0;
  // How many more bytes fit; what does not is dropped and sent again.
  [[nodiscard]] virtual size_t Room() const { return SIZE_MAX; }
  enum class End : uint8_t { kClosed, kReset, kRefused };
  virtual void OnEnd(End end) = 0;
};

class Tcp : public std::enable_shared_from_this<Tcp> {
 public:
  enum class Side : uint8_t { kRouter, kServer };

  Tcp(Scheduler* scheduler, const Link* link, Random random)
      : scheduler_(scheduler), link_(link), random_(random), number_(scheduler->NextNumber()) {}

  // `accept` is asked when the SYN arrives: the server's user, or nullptr where nobody listens.
  void Connect(std::weak_ptr<TcpUser> router,
               std::function<std::shared_ptr<TcpUser>(std::shared_ptr<Tcp>)> accept);
  void Send(Side from, const Bytes& bytes);
  void Close(Side from);  // in order
  void Abort(Side from);
  // Whether this end's kernel holds bytes that were never put on the wire and can't be now.
  [[nodiscard]] bool Stuck(Side from) const;
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] uint64_t number() const { return number_; }  // never reused
  // The router's kernel asks an idle peer now and then whether it still knows this connection.
  void KeepAlive(Ns interval);
  // Whether all that this end sent is acknowledged.
  [[nodiscard]] bool Acknowledged(Side from) const;

 private:
  struct Half {             // one direction
    Bytes buffer;           // from `una` on
    uint64_t una = 0;       // the first byte not acknowledged
    uint64_t next = 0;      // to be sent next
    uint64_t sent = 0;      // the highest ever put on the wire
    uint64_t end = 0;       // of what was given to the kernel
    uint64_t received = 0;  // by the other kernel, in order
    bool fin = false;       // one more place in the sequence
    bool fin_received = false;
    bool sender_gone = false;    // aborted
    bool receiver_gone = false;  // what arrives is answered with a reset
    bool in_loss = false;
    Ns timeout = 0;
    uint64_t timer = 0;  // of the latest; older ones are void
    Ns last_arrival = 0;
  };
  Half& from(Side side) { return side == Side::kRouter ? up_ : down_; }
  [[nodiscard]] const Half& from(Side side) const { return side == Side::kRouter ? up_ : down_; }
  static Side Other(Side side) { return side == Side::kRouter ? Side::kServer : Side::kRouter; }
  [[nodiscard]] bool Open(Side from) const {
    return from == Side::kRouter ? link_->to_server : link_->to_router;
  }
  std::shared_ptr<TcpUser> UserOf(Side side) {
    return side == Side::kRouter ? router_.lock() : server_.lock();
  }
  void Deliver(Side from, Callback callback);  // to the other side, unless it is lost
  void SendSyn();
  void Pump(Side side);
  void Transmit(Side side, uint64_t begin, uint64_t end, bool fin);
  void Arrive(Side side, uint64_t begin, const Bytes& bytes, bool fin);
  void Acknowledge(Side side, uint64_t up_to);
  void StartTimer(Side side);
  void SendReset(Side side);
  void Ask(Ns interval);

  Scheduler* const scheduler_;
  const Link* const link_;
  Random random_;
  const uint64_t number_;
  std::weak_ptr<TcpUser> router_;
  std::weak_ptr<TcpUser> server_;
  std::function<std::shared_ptr<TcpUser>(std::shared_ptr<Tcp>)> accept_;
  bool connected_ = false;
  uint32_t unanswered_ = 0;  // keepalive probes
  Half up_, down_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_NETWORK_H_
