// Raises the sequence numbers of a server's answer on its way to a client who was sent packets of
// the router's own first (progress reports of a held statement).
//
// Purpose: both sides count the packets of a command; where the router has put in n, the server's
// are n too low for the client, and the client's (LOCAL INFILE) n too high for the server.
// Thread: the worker's. Bytes are changed in place and may be cut anywhere.
// Source: MariaDB documentation, "0 - Packet": the sequence number begins at 0 with each command
// and wraps around after 255.
#ifndef BULKHEAD_PROXY_SESSION_SEQUENCE_SHIFT_H_
#define BULKHEAD_PROXY_SESSION_SEQUENCE_SHIFT_H_

#include <array>
#include <cstdint>
#include <span>

#include "proxy/wire/frame.h"

namespace bulkhead::session {

class SequenceShift {
 public:
  // One more packet of the router's own went before.
  void Raise() { ++by_; }
  [[nodiscard]] uint8_t by() const { return by_; }
  // The next bytes of the answer.
  void Apply(std::span<uint8_t> bytes);

 private:
  uint8_t by_ = 0;
  std::array<uint8_t, wire::kFrameHeaderSize> header_{};
  uint8_t header_size_ = 0;    // bytes of the header under way
  uint32_t payload_left_ = 0;  // of the frame under way
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_SEQUENCE_SHIFT_H_
