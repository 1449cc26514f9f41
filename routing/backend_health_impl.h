// The parts of BackendHealth; included by backend_health*.cc only. The contract is in
// routing/backend_health.h.
//
// backend_health.cc           the interface
// backend_health_evidence.cc  evidence is noted
// backend_health_judge.cc     evidence -> signals -> verdict
// backend_health_states.cc    verdict -> state, recovery, what is given up
// backend_health_schedule.cc  which probe next
// backend_health_words.cc     why
#ifndef BULKHEAD_ROUTING_BACKEND_HEALTH_IMPL_H_
#define BULKHEAD_ROUTING_BACKEND_HEALTH_IMPL_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "routing/backend_health.h"
#include "routing/health_board.h"
#include "routing/health_history.h"
#include "routing/health_late.h"

namespace bulkhead::routing {

enum class Verdict : uint8_t { kFine, kSuspect, kDown };

// Which rule gave the verdict.
enum class VerdictRule : uint8_t {
  kNone,
  kProcess,    // nothing answers
  kCrash,      // refused and reset
  kReadsHang,  // P2, with or without P3
  kBlocked,    // 1129
  kIdentity,   // closed connections, not yet known who it is
};

struct Judgement {
  Verdict verdict = Verdict::kFine;
  VerdictRule rule = VerdictRule::kNone;
  uint32_t signals = 0;
  uint32_t failures = 0;
  bool silent = false;  // also where it is no independent signal
};

enum class RecoveryStage : uint8_t { kIdentity, kAbandoned, kCanaries, kDone };

class BackendHealth::Impl {
 public:
  Impl(const HealthRules& rules, BackendRole role, uint64_t seed, MonoTime now);

  // backend_health_evidence.cc
  void OnTraffic(const TrafficSample& sample, MonoTime now);
  void OnProbe(uint64_t probe, const ProbeResult& result, MonoTime now);
  void OnHungProbe(uint64_t probe, HungEnd end, MonoTime now);
  void OnProbeConnectionLost(ProbeKind kind, ConnectionError error, MonoTime now);
  void OnConnectionError(ConnectionError error, MonoTime now);
  void OnLogin(const ProbeResult& result, MonoTime now);
  void NoteLife(MonoTime at);
  void NoteCommit(MonoTime at);
  void NoteReset(ConnectionError error, MonoTime now);
  void SetRole(BackendRole role, MonoTime now);
  void NoteMark(OperatorMark mark, MonoTime now);
  void Note(const EvidenceRecord& record);
  void Notice(std::string text);
  void ProbeAnswered(ProbeKind kind, bool fresh, MonoTime started, MonoTime now);
  void ProbeFailed(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
                   MonoTime now);
  void ProbeRefusedByServer(ProbeKind kind, const ProbeResult& result, MonoTime now);
  void ProbeServerError(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
                        MonoTime now);
  void ProbeTimedOut(uint64_t id, ProbeKind kind, const ProbeResult& result, MonoTime now);
  void CountOverdue(MonoTime now);

  // backend_health_judge.cc
  Judgement Judge(MonoTime now) const;
  uint32_t Signals(MonoTime now, bool at_limit) const;
  bool JudgeProcess(MonoTime now, Judgement* judgement) const;
  bool JudgeReads(MonoTime now, Judgement* judgement) const;
  MonoTime SilentSince() const;  // kNoTime: nothing is in flight
  Duration SilentFor(MonoTime now) const;
  Duration UnansweredFor(MonoTime now) const;  // nothing in flight was answered completely
  Duration WritesSilentFor(MonoTime now) const;
  MonoTime DeadSince() const;  // since when there was no proof of life
  MonoTime OutageSince(const Judgement& j, MonoTime now) const;
  bool ResetStands(MonoTime now) const;
  bool Blind() const;          // no probe can log in
  bool CommitsUsable() const;  // P3 can tell something here
  bool ReadsUsable() const;
  bool Saturated() const;
  bool Stalled(MonoTime now) const;
  bool ReadOnly() const { return role_ == BackendRole::kPrimary && read_only_; }
  bool Fails(MonoTime now) const;  // something asks for all probes now

  // backend_health_states.cc
  void Step(MonoTime now);
  BackendState Target(const Judgement& j, MonoTime now);
  BackendState TargetUnknown(const Judgement& j, MonoTime now) const;
  BackendState TargetSuspect(const Judgement& j, MonoTime now) const;
  BackendState TargetDown(const Judgement& j, MonoTime now) const;
  BackendState TargetRecovering(const Judgement& j, MonoTime now) const;
  BackendState OpenState(MonoTime now) const;
  void Enter(BackendState to, const Judgement& j, MonoTime now);
  void GiveUp(MonoTime now);
  void Recover(MonoTime now);
  void AskIdentity(MonoTime now);
  void OnIdentity(const IdentityFacts& facts, MonoTime now);
  std::string FenceReason(const IdentityFacts& facts) const;
  void OnAbandoned(const AbandonedReport& report, MonoTime now);
  void ForgetAbandoned();
  void OnGaveUp(uint32_t connections, MonoTime now);
  bool Abandons(MonoTime now) const;  // something was given up and is not settled
  uint32_t Flaps(MonoTime now) const;
  Duration CalmNeeded(MonoTime now) const;
  uint32_t CanariesNeeded(MonoTime now) const;
  ProbeKind CanaryKind() const;
  GateEffect Effect() const;

  // backend_health_schedule.cc
  void Schedule(MonoTime now);
  MonoTime ScheduleKind(ProbeKind kind, MonoTime now);
  bool Eligible(ProbeKind kind, bool fresh) const;
  Duration Interval(ProbeKind kind, MonoTime now) const;
  Duration PingInterval(MonoTime now) const;
  Duration CommitInterval(MonoTime now) const;
  Duration Timeout(ProbeKind kind, bool fresh) const;
  void StartProbe(ProbeKind kind, bool fresh, MonoTime now);
  uint64_t Random();

  // backend_health_words.cc
  std::vector<std::string> Reasons(BackendState state, const Judgement& j, MonoTime now) const;
  void AddProbeReasons(ProbeKind kind, MonoTime now, std::vector<std::string>* out) const;
  void AddEvidenceReasons(const Judgement& j, MonoTime now, std::vector<std::string>* out) const;
  void AddRecoveryReasons(MonoTime now, std::vector<std::string>* out) const;

  HealthRules rules_;
  BackendRole role_;
  OperatorMark mark_ = OperatorMark::kAuto;
  uint64_t random_;
  uint64_t next_probe_ = 1;
  std::vector<HealthAction> actions_;
  EvidenceRing history_;

  BackendState state_ = BackendState::kUnknown;
  MonoTime since_;
  MonoTime born_;
  MonoTime next_wake_ = kMonoNever;
  MonoTime last_step_ = kNoTime;
  MonoTime last_bad_ = kNoTime;  // the last verdict that was not fine
  std::deque<MonoTime> flaps_;   // suspicions that began, at most 16

  // Evidence.
  LateLog late_;          // this loop
  LateLog silence_late_;  // this loop or a worker's
  ProbeBoard board_;
  MonoTime life_ = kNoTime;
  bool have_traffic_ = false;
  TrafficSample traffic_;
  uint64_t bytes_mark_ = 0;
  MonoTime bytes_mark_at_ = kNoTime;
  bool silence_noted_ = false;
  MonoTime last_commit_ = kNoTime;
  MonoTime reset_at_ = kNoTime;
  MonoTime probe_reset_at_ = kNoTime;  // of a persistent probe connection
  uint32_t resets_ = 0;                // since the last proof of life
  ConnectionError reset_error_ = ConnectionError::kReset;
  uint32_t refused_row_ = 0;  // new connections, all kinds
  MonoTime refused_at_ = kNoTime;
  uint32_t full_row_ = 0;         // 1040
  uint32_t blocked_row_ = 0;      // 1129
  uint16_t login_refused_ = 0;    // the code; 0: the account is taken
  uint16_t commit_unusable_ = 0;  // the code with which the canary can't be written at all
  uint16_t read_error_ = 0;
  bool read_only_ = false;
  bool read_only_known_ = false;
  ReplicaView replica_view_ = ReplicaView::kUnknown;
  MonoTime replica_view_at_ = kNoTime;
  bool all_bad_ = false;
  bool said_blind_ = false;

  // Identity.
  std::optional<IdentityFacts> baseline_;
  bool identity_wanted_ = false;
  bool identity_doubt_ = false;        // connections were closed; who is there now?
  MonoTime identity_asked_ = kNoTime;  // outstanding since
  MonoTime identity_tried_ = kNoTime;
  MonoTime identity_known_ = kNoTime;  // last answer that was known
  uint32_t identity_failures_ = 0;
  bool restarted_ = false;  // seen restarted, and not yet recovered from it
  std::string fence_;

  // In flight and recovery.
  MonoTime outage_since_ = kNoTime;  // what the verdict down rests on began
  MonoTime next_give_up_ = kNoTime;
  MonoTime gave_up_asked_ = kNoTime;  // and not answered yet: nobody knows what is abandoned
  uint32_t abandoned_ = 0;
  bool abandoned_checkable_ = true;
  MonoTime kill_asked_ = kNoTime;
  RecoveryStage stage_ = RecoveryStage::kIdentity;
  MonoTime stage_since_ = kNoTime;
  uint32_t canaries_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_BACKEND_HEALTH_IMPL_H_
