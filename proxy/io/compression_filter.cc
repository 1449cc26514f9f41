#include "proxy/io/compression_filter.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/client_errors.h"

namespace bulkhead::io {

namespace {

constexpr size_t kDownAtOnce = 128 * 1024;

// The thread's buffer, lent to whichever filter is at work; a second one that starts while the
// first is in the middle gets a new one.
thread_local std::vector<uint8_t> spare;

class Lent {
 public:
  Lent() { bytes_.swap(spare); }
  ~Lent() {
    bytes_.clear();
    if (bytes_.capacity() > spare.capacity()) bytes_.swap(spare);
  }
  Lent(const Lent&) = delete;
  Lent& operator=(const Lent&) = delete;
  std::vector<uint8_t>* get() { return &bytes_; }

 private:
  std::vector<uint8_t> bytes_;
};

}  // namespace

bool CompressionFilter::Decode(std::span<uint8_t> bytes, FilterSink* sink) {
  if (!error_.empty()) return false;
  if (holds_) {
    held_.insert(held_.end(), bytes.begin(), bytes.end());
    return true;
  }
  std::span<const uint8_t> input = bytes;
  if (!Inflate(&input, sink, &holds_)) return false;
  held_.assign(input.begin(), input.end());
  return true;
}

bool CompressionFilter::Continue(FilterSink* sink) {
  if (!error_.empty()) return false;
  const std::vector<uint8_t> held = std::exchange(held_, {});
  holds_ = false;
  std::span<const uint8_t> input = held;
  if (!Inflate(&input, sink, &holds_)) return false;
  held_.assign(input.begin(), input.end());
  return true;
}

bool CompressionFilter::Inflate(std::span<const uint8_t>* input, FilterSink* sink, bool* stopped) {
  Lent plain;
  for (;;) {
    const wire::CompressionStatus status = codec_.Decode(input, kUpAtOnce, plain.get());
    if (!plain.get()->empty()) sink->Up(*plain.get());
    plain.get()->clear();
    switch (status) {
      case wire::CompressionStatus::kOk:
        codec_.Idle();
        return true;
      case wire::CompressionStatus::kOutputLimit:
        if (sink->paused()) {
          *stopped = true;
          return true;
        }
        break;
      case wire::CompressionStatus::kCorrupt:
      case wire::CompressionStatus::kWrongSize:
      case wire::CompressionStatus::kOutOfOrder:
      case wire::CompressionStatus::kFailed:
        return Fail("cannot decompress", status);
    }
  }
}

bool CompressionFilter::Encode(std::span<const uint8_t> bytes, FilterSink* sink) {
  if (cannot_send_) return false;
  Lent packets;
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kDownAtOnce));
    bytes = bytes.subspan(part.size());
    const wire::CompressionStatus status = codec_.Encode(part, packets.get());
    if (status != wire::CompressionStatus::kOk) {
      cannot_send_ = true;
      return Fail("cannot compress", status);
    }
    sink->Down(*packets.get());
    packets.get()->clear();
  }
  codec_.Idle();
  return true;
}

bool CompressionFilter::Fail(const char* what, wire::CompressionStatus status) {
  held_ = {};
  error_code_ = static_cast<uint16_t>(status == wire::CompressionStatus::kOutOfOrder
                                          ? wire::ClientError::kPacketsOutOfOrder
                                          : wire::ClientError::kUncompressError);
  error_ = std::string(what) + ": " + std::string(wire::CompressionStatusName(status));
  return false;
}

}  // namespace bulkhead::io
