// Appends the protocol's basic types to a buffer of the caller.
//
// Purpose: the counterpart of ByteReader. Writes at the buffer's end and nowhere else.
// Thread: any; a value on the stack. The buffer must outlive the writer.
// Limits: none of its own; the callers write messages of known size.
// Sources: dev.mysql.com page_protocol_basic_data_types; MariaDB "Protocol Data Types".
#ifndef BULKHEAD_PROXY_WIRE_BYTE_WRITER_H_
#define BULKHEAD_PROXY_WIRE_BYTE_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "proxy/wire/byte_reader.h"

namespace bulkhead::wire {

// What messages are written into.
using ByteBuffer = std::vector<uint8_t>;

class ByteWriter {
 public:
  explicit ByteWriter(ByteBuffer* out) : out_(out) {}

  [[nodiscard]] size_t size() const { return out_->size(); }

  void WriteU8(uint8_t value) { out_->push_back(value); }
  void WriteU16(uint16_t value) { WriteFixedInt<2>(value); }
  void WriteU24(uint32_t value) { WriteFixedInt<3>(value); }
  void WriteU32(uint32_t value) { WriteFixedInt<4>(value); }
  void WriteU64(uint64_t value) { WriteFixedInt<8>(value); }

  // int<lenenc>, in its shortest form.
  void WriteLenencInt(uint64_t value) {
    if (value < 0xFB) {
      WriteU8(static_cast<uint8_t>(value));
    } else if (value <= 0xFFFF) {
      WriteU8(0xFC);
      WriteFixedInt<2>(value);
    } else if (value <= 0xFFFFFF) {
      WriteU8(0xFD);
      WriteFixedInt<3>(value);
    } else {
      WriteU8(0xFE);
      WriteFixedInt<8>(value);
    }
  }

  // string<lenenc>.
  void WriteLenencString(std::string_view text) {
    WriteLenencInt(text.size());
    WriteText(text);
  }

  // A cell of a text row; nothing is NULL.
  void WriteCell(const std::optional<std::string_view>& cell) {
    if (cell.has_value()) {
      WriteLenencString(*cell);
    } else {
      WriteU8(0xFB);
    }
  }

  // string<NUL>. What follows a NUL inside the text is left out: it could not be read back.
  void WriteNullTerminated(std::string_view text) {
    WriteText(text.substr(0, text.find('\0')));
    WriteU8(0);
  }

  // string<fix> and string<EOF>.
  void WriteText(std::string_view text) { WriteBytes(AsBytes(text)); }
  void WriteBytes(std::span<const uint8_t> bytes) {
    out_->insert(out_->end(), bytes.begin(), bytes.end());
  }
  void WriteZeros(size_t count) { out_->insert(out_->end(), count, uint8_t{0}); }

 private:
  template <size_t N>
  void WriteFixedInt(uint64_t value) {
    uint8_t bytes[N];
    for (size_t i = 0; i < N; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    out_->insert(out_->end(), bytes, bytes + N);
  }

  ByteBuffer* out_;
};

// How many bytes int<lenenc> takes for a value.
[[nodiscard]] constexpr size_t LenencIntSize(uint64_t value) {
  return value < 0xFB ? 1 : value <= 0xFFFF ? 3 : value <= 0xFFFFFF ? 4 : 9;
}

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_BYTE_WRITER_H_
