// Why a backend is in its state, in words.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/backend_health_impl.h"

namespace bulkhead::routing {

using Impl = BackendHealth::Impl;

void Impl::AddProbeReasons(ProbeKind kind, MonoTime now, std::vector<std::string>* out) const {
  const ProbeTrack& t = board_.track(kind);
  if (t.row == 0) return;
  bool told = false;
  for (const HungProbe& h : board_.hung()) {
    if (h.kind != kind || h.fresh || !h.counted) continue;
    told = !t.last_failure_fresh;
    out->push_back(ProbeWords(kind, false, h.result, now - h.started));
  }
  if (!told) {
    const Duration took = t.last_failure.outcome == ProbeOutcome::kTimeout
                              ? std::min<Duration>(now - t.last_failure_start, t.timeout)
                              : Duration::zero();
    std::string text = ProbeWords(kind, t.last_failure_fresh, t.last_failure, took);
    if (t.row > 1) absl::StrAppend(&text, ", ", t.row, " times in a row");
    out->push_back(std::move(text));
  }
}

void Impl::AddEvidenceReasons(const Judgement& j, MonoTime now,
                              std::vector<std::string>* out) const {
  if (j.silent) {
    out->push_back(absl::StrCat("no byte for ", Words(SilentFor(now)), " with ", traffic_.in_flight,
                                " statements in flight"));
  }
  for (const ProbeKind kind :
       {ProbeKind::kPing, ProbeKind::kRead, ProbeKind::kCommit, ProbeKind::kLogin}) {
    // What was refuted since is no reason any more; commits are judged by themselves.
    const bool refuted = board_.track(kind).last_failure_start <= life_;
    if (j.verdict == Verdict::kFine && refuted && kind != ProbeKind::kCommit) continue;
    AddProbeReasons(kind, now, out);
  }
  if (ResetStands(now)) {
    out->push_back(absl::StrCat(resets_, resets_ == 1 ? " connection " : " connections ",
                                Abs(ToString(reset_error_)), " within ", Words(now - reset_at_)));
  }
  if ((j.signals & kSignalReplicas) != 0) out->push_back("its replicas receive nothing from it");
  if (replica_view_ == ReplicaView::kReceiving && j.verdict != Verdict::kFine) {
    out->push_back("its replicas still receive what it writes");
  }
  if (full_row_ != 0) out->push_back("new connections: Too many connections (1040)");
  if (blocked_row_ != 0) {
    out->push_back("the server blocks this router's address (1129): FLUSH HOSTS there");
  }
  if (all_bad_ && j.verdict == Verdict::kSuspect) {
    out->push_back(absl::StrCat("every backend is silent: the verdict waits for ",
                                Words(rules_.all_down_after)));
  }
}

void Impl::AddRecoveryReasons(MonoTime now, std::vector<std::string>* out) const {
  switch (stage_) {
    case RecoveryStage::kIdentity:
      out->push_back(identity_failures_ == 0 ? "answers again; is it the same server?"
                                             : "answers again; its identity could not be read");
      break;
    case RecoveryStage::kAbandoned:
      if (abandoned_ == 0) {
        out->push_back("it is not known yet how many connections were given up");
        break;
      }
      out->push_back(abandoned_checkable_
                         ? absl::StrCat(abandoned_, " abandoned connections are not gone yet")
                         : absl::StrCat("abandoned connections can't be looked for: waits ",
                                        Words(rules_.settle_time), " in all"));
      break;
    case RecoveryStage::kCanaries:
      out->push_back(absl::StrCat(canaries_, " of ", CanariesNeeded(now), " canaries passed (",
                                  Abs(ToString(CanaryKind())), ")"));
      break;
    case RecoveryStage::kDone:
      out->push_back(absl::StrCat("calm for ", Words(CalmNeeded(now)),
                                  " is waited, it was suspected ", Flaps(now), " times in ",
                                  Words(rules_.flap_window)));
      break;
  }
}

std::vector<std::string> Impl::Reasons(BackendState state, const Judgement& j, MonoTime now) const {
  std::vector<std::string> out;
  if (mark_ != OperatorMark::kAuto) {
    out.push_back(absl::StrCat("an operator marked it ", Abs(ToString(mark_))));
  }
  if (state == BackendState::kFenced) {
    out.push_back(fence_);
    out.push_back("MARK BACKEND ... UP takes it as it is");
  }
  if (state == BackendState::kRecovering && state == state_) AddRecoveryReasons(now, &out);
  if (state == BackendState::kRecovering && state != state_) {
    out.push_back(restarted_ ? "the same server, restarted" : "it answers again");
  }
  if (state == BackendState::kReadOnly) out.push_back("the server says read_only");
  if (state == BackendState::kUnknown) {
    out.push_back(absl::StrCat("its probes have not passed yet, for ", Words(now - since_)));
  }
  if (j.rule == VerdictRule::kIdentity) {
    out.push_back("its connections were closed, and it is not known yet who answers there");
  }
  AddEvidenceReasons(j, now, &out);
  if (Blind()) {
    out.push_back(login_refused_ != 0
                      ? absl::StrCat("the probe account is refused (", login_refused_, ")")
                      : "no probe account: only traffic and connection errors tell");
  }
  if (state == BackendState::kSuspect && j.verdict == Verdict::kFine) {
    out.push_back(absl::StrCat("answers again, damped: suspected ", Flaps(now), " times in ",
                               Words(rules_.flap_window)));
  }
  if (state == BackendState::kUp && mark_ == OperatorMark::kAuto && out.empty()) {
    out.push_back("its probes are answered");
  }
  return out;
}

}  // namespace bulkhead::routing
