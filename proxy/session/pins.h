// Why a session keeps its backend connection although no statement is running: one bit a reason,
// one word an operator reads.
//
// Thread: any. Source: the list under point 3 of "What applications get" in the product
// description; docs/PROTOCOL.md has it.
#ifndef BULKHEAD_PROXY_SESSION_PINS_H_
#define BULKHEAD_PROXY_SESSION_PINS_H_

#include <array>
#include <cstdint>
#include <string_view>

namespace bulkhead::session {

enum class Pin : uint8_t {
  kTransaction,     // the server's status says so, or said so before an error
  kSessionPooling,  // pooling: session
  kTemporaryTable,
  kLock,             // GET_LOCK, LOCK TABLES, FLUSH TABLES WITH READ LOCK
  kUserVariable,     // set by an expression, not by a literal
  kSessionVariable,  // set by an expression, or a variable that can't be restored
  kOneShot,  // SET TRANSACTION without scope, insert_id: for the next statement or transaction only
  kRoutine,  // CALL or a function that is no built-in may have left anything behind
  kLongData,     // COM_STMT_SEND_LONG_DATA not executed yet
  kCursor,       // an open server-side cursor
  kTextPrepare,  // PREPARE name FROM ...
  kHandler,      // HANDLER t OPEN
  kXa,
  kMultiStatement,  // several statements in one text: what they did is not followed
  kUnknownStatement,
  kFailedSet,  // a SET of several variables failed: which of them took effect is not known
  kFoundRows,  // SQL_CALC_FOUND_ROWS not read yet
  kRecords,    // profiles and traces, texts included: a reset leaves them to the next session
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<size_t>(Pin::kCount)> kPinNames = {
    "transaction", "session_pooling", "temporary_table",
    "lock",        "user_variable",   "session_variable",
    "one_shot",    "routine",         "long_data",
    "cursor",      "text_prepare",    "handler",
    "xa",          "multi_statement", "unknown_statement",
    "failed_set",  "found_rows",      "records"};

class PinSet {
 public:
  void Add(Pin pin) { bits_ |= Bit(pin); }
  void Remove(Pin pin) { bits_ &= ~Bit(pin); }
  void Clear() { bits_ = 0; }
  [[nodiscard]] bool Has(Pin pin) const { return (bits_ & Bit(pin)) != 0; }
  [[nodiscard]] bool empty() const { return bits_ == 0; }
  // Anything that a new connection would not have: pooling by session alone is no state.
  [[nodiscard]] bool HoldsState() const { return (bits_ & ~Bit(Pin::kSessionPooling)) != 0; }
  [[nodiscard]] uint32_t bits() const { return bits_; }

 private:
  static constexpr uint32_t Bit(Pin pin) { return 1u << static_cast<uint32_t>(pin); }
  uint32_t bits_ = 0;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_PINS_H_
