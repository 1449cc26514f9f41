// What an OK packet says of session state that has changed (CLIENT_SESSION_TRACK).
//
// Purpose: walk the changes one by one without allocating; write them for tests and for answers of
// our own.
// Thread: any; pure. Views point into the OK packet's session_state.
// Errors: a change that is cut or malformed ends the walk with ok() false; a change of an unknown
// type is handed out with its data untouched.
// Sources: dev.mysql.com page_protocol_basic_ok_packet ("Session State Information"); MariaDB
// "OK_Packet" (session state info) and sql/session_tracker.cc: each system variable comes in a
// change of its own, user variables (type 6) in servers built with that tracker.
#ifndef BULKHEAD_PROXY_WIRE_SESSION_STATE_H_
#define BULKHEAD_PROXY_WIRE_SESSION_STATE_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/wire/byte_writer.h"

namespace bulkhead::wire {

enum class SessionTrackType : uint8_t {
  kSystemVariables = 0,
  kSchema = 1,
  kStateChange = 2,
  kGtids = 3,
  kTransactionCharacteristics = 4,
  kTransactionState = 5,
  kUserVariables = 6,  // MariaDB
};

struct SessionStateChange {
  uint8_t raw_type = 0;
  std::string_view data;  // undecoded, as it came

  // Decoded, by type:
  std::string_view name;   // of a system or user variable
  std::string_view value;  // of a variable; schema; "1" (state change); GTIDs; characteristics (SQL
                           // text); the eight letters of the transaction state
  uint8_t gtid_encoding = 0;

  [[nodiscard]] bool Is(SessionTrackType type) const {
    return raw_type == static_cast<uint8_t>(type);
  }
};

// Walks OkPacket::session_state.
class SessionStateReader {
 public:
  explicit SessionStateReader(std::string_view session_state) : reader_(AsBytes(session_state)) {}

  // The next change; false at the end, or where the bytes are malformed (ok() tells).
  [[nodiscard]] bool Next(SessionStateChange* change);
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  ByteReader reader_;
  // What is left of a change that holds several variables.
  std::string_view pending_variables_;
  uint8_t pending_type_ = 0;
  bool ok_ = true;
};

// The transaction state tracker's eight letters.
struct TransactionState {
  bool explicit_transaction = false;    // T
  bool implicit_transaction = false;    // I
  bool read_nontransactional = false;   // r
  bool read_transactional = false;      // R
  bool wrote_nontransactional = false;  // w
  bool wrote_transactional = false;     // W
  bool unsafe_statement = false;        // s
  bool sent_result_set = false;         // S
  bool locked_tables = false;           // L
};
// False: not eight letters of the known ones.
[[nodiscard]] bool ParseTransactionState(std::string_view letters, TransactionState* out);

void EncodeSystemVariableChange(std::string_view name, std::string_view value, ByteWriter* writer);
void EncodeSchemaChange(std::string_view schema, ByteWriter* writer);
void EncodeStateChangeFlag(bool changed, ByteWriter* writer);
void EncodeGtidsChange(std::string_view gtids, ByteWriter* writer);
// For the two transaction types.
void EncodeTransactionChange(SessionTrackType type, std::string_view value, ByteWriter* writer);

}  // namespace bulkhead::wire

#endif  // BULKHEAD_PROXY_WIRE_SESSION_STATE_H_
