// What each packet of a response says, and which one may come next.

#include <algorithm>

#include "proxy/session/response_tracker.h"
#include "proxy/wire/byte_reader.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::session {
namespace {

constexpr uint16_t kProgressCode = 0xFFFF;
constexpr uint32_t kEofSize = 5;
constexpr uint64_t kHashBasis = 0xCBF29CE484222325ull;  // FNV-1a
constexpr wire::Capabilities kMetadataFlag =
    wire::kClientOptionalResultsetMetadata | wire::kMariadbClientCacheMetadata;

}  // namespace

// The packet has ended. False: it contradicts the grammar.
bool ResponseTracker::FinishPacket(std::span<const uint8_t> payload) {
  switch (kind_) {
    case Kind::kInvalid:
      return false;
    case Kind::kRow:
      ++rows_;
      return true;
    case Kind::kDefinition:
    case Kind::kHashedDefinition:
      FinishDefinition();
      return true;
    case Kind::kText:
      state_ = State::Done;
      return true;
    case Kind::kOk:
      return FinishOk(payload);
    case Kind::kErr:
      return FinishErr(payload);
    case Kind::kEnd:
      return FinishEnd(payload);
    case Kind::kColumnCount:
      return FinishColumnCount(payload);
    case Kind::kPrepareOk:
      return FinishPrepareOk(payload);
    case Kind::kLocalInfile:
      state_ = State::ExpectLocalInfileResult;
      sequence_free_ = true;
      return true;
  }
  return false;
}

bool ResponseTracker::FinishOk(std::span<const uint8_t> payload) {
  if (!TakeOkFields(payload)) return false;
  FinishResult();
  return true;
}

bool ResponseTracker::FinishErr(std::span<const uint8_t> payload) {
  wire::ByteReader reader(payload);
  reader.Skip(1);
  const uint16_t code = reader.ReadU16();
  // A progress report: whatever was awaited still is.
  if (code == kProgressCode && Has(wire::kMariadbClientProgress)) return true;
  if (reader.Peek() == '#') {
    reader.Skip(1);
    const std::string_view sqlstate = reader.ReadFixed(sizeof(sqlstate_));
    if (!reader.ok()) return false;
    std::copy(sqlstate.begin(), sqlstate.end(), sqlstate_);
  }
  error_seen_ = true;
  error_code_ = code;
  details().message = reader.ReadRest().substr(0, kMessageLimit);
  state_ = State::Done;
  failed_before_request_ = before_request_;
  return !before_request_;
}

bool ResponseTracker::FinishEnd(std::span<const uint8_t> payload) {
  if (!TakeEndFields(payload)) return false;
  switch (state_) {
    case State::ExpectDefinitionsEnd:
      out_parameters_ = (status_ & wire::kStatusPsOutParams) != 0;
      if (OpensCursor()) {
        rows_ = 0;
        FinishResult();
      } else {
        ExpectRows();
      }
      return true;
    case State::ExpectParametersEnd:
      ExpectColumnsOfPrepare();
      return true;
    case State::ExpectRow:
    case State::ExpectFieldDefinition:
    case State::ExpectSimple:
      result_passed_ = true;
      FinishResult();
      return true;
    case State::ExpectColumnsEnd:
      state_ = State::Done;
      return true;
    case State::Idle:
    case State::ExpectResult:
    case State::ExpectLocalInfileResult:
    case State::ExpectText:
    case State::ExpectDefinition:
    case State::ExpectPrepareOk:
    case State::ExpectParameter:
    case State::ExpectColumn:
    case State::Done:
    case State::Failed:
      break;
  }
  return false;
}

bool ResponseTracker::FinishColumnCount(std::span<const uint8_t> payload) {
  wire::ColumnCount count;
  if (wire::DecodeColumnCount(payload, capabilities_, &count) != wire::DecodeError::kNone) {
    return false;
  }
  const size_t flag_size = Has(kMetadataFlag) ? 1 : 0;
  if (payload.size() != wire::LenencIntSize(count.columns) + flag_size) return false;
  column_count_ = static_cast<uint16_t>(count.columns);
  if (count.metadata_follows) {
    if (grammar_ == ResponseGrammar::kExecute && Has(wire::kMariadbClientCacheMetadata) &&
        results_ == 0) {
      columns_told_ = true;
      metadata_hash_ = kHashBasis;
    }
    definitions_left_ = static_cast<uint32_t>(count.columns);
    state_ = State::ExpectDefinition;
  } else if (Has(wire::kClientDeprecateEof)) {
    ExpectRows();
  } else {
    state_ = State::ExpectDefinitionsEnd;
  }
  return true;
}

bool ResponseTracker::FinishPrepareOk(std::span<const uint8_t> payload) {
  wire::PrepareOk prepare_ok;
  if (wire::DecodePrepareOk(payload, capabilities_, &prepare_ok) != wire::DecodeError::kNone) {
    return false;
  }
  statement_id_ = prepare_ok.statement_id;
  parameter_count_ = prepare_ok.parameters;
  column_count_ = prepare_ok.columns;
  warnings_ = prepare_ok.warnings;
  metadata_follows_ = prepare_ok.metadata_follows;
  metadata_hash_ = kHashBasis;
  HashPiece(payload.subspan(5, 4));  // both counts
  const bool nothing_comes = !metadata_follows_ && Has(wire::kClientDeprecateEof);
  if (parameter_count_ == 0 || nothing_comes) {
    ExpectColumnsOfPrepare();
  } else if (metadata_follows_) {
    definitions_left_ = parameter_count_;
    state_ = State::ExpectParameter;
  } else {
    state_ = State::ExpectParametersEnd;
  }
  return true;
}

void ResponseTracker::ExpectColumnsOfPrepare() {
  if (column_count_ == 0) {
    state_ = State::Done;
  } else if (metadata_follows_) {
    metadata_hash_ = kHashBasis;
    definitions_left_ = column_count_;
    state_ = State::ExpectColumn;
  } else {
    state_ = Has(wire::kClientDeprecateEof) ? State::Done : State::ExpectColumnsEnd;
  }
}

void ResponseTracker::FinishDefinition() {
  if (state_ == State::ExpectFieldDefinition || --definitions_left_ > 0) return;
  const bool ends_follow = !Has(wire::kClientDeprecateEof);
  if (state_ == State::ExpectDefinition) {
    if (ends_follow) {
      state_ = State::ExpectDefinitionsEnd;
    } else {
      ExpectRows();
    }
  } else if (state_ == State::ExpectParameter) {
    if (ends_follow) {
      state_ = State::ExpectParametersEnd;
    } else {
      ExpectColumnsOfPrepare();
    }
  } else {
    state_ = ends_follow ? State::ExpectColumnsEnd : State::Done;
  }
}

void ResponseTracker::ExpectRows() {
  const bool text = grammar_ == ResponseGrammar::kQuery;
  highest_row_byte_ = text ? wire::kEofHeader - 1 : 0;
  rows_ = 0;
  affected_rows_ = 0;
  state_ = State::ExpectRow;
}

// A procedure that has a cursor of its own open lets the flag show in its results, whose rows
// follow nevertheless (seen of MariaDB 10.11); a result that is to be fetched is the only one.
bool ResponseTracker::OpensCursor() const {
  return grammar_ == ResponseGrammar::kExecute && (status_ & wire::kStatusCursorExists) != 0 &&
         (status_ & wire::kStatusMoreResultsExist) == 0;
}

// An OK, or the end of a result set: another one may follow.
void ResponseTracker::FinishResult() {
  ++results_;
  const bool may_go_on =
      grammar_ == ResponseGrammar::kQuery || grammar_ == ResponseGrammar::kExecute;
  if (OpensCursor()) cursor_opened_ = true;
  // MySQL without DEPRECATE_EOF leaves the flag out of the EOF behind OUT parameters, although the
  // procedure's OK follows (seen of 9.7; Protocol_binary::send_parameters).
  const bool goes_on =
      may_go_on && ((status_ & wire::kStatusMoreResultsExist) != 0 || out_parameters_);
  out_parameters_ = false;
  state_ = goes_on ? State::ExpectResult : State::Done;
}

bool ResponseTracker::TakeOkFields(std::span<const uint8_t> payload) {
  wire::OkPacket ok;
  if (payload.size() == packet_seen_) {
    if (wire::DecodeOk(payload, capabilities_, &ok) != wire::DecodeError::kNone) return false;
  } else {
    // Longer than what was gathered of it: the fields at its front are there.
    wire::ByteReader reader(payload);
    reader.Skip(1);
    ok.affected_rows = reader.ReadLenencInt();
    ok.last_insert_id = reader.ReadLenencInt();
    ok.status = reader.ReadU16();
    ok.warnings = reader.ReadU16();
    if (!reader.ok()) return false;
    if ((ok.status & wire::kStatusSessionStateChanged) != 0) session_state_overflow_ = true;
  }
  status_ = ok.status;
  status_seen_ = true;
  warnings_ = ok.warnings;
  affected_rows_ = ok.affected_rows;
  if (ok.last_insert_id != 0) last_insert_id_ = ok.last_insert_id;
  if (!ok.session_state.empty()) KeepSessionState(ok.session_state);
  return true;
}

bool ResponseTracker::TakeEndFields(std::span<const uint8_t> payload) {
  if (packet_seen_ != kEofSize) return TakeOkFields(payload);
  wire::EofPacket eof;
  if (wire::DecodeEof(payload, capabilities_, &eof) != wire::DecodeError::kNone) return false;
  status_ = eof.status;
  status_seen_ = true;
  warnings_ = eof.warnings;
  return true;
}

void ResponseTracker::KeepSessionState(std::string_view changes) {
  std::string& kept = details().session_state;
  if (changes.size() > kSessionStateLimit - kept.size()) {
    session_state_overflow_ = true;
    return;
  }
  kept += changes;
}

ResponseTracker::Details& ResponseTracker::details() {
  if (details_ == nullptr) details_ = std::make_unique<Details>();
  return *details_;
}

}  // namespace bulkhead::session
