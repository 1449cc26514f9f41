#include "routing/health_board.h"

#include <algorithm>

namespace bulkhead::routing {
namespace {

constexpr Duration kForlorn = std::chrono::seconds(3);

}  // namespace

std::optional<ProbeKind> ProbeBoard::FindOutstanding(uint64_t id) const {
  if (id == 0) return std::nullopt;
  for (size_t i = 0; i < kProbeKinds; ++i) {
    if (tracks_[i].id == id) return static_cast<ProbeKind>(i);
  }
  return std::nullopt;
}

bool ProbeBoard::login_outstanding() const {
  return std::any_of(tracks_.begin(), tracks_.end(),
                     [](const ProbeTrack& t) { return t.id != 0 && t.fresh; });
}

bool ProbeBoard::MayOpen(ProbeKind kind, const HealthRules& rules, MonoTime life, MonoTime now,
                         uint64_t* replace) const {
  *replace = 0;
  uint32_t logins = 0;
  uint32_t same = 0;
  const HungProbe* oldest_login = nullptr;
  const HungProbe* oldest_same = nullptr;
  for (const HungProbe& h : hung_) {
    if (!h.logged_in) {
      ++logins;
      if (oldest_login == nullptr) oldest_login = &h;
    }
    if (h.kind == kind) {
      ++same;
      if (oldest_same == nullptr) oldest_same = &h;
    }
  }
  const HungProbe* victim = nullptr;
  if (logins >= std::max(rules.max_hung_logins, 1u)) {
    victim = oldest_login;
  } else if (same >= 2) {
    victim = oldest_same;
  }
  if (victim == nullptr) return true;
  // A server that answers others since will not answer this one, and a login that passes clears
  // its count of those that were cut. Only where no ping is connected: it is the way back.
  const bool forlorn = kind == ProbeKind::kPing && life > victim->started;
  const Duration wait = forlorn ? std::min(kForlorn, rules.hung_replace) : rules.hung_replace;
  // Not older than the last start either: one replacement in each such time, not all at once.
  if (now - victim->started < wait) return false;
  const MonoTime last = track(kind).started;
  if (last != kNoTime && now - last < wait) return false;
  *replace = victim->id;
  return true;
}

void ProbeBoard::Failed(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
                        MonoTime life) {
  ProbeTrack& t = track(kind);
  if (t.row == 0) {
    t.row_since = started;
    t.row_logged_in = false;
  }
  ++t.row;
  t.good = 0;
  if (fresh && result.outcome == ProbeOutcome::kTimeout && result.stage == ProbeStage::kAnswer) {
    t.row_logged_in = true;
  }
  if (started > life) {
    const bool first = t.unrefuted == 0 || t.last_failure_start <= life;
    t.unrefuted = first ? 1 : t.unrefuted + 1;
  }
  t.last_failure = result;
  t.last_failure_fresh = fresh;
  t.last_failure_start = std::max(t.last_failure_start, started);
  (fresh ? t.fresh_failure : t.established_failure) = started;
}

void ProbeBoard::Answered(ProbeKind kind, MonoTime started, MonoTime now) {
  ProbeTrack& t = track(kind);
  const Duration took = now - started;
  t.usual = t.usual == Duration::zero() ? took : t.usual + (took - t.usual) / 8;
  t.answered_at = now;
  t.answered_start = std::max(t.answered_start, started);
  ++t.good;
  t.row = 0;
  t.unrefuted = 0;
  t.established_failure = kNoTime;
  t.fresh_failure = kNoTime;
}

uint32_t ProbeBoard::Unrefuted(ProbeKind kind, MonoTime life, const LateLog& late,
                               MonoTime now) const {
  const ProbeTrack& t = track(kind);
  if (t.unrefuted == 0 || t.last_failure_start <= life) return 0;
  const HungProbe* h = OldestHung(kind);
  const bool again =
      h != nullptr && h->started > life && late.Elapsed(h->started, now) >= 2 * h->timeout;
  return t.unrefuted + (again ? 1 : 0);
}

uint32_t ProbeBoard::Row(ProbeKind kind, const LateLog& late, MonoTime now) const {
  const ProbeTrack& t = track(kind);
  if (t.row == 0) return 0;
  const HungProbe* h = OldestHung(kind);
  const bool again =
      h != nullptr && h->started >= t.row_since && late.Elapsed(h->started, now) >= 2 * h->timeout;
  return t.row + (again ? 1 : 0);
}

bool ProbeBoard::EstablishedHangs(ProbeKind kind, MonoTime life, const LateLog& late,
                                  MonoTime now) const {
  const ProbeTrack& t = track(kind);
  if (t.established_failure == kNoTime) return false;
  if (t.established_failure > life) return true;
  return std::any_of(hung_.begin(), hung_.end(), [&](const HungProbe& h) {
    return h.kind == kind && !h.fresh && h.counted && late.Elapsed(life, now) >= 2 * h.timeout;
  });
}

const HungProbe* ProbeBoard::OldestHung(ProbeKind kind) const {
  for (const HungProbe& h : hung_) {
    if (h.kind == kind && h.counted) return &h;
  }
  return nullptr;
}

}  // namespace bulkhead::routing
