// The compressed protocol: packets of a 7-byte header and a body, spoken below the frames once both
// sides have agreed on zlib or zstd and the login is done.
//
// Purpose: bytes in, bytes out, for one connection; usable as a stream filter.
// Thread: one at a time; an object belongs to its connection.
// Units: bytes. A compressed packet carries at most 16 MiB - 1 of plain bytes; packets and frames
// need not begin together. Limits: what is kept per connection is one inflate and one deflate
// state, freed by Idle(). A packet that inflates to more or less than its header says is refused.
// Decompress stops at an output limit of the caller's, so that few bytes can't become many at once.
// Errors: CompressionStatus, told once; afterwards the object is dead.
// Sources: dev.mysql.com page_protocol_basic_compression, page_protocol_basic_compression_packet;
// MariaDB "0 - Packet" (compressed packet); sequence numbers: net_serv.cc of both servers.
#ifndef BULKHEAD_PROXY_WIRE_COMPRESSION_H_
#define BULKHEAD_PROXY_WIRE_COMPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "proxy/wire/byte_writer.h"
#include "proxy/wire/frame.h"

namespace bulkhead::wire {

inline constexpr size_t kCompressedHeaderSize = 7;
// Below this much, a body goes uncompressed (the servers' MIN_COMPRESS_LENGTH).
inline constexpr size_t kMinCompressSize = 50;

enum class CompressionAlgorithm : uint8_t { kZlib, kZstd };
[[nodiscard]] std::string_view CompressionAlgorithmName(CompressionAlgorithm algorithm);

enum class CompressionStatus : uint8_t {
  kOk,           // all input used
  kOutputLimit,  // the limit was reached: call again with the input that is left
  kCorrupt,      // not this algorithm's data: 1157 ER_NET_UNCOMPRESS_ERROR
  kWrongSize,    // more or fewer bytes than the header says
  kOutOfOrder,   // a compressed packet's sequence id doesn't count on: 1156
  kFailed,       // the library could not get memory
};
[[nodiscard]] std::string_view CompressionStatusName(CompressionStatus status);

// Plain bytes -> compressed packets.
class Compressor {
 public:
  // `level`: 1 to 9 for zlib (6 is usual), 1 to 22 for zstd (3 is usual); others are clamped.
  Compressor(CompressionAlgorithm algorithm, int level);
  ~Compressor();
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;

  // Appends packets that hold all of `plain`. The numbers go on from `*sequence`.
  [[nodiscard]] CompressionStatus Compress(std::span<const uint8_t> plain, uint8_t* sequence,
                                           ByteBuffer* out);
  // Gives the compression state to the next one of this thread that needs it, until the next use.
  void Idle();

 private:
  struct State;
  std::unique_ptr<State> state_;
  CompressionAlgorithm algorithm_;
  int level_;
};

// Compressed packets -> plain bytes.
class Decompressor {
 public:
  explicit Decompressor(CompressionAlgorithm algorithm);
  ~Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;

  // Takes bytes off the front of *input and appends at most `output_limit` plain bytes to *out. On
  // kOutputLimit call again with the rest (which may be empty while output is still held back).
  [[nodiscard]] CompressionStatus Decompress(std::span<const uint8_t>* input, size_t output_limit,
                                             ByteBuffer* out);
  // The same, but stops (with kOk) where a compressed packet ends.
  [[nodiscard]] CompressionStatus DecompressPacket(std::span<const uint8_t>* input,
                                                   size_t output_limit, ByteBuffer* out);
  // From now on a packet's sequence id must be one of these, or 0: kOutOfOrder otherwise.
  void ExpectSequence(uint8_t one, uint8_t other) {
    expected_[0] = one;
    expected_[1] = other;
    expects_ = true;
  }
  // Of the last header seen.
  [[nodiscard]] uint8_t last_sequence() const { return sequence_; }
  // Between two compressed packets.
  [[nodiscard]] bool AtPacketStart() const;
  // As Compressor::Idle; only between packets, else nothing.
  void Idle();

 private:
  struct State;
  [[nodiscard]] CompressionStatus BeginPacket();
  [[nodiscard]] CompressionStatus Inflate(std::span<const uint8_t>* input, size_t limit,
                                          ByteBuffer* out);

  std::unique_ptr<State> state_;
  CompressionAlgorithm algorithm_;
  uint8_t header_[kCompressedHeaderSize] = {};
  uint8_t header_bytes_ = 0;
  uint8_t sequence_ = 0;
  uint8_t expected_[2] = {};
  bool expects_ = false;
  bool stored_ = false;  // the body is not compressed
  uint32_t body_size_ = 0;
  uint32_t body_left_ = 0;   // of the packet, still to come in
  uint32_t plain_left_ = 0;  // of the packet, still to go out
};

// Both directions of a connection, with the sequence numbers as the servers count them: a command
// begins at 0, a response at 1, and otherwise what is sent counts on from what was received last.
//
// Servers and clients number frames inside compressed packets by the compressed packets' numbers,
// and check only the latter. Decode puts in the numbers that an uncompressed peer would have sent,
// so that those above can check them and pass frames on to an uncompressed connection. A command
// is therefore known by its compressed packet's number: Connector/J 2.7 counts a frame twice that
// it tried to compress and then sent as it is.
//
// As a client, several commands may be sent before the first response came if all but the last have
// a short one. Limits: a frame header that begins a command, and the command byte, must be whole in
// one call of Encode.
class CompressionCodec {
 public:
  enum class Role : uint8_t { kClient, kServer };  // what we are on this connection

  CompressionCodec(CompressionAlgorithm algorithm, int level, Role role)
      : compressor_(algorithm, level), decompressor_(algorithm), role_(role) {}

  [[nodiscard]] CompressionStatus Encode(std::span<const uint8_t> plain, ByteBuffer* out);
  // As Decompressor::Decompress.
  [[nodiscard]] CompressionStatus Decode(std::span<const uint8_t>* input, size_t output_limit,
                                         ByteBuffer* out);
  // Gives both states back until the next use.
  void Idle();

 private:
  // Whether a frame that is about to be sent counts on from the one before. If not, *next_sequence
  // is the number of the compressed packet that it begins.
  [[nodiscard]] bool GoesOn(const FrameWalker::Piece& piece, uint8_t* next_sequence);
  void NoteCommand(const FrameWalker::Piece& piece);
  void NoteRequest(const FrameWalker::Piece& piece);
  void ExpectNext();
  void Renumber(std::span<uint8_t> plain);
  // As a server: whether the compressed packet that has just begun to come in is a command's first.
  [[nodiscard]] bool BeginsCommand() const;
  // The number that a received frame would have in the plain protocol.
  [[nodiscard]] uint8_t NumberOf(const FrameWalker::Piece& piece);

  Compressor compressor_;
  Decompressor decompressor_;
  Role role_;
  uint8_t next_sequence_ = 0;  // of compressed packets
  FrameWalker sent_frames_;
  FrameWalker received_frames_;
  uint8_t last_sent_frame_ = 0;
  uint8_t last_received_frame_ = 0;   // as it came
  uint8_t last_received_number_ = 0;  // as it was passed on
  bool received_since_sent_ = false;
  bool sent_since_received_ = true;
  // As a server, of the compressed packets received:
  bool packet_begins_ = false;  // no frame has begun in it yet
  bool first_packet_ = true;
  uint8_t packet_before_ = 0;  // its number
  // ... and of the packets sent:
  bool first_byte_follows_ = false;
  bool asked_for_file_ = false;  // the last one was a LOCAL INFILE request
  // As a client:
  bool expects_response_ = false;       // a command was sent
  bool received_since_command_ = true;  // ... and something came since
  uint32_t responses_behind_ = 0;       // to commands sent before the first response came
};

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_COMPRESSION_H_
