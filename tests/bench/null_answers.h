// The null server's answers, made beforehand, and which text gets which.
#ifndef BULKHEAD_TESTS_BENCH_NULL_ANSWERS_H_
#define BULKHEAD_TESTS_BENCH_NULL_ANSWERS_H_

#include <strings.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "tests/bench/support.h"

namespace bulkhead::bench {

inline constexpr size_t kBlock = size_t{1} << 20;  // of SELECT big: 256 packets of 4 KiB
inline constexpr size_t kMaxRows = 100'000;

enum class Kind : uint8_t { kOne, kRows, kBig, kBegin, kEnd, kAutocommitOn, kAutocommitOff, kOk };

struct Text {
  Kind kind = Kind::kOk;
  uint32_t number = 0;
};

// Bytes to send: first `head`, then `block` so many times, then `tail`. They point at what lives as
// long as the program.
struct Answer {
  std::string_view head;
  std::string_view block;
  uint64_t blocks = 0;
  std::string_view tail;

  [[nodiscard]] bool Empty() const { return head.empty() && blocks == 0 && tail.empty(); }
};

inline bool StartsWith(std::string_view text, std::string_view word) {
  return text.size() >= word.size() && strncasecmp(text.data(), word.data(), word.size()) == 0;
}

inline uint32_t NumberAfter(std::string_view text, size_t at) {
  uint64_t value = 0;
  while (at < text.size() && text[at] == ' ') ++at;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && value < 100'000'000; ++at) {
    value = 10 * value + static_cast<uint64_t>(text[at] - '0');
  }
  return static_cast<uint32_t>(value);
}

inline Text Classify(std::string_view text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\n')) text.remove_prefix(1);
  if (text.starts_with("/*") && text.find("*/") != std::string_view::npos) {
    return Classify(text.substr(text.find("*/") + 2));
  }
  if (StartsWith(text, "SELECT rows ")) {
    return {Kind::kRows, std::min<uint32_t>(NumberAfter(text, 12), kMaxRows)};
  }
  if (StartsWith(text, "SELECT big ")) return {Kind::kBig, NumberAfter(text, 11)};
  if (StartsWith(text, "SELECT") || StartsWith(text, "SHOW")) return {Kind::kOne};
  if (StartsWith(text, "BEGIN") || StartsWith(text, "START TRANSACTION")) return {Kind::kBegin};
  if (StartsWith(text, "COMMIT") || StartsWith(text, "ROLLBACK")) {
    const bool savepoint = StartsWith(text, "ROLLBACK TO");
    return {savepoint ? Kind::kOk : Kind::kEnd};
  }
  if (StartsWith(text, "SET autocommit")) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) return {Kind::kOk};
    return {NumberAfter(text, equals + 1) == 0 && text.find("ON") == std::string_view::npos
                ? Kind::kAutocommitOff
                : Kind::kAutocommitOn};
  }
  return {Kind::kOk};
}

inline Payload OkPayload(uint16_t status) {
  return Payload().Int(0, 1).Zero().Zero().Int(status, 2).Int(0, 2);
}

// The end of a row set: EOF, or in its place an OK packet with EOF's first byte.
inline Payload EndPayload(uint16_t status, bool deprecate_eof) {
  if (deprecate_eof) return Payload().Int(0xfe, 1).Zero().Zero().Int(status, 2).Int(0, 2);
  return Payload().Int(0xfe, 1).Int(0, 2).Int(status, 2);
}

inline Payload ColumnPayload(std::string_view name, uint8_t type, uint32_t length) {
  return Payload()
      .LengthEncoded("def")
      .LengthEncoded("")
      .LengthEncoded("")
      .LengthEncoded("")
      .LengthEncoded(name)
      .LengthEncoded("")
      .Int(0x0c, 1)
      .Int(type == 0xfd ? 45 : 63, 2)
      .Int(length, 4)
      .Int(type, 1)
      .Int(type == 0xfd ? 0 : 0x81, 2)
      .Int(0, 1)
      .Int(0, 2);
}

inline constexpr uint8_t kLongLong = 8;
inline constexpr uint8_t kVarString = 0xfd;

inline Payload RowPayload(std::string_view text, uint8_t type, bool binary) {
  if (!binary) return Payload().LengthEncoded(text);
  Payload row = Payload().Int(0, 1).Int(0, 1);
  if (type == kLongLong) return row.Int(1, 8);
  return row.LengthEncoded(text);
}

// Every answer there is, for one combination of status flags, agreed end-of-rows packet, and text
// or binary rows.
class Answers {
 public:
  Answers(uint16_t status, bool deprecate_eof, bool binary)
      : status_(status), deprecate_eof_(deprecate_eof), binary_(binary) {
    uint8_t sequence = 1;
    AppendPacket(&ok_, &sequence, OkPayload(status));
    sequence = Columns(&one_, "1", kLongLong, 2);
    AppendPacket(&one_, &sequence, RowPayload("1", kLongLong, binary));
    AppendPacket(&one_, &sequence, EndPayload(status, deprecate_eof));
  }

  [[nodiscard]] Answer Ok() const { return {.head = ok_, .block = {}, .tail = {}}; }

  [[nodiscard]] Answer For(Text text) {
    switch (text.kind) {
      case Kind::kOne:
        return {.head = one_, .block = {}, .tail = {}};
      case Kind::kRows:
        return {.head = Rows(text.number), .block = {}, .tail = {}};
      case Kind::kBig:
        return Big(text.number);
      case Kind::kBegin:
      case Kind::kEnd:
      case Kind::kAutocommitOn:
      case Kind::kAutocommitOff:
      case Kind::kOk:
        break;
    }
    return Ok();
  }

 private:
  // The packets before the rows; returns the next sequence id.
  uint8_t Columns(std::string* out, std::string_view name, uint8_t type, uint32_t length) const {
    uint8_t sequence = 1;
    AppendPacket(out, &sequence, Payload().Int(1, 1));
    AppendPacket(out, &sequence, ColumnPayload(name, type, length));
    if (!deprecate_eof_) AppendPacket(out, &sequence, EndPayload(status_, false));
    return sequence;
  }

  std::string_view Rows(uint32_t count) {
    std::string& out = rows_[count];
    if (out.empty()) {
      uint8_t sequence = Columns(&out, "text", kVarString, 400);
      const std::string text(99, 'r');
      for (uint32_t i = 0; i < count; ++i) {
        AppendPacket(&out, &sequence, RowPayload(text, kVarString, binary_));
      }
      AppendPacket(&out, &sequence, EndPayload(status_, deprecate_eof_));
    }
    return out;
  }

  Answer Big(uint32_t mebibytes) {
    if (big_block_.empty()) {
      uint8_t sequence = Columns(&big_head_, "text", kVarString, 16000);
      // 4 KiB with the packet's header and what stands before the text, so that 256 packets are
      // one round of the sequence id and one MiB.
      const std::string text(4096 - 4 - 3 - (binary_ ? 2 : 0), 'b');
      big_block_.reserve(kBlock);
      for (int i = 0; i < 256; ++i) {
        AppendPacket(&big_block_, &sequence, RowPayload(text, kVarString, binary_));
      }
      AppendPacket(&big_tail_, &sequence, EndPayload(status_, deprecate_eof_));
    }
    return {.head = big_head_, .block = big_block_, .blocks = mebibytes, .tail = big_tail_};
  }

  const uint16_t status_;
  const bool deprecate_eof_;
  const bool binary_;
  std::string ok_;
  std::string one_;
  std::map<uint32_t, std::string> rows_;
  std::string big_head_;
  std::string big_block_;
  std::string big_tail_;
};

}  // namespace bulkhead::bench

#endif  // BULKHEAD_TESTS_BENCH_NULL_ANSWERS_H_
