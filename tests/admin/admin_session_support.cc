#include "tests/admin/admin_session_support.h"

#include <cstring>

#include "proxy/wire/byte_reader.h"

namespace bulkhead::admin {

namespace {

using Lines = std::vector<std::string>;

std::string OkLine(const wire::OkPacket& ok, const char* word) {
  std::string line = word;
  if (!ok.info.empty()) line += " " + std::string(ok.info);
  if (ok.warnings > 0) line += " warnings=" + std::to_string(ok.warnings);
  if ((ok.status & wire::kStatusMoreResultsExist) != 0) line += " more";
  return line;
}

class AnswerReader {
 public:
  AnswerReader(const std::vector<uint8_t>& bytes, wire::Capabilities capabilities, Awaits awaits)
      : rest_(bytes), capabilities_(capabilities), awaits_(awaits) {}

  Lines Run() {
    while (Next()) One();
    return lines_;
  }

 private:
  using Bytes = std::span<const uint8_t>;

  // The next packet, in order.
  bool Next() {
    wire::PacketExtent extent;
    if (wire::FindPacket(rest_, SIZE_MAX, &extent) != wire::FindResult::kPacket) {
      if (!rest_.empty()) lines_.push_back("half a packet");
      return false;
    }
    packet_ = wire::PacketPayload(rest_, extent, &scratch_);
    if (extent.first_sequence != sequence_)
      lines_.push_back("sequence " + std::to_string(extent.first_sequence) + " instead of " +
                       std::to_string(sequence_));
    sequence_ = static_cast<uint8_t>(extent.last_sequence + 1);
    rest_ = rest_.subspan(extent.wire_size);
    return true;
  }

  void One() {
    if (awaits_ == Awaits::kText) {
      lines_.emplace_back(wire::AsText(packet_));
    } else if (wire::IsProgressReport(packet_)) {
      wire::ProgressReport report;
      (void)wire::DecodeProgressReport(packet_, &report);
      lines_.push_back("progress " + std::to_string(report.progress) + " " +
                       std::string(report.info));
    } else if (wire::IsErr(packet_)) {
      AddError();
    } else if (awaits_ == Awaits::kPrepare) {
      Prepared();
    } else if (awaits_ == Awaits::kFields) {
      Fields();
    } else if (packet_[0] == wire::kOkHeader) {
      wire::OkPacket ok;
      (void)wire::DecodeOk(packet_, capabilities_, &ok);
      lines_.push_back(OkLine(ok, "ok"));
    } else if (packet_[0] == wire::kEofHeader && packet_.size() < 9) {
      AddEnd();
    } else {
      Table();
    }
  }

  void AddError() {
    wire::ErrPacket error;
    (void)wire::DecodeErr(packet_, &error);
    lines_.push_back("error " + std::to_string(error.code) + " " + std::string(error.sqlstate) +
                     " " + std::string(error.message));
  }
  void AddEnd() {
    wire::OkPacket end;
    (void)wire::DecodeResultEnd(packet_, capabilities_, &end);
    lines_.push_back(OkLine(end, "end"));
  }
  bool OldEnd() const { return (capabilities_ & wire::kClientDeprecateEof) == 0; }

  std::string ColumnWords() {
    wire::ColumnDefinition column;
    (void)wire::DecodeColumnDefinition(packet_, capabilities_, &column);
    types_.push_back(column.type);
    return std::string(column.name);
  }

  void Table() {
    wire::ColumnCount count;
    (void)wire::DecodeColumnCount(packet_, capabilities_, &count);
    std::string head = "columns";
    types_.clear();
    for (uint64_t i = 0; i < count.columns && Next(); ++i) head += " " + ColumnWords();
    lines_.push_back(head);
    if (OldEnd() && !Next()) return;
    while (Next()) {
      if (wire::IsErr(packet_)) return AddError();
      if (wire::EndsRows(packet_[0], static_cast<uint32_t>(packet_.size()), capabilities_))
        return AddEnd();
      lines_.push_back("row " + (awaits_ == Awaits::kBinary ? BinaryRow() : TextRow()));
    }
    lines_.push_back("...");
  }

  std::string TextRow() {
    std::vector<std::optional<std::string_view>> cells(types_.size());
    if (wire::DecodeTextRow(packet_, cells) != wire::DecodeError::kNone) return "malformed";
    std::string row;
    for (const auto& cell : cells)
      row += (row.empty() ? "" : "|") + std::string(cell.value_or("NULL"));
    return row;
  }

  std::string BinaryRow() {
    wire::ByteReader reader(packet_);
    std::string row = reader.ReadU8() == 0 ? "" : "malformed ";
    const auto nulls = reader.ReadBytes((types_.size() + 9) / 8);
    for (size_t i = 0; i < types_.size(); ++i) {
      if (i > 0) row += "|";
      if ((nulls[(i + 2) / 8] >> ((i + 2) % 8) & 1) != 0) {
        row += "NULL";
      } else if (types_[i] == wire::ColumnType::kLongLong) {
        row += std::to_string(static_cast<int64_t>(reader.ReadU64()));
      } else if (types_[i] == wire::ColumnType::kDouble) {
        const uint64_t bits = reader.ReadU64();
        double value = 0;
        std::memcpy(&value, &bits, sizeof value);
        row += std::to_string(value);
      } else {
        row += reader.ReadLenencString();
      }
    }
    return reader.ok() && reader.AtEnd() ? row : row + " malformed";
  }

  void Prepared() {
    wire::PrepareOk ok;
    (void)wire::DecodePrepareOk(packet_, capabilities_, &ok);
    std::string line = "prepared " + std::to_string(ok.statement_id) + " parameters " +
                       std::to_string(ok.parameters) + " columns";
    for (int i = 0; i < ok.parameters && Next(); ++i) {
    }
    if (ok.parameters > 0 && OldEnd()) (void)Next();
    for (int i = 0; i < ok.columns && Next(); ++i) line += " " + ColumnWords();
    if (ok.columns > 0 && OldEnd()) (void)Next();
    lines_.push_back(line);
  }

  void Fields() {
    std::string line = "fields";
    do {
      if (packet_[0] == wire::kEofHeader) break;
      line += " " + ColumnWords();
    } while (Next());
    lines_.push_back(line);
  }

  Bytes rest_;
  const wire::Capabilities capabilities_;
  const Awaits awaits_;
  uint8_t sequence_ = 1;
  Bytes packet_;
  wire::ByteBuffer scratch_;
  std::vector<wire::ColumnType> types_;
  Lines lines_;
};

}  // namespace

void SessionHarness::SendPacket(std::span<const uint8_t> payload, uint8_t sequence) {
  wire::ByteBuffer bytes;
  wire::PacketWriter(&bytes, sequence).Write(payload);
  session.OnBytes(bytes);
}

void SessionHarness::Start(wire::Command command, std::string_view body) {
  std::vector<uint8_t> payload = {static_cast<uint8_t>(command)};
  payload.insert(payload.end(), body.begin(), body.end());
  SendPacket(payload);
}

void SessionHarness::DoWork() {
  while (shell.work != nullptr) {
    const std::shared_ptr<SqlWork> work = std::move(shell.work);
    shell.work = nullptr;
    runner.Rearm();
    runner.Do(work.get());
    session.OnWorkDone(*work);
  }
}

std::vector<std::string> SessionHarness::Read(Awaits awaits) {
  const std::vector<uint8_t> bytes = std::move(shell.sent);
  shell.sent.clear();
  return AnswerReader(bytes, capabilities_, awaits).Run();
}

std::vector<std::string> SessionHarness::Ask(wire::Command command, std::string_view body,
                                             Awaits awaits) {
  Start(command, body);
  DoWork();
  return Read(awaits);
}

void SessionHarness::Reply(bool ok, uint16_t code, std::string message) {
  control::OperatorReply reply;
  reply.ok = ok;
  reply.code = code;
  reply.message = std::move(message);
  session.OnReply(reply);
}

}  // namespace bulkhead::admin
