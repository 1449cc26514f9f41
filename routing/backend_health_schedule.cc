// Which probe next, and when.
#include <algorithm>

#include "routing/backend_health_impl.h"

namespace bulkhead::routing {
namespace {

constexpr Duration kSoon = std::chrono::milliseconds(10);
// "At once" is not more often than this: errors of a busy pool come by the hundred.
constexpr Duration kAtOnceGap = std::chrono::milliseconds(50);

}  // namespace

using Impl = BackendHealth::Impl;

// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
uint64_t Impl::Random() {
  random_ += 0x9E3779B97F4A7C15ull;
  uint64_t z = random_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

Duration Impl::PingInterval(MonoTime now) const {
  if (state_ == BackendState::kDown || state_ == BackendState::kFenced) {
    // A server that refuses may be seconds away, one that hangs answers on what is kept waiting.
    return Fails(now) ? rules_.down_interval : rules_.fast_interval;
  }
  const bool silent =
      UnansweredFor(now) >= rules_.silence_after || SilentFor(now) >= rules_.silence_after;
  if (silent || Fails(now) || state_ == BackendState::kRecovering) return rules_.fast_interval;
  return rules_.ping_interval;
}

Duration Impl::CommitInterval(MonoTime now) const {
  if (state_ == BackendState::kRecovering) {
    return stage_ == RecoveryStage::kCanaries ? rules_.canary_interval : rules_.commit_interval;
  }
  const ProbeTrack& commit = board_.track(ProbeKind::kCommit);
  const bool asked = board_.track(ProbeKind::kRead).row != 0 || commit.row != 0 ||
                     state_ == BackendState::kWriteStalled || state_ == BackendState::kReadOnly ||
                     state_ == BackendState::kUnknown;
  if (asked) return rules_.fast_commit_interval;
  const Duration silent = WritesSilentFor(now);
  if (silent < rules_.write_silence_after) {
    return rules_.heartbeat == Duration::zero()
               ? rules_.commit_interval
               : std::min(rules_.heartbeat, rules_.commit_interval);
  }
  // A long write is asked after less and less often while canaries commit beside it.
  return std::clamp(silent / 2, rules_.fast_commit_interval, rules_.commit_interval);
}

Duration Impl::Interval(ProbeKind kind, MonoTime now) const {
  const bool down = state_ == BackendState::kDown || state_ == BackendState::kFenced;
  const bool canaries = state_ == BackendState::kRecovering && stage_ == RecoveryStage::kCanaries &&
                        kind == CanaryKind();
  if (canaries) return rules_.canary_interval;
  switch (kind) {
    case ProbeKind::kLogin:
      if (full_row_ != 0 || down) return rules_.down_interval;
      if (login_refused_ != 0 || blocked_row_ != 0) return rules_.read_interval;
      return Fails(now) ? rules_.fast_login_interval : rules_.login_interval;
    case ProbeKind::kPing:
      return PingInterval(now);
    case ProbeKind::kRead:
      if (down) return rules_.down_interval;
      return Fails(now) ? rules_.fast_interval : rules_.read_interval;
    case ProbeKind::kCommit:
      return CommitInterval(now);
  }
  return rules_.ping_interval;
}

Duration Impl::Timeout(ProbeKind kind, bool fresh) const {
  if (kind == ProbeKind::kCommit) {
    return fresh ? rules_.commit_timeout + rules_.login_timeout / 2 : rules_.commit_timeout;
  }
  if (fresh) return rules_.login_timeout;
  if (kind == ProbeKind::kRead) return rules_.read_timeout;
  return std::clamp(4 * board_.track(kind).usual, rules_.ping_timeout,
                    std::max(rules_.ping_timeout, rules_.ping_timeout_max));
}

bool Impl::Eligible(ProbeKind kind, bool fresh) const {
  if (!rules_.can_login) return false;
  const bool commit = kind == ProbeKind::kCommit;
  if (commit && (role_ != BackendRole::kPrimary || !rules_.can_commit)) return false;
  if (!fresh) return true;
  // Nothing is written on a server of which it isn't known who it is.
  if (commit && (identity_wanted_ || identity_doubt_ || state_ == BackendState::kFenced))
    return false;
  if (board_.login_outstanding()) return false;
  const ProbeTrack& ping = board_.track(ProbeKind::kPing);
  // Where the server says that it takes no login, P0 alone asks until it does.
  const bool taken = login_refused_ == 0 && full_row_ == 0 && blocked_row_ == 0;
  switch (kind) {
    case ProbeKind::kLogin:
      // A ping on a new connection is a P0 as well: one failed P0 beside it is enough.
      return !taken || ping.connected || board_.track(kind).row == 0;
    case ProbeKind::kPing:
      return taken;
    case ProbeKind::kRead:
    case ProbeKind::kCommit:
      return taken && ping.connected && ping.row == 0;
  }
  return false;
}

void Impl::StartProbe(ProbeKind kind, bool fresh, MonoTime now) {
  ProbeTrack& t = board_.track(kind);
  t.id = next_probe_++;
  t.fresh = fresh;
  t.started = now;
  t.timeout = Timeout(kind, fresh);
  t.spread = 512 + static_cast<uint32_t>(Random() % 513);
  t.at_once = false;
  HealthAction action;
  action.kind = HealthAction::Kind::kStartProbe;
  action.probe = t.id;
  action.probe_kind = kind;
  action.fresh_connection = fresh;
  action.timeout = t.timeout;
  actions_.push_back(std::move(action));
}

// When this kind is to be asked about again, as far as it is known now.
MonoTime Impl::ScheduleKind(ProbeKind kind, MonoTime now) {
  ProbeTrack& t = board_.track(kind);
  if (t.id != 0) {
    const MonoTime doubt = t.started + rules_.doubt_after;
    return doubt > now ? doubt : kMonoNever;
  }
  const bool fresh = kind == ProbeKind::kLogin || !t.connected;
  if (!Eligible(kind, fresh)) return kMonoNever;
  MonoTime base = t.started;
  const bool clients_count = t.row == 0 && rules_.heartbeat == Duration::zero();
  if (kind == ProbeKind::kCommit && clients_count) base = std::max(base, last_commit_);
  if (base != kNoTime) {
    MonoTime due = base + Interval(kind, now) * t.spread / 1024;
    if (t.at_once && kind != ProbeKind::kLogin) due = std::min(due, t.started + kAtOnceGap);
    if (due > now) return due;
  }
  uint64_t replace = 0;
  if (fresh && !board_.MayOpen(kind, rules_, life_, now, &replace)) return kMonoNever;
  if (replace != 0) {
    HealthAction action;
    action.kind = HealthAction::Kind::kAbandonProbe;
    action.probe = replace;
    actions_.push_back(std::move(action));
    std::erase_if(board_.hung(), [&](const HungProbe& h) { return h.id == replace; });
  }
  StartProbe(kind, fresh, now);
  return now + rules_.doubt_after;
}

void Impl::Schedule(MonoTime now) {
  MonoTime wake = kMonoNever;
  // One login at a time: P0 and a ping that needs one take turns, they are two signals.
  const ProbeTrack& ping = board_.track(ProbeKind::kPing);
  const bool login_first =
      !ping.connected && board_.track(ProbeKind::kLogin).started < ping.started;
  const ProbeKind first = login_first ? ProbeKind::kLogin : ProbeKind::kPing;
  const ProbeKind second = login_first ? ProbeKind::kPing : ProbeKind::kLogin;
  for (const ProbeKind kind : {first, second, ProbeKind::kRead, ProbeKind::kCommit}) {
    wake = std::min(wake, ScheduleKind(kind, now));
  }
  bool outstanding = false;
  for (size_t i = 0; i < kProbeKinds; ++i) {
    outstanding |= board_.track(static_cast<ProbeKind>(i)).id != 0;
  }
  const bool busy = state_ != BackendState::kUp || Fails(now) || identity_wanted_ || outstanding ||
                    (have_traffic_ && traffic_.in_flight != 0);
  if (busy) wake = std::min(wake, now + rules_.sample_interval);
  next_wake_ = std::max(wake, now + std::min(kSoon, rules_.canary_interval));
}

}  // namespace bulkhead::routing
