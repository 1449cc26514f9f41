// Prepared statements: the client's ids and types are put into the words of whichever connection it
// has now.

#include <algorithm>
#include <utility>

#include "proxy/session/session.h"
#include "proxy/session/state_text.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/execute_messages.h"

namespace bulkhead::session {

namespace {

using wire::Command;
using wire::DecodeError;

// What servers call a command in their message about an id that they don't know.
std::string ServersNameOf(Command command, ServerFamily family) {
  if (family == ServerFamily::kMysql) return "mysql_stmt_precheck";
  switch (command) {
    case Command::kStmtReset:
      return "mysqld_stmt_reset";
    case Command::kStmtFetch:
      return "mysqld_stmt_fetch";
    default:
      return "mysqld_stmt_execute";
  }
}

// Means the same in every character set that a client may have.
bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::span<uint8_t> Payload(std::span<uint8_t> head) { return head.subspan(wire::kFrameHeaderSize); }

}  // namespace

ClientStatement* Session::FindStatement(std::span<uint8_t> head) {
  uint32_t id = 0;
  if (wire::DecodeStatementId(Payload(head), &id) != DecodeError::kNone) {
    // Has no answer; MariaDB, too, takes no notice of one that names no statement.
    if (request_.command == Command::kStmtSendLongData) return nullptr;
    if (context_->server_family == ServerFamily::kMysql) {
      AnswerError(
          MakeError(wire::ClientError::kMalformedPacket, "Malformed communication packet."));
    } else {
      AnswerErrorAndClose(MakeError(wire::ClientError::kMalformedPacket));
    }
    return nullptr;
  }
  ClientStatement* statement = statements_.Find(id);
  if (statement == nullptr) {
    if (request_.command == Command::kStmtSendLongData) return nullptr;  // has no answer
    AnswerError(MakeError(wire::ClientError::kUnknownStatementHandler,
                          "Unknown prepared statement handler (" + std::to_string(id) +
                              ") given to " +
                              ServersNameOf(request_.command, context_->server_family)));
    return nullptr;
  }
  request_.statement_id = statement->id;
  return statement;
}

ClientStatement* Session::CurrentStatement() {
  return request_.statement_id == 0 ? nullptr : statements_.Find(request_.statement_id);
}

ServerStatements::Entry* Session::OnServer(const ClientStatement& statement) {
  return link_->statements.Find(statement.text, statement.prepared_in, statement.private_id());
}

void Session::OnPrepare(std::span<uint8_t> head) {
  const std::span<uint8_t> payload = Payload(head);
  const std::string_view text(reinterpret_cast<const char*>(payload.data()) + 1,
                              payload.size() - 1);
  if (statements_.full()) {
    AnswerError(MakeError(wire::ClientError::kTooManyStatements));
    return;
  }
  if (request_.more_frames || text.size() + request_.rest_of_frame >
                                  ClientStatements::kMaxTextBytes - statements_.text_bytes()) {
    // It is kept whole, to be prepared again elsewhere.
    AnswerErrorAndClose(MakeError(wire::ClientError::kPacketTooLarge));
    return;
  }
  const sql::StatementInfo info = sql::Analyze(text, lexer_mode(), IsLong());
  if (info.kind == sql::StatementKind::kKill) {
    AnswerError(MakeError(wire::ClientError::kNotSupportedYet, kKillAlone));
    return;
  }
  request_.grammar = ResponseGrammar::kPrepare;
  request_.kind = sql::StatementKind::kShow;  // preparing executes nothing
  effects_ = std::make_unique<Effects>();
  effects_->text = text;
  RouteText(info, head);
}

void Session::FinishPrepare() {
  const std::string text = std::move(effects_->text);
  effects_.reset();
  if (!tracker_.ok()) {
    statements_.NoteFailedPrepare();
    return;
  }
  ClientStatement made;
  made.text = context_->texts->Intern(text, lexer_mode());
  made.prepared_in = wanted_;
  made.parameter_count = tracker_.parameter_count();
  made.column_count = tracker_.column_count();
  made.metadata_hash = tracker_.metadata_hash();
  const ClientStatement* statement = statements_.Add(std::move(made));
  link_->statements.set_limit(context_->max_server_statements);
  CloseOnServer(link_->statements.Insert(statement->text, statement->prepared_in,
                                         tracker_.statement_id(), statement->private_id(),
                                         statement->metadata_hash));
}

void Session::CloseOnServer(const std::vector<uint32_t>& server_ids) {
  CloseOnServerOf(link_, server_ids);
}

void Session::CloseOnServerOf(BackendLink* link, const std::vector<uint32_t>& server_ids) {
  std::vector<uint8_t> packets;
  for (const uint32_t id : server_ids) {
    wire::PacketWriter writer(&packets, 0);
    writer.Append([id](wire::ByteWriter* out) { wire::EncodeStatementClose(id, out); });
  }
  if (!packets.empty()) link->Send(packets);
}

// The statement is one that this session prepared, but the server behind this connection may not
// know it, or would not tell the client which columns it has now.
bool Session::NeedsPrepare() {
  const ClientStatement* statement = CurrentStatement();
  if (statement == nullptr) return false;
  const ServerStatements::Entry* entry = OnServer(*statement);
  if (entry == nullptr) return true;
  return HidesNewColumns(*statement, *entry) && IsAscii(statement->text->sql());
}

// With MariaDB's metadata cache a server describes the columns of an answer only where they are not
// those it has told before: at this connection's preparation, which this client has not seen.
bool Session::HidesNewColumns(const ClientStatement& statement,
                              const ServerStatements::Entry& entry) const {
  return (link_->capabilities & wire::kMariadbClientCacheMetadata) != 0 &&
         entry.metadata_hash != statement.metadata_hash && !entry.resends_columns;
}

// The state to prepare the statement in: the one that the client had. Where the columns must be
// told again with the next answer, character_set_client is another one meanwhile: servers tell them
// again when it has changed since (MariaDB's sql/sql_base.cc and sql/protocol.cc,
// column_info_state).
StateVectorPtr Session::PrepareIn(const ClientStatement& statement) {
  const ServerStatements::Entry* entry = OnServer(statement);
  if (entry == nullptr) return statement.prepared_in;
  StateVector vector = *statement.prepared_in;
  const std::string now = ClientCharset(vector, context_->server_family);
  SetEntry(&vector.charset.single, kCharacterSetClient, now == "latin1" ? "utf8mb4" : "latin1");
  return context_->states->Intern(std::move(vector));
}

void Session::RememberPrepared(const LinkErrand::Answer& answer) {
  const ClientStatement* statement = CurrentStatement();
  if (statement == nullptr) return;
  const bool again = OnServer(*statement) != nullptr;
  link_->statements.set_limit(context_->max_server_statements);
  CloseOnServer(link_->statements.Insert(statement->text, statement->prepared_in,
                                         answer.statement_id, statement->private_id(),
                                         answer.metadata_hash));
  OnServer(*statement)->resends_columns = again;
}

void Session::OnExecute(std::span<uint8_t> head) {
  ClientStatement* statement = FindStatement(head);
  if (statement == nullptr) return;
  request_.grammar = ResponseGrammar::kExecute;
  const sql::StatementInfo& info = statement->text->info;
  request_.kind = info.kind;
  request_.flags = info.flags;
  if (lost_transaction_ && std::exchange(statement->refused_data, nullptr) != nullptr)
    ForgetLongData(statement);
  if (statement->refused_data != nullptr) {
    const std::unique_ptr<RouterError> error = std::move(statement->refused_data);
    ForgetLongData(statement);
    AnswerError(*error, Outcome::kRefused);
    KeepOrGiveBack();
    return;
  }
  if (statement->text->sets_tenant) {
    ExecuteTenantAssignment(statement, info, head);
    return;
  }
  if (AsksForCursor(Payload(head))) statement->wants_own = true;
  CollectEffects(info, statement->text->sql());
  RouteText(info, head);
}

// SET @tenant = ?
void Session::ExecuteTenantAssignment(ClientStatement* statement, const sql::StatementInfo& info,
                                      std::span<uint8_t> head) {
  wire::StatementExecute execute;
  std::vector<wire::ParameterType> types;
  std::vector<wire::Parameter> values;
  const std::span<const uint8_t> payload = Payload(head);
  bool understood =
      info.assignments.size() == 1 && statement->parameter_count == 1 && !IsLong() &&
      wire::DecodeStatementExecute(payload, login_.capabilities, 1, &execute) == DecodeError::kNone;
  if (understood && execute.types_bound) {
    understood = wire::DecodeParameterTypes(execute.types.Of(payload), login_.capabilities, 1,
                                            &types) == DecodeError::kNone;
    const std::span<const uint8_t> section = execute.types.Of(payload);
    if (understood) statement->types.assign(section.begin(), section.end());
  } else if (understood) {
    understood = wire::DecodeParameterTypes(statement->types, login_.capabilities, 1, &types) ==
                 DecodeError::kNone;
  }
  understood =
      understood && types.size() == 1 &&
      wire::DecodeParameters(
          payload, execute, types, [](size_t) { return false; }, &values) == DecodeError::kNone;
  if (!understood) {
    AnswerError(MakeError(wire::ClientError::kTenantChangeRefused,
                          "@tenant takes one string, alone in its statement"));
    return;
  }
  ChangeTenant(values[0].is_null ? std::string() : std::string(values[0].value));
}

void Session::OnLongData(std::span<uint8_t> head) {
  ClientStatement* statement = FindStatement(head);
  if (statement == nullptr) {
    AnswerError(MakeError(wire::ClientError::kUnknownStatementHandler));  // which says nothing
    return;
  }
  if (statement->refused_data != nullptr) {
    // The rest of what was refused.
    AnswerError(RouterError(*statement->refused_data), Outcome::kRefused);
    return;
  }
  request_.grammar = ResponseGrammar::kNone;
  request_.kind = sql::StatementKind::kShow;
  statement->wants_own = true;
  statement->long_data = true;
  request_.pin_before = Pin::kLongData;
  RouteText(statement->text->info, head);
}

void Session::OnStatementCommand(std::span<uint8_t> head) {
  ClientStatement* statement = FindStatement(head);
  if (statement == nullptr) return;
  if (request_.command == Command::kStmtReset) statement->refused_data.reset();
  if (request_.command == Command::kStmtReset && !statement->long_data && !statement->cursor_open) {
    AnswerOk();
    return;
  }
  request_.grammar =
      request_.command == Command::kStmtFetch ? ResponseGrammar::kFetch : ResponseGrammar::kSimple;
  request_.kind = sql::StatementKind::kShow;
  RouteText(statement->text->info, head);
}

// Has no answer. The server's statement stays for the next session with the same text, unless it
// holds state.
void Session::OnStatementClose(std::span<uint8_t> head) {
  uint32_t id = 0;
  if (wire::DecodeStatementClose(Payload(head), &id) != DecodeError::kNone) return;
  ClientStatement* statement = statements_.Find(id);
  if (statement == nullptr) return;
  if (link_ != nullptr && statement->wants_own && link_->use == BackendLink::Use::kLent) {
    CloseOnServer(link_->statements.TakePrivate(statement->private_id()));
  }
  (void)statements_.Remove(statement->id);
  const bool was_pinned = !pins_.empty();
  UpdateStatementPins();
  if (was_pinned) KeepOrGiveBack();
}

// The server has a part of its data perhaps: with the server's statement it goes.
void Session::ForgetLongData(ClientStatement* statement) {
  if (!std::exchange(statement->long_data, false)) return;
  if (link_ != nullptr && statement->wants_own && link_->use == BackendLink::Use::kLent)
    CloseOnServer(link_->statements.TakePrivate(statement->private_id()));
  UpdateStatementPins();
}

void Session::UpdateStatementPins() {
  if (pins_.Has(Pin::kLongData) && !statements_.AnyLongData()) pins_.Remove(Pin::kLongData);
  if (statements_.AnyCursor()) {
    pins_.Add(Pin::kCursor);
  } else {
    pins_.Remove(Pin::kCursor);
  }
}

// Sends the head of the command, in the words of this connection. False: answered with an error
// instead.
bool Session::SendHead(std::span<uint8_t> head) {
  ClientStatement* statement = CurrentStatement();
  if (statement == nullptr) {
    link_->Send(head);
    return true;
  }
  ServerStatements::Entry* server = OnServer(*statement);
  if (request_.grammar == ResponseGrammar::kExecute) return SendExecute(statement, server, head);
  wire::PatchStatementId(Payload(head), server->server_id);
  link_->Send(head);
  return true;
}

bool Session::SendExecute(ClientStatement* statement, ServerStatements::Entry* server,
                          std::span<uint8_t> head) {
  if (HidesNewColumns(*statement, *server)) {
    AnswerError(MakeError(wire::ClientError::kNeedReprepare));
    KeepOrGiveBack();
    return false;
  }
  std::vector<uint8_t> rebuilt(head.begin(), head.begin() + wire::kFrameHeaderSize);
  switch (RewriteExecute(Payload(head), login_.capabilities, statement, server, &rebuilt)) {
    case ExecuteRewrite::kInPlace:
      link_->Send(head);
      return true;
    case ExecuteRewrite::kRebuilt:
      return SendRebuilt(head, rebuilt);
    case ExecuteRewrite::kNoTypes:
      AnswerError(MakeError(wire::ClientError::kWrongArguments,
                            "Incorrect arguments to mysqld_stmt_execute"));
      break;
    case ExecuteRewrite::kMalformed:
      // Each family's own word for it.
      if (context_->server_family == ServerFamily::kMariadb) {
        AnswerError(MakeError(wire::ClientError::kWrongArguments,
                              "Incorrect arguments to mysqld_stmt_execute"));
      } else {
        AnswerError(
            MakeError(wire::ClientError::kMalformedPacket, "Malformed communication packet."));
      }
      break;
  }
  KeepOrGiveBack();
  return false;
}

bool Session::SendRebuilt(std::span<uint8_t> head, std::span<const uint8_t> rebuilt) {
  const wire::FrameHeader header = wire::LoadFrameHeader(head.data());
  const size_t length = header.payload_size + rebuilt.size() - head.size();
  if (request_.more_frames || length >= wire::kMaxFramePayload) {
    // All frames behind it would have to be cut anew. Drivers send their types along with values of
    // this size.
    AnswerError(MakeError(wire::ClientError::kHoldQueueFull,
                          "an execute of 16 MiB must bring its parameter types with it"));
    KeepOrGiveBack();
    return false;
  }
  std::vector<uint8_t> packet(rebuilt.begin(), rebuilt.end());
  wire::StoreFrameHeader({.payload_size = static_cast<uint32_t>(length), .sequence = 0},
                         packet.data());
  link_->Send(packet);
  return true;
}

// What the client, and what the server for its next answers, takes to be known of the columns.
void Session::NoteColumns(ClientStatement* statement, ServerStatements::Entry* server) const {
  const bool resent = std::exchange(server->resends_columns, false);
  if (tracker_.columns_told() && tracker_.results() > 0) {
    server->metadata_hash = statement->metadata_hash = tracker_.metadata_hash();
  } else if (resent && tracker_.ok()) {
    statement->metadata_hash = server->metadata_hash;  // it has no columns now
  }
}

void Session::FinishExecute() {
  ClientStatement* statement = CurrentStatement();
  if (statement == nullptr) return;
  switch (request_.command) {
    case Command::kStmtExecute:
    case Command::kMariadbStmtBulkExecute:
      statement->long_data = false;
      statement->cursor_open = tracker_.cursor_opened();
      if (ServerStatements::Entry* server = OnServer(*statement); server != nullptr) {
        if (!tracker_.ok()) server->types.clear();
        NoteColumns(statement, server);
      }
      break;
    case Command::kStmtFetch:
      if (tracker_.ok() && (tracker_.status() & wire::kStatusLastRowSent) != 0)
        statement->cursor_open = false;
      break;
    case Command::kStmtReset:
      statement->long_data = false;
      statement->cursor_open = false;
      break;
    default:
      break;
  }
  UpdateStatementPins();
}

}  // namespace bulkhead::session
