// The server's answer on its way to the client, and what it tells about the session.

#include <algorithm>
#include <iterator>
#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

namespace {

// Option prevents the statement, read-only transaction, read-only mode (MariaDB and MySQL error
// references).
// Errors of which it is certain that the transaction goes on after them: no such column, duplicate
// key, syntax, no such table and the like. A deadlock (1213), a lock wait timeout (1205, with
// innodb_rollback_on_timeout), a full lock table (1206) and others may have ended it.
bool EndsStatementOnly(uint16_t code) {
  constexpr uint16_t kHarmless[] = {1048, 1054, 1062, 1064, 1146, 1216, 1217, 1264, 1265,
                                    1292, 1364, 1366, 1406, 1451, 1452, 1525, 1690, 4025};
  return std::binary_search(std::begin(kHarmless), std::end(kHarmless), code);
}

bool IsReadOnlyError(uint16_t code) { return code == 1290 || code == 1792 || code == 1836; }

}  // namespace

void Session::OnBackendBytes(std::span<uint8_t> bytes) {
  switch (state_) {
    case State::ExpectRestore:
      OnRestoreBytes(bytes);
      return;
    case State::ExpectRequestRest:
    case State::ExpectResponse:
    case State::ExpectLocalData:
      OnResponseBytes(bytes);
      return;
    case State::ExpectCommand:
    case State::ExpectGate:
    case State::ExpectDiscard:
    case State::ExpectLink:
    case State::ExpectKill:
    case State::ExpectLogin:
      // A server says something unasked only when it closes the connection (4031, 1927, 1053):
      // treat it as closed.
      OnUnexpectedBytes();
      return;
    case State::Closed:
      return;
  }
}

void Session::OnUnexpectedBytes() {
  BackendLink* link = std::exchange(link_, nullptr);
  NoteUnreadLost(link);
  NoteLossBetweenCommands();
  if (link != nullptr) shell_->Release(link, ReleaseHow::kClose);
  if (state_ == State::ExpectGate) AnswerWaitingLoss();
}

void Session::OnResponseBytes(std::span<uint8_t> bytes) {
  const ResponseTracker::Result result = tracker_.Feed(bytes);
  if (result.consumed > 0) {
    request_.forwarded = true;
    if (shift_ != nullptr) shift_->Apply(bytes.first(result.consumed));
    shell_->SendToClient(bytes.first(result.consumed));
    if (state_ == State::Closed) return;
  }
  switch (result.progress) {
    case ResponseTracker::Progress::kMore:
      return;
    case ResponseTracker::Progress::kLocalInfileRequest:
      request_.rest_of_frame = 0;
      request_.last_sequence = ClientSequence(tracker_.next_sequence());  // of the request for it
      state_ = State::ExpectLocalData;
      shell_->ClientBytesWanted();
      return;
    case ResponseTracker::Progress::kProtocolError: {
      if (tracker_.said_before_request() && state_ == State::ExpectResponse &&
          !request_.forwarded) {
        AnswerGoodbye();
        return;
      }
      BackendLink* link = std::exchange(link_, nullptr);
      NoteUnreadLost(link);
      shell_->Release(link, ReleaseHow::kClose);
      AnswerLostStatement(link, /*known_dead=*/false);
      return;
    }
    case ResponseTracker::Progress::kDone:
      break;
  }
  if (result.consumed < bytes.size() || state_ != State::ExpectResponse) {
    // More than the answer, or an answer to a request that is still being sent: this connection is
    // of no use any more. A direct connection would be closed by the server at this point (a packet
    // larger than max_allowed_packet).
    const bool unfinished_request = state_ != State::ExpectResponse;
    BackendLink* link = std::exchange(link_, nullptr);
    NoteUnreadLost(link);
    NoteLossBetweenCommands();
    shell_->Release(link, ReleaseHow::kClose);
    FinishCommand(tracker_.ok() ? Outcome::kOk : Outcome::kServerError);
    if (unfinished_request) Close();
    return;
  }
  FinishResponse();
}

// The server closed the connection as the request came, and had not read it: nothing of it was
// executed. The client is told what the server said, as by a direct connection.
void Session::AnswerGoodbye() {
  const RouterError said{.code = tracker_.error_code(),
                         .sqlstate = std::string(tracker_.sqlstate()),
                         .message = std::string(tracker_.error_message())};
  if (request_.pin_is_new && request_.pin_before.has_value()) pins_.Remove(*request_.pin_before);
  if (request_.grammar == ResponseGrammar::kPrepare) statements_.NoteFailedPrepare();
  BackendLink* link = std::exchange(link_, nullptr);
  NoteUnreadLost(link);
  NoteLossBetweenCommands();
  shell_->Release(link, ReleaseHow::kClose);
  AnswerError(said, Outcome::kServerError);
}

uint8_t Session::ClientSequence(uint8_t next_of_server) const {
  const int shift = shift_ == nullptr ? 0 : shift_->by();
  return static_cast<uint8_t>(next_of_server - 1 + shift);
}

void Session::FinishResponse() {
  const bool ok = tracker_.ok();
  // Again: what was looked at while it ran was too early.
  if (request_.may_make_tables) shell_->NoteDdl(link_->backend);
  ApplyStatus();
  const bool wrote =
      request_.kind == sql::StatementKind::kDml || request_.kind == sql::StatementKind::kCommit;
  link_->EndExchange(/*committed=*/ok && wrote && !InTransaction());
  if (!ok && IsReadOnlyError(tracker_.error_code())) link_->NoteReadOnly();
  only_begun_ = ok && request_.kind == sql::StatementKind::kBegin && InTransaction() &&
                request_.statement_id == 0 && !begin_text_.empty();
  NoteDiagnostics();
  if (request_.grammar == ResponseGrammar::kPrepare) FinishPrepare();
  if (request_.statement_id != 0) FinishExecute();
  if (!ok && request_.pin_is_new) UnpinWhatDidNotRun();
  if (effects_ != nullptr) ApplyEffects();
  if (request_.kind == sql::StatementKind::kCommit ||
      request_.kind == sql::StatementKind::kRollback) {
    pins_.Remove(Pin::kOneShot);
  }
  FinishCommand(ok ? Outcome::kOk : Outcome::kServerError);
  KeepOrGiveBack();
}

// EXECUTE of a name that nobody prepared, and what the server could not parse, have left nothing
// behind.
void Session::UnpinWhatDidNotRun() {
  constexpr uint16_t kUnknownStatement = 1243;
  constexpr uint16_t kSyntaxError = 1064;
  if ((request_.flags & sql::kMultiStatement) != 0 && request_.kind != sql::StatementKind::kOther)
    return;
  const bool nothing_ran = (request_.kind == sql::StatementKind::kExecuteText &&
                            tracker_.error_code() == kUnknownStatement) ||
                           (request_.kind == sql::StatementKind::kOther &&
                            tracker_.error_code() == kSyntaxError && tracker_.results() == 0);
  if (nothing_ran) pins_.Remove(*request_.pin_before);
}

void Session::ApplyStatus() {
  constexpr uint16_t kLasting = wire::kStatusInTransaction | wire::kStatusAutocommit |
                                wire::kStatusNoBackslashEscapes |
                                wire::kStatusInTransactionReadOnly;
  if (!tracker_.ok()) {
    // ERR carries no status: the transaction stays as it was known until a status comes.
    link_->unread.status = true;
    if (!EndsStatementOnly(tracker_.error_code())) transaction_may_be_over_ = true;
    return;
  }
  if (!tracker_.status_seen()) return;  // COM_STATISTICS, COM_STMT_PREPARE
  link_->unread.status = false;
  transaction_may_be_over_ = false;
  link_->status = tracker_.status();
  status_ = static_cast<uint16_t>(tracker_.status() & kLasting);
  if ((status_ & wire::kStatusInTransaction) != 0) {
    pins_.Add(Pin::kTransaction);
  } else {
    pins_.Remove(Pin::kTransaction);
    transaction_may_commit_ = false;
    transaction_wrote_ = false;
    transaction_unknown_tables_ = false;
  }
}

// What only the server knows now and this session may still ask for.
void Session::NoteDiagnostics() {
  if ((request_.flags & sql::kReadsWarnings) != 0 && request_.kind == sql::StatementKind::kShow)
    return;
  saved_.reset();
  NoteCounts();
  UnreadDiagnostics& unread = link_->unread;
  unread.warnings = !tracker_.ok() || tracker_.warnings() > 0;
  const bool may_set_id = request_.kind == sql::StatementKind::kDml ||
                          request_.kind == sql::StatementKind::kCall ||
                          (request_.flags & (sql::kSetsLastInsertId | sql::kMultiStatement)) != 0;
  if (may_set_id && (!tracker_.ok() || tracker_.last_insert_id() != 0 ||
                     (request_.flags & (sql::kSetsLastInsertId | sql::kMultiStatement)) != 0)) {
    unread.last_insert_id = true;
    last_insert_id_lost_ = false;
  }
  if ((request_.flags & sql::kCalcFoundRows) != 0) {
    pins_.Add(Pin::kFoundRows);
  } else {
    pins_.Remove(Pin::kFoundRows);
  }
}

// What ROW_COUNT() and FOUND_ROWS() say from now on.
void Session::NoteCounts() {
  const bool is_prepare = request_.grammar == ResponseGrammar::kPrepare;
  if (is_prepare) return;
  const bool had_rows = tracker_.ok() && request_.kind == sql::StatementKind::kSelect;
  row_count_ = tracker_.ok() && !had_rows ? static_cast<int64_t>(tracker_.affected_rows()) : -1;
  found_rows_.reset();
  if (had_rows) found_rows_ = tracker_.rows();
}

// Pinned while the server may hold a named lock for this session.
void Session::ApplyLocks(const sql::LockCalls& calls) {
  if (named_locks_ == nullptr) named_locks_ = std::make_unique<NamedLocks>();
  named_locks_->Apply(calls);
  if (!named_locks_->none()) return;
  named_locks_.reset();
  locked_by_tables_only_ = true;
  if (!tables_locked_) pins_.Remove(Pin::kLock);
}

void Session::ApplyEffects() {
  const std::unique_ptr<Effects> effects = std::move(effects_);
  if (request_.kind == sql::StatementKind::kLockTables)
    locked_by_tables_only_ = !pins_.Has(Pin::kLock) || locked_by_tables_only_;
  if ((request_.flags & sql::kUsesLockFunction) != 0) locked_by_tables_only_ = false;
  if (request_.kind == sql::StatementKind::kLockTables) tables_locked_ = true;
  if (!tracker_.ok()) {
    if (effects->pin_on_error.has_value()) pins_.Add(*effects->pin_on_error);
    if (effects->locks != nullptr && effects->locks->calls.size() != 1) ApplyLocks({});
    return;
  }
  if (effects->pin.has_value()) pins_.Add(*effects->pin);
  if (effects->locks != nullptr) ApplyLocks(*effects->locks);
  if (effects->uncounted_temporary_tables) temporary_tables_counted_ = false;
  temporary_tables_ += effects->temporary_tables;
  if (effects->temporary_tables < 0 && temporary_tables_counted_ && temporary_tables_ == 0) {
    pins_.Remove(Pin::kTemporaryTable);
  }
  if (effects->unlocks_tables) tables_locked_ = false;
  if (effects->unlocks_tables && locked_by_tables_only_) pins_.Remove(Pin::kLock);
  if (effects->state != nullptr) {
    state_vector_ = effects->state;
    link_->state = state_vector_;
  }
  if (effects->last_insert_id.has_value()) {
    link_->last_insert_id = *effects->last_insert_id;
    link_->unread.last_insert_id = false;
    last_insert_id_lost_ = false;
  }
  if (effects->tenant.has_value()) tenant_ = std::move(*effects->tenant);
}

}  // namespace bulkhead::session
