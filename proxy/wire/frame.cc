#include "proxy/wire/frame.h"

#include <cstring>

namespace bulkhead::wire {

FindResult FindPacket(std::span<const uint8_t> buffer, size_t max_payload, PacketExtent* extent) {
  *extent = PacketExtent{};
  size_t at = 0;
  while (true) {
    if (buffer.size() - at < kFrameHeaderSize) {
      extent->wire_size = at + kFrameHeaderSize;
      return FindResult::kNeedMore;
    }
    const FrameHeader header = LoadFrameHeader(buffer.data() + at);
    if (extent->frames == 0) {
      extent->first_sequence = header.sequence;
    } else if (header.sequence != static_cast<uint8_t>(extent->last_sequence + 1)) {
      return FindResult::kBadSequence;
    }
    extent->last_sequence = header.sequence;
    ++extent->frames;
    extent->payload_size += header.payload_size;
    if (extent->payload_size > max_payload) return FindResult::kTooLarge;
    at += kFrameHeaderSize + header.payload_size;
    extent->wire_size = at;
    if (at > buffer.size()) return FindResult::kNeedMore;
    if (!header.continues()) return FindResult::kPacket;
  }
}

std::span<const uint8_t> PacketPayload(std::span<const uint8_t> buffer, const PacketExtent& extent,
                                       ByteBuffer* scratch) {
  if (extent.frames == 1) return buffer.subspan(kFrameHeaderSize, extent.payload_size);
  scratch->clear();
  scratch->reserve(extent.payload_size);
  size_t at = 0;
  for (size_t frame = 0; frame < extent.frames; ++frame) {
    const uint32_t size = LoadFrameHeader(buffer.data() + at).payload_size;
    const auto payload = buffer.subspan(at + kFrameHeaderSize, size);
    scratch->insert(scratch->end(), payload.begin(), payload.end());
    at += kFrameHeaderSize + size;
  }
  return *scratch;
}

bool FrameWalker::GatherHeader(std::span<const uint8_t>* input) {
  const size_t missing = kFrameHeaderSize - header_bytes_;
  const size_t take = std::min(missing, input->size());
  if (take != 0) std::memcpy(partial_header_ + header_bytes_, input->data(), take);
  header_bytes_ = static_cast<uint8_t>(header_bytes_ + take);
  *input = input->subspan(take);
  if (take < missing) return false;
  header_bytes_ = 0;
  header_ = LoadFrameHeader(partial_header_);
  return true;
}

void PacketWriter::Write(std::span<const uint8_t> payload) {
  while (true) {
    const size_t size = std::min<size_t>(payload.size(), kMaxFramePayload);
    const FrameHeader header{static_cast<uint32_t>(size), sequence_++};
    uint8_t bytes[kFrameHeaderSize];
    StoreFrameHeader(header, bytes);
    out_->insert(out_->end(), bytes, bytes + kFrameHeaderSize);
    out_->insert(out_->end(), payload.begin(), payload.begin() + static_cast<ptrdiff_t>(size));
    if (!header.continues()) return;
    payload = payload.subspan(size);
  }
}

void PacketWriter::Seal(size_t start) {
  const size_t payload = out_->size() - start - kFrameHeaderSize;
  const size_t frames = payload / kMaxFramePayload + 1;
  // Room for the headers of all frames but the first, then payloads move back, last one first.
  out_->resize(out_->size() + (frames - 1) * kFrameHeaderSize);
  uint8_t* const base = out_->data() + start;
  for (size_t frame = frames; frame-- > 0;) {
    const size_t offset = frame * kMaxFramePayload;
    const size_t size = std::min<size_t>(payload - offset, kMaxFramePayload);
    uint8_t* const at = base + frame * (kMaxFramePayload + kFrameHeaderSize);
    if (frame != 0) std::memmove(at + kFrameHeaderSize, base + kFrameHeaderSize + offset, size);
    StoreFrameHeader({static_cast<uint32_t>(size), static_cast<uint8_t>(sequence_ + frame)}, at);
  }
  sequence_ = static_cast<uint8_t>(sequence_ + frames);
}

}  // namespace bulkhead::wire
