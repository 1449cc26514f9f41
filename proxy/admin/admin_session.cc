#include "proxy/admin/admin_session.h"

#include <algorithm>
#include <utility>

#include "proxy/admin/error_state.h"
#include "proxy/admin/tables.h"
#include "proxy/wire/frame.h"

namespace bulkhead::admin {

namespace {

using wire::Command;

StatementError Malformed() { return {.code = 1835, .message = "malformed packet"}; }

bool IsSchema(std::string_view name) {
  return EqualsIgnoringCase(name, "bulkhead") || EqualsIgnoringCase(name, "information_schema");
}

}  // namespace

AdminSession::AdminSession(AdminShell* shell, AdminLogin login)
    : shell_(shell), login_(std::move(login)) {}

// --- input
// ----------------------------------------------------------------------------------------------

void AdminSession::OnBytes(std::span<const uint8_t> bytes) {
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  Pump();
}

void AdminSession::Pump() {
  while (state_ == State::ExpectCommand && !input_.empty()) {
    wire::PacketExtent extent;
    switch (wire::FindPacket(input_, kMaxPacket, &extent)) {
      case wire::FindResult::kNeedMore:
        return;
      case wire::FindResult::kPacket:
        break;
      case wire::FindResult::kTooLarge:
        sequence_ = 1;
        EndBadly(1153, "a packet of an admin statement may have 1 MiB");
        return;
      case wire::FindResult::kBadSequence:
        sequence_ = 1;
        EndBadly(1156, "packets out of order");
        return;
    }
    wire::ByteBuffer scratch;
    const std::span<const uint8_t> found = wire::PacketPayload(input_, extent, &scratch);
    const std::vector<uint8_t> payload(found.begin(), found.end());
    sequence_ = static_cast<uint8_t>(extent.last_sequence + 1);
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(extent.wire_size));
    if (extent.first_sequence != 0) {
      EndBadly(1156, "packets out of order");
      return;
    }
    OnCommand(payload);
  }
  if (input_.empty()) input_ = {};
}

void AdminSession::OnCommand(std::span<const uint8_t> payload) {
  statement_warnings_ = 0;
  if (payload.empty()) {
    SendError(Malformed());
    return;
  }
  switch (static_cast<Command>(payload[0])) {
    case Command::kQuit:
      state_ = State::Closed;
      shell_->Close();
      return;
    case Command::kPing:
      SendOk();
      return;
    case Command::kQuery: {
      wire::QueryCommand query;
      if (wire::DecodeQuery(payload, login_.capabilities, &query) != wire::DecodeError::kNone) {
        SendError(Malformed());
        return;
      }
      const bool several = (login_.capabilities & wire::kClientMultiStatements) != 0;
      BeginText(std::string(query.sql), several, false);
      return;
    }
    case Command::kInitDb:
      OnInitDb(payload);
      return;
    case Command::kFieldList:
      OnFieldList(payload);
      return;
    case Command::kStatistics:
      SendPacket([&](wire::ByteWriter* writer) { writer->WriteText(shell_->Statistics()); });
      return;
    case Command::kProcessKill: {
      uint32_t id = 0;
      if (wire::DecodeProcessKill(payload, &id) != wire::DecodeError::kNone) {
        SendError(Malformed());
        return;
      }
      BeginText("KILL " + std::to_string(id), false, false);
      return;
    }
    case Command::kShutdown:
      BeginText("SHUTDOWN", false, false);
      return;
    case Command::kSetOption:
      OnSetOption(payload);
      return;
    case Command::kResetConnection:
      ResetState();
      SendOk();
      return;
    case Command::kChangeUser:
      ResetState();
      state_ = State::ExpectLogin;
      shell_->ChangeUser(payload, static_cast<uint8_t>(sequence_ - 1));
      return;
    case Command::kStmtPrepare:
      OnPrepare(payload);
      return;
    case Command::kStmtExecute:
      OnExecute(payload);
      return;
    case Command::kStmtSendLongData:
      OnLongData(payload);
      return;
    case Command::kStmtClose: {
      uint32_t id = 0;
      if (wire::DecodeStatementClose(payload, &id) == wire::DecodeError::kNone) prepared_.erase(id);
      return;  // never answered
    }
    case Command::kStmtReset:
      OnStatementReset(payload);
      return;
    case Command::kStmtFetch:
      SendError({.code = 1421, .message = "there are no cursors here"});
      return;
    default:
      SendError({.code = 1047,
                 .message = "the admin listener does not know this command" +
                            (wire::CommandName(payload[0]).empty()
                                 ? std::string()
                                 : ": " + std::string(wire::CommandName(payload[0])))});
  }
}

// --- small commands
// -----------------------------------------------------------------------------------------

void AdminSession::OnInitDb(std::span<const uint8_t> payload) {
  std::string_view schema;
  if (wire::DecodeInitDb(payload, &schema) != wire::DecodeError::kNone) {
    SendError(Malformed());
  } else if (!IsSchema(schema)) {
    SendError({.code = 1049,
               .message = "there is no database '" + std::string(schema.substr(0, 64)) +
                          "' here, only bulkhead and information_schema"});
  } else {
    login_.schema = Lower(schema);
    SendOk();
  }
}

void AdminSession::OnFieldList(std::span<const uint8_t> payload) {
  wire::FieldListCommand command;
  if (wire::DecodeFieldList(payload, &command) != wire::DecodeError::kNone) {
    SendError(Malformed());
    return;
  }
  const Table* table = FindTable(Lower(command.table));
  if (table == nullptr) {
    SendError({.code = 1146,
               .message = "there is no table '" + std::string(command.table.substr(0, 64)) + "'"});
    return;
  }
  for (const Column& column : table->columns) {
    SendPacket([&](wire::ByteWriter* writer) {
      const ResultTable::ResultColumn shape{.name = std::string(column.name), .kind = column.kind};
      wire::ColumnDefinition definition = DefinitionOf(shape);
      definition.schema = "bulkhead";
      definition.table = definition.original_table = table->name;
      definition.original_name = definition.name;
      definition.has_default = true;
      wire::EncodeColumnDefinition(definition, login_.capabilities, writer);
    });
  }
  SendEof();
}

void AdminSession::OnSetOption(std::span<const uint8_t> payload) {
  wire::SetOption option{};
  if (wire::DecodeSetOption(payload, &option) != wire::DecodeError::kNone) {
    SendError(Malformed());
    return;
  }
  if (option == wire::SetOption::kMultiStatementsOn) {
    login_.capabilities |= wire::kClientMultiStatements;
  } else {
    login_.capabilities &= ~wire::kClientMultiStatements;
  }
  SendEof();
}

void AdminSession::ResetState() {
  prepared_.clear();
  notes_.clear();
}

void AdminSession::OnUserChanged(AdminLogin login) {
  login_ = std::move(login);
  state_ = State::ExpectCommand;
  Pump();
}

// --- packets
// ------------------------------------------------------------------------------------------------

void AdminSession::SendPacket(absl::FunctionRef<void(wire::ByteWriter*)> encode) {
  wire::ByteBuffer out;
  wire::PacketWriter packets(&out, sequence_);
  packets.Append(encode);
  sequence_ = packets.sequence();
  shell_->Send(out);
}

wire::ServerStatus AdminSession::status() const {
  return MoreFollows() ? wire::kStatusAutocommit | wire::kStatusMoreResultsExist
                       : wire::kStatusAutocommit;
}

void AdminSession::SendOk(std::string_view info) {
  SendPacket([&](wire::ByteWriter* writer) {
    wire::OkPacket ok;
    ok.status = status();
    ok.warnings = statement_warnings_;
    ok.info = info;
    wire::EncodeOk(ok, login_.capabilities, writer);
  });
}

void AdminSession::SendEof() {
  SendPacket([&](wire::ByteWriter* writer) {
    wire::OkPacket end;
    end.status = status();
    wire::EncodeResultEnd(end, login_.capabilities, writer);
  });
}

void AdminSession::SendError(const StatementError& error) {
  SendPacket([&](wire::ByteWriter* writer) {
    wire::EncodeErr({.code = error.code, .sqlstate = StateOf(error.code), .message = error.message},
                    writer);
  });
}

void AdminSession::EndBadly(uint16_t code, std::string_view message) {
  SendError({.code = code, .message = std::string(message)});
  state_ = State::Closed;
  input_ = {};
  shell_->Close();
}

// --- from outside
// ---------------------------------------------------------------------------------------------

void AdminSession::OnWritable() {
  RunOn();
  Pump();
}

bool AdminSession::BeKilled(bool query_only) {
  switch (state_) {
    case State::ExpectWork:
    case State::ExpectLayout:
      shell_->InterruptWork();
      break;
    case State::ExpectReply:
      shell_->CancelSubmitted();
      break;
    case State::Running:
      if (sender_ != nullptr && query_only) {
        sequence_ = sender_->sequence();
        sender_.reset();
        EndText();
        AnswerError({.code = 1317, .message = "the query was interrupted"});
        RunOn();
        Pump();
      }
      break;
    case State::ExpectCommand:
    case State::ExpectLogin:
    case State::Closed:
      break;
  }
  return !query_only;
}

void AdminSession::OnClientGone() {
  switch (state_) {
    case State::ExpectWork:
      shell_->InterruptWork();
      AuditStatement("the client left");
      break;
    case State::ExpectLayout:
      shell_->InterruptWork();
      break;
    case State::ExpectReply:
      shell_->CancelSubmitted();  // audited with its reply
      break;
    case State::Running:
      AuditStatement("the client left while it was answered");
      break;
    case State::ExpectCommand:
    case State::ExpectLogin:
    case State::Closed:
      break;
  }
  state_ = State::Closed;
  sender_.reset();
}

}  // namespace bulkhead::admin
