// Frames: what travels, a 4-byte header and up to 16 MiB - 1 of payload; and packets: one message,
// which is one frame, or several when the payload is 16 MiB - 1 or more.
//
// Purpose: find whole packets in a buffer, walk the frames of a stream without keeping it, write
// packets.
// Thread: any; pure. Performance: the walker and the header functions are on the data path.
// Units: bytes. A payload that is a multiple of 16 MiB - 1 (zero apart) ends with an empty frame.
// Limits: FindPacket refuses a packet above the caller's limit as soon as a header announces it.
// Sources: dev.mysql.com page_protocol_basic_packets; MariaDB "0 - Packet".
#ifndef BULKHEAD_PROXY_WIRE_FRAME_H_
#define BULKHEAD_PROXY_WIRE_FRAME_H_

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "proxy/wire/byte_writer.h"

namespace bulkhead::wire {

inline constexpr size_t kFrameHeaderSize = 4;
inline constexpr uint32_t kMaxFramePayload = 0xFFFFFF;

struct FrameHeader {
  uint32_t payload_size = 0;  // 0 to kMaxFramePayload
  uint8_t sequence = 0;

  // The packet goes on in the next frame.
  [[nodiscard]] bool continues() const { return payload_size == kMaxFramePayload; }
};

// Reads a header from the first 4 bytes at `at`.
[[nodiscard]] inline FrameHeader LoadFrameHeader(const uint8_t* at) {
  uint32_t word;  // in one load where the machine's order is the protocol's: this is the data path
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&word, at, sizeof(word));
  } else {
    word = uint32_t{at[0]} | uint32_t{at[1]} << 8 | uint32_t{at[2]} << 16 | uint32_t{at[3]} << 24;
  }
  return {word & kMaxFramePayload, static_cast<uint8_t>(word >> 24)};
}

// Writes a header to the first 4 bytes at `at`.
inline void StoreFrameHeader(const FrameHeader& header, uint8_t* at) {
  at[0] = static_cast<uint8_t>(header.payload_size);
  at[1] = static_cast<uint8_t>(header.payload_size >> 8);
  at[2] = static_cast<uint8_t>(header.payload_size >> 16);
  at[3] = header.sequence;
}

// Where a packet lies at the front of a buffer.
struct PacketExtent {
  uint8_t first_sequence = 0;
  uint8_t last_sequence = 0;
  size_t frames = 0;
  size_t payload_size = 0;  // of all frames, without their headers
  size_t wire_size = 0;     // of all frames, with their headers
};

enum class FindResult : uint8_t {
  kPacket,       // whole packet, *extent is set
  kNeedMore,     // not all there; extent->wire_size bytes are needed at least
  kTooLarge,     // the payload is above the limit: 1153 ER_NET_PACKET_TOO_LARGE
  kBadSequence,  // the frames of one packet are not numbered upwards: 1156
};

// Looks for a whole packet at the front of `buffer`. Costs one step per frame, whatever their size.
[[nodiscard]] FindResult FindPacket(std::span<const uint8_t> buffer, size_t max_payload,
                                    PacketExtent* extent);

// The payload of a packet that FindPacket has found at the front of `buffer`. Of a packet of one
// frame this is a view; of more frames it is copied together into *scratch and the view is of that.
[[nodiscard]] std::span<const uint8_t> PacketPayload(std::span<const uint8_t> buffer,
                                                     const PacketExtent& extent,
                                                     ByteBuffer* scratch);

// Walks the frames of a stream that arrives in pieces and is not kept. Holds no bytes but those of
// a header that was cut.
class FrameWalker {
 public:
  // A piece of one frame's payload (empty for an empty frame).
  struct Piece {
    FrameHeader header;
    bool starts_frame = false;   // the first piece of its frame
    bool starts_packet = false;  // ... and that frame is the first of its packet
    bool ends_frame = false;
    bool ends_packet = false;
    uint32_t offset = 0;  // of `bytes` in the frame's payload
    std::span<const uint8_t> bytes;
  };

  // Takes the next piece off the front of *input. False: *input is used up (it is empty then).
  [[nodiscard]] bool Next(std::span<const uint8_t>* input, Piece* piece) {
    if (!in_frame_) {
      if (header_bytes_ == 0 && input->size() >= kFrameHeaderSize) [[likely]] {
        header_ = LoadFrameHeader(input->data());
        *input = input->subspan(kFrameHeaderSize);
      } else if (!GatherHeader(input)) {
        return false;
      }
      in_frame_ = true;
      offset_ = 0;
      piece->starts_frame = true;
      piece->starts_packet = !continued_;
      continued_ = header_.continues();
    } else {
      if (input->empty()) return false;
      piece->starts_frame = false;
      piece->starts_packet = false;
    }
    const size_t take = std::min<size_t>(header_.payload_size - offset_, input->size());
    piece->header = header_;
    piece->offset = offset_;
    piece->bytes = input->first(take);
    *input = input->subspan(take);
    offset_ += static_cast<uint32_t>(take);
    in_frame_ = offset_ != header_.payload_size;
    piece->ends_frame = !in_frame_;
    piece->ends_packet = !in_frame_ && !continued_;
    return true;
  }

  // Between two packets: nothing of the next one was seen.
  [[nodiscard]] bool AtPacketStart() const {
    return header_bytes_ == 0 && !in_frame_ && !continued_;
  }

 private:
  // A header that does not lie whole in *input. False: more is needed.
  bool GatherHeader(std::span<const uint8_t>* input);

  uint8_t partial_header_[kFrameHeaderSize] = {};
  uint8_t header_bytes_ = 0;  // of partial_header_
  bool in_frame_ = false;
  bool continued_ = false;  // the frame before this one was full
  uint32_t offset_ = 0;
  FrameHeader header_;
};

// Whole frames at the front of a stream that are rows for certain.
struct RowRun {
  size_t bytes = 0;  // of all these frames, with their headers
  size_t frames = 0;
  uint8_t last_sequence = 0;  // of the last one
};

// How far rows go in `stream`, which is between two packets of a result set's rows: up to the first
// frame that may be something else (its first byte is 0xFE or 0xFF, or it is empty or full) or that
// is not whole. For the data path: a result of a thousand rows costs a thousand steps and nothing
// more.
[[nodiscard]] inline RowRun SkipRows(std::span<const uint8_t> stream) {
  RowRun run;
  const uint8_t* const base = stream.data();
  const size_t size = stream.size();
  while (size - run.bytes > kFrameHeaderSize) {
    const uint8_t* const at = base + run.bytes;
    const FrameHeader header = LoadFrameHeader(at);
    const size_t frame = kFrameHeaderSize + size_t{header.payload_size};
    if (frame > size - run.bytes || at[kFrameHeaderSize] >= 0xFE || header.payload_size == 0 ||
        header.continues()) {
      break;
    }
    run.bytes += frame;
    ++run.frames;
    run.last_sequence = header.sequence;
  }
  return run;
}

// Appends whole packets to a buffer and counts their sequence numbers.
class PacketWriter {
 public:
  PacketWriter(ByteBuffer* out, uint8_t first_sequence) : out_(out), sequence_(first_sequence) {}

  // One packet with this payload, in as many frames as it takes.
  void Write(std::span<const uint8_t> payload);

  // One packet whose payload `encode(ByteWriter*)` writes in place.
  template <typename Encode>
  void Append(Encode&& encode) {
    const size_t start = out_->size();
    out_->resize(start + kFrameHeaderSize);
    ByteWriter writer(out_);
    encode(&writer);
    Seal(start);
  }

  // Of the next frame.
  [[nodiscard]] uint8_t sequence() const { return sequence_; }
  [[nodiscard]] ByteBuffer* buffer() const { return out_; }

 private:
  // Fills in the header at `start`; all after it is payload.
  void Seal(size_t start);

  ByteBuffer* out_;
  uint8_t sequence_;
};

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_FRAME_H_
