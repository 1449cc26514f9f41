// The interface: evidence in, then a step.
#include "routing/backend_health.h"

#include <memory>
#include <utility>

#include "routing/backend_health_impl.h"

namespace bulkhead::routing {

BackendHealth::BackendHealth(const HealthRules& rules, BackendRole role, uint64_t seed,
                             MonoTime now)
    : impl_(std::make_unique<Impl>(rules, role, seed, now)) {}
BackendHealth::~BackendHealth() = default;
BackendHealth::BackendHealth(BackendHealth&&) noexcept = default;
BackendHealth& BackendHealth::operator=(BackendHealth&&) noexcept = default;

void BackendHealth::OnLoopLate(LateLoop loop, MonoTime from, MonoTime to) {
  if (to <= from) return;
  const Duration margin = impl_->rules_.late_margin;
  impl_->silence_late_.Add(from, to, margin);
  if (loop == LateLoop::kControl) impl_->late_.Add(from, to, margin);
  impl_->Note({.at = to, .what = EvidenceRecord::What::kLate, .duration = to - from, .loop = loop});
}
void BackendHealth::OnTraffic(const TrafficSample& sample, MonoTime now) {
  impl_->OnTraffic(sample, now);
  impl_->Step(now);
}
void BackendHealth::OnProbe(uint64_t probe, const ProbeResult& result, MonoTime now) {
  impl_->OnProbe(probe, result, now);
  impl_->Step(now);
}
void BackendHealth::OnHungProbe(uint64_t probe, HungEnd end, MonoTime now) {
  impl_->OnHungProbe(probe, end, now);
  impl_->Step(now);
}
void BackendHealth::OnProbeConnectionLost(ProbeKind kind, ConnectionError error, MonoTime now) {
  impl_->OnProbeConnectionLost(kind, error, now);
  impl_->Step(now);
}
void BackendHealth::OnConnectionError(ConnectionError error, MonoTime now) {
  impl_->OnConnectionError(error, now);
  impl_->Step(now);
}
void BackendHealth::OnLogin(const ProbeResult& result, MonoTime now) {
  impl_->OnLogin(result, now);
  impl_->Step(now);
}
void BackendHealth::OnClientCommit(MonoTime now) {
  impl_->NoteCommit(now);
  impl_->Step(now);
}
void BackendHealth::OnReadOnlyAnswer(MonoTime now) {
  ProbeTrack& commit = impl_->board_.track(ProbeKind::kCommit);
  const bool recent =
      commit.started != kNoTime && now - commit.started < impl_->rules_.fast_commit_interval;
  if (!impl_->read_only_ && !recent) commit.at_once = true;
  impl_->Step(now);
}
void BackendHealth::OnReplicaView(ReplicaView view, MonoTime now) {
  if (view != ReplicaView::kUnknown && view != impl_->replica_view_) {
    impl_->Note({.at = now, .what = EvidenceRecord::What::kReplicas, .view = view});
  }
  impl_->replica_view_ = view;
  impl_->replica_view_at_ = now;
  impl_->Step(now);
}
void BackendHealth::OnFleet(bool all_bad, MonoTime now) {
  if (impl_->all_bad_ == all_bad) return;
  impl_->all_bad_ = all_bad;
  impl_->Step(now);
}
void BackendHealth::OnIdentity(const IdentityFacts& facts, MonoTime now) {
  impl_->OnIdentity(facts, now);
  impl_->Step(now);
}
void BackendHealth::OnGaveUp(uint32_t connections, MonoTime now) {
  impl_->OnGaveUp(connections, now);
  impl_->Step(now);
}
void BackendHealth::OnAbandoned(const AbandonedReport& report, MonoTime now) {
  impl_->OnAbandoned(report, now);
  impl_->Step(now);
}
void BackendHealth::SetMark(OperatorMark mark, MonoTime now) {
  impl_->NoteMark(mark, now);
  impl_->Step(now);
}
void BackendHealth::SetRole(BackendRole role, MonoTime now) { impl_->SetRole(role, now); }
void BackendHealth::Fence(std::string why, MonoTime now) {
  impl_->fence_ = std::move(why);
  impl_->Step(now);
}
void BackendHealth::SetRules(const HealthRules& rules, MonoTime now) {
  impl_->rules_ = rules;
  impl_->Step(now);
}
void BackendHealth::SetBaseline(const IdentityFacts& facts) {
  if (facts.known) impl_->baseline_ = facts;
}

void BackendHealth::Step(MonoTime now) { impl_->Step(now); }
MonoTime BackendHealth::next_wake() const { return impl_->next_wake_; }
std::vector<HealthAction> BackendHealth::TakeActions() {
  return std::exchange(impl_->actions_, {});
}

BackendState BackendHealth::state() const { return impl_->state_; }
GateEffect BackendHealth::effect() const { return impl_->Effect(); }
MonoTime BackendHealth::since() const { return impl_->since_; }
OperatorMark BackendHealth::mark() const { return impl_->mark_; }
BackendRole BackendHealth::role() const { return impl_->role_; }
MonoTime BackendHealth::last_life() const { return impl_->life_; }
bool BackendHealth::lives_elsewhere() const {
  if (impl_->full_row_ != 0 || impl_->blocked_row_ != 0) return true;
  return impl_->replica_view_ == ReplicaView::kReceiving && impl_->replica_view_at_ > impl_->life_;
}
const HealthRules& BackendHealth::rules() const { return impl_->rules_; }

std::vector<std::string> BackendHealth::Reasons(MonoTime now) const {
  return impl_->Reasons(impl_->state_, impl_->Judge(now), now);
}
std::vector<EvidenceLine> BackendHealth::History() const { return impl_->history_.Lines(); }

}  // namespace bulkhead::routing
