// Evidence -> signals -> verdict.
#include <algorithm>
#include <bit>

#include "routing/backend_health_impl.h"

namespace bulkhead::routing {
namespace {

// Traffic and probes stopped together when silence began no longer than this before the last proof
// of life; a silence that is older is a long query.
constexpr Duration kTogether = std::chrono::seconds(1);

bool IsHang(const ProbeResult& failure) {
  return failure.outcome == ProbeOutcome::kTimeout || failure.outcome == ProbeOutcome::kServerError;
}

}  // namespace

using Impl = BackendHealth::Impl;

MonoTime Impl::SilentSince() const {
  if (!have_traffic_ || traffic_.in_flight == 0) return kNoTime;
  return std::max(traffic_.last_byte_at, traffic_.oldest_sent_at);
}

Duration Impl::SilentFor(MonoTime now) const {
  const MonoTime since = SilentSince();
  return since == kNoTime ? Duration::zero() : silence_late_.Elapsed(since, now);
}

Duration Impl::UnansweredFor(MonoTime now) const {
  if (!have_traffic_ || traffic_.in_flight == 0) return Duration::zero();
  const MonoTime since = std::max(traffic_.last_answer_at, traffic_.oldest_sent_at);
  // A shell that doesn't tell of answers: bytes have to do.
  if (traffic_.last_answer_at == kNoTime) return SilentFor(now);
  return silence_late_.Elapsed(since, now);
}

Duration Impl::WritesSilentFor(MonoTime now) const {
  if (!have_traffic_ || traffic_.writes_in_flight == 0) return Duration::zero();
  const MonoTime since = std::max(last_commit_, traffic_.oldest_write_at);
  return since == kNoTime ? Duration::zero() : silence_late_.Elapsed(since, now);
}

MonoTime Impl::DeadSince() const {
  MonoTime first = kMonoNever;
  for (const ProbeKind kind : {ProbeKind::kLogin, ProbeKind::kPing, ProbeKind::kRead}) {
    const ProbeTrack& t = board_.track(kind);
    if (t.row != 0) first = std::min(first, t.row_since);
  }
  if (life_ != kNoTime && !Blind()) return life_;
  // Without probes the last proof of life may be hours old and mean nothing.
  if (SilentSince() != kNoTime) first = std::min(first, SilentSince());
  if (resets_ != 0) first = std::min(first, reset_at_);
  return first == kMonoNever ? kNoTime : std::max(first, life_);
}

bool Impl::ResetStands(MonoTime now) const {
  return resets_ != 0 && reset_at_ >= life_ && late_.Elapsed(reset_at_, now) < rules_.reset_memory;
}

bool Impl::Blind() const {
  if (!rules_.can_login) return true;
  return login_refused_ != 0 && !board_.track(ProbeKind::kPing).connected &&
         !board_.track(ProbeKind::kRead).connected;
}

bool Impl::CommitsUsable() const {
  return role_ == BackendRole::kPrimary && rules_.can_commit && commit_unusable_ == 0 &&
         !read_only_ && !Blind();
}

bool Impl::ReadsUsable() const { return !Blind() && read_error_ == 0; }

bool Impl::Saturated() const {
  const bool connected =
      board_.track(ProbeKind::kPing).connected || board_.track(ProbeKind::kRead).connected;
  return full_row_ >= (connected ? 1u : 2u);
}

bool Impl::Stalled(MonoTime now) const {
  const ProbeTrack& t = board_.track(ProbeKind::kCommit);
  return CommitsUsable() && t.row != 0 && IsHang(t.last_failure) && last_commit_ <= t.row_since &&
         board_.Row(ProbeKind::kCommit, late_, now) >= rules_.stall_failures;
}

bool Impl::Fails(MonoTime now) const {
  if (state_ == BackendState::kSuspect || state_ == BackendState::kUnknown) return true;
  if (ResetStands(now)) return true;
  for (const ProbeKind kind : {ProbeKind::kLogin, ProbeKind::kPing, ProbeKind::kRead}) {
    const ProbeTrack& t = board_.track(kind);
    if (board_.Unrefuted(kind, life_, late_, now) != 0) return true;
    if (kind == ProbeKind::kRead && t.row != 0) return true;
    if (t.id != 0 && !t.fresh && late_.Elapsed(t.started, now) >= rules_.doubt_after) return true;
  }
  return false;
}

uint32_t Impl::Signals(MonoTime now, bool at_limit) const {
  uint32_t signals = 0;
  const MonoTime dead = DeadSince();
  if (SilentFor(now) >= rules_.silence_after && dead != kNoTime &&
      (Blind() || SilentSince() >= dead - kTogether)) {
    signals |= kSignalSilence;
  }
  for (const ProbeKind kind : {ProbeKind::kPing, ProbeKind::kRead}) {
    if (board_.EstablishedHangs(kind, life_, late_, now)) signals |= kSignalPing;
  }
  // Nothing was ever connected, or no more: pings that fail again and again on new connections
  // beside failing logins, or although they had logged in.
  const ProbeTrack& ping = board_.track(ProbeKind::kPing);
  if (!ping.connected && board_.Unrefuted(ProbeKind::kPing, life_, late_, now) >= 2 &&
      (ping.row_logged_in || board_.Unrefuted(ProbeKind::kLogin, life_, late_, now) >= 1)) {
    signals |= kSignalPing;
  }
  for (const ProbeKind kind : {ProbeKind::kLogin, ProbeKind::kPing, ProbeKind::kRead}) {
    if (board_.FreshFails(kind, life_)) signals |= kSignalConnect;
  }
  // 1040 and 1129 are answers; when nothing that is connected answers for long, they are no help.
  if (at_limit && (full_row_ != 0 || blocked_row_ != 0)) signals |= kSignalConnect;
  if (ResetStands(now)) signals |= kSignalReset;
  if (replica_view_ == ReplicaView::kSilent && replica_view_at_ > life_) signals |= kSignalReplicas;
  return signals;
}

bool Impl::JudgeProcess(MonoTime now, Judgement* judgement) const {
  const bool at_limit =
      state_ == BackendState::kSuspect && late_.Elapsed(since_, now) >= rules_.suspect_limit;
  const uint32_t logins = board_.Unrefuted(ProbeKind::kLogin, life_, late_, now);
  uint32_t core = board_.Unrefuted(ProbeKind::kPing, life_, late_, now) +
                  board_.Unrefuted(ProbeKind::kRead, life_, late_, now);
  if (core == 0 && (board_.EstablishedHangs(ProbeKind::kPing, life_, late_, now) ||
                    board_.EstablishedHangs(ProbeKind::kRead, life_, late_, now))) {
    core = 1;
  }
  // Where pings are possible, failing logins count once: P0 alone gives no verdict.
  const uint32_t failures = core + (Blind() ? logins : std::min(logins, 1u));
  judgement->failures = failures;
  judgement->signals = Signals(now, at_limit);
  if (failures == 0) return false;
  const bool seconded = judgement->silent || (judgement->signals & kSignalReset) != 0;
  const bool suspect = seconded || (failures >= 2 && core >= 1);
  if (!suspect) return false;
  judgement->verdict = Verdict::kSuspect;
  judgement->rule = VerdictRule::kProcess;
  const Duration dead = late_.Elapsed(DeadSince(), now);
  if (all_bad_ && dead < rules_.all_down_after) return true;
  if (refused_row_ >= 2 && refused_at_ > life_ && (judgement->signals & kSignalReset) != 0) {
    judgement->verdict = Verdict::kDown;
    judgement->rule = VerdictRule::kCrash;
    judgement->signals |= kSignalConnect;
    return true;
  }
  // Without traffic only probes tell, and they are few: more patience.
  const Duration enough = seconded ? rules_.down_after : rules_.down_after_idle;
  if (std::popcount(judgement->signals) >= 2 && failures >= 2 && dead >= enough) {
    judgement->verdict = Verdict::kDown;
  }
  return true;
}

bool Impl::JudgeReads(MonoTime now, Judgement* judgement) const {
  const ProbeTrack& read = board_.track(ProbeKind::kRead);
  const ProbeTrack& commit = board_.track(ProbeKind::kCommit);
  if (!ReadsUsable() || read.row == 0 || !IsHang(read.last_failure)) return false;
  if (board_.Row(ProbeKind::kRead, late_, now) < 2) return false;
  const bool answered = have_traffic_ && traffic_.last_answer_at > read.row_since;
  const bool commits_hang = CommitsUsable() && commit.row != 0 && IsHang(commit.last_failure) &&
                            last_commit_ <= commit.row_since;
  const Duration hangs = late_.Elapsed(read.row_since, now);
  const Duration enough = all_bad_ ? rules_.all_down_after : rules_.down_after;
  judgement->rule = VerdictRule::kReadsHang;
  judgement->signals |= kSignalReads;
  if (commits_hang && hangs >= enough) {
    judgement->signals |= kSignalCommits;
    judgement->verdict = Verdict::kDown;
    return true;
  }
  if (answered) return false;
  judgement->verdict = Verdict::kSuspect;
  if (!CommitsUsable() && read.row_logged_in && hangs >= enough) {
    judgement->signals |= kSignalPing;  // on an old connection and on a new one
    judgement->verdict = Verdict::kDown;
  }
  return true;
}

Judgement Impl::Judge(MonoTime now) const {
  Judgement judgement;
  judgement.silent = SilentFor(now) >= rules_.silence_after;
  if (JudgeProcess(now, &judgement) && judgement.verdict == Verdict::kDown) return judgement;
  Judgement reads;
  reads.silent = judgement.silent;
  reads.failures = judgement.failures;
  if (JudgeReads(now, &reads) && reads.verdict >= judgement.verdict) return reads;
  if (judgement.verdict != Verdict::kFine) return judgement;
  if (blocked_row_ >= 2 && !board_.track(ProbeKind::kPing).connected &&
      !board_.track(ProbeKind::kRead).connected && late_.Elapsed(life_, now) >= rules_.down_after) {
    judgement.verdict = Verdict::kDown;
    judgement.rule = VerdictRule::kBlocked;
    judgement.signals |= kSignalBlocked;
    return judgement;
  }
  if (identity_doubt_ && late_.Elapsed(reset_at_, now) < rules_.reset_memory) {
    judgement.verdict = Verdict::kSuspect;
    judgement.rule = VerdictRule::kIdentity;
  }
  return judgement;
}

}  // namespace bulkhead::routing
