// Evidence is noted.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/backend_health_impl.h"

namespace bulkhead::routing {
namespace {

using What = EvidenceRecord::What;

// So many bytes within a second are proof of life though no answer is complete (a long result).
// A server that answers at a byte a second never gets there.
constexpr uint64_t kLifeBytes = 16'384;
constexpr Duration kLifeBytesWindow = std::chrono::seconds(1);

constexpr Duration kTimerLate = std::chrono::milliseconds(50);

ConnectionError ErrorOf(ProbeOutcome outcome) {
  return outcome == ProbeOutcome::kReset ? ConnectionError::kReset : ConnectionError::kClosed;
}

// The canary's statement waited for a lock or was stopped by a time limit: the write hangs.
// Error numbers: MariaDB and MySQL server error references (ER_LOCK_WAIT_TIMEOUT,
// ER_STATEMENT_TIMEOUT, ER_QUERY_TIMEOUT).
bool IsLockWait(uint16_t code) { return code == 1205 || code == 1969 || code == 3024; }

}  // namespace

using Impl = BackendHealth::Impl;

BackendHealth::Impl::Impl(const HealthRules& rules, BackendRole role, uint64_t seed, MonoTime now)
    : rules_(rules), role_(role), random_(seed), since_(now), born_(now) {}

void Impl::Note(const EvidenceRecord& record) { history_.Add(record); }

void Impl::Notice(std::string text) {
  HealthAction action;
  action.kind = HealthAction::Kind::kNotice;
  action.reasons.push_back(std::move(text));
  actions_.push_back(std::move(action));
}

void Impl::NoteLife(MonoTime at) {
  if (at <= life_) return;
  life_ = at;
  if (reset_at_ <= life_) resets_ = 0;
}

void Impl::NoteCommit(MonoTime at) {
  if (at <= last_commit_) return;
  last_commit_ = at;
  NoteLife(at);
  // It wrote to InnoDB: neither reads nor commits hang, if it is newer than their failures.
  for (const ProbeKind kind : {ProbeKind::kCommit, ProbeKind::kRead}) {
    ProbeTrack& t = board_.track(kind);
    if (t.last_failure_start < at) t.row = 0;
  }
}

void Impl::OnTraffic(const TrafficSample& sample, MonoTime now) {
  if (!have_traffic_ || now - bytes_mark_at_ >= kLifeBytesWindow) {
    bytes_mark_ = sample.bytes;
    bytes_mark_at_ = now;
  } else if (sample.bytes - bytes_mark_ >= kLifeBytes) {
    NoteLife(sample.last_byte_at);
    bytes_mark_ = sample.bytes;
    bytes_mark_at_ = now;
  }
  const Duration silent_before = SilentFor(now);
  traffic_ = sample;
  have_traffic_ = true;
  NoteLife(sample.last_answer_at);
  NoteCommit(sample.last_commit_at);
  const bool silent = SilentFor(now) >= rules_.silence_after;
  if (silent != silence_noted_) {
    silence_noted_ = silent;
    // A lone long query is silent each time; only what follows a silence of note is kept.
    if (silent || silent_before >= 4 * rules_.silence_after) {
      Note({.at = now,
            .what = silent ? What::kSilence : What::kBytesAgain,
            .duration = silent ? SilentFor(now) : silent_before,
            .count = sample.in_flight});
    }
  }
}

void Impl::ProbeAnswered(ProbeKind kind, bool fresh, MonoTime started, MonoTime now) {
  ProbeTrack& t = board_.track(kind);
  const bool was_bad = t.row != 0 || t.answered_at == kNoTime;
  if (was_bad) Note({.at = now, .kind = kind, .fresh = fresh, .duration = now - started});
  board_.Answered(kind, started, now);
  // A server that lets in and then never answers is not alive; where nothing else can be asked, a
  // login has to do.
  if (kind != ProbeKind::kLogin || Blind()) NoteLife(now);
  if (fresh) {
    // It logged in: new connections work, and the account is taken.
    if (kind != ProbeKind::kLogin) board_.Answered(ProbeKind::kLogin, started, now);
    refused_row_ = full_row_ = blocked_row_ = 0;
    login_refused_ = 0;
    if (kind == ProbeKind::kPing) identity_wanted_ = true;
  }
  if (kind != ProbeKind::kLogin) t.connected = true;
}

void Impl::ProbeFailed(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
                       MonoTime now) {
  board_.Failed(kind, fresh, started, result, life_);
  board_.track(kind).connected = false;
  if (kind == CanaryKind()) canaries_ = 0;
  Note({.at = now, .kind = kind, .fresh = fresh, .result = result, .duration = now - started});
  if (result.outcome == ProbeOutcome::kRefused) {
    ++refused_row_;
    refused_at_ = now;
  } else if (fresh) {
    refused_row_ = 0;
  }
}

// The server's own words at the login: it lives, and does not take us.
void Impl::ProbeRefusedByServer(ProbeKind kind, const ProbeResult& result, MonoTime now) {
  Note({.at = now, .kind = kind, .fresh = true, .result = result});
  board_.track(kind).connected = false;
  refused_row_ = 0;
  if (result.outcome == ProbeOutcome::kTooManyConnections) {
    ++full_row_;
    blocked_row_ = 0;
  } else if (result.outcome == ProbeOutcome::kHostBlocked) {
    if (++blocked_row_ == 1) {
      Notice("the server blocks this router's address (1129): FLUSH HOSTS there");
    }
    full_row_ = 0;
  } else {
    full_row_ = blocked_row_ = 0;
    if (login_refused_ == 0) {
      Notice(absl::StrCat("the probe account is refused (", result.error_code,
                          "): no pings, reads and canaries, what remains is used"));
    }
    login_refused_ = std::max<uint16_t>(result.error_code, 1);
    NoteLife(now);
  }
}

void Impl::ProbeServerError(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
                            MonoTime now) {
  if (kind == ProbeKind::kLogin) {
    ProbeRefusedByServer(kind, result, now);
    return;
  }
  if (kind == ProbeKind::kCommit && IsLockWait(result.error_code)) {
    board_.Failed(kind, fresh, started, result, life_);
    board_.track(kind).connected = true;
    canaries_ = 0;
    NoteLife(now);
    Note({.at = now, .kind = kind, .fresh = fresh, .result = result, .duration = now - started});
    return;
  }
  uint16_t* code = kind == ProbeKind::kCommit ? &commit_unusable_ : &read_error_;
  if (kind != ProbeKind::kPing && *code != result.error_code) {
    *code = result.error_code;
    Notice(absl::StrCat("the ", std::string(ToString(kind)), " probe is answered with error ",
                        result.error_code, ": it tells only that the server answers"));
    Note({.at = now, .kind = kind, .fresh = fresh, .result = result, .duration = now - started});
  }
  ProbeAnswered(kind, fresh, started, now);
}

void Impl::ProbeTimedOut(uint64_t id, ProbeKind kind, const ProbeResult& result, MonoTime now) {
  ProbeTrack& t = board_.track(kind);
  t.connected = false;
  const MonoTime due = t.started + t.timeout;
  if (now - due > kTimerLate || now - last_step_ > 4 * rules_.sample_interval) {
    // The timer came late or no sample did, so this process did not run, whether it has said so
    // yet or not.
    const MonoTime from = std::max(last_step_, t.started);
    late_.Add(from, now, rules_.late_margin);
    silence_late_.Add(from, now, rules_.late_margin);
  }
  const bool overdue = late_.Elapsed(t.started, now) >= t.timeout - t.timeout / 16;
  if (result.kept) {
    board_.hung().push_back({.id = id,
                             .kind = kind,
                             .fresh = t.fresh,
                             .logged_in = !t.fresh || result.stage == ProbeStage::kAnswer,
                             .counted = overdue,
                             .started = t.started,
                             .timeout = t.timeout,
                             .result = result});
  }
  if (overdue) {
    ProbeFailed(kind, t.fresh, t.started, result, now);
  } else {
    t.at_once = true;  // this process was late: it says nothing, so ask again
  }
}

void Impl::OnProbe(uint64_t probe, const ProbeResult& result, MonoTime now) {
  const std::optional<ProbeKind> kind = board_.FindOutstanding(probe);
  if (!kind.has_value()) return;
  ProbeTrack& t = board_.track(*kind);
  t.id = 0;
  switch (result.outcome) {
    case ProbeOutcome::kOk:
      if (*kind == ProbeKind::kCommit) {
        read_only_ = false;
        read_only_known_ = true;
        commit_unusable_ = 0;
        NoteCommit(now);
      } else if (*kind == ProbeKind::kRead) {
        read_error_ = 0;
      }
      if (*kind == CanaryKind() && t.started >= stage_since_) ++canaries_;
      ProbeAnswered(*kind, t.fresh, t.started, now);
      return;
    case ProbeOutcome::kReadOnly:
      read_only_ = true;
      read_only_known_ = true;
      ProbeAnswered(*kind, t.fresh, t.started, now);
      return;
    case ProbeOutcome::kServerError:
      ProbeServerError(*kind, t.fresh, t.started, result, now);
      return;
    case ProbeOutcome::kLoginFailed:
    case ProbeOutcome::kTooManyConnections:
    case ProbeOutcome::kHostBlocked:
      ProbeRefusedByServer(*kind, result, now);
      return;
    case ProbeOutcome::kTimeout:
      ProbeTimedOut(probe, *kind, result, now);
      return;
    case ProbeOutcome::kReset:
    case ProbeOutcome::kClosed:
      if (!t.fresh) {  // a lost connection is no unanswered probe; a new one tells more
        Note({.at = now, .kind = *kind, .result = result});
        OnProbeConnectionLost(*kind, ErrorOf(result.outcome), now);
        return;
      }
      ProbeFailed(*kind, t.fresh, t.started, result, now);
      return;
    case ProbeOutcome::kRefused:
    case ProbeOutcome::kUnreachable:
      ProbeFailed(*kind, t.fresh, t.started, result, now);
      return;
  }
}

void Impl::OnHungProbe(uint64_t probe, HungEnd end, MonoTime now) {
  std::vector<HungProbe>& hung = board_.hung();
  const auto it =
      std::find_if(hung.begin(), hung.end(), [&](const HungProbe& h) { return h.id == probe; });
  if (it == hung.end()) return;
  const HungProbe h = *it;
  hung.erase(it);
  Note({.at = now,
        .what = What::kHungProbe,
        .kind = h.kind,
        .duration = now - h.started,
        .count = end == HungEnd::kAnswered ? 1u : 0u});
  if (end == HungEnd::kClosed) return;
  if (end == HungEnd::kFailed) {
    NoteLife(now);
    return;
  }
  ProbeTrack& t = board_.track(h.kind);
  const bool has_other = t.connected || (t.id != 0 && t.fresh);
  if (h.kind == ProbeKind::kCommit) NoteCommit(now);
  ProbeAnswered(h.kind, h.fresh, h.started, now);
  if (h.kind != ProbeKind::kLogin && has_other) {
    HealthAction action;
    action.kind = HealthAction::Kind::kAbandonProbe;
    action.probe = h.id;
    actions_.push_back(std::move(action));
  }
  // The first sign after a freeze: ask everything at once.
  for (size_t i = 0; i < kProbeKinds; ++i) board_.track(static_cast<ProbeKind>(i)).at_once = true;
}

void Impl::OnProbeConnectionLost(ProbeKind kind, ConnectionError error, MonoTime now) {
  ProbeTrack& t = board_.track(kind);
  t.connected = false;
  t.at_once = true;
  board_.track(ProbeKind::kPing).at_once = true;
  probe_reset_at_ = now;
  NoteReset(error, now);
}

void Impl::NoteReset(ConnectionError error, MonoTime now) {
  if (error == ConnectionError::kRefused || error == ConnectionError::kUnreachable ||
      error == ConnectionError::kTimedOut) {
    return;
  }
  reset_at_ = now;
  reset_error_ = error;
  ++resets_;
  // Probe connections and others within a moment: perhaps another server took the address. (An
  // administrator who kills statements doesn't get there.)
  if (resets_ >= 2 && probe_reset_at_ >= life_ && baseline_.has_value()) {
    identity_doubt_ = true;
    identity_wanted_ = true;
  }
}

void Impl::OnConnectionError(ConnectionError error, MonoTime now) {
  EvidenceRecord* last = history_.last();
  if (last != nullptr && last->what == What::kConnection && last->error == error) {
    ++last->count;
  } else {
    Note({.at = now, .what = What::kConnection, .count = 1, .error = error});
  }
  switch (error) {
    case ConnectionError::kReset:
    case ConnectionError::kClosed:
      NoteReset(error, now);
      break;
    case ConnectionError::kTimedOut:
      // An established connection that the kernel gave up on.
      break;
    case ConnectionError::kRefused:
    case ConnectionError::kUnreachable:
      board_.Failed(ProbeKind::kLogin, true, now,
                    {.outcome = error == ConnectionError::kRefused ? ProbeOutcome::kRefused
                                                                   : ProbeOutcome::kUnreachable,
                     .stage = ProbeStage::kConnect},
                    life_);
      if (error == ConnectionError::kRefused) {
        ++refused_row_;
        refused_at_ = now;
      }
      break;
  }
  board_.track(ProbeKind::kPing).at_once = true;
}

void Impl::OnLogin(const ProbeResult& result, MonoTime now) {
  switch (result.outcome) {
    case ProbeOutcome::kOk:
      board_.Answered(ProbeKind::kLogin, now, now);
      refused_row_ = full_row_ = blocked_row_ = 0;
      if (Blind()) NoteLife(now);
      return;
    case ProbeOutcome::kServerError:
    case ProbeOutcome::kLoginFailed:
    case ProbeOutcome::kReadOnly:
      if (Blind()) NoteLife(now);  // an application's account: its own affair
      return;
    case ProbeOutcome::kTooManyConnections:
      if (result.error_code == 0 || result.error_code == 1040) ++full_row_;
      return;
    case ProbeOutcome::kHostBlocked:
      ++blocked_row_;
      return;
    case ProbeOutcome::kRefused:
      OnConnectionError(ConnectionError::kRefused, now);
      return;
    case ProbeOutcome::kTimeout:
    case ProbeOutcome::kReset:
    case ProbeOutcome::kClosed:
    case ProbeOutcome::kUnreachable:
      board_.Failed(ProbeKind::kLogin, true, now - rules_.login_timeout, result, life_);
      Note({.at = now, .fresh = true, .result = result, .duration = rules_.login_timeout});
      return;
  }
}

void Impl::SetRole(BackendRole role, MonoTime now) {
  if (role == role_) return;
  role_ = role;
  // What was true of a replica is no baseline for a primary.
  read_only_ = read_only_known_ = false;
  if (baseline_.has_value()) baseline_->is_replica = baseline_->read_only = false;
  board_.track(ProbeKind::kCommit).at_once = true;
  Step(now);
}

void Impl::NoteMark(OperatorMark mark, MonoTime now) {
  if (mark == mark_) return;
  mark_ = mark;
  Note({.at = now, .what = What::kMark, .mark = mark});
  if (mark != OperatorMark::kUp) return;
  // The operator takes the server as it is.
  fence_.clear();
  baseline_.reset();
  identity_wanted_ = true;
  identity_doubt_ = false;
  restarted_ = false;
  ForgetAbandoned();
}

// Timeouts that this process's lateness made doubtful, now that enough time has passed.
void Impl::CountOverdue(MonoTime now) {
  for (HungProbe& h : board_.hung()) {
    if (h.counted || late_.Elapsed(h.started, now) < h.timeout) continue;
    h.counted = true;
    const bool newer = board_.track(h.kind).answered_start > h.started;
    if (!newer) board_.Failed(h.kind, h.fresh, h.started, h.result, life_);
  }
}

}  // namespace bulkhead::routing
