#include "proxy/control/handover_link.h"

#include <algorithm>
#include <utility>

namespace bulkhead::control {

namespace {

constexpr size_t kHeader = 4;

size_t LengthAt(const uint8_t* bytes) {
  return size_t{bytes[0]} << 24 | size_t{bytes[1]} << 16 | size_t{bytes[2]} << 8 | bytes[3];
}

}  // namespace

HandoverLink::HandoverLink(io::EventLoop* loop, int fd, OnMessage on_message,
                           std::function<void()> on_end)
    : stream_(io::Stream::Adopt(loop, fd, this)),
      on_message_(std::move(on_message)),
      on_end_(std::move(on_end)) {}

void HandoverLink::Send(const nlohmann::json& message) {
  if (stream_ == nullptr) return;
  // Names and words may hold bytes that are no UTF-8.
  const std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMostBytes || stream_->pending() > kMostBytes) {
    End();
    return;
  }
  std::vector<uint8_t> frame(kHeader + text.size());
  for (size_t i = 0; i < kHeader; ++i)
    frame[i] = static_cast<uint8_t>(text.size() >> 8 * (kHeader - 1 - i));
  std::copy(text.begin(), text.end(), frame.begin() + kHeader);
  stream_->Write(frame);
}

void HandoverLink::OnBytes(std::span<uint8_t> bytes) {
  received_.insert(received_.end(), bytes.begin(), bytes.end());
  size_t done = 0;
  while (received_.size() - done >= kHeader) {
    const size_t length = LengthAt(received_.data() + done);
    if (length > kMostBytes) {
      End();
      return;
    }
    if (received_.size() - done < kHeader + length) break;
    const uint8_t* const begin = received_.data() + done + kHeader;
    const nlohmann::json message =
        nlohmann::json::parse(begin, begin + length, nullptr, /*allow_exceptions=*/false);
    if (!message.is_object()) {
      End();
      return;
    }
    done += kHeader + length;
    // The library's exceptions end here: a value of another type than expected is no message.
    try {
      on_message_(message);
    } catch (const nlohmann::json::exception&) {
      End();
    }
    if (stream_ == nullptr) return;
  }
  received_.erase(received_.begin(), received_.begin() + static_cast<ptrdiff_t>(done));
}

void HandoverLink::OnEnd(const io::StreamEnd&) { End(); }

void HandoverLink::End() {
  if (stream_ == nullptr) return;
  stream_.reset();
  on_end_();
}

}  // namespace bulkhead::control
