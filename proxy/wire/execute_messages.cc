#include "proxy/wire/execute_messages.h"

#include "proxy/wire/commands.h"

namespace bulkhead::wire {
namespace {

constexpr size_t kStatementIdOffset = 1;
constexpr uint8_t kUnsignedFlag = 0x80;

bool Named(Capabilities capabilities) { return (capabilities & kClientQueryAttributes) != 0; }

// With the capability, a statement with placeholders has the count whatever its flags say.
bool CountOnWire(Capabilities capabilities, uint8_t flags, size_t prepared_parameters) {
  return Named(capabilities) &&
         (prepared_parameters != 0 || (flags & kParameterCountAvailable) != 0);
}

ParameterType ReadType(Capabilities capabilities, ByteReader* reader) {
  ParameterType type;
  type.type = static_cast<ColumnType>(reader->ReadU8());
  type.is_unsigned = (reader->ReadU8() & kUnsignedFlag) != 0;
  if (Named(capabilities)) type.name = reader->ReadLenencString();
  return type;
}

bool IsNull(std::span<const uint8_t> bitmap, size_t index) {
  return (bitmap[index / 8] >> (index % 8) & 1) != 0;
}

bool IsCommand(uint8_t byte, Command command) { return byte == static_cast<uint8_t>(command); }

DecodeError Result(const ByteReader& reader) {
  return reader.ok() ? DecodeError::kNone : DecodeError::kTruncated;
}

// Walks over `count` types; the range is of the bytes that `reader` was made of.
ByteRange SkipTypes(Capabilities capabilities, size_t count, ByteReader* reader) {
  const size_t begin = reader->offset();
  for (size_t i = 0; i < count && reader->ok(); ++i) ReadType(capabilities, reader);
  return {begin, reader->offset() - begin};
}

}  // namespace

std::string_view ReadBinaryValue(ColumnType type, ByteReader* reader) {
  switch (type) {
    case ColumnType::kNull:
      return {};
    case ColumnType::kTiny:
    case ColumnType::kBool:
      return reader->ReadFixed(1);
    case ColumnType::kShort:
    case ColumnType::kYear:
      return reader->ReadFixed(2);
    case ColumnType::kLong:
    case ColumnType::kInt24:
    case ColumnType::kFloat:
      return reader->ReadFixed(4);
    case ColumnType::kLongLong:
    case ColumnType::kDouble:
      return reader->ReadFixed(8);
    case ColumnType::kDate:
    case ColumnType::kTime:
    case ColumnType::kDatetime:
    case ColumnType::kTimestamp: {
      const std::string_view value = reader->ReadFixed(reader->ReadU8());
      if (value.size() > 12) reader->Fail();
      return value;
    }
    case ColumnType::kDecimal:
    case ColumnType::kNewDate:
    case ColumnType::kVarchar:
    case ColumnType::kBit:
    case ColumnType::kVector:
    case ColumnType::kJson:
    case ColumnType::kNewDecimal:
    case ColumnType::kEnum:
    case ColumnType::kSet:
    case ColumnType::kTinyBlob:
    case ColumnType::kMediumBlob:
    case ColumnType::kLongBlob:
    case ColumnType::kBlob:
    case ColumnType::kVarString:
    case ColumnType::kString:
    case ColumnType::kGeometry:
      return reader->ReadLenencString();
    case ColumnType::kTimestamp2:
    case ColumnType::kDatetime2:
    case ColumnType::kTime2:
    case ColumnType::kInvalid:
      break;
  }
  reader->Fail();
  return {};
}

DecodeError ReadParameterBlock(Capabilities capabilities, size_t count, ByteReader* reader,
                               std::vector<Parameter>* out) {
  if (out != nullptr) out->clear();
  if (count == 0) return DecodeError::kNone;
  if (count > kMaxParameters) return DecodeError::kLimitExceeded;
  const std::span<const uint8_t> bitmap = reader->ReadBytes((count + 7) / 8);
  const uint8_t types_bound = reader->ReadU8();
  if (!reader->ok()) return DecodeError::kTruncated;
  if (types_bound == 0) return DecodeError::kMalformed;
  ByteReader types = *reader;
  SkipTypes(capabilities, count, reader);
  if (!reader->ok()) return DecodeError::kTruncated;
  if (out != nullptr) out->reserve(count);
  for (size_t i = 0; i < count && reader->ok(); ++i) {
    Parameter parameter;
    parameter.type = ReadType(capabilities, &types);
    parameter.is_null = IsNull(bitmap, i);
    if (!parameter.is_null) parameter.value = ReadBinaryValue(parameter.type.type, reader);
    if (out != nullptr) out->push_back(parameter);
  }
  return Result(*reader);
}

DecodeError DecodeStatementExecute(std::span<const uint8_t> payload, Capabilities capabilities,
                                   size_t prepared_parameters, StatementExecute* out) {
  *out = StatementExecute{};
  ByteReader reader(payload);
  const uint8_t command = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (!IsCommand(command, Command::kStmtExecute)) return DecodeError::kUnexpectedType;
  out->statement_id = reader.ReadU32();
  out->flags = reader.ReadU8();
  out->iteration_count = reader.ReadU32();
  uint64_t count = prepared_parameters;
  out->has_count = CountOnWire(capabilities, out->flags, prepared_parameters);
  if (out->has_count) {
    count = reader.ReadLenencInt();
    if (reader.ok() && count < prepared_parameters) return DecodeError::kMalformed;
  }
  if (!reader.ok()) return DecodeError::kTruncated;
  if (count > kMaxParameters) return DecodeError::kLimitExceeded;
  out->parameter_count = static_cast<size_t>(count);
  if (count != 0) {
    out->null_bitmap = {reader.offset(), static_cast<size_t>((count + 7) / 8)};
    reader.Skip(out->null_bitmap.size);
    out->types_bound = reader.ReadU8() != 0;
    if (out->types_bound) out->types = SkipTypes(capabilities, out->parameter_count, &reader);
  }
  out->values = {reader.offset(), reader.remaining()};
  return Result(reader);
}

DecodeError DecodeStatementId(std::span<const uint8_t> payload, uint32_t* statement_id) {
  ByteReader reader(payload);
  const uint8_t command = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (!IsCommand(command, Command::kStmtExecute) &&
      !IsCommand(command, Command::kStmtSendLongData) && !IsCommand(command, Command::kStmtClose) &&
      !IsCommand(command, Command::kStmtReset) && !IsCommand(command, Command::kStmtFetch) &&
      !IsCommand(command, Command::kMariadbStmtBulkExecute)) {
    return DecodeError::kUnexpectedType;
  }
  *statement_id = reader.ReadU32();
  return Result(reader);
}

void PatchStatementId(std::span<uint8_t> payload, uint32_t statement_id) {
  for (size_t i = 0; i < sizeof(statement_id); ++i) {
    payload[kStatementIdOffset + i] = static_cast<uint8_t>(statement_id >> (8 * i));
  }
}

DecodeError DecodeParameterTypes(std::span<const uint8_t> section, Capabilities capabilities,
                                 size_t count, std::vector<ParameterType>* out) {
  out->clear();
  if (count > kMaxParameters) return DecodeError::kLimitExceeded;
  ByteReader reader(section);
  for (size_t i = 0; i < count && reader.ok(); ++i) {
    out->push_back(ReadType(capabilities, &reader));
  }
  if (!reader.ok()) return DecodeError::kTruncated;
  return reader.AtEnd() ? DecodeError::kNone : DecodeError::kMalformed;
}

DecodeError DecodeParameters(std::span<const uint8_t> payload, const StatementExecute& execute,
                             std::span<const ParameterType> types,
                             const std::function<bool(size_t)>& has_long_data,
                             std::vector<Parameter>* out) {
  out->clear();
  if (types.size() != execute.parameter_count) return DecodeError::kMalformed;
  const std::span<const uint8_t> bitmap = execute.null_bitmap.Of(payload);
  ByteReader reader(execute.values.Of(payload));
  out->reserve(types.size());
  for (size_t i = 0; i < types.size() && reader.ok(); ++i) {
    Parameter parameter;
    parameter.type = types[i];
    const bool long_data = has_long_data && has_long_data(i);
    // The servers look for long data first: the bit means nothing then.
    parameter.is_null = !long_data && IsNull(bitmap, i);
    if (!long_data && !parameter.is_null) {
      parameter.value = ReadBinaryValue(parameter.type.type, &reader);
    }
    out->push_back(parameter);
  }
  return Result(reader);
}

void RebuildStatementExecute(std::span<const uint8_t> payload, const StatementExecute& execute,
                             uint32_t statement_id, std::span<const uint8_t> types,
                             ByteWriter* writer) {
  writer->WriteU8(static_cast<uint8_t>(Command::kStmtExecute));
  writer->WriteU32(statement_id);
  writer->WriteU8(execute.flags);
  writer->WriteU32(execute.iteration_count);
  if (execute.has_count) writer->WriteLenencInt(execute.parameter_count);
  if (execute.parameter_count != 0) {
    if (execute.types_bound) types = execute.types.Of(payload);
    writer->WriteBytes(execute.null_bitmap.Of(payload));
    writer->WriteU8(types.empty() ? 0 : 1);
    writer->WriteBytes(types);
  }
  writer->WriteBytes(execute.values.Of(payload));
}

DecodeError DecodeBulkExecute(std::span<const uint8_t> payload, size_t prepared_parameters,
                              BulkExecute* out) {
  *out = BulkExecute{};
  if (prepared_parameters > kMaxParameters) return DecodeError::kLimitExceeded;
  ByteReader reader(payload);
  const uint8_t command = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (!IsCommand(command, Command::kMariadbStmtBulkExecute)) return DecodeError::kUnexpectedType;
  out->statement_id = reader.ReadU32();
  out->flags = reader.ReadU16();
  out->types_bound = (out->flags & kBulkSendTypes) != 0;
  if (out->types_bound) {
    out->types = {reader.offset(), 2 * prepared_parameters};
    reader.Skip(out->types.size);
  }
  out->rows = {reader.offset(), reader.remaining()};
  return Result(reader);
}

void RebuildBulkExecute(std::span<const uint8_t> payload, const BulkExecute& bulk,
                        uint32_t statement_id, std::span<const uint8_t> types, ByteWriter* writer) {
  if (bulk.types_bound) types = bulk.types.Of(payload);
  writer->WriteU8(static_cast<uint8_t>(Command::kMariadbStmtBulkExecute));
  writer->WriteU32(statement_id);
  writer->WriteU16(types.empty() ? bulk.flags : static_cast<uint16_t>(bulk.flags | kBulkSendTypes));
  writer->WriteBytes(types);
  writer->WriteBytes(bulk.rows.Of(payload));
}

}  // namespace bulkhead::wire
