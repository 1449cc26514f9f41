// Reads the protocol's basic types from a span of bytes, never past its end.
//
// Purpose: fixed-length and length-encoded integers, strings; the first read that does not fit
// makes the reader fail for good, so that a decoder checks ok() once at its end. Thread: any; a
// value on the stack. Views returned point into the span that was given. Errors: a failed read
// returns 0 or an empty view, sets ok() to false and consumes nothing more. Sources: dev.mysql.com
// page_protocol_basic_data_types; MariaDB "Protocol Data Types".
#ifndef BULKHEAD_PROXY_WIRE_BYTE_READER_H_
#define BULKHEAD_PROXY_WIRE_BYTE_READER_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

namespace bulkhead::wire {

// A view of bytes as text and back. The protocol's strings are bytes of some character set.
[[nodiscard]] inline std::string_view AsText(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
[[nodiscard]] inline std::span<const uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] size_t remaining() const { return bytes_.size() - offset_; }
  // Bytes read so far.
  [[nodiscard]] size_t offset() const { return offset_; }
  [[nodiscard]] bool AtEnd() const { return offset_ == bytes_.size(); }
  // The next byte, not consumed; 0 at the end (which is no failure).
  [[nodiscard]] uint8_t Peek() const { return AtEnd() ? 0 : bytes_[offset_]; }

  uint8_t ReadU8() { return static_cast<uint8_t>(ReadFixedInt<1>()); }
  uint16_t ReadU16() { return static_cast<uint16_t>(ReadFixedInt<2>()); }
  uint32_t ReadU24() { return static_cast<uint32_t>(ReadFixedInt<3>()); }
  uint32_t ReadU32() { return static_cast<uint32_t>(ReadFixedInt<4>()); }
  uint64_t ReadU64() { return ReadFixedInt<8>(); }

  // int<lenenc>. The NULL marker 0xFB and the undefined 0xFF are failures here.
  uint64_t ReadLenencInt() {
    const uint8_t first = ReadU8();
    if (first < 0xFB) [[likely]] {
      return first;
    }
    switch (first) {
      case 0xFC:
        return ReadFixedInt<2>();
      case 0xFD:
        return ReadFixedInt<3>();
      case 0xFE:
        return ReadFixedInt<8>();
    }
    Fail();
    return 0;
  }

  // string<lenenc>.
  std::string_view ReadLenencString() { return ReadFixed(ReadLenencInt()); }

  // A cell of a text row: string<lenenc>, or nothing for NULL (0xFB).
  std::optional<std::string_view> ReadCell() {
    if (ok_ && Peek() == 0xFB) {
      ++offset_;
      return std::nullopt;
    }
    return ReadLenencString();
  }

  // string<NUL>; the NUL is consumed and not part of the view. Fails without a NUL.
  std::string_view ReadNullTerminated() {
    if (remaining() == 0 || !ok_) return FailText();
    const uint8_t* begin = bytes_.data() + offset_;
    const void* end = std::memchr(begin, 0, remaining());
    if (end == nullptr) return FailText();
    const size_t size = static_cast<size_t>(static_cast<const uint8_t*>(end) - begin);
    offset_ += size + 1;
    return {reinterpret_cast<const char*>(begin), size};
  }

  // Like ReadNullTerminated, but the end of the bytes ends the string too (some clients leave the
  // last NUL out). Nothing left is an empty string.
  std::string_view ReadNullTerminatedOrRest() {
    if (!ok_) return {};
    if (remaining() != 0 && std::memchr(bytes_.data() + offset_, 0, remaining()) != nullptr) {
      return ReadNullTerminated();
    }
    return ReadRest();
  }

  // string<fix>.
  std::string_view ReadFixed(uint64_t size) { return AsText(ReadBytes(size)); }

  std::span<const uint8_t> ReadBytes(uint64_t size) {
    if (!ok_ || size > remaining()) {
      Fail();
      return {};
    }
    const auto out = bytes_.subspan(offset_, static_cast<size_t>(size));
    offset_ += static_cast<size_t>(size);
    return out;
  }

  // string<EOF>.
  std::string_view ReadRest() {
    if (!ok_) return {};
    return AsText(ReadBytes(remaining()));
  }

  void Skip(uint64_t size) { ReadBytes(size); }

  // Makes the reader fail: for values that are in bounds but not allowed.
  void Fail() { ok_ = false; }

 private:
  template <size_t N>
  uint64_t ReadFixedInt() {
    if (!ok_ || remaining() < N) {
      Fail();
      return 0;
    }
    const uint8_t* const at = bytes_.data() + offset_;
    uint64_t value = 0;
    if constexpr (std::endian::native == std::endian::little) {
      std::memcpy(&value, at, N);
    } else {
      for (size_t i = 0; i < N; ++i) value |= static_cast<uint64_t>(at[i]) << (8 * i);
    }
    offset_ += N;
    return value;
  }

  std::string_view FailText() {
    Fail();
    return {};
  }

  std::span<const uint8_t> bytes_;
  size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_BYTE_READER_H_
