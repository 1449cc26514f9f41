// Which connection a command goes to: ask for one, bring it into this session's state, keep it,
// give it back, lose it.

#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

namespace {

// Others are tried where one died, or was not fit, before anything of the client's command was
// sent.
constexpr int kMaxAttempts = 3;

// What a refused client is told: about as long as a backend is left alone after a failed connect.
constexpr int kRetryAfterMs = 500;

}  // namespace

// Finds the connection for the command in `head` and sends it, or keeps it until there is one.
void Session::Place(const RouteTarget& target, std::span<uint8_t> head) {
  if (lost_transaction_) {
    AnswerLostTransaction();
    return;
  }
  if (link_ != nullptr && !target.any_backend && link_->backend != target.backend) {
    if (pins_.HoldsState()) {
      AnswerError(MakeError(wire::ClientError::kTenantChangeRefused,
                            "this session holds state on its present backend (see SHOW SESSIONS): "
                            "end the transaction, or "
                            "reset the connection, before its statements go to another tenant"));
      return;
    }
    GiveBack(ReleaseHow::kFree);
  }
  if (!target.any_backend || link_ == nullptr) target_ = target;
  if (link_ != nullptr && link_->use == BackendLink::Use::kErrand) {
    // It is being asked for what this session has not read, and goes to another one: OnLinkRobbed
    // follows.
    Hold(head);
    state_ = State::ExpectLink;
    return;
  }
  if (link_ != nullptr && link_->use == BackendLink::Use::kKept) {
    last_insert_id_ = link_->last_insert_id;
    if (!shell_->Retake(link_)) link_ = nullptr;
  }
  if (link_ != nullptr) {
    UseLink(head);
    return;
  }
  std::optional<RouterError> error;
  BackendLink* link =
      shell_->Acquire({.target = target, .login = &login_, .state = &wanted_}, &error);
  if (error.has_value()) {
    AnswerError(Unavailable(*error));
    return;
  }
  if (link == nullptr) {
    Hold(head);
    state_ = State::ExpectLink;
    return;
  }
  Attach(link);
  UseLink(head);
}

void Session::Hold(std::span<uint8_t> head) {
  if (held_.empty()) held_.assign(head.begin(), head.end());
}

void Session::Attach(BackendLink* link) {
  link_ = link;
  link_->owner = this;
  link_is_new_ = true;
  target_.backend = link->backend;
  if (login_.session_pooling) pins_.Add(Pin::kSessionPooling);
}

void Session::OnLink(BackendLink* link) {
  Attach(link);
  state_ = State::ExpectCommand;
  UseLink(held_);
}

void Session::OnLinkFailed(const RouterError& error) { AnswerError(Unavailable(error)); }

// What the pool says of a connection, in the form of a refusal of this session's command.
RouterError Session::Unavailable(const RouterError& reason) const {
  const routing::Shard* shard = context_->topology->shard(target_.shard);
  const std::string where =
      shard == nullptr ? std::string() : "shard " + shard->name + " is unavailable: ";
  RouterError error = MakeError(wire::ClientError::kSliceUnavailable, where + reason.message);
  error.message += "; retry_after_ms=" + std::to_string(kRetryAfterMs);
  return error;
}

// The connection is this session's. Brings it into the session's state where it is not, then sends.
void Session::UseLink(std::span<uint8_t> head) {
  const bool last_insert_id_differs =
      link_is_new_ && (link_->unread.last_insert_id || link_->last_insert_id != last_insert_id_);
  const bool wants_clean_warnings =
      link_is_new_ && link_->has_foreign_warnings && (request_.flags & sql::kReadsWarnings) != 0;
  const bool wants_prepare = NeedsPrepare();
  // USE replaces the schema anyway, and the one that the session had may be another tenant's.
  const StateVectorPtr wanted = request_.uses_schema && link_->state != wanted_
                                    ? context_->states->WithSchema(wanted_, link_->state->schema)
                                    : wanted_;
  if (link_->state == wanted && !last_insert_id_differs && !wants_prepare &&
      !wants_clean_warnings) {
    link_is_new_ = false;
    SendRequest(head);
    return;
  }
  if (!CanRestore(*link_->state, *wanted)) {
    // It has a schema, and this session has none: there is no command to leave one.
    GiveBackAndTryAnother(head);
    return;
  }
  auto errand = std::make_unique<LinkErrand>(link_->capabilities);
  if (wants_clean_warnings) AddReset(errand.get());
  StateVectorPtr has = link_->state;
  if (wants_prepare) {
    // A statement means what its text meant in the state in which the client prepared it.
    const ClientStatement* statement = CurrentStatement();
    AddPlan(has, statement->prepared_in, link_->family, errand.get());
    has = statement->prepared_in;
    errand->Add(LinkErrand::Purpose::kPrepare, wire::Command::kStmtPrepare, statement->text->sql(),
                ResponseGrammar::kPrepare);
  }
  AddPlan(has, wanted, link_->family, errand.get());
  restored_to_ = wanted;
  if (last_insert_id_differs) {
    errand->AddQuery(LinkErrand::Purpose::kLastInsertId,
                     "DO LAST_INSERT_ID(" + std::to_string(last_insert_id_) + ")");
  }
  Hold(head);
  errand_ = std::move(errand);
  state_ = State::ExpectRestore;
  errand_->Start(link_);
}

void Session::AddReset(LinkErrand* errand) {
  errand->Add(LinkErrand::Purpose::kReset, wire::Command::kResetConnection, {},
              ResponseGrammar::kSimple);
  link_->statements.Clear();
  link_->state = context_->states->AfterReset(link_->state);
}

void Session::AddPlan(const StateVectorPtr& has, const StateVectorPtr& wanted, ServerFamily family,
                      LinkErrand* errand) {
  if (has == wanted) return;
  const RestorePlan plan = PlanRestore(*has, *wanted, family);
  if (plan.init_db.has_value()) {
    errand->Add(LinkErrand::Purpose::kSchema, wire::Command::kInitDb, *plan.init_db,
                ResponseGrammar::kSimple);
  }
  if (plan.multi_statements.has_value()) {
    const char option[2] = {static_cast<char>(*plan.multi_statements ? 0 : 1), 0};
    errand->Add(LinkErrand::Purpose::kState, wire::Command::kSetOption, {option, 2},
                ResponseGrammar::kSimple);
  }
  if (!plan.set_sql.empty()) errand->AddQuery(LinkErrand::Purpose::kState, plan.set_sql);
  if (!plan.set_user_sql.empty()) errand->AddQuery(LinkErrand::Purpose::kState, plan.set_user_sql);
}

void Session::OnRestoreBytes(std::span<uint8_t> bytes) {
  switch (errand_->Feed(bytes)) {
    case LinkErrand::Progress::kMore:
      return;
    case LinkErrand::Progress::kProtocolError:
      errand_.reset();
      GiveBack(ReleaseHow::kClose);
      AnswerError(MakeError(wire::ClientError::kSliceUnavailable,
                            "the backend answers with bytes that make no sense"));
      return;
    case LinkErrand::Progress::kDone:
      FinishRestore();
      return;
  }
}

void Session::FinishRestore() {
  const std::unique_ptr<LinkErrand> errand = std::move(errand_);
  shell_->CountRestore();
  if (const LinkErrand::Answer* failed = errand->first_error(); failed != nullptr) {
    // What did take effect is not followed: the connection is reset before anybody uses it.
    const RouterError error{failed->error_code, failed->sqlstate, failed->message};
    GiveBack(ReleaseHow::kReset);
    state_ = State::ExpectCommand;
    AnswerError(error, Outcome::kServerError);
    return;
  }
  link_->state = std::exchange(restored_to_, nullptr);
  link_->unread = {};
  link_->has_foreign_warnings = false;
  link_->last_insert_id = last_insert_id_;
  link_is_new_ = false;
  if (const LinkErrand::Answer* prepared = errand->Find(LinkErrand::Purpose::kPrepare);
      prepared != nullptr) {
    RememberPrepared(*prepared);
    if (prepared->parameter_count != CurrentStatement()->parameter_count) {
      AnswerError(MakeError(wire::ClientError::kNeedReprepare));
      KeepOrGiveBack();
      return;
    }
  }
  state_ = State::ExpectCommand;
  std::vector<uint8_t> head = std::exchange(held_, {});
  SendRequest(head);
}

void Session::GiveBackAndTryAnother(std::span<uint8_t> head) {
  // `head` may be held_ itself.
  std::vector<uint8_t> kept(head.begin(), head.end());
  held_ = {};
  GiveBack(ReleaseHow::kClose);
  state_ = State::ExpectCommand;
  Place(target_, kept);
}

void Session::SendRequest(std::span<uint8_t> head) {
  NoteBeforeSending();
  tracker_.Start(request_.grammar, link_->capabilities);
  if (request_.grammar == ResponseGrammar::kPrepare)
    tracker_.ReplaceStatementId(statements_.next_id());
  request_.sent = true;
  if (!SendHead(head)) return;
  held_ = {};
  if (IsLong()) {
    state_ = State::ExpectRequestRest;
  } else {
    RequestIsComplete();
  }
}

void Session::RequestIsComplete() {
  if (request_.grammar == ResponseGrammar::kNone) {
    // No answer comes: COM_STMT_SEND_LONG_DATA.
    FinishCommand(Outcome::kOk);
    return;
  }
  state_ = State::ExpectResponse;
}

// What may be true of the server from now on, whatever the answer.
void Session::NoteBeforeSending() {
  using sql::StatementKind;
  if (request_.pin_before.has_value()) {
    request_.pin_is_new = !pins_.Has(*request_.pin_before);
    pins_.Add(*request_.pin_before);
  }
  if (request_.kind == StatementKind::kDml) transaction_wrote_ = true;
  if (!pins_.Has(Pin::kTransaction)) return;
  switch (request_.kind) {
    case StatementKind::kSelect:
    case StatementKind::kDml:
    case StatementKind::kShow:
    case StatementKind::kSavepoint:
    case StatementKind::kRollback:
    case StatementKind::kEmpty:
      if ((request_.flags &
           (sql::kUnknownFunction | sql::kMultiStatement | sql::kImplicitCommit)) != 0) {
        transaction_may_commit_ = true;
      }
      break;
    case StatementKind::kDdl:
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kSet:
    case StatementKind::kUse:
    case StatementKind::kKill:
    case StatementKind::kCall:
    case StatementKind::kDo:
    case StatementKind::kPrepareText:
    case StatementKind::kExecuteText:
    case StatementKind::kDeallocateText:
    case StatementKind::kLockTables:
    case StatementKind::kUnlockTables:
    case StatementKind::kHandler:
    case StatementKind::kXa:
    case StatementKind::kAdmin:
    case StatementKind::kOther:
      transaction_may_commit_ = true;
      break;
  }
}

void Session::KeepOrGiveBack() {
  if (link_ == nullptr || !pins_.empty()) return;
  shell_->Keep(link_);
}

void Session::GiveBack(ReleaseHow how) {
  if (link_ == nullptr) return;
  BackendLink* link = std::exchange(link_, nullptr);
  // Connections of logins without a schema are shared among such logins, and none can be brought
  // out of one.
  if (login_.schema.empty() && !link->state->schema.empty()) how = ReleaseHow::kClose;
  if (how == ReleaseHow::kFree && (pins_.HoldsState() || link->dirty || link->unread.status))
    how = ReleaseHow::kReset;
  last_insert_id_ = link->last_insert_id;
  if (how == ReleaseHow::kFree) CloseOnServerOf(link, link->statements.TakePrivate());
  link->has_foreign_warnings = link->has_foreign_warnings || link->unread.warnings;
  pins_.Clear();
  shell_->Release(link, how);
}

void Session::OnLinkRobbed(SavedDiagnostics saved) {
  if (link_ == nullptr) return;
  last_insert_id_ = saved.last_insert_id.value_or(link_->last_insert_id);
  if (saved.warning_count > 0) saved_ = std::make_unique<SavedDiagnostics>(std::move(saved));
  link_ = nullptr;
  if (state_ != State::ExpectLink) return;
  // The next command was waiting for this to be over.
  std::vector<uint8_t> head = std::exchange(held_, {});
  state_ = State::ExpectCommand;
  Place(target_, head);
}

void Session::OnTransactionFound() {
  pins_.Add(Pin::kTransaction);
  status_ |= wire::kStatusInTransaction;
  if (state_ != State::ExpectLink) return;
  std::vector<uint8_t> head = std::exchange(held_, {});
  state_ = State::ExpectCommand;
  UseLink(head);
}

void Session::OnLinkBack() {
  if (state_ != State::ExpectLink || link_ == nullptr) return;
  std::vector<uint8_t> head = std::exchange(held_, {});
  state_ = State::ExpectCommand;
  Place(target_, head);
}

void Session::OnLinkLost(bool known_dead) {
  link_ = nullptr;
  const State was = state_;
  switch (was) {
    case State::Closed:
    case State::ExpectLogin:
    case State::ExpectKill:
      return;
    case State::ExpectLink:  // the lost one was kept; another was asked for
      return;
    case State::ExpectCommand:
      NoteLossBetweenCommands();
      return;
    case State::ExpectRestore: {
      errand_.reset();
      pins_.Remove(Pin::kSessionPooling);
      state_ = State::ExpectCommand;
      if (++request_.attempts >= kMaxAttempts) {
        AnswerError(
            MakeError(wire::ClientError::kSliceUnavailable, "connections to the backend break"));
        return;
      }
      std::vector<uint8_t> head = std::exchange(held_, {});
      Place(target_, head);
      return;
    }
    case State::ExpectRequestRest:
    case State::ExpectResponse:
    case State::ExpectLocalData:
      AnswerLostStatement(known_dead);
      return;
  }
}

void Session::NoteLossBetweenCommands() {
  PinSet others = pins_;
  others.Remove(Pin::kTransaction);
  if (others.HoldsState()) {
    lost_state_ = true;
  } else if (pins_.Has(Pin::kTransaction)) {
    lost_transaction_ = true;
  }
  pins_.Clear();
  status_ &= static_cast<uint16_t>(~wire::kStatusInTransaction);
}

// The transaction was rolled back while nothing was running.
void Session::AnswerLostTransaction() {
  lost_transaction_ = false;
  const bool may_have_committed = std::exchange(transaction_may_commit_, false);
  transaction_wrote_ = false;
  if (request_.kind == sql::StatementKind::kRollback && !may_have_committed) {
    AnswerOk();
    return;
  }
  if (may_have_committed) {
    AnswerError(MakeError(wire::ClientError::kOutcomeUnknown), Outcome::kUnknown);
  } else {
    AnswerError(MakeError(wire::ClientError::kDeadlock), Outcome::kRolledBack);
  }
}

// The connection went away under a statement that was sent, wholly or in part. It is never sent
// again.
void Session::AnswerLostStatement(bool known_dead) {
  PinSet others = pins_;
  others.Remove(Pin::kTransaction);
  const bool stays = !others.HoldsState();
  const bool in_transaction = pins_.Has(Pin::kTransaction);
  const bool rolled_back = known_dead && stays && in_transaction && !transaction_may_commit_ &&
                           request_.kind != sql::StatementKind::kCommit &&
                           (!transaction_wrote_ || context_->only_transactional_tables);
  if (request_.grammar == ResponseGrammar::kPrepare) statements_.NoteFailedPrepare();
  pins_.Clear();
  transaction_may_commit_ = false;
  transaction_wrote_ = false;
  status_ &= static_cast<uint16_t>(~wire::kStatusInTransaction);
  if (request_.forwarded) {
    if (!tracker_.at_packet_boundary()) {
      FinishCommand(Outcome::kUnknown);
      Close();
      return;
    }
    request_.last_sequence = static_cast<uint8_t>(tracker_.next_sequence() - 1);
  }
  RouterError error = rolled_back ? MakeError(wire::ClientError::kDeadlock)
                                  : MakeError(wire::ClientError::kOutcomeUnknown);
  const Outcome outcome = rolled_back ? Outcome::kRolledBack : Outcome::kUnknown;
  if (stays) {
    AnswerError(error, outcome);
    return;
  }
  error.sqlstate = "08007";
  AnswerErrorAndClose(error, outcome);
}

}  // namespace bulkhead::session
