#include "proxy/session/sequence_shift.h"

#include <algorithm>

namespace bulkhead::session {

void SequenceShift::Apply(std::span<uint8_t> bytes) {
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      const size_t passed = std::min<size_t>(bytes.size(), payload_left_);
      payload_left_ -= static_cast<uint32_t>(passed);
      bytes = bytes.subspan(passed);
      continue;
    }
    const size_t sequence_at = wire::kFrameHeaderSize - 1;
    header_[header_size_] = bytes[0];
    if (header_size_ == sequence_at) bytes[0] = static_cast<uint8_t>(bytes[0] + by_);
    bytes = bytes.subspan(1);
    if (++header_size_ < wire::kFrameHeaderSize) continue;
    header_size_ = 0;
    payload_left_ = wire::LoadFrameHeader(header_.data()).payload_size;
  }
}

}  // namespace bulkhead::session
