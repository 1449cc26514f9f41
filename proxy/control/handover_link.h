// The line between a process that has handed over and the one that took over, while the first one
// drains: JSON messages over a socket pair.
//
// Purpose: frames (4 bytes of length, big-endian, and a JSON object), in order, both ways.
// Thread: the control loop's. Limits: kMostBytes for a message, and for what the other side has not
// read: beyond it, or for what is no message, the line is given up.
// Errors: on_end, once; the owner drops the link then or later, never inside on_message.
#ifndef BULKHEAD_PROXY_CONTROL_HANDOVER_LINK_H_
#define BULKHEAD_PROXY_CONTROL_HANDOVER_LINK_H_

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "proxy/io/event_loop.h"
#include "proxy/io/stream.h"

namespace bulkhead::control {

class HandoverLink final : public io::StreamHandler {
 public:
  static constexpr size_t kMostBytes = size_t{64} << 20;
  using OnMessage = std::function<void(const nlohmann::json&)>;

  // The socket is the link's.
  HandoverLink(io::EventLoop* loop, int fd, OnMessage on_message, std::function<void()> on_end);

  void Send(const nlohmann::json& message);
  [[nodiscard]] bool open() const { return stream_ != nullptr; }

 private:
  void OnBytes(std::span<uint8_t> bytes) override;
  void OnWritable() override {}
  void OnEnd(const io::StreamEnd& end) override;
  void End();

  io::StreamPtr stream_;
  const OnMessage on_message_;
  const std::function<void()> on_end_;
  std::vector<uint8_t> received_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_HANDOVER_LINK_H_
