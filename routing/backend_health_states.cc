// Verdict -> state; what is given up; recovery.
#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/backend_health_impl.h"

namespace bulkhead::routing {
namespace {

// Each statement has a silence of its own: what was sent last is given up that much late at most.
constexpr Duration kGiveUpInterval = std::chrono::milliseconds(250);
constexpr Duration kIdentityRetry = std::chrono::milliseconds(200);
constexpr Duration kIdentityLater = std::chrono::seconds(10);
constexpr Duration kAnswerLost = std::chrono::seconds(5);  // ask again for what was not answered
constexpr uint32_t kIdentityTries = 3;
constexpr size_t kMaxFlaps = 16;

bool IsOpen(BackendState state) {
  return state == BackendState::kUp || state == BackendState::kReadOnly ||
         state == BackendState::kWriteStalled || state == BackendState::kSaturated;
}

}  // namespace

using Impl = BackendHealth::Impl;

uint32_t Impl::Flaps(MonoTime now) const {
  return static_cast<uint32_t>(std::count_if(
      flaps_.begin(), flaps_.end(), [&](MonoTime at) { return now - at < rules_.flap_window; }));
}

Duration Impl::CalmNeeded(MonoTime now) const {
  const uint32_t flaps = Flaps(now);
  if (flaps <= 1) return Duration::zero();
  return std::min(rules_.flap_calm * (1 << std::min(flaps - 2, 10u)), rules_.flap_calm_max);
}

uint32_t Impl::CanariesNeeded(MonoTime now) const {
  const uint32_t flaps = Flaps(now);
  return rules_.canaries + (flaps <= 1 ? 0 : std::min(flaps - 1, rules_.flap_probes_max));
}

ProbeKind Impl::CanaryKind() const {
  if (CommitsUsable()) return ProbeKind::kCommit;
  return ReadsUsable() ? ProbeKind::kRead : ProbeKind::kPing;
}

BackendState Impl::OpenState(MonoTime now) const {
  if (Stalled(now)) return BackendState::kWriteStalled;
  if (ReadOnly()) return BackendState::kReadOnly;
  if (Saturated()) return BackendState::kSaturated;
  return BackendState::kUp;
}

BackendState Impl::TargetUnknown(const Judgement& j, MonoTime now) const {
  if (j.verdict == Verdict::kDown) return BackendState::kDown;
  if (j.verdict == Verdict::kSuspect) return BackendState::kUnknown;
  if (Blind()) return BackendState::kUp;
  const ProbeTrack& ping = board_.track(ProbeKind::kPing);
  if (!ping.connected) return Saturated() ? BackendState::kSaturated : BackendState::kUnknown;
  if (ReadsUsable() && board_.track(ProbeKind::kRead).good == 0) return BackendState::kUnknown;
  if (identity_known_ == kNoTime && identity_failures_ < kIdentityTries) {
    return BackendState::kUnknown;
  }
  if (CommitsUsable() && !read_only_known_ && !Stalled(now)) return BackendState::kUnknown;
  return OpenState(now);
}

BackendState Impl::TargetSuspect(const Judgement& j, MonoTime now) const {
  if (j.verdict == Verdict::kDown) return BackendState::kDown;
  const Duration lasted = late_.Elapsed(since_, now);
  if (j.verdict == Verdict::kSuspect) {
    if (std::popcount(j.signals) >= 2) return BackendState::kSuspect;
    // Nothing seconds it. If the server has shown life meanwhile, a lone signal is no reason to
    // hold work for good: Enter() drops the evidence, so that it has to come again. If it has not,
    // there is nothing to wait for.
    if (life_ > since_)
      return lasted >= 2 * rules_.suspect_limit ? OpenState(now) : BackendState::kSuspect;
    const Duration patience = all_bad_ ? rules_.all_down_after : rules_.suspect_limit / 2;
    return lasted >= patience ? BackendState::kDown : BackendState::kSuspect;
  }
  if (restarted_ || Abandons(now)) return BackendState::kRecovering;
  if (lasted >= rules_.suspect_limit) return OpenState(now);
  if (life_ <= since_) return BackendState::kSuspect;
  uint32_t good = 0;
  for (size_t i = 0; i < kProbeKinds; ++i) {
    good = std::max(good, board_.track(static_cast<ProbeKind>(i)).good);
  }
  const uint32_t flaps = Flaps(now);
  const uint32_t needed = flaps <= 1 ? 1 : std::min(flaps, rules_.flap_probes_max);
  if (!Blind() && good < needed) return BackendState::kSuspect;
  if (late_.Elapsed(last_bad_, now) < CalmNeeded(now)) return BackendState::kSuspect;
  return OpenState(now);
}

BackendState Impl::TargetDown(const Judgement& j, MonoTime now) const {
  if (j.verdict != Verdict::kFine && j.rule != VerdictRule::kIdentity) return BackendState::kDown;
  if (Blind()) {
    const bool again = life_ > since_ || late_.Elapsed(since_, now) >= rules_.settle_time;
    return again ? BackendState::kRecovering : BackendState::kDown;
  }
  const ProbeTrack& ping = board_.track(ProbeKind::kPing);
  const ProbeTrack& read = board_.track(ProbeKind::kRead);
  if (!ping.connected || ping.answered_at <= since_) return BackendState::kDown;
  if (ReadsUsable() && read.answered_at <= since_) return BackendState::kDown;
  return BackendState::kRecovering;
}

BackendState Impl::TargetRecovering(const Judgement& j, MonoTime now) const {
  if (!fence_.empty()) return BackendState::kFenced;
  if (j.verdict == Verdict::kDown) return BackendState::kDown;
  // A suspicion: nothing is released yet, so there is nothing to take back.
  if (j.verdict == Verdict::kSuspect) return BackendState::kRecovering;
  // A commit that hangs since before the outage may be answered in the next millisecond.
  const bool anew = board_.track(ProbeKind::kCommit).last_failure_start >= stage_since_;
  if (stage_ == RecoveryStage::kCanaries && anew && Stalled(now)) {
    return BackendState::kWriteStalled;
  }
  if (stage_ != RecoveryStage::kDone) return BackendState::kRecovering;
  const bool calm = late_.Elapsed(last_bad_, now) >= CalmNeeded(now);
  return calm ? OpenState(now) : BackendState::kRecovering;
}

BackendState Impl::Target(const Judgement& j, MonoTime now) {
  if (mark_ == OperatorMark::kDown) return BackendState::kDown;
  if (mark_ == OperatorMark::kUp) return BackendState::kUp;
  switch (state_) {
    case BackendState::kUnknown:
      return fence_.empty() ? TargetUnknown(j, now) : BackendState::kFenced;
    case BackendState::kSuspect:
      return fence_.empty() ? TargetSuspect(j, now) : BackendState::kFenced;
    case BackendState::kDown:
      return TargetDown(j, now);
    case BackendState::kRecovering:
      return TargetRecovering(j, now);
    case BackendState::kFenced:
      return fence_.empty() ? BackendState::kRecovering : BackendState::kFenced;
    case BackendState::kUp:
    case BackendState::kReadOnly:
    case BackendState::kWriteStalled:
    case BackendState::kSaturated:
      break;
  }
  if (!fence_.empty()) return BackendState::kFenced;
  if (j.verdict == Verdict::kDown) return BackendState::kDown;
  if (j.verdict == Verdict::kSuspect) return BackendState::kSuspect;
  const BackendState open = OpenState(now);
  // What was given up while writes stalled may still run.
  const bool settled = open == BackendState::kWriteStalled || !Abandons(now);
  return restarted_ || !settled ? BackendState::kRecovering : open;
}

void Impl::Enter(BackendState to, const Judgement& j, MonoTime now) {
  HealthAction action;
  action.kind = HealthAction::Kind::kStateChanged;
  action.from = state_;
  action.to = to;
  action.silent_since = life_;
  action.signals = j.signals;
  action.reasons = Reasons(to, j, now);
  const bool was_open = IsOpen(state_);
  const bool bad = to == BackendState::kSuspect || to == BackendState::kDown;
  if (was_open && bad && j.rule != VerdictRule::kIdentity) {
    flaps_.push_back(now);
    if (flaps_.size() > kMaxFlaps) flaps_.pop_front();
  }
  if (state_ == BackendState::kSuspect && j.verdict == Verdict::kSuspect && IsOpen(to)) {
    for (size_t i = 0; i < kProbeKinds; ++i) {
      ProbeTrack& t = board_.track(static_cast<ProbeKind>(i));
      t.row = t.unrefuted = 0;
      t.established_failure = t.fresh_failure = kNoTime;
    }
    identity_doubt_ = false;
  }
  if (to == BackendState::kRecovering) {
    stage_ = RecoveryStage::kIdentity;
    stage_since_ = now;
    canaries_ = 0;
    kill_asked_ = kNoTime;
    abandoned_checkable_ = true;
    restarted_ = false;
    identity_wanted_ = true;
    identity_failures_ = 0;
  }
  if (to == BackendState::kDown) outage_since_ = OutageSince(j, now);
  next_give_up_ = kNoTime;
  state_ = to;
  since_ = now;
  Note({.at = now, .what = EvidenceRecord::What::kState, .state = to});
  actions_.push_back(std::move(action));
}

// Pings may go on proving life while reads hang.
MonoTime Impl::OutageSince(const Judgement& j, MonoTime now) const {
  if (mark_ == OperatorMark::kDown) return now;
  const MonoTime since =
      j.rule == VerdictRule::kReadsHang ? board_.track(ProbeKind::kRead).row_since : DeadSince();
  return since == kNoTime ? now : since;
}

void Impl::GiveUp(MonoTime now) {
  if (rules_.detection != DetectionMode::kFull) return;
  if (next_give_up_ != kNoTime && now < next_give_up_) return;
  HealthAction action;
  action.kind = HealthAction::Kind::kGiveUpInFlight;
  if (state_ == BackendState::kDown) {
    if (have_traffic_ && traffic_.in_flight == 0) return;
    if (late_.Elapsed(outage_since_, now) < rules_.in_flight_grace) return;
    action.silent_before = now - rules_.in_flight_grace;
    // Bytes that trickle are no life: in the end everything on a server that is down is given up.
    if (mark_ != OperatorMark::kDown && late_.Elapsed(since_, now) >= rules_.in_flight_grace) {
      action.silent_before = kMonoNever;
    }
  } else if (state_ == BackendState::kWriteStalled) {
    if (have_traffic_ && traffic_.writes_in_flight == 0) return;
    const MonoTime stalled = board_.track(ProbeKind::kCommit).row_since;
    if (late_.Elapsed(stalled, now) < rules_.stall_limit) return;
    action.silent_before = now - rules_.stall_limit;
    action.writes_only = true;
  } else {
    return;
  }
  next_give_up_ = now + kGiveUpInterval;
  gave_up_asked_ = now;
  actions_.push_back(std::move(action));
}

void Impl::AskIdentity(MonoTime now) {
  if (!identity_wanted_) return;
  if (identity_asked_ != kNoTime && now - identity_asked_ < kAnswerLost) return;
  const bool hopeless = identity_failures_ >= kIdentityTries && state_ != BackendState::kRecovering;
  const Duration pause = hopeless ? kIdentityLater : kIdentityRetry;
  if (identity_tried_ != kNoTime && now - identity_tried_ < pause) return;
  if (!board_.track(ProbeKind::kPing).connected && !Blind()) return;
  identity_asked_ = identity_tried_ = now;
  HealthAction action;
  action.kind = HealthAction::Kind::kCheckIdentity;
  actions_.push_back(std::move(action));
}

std::string Impl::FenceReason(const IdentityFacts& facts) const {
  const IdentityFacts& known = *baseline_;
  if (!facts.server.empty() && !known.server.empty() && facts.server != known.server) {
    return absl::StrCat("it is another server: ", facts.server, ", it was ", known.server);
  }
  if (role_ == BackendRole::kReplica) return "";
  if (!facts.behind.empty()) {
    return absl::StrCat("it is behind what was last seen of it: ", facts.behind);
  }
  if (facts.is_replica && !known.is_replica) return "it is a replica now";
  const bool returning = state_ == BackendState::kRecovering;
  if (returning && facts.read_only && !known.read_only) return "it came back read_only";
  return "";
}

void Impl::OnIdentity(const IdentityFacts& facts, MonoTime now) {
  identity_asked_ = kNoTime;
  EvidenceRecord record{.at = now, .what = EvidenceRecord::What::kIdentity};
  if (!facts.known) {
    Note(record);
    if (++identity_failures_ >= kIdentityTries) identity_doubt_ = false;
    return;
  }
  identity_failures_ = 0;
  identity_known_ = now;
  identity_wanted_ = identity_doubt_ = false;
  record.count = 1;
  if (!baseline_.has_value() || mark_ == OperatorMark::kUp) {
    baseline_ = facts;
    Note(record);
    return;
  }
  const std::string reason = FenceReason(facts);
  const int64_t later = facts.started_at - baseline_->started_at;
  if (!reason.empty()) {
    fence_ = reason;
    record.count = 3;
  } else if (facts.started_at != 0 && baseline_->started_at != 0 && (later > 5 || later < -5)) {
    // The clock of a server may be stepped, but not by accident with its connections lost.
    record.count = 2;
    baseline_->started_at = facts.started_at;
    restarted_ = IsOpen(state_) || state_ == BackendState::kSuspect;
    ForgetAbandoned();
  }
  Note(record);
}

void Impl::ForgetAbandoned() {
  if (abandoned_ == 0) return;
  abandoned_ = 0;
  HealthAction action;
  action.kind = HealthAction::Kind::kForgetAbandoned;
  actions_.push_back(std::move(action));
}

void Impl::OnGaveUp(uint32_t connections, MonoTime now) {
  gave_up_asked_ = kNoTime;
  if (connections == 0) return;
  abandoned_ += connections;
  Note({.at = now, .what = EvidenceRecord::What::kGaveUp, .count = connections});
}

bool Impl::Abandons(MonoTime now) const {
  return abandoned_ != 0 || (gave_up_asked_ != kNoTime && now - gave_up_asked_ < kAnswerLost);
}

void Impl::OnAbandoned(const AbandonedReport& report, MonoTime now) {
  abandoned_checkable_ = report.checkable;
  if (report.checkable) {
    abandoned_ = report.remaining;
    Note({.at = now, .what = EvidenceRecord::What::kAbandoned, .count = report.remaining});
  }
}

void Impl::Recover(MonoTime now) {
  if (state_ != BackendState::kRecovering) return;
  const auto next = [&](RecoveryStage stage) {
    stage_ = stage;
    stage_since_ = now;
  };
  if (stage_ == RecoveryStage::kIdentity) {
    const bool unknowable = Blind() && identity_failures_ >= kIdentityTries;
    if (identity_known_ >= stage_since_ || unknowable) next(RecoveryStage::kAbandoned);
  }
#ifdef BULKHEAD_PLANT_EARLY_RELEASE  // a bug for the simulator's tests: tests/sim must catch it
  if (stage_ == RecoveryStage::kAbandoned) {
    abandoned_ = 0;
    next(RecoveryStage::kDone);
  }
#endif
  if (stage_ == RecoveryStage::kAbandoned && abandoned_ != 0) {
    if (!abandoned_checkable_) {
      if (late_.Elapsed(since_, now) >= rules_.settle_time) ForgetAbandoned();
    } else if (kill_asked_ == kNoTime || now - kill_asked_ >= rules_.kill_interval) {
      kill_asked_ = now;
      HealthAction action;
      action.kind = HealthAction::Kind::kKillAbandoned;
      actions_.push_back(std::move(action));
    }
  }
  if (stage_ == RecoveryStage::kAbandoned && !Abandons(now)) {
    canaries_ = 0;
    next(RecoveryStage::kCanaries);
  }
  if (stage_ == RecoveryStage::kCanaries) {
    if (ReadOnly() && fence_.empty() && !(baseline_.has_value() && baseline_->read_only)) {
      fence_ = "it came back read_only";
    }
    if (Blind() || canaries_ >= CanariesNeeded(now)) next(RecoveryStage::kDone);
  }
}

void Impl::Step(MonoTime now) {
  last_step_ = now;
  CountOverdue(now);
  for (int i = 0; i < 4; ++i) {
    const Judgement judgement = Judge(now);
    if (judgement.verdict != Verdict::kFine) last_bad_ = now;
    Recover(now);
    const BackendState target = Target(judgement, now);
    if (target == state_) break;
    Enter(target, judgement, now);
  }
  GiveUp(now);
  Schedule(now);
  AskIdentity(now);
}

GateEffect Impl::Effect() const {
  if (mark_ == OperatorMark::kUp) return GateEffect::kServe;
  if (mark_ == OperatorMark::kDown) return GateEffect::kApplyPolicy;
  if (rules_.detection == DetectionMode::kObserve) return GateEffect::kServe;
  const bool full = rules_.detection == DetectionMode::kFull;
  switch (state_) {
    case BackendState::kUp:
      return GateEffect::kServe;
    case BackendState::kUnknown:
    case BackendState::kSuspect:
      return GateEffect::kHold;
    case BackendState::kDown:
    case BackendState::kRecovering:
    case BackendState::kFenced:
      return full ? GateEffect::kApplyPolicy : GateEffect::kHold;
    case BackendState::kReadOnly:
    case BackendState::kWriteStalled:
      return GateEffect::kHoldWrites;
    case BackendState::kSaturated:
      return GateEffect::kShed;
  }
  return GateEffect::kHold;
}

}  // namespace bulkhead::routing
