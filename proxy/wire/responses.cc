#include "proxy/wire/responses.h"

#include <cstddef>

namespace bulkhead::wire {
namespace {

constexpr size_t kMaxErrorMessage = 511;
constexpr size_t kSqlstateSize = 5;
constexpr uint16_t kProgressCode = 0xFFFF;

DecodeError Result(const ByteReader& reader) {
  return reader.ok() ? DecodeError::kNone : DecodeError::kTruncated;
}

bool SessionStateFollows(const OkPacket& ok, Capabilities capabilities) {
  return (capabilities & kClientSessionTrack) != 0 && (ok.status & kStatusSessionStateChanged) != 0;
}

// The servers write the info with its length, the page says it has none: take both.
std::string_view InfoWithoutSessionTrack(std::string_view rest) {
  ByteReader reader(AsBytes(rest));
  const std::string_view info = reader.ReadLenencString();
  return reader.ok() && reader.AtEnd() ? info : rest;
}

std::string_view CutMessage(std::string_view message) {
  if (message.size() <= kMaxErrorMessage) return message;
  size_t size = kMaxErrorMessage;
  while (size > 0 && (static_cast<uint8_t>(message[size]) & 0xC0) == 0x80) --size;
  return message.substr(0, size);
}

}  // namespace

DecodeError DecodeOk(std::span<const uint8_t> payload, Capabilities capabilities, OkPacket* out) {
  if ((capabilities & kClientProtocol41) == 0) return DecodeError::kUnsupported;
  ByteReader reader(payload);
  out->header = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (out->header != kOkHeader && out->header != kEofHeader) return DecodeError::kUnexpectedType;
  out->affected_rows = reader.ReadLenencInt();
  out->last_insert_id = reader.ReadLenencInt();
  out->status = reader.ReadU16();
  out->warnings = reader.ReadU16();
  out->info = {};
  out->session_state = {};
  if (!reader.ok()) return DecodeError::kTruncated;
  if (reader.AtEnd()) return DecodeError::kNone;
  if ((capabilities & kClientSessionTrack) == 0) {
    out->info = InfoWithoutSessionTrack(reader.ReadRest());
    return DecodeError::kNone;
  }
  out->info = reader.ReadLenencString();
  if (reader.ok() && !reader.AtEnd() && SessionStateFollows(*out, capabilities)) {
    out->session_state = reader.ReadLenencString();
  }
  return Result(reader);
}

DecodeError DecodeEof(std::span<const uint8_t> payload, Capabilities capabilities, EofPacket* out) {
  if ((capabilities & kClientProtocol41) == 0) return DecodeError::kUnsupported;
  if (payload.empty()) return DecodeError::kTruncated;
  if (payload[0] != kEofHeader || payload.size() >= 9) return DecodeError::kUnexpectedType;
  ByteReader reader(payload);
  reader.Skip(1);
  out->warnings = reader.ReadU16();
  out->status = reader.ReadU16();
  return Result(reader);
}

DecodeError DecodeErr(std::span<const uint8_t> payload, ErrPacket* out) {
  ByteReader reader(payload);
  const uint8_t header = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (header != kErrHeader) return DecodeError::kUnexpectedType;
  out->code = reader.ReadU16();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (out->code == kProgressCode) return DecodeError::kUnexpectedType;
  out->sqlstate = {};
  if (reader.Peek() == '#') {
    reader.Skip(1);
    out->sqlstate = reader.ReadFixed(kSqlstateSize);
  }
  out->message = reader.ReadRest();
  return Result(reader);
}

DecodeError DecodeProgressReport(std::span<const uint8_t> payload, ProgressReport* out) {
  if (!IsProgressReport(payload)) {
    return payload.size() < 3 ? DecodeError::kTruncated : DecodeError::kUnexpectedType;
  }
  ByteReader reader(payload);
  reader.Skip(3);
  // The number of strings, always 1; MariaDB's page leaves it out, its server and its client don't.
  reader.Skip(1);
  out->stage = reader.ReadU8();
  out->max_stage = reader.ReadU8();
  out->progress = reader.ReadU24();
  out->info = reader.ReadLenencString();
  return Result(reader);
}

DecodeError DecodeLocalInfileRequest(std::span<const uint8_t> payload,
                                     std::string_view* file_name) {
  if (payload.empty()) return DecodeError::kTruncated;
  if (payload[0] != kLocalInfileHeader) return DecodeError::kUnexpectedType;
  *file_name = AsText(payload.subspan(1));
  return DecodeError::kNone;
}

DecodeError DecodeResultEnd(std::span<const uint8_t> payload, Capabilities capabilities,
                            OkPacket* out) {
  if ((capabilities & kClientDeprecateEof) != 0) {
    if (!payload.empty() && payload[0] != kEofHeader) return DecodeError::kUnexpectedType;
    return DecodeOk(payload, capabilities, out);
  }
  EofPacket eof;
  const DecodeError error = DecodeEof(payload, capabilities, &eof);
  *out = OkPacket{};
  out->header = kEofHeader;
  out->status = eof.status;
  out->warnings = eof.warnings;
  return error;
}

void EncodeOk(const OkPacket& ok, Capabilities capabilities, ByteWriter* writer) {
  const bool state = SessionStateFollows(ok, capabilities) && !ok.session_state.empty();
  ServerStatus status = ok.status;
  if (!state) status = static_cast<ServerStatus>(status & ~kStatusSessionStateChanged);
  writer->WriteU8(ok.header);
  writer->WriteLenencInt(ok.affected_rows);
  writer->WriteLenencInt(ok.last_insert_id);
  writer->WriteU16(status);
  writer->WriteU16(ok.warnings);
  if (state || !ok.info.empty()) writer->WriteLenencString(ok.info);
  if (state) writer->WriteLenencString(ok.session_state);
}

void EncodeEof(const EofPacket& eof, ByteWriter* writer) {
  writer->WriteU8(kEofHeader);
  writer->WriteU16(eof.warnings);
  // An EOF packet has no place for session state: the flag would promise some.
  writer->WriteU16(static_cast<ServerStatus>(eof.status & ~kStatusSessionStateChanged));
}

void EncodeErr(const ErrPacket& err, ByteWriter* writer) {
  writer->WriteU8(kErrHeader);
  writer->WriteU16(err.code);
  writer->WriteU8('#');
  writer->WriteText(err.sqlstate.size() == kSqlstateSize ? err.sqlstate : "HY000");
  writer->WriteText(CutMessage(err.message));
}

void EncodeErrWithoutSqlstate(uint16_t code, std::string_view message, ByteWriter* writer) {
  writer->WriteU8(kErrHeader);
  writer->WriteU16(code);
  writer->WriteText(CutMessage(message));
}

void EncodeProgressReport(const ProgressReport& report, ByteWriter* writer) {
  writer->WriteU8(kErrHeader);
  writer->WriteU16(kProgressCode);
  writer->WriteU8(1);
  writer->WriteU8(report.stage);
  writer->WriteU8(report.max_stage);
  writer->WriteU24(report.progress);
  writer->WriteLenencString(report.info);
}

void EncodeLocalInfileRequest(std::string_view file_name, ByteWriter* writer) {
  writer->WriteU8(kLocalInfileHeader);
  writer->WriteText(file_name);
}

void EncodeResultEnd(const OkPacket& end, Capabilities capabilities, ByteWriter* writer) {
  if ((capabilities & kClientDeprecateEof) != 0) {
    OkPacket ok = end;
    ok.header = kEofHeader;
    EncodeOk(ok, capabilities, writer);
  } else {
    EncodeEof({end.warnings, end.status}, writer);
  }
}

}  // namespace bulkhead::wire
