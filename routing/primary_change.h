// PrimaryChange: how a shard gets another primary, as a machine; the ground that Switchover and
// Failover stand on.
//
// Purpose: which step comes next, what undoes which, when it may be cancelled, and what a lost
// answer means. It knows no SQL: a step is a word, and somebody else's hands carry it out and
// report.
// Pure: events and the time go in, actions come out (TakeActions, in order). Owner: the control
// thread. Times must not go back; call Tick no later than next_wake().
//
// STORED BEFORE SENT. Each step is written down (kStoreStep, answered by OnStored) before its own
// action (kRunStep, answered by OnStep) goes out. What was stored is enough for Resume in another
// process: up to the promotion everything is undone, after it everything is finished, and at the
// promotion the candidate is asked. A step that could not be stored is not sent, unless it undoes,
// or finishes what was promoted: there, what is stored already leads to the same end.
//
// ANSWERS. kFailed: for certain not done. kUnknown: the answer was lost; perhaps done. The hands
// promise that a statement whose answer was lost has ended, one way or the other, before they begin
// another step on the same server (they kill its connection and see it gone). Every kRunStep gets
// exactly one OnStep by its timeout; the machine waits kGrace longer and then counts it as unknown.
//
// THE POINT OF NO RETURN is kPromote. Before it any failure or Cancel puts everything back. If its
// answer is not a plain yes, the candidate is asked (kConfirm) until it says whether it is
// writable: writable, it goes on; read-only, it is undone; no answer, both servers stay frozen and
// the shard held, and an alert fires, until it answers or an operator cancels (Outcome::kFrozen).
//
// ENDS. kFinished, kPutBack and kRefused leave no hold of ours behind. kFrozen does, and says so.
#ifndef BULKHEAD_ROUTING_PRIMARY_CHANGE_H_
#define BULKHEAD_ROUTING_PRIMARY_CHANGE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/mono_time.h"

namespace bulkhead::routing {

enum class ChangeStep : uint8_t {
  kInspect,        // look at all servers and for other routers; nothing is changed
  kHold,           // hold the shard's new work; every worker has acknowledged it
  kDrain,          // how much of the shard's work still runs?
  kEndRunning,     // kill the connections that still run something on the old primary
  kFreezeOld,      // old primary: events off, read-only
  kEndPrivileged,  // old primary: kill the sessions that may write all the same
  kReadPosition,   // old primary: its position, twice
  kCatchUp,        // candidate: wait until it has executed all of that
  kFence,          // the fence command, or the conditions that stand for one
  kStopReceiving,  // candidate: stop the receiving thread only
  kApplyReceived,  // candidate: wait until all that was received is applied
  kDetach,         // candidate: stop replication
  kPromote,        // candidate: writable
  kConfirm,        // candidate: is it writable?
  kPublish,        // the new primary, in the store and on every worker; the epoch is raised
  kProve,          // new primary: the epoch's row and a canary commit
  kRelease,        // let the held work go
  kRepoint,        // another server of the shard: replicate from the new primary
  kKeepSemiSync,   // new primary: semi-synchronous replication as it was on the old one
  kSettle,         // new primary: forget its source, events and scheduler on
  kThawOld,        // old primary: writable again, events as they were
  kReattach,       // candidate: replication as it was
};
inline constexpr size_t kChangeSteps = static_cast<size_t>(ChangeStep::kReattach) + 1;
std::string_view ToString(ChangeStep step);
std::optional<ChangeStep> ChangeStepOf(std::string_view word);

enum class ChangeKind : uint8_t { kSwitchover, kFailover };
std::string_view ToString(ChangeKind kind);

// What is to be done. Names of backends are 1..64 of [A-Za-z0-9_.-] (routing/topology.h).
struct ChangePlan {
  ChangeKind kind = ChangeKind::kSwitchover;
  std::string shard{};
  std::string old_primary{};
  std::string candidate{};
  std::vector<std::string> others{};            // the shard's other replicas
  Duration timeout = std::chrono::seconds(10);  // for running work, and for the candidate
  bool dry_run = false;
  bool accept_data_loss = false;    // failover
  bool accept_split_brain = false;  // failover
  bool fence_configured = false;    // failover
  Duration fence_timeout = std::chrono::seconds(30);
  friend bool operator==(const ChangePlan&, const ChangePlan&) = default;
};

// All that is stored of a change; each kStoreStep has a whole one.
struct ChangeRecord {
  ChangePlan plan{};
  ChangeStep step = ChangeStep::kInspect;  // about to be sent
  std::string server{};                    // whom kRepoint is about
  bool undoing = false;
  bool promoted = false;  // for certain
  bool semi_sync = false;
  bool fenced = false;  // the old primary, for certain
  std::string position{};
  std::string saved{};  // what the hands need to put things back; their own words
  std::string why{};    // it is undone
  friend bool operator==(const ChangeRecord&, const ChangeRecord&) = default;
};
// As text for the store: a line each. Decode: nullopt for what Encode never made.
std::string EncodeChange(const ChangeRecord& record);
std::optional<ChangeRecord> DecodeChange(std::string_view text);

struct ChangeRow {  // of DRY RUN
  std::string step;
  std::string server;
  std::string check;
  std::string result;
};

struct StepReport {
  enum class Result : uint8_t { kOk, kFailed, kUnknown };
  Result result = Result::kOk;
  std::string why{};  // not kOk
  // kInspect.
  std::vector<std::string> reasons{};  // what stands against the change, all at once
  std::vector<std::string> notes{};    // what should be known, and is no reason
  std::vector<ChangeRow> rows{};
  std::string saved{};
  // Switchover: the old primary waits for replicas; failover: the candidate will.
  bool semi_sync = false;
  bool semi_sync_fence = false;  // failover: so that it can't acknowledge without one, ever
  bool lossless = false;         // failover: nothing acknowledged can be missing on the candidate
  // kInspect and kApplyReceived of a failover: at least these would be lost.
  std::vector<std::string> lost{};
  uint32_t busy = 0;       // kDrain: statements and transactions that must end
  bool locked = false;     // kFreezeOld failed for somebody's lock
  std::string position{};  // kReadPosition
  bool stable = true;      // kReadPosition: both were equal
  bool writable = false;   // kConfirm
};

struct ChangeAction {
  enum class Kind : uint8_t {
    kStoreStep,  // id, record: answer by OnStored
    kRunStep,    // id, step, server, attempt, timeout, record: answer by OnStep
    kAbortStep,  // id: its answer isn't waited for any more; it changes nothing on any server
    kProgress,   // words
    kAlert,      // words: a person is needed
    kEnd,        // outcome, words; nothing follows
  };
  Kind kind = Kind::kProgress;
  uint64_t id = 0;
  ChangeStep step = ChangeStep::kInspect;
  std::string server{};
  uint32_t attempt = 0;  // from 0
  Duration timeout{};
  ChangeRecord record{};
  std::string words{};
};

enum class ChangeOutcome : uint8_t {
  kRunning,
  kFinished,
  kRefused,  // nothing was changed
  kDryRun,
  kPutBack,
  kFrozen,  // given up by an operator while it was not known; the shard stays held
};
std::string_view ToString(ChangeOutcome outcome);

class PrimaryChange {
 public:
  static constexpr Duration kGrace = std::chrono::seconds(2);
  static constexpr Duration kRetryPause = std::chrono::milliseconds(200);
  static constexpr Duration kSlowRetryPause = std::chrono::seconds(2);
  static constexpr Duration kDrainPause = std::chrono::milliseconds(10);
  static constexpr uint32_t kTriesBeforeAlert = 3;  // of what must succeed
  static constexpr uint32_t kTries = 3;             // of what should

  virtual ~PrimaryChange() = default;
  PrimaryChange(const PrimaryChange&) = delete;
  PrimaryChange& operator=(const PrimaryChange&) = delete;

  void Start(MonoTime now);
  // After a restart, with what was stored last.
  void Resume(const ChangeRecord& record, MonoTime now);
  void OnStored(uint64_t id, bool ok, MonoTime now);
  void OnStep(uint64_t id, const StepReport& report, MonoTime now);
  // An operator's. Once promoted it is too late, and nothing happens; frozen, it ends there.
  void Cancel(MonoTime now);
  void Tick(MonoTime now);
  [[nodiscard]] MonoTime next_wake() const { return wake_; }
  [[nodiscard]] std::vector<ChangeAction> TakeActions();

  [[nodiscard]] ChangeOutcome outcome() const { return outcome_; }
  [[nodiscard]] const ChangeRecord& record() const { return record_; }
  // The last step's; for people.
  [[nodiscard]] const std::string& words() const { return words_; }
  [[nodiscard]] const std::vector<ChangeRow>& rows() const { return rows_; }
  [[nodiscard]] const std::vector<std::string>& reasons() const { return reasons_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  [[nodiscard]] bool alerted() const { return alerted_; }

 protected:
  explicit PrimaryChange(ChangePlan plan);

  // The answer to a step before the promotion that was not undone or cancelled meanwhile.
  virtual void OnForward(const StepReport& report, MonoTime now) = 0;
  // The steps behind kPublish, in order; kRepoint stands for one of each of record().plan.others
  // (and of the old primary, for a switchover).
  [[nodiscard]] virtual std::vector<ChangeStep> Finish() const = 0;

  void Begin(ChangeStep step, MonoTime now) { Begin(step, {}, now); }
  // After a pause, without storing it once more.
  void Again(Duration pause, MonoTime now);
  [[nodiscard]] ChangeStep step() const { return step_; }
  void Undo(std::string why, MonoTime now);
  void End(ChangeOutcome outcome, std::string words);
  void Note(std::string words);
  ChangeRecord& mutable_record() { return record_; }
  [[nodiscard]] const ChangePlan& plan() const { return record_.plan; }
  [[nodiscard]] uint32_t attempt() const { return attempt_; }
  void KeepReport(const StepReport& report);

 private:
  enum class Phase : uint8_t { kIdle, kStoring, kRunning, kPausing };
  enum class Weight : uint8_t { kForward, kMust, kShould };

  void Begin(ChangeStep step, std::string server, MonoTime now);
  void Send(MonoTime now);
  void Dispatch(const StepReport& report, MonoTime now);
  void AfterConfirm(const StepReport& report, MonoTime now);
  void NextUndo(MonoTime now);
  void NextFinish(MonoTime now);
  void RetryMust(const StepReport& report, MonoTime now);
  void Alert(std::string words);
  void AfterResumeHold(MonoTime now);
  void LookBeforeUndo(MonoTime now);
  void OnLook(const StepReport& report, MonoTime now);
  void AfterLook(MonoTime now);
  [[nodiscard]] Weight WeightOf(ChangeStep step) const;
  [[nodiscard]] Duration TimeoutOf(ChangeStep step) const;
  [[nodiscard]] std::string ServerOf(ChangeStep step, const std::string& server) const;
  [[nodiscard]] std::string Target(ChangeStep step) const;
  struct FinishStep {
    ChangeStep step;
    std::string server;
  };
  [[nodiscard]] std::vector<FinishStep> FinishList() const;
  // What is stored says that the held work was let go already.
  [[nodiscard]] bool IsReleased() const;

  ChangeRecord record_;
  ChangeOutcome outcome_ = ChangeOutcome::kRunning;
  ChangeStep step_ = ChangeStep::kInspect;  // under way; record_.step is the one stored last
  std::string server_;
  bool resuming_ = false;
  bool looking_ = false;        // asks the candidate, before the old primary is made writable again
  bool seen_writable_ = false;  // then
  Phase phase_ = Phase::kIdle;
  uint64_t last_id_ = 0;
  uint64_t id_ = 0;  // of what is waited for
  uint32_t attempt_ = 0;
  bool held_ = false;      // our hold may be there
  bool froze_ = false;     // the old primary may be frozen by us
  bool detached_ = false;  // the candidate may not replicate, by us
  bool cancelled_ = false;
  bool alerted_ = false;
  MonoTime wake_ = kMonoNever;
  std::vector<ChangeAction> actions_;
  std::string words_;
  std::vector<ChangeRow> rows_;
  std::vector<std::string> reasons_;
  std::vector<std::string> notes_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_PRIMARY_CHANGE_H_
