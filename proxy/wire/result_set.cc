#include "proxy/wire/result_set.h"

#include "proxy/wire/responses.h"

namespace bulkhead::wire {
namespace {

constexpr uint64_t kMaxColumns = 65535;
constexpr uint64_t kFixedFieldsSize = 12;
constexpr Capabilities kMetadataFlagBits =
    kClientOptionalResultsetMetadata | kMariadbClientCacheMetadata;

DecodeError Result(const ByteReader& reader) {
  return reader.ok() ? DecodeError::kNone : DecodeError::kTruncated;
}

}  // namespace

DecodeError DecodeExtendedMetadata(std::string_view extended_metadata, ExtendedMetadata* out) {
  *out = ExtendedMetadata{};
  ByteReader reader(AsBytes(extended_metadata));
  while (reader.ok() && !reader.AtEnd()) {
    const uint8_t kind = reader.ReadU8();
    const std::string_view value = reader.ReadLenencString();
    if (kind == 0) out->type_name = value;
    if (kind == 1) out->format_name = value;
  }
  return Result(reader);
}

DecodeError DecodeColumnCount(std::span<const uint8_t> payload, Capabilities capabilities,
                              ColumnCount* out) {
  if (payload.empty()) return DecodeError::kTruncated;
  if (payload[0] == kOkHeader || payload[0] == kLocalInfileHeader || payload[0] == kErrHeader) {
    return DecodeError::kUnexpectedType;
  }
  ByteReader reader(payload);
  out->columns = reader.ReadLenencInt();
  out->metadata_follows = true;
  if ((capabilities & kMetadataFlagBits) != 0) out->metadata_follows = reader.ReadU8() != 0;
  if (!reader.ok()) return DecodeError::kTruncated;
  if (out->columns == 0) return DecodeError::kMalformed;
  return out->columns > kMaxColumns ? DecodeError::kLimitExceeded : DecodeError::kNone;
}

void EncodeColumnCount(const ColumnCount& count, Capabilities capabilities, ByteWriter* writer) {
  writer->WriteLenencInt(count.columns);
  if ((capabilities & kMetadataFlagBits) != 0) writer->WriteU8(count.metadata_follows ? 1 : 0);
}

DecodeError DecodeColumnDefinition(std::span<const uint8_t> payload, Capabilities capabilities,
                                   ColumnDefinition* out) {
  if ((capabilities & kClientProtocol41) == 0) return DecodeError::kUnsupported;
  if (IsErr(payload)) return DecodeError::kUnexpectedType;
  ByteReader reader(payload);
  out->catalog = reader.ReadLenencString();
  out->schema = reader.ReadLenencString();
  out->table = reader.ReadLenencString();
  out->original_table = reader.ReadLenencString();
  out->name = reader.ReadLenencString();
  out->original_name = reader.ReadLenencString();
  out->extended_metadata = {};
  if ((capabilities & kMariadbClientExtendedMetadata) != 0) {
    out->extended_metadata = reader.ReadLenencString();
  }
  const uint64_t fixed_size = reader.ReadLenencInt();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (fixed_size < kFixedFieldsSize) return DecodeError::kMalformed;
  ByteReader fixed(reader.ReadBytes(fixed_size));
  out->collation = fixed.ReadU16();
  out->length = fixed.ReadU32();
  out->type = static_cast<ColumnType>(fixed.ReadU8());
  out->flags = fixed.ReadU16();
  out->decimals = fixed.ReadU8();
  out->has_default = reader.ok() && !reader.AtEnd();
  out->default_value = std::nullopt;
  if (out->has_default) out->default_value = reader.ReadCell();
  return Result(reader);
}

void EncodeColumnDefinition(const ColumnDefinition& column, Capabilities capabilities,
                            ByteWriter* writer) {
  writer->WriteLenencString(column.catalog);
  writer->WriteLenencString(column.schema);
  writer->WriteLenencString(column.table);
  writer->WriteLenencString(column.original_table);
  writer->WriteLenencString(column.name);
  writer->WriteLenencString(column.original_name);
  if ((capabilities & kMariadbClientExtendedMetadata) != 0) {
    writer->WriteLenencString(column.extended_metadata);
  }
  writer->WriteLenencInt(kFixedFieldsSize);
  writer->WriteU16(column.collation);
  writer->WriteU32(column.length);
  writer->WriteU8(static_cast<uint8_t>(column.type));
  writer->WriteU16(column.flags);
  writer->WriteU8(column.decimals);
  writer->WriteU16(0);
  if (column.has_default) writer->WriteCell(column.default_value);
}

DecodeError DecodePrepareOk(std::span<const uint8_t> payload, Capabilities capabilities,
                            PrepareOk* out) {
  ByteReader reader(payload);
  const uint8_t header = reader.ReadU8();
  if (!reader.ok()) return DecodeError::kTruncated;
  if (header != kOkHeader) return DecodeError::kUnexpectedType;
  out->statement_id = reader.ReadU32();
  out->columns = reader.ReadU16();
  out->parameters = reader.ReadU16();
  reader.Skip(1);
  out->warnings = reader.ReadU16();
  out->metadata_follows = true;
  if ((capabilities & kClientOptionalResultsetMetadata) != 0) {
    out->metadata_follows = reader.ReadU8() != 0;
  }
  return Result(reader);
}

void EncodePrepareOk(const PrepareOk& prepare_ok, Capabilities capabilities, ByteWriter* writer) {
  writer->WriteU8(kOkHeader);
  writer->WriteU32(prepare_ok.statement_id);
  writer->WriteU16(prepare_ok.columns);
  writer->WriteU16(prepare_ok.parameters);
  writer->WriteU8(0);
  writer->WriteU16(prepare_ok.warnings);
  if ((capabilities & kClientOptionalResultsetMetadata) != 0) {
    writer->WriteU8(prepare_ok.metadata_follows ? 1 : 0);
  }
}

DecodeError DecodeTextRow(std::span<const uint8_t> payload,
                          std::span<std::optional<std::string_view>> cells) {
  ByteReader reader(payload);
  for (std::optional<std::string_view>& cell : cells) cell = reader.ReadCell();
  if (!reader.ok()) return DecodeError::kTruncated;
  return reader.AtEnd() ? DecodeError::kNone : DecodeError::kMalformed;
}

void EncodeTextRow(std::span<const std::optional<std::string_view>> cells, ByteWriter* writer) {
  for (const std::optional<std::string_view>& cell : cells) writer->WriteCell(cell);
}

ColumnDefinition TextColumn(std::string_view name) {
  ColumnDefinition column;
  column.name = name;
  column.length = 4 * 16383;  // the widest VARCHAR in utf8mb4
  column.type = ColumnType::kVarString;
  return column;
}

ColumnDefinition NumberColumn(std::string_view name, bool is_unsigned) {
  ColumnDefinition column;
  column.name = name;
  column.collation = kCollationBinary;
  column.length = 20;
  column.type = ColumnType::kLongLong;
  column.flags = is_unsigned ? kColumnBinary | kColumnUnsigned : kColumnBinary;
  return column;
}

void ResultSetWriter::Begin(std::span<const ColumnDefinition> columns) {
  packets_.Append([&](ByteWriter* writer) {
    EncodeColumnCount({columns.size(), true}, capabilities_, writer);
  });
  for (const ColumnDefinition& column : columns) {
    packets_.Append(
        [&](ByteWriter* writer) { EncodeColumnDefinition(column, capabilities_, writer); });
  }
  if ((capabilities_ & kClientDeprecateEof) == 0) {
    packets_.Append([&](ByteWriter* writer) { EncodeEof({0, status_}, writer); });
  }
}

void ResultSetWriter::Row(std::span<const std::optional<std::string_view>> cells) {
  packets_.Append([&](ByteWriter* writer) { EncodeTextRow(cells, writer); });
}

void ResultSetWriter::End(uint16_t warnings) {
  OkPacket end;
  end.status = status_;
  end.warnings = warnings;
  packets_.Append([&](ByteWriter* writer) { EncodeResultEnd(end, capabilities_, writer); });
}

void ResultSetWriter::EndWithError(uint16_t code, std::string_view sqlstate,
                                   std::string_view message) {
  packets_.Append([&](ByteWriter* writer) { EncodeErr({code, sqlstate, message}, writer); });
}

}  // namespace bulkhead::wire
