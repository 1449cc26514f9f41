// What the replicas show of their primaries: a second opinion, and where plain reads may go.

#include <algorithm>

#include "proxy/control/control_loop.h"

namespace bulkhead::control {

namespace {

using routing::BackendState;

// What was sent a moment ago may be on its way still.
constexpr routing::Duration kOnItsWay = std::chrono::seconds(1);

}  // namespace

void ControlLoop::OnCanaryBegun(BackendWatch* watch, routing::MonoTime begun) {
  routing::MonoTime& unanswered = watched_[watch->id()].unanswered_canary;
  if (unanswered == routing::kNoTime) unanswered = begun;
}

void ControlLoop::OnCanary(BackendWatch* watch, uint64_t number, routing::MonoTime begun) {
  Watched& watched = watched_[watch->id()];
  watched.unanswered_canary = routing::kNoTime;
  watched.canaries.Committed(number, begun);
}

void ControlLoop::OnCanarySeen(BackendWatch* watch, uint64_t number) {
  Watched& replica = watched_[watch->id()];
  replica.canary_seen = number;
  for (const routing::Shard* shard : topology_->shards()) {
    const auto& replicas = shard->replicas;
    if (std::find(replicas.begin(), replicas.end(), watch->id()) == replicas.end()) continue;
    auto it = watched_.find(shard->primary);
    if (it == watched_.end()) continue;
    routing::BackendHealth& primary = it->second.watch->health();
    const uint64_t acknowledged = it->second.canaries.last();
    const routing::MonoTime sent = it->second.unanswered_canary;
    const bool asked = sent != routing::kNoTime && Now() - sent > kOnItsWay;
    routing::ReplicaView view = routing::ReplicaView::kUnknown;
    // Where the one that got no answer has arrived, the primary still commits.
    if (acknowledged != 0 && asked && number > acknowledged)
      view = routing::ReplicaView::kReceiving;
    if (acknowledged != 0 && asked && number == acknowledged) view = routing::ReplicaView::kSilent;
    primary.OnReplicaView(view, Now());
    it->second.watch->CarryOut();
  }
}

// The one that is least behind, of those that answer and are within bounds.
routing::BackendId ControlLoop::ReplicaFor(const routing::Shard& shard) const {
  auto primary = watched_.find(shard.primary);
  if (primary == watched_.end()) return {};
  const routing::BackendHealth& health = primary->second.watch->health();
  if (health.effect() == routing::GateEffect::kServe) return {};
  routing::BackendId best;
  routing::Duration least = setup_.options->hold.replica_lag;
  for (const routing::BackendId id : shard.replicas) {
    auto it = watched_.find(id);
    if (it == watched_.end() || it->second.watch->health().state() != BackendState::kUp) continue;
    const std::optional<routing::Duration> behind =
        primary->second.canaries.BehindAt(it->second.canary_seen, health.last_life());
    if (!behind.has_value() || *behind > least) continue;
    least = *behind;
    best = id;
  }
  return best;
}

void ControlLoop::ChooseReplicas(routing::MonoTime now) {
  for (const routing::Shard* shard : topology_->shards()) {
    if (!shard->replicas.empty()) desk_->SetReplica(shard->id, ReplicaFor(*shard), now);
  }
}

}  // namespace bulkhead::control
