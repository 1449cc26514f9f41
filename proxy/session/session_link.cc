// Which connection a command goes to: ask for one, bring it into this session's state, keep it,
// give it back, lose it.

#include <algorithm>
#include <utility>

#include "proxy/session/session.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

namespace {

// A command's text begins behind the frame's header and the command byte.
constexpr size_t kTextOffset = 5;

// What a refused client is told: about as long as a backend is left alone after a failed connect.
constexpr int kRetryAfterMs = 500;

}  // namespace

// Finds the connection for the command in `head` and sends it, or keeps it until there is one.
void Session::Place(const RouteTarget& target, std::span<uint8_t> head) {
  const RouteTarget home = HomeOf(target);
  LoseLinkIfMoved(home);
  if (lost_state_) {
    AnswerLostState();
    return;
  }
  if (lost_transaction_) {
    AnswerLostTransaction();
    return;
  }
  if (!StartWithinLimits() || MustWait(home, head)) return;
  if (last_insert_id_lost_ && (request_.flags & sql::kReadsLastInsertId) != 0) {
    AnswerLostState();
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
  if (target.any_backend && link_ != nullptr && !pins_.HoldsState() &&
      link_->use == BackendLink::Use::kKept && !shell_->BackendAnswers(link_->backend)) {
    GiveBack(ReleaseHow::kFree);  // another one can answer this
  }
  if (!target.any_backend || link_ == nullptr) {
    target_ = target;
    link_shard_ = target.any_backend ? routing::ShardId{} : target.shard;
  }
  if (link_ != nullptr && link_->use == BackendLink::Use::kErrand) {
    // It is being asked for what this session has not read, and goes to another one: OnLinkRobbed
    // follows.
    Hold(head);
    state_ = State::ExpectLink;
    return;
  }
  if (link_ != nullptr && link_->use == BackendLink::Use::kKept) {
    BackendLink* const kept = link_;
    const bool unread = kept->unread.last_insert_id;
    last_insert_id_ = kept->last_insert_id;
    if (!shell_->Retake(kept)) {
      link_ = nullptr;
      last_insert_id_lost_ = last_insert_id_lost_ || unread;
    }
  }
  if (link_ != nullptr) {
    UseLink(head);
    return;
  }
  std::optional<RouterError> error;
  RouteTarget place = target;
  if (target.any_backend) place.backend = AnyBackend();
  BackendLink* link = shell_->Acquire(
      {.target = place, .login = &login_, .state = &wanted_, .waits_out = WaitsOut(target)},
      &error);
  if (error.has_value()) {
    Hold(head);
    OnLinkFailed(*error);
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

// What needs no tenant's data, a COMMIT for example, belongs to the shard of the connection on
// which the session holds something.
RouteTarget Session::HomeOf(const RouteTarget& target) const {
  if (!target.any_backend || link_ == nullptr || !pins_.HoldsState()) return target;
  const routing::Shard* shard =
      link_shard_.valid() ? context_->topology->shard(link_shard_) : nullptr;
  if (shard == nullptr) return target;
  return {.shard = shard->id, .backend = shard->primary, .any_backend = false};
}

// The data has another home since this connection was had: what the session holds on it belongs to
// the old one, and nothing more may be written there.
void Session::LoseLinkIfMoved(const RouteTarget& target) {
  if (link_ == nullptr || target.any_backend || link_->backend == target.backend) return;
  // A comment may name another tenant, whose home is elsewhere anyway.
  const bool own = hint_tenant_.empty() || target.shard == link_shard_;
  const bool moved = placed_in_ != context_->topology->version() && own;
  if (moved && pins_.HoldsState() && link_->use != BackendLink::Use::kErrand) LoseLink();
}

// For what needs no tenant's data: one that answers, if there is one.
routing::BackendId Session::AnyBackend() const {
  for (const routing::Shard* shard : context_->topology->shards()) {
    if (shell_->BackendAnswers(shard->primary)) return shard->primary;
  }
  return context_->topology->any_backend();
}

void Session::Hold(std::span<uint8_t> head) {
  if (held_.empty()) held_.assign(head.begin(), head.end());
}

void Session::Attach(BackendLink* link) {
  link_ = link;
  link_->owner = this;
  link_is_new_ = true;
  placed_in_ = context_->topology->version();
  target_.backend = link->backend;
  if (login_.session_pooling) pins_.Add(Pin::kSessionPooling);
}

void Session::OnLink(BackendLink* link) {
  Attach(link);
  // The ramp goes by what the server takes, not by the wait for a connection to it.
  if (request_.released) request_.released_ns = shell_->NowNs();
  state_ = State::ExpectCommand;
  if (HomeMoved()) {
    PlaceAgain();
    return;
  }
  UseLink(held_);
}

bool Session::HomeMoved() const {
  if (target_.any_backend || request_.replica.valid()) return false;
  const RouteTarget present = PresentTarget();
  return context_->topology->shard(present.shard) != nullptr && present.backend != link_->backend;
}

void Session::OnLinkFailed(const RouterError& error) {
  if (request_.released && request_.replica.valid()) {
    EndRelease(/*answered=*/false);
    request_.no_replica = true;
    AskGate(held_);
    return;
  }
  if (PresentTarget() != target_) {
    PlaceAgain();
    return;
  }
  AnswerError(Unavailable(error));
}

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
  if (ReadAgain(head)) return;
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
      !wants_clean_warnings && !link_->needs_ping && !begin_again_) {
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
  if (link_->needs_ping)
    errand->Add(LinkErrand::Purpose::kPing, wire::Command::kPing, {}, ResponseGrammar::kSimple);
  if (wants_clean_warnings) AddReset(errand.get());
  StateVectorPtr has = link_->state;
  if (wants_prepare) {
    // A statement means what its text meant in the state in which the client prepared it.
    const ClientStatement* statement = CurrentStatement();
    const StateVectorPtr prepare_in = PrepareIn(*statement);
    AddPlan(has, prepare_in, errand.get());
    has = prepare_in;
    errand->Add(LinkErrand::Purpose::kPrepare, wire::Command::kStmtPrepare, statement->text->sql(),
                ResponseGrammar::kPrepare);
  }
  AddPlan(has, wanted, errand.get());
  restored_to_ = wanted;
  if (last_insert_id_differs) {
    errand->AddQuery(LinkErrand::Purpose::kLastInsertId,
                     "DO LAST_INSERT_ID(" + std::to_string(last_insert_id_) + ")");
  }
  if (begin_again_) errand->AddQuery(LinkErrand::Purpose::kBegin, begin_text_);
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

void Session::AddPlan(const StateVectorPtr& has, const StateVectorPtr& wanted,
                      LinkErrand* errand) const {
  if (has == wanted) return;
  const RestorePlan plan = PlanRestore(*has, *wanted, link_->family, link_->server_version);
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
      if (errand_->said_before_request()) {
        // It was closing as it was taken: as if it had been closed already.
        BackendLink* link = std::exchange(link_, nullptr);
        NoteUnreadLost(link);
        shell_->Release(link, ReleaseHow::kClose);
        OnLossInRestore();
        return;
      }
      errand_.reset();
      LoseLink();
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
  // Whatever follows: nothing is awaited on this connection until the next request.
  link_->EndExchange(/*committed=*/false);
  shell_->CountRestore();
  if (const LinkErrand::Answer* failed = errand->first_error(); failed != nullptr) {
    OnRestoreFailed(*errand, *failed);
    return;
  }
  link_->state = std::exchange(restored_to_, nullptr);
  link_->needs_ping = false;
  if (std::exchange(begin_again_, false)) {
    only_begun_ = true;
    pins_.Add(Pin::kTransaction);
  }
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
  if (HomeMoved()) {
    PlaceAgain();
    return;
  }
  std::vector<uint8_t> head = std::exchange(held_, {});
  if (NeedsPrepare()) {
    // Its columns are not those that the client was told of: once more, so that it is told.
    UseLink(head);
    return;
  }
  SendRequest(head);
}

// The command was not sent: its answer is the server's error.
void Session::OnRestoreFailed(const LinkErrand& errand, const LinkErrand::Answer& failed) {
  const RouterError error{failed.error_code, failed.sqlstate, failed.message};
  const bool begins = std::exchange(begin_again_, false);
  const bool all_but_prepare =
      std::all_of(errand.answers().begin(), errand.answers().end(), [](const auto& answer) {
        return answer.ok || answer.purpose == LinkErrand::Purpose::kPrepare;
      });
  state_ = State::ExpectCommand;
  if (begins) {
    // The transaction, in which nothing was done yet, begins with the next command instead.
    GiveBack(ReleaseHow::kReset);
    begin_again_ = true;
    pins_.Add(Pin::kTransaction);
  } else if (!pins_.HoldsState()) {
    // What did take effect is not followed: the connection is reset before anybody uses it.
    GiveBack(ReleaseHow::kReset);
  } else if (all_but_prepare) {
    // The statement can't be prepared any more; all else is as it should be, and stays.
    link_->state = std::exchange(restored_to_, nullptr);
    link_is_new_ = false;
  } else {
    // In which state it is is not known, and what the session holds there goes with it.
    LoseLink();
  }
  AnswerError(error, Outcome::kServerError);
}

// It can't be used any more, and whatever the session had on it is gone.
void Session::LoseLink() {
  BackendLink* link = std::exchange(link_, nullptr);
  NoteUnreadLost(link);
  NoteLossBetweenCommands();
  shell_->Release(link, ReleaseHow::kClose);
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
  if (IsLong()) tracker_.ExpectAnySequence();  // an answer may come before its end
  if (request_.grammar == ResponseGrammar::kPrepare)
    tracker_.ReplaceStatementId(statements_.next_id());
  request_.sent = true;
  request_.thread_id = link_->thread_id;
  constexpr size_t kRemembered = 512;  // for SHOW UNKNOWN
  link_->last_text.assign(reinterpret_cast<const char*>(head.data()) + kTextOffset,
                          std::min(head.size() - kTextOffset, kRemembered));
  if (!SendHead(head)) return;
  held_ = {};
  // Only these can be stuck on this side of the network when the backend is given up.
  constexpr size_t kLeavesAtOnce = 8 * 1024;
  const bool begins = request_.kind == sql::StatementKind::kBegin && !begin_text_.empty();
  const bool again = context_->read_retry && IsPlainRead();
  if (!IsLong() && (head.size() > kLeavesAtOnce || begins || again || link_->HasUnsent()))
    held_.assign(head.begin(), head.end());
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
  link_->BeginExchange(!ReadsOnly());
  if (request_.last_sequence > 0 && shift_ == nullptr && tracker_.bytes_passed() == 0)
    tracker_.ExpectSequence(static_cast<uint8_t>(request_.last_sequence + 1));
  state_ = State::ExpectResponse;
}

// What may be true of the server from now on, whatever the answer.
void Session::NoteBeforeSending() {
  using sql::StatementKind;
  if (request_.pin_before.has_value()) {
    request_.pin_is_new = !pins_.Has(*request_.pin_before);
    pins_.Add(*request_.pin_before);
  }
  if (request_.kind == StatementKind::kDml && !std::exchange(transaction_wrote_, true))
    tables_version_ = TablesVersion(link_->backend);
  if (request_.unknown_tables) transaction_unknown_tables_ = true;
  if (request_.may_make_tables) shell_->NoteDdl(link_->backend);
  only_begun_ = false;
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
  if (link_ == nullptr || link_->use != BackendLink::Use::kLent || !pins_.empty()) return;
  shell_->Keep(link_);
}

void Session::GiveBack(ReleaseHow how) {
  if (link_ == nullptr) return;
  BackendLink* link = std::exchange(link_, nullptr);
  // Connections of logins without a schema are shared among such logins, and none can be brought
  // out of one.
  if (login_.schema.empty() && !link->state->schema.empty()) how = ReleaseHow::kClose;
  if (pins_.Has(Pin::kRecords)) how = ReleaseHow::kClose;
  if (how == ReleaseHow::kFree && (pins_.HoldsState() || link->dirty || link->unread.status))
    how = ReleaseHow::kReset;
  NoteUnreadLost(link);
  if (how == ReleaseHow::kFree) CloseOnServerOf(link, link->statements.TakePrivate());
  link->has_foreign_warnings = link->has_foreign_warnings || link->unread.warnings;
  pins_.Clear();
  shell_->Release(link, how);
}

void Session::OnLinkRobbed(SavedDiagnostics saved) {
  if (link_ == nullptr) return;
  if (saved.last_insert_id.has_value()) {
    last_insert_id_ = *saved.last_insert_id;
  } else {
    NoteUnreadLost(link_);
  }
  if (saved.warning_count > 0) saved_ = std::make_unique<SavedDiagnostics>(std::move(saved));
  link_ = nullptr;
  if (state_ != State::ExpectLink) return;
  PlaceAgain();  // the next command was waiting for this to be over
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
  PlaceAgain();
}

}  // namespace bulkhead::session
