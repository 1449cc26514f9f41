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
#include <cstddef>
#include <cstdint>
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
  return {static_cast<uint32_t>(at[0]) | static_cast<uint32_t>(at[1]) << 8 |
              static_cast<uint32_t>(at[2]) << 16,
          at[3]};
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
  [[nodiscard]] bool Next(std::span<const uint8_t>* input, Piece* piece);

  // Between two packets: nothing of the next one was seen.
  [[nodiscard]] bool AtPacketStart() const {
    return header_bytes_ == 0 && !in_frame_ && !continued_;
  }

 private:
  uint8_t partial_header_[kFrameHeaderSize] = {};
  uint8_t header_bytes_ = 0;  // of partial_header_
  bool in_frame_ = false;
  bool continued_ = false;  // the frame before this one was full
  uint32_t offset_ = 0;
  FrameHeader header_;
};

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
