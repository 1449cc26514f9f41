// One logged-in client: takes its commands in order, places each on a backend connection, and
// passes the answer back.
//
// Purpose: the decisions of the data path. Bytes come in from the client (OnClientBytes) and from
// the connection in use
//   (OnBackendBytes); what is to be done goes out through SessionShell. No socket, no clock, no
//   thread in here.
// Thread: the worker's that owns the session.
// Units: monotonic nanoseconds, bytes.
// Limits: a command is routed from its first kHeadLimit bytes; longer ones stream. At most one
// command is under way; what
//   the client sends ahead stays in the shell's input buffer, which stops reading at its watermark.
// Errors: every command gets exactly one answer; the codes are those of the product's table
// (client_errors.h). Split by what is decided: session.cc (input, life), session_query.cc (texts),
// session_prepared.cc, session_commands.cc
//   (everything else a client can send), session_link.cc (connection: ask, restore, keep),
//   session_gate.cc (wait while a shard does not serve), session_loss.cc (what may be said when a
//   connection is gone), session_response.cc.
#ifndef BULKHEAD_PROXY_SESSION_SESSION_H_
#define BULKHEAD_PROXY_SESSION_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/session/backend_link.h"
#include "proxy/session/link_errand.h"
#include "proxy/session/named_locks.h"
#include "proxy/session/pins.h"
#include "proxy/session/prepared_statements.h"
#include "proxy/session/response_tracker.h"
#include "proxy/session/sequence_shift.h"
#include "proxy/session/session_shell.h"
#include "proxy/session/session_state.h"
#include "proxy/session/tenant_binding.h"
#include "proxy/sql/statement.h"
#include "proxy/wire/client_errors.h"
#include "proxy/wire/commands.h"
#include "routing/outcome.h"

namespace bulkhead::session {

class Session {
 public:
  static constexpr size_t kHeadLimit = 64 * 1024;
  static constexpr uint8_t kMostRefusedChanges = 3;

  enum class State : uint8_t {
    ExpectCommand,
    ExpectGate,     // the shard is held: asked its gate to be let through
    ExpectLink,     // asked the shell for a connection
    ExpectRestore,  // commands that bring the connection into this session's state are under way
    ExpectRequestRest,  // a long command is streaming to the backend
    ExpectResponse,
    ExpectDiscard,    // a long command was refused: the rest of it is read, then the error is sent
    ExpectLocalData,  // LOAD DATA LOCAL: the client's packets go to the backend
    ExpectKill,       // asked the shell to kill, awaiting its answer
    ExpectLogin,      // COM_CHANGE_USER: the shell's login machine has the input
    Closed,
  };

  Session(SessionShell* shell, SessionContext* context, SessionLogin login);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Bytes from the client. Returns how many were taken; the rest is offered again, with more behind
  // it, when WantsClientBytes() or when more came. The span may be changed in place.
  [[nodiscard]] size_t OnClientBytes(std::span<uint8_t> bytes);
  [[nodiscard]] bool WantsClientBytes() const {
    return state_ == State::ExpectCommand || state_ == State::ExpectRequestRest ||
           state_ == State::ExpectLocalData || state_ == State::ExpectDiscard;
  }
  // Bytes from link(). All are taken.
  void OnBackendBytes(std::span<uint8_t> bytes);

  // The connection asked for by SessionShell::Acquire.
  void OnLink(BackendLink* link);
  void OnLinkFailed(const RouterError& error);
  // Another session gets the kept connection; what this session has not read yet comes with it.
  void OnLinkRobbed(SavedDiagnostics saved);
  // An error had left the server's status open; asked, it says that a transaction is running.
  void OnTransactionFound();
  // A kept connection that was busy with an errand of the router is only kept again.
  void OnLinkBack();
  // The connection in use or kept is gone. `known_dead`: the peer closed or reset it, nothing more
  // will run on it.
  void OnLinkLost(bool known_dead);
  // The backend is given up, and the connection in use was reset under what was running on it.
  // `undelivered`: the server provably never got the end of it.
  void OnLinkGivenUp(bool undelivered);
  // The answer to SessionShell::WaitAtGate.
  // `replica`: where this may go instead of to the primary; invalid: nowhere else.
  void OnGateReleased(routing::BackendId replica);
  void OnGateRefused(wire::ClientError code, std::string_view reason, uint32_t retry_after_ms);
  // Once a second: a MariaDB client that asks for progress reports gets one for its held statement.
  void ReportHeld();
  // The gate of `shard` has closed: what still waits for a connection waits at the gate instead.
  void OnGateClosed(routing::ShardId shard);
  // What comes from the client can't be read any more (its compression is broken): says so where an
  // answer is due or may be, and closes. False: in the middle of an answer there is no place for
  // it.
  [[nodiscard]] bool OnClientUnreadable(wire::ClientError why);
  // The client is gone, or killed: gives everything back, and asks nothing else of the shell.
  void OnClientGone();
  // COM_CHANGE_USER has been agreed.
  void OnUserChanged(SessionLogin login);
  // It was refused. False: the client is to be closed, as MySQL does. MariaDB lets the old user go
  // on with a fresh session in the same schema, and after three refusals answers 1047 (captured).
  [[nodiscard]] bool OnChangeUserRefused();
  void OnKillDone(bool found, uint64_t id);
  // The tenant's account, bound at login.
  void TakeLimits(routing::TenantHandle limits);
  // KILL QUERY for a statement that waits for a connection. True: it was answered.
  bool InterruptWaiting();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] BackendLink* link() const { return link_; }
  [[nodiscard]] const SessionLogin& login() const { return login_; }
  [[nodiscard]] const PinSet& pins() const { return pins_; }
  [[nodiscard]] std::string_view tenant() const { return tenant_.tenant(); }
  // What the present or last command belongs to.
  [[nodiscard]] std::string_view tenant_of_command() const {
    return hint_tenant_.empty() ? tenant_.tenant() : std::string_view(hint_tenant_);
  }
  // The current one, as the client named it.
  [[nodiscard]] const std::string& schema() const { return tenant_.schema(); }
  // When the last command came.
  [[nodiscard]] uint64_t command_started_ns() const { return request_.started_ns; }
  // When the command under way was sent, or would have been but for a gate: without its wait there.
  [[nodiscard]] uint64_t begun_ns() const {
    return request_.released ? request_.released_ns : request_.started_ns;
  }
  // Its text without values, while its end is counted; empty where it has none.
  [[nodiscard]] std::string DigestOfLast() { return DigestOfSent(link_); }
  // Of the last command that went to one.
  [[nodiscard]] routing::ShardId shard() const { return target_.shard; }
  [[nodiscard]] bool idle() const { return state_ == State::ExpectCommand; }
  // Something of the command under way may be on its way to a server.
  [[nodiscard]] bool runs() const {
    return state_ == State::ExpectResponse || state_ == State::ExpectRequestRest ||
           state_ == State::ExpectLocalData || state_ == State::ExpectRestore;
  }
  [[nodiscard]] bool held_at_gate() const { return state_ == State::ExpectGate; }

 private:
  static constexpr std::string_view kKillAlone =
      "KILL stands alone in its statement here, with a connection id as a number";

  // The command under way.
  struct Request {
    wire::Command command{};
    ResponseGrammar grammar = ResponseGrammar::kSimple;
    sql::StatementKind kind = sql::StatementKind::kOther;
    uint32_t flags = 0;         // sql::StatementFlag
    uint32_t statement_id = 0;  // the client's, of a prepared statement; 0: none
    uint64_t started_ns = 0;
    uint64_t released_ns = 0;       // of `released`
    uint64_t rest_of_frame = 0;     // bytes of the current frame not yet taken from the client
    uint64_t size = 0;              // bytes of its frames, as their headers say
    std::optional<Pin> pin_before;  // from the moment it is sent, whatever the answer
    bool pin_is_new = false;        // pin_before was not there before
    uint8_t last_sequence = 0;      // of the client's packets so far
    uint32_t thread_id = 0;         // of the connection it was sent on
    uint8_t attempts = 0;           // connections that died before it was sent
    bool more_frames = false;       // the current frame is full: another follows
    bool sent = false;              // at least one byte of it is on its way
    bool may_make_tables = false;   // of another kind
    bool unknown_tables = false;    // names a schema whose tables may not be transactional
    bool limited = false;           // it counts as running for its tenant
    bool released = false;          // it waited at a gate, and was let through
    uint64_t asked_under = 0;       // the order for its tenant when it came to the gate; 0: none
    bool for_tenant = false;        // it goes to where its tenant is, wherever that is by now
    routing::BackendId replica{};   // of `released`: to this one, not to the primary
    bool no_replica = false;        // one could not be reached: the primary, then
    bool forwarded = false;         // at least one byte of its answer went to the client
    bool uses_schema = false;       // USE, COM_INIT_DB: the connection's own schema does not matter
    bool read_again = false;        // the server reads texts otherwise than was assumed at first
  };
  // What the command changes once the server has said OK. Rare, so apart.
  struct Effects {
    StateVectorPtr state;
    std::optional<Pin> pin;
    std::optional<Pin> pin_on_error;
    bool unlocks_tables = false;
    std::unique_ptr<sql::LockCalls> locks;  // GET_LOCK and its kin
    int temporary_tables = 0;               // made, or (below 0) dropped
    bool uncounted_temporary_tables = false;
    std::optional<uint64_t> last_insert_id;
    std::string text;  // of COM_STMT_PREPARE
    std::optional<TenantBinding> tenant;
  };

  // session.cc
  size_t TakeCommand(std::span<uint8_t> bytes);
  void Dispatch(std::span<uint8_t> head);
  size_t ForwardRequestRest(std::span<uint8_t> bytes);
  size_t ForwardLocalData(std::span<uint8_t> bytes);
  size_t DiscardRequestRest(std::span<uint8_t> bytes);
  [[nodiscard]] size_t DiscardLocalData(std::span<uint8_t> bytes);
  // The backend connection is in the middle of a request or an answer.
  [[nodiscard]] bool InMidStatement() const;
  [[nodiscard]] bool ContinuesTransaction() const { return link_ != nullptr && InTransaction(); }
  [[nodiscard]] bool CountsOn(uint8_t sequence);
  // Takes the header of a long command's next frame. False: not there yet, or answered and closed.
  [[nodiscard]] bool TakeNextFrame(std::span<uint8_t> header);
  void SendError(const RouterError& error);
  void WriteError(const RouterError& error);
  void AnswerOk();
  void AnswerError(const RouterError& error, Outcome outcome = Outcome::kRefused);
  void AnswerErrorAndClose(const RouterError& error, Outcome outcome = Outcome::kRefused);
  void FinishCommand(Outcome outcome);
  void Close();
  [[nodiscard]] bool IsLong() const { return request_.rest_of_frame > 0 || request_.more_frames; }
  [[nodiscard]] bool InTransaction() const { return pins_.Has(Pin::kTransaction); }
  [[nodiscard]] RouterError MakeError(wire::ClientError code, std::string_view detail = {}) const;

  // session_query.cc
  void OnQuery(std::span<uint8_t> head);
  void RouteText(const sql::StatementInfo& info, std::span<uint8_t> head);
  void NoteBegin(const sql::StatementInfo& info, std::string_view text);
  [[nodiscard]] bool HandleTenantAssignment(const sql::StatementInfo& info);
  void ChangeTenant(const std::string& tenant);
  void CollectEffects(const sql::StatementInfo& info, std::string_view text);
  [[nodiscard]] static std::optional<Pin> PinOf(const sql::StatementInfo& info);
  [[nodiscard]] bool AnswerDiagnosticsLocally(const sql::StatementInfo& info);
  [[nodiscard]] bool AnswerNumberLocally(const sql::StatementInfo& info, std::string_view text);
  void CollectLockEffects(const sql::StatementInfo& info, std::string_view text, Effects* effects);
  void OnUseSchema(std::string_view schema, std::span<uint8_t> head);
  void OnKill(uint64_t id, bool query_only);
  [[nodiscard]] const sql::LexerMode& lexer_mode();
  [[nodiscard]] bool ReadAgain(std::span<uint8_t> head);
  [[nodiscard]] std::optional<RouterError> RefuseMultiStatement(
      const sql::StatementInfo& info) const;

  // session_prepared.cc
  void OnPrepare(std::span<uint8_t> head);
  void OnExecute(std::span<uint8_t> head);
  void OnLongData(std::span<uint8_t> head);
  void OnStatementCommand(std::span<uint8_t> head);  // fetch, reset
  void OnStatementClose(std::span<uint8_t> head);
  [[nodiscard]] ClientStatement* FindStatement(std::span<uint8_t> head);
  [[nodiscard]] ClientStatement* CurrentStatement();
  [[nodiscard]] const ClientStatement* CurrentStatement() const {
    return const_cast<Session*>(this)->CurrentStatement();
  }
  void ExecuteTenantAssignment(ClientStatement* statement, const sql::StatementInfo& info,
                               std::span<uint8_t> head);
  [[nodiscard]] bool NeedsPrepare();
  [[nodiscard]] bool HidesNewColumns(const ClientStatement& statement,
                                     const ServerStatements::Entry& entry) const;
  [[nodiscard]] StateVectorPtr PrepareIn(const ClientStatement& statement);
  void NoteColumns(ClientStatement* statement, ServerStatements::Entry* server) const;
  void RememberPrepared(const LinkErrand::Answer& answer);
  void CloseOnServer(const std::vector<uint32_t>& server_ids);
  static void CloseOnServerOf(BackendLink* link, const std::vector<uint32_t>& server_ids);
  [[nodiscard]] bool SendHead(std::span<uint8_t> head);
  [[nodiscard]] bool SendExecute(ClientStatement* statement, ServerStatements::Entry* server,
                                 std::span<uint8_t> head);
  [[nodiscard]] bool SendRebuilt(std::span<uint8_t> head, std::span<const uint8_t> rebuilt);
  [[nodiscard]] ServerStatements::Entry* OnServer(const ClientStatement& statement);
  void ForgetLongData(ClientStatement* statement);
  void UpdateStatementPins();
  void FinishPrepare();
  void FinishExecute();

  // session_commands.cc
  [[nodiscard]] bool OnCommandThatMayBeLong(std::span<uint8_t> head);
  void OnShortCommand(std::span<uint8_t> head);
  void ForwardPlain(ResponseGrammar grammar, std::span<uint8_t> head);
  void OnPing(std::span<uint8_t> head);
  void OnSetOption(std::span<uint8_t> head);
  void OnResetConnection();
  void OnProcessKill(std::span<uint8_t> head);
  void OnChangeUser(std::span<uint8_t> head);
  void ForgetState();
  void BeginAnew(bool server_charsets);

  // session_link.cc
  [[nodiscard]] RouteTarget HomeOf(const RouteTarget& target) const;
  void Place(const RouteTarget& target, std::span<uint8_t> head);
  void LoseLinkIfMoved(const RouteTarget& target);
  [[nodiscard]] bool HomeMoved() const;
  [[nodiscard]] RouteTarget PresentTarget() const;
  [[nodiscard]] RouterError Unavailable(const RouterError& reason) const;
  [[nodiscard]] routing::BackendId AnyBackend() const;
  void Hold(std::span<uint8_t> head);
  void Attach(BackendLink* link);
  void UseLink(std::span<uint8_t> head);
  void AddReset(LinkErrand* errand);
  void AddPlan(const StateVectorPtr& has, const StateVectorPtr& wanted, LinkErrand* errand) const;
  void OnRestoreBytes(std::span<uint8_t> bytes);
  void FinishRestore();
  void LoseLink();
  void OnRestoreFailed(const LinkErrand& errand, const LinkErrand::Answer& failed);
  void SendRequest(std::span<uint8_t> head);
  void RequestIsComplete();
  void NoteBeforeSending();
  void KeepOrGiveBack();
  void GiveBack(ReleaseHow how);
  void GiveBackAndTryAnother(std::span<uint8_t> head);

  // session_gate.cc
  // False: the tenant is over its limit, and the command was answered.
  [[nodiscard]] bool StartWithinLimits();
  [[nodiscard]] bool MustWait(const RouteTarget& target, std::span<uint8_t> head);
  [[nodiscard]] bool WaitsOut(const RouteTarget& target) const;
  void AskGate(std::span<uint8_t> head);
  [[nodiscard]] bool ReadsOnly() const;
  [[nodiscard]] bool IsPlainRead() const;
  [[nodiscard]] uint64_t TablesVersion(routing::BackendId backend) const;
  [[nodiscard]] bool TransactionalSoFar() const;
  [[nodiscard]] static bool MayMakeTables(const sql::StatementInfo& info);
  [[nodiscard]] bool ReplicaWillDo() const;
  [[nodiscard]] bool TablesKnown(const RouteTarget& target, const sql::StatementInfo& info) const;
  void RefreshLimits();
  [[nodiscard]] bool TenantHeld();
  void EndRelease(bool answered);
  void PlaceAgain();

  // session_loss.cc
  void NoteLossBetweenCommands();
  void AnswerLostTransaction();
  void AnswerLostState();
  void AnswerLostStatement(const BackendLink* lost, bool known_dead, bool undelivered = false);
  [[nodiscard]] std::string DigestOfSent(const BackendLink* lost);
  void AnswerVerdict(const routing::Verdict& verdict, bool unknown, bool sends_file);
  void AnswerWaitingLoss();
  void NoteUnreadLost(const BackendLink* lost);
  void OnLossInRestore();
  [[nodiscard]] routing::InFlightFacts FactsOf(bool known_dead, bool undelivered) const;

  // session_response.cc
  void OnUnexpectedBytes();
  void OnResponseBytes(std::span<uint8_t> bytes);
  void FinishResponse();
  void AnswerGoodbye();
  // Of the last packet before the server's next one, as the client counts.
  [[nodiscard]] uint8_t ClientSequence(uint8_t next_of_server) const;
  void ApplyStatus();
  void ApplyEffects();
  void ApplyLocks(const sql::LockCalls& calls);
  void NoteDiagnostics();
  void NoteCounts();
  void UnpinWhatDidNotRun();

  SessionShell* const shell_;
  SessionContext* const context_;
  SessionLogin login_;
  State state_ = State::ExpectCommand;
  uint8_t changes_refused_ = 0;  // COM_CHANGE_USER
  uint16_t status_ = 0;          // server status flags as the client knows them
  PinSet pins_;
  routing::ShardId link_shard_;    // whose data link_ is for; invalid: nobody's
  routing::Epoch placed_in_;       // version of the topology in which link_ was had
  bool lost_transaction_ = false;  // its connection died between two commands: the next one is told
  bool lost_state_ = false;
  bool transaction_may_commit_ =
      false;  // something was sent since BEGIN that can commit or run stored code
  bool transaction_may_be_over_ = false;  // an ERR came that may have ended it, and no status since
  bool transaction_wrote_ = false;
  uint64_t tables_version_ = 0;              // when it first wrote
  bool transaction_unknown_tables_ = false;  // wrote where tables may not be transactional
  bool only_begun_ = false;   // a plain BEGIN is all that was sent of this transaction
  bool begin_again_ = false;  // its connection is gone: the next one gets begin_text_ first
  std::string begin_text_;
  int temporary_tables_ = 0;  // as far as they can be counted
  bool temporary_tables_counted_ = true;
  int64_t row_count_ = -1;  // what ROW_COUNT() and FOUND_ROWS() must say on another connection
  struct Refusal {
    RouterError error;
    Outcome outcome;
    bool local_data = false;  // what is read first: LOCAL INFILE's packets up to the empty one
    bool closes = false;      // afterwards
  };
  std::unique_ptr<Refusal> refusal_;    // of State::ExpectDiscard
  std::optional<uint64_t> found_rows_;  // not known after a statement without a result
  bool tables_locked_ = false;
  bool locked_by_tables_only_ = true;  // Pin::kLock is LOCK TABLES alone: UNLOCK TABLES ends it
  bool link_is_new_ = false;           // nothing of this session was sent on link_ yet
  BackendLink* link_ = nullptr;
  TenantBinding tenant_;
  std::string hint_tenant_;  // of the command under way
  routing::TenantHandle limits_;
  std::string limits_tenant_;    // whose limits_ is
  RouteTarget target_;           // of the command under way, afterwards of link_
  StateVectorPtr state_vector_;  // what a connection must have for this session
  StateVectorPtr wanted_;  // the same for the command under way, whose hint may mean another schema
  sql::LexerMode lexer_mode_;
  StateVectorPtr lexer_mode_of_;  // the vector that lexer_mode_ was made from, and the defaults
  const ReadingDefaults* lexer_defaults_ = nullptr;
  Request request_;
  std::unique_ptr<Effects> effects_;
  StateVectorPtr restored_to_;  // by the errand under way
  std::vector<uint8_t> held_;   // the command's head while it waits for a connection
  ResponseTracker tracker_;
  std::unique_ptr<SequenceShift> shift_;  // of the command under way, if it has reported progress
  std::unique_ptr<LinkErrand> errand_;
  ClientStatements statements_;
  std::unique_ptr<SavedDiagnostics> saved_;
  std::unique_ptr<NamedLocks> named_locks_;  // that the server may hold for this session
  uint64_t last_insert_id_ = 0;              // what LAST_INSERT_ID() must say on another connection
  bool last_insert_id_lost_ = false;         // nobody had read it when its connection went
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_SESSION_H_
