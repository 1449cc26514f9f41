// CompressionCodec: how the numbers of compressed packets and of the frames in them go together.
#include <algorithm>

#include "proxy/wire/commands.h"
#include "proxy/wire/compression.h"

namespace bulkhead::wire {

CompressionStatus CompressionCodec::Encode(std::span<const uint8_t> plain, ByteBuffer* out) {
  size_t sent = 0;
  std::span<const uint8_t> rest = plain;
  FrameWalker::Piece piece;
  while (sent_frames_.Next(&rest, &piece)) {
    NoteRequest(piece);
    if (!piece.starts_frame) continue;
    uint8_t next_sequence = next_sequence_;
    const bool goes_on = GoesOn(piece, &next_sequence);
    last_sent_frame_ = piece.header.sequence;
    received_since_sent_ = false;
    sent_since_received_ = true;
    if (goes_on) continue;
    // What was before this frame in `plain` belongs to what was said before.
    const size_t after_header = plain.size() - rest.size() - piece.bytes.size();
    const size_t start = after_header - std::min(after_header, kFrameHeaderSize);
    const auto status =
        compressor_.Compress(plain.subspan(sent, start - sent), &next_sequence_, out);
    if (status != CompressionStatus::kOk) return status;
    sent = start;
    next_sequence_ = next_sequence;
  }
  return compressor_.Compress(plain.subspan(sent), &next_sequence_, out);
}

bool CompressionCodec::GoesOn(const FrameWalker::Piece& piece, uint8_t* next_sequence) {
  if (!piece.starts_packet) return true;
  const uint8_t sequence = piece.header.sequence;
  const bool counts_on = sequence == static_cast<uint8_t>(last_sent_frame_ + 1);
  const auto after_received = static_cast<uint8_t>(decompressor_.last_sequence() + 1);
  switch (role_) {
    case Role::kClient:
      // Data of a LOCAL INFILE may wrap around to 0 without being a command.
      if (sequence == 0 && !(counts_on && !received_since_sent_)) {
        NoteCommand(piece);
        *next_sequence = 0;
        return false;
      }
      if (!received_since_sent_) return true;
      *next_sequence = after_received;
      return false;
    case Role::kServer:
      if (received_since_sent_ && sequence == static_cast<uint8_t>(last_received_number_ + 1)) {
        *next_sequence = after_received;
        return false;
      }
      // The rest of a response while the next command is here already.
      if (counts_on || sequence != 1) return true;
      *next_sequence = 1;  // the response to a command that came in together with another one
      return false;
  }
  return true;
}

void CompressionCodec::NoteCommand(const FrameWalker::Piece& piece) {
  if (!piece.bytes.empty() && HasNoResponse(piece.bytes[0])) return;
  const bool behind_another = expects_response_ && !received_since_command_;
  responses_behind_ = behind_another ? responses_behind_ + 1 : 0;
  expects_response_ = true;
  received_since_command_ = false;
}

void CompressionCodec::NoteRequest(const FrameWalker::Piece& piece) {
  if (piece.starts_packet) first_byte_follows_ = true;
  if (!first_byte_follows_ || piece.bytes.empty()) return;
  first_byte_follows_ = false;
  asked_for_file_ = piece.bytes[0] == 0xFB;
}

CompressionStatus CompressionCodec::Decode(std::span<const uint8_t>* input, size_t output_limit,
                                           ByteBuffer* out) {
  const size_t end = out->size() + output_limit;
  while (true) {
    const size_t start = out->size();
    if (decompressor_.AtPacketStart()) {
      packet_begins_ = true;
      packet_before_ = decompressor_.last_sequence();
    }
    if (role_ == Role::kServer) ExpectNext();
    const CompressionStatus status = decompressor_.DecompressPacket(input, end - start, out);
    const bool broken =
        status != CompressionStatus::kOk && status != CompressionStatus::kOutputLimit;
    if (broken) out->resize(start);  // nothing of a packet known to be broken goes up
    Renumber(std::span<uint8_t>(*out).subspan(start));
    if (status != CompressionStatus::kOk || input->empty()) return status;
  }
}

// Commands begin with 0, all else counts on: from the client's last, or from ours, as the servers
// want it. Servers themselves leave numbers out between two results, and are not held to it.
void CompressionCodec::ExpectNext() {
  const auto on = static_cast<uint8_t>(decompressor_.last_sequence() + 1);
  decompressor_.ExpectSequence(on, sent_since_received_ ? next_sequence_ : on);
}

void CompressionCodec::Renumber(std::span<uint8_t> plain) {
  std::span<const uint8_t> rest = plain;
  FrameWalker::Piece piece;
  while (received_frames_.Next(&rest, &piece)) {
    if (!piece.starts_frame) continue;
    last_received_number_ = NumberOf(piece);
    last_received_frame_ = piece.header.sequence;
    sent_since_received_ = false;
    received_since_sent_ = true;
    received_since_command_ = true;
    packet_begins_ = false;
    first_packet_ = false;
    // The number is the header's last byte: it is in `plain` even where the header was cut.
    const size_t after_header = plain.size() - rest.size() - piece.bytes.size();
    plain[after_header - 1] = last_received_number_;
  }
}

bool CompressionCodec::BeginsCommand() const {
  if (!packet_begins_ || decompressor_.last_sequence() != 0) return false;
  if (first_packet_) return true;
  const auto count_on =
      static_cast<uint8_t>(sent_since_received_ ? next_sequence_ : packet_before_ + 1);
  // Where counting on leads to 0 as well, only what was asked for can come instead of a command.
  return count_on != 0 || (sent_since_received_ && !asked_for_file_);
}

uint8_t CompressionCodec::NumberOf(const FrameWalker::Piece& piece) {
  const uint8_t sequence = piece.header.sequence;
  const auto count_on = static_cast<uint8_t>(last_received_number_ + 1);
  // Connector/C numbers all frames of a long command 0.
  if (!piece.starts_packet) return count_on;
  if (role_ == Role::kServer && BeginsCommand()) return 0;
  const bool in_order =
      !sent_since_received_ && sequence == static_cast<uint8_t>(last_received_frame_ + 1);
  if (in_order) return count_on;
  switch (role_) {
    case Role::kServer:
      if (sequence == 0) return 0;
      break;
    case Role::kClient:
      // A jump is either the next response to commands that were sent together, or MySQL's server
      // that has flushed between two results and then counts frames from its compressed packets.
      if (!sent_since_received_ && responses_behind_ > 0) {
        --responses_behind_;
        return 1;
      }
      break;
  }
  return sent_since_received_ ? static_cast<uint8_t>(last_sent_frame_ + 1) : count_on;
}

void CompressionCodec::Idle() {
  compressor_.Idle();
  decompressor_.Idle();
}

}  // namespace bulkhead::wire
