// What may be wrong with a message: the result of every decoder of this folder.
//
// Purpose: one small vocabulary, so that a caller maps it to an answer in one place.
// Errors: a decoder that returns anything but kNone may have written part of its output; use none
// of it.
#ifndef BULKHEAD_PROXY_WIRE_DECODE_ERROR_H_
#define BULKHEAD_PROXY_WIRE_DECODE_ERROR_H_

#include <cstdint>
#include <string_view>

namespace bulkhead::wire {

enum class DecodeError : uint8_t {
  kNone,            // decoded
  kTruncated,       // a field reaches past the end of the packet
  kUnexpectedType,  // the first byte is another message's
  kMalformed,       // in bounds, but a value that the protocol does not allow
  kLimitExceeded,   // more of something than we are ready to take
  kUnsupported,     // understood and not spoken: the protocol before 4.1
};

[[nodiscard]] constexpr std::string_view DecodeErrorName(DecodeError error) {
  switch (error) {
    case DecodeError::kNone:
      return "none";
    case DecodeError::kTruncated:
      return "truncated";
    case DecodeError::kUnexpectedType:
      return "unexpected type";
    case DecodeError::kMalformed:
      return "malformed";
    case DecodeError::kLimitExceeded:
      return "limit exceeded";
    case DecodeError::kUnsupported:
      return "unsupported";
  }
  return "?";
}

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_DECODE_ERROR_H_
