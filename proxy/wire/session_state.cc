#include "proxy/wire/session_state.h"

#include <array>

namespace bulkhead::wire {
namespace {

// One change: its type, the length of its data, its data.
template <typename Data>
void EncodeChange(SessionTrackType type, ByteWriter* writer, Data&& data) {
  ByteBuffer bytes;
  ByteWriter data_writer(&bytes);
  data(&data_writer);
  writer->WriteU8(static_cast<uint8_t>(type));
  writer->WriteLenencString(AsText(bytes));
}

void EncodeSingleString(SessionTrackType type, std::string_view value, ByteWriter* writer) {
  EncodeChange(type, writer, [&](ByteWriter* data) { data->WriteLenencString(value); });
}

bool HoldsVariables(uint8_t raw_type) {
  return raw_type == static_cast<uint8_t>(SessionTrackType::kSystemVariables) ||
         raw_type == static_cast<uint8_t>(SessionTrackType::kUserVariables);
}

}  // namespace

bool SessionStateReader::Next(SessionStateChange* change) {
  *change = SessionStateChange{};
  if (!ok_) return false;
  while (pending_variables_.empty()) {
    if (reader_.AtEnd()) return false;
    pending_type_ = reader_.ReadU8();
    const std::string_view data = reader_.ReadLenencString();
    if (!reader_.ok()) return ok_ = false;
    if (HoldsVariables(pending_type_)) {
      pending_variables_ = data;
      continue;
    }
    change->raw_type = pending_type_;
    change->data = data;
    if (pending_type_ > static_cast<uint8_t>(SessionTrackType::kUserVariables)) return true;
    if (change->Is(SessionTrackType::kStateChange)) {
      change->value = data;  // the one whose string has no length of its own
      return true;
    }
    ByteReader fields(AsBytes(data));
    if (change->Is(SessionTrackType::kGtids)) change->gtid_encoding = fields.ReadU8();
    change->value = fields.ReadLenencString();
    return ok_ = fields.ok();
  }
  ByteReader fields(AsBytes(pending_variables_));
  change->raw_type = pending_type_;
  change->name = fields.ReadLenencString();
  change->value = fields.ReadLenencString();
  change->data = pending_variables_.substr(0, fields.offset());
  pending_variables_.remove_prefix(fields.offset());
  return ok_ = fields.ok();
}

bool ParseTransactionState(std::string_view letters, TransactionState* out) {
  *out = TransactionState{};
  if (letters.size() != 8) return false;
  if (letters[0] == 'I') {
    out->implicit_transaction = true;
  } else if (letters[0] == 'T') {
    out->explicit_transaction = true;
  } else if (letters[0] != '_') {
    return false;
  }
  struct Place {
    char letter;
    bool TransactionState::*field;
  };
  static constexpr std::array<Place, 7> kPlaces = {{
      {'r', &TransactionState::read_nontransactional},
      {'R', &TransactionState::read_transactional},
      {'w', &TransactionState::wrote_nontransactional},
      {'W', &TransactionState::wrote_transactional},
      {'s', &TransactionState::unsafe_statement},
      {'S', &TransactionState::sent_result_set},
      {'L', &TransactionState::locked_tables},
  }};
  for (size_t i = 0; i < kPlaces.size(); ++i) {
    const char letter = letters[i + 1];
    if (letter != '_' && letter != kPlaces[i].letter) return false;
    out->*kPlaces[i].field = letter != '_';
  }
  return true;
}

void EncodeSystemVariableChange(std::string_view name, std::string_view value, ByteWriter* writer) {
  EncodeChange(SessionTrackType::kSystemVariables, writer, [&](ByteWriter* data) {
    data->WriteLenencString(name);
    data->WriteLenencString(value);
  });
}

void EncodeSchemaChange(std::string_view schema, ByteWriter* writer) {
  EncodeSingleString(SessionTrackType::kSchema, schema, writer);
}

void EncodeStateChangeFlag(bool changed, ByteWriter* writer) {
  writer->WriteU8(static_cast<uint8_t>(SessionTrackType::kStateChange));
  writer->WriteLenencString(changed ? "1" : "0");
}

void EncodeGtidsChange(std::string_view gtids, ByteWriter* writer) {
  EncodeChange(SessionTrackType::kGtids, writer, [&](ByteWriter* data) {
    data->WriteU8(0);  // the only encoding there is
    data->WriteLenencString(gtids);
  });
}

void EncodeTransactionChange(SessionTrackType type, std::string_view value, ByteWriter* writer) {
  EncodeSingleString(type, value, writer);
}

}  // namespace bulkhead::wire
