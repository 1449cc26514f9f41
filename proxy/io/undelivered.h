// Whether what the kernel still holds of a TCP connection's output is stuck there for good.
//
// Purpose: the kernel's half of "provably not delivered"
// (docs/decisions/provably-not-delivered.md). SIOCOUTQNSD counts bytes that were never put on the
// wire (Linux, tcp(7); SIOCOUTQ also counts sent but unacknowledged ones, which says nothing).
// Between reading it and the reset three things could put them there: an acknowledgement that
// arrives, the tail loss probe, and the transmit queue of the device. So the socket is made deaf
// first (a filter drops every segment before TCP sees it), and the answer is yes only where the
// connection has been retransmitting (state Loss, where no tail loss probe is armed and the
// device's queue has long been drained) or probing a zero window (where the probe carries no new
// byte). Thread: the socket's. Errors: anything unclear is false. The socket is of no use
// afterwards.
#ifndef BULKHEAD_PROXY_IO_UNDELIVERED_H_
#define BULKHEAD_PROXY_IO_UNDELIVERED_H_

namespace bulkhead::io {

[[nodiscard]] bool StuckInKernel(int fd);
[[nodiscard]] bool IsTcp(int fd);

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_UNDELIVERED_H_
