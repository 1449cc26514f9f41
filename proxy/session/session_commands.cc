// Every command but texts and prepared statements.

#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {

namespace {

using wire::Command;

std::span<const uint8_t> Arguments(std::span<const uint8_t> head) {
  return head.subspan(wire::kFrameHeaderSize + 1);
}

}  // namespace

// Commands that may be longer than the head. False: not one of them.
bool Session::OnCommandThatMayBeLong(std::span<uint8_t> head) {
  switch (request_.command) {
    case Command::kQuery:
      OnQuery(head);
      return true;
    case Command::kStmtPrepare:
      OnPrepare(head);
      return true;
    case Command::kStmtExecute:
    case Command::kMariadbStmtBulkExecute:
      OnExecute(head);
      return true;
    case Command::kStmtSendLongData:
      OnLongData(head);
      return true;
    default:
      return false;
  }
}

void Session::OnShortCommand(std::span<uint8_t> head) {
  switch (request_.command) {
    case Command::kQuit:
      FinishCommand(Outcome::kOk);
      Close();
      return;
    case Command::kPing:
      OnPing(head);
      return;
    case Command::kInitDb: {
      const std::span<const uint8_t> name = Arguments(head);
      request_.kind = sql::StatementKind::kUse;
      OnUseSchema({reinterpret_cast<const char*>(name.data()), name.size()}, head);
      return;
    }
    case Command::kFieldList:
      ForwardPlain(ResponseGrammar::kFieldList, head);
      return;
    case Command::kStatistics:
      ForwardPlain(ResponseGrammar::kStatistics, head);
      return;
    case Command::kProcessInfo:
      ForwardPlain(ResponseGrammar::kQuery, head);
      return;
    case Command::kRefresh:
    case Command::kDebug:
      ForwardPlain(ResponseGrammar::kSimple, head);
      return;
    case Command::kProcessKill:
      OnProcessKill(head);
      return;
    case Command::kSetOption:
      OnSetOption(head);
      return;
    case Command::kResetConnection:
      OnResetConnection();
      return;
    case Command::kChangeUser:
      OnChangeUser(head);
      return;
    case Command::kStmtClose:
      OnStatementClose(head);
      return;
    case Command::kStmtReset:
    case Command::kStmtFetch:
      OnStatementCommand(head);
      return;
    default:
      // Replication, cloning, COM_SHUTDOWN and what does not exist: not for a router of many
      // tenants.
      AnswerError(MakeError(wire::ClientError::kUnknownCommand));
      return;
  }
}

void Session::ForwardPlain(ResponseGrammar grammar, std::span<uint8_t> head) {
  request_.grammar = grammar;
  request_.kind = sql::StatementKind::kShow;
  sql::StatementInfo info;
  info.kind = sql::StatementKind::kShow;
  if (request_.command == Command::kFieldList) info.flags = sql::kReferencesTable;
  RouteText(info, head);
}

// Forwarded where the session keeps a connection, so that the server's wait_timeout does not take
// it; otherwise ours.
void Session::OnPing(std::span<uint8_t> head) {
  if (link_ == nullptr || pins_.empty()) {
    // Also after a transaction was lost: the next statement is told.
    AnswerOk();
    return;
  }
  wanted_ = state_vector_;
  request_.grammar = ResponseGrammar::kSimple;
  request_.kind = sql::StatementKind::kShow;
  request_.flags = sql::kReadsWarnings;  // it reads none, but it leaves the unread ones as they are
  UseLink(head);
}

// Multi-statements on or off: part of the session's state, brought to whatever connection it gets.
void Session::OnSetOption(std::span<uint8_t> head) {
  const std::span<const uint8_t> arguments = Arguments(head);
  if (arguments.size() != 2 || arguments[0] > 1 || arguments[1] != 0) {
    AnswerError(MakeError(wire::ClientError::kUnknownCommand));
    return;
  }
  state_vector_ = context_->states->WithMultiStatements(state_vector_, arguments[0] == 0);
  std::vector<uint8_t>& out = context_->scratch;
  out.clear();
  wire::PacketWriter writer(&out, static_cast<uint8_t>(request_.last_sequence + 1));
  writer.Append([&](wire::ByteWriter* packet) {
    wire::OkPacket end;
    end.header = wire::kEofHeader;
    end.status = status_;
    // MySQL warns of them.
    if (context_->server_family == ServerFamily::kMysql && arguments[0] == 0) end.warnings = 1;
    wire::EncodeResultEnd(end, login_.capabilities, packet);
  });
  shell_->SendToClient(out);
  FinishCommand(Outcome::kOk);
}

void Session::OnResetConnection() {
  // The connection is reset before anybody uses it again; the session begins anew on whichever it
  // gets.
  if (link_ != nullptr) GiveBack(ReleaseHow::kReset);
  // MySQL goes back to the server's character sets, MariaDB to those of the login.
  BeginAnew(/*server_charsets=*/context_->server_family == ServerFamily::kMysql);
  AnswerOk();
}

// As with a server, the current schema stays, and with it the tenant that it names.
void Session::BeginAnew(bool server_charsets) {
  const std::string schema = tenant_.schema();
  ForgetState();
  tenant_ = TenantBinding(schema);
  (void)tenant_.CheckLogin(*context_, login_);
  StateVector vector = *state_vector_;
  vector.schema = tenant_.PhysicalSchema(*context_);
  if (server_charsets) {
    vector.charset = {};
    vector.charset.source = CharacterSet::Source::kDefault;
  }
  state_vector_ = context_->states->Intern(std::move(vector));
}

void Session::OnProcessKill(std::span<uint8_t> head) {
  const std::span<const uint8_t> arguments = Arguments(head);
  if (arguments.size() != 4) {
    AnswerError(MakeError(wire::ClientError::kMalformedPacket));
    return;
  }
  OnKill(static_cast<uint64_t>(arguments[0]) | static_cast<uint64_t>(arguments[1]) << 8 |
             static_cast<uint64_t>(arguments[2]) << 16 | static_cast<uint64_t>(arguments[3]) << 24,
         /*query_only=*/false);
}

void Session::OnChangeUser(std::span<uint8_t> head) {
  if (changes_refused_ >= kMostRefusedChanges) {
    AnswerError(MakeError(wire::ClientError::kUnknownCommand));
    return;
  }
  if (link_ != nullptr) GiveBack(ReleaseHow::kReset);
  state_ = State::ExpectLogin;
  shell_->ChangeUser(head.subspan(wire::kFrameHeaderSize), head[3]);
}

void Session::OnUserChanged(SessionLogin login) {
  login_ = std::move(login);
  ForgetState();
  state_ = State::ExpectCommand;
}

bool Session::OnChangeUserRefused() {
  if (context_->server_family != ServerFamily::kMariadb) return false;
  ++changes_refused_;
  BeginAnew(/*server_charsets=*/true);
  state_ = State::ExpectCommand;
  return true;
}

// All that a login sets, and nothing that came after it.
void Session::ForgetState() {
  pins_.Clear();
  lost_transaction_ = false;
  lost_state_ = false;
  transaction_may_commit_ = false;
  transaction_may_be_over_ = false;
  last_insert_id_lost_ = false;
  transaction_wrote_ = false;
  transaction_unknown_tables_ = false;
  only_begun_ = false;
  begin_again_ = false;
  statements_.Clear();
  saved_.reset();
  last_insert_id_ = 0;
  row_count_ = -1;
  found_rows_.reset();
  temporary_tables_ = 0;
  temporary_tables_counted_ = true;
  tables_locked_ = false;
  locked_by_tables_only_ = true;
  named_locks_.reset();
  status_ = wire::kStatusAutocommit;
  tenant_ = TenantBinding(login_.schema);
  // Checked at login; a topology that has changed since says so with the first statement.
  (void)tenant_.CheckLogin(*context_, login_);
  state_vector_ = context_->states->AtLogin(
      login_.collation, tenant_.PhysicalSchema(*context_),
      (login_.capabilities & wire::kClientMultiStatements) != 0, login_.capabilities);
}

}  // namespace bulkhead::session
