#include "proxy/admin/result_sender.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "proxy/wire/responses.h"

namespace bulkhead::admin {

wire::ColumnDefinition DefinitionOf(const ResultTable::ResultColumn& column) {
  switch (column.kind) {
    case ColumnKind::kNumber:
      return wire::NumberColumn(column.name);
    case ColumnKind::kReal: {
      constexpr uint8_t kAnyNumberOfDecimals = 31;
      wire::ColumnDefinition definition = wire::NumberColumn(column.name);
      definition.type = wire::ColumnType::kDouble;
      definition.decimals = kAnyNumberOfDecimals;
      return definition;
    }
    case ColumnKind::kText:
      break;
  }
  return wire::TextColumn(column.name);
}

ResultSender::ResultSender(std::shared_ptr<const ResultTable> table, const Form& form,
                           uint8_t first_sequence)
    : table_(std::move(table)), form_(form), sequence_(first_sequence) {}

bool ResultSender::Write(size_t most, wire::ByteBuffer* out) {
  const size_t end = out->size() + most;
  wire::PacketWriter packets(out, sequence_);
  if (!std::exchange(head_written_, true)) WriteHead(&packets);
  while (row_ < table_->rows() && out->size() < end) WriteRow(row_++, &packets);
  const bool all = row_ == table_->rows();
  if (all) {
    packets.Append([&](wire::ByteWriter* writer) {
      wire::OkPacket ok;
      ok.status = form_.status;
      ok.warnings = form_.warnings;
      wire::EncodeResultEnd(ok, form_.capabilities, writer);
    });
  }
  sequence_ = packets.sequence();
  return all;
}

void ResultSender::WriteHead(wire::PacketWriter* packets) const {
  packets->Append([&](wire::ByteWriter* writer) {
    wire::EncodeColumnCount({.columns = table_->columns.size()}, form_.capabilities, writer);
  });
  for (const ResultTable::ResultColumn& column : table_->columns) {
    packets->Append([&](wire::ByteWriter* writer) {
      wire::EncodeColumnDefinition(DefinitionOf(column), form_.capabilities, writer);
    });
  }
  if ((form_.capabilities & wire::kClientDeprecateEof) != 0) return;
  packets->Append([&](wire::ByteWriter* writer) {
    wire::EncodeEof({.warnings = form_.warnings, .status = form_.status}, writer);
  });
}

void ResultSender::WriteRow(size_t row, wire::PacketWriter* packets) const {
  packets->Append([&](wire::ByteWriter* writer) {
    if (form_.binary) {
      WriteBinaryRow(row, writer);
    } else {
      WriteTextRow(row, writer);
    }
  });
}

void ResultSender::WriteTextRow(size_t row, wire::ByteWriter* writer) const {
  for (size_t i = 0; i < table_->columns.size(); ++i) writer->WriteCell(table_->Cell(row, i));
}

void ResultSender::WriteBinaryRow(size_t row, wire::ByteWriter* writer) const {
  constexpr size_t kFirstBit = 2;
  const size_t columns = table_->columns.size();
  writer->WriteU8(0);
  std::vector<uint8_t> nulls((columns + kFirstBit + 7) / 8);
  for (size_t i = 0; i < columns; ++i) {
    const size_t bit = i + kFirstBit;
    if (!table_->Cell(row, i).has_value())
      nulls[bit / 8] = static_cast<uint8_t>(nulls[bit / 8] | 1u << (bit % 8));
  }
  writer->WriteBytes(nulls);
  for (size_t i = 0; i < columns; ++i) {
    const std::optional<std::string_view> cell = table_->Cell(row, i);
    if (!cell.has_value()) continue;
    switch (table_->columns[i].kind) {
      case ColumnKind::kText:
        writer->WriteLenencString(*cell);
        break;
      case ColumnKind::kNumber:
        writer->WriteU64(
            static_cast<uint64_t>(std::strtoll(std::string(*cell).c_str(), nullptr, 10)));
        break;
      case ColumnKind::kReal: {
        const double value = std::strtod(std::string(*cell).c_str(), nullptr);
        uint64_t bits = 0;
        std::memcpy(&bits, &value, sizeof bits);
        writer->WriteU64(bits);
        break;
      }
    }
  }
}

}  // namespace bulkhead::admin
