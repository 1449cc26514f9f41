// A connection went away, or is given up: what may truly be said of what was running on it
// (routing/outcome.h decides), and what becomes of the session.

#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

namespace {

// Others are tried where one died before anything of the client's command was sent.
constexpr int kMaxAttempts = 3;

}  // namespace

// What LAST_INSERT_ID() says was on this connection alone, if it was not read yet.
void Session::NoteUnreadLost(const BackendLink* lost) {
  if (lost == nullptr || link_is_new_) return;
  if (lost->unread.last_insert_id) {
    last_insert_id_lost_ = true;
  } else {
    last_insert_id_ = lost->last_insert_id;
  }
}

void Session::OnLinkLost(bool known_dead) {
  const BackendLink* lost = std::exchange(link_, nullptr);
  NoteUnreadLost(lost);
  const State was = state_;
  switch (was) {
    case State::Closed:
    case State::ExpectLogin:
      return;
    case State::ExpectLink:  // the lost one was kept; another was asked for
      return;
    case State::ExpectGate:
      NoteLossBetweenCommands();
      AnswerWaitingLoss();
      return;
    case State::ExpectCommand:
    case State::ExpectDiscard:
    case State::ExpectKill:
      NoteLossBetweenCommands();
      return;
    case State::ExpectRestore:
      OnLossInRestore();
      return;
    case State::ExpectRequestRest:
    case State::ExpectResponse:
    case State::ExpectLocalData:
      AnswerLostStatement(lost, known_dead);
      return;
  }
}

// Nothing of the client's command was sent.
void Session::OnLossInRestore() {
  errand_.reset();
  pins_.Remove(Pin::kSessionPooling);
  if (begin_again_) {
    // Its BEGIN went with the connection, and is all that the transaction was.
    pins_.Clear();
    pins_.Add(Pin::kTransaction);
  } else if (pins_.HoldsState()) {
    // It was only being asked whether it is still there.
    NoteLossBetweenCommands();
    AnswerWaitingLoss();
    if (state_ != State::ExpectRestore) return;
  }
  state_ = State::ExpectCommand;
  if (++request_.attempts >= kMaxAttempts) {
    AnswerError(
        MakeError(wire::ClientError::kSliceUnavailable, "connections to the backend break"));
    return;
  }
  if (request_.replica.valid()) EndRelease(/*answered=*/false);  // the gate knows another, or waits
  PlaceAgain();
}

// A command waits, unsent, and what the session had on its connection is gone.
void Session::AnswerWaitingLoss() {
  if (!lost_state_ && !lost_transaction_) return;
  if (state_ == State::ExpectGate) shell_->LeaveGate();
  state_ = State::ExpectCommand;
  if (lost_state_) {
    AnswerLostState();
  } else {
    AnswerLostTransaction();
  }
}

void Session::OnLinkGivenUp(bool undelivered) {
  NoteUnreadLost(link_);
  const BackendLink* lost = std::exchange(link_, nullptr);
  switch (state_) {
    case State::ExpectRestore:
      request_.attempts = 0;
      EndRelease(/*answered=*/false);
      OnLossInRestore();
      return;
    case State::ExpectRequestRest:
    case State::ExpectResponse:
    case State::ExpectLocalData:
      AnswerLostStatement(lost, /*known_dead=*/true, undelivered);
      return;
    case State::Closed:
    case State::ExpectLogin:
    case State::ExpectKill:
    case State::ExpectLink:
    case State::ExpectGate:
    case State::ExpectCommand:
    case State::ExpectDiscard:
      OnLinkLost(/*known_dead=*/true);
      return;
  }
}

void Session::NoteLossBetweenCommands() {
  if (begin_again_) return;  // nothing of the transaction is on any connection
  PinSet others = pins_;
  others.Remove(Pin::kTransaction);
  const bool begun = pins_.Has(Pin::kTransaction) && std::exchange(only_begun_, false);
  pins_.Clear();
  transaction_may_be_over_ = false;
  if (others.HoldsState()) {
    lost_state_ = true;
  } else if (begun) {
    // Nothing was done in it yet: it begins anew on another connection, before what comes next.
    begin_again_ = true;
    pins_.Add(Pin::kTransaction);
    return;
  } else if ((status_ & wire::kStatusInTransaction) != 0) {
    lost_transaction_ = true;
  }
  status_ &= static_cast<uint16_t>(~wire::kStatusInTransaction);
}

// The transaction was rolled back while nothing was running.
void Session::AnswerLostTransaction() {
  if (request_.command == wire::Command::kStmtSendLongData) {
    // Has no answer: the next command is told.
    AnswerError(MakeError(wire::ClientError::kDeadlock), Outcome::kRolledBack);
    return;
  }
  lost_transaction_ = false;
  const routing::InFlightFacts facts{
      .in_transaction = true,
      .sent_since_begin_may_commit = std::exchange(transaction_may_commit_, false),
      .tables_known_transactional = TransactionalSoFar(),
      .may_have_written = std::exchange(transaction_wrote_, false),
      .known_dead = true,
  };
  transaction_unknown_tables_ = false;
  const routing::Verdict verdict = routing::Decide(facts);
  if (!verdict.outcome_known) {
    AnswerError(MakeError(wire::ClientError::kOutcomeUnknown), Outcome::kUnknown);
  } else if (request_.kind == sql::StatementKind::kRollback) {
    AnswerOk();
  } else {
    AnswerError(MakeError(wire::ClientError::kDeadlock), Outcome::kRolledBack);
  }
}

void Session::AnswerLostState() {
  if (request_.command == wire::Command::kStmtSendLongData) {
    AnswerError(MakeError(wire::ClientError::kStateLost), Outcome::kStateLost);
    return;
  }
  AnswerErrorAndClose(MakeError(wire::ClientError::kStateLost), Outcome::kStateLost);
}

// What is known of the command under way, whose connection is gone.
routing::InFlightFacts Session::FactsOf(bool known_dead, bool undelivered) const {
  PinSet others = pins_;
  others.Remove(Pin::kTransaction);
  const bool in_transaction = pins_.Has(Pin::kTransaction);
  const bool ends_transaction =
      request_.kind == sql::StatementKind::kCommit || (request_.flags & sql::kImplicitCommit) != 0;
  // A BEGIN that was sent outside of a transaction has done nothing, whatever became of it.
  const bool only_begin = request_.kind == sql::StatementKind::kBegin && !in_transaction &&
                          !begin_text_.empty() && request_.statement_id == 0;
  const bool plain_read =
      IsPlainRead() && !in_transaction && (status_ & wire::kStatusAutocommit) != 0;
  // Without a copy of the command there is nothing to send once more.
  const bool stuck = undelivered && !held_.empty() && !request_.forwarded && !IsLong() &&
                     state_ == State::ExpectResponse;
  return {
      .in_transaction = in_transaction,
      .commit_sent = in_transaction && ends_transaction,
      .sent_since_begin_may_commit = transaction_may_commit_ || transaction_may_be_over_,
      .tables_known_transactional = TransactionalSoFar(),
      .begin_only = only_begin,
      .pinned_by_lost_state = others.HoldsState(),
      .statement_sent = only_begin ? routing::SentPart::kNone : routing::SentPart::kWholly,
      .provably_not_delivered = stuck,
      .part_forwarded = request_.forwarded,
      .half_packet_forwarded = request_.forwarded && !tracker_.at_packet_boundary(),
      .may_have_written = !ReadsOnly(),
      .restorable = true,
      .plain_read = plain_read,
      .read_retry = context_->read_retry && !held_.empty(),
      .read_retried = request_.attempts > 0,
      .known_dead = known_dead,
  };
}

// The connection went away under a statement that was sent, wholly or in part. It is never sent
// again, unless nothing of it can have arrived.
void Session::AnswerLostStatement(const BackendLink* lost, bool known_dead, bool undelivered) {
  if (request_.command == wire::Command::kStmtSendLongData) {
    NoteLossBetweenCommands();  // a parameter's data: nothing runs yet
    AnswerError(MakeError(wire::ClientError::kStateLost), Outcome::kStateLost);
    return;
  }
  const bool sends_file = state_ == State::ExpectLocalData;
  const routing::Verdict verdict = routing::Decide(FactsOf(known_dead, undelivered));
  if (request_.grammar == ResponseGrammar::kPrepare) statements_.NoteFailedPrepare();
  pins_.Clear();
  only_begun_ = false;
  transaction_may_commit_ = false;
  transaction_may_be_over_ = false;
  transaction_wrote_ = false;
  transaction_unknown_tables_ = false;
  status_ &= static_cast<uint16_t>(~wire::kStatusInTransaction);
  if (verdict.action == routing::OutcomeAction::kHoldAgain && !held_.empty()) {
    request_.sent = false;
    ++request_.attempts;
    EndRelease(/*answered=*/false);
    PlaceAgain();
    return;
  }
  const bool unknown = !verdict.outcome_known || verdict.action != routing::OutcomeAction::kAnswer;
  if (unknown) {
    shell_->NoteUnknown({.target = target_,
                         .tenant = tenant_of_command(),
                         .digest = DigestOfSent(lost),
                         .thread_id = request_.thread_id,
                         .sent_ns = request_.started_ns});
  }
  if (request_.forwarded && !sends_file) {
    if (verdict.connection == routing::ClientConnection::kClosesUnanswered) {
      FinishCommand(unknown ? Outcome::kUnknown : Outcome::kRefused);
      Close();
      return;
    }
    request_.last_sequence = ClientSequence(tracker_.next_sequence());
  }
  AnswerVerdict(verdict, unknown, sends_file);
}

std::string Session::DigestOfSent(const BackendLink* lost) {
  constexpr size_t kMaxDigest = 1024;
  if (const ClientStatement* statement = CurrentStatement(); statement != nullptr)
    return sql::Digest(statement->text->sql(), lexer_mode(), kMaxDigest);
  const bool is_text =
      request_.command == wire::Command::kQuery || request_.command == wire::Command::kStmtPrepare;
  return is_text && lost != nullptr ? sql::Digest(lost->last_text, lexer_mode(), kMaxDigest)
                                    : std::string();
}

void Session::AnswerVerdict(const routing::Verdict& verdict, bool unknown, bool sends_file) {
  RouterError error = MakeError(wire::ClientError::kOutcomeUnknown);
  Outcome outcome = Outcome::kUnknown;
  if (!unknown && verdict.code == routing::kOutcomeRolledBack) {
    error = MakeError(wire::ClientError::kDeadlock);
    outcome = Outcome::kRolledBack;
  } else if (!unknown && verdict.code == routing::kOutcomeInterrupted) {
    error = MakeError(wire::ClientError::kQueryInterrupted);
    outcome = Outcome::kRefused;
  } else if (!unknown && verdict.code == routing::kOutcomeStateLost) {
    error = MakeError(wire::ClientError::kStateLost);
    outcome = Outcome::kStateLost;
  }
  if (sends_file) {
    const bool stays = verdict.connection == routing::ClientConnection::kStays;
    if (!stays) error.sqlstate = std::string(routing::OutcomeSqlstate(verdict));
    refusal_ = std::make_unique<Refusal>(
        Refusal{.error = error, .outcome = outcome, .local_data = true, .closes = !stays});
    held_ = {};
    state_ = State::ExpectDiscard;
    shell_->ClientBytesWanted();
    return;
  }
  switch (verdict.connection) {
    case routing::ClientConnection::kStays:
      AnswerError(error, outcome);
      return;
    case routing::ClientConnection::kStaysStateLost:
      lost_state_ = true;
      AnswerError(error, outcome);
      return;
    case routing::ClientConnection::kClosesAfterAnswer:
    case routing::ClientConnection::kClosesUnanswered:
      error.sqlstate = std::string(routing::OutcomeSqlstate(verdict));
      AnswerErrorAndClose(error, outcome);
      return;
  }
}

}  // namespace bulkhead::session
