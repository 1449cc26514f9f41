// The control thread's picture of backends and gates, for metrics and pages.

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "proxy/control/control_loop.h"

namespace bulkhead::control {

namespace {

double Seconds(routing::Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

metrics::GateKindView KindView(const routing::GateCounters::Kind& kind) {
  metrics::GateKindView view;
  view.enqueued = kind.enqueued;
  view.released = kind.released;
  view.refused = kind.refused;
  view.cancelled = kind.cancelled;
  view.held = kind.enqueued - kind.released - kind.all_refused() - kind.cancelled;
  return view;
}

}  // namespace

metrics::BackendView ControlLoop::ViewOf(const Watched& watched, routing::MonoTime now) {
  const routing::BackendHealth& health = watched.watch->health();
  metrics::BackendView view;
  view.name = watched.watch->name();
  view.state = static_cast<size_t>(health.state());
  view.since_seconds = Seconds(now - health.since());
  view.since_ms = watched.since_ms;
  if (health.last_life() != routing::kNoTime) {
    view.silent_seconds = Seconds(now - health.last_life());
    view.heard_ms = WallMs(health.last_life()) / 100 * 100;
  }
  view.entered = watched.entered;
  view.probes_ok = watched.watch->probes_ok();
  view.probes_failed = watched.watch->probes_failed();
  view.given_up = watched.connections_given_up;
  view.abandoned = watched.watch->abandoned();
  view.is_primary = health.role() == routing::BackendRole::kPrimary;
  view.canary = watched.watch->probes_commits();
  view.signals = watched.signals;
  view.false_suspects = watched.false_suspects;
  if (health.state() == routing::BackendState::kUp) return view;
  view.reason = absl::StrJoin(health.Reasons(now), "; ");
  for (const routing::EvidenceLine& line : health.History())
    view.evidence.emplace_back(Seconds(now - line.at), line.text);
  return view;
}

metrics::ShardView ControlLoop::ViewOf(const routing::ShardGate& gate, routing::MonoTime now) {
  metrics::ShardView view;
  view.name = gate.name();
  view.serving = gate.notice().mode == routing::GateMode::kServing;
  const ShardSeen& seen = shards_seen_[gate.id()];
  view.state = seen.state;
  view.since_seconds = Seconds(now - seen.since);
  view.since_ms = seen.since_ms;
  view.text = gate.notice().text;
  if (gate.outage_since().has_value()) view.outage_seconds = Seconds(now - *gate.outage_since());
  view.limit_statements = gate.rules().max_statements;
  view.limit_bytes = gate.rules().max_bytes;
  view.held_bytes = gate.queue().bytes();
  view.ramp = gate.ramp().active() ? static_cast<double>(gate.ramp().concurrency()) : 0;
  AddFailover(gate.id(), &view);
  view.kinds = {KindView(gate.counters().reads), KindView(gate.counters().writes)};
  return view;
}

// What is known without asking any server.
void ControlLoop::AddFailover(routing::ShardId id, metrics::ShardView* view) const {
  const routing::Shard* shard = topology_->shard(id);
  const config::Options& options = *setup_.options;
  if (shard == nullptr || shard->replicas.empty()) return;
  const routing::Backend* primary = topology_->backend(shard->primary);
  const auto watched = watched_.find(shard->primary);
  view->fence_configured =
      primary != nullptr && (!options.failover.FenceOf(primary->name).empty() ||
                             (watched != watched_.end() && IsStrict(watched->second.semi_sync)));
  const bool replica = std::any_of(
      shard->replicas.begin(), shard->replicas.end(), [this](routing::BackendId replica) {
        const auto it = watched_.find(replica);
        return it != watched_.end() &&
               it->second.watch->health().state() == routing::BackendState::kUp &&
               operators_->FencedWhy(it->second.watch->name()).empty();
      });
  if (!options.control.has_value()) {
    view->failover_words = "there is no control account";
  } else if (!options.replication.has_value()) {
    view->failover_words = "there is no replication account";
  } else if (!replica) {
    view->failover_words = "no replica is up";
  }
  view->failover_ready = view->failover_words.empty();
}

void ControlLoop::PublishView(routing::MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::milliseconds(200);
  if (view_ != nullptr && now - view_at_ < kInterval) return;
  view_at_ = now;
  NoteGates();
  auto view = std::make_shared<metrics::HealthView>();
  for (const auto& [id, watched] : watched_) view->backends.push_back(ViewOf(watched, now));
  desk_->ForEach(
      [&](const routing::ShardGate& gate) { view->shards.push_back(ViewOf(gate, now)); });
  view->changes_stuck = operators_->stuck();
  if (store_ != nullptr) view->store = store_view_;
  {
    std::lock_guard lock(unknown_mutex_);
    view->unknown_outcomes = unknown_total_;
  }
  std::lock_guard lock(view_mutex_);
  view_ = std::move(view);
}

std::shared_ptr<const metrics::HealthView> ControlLoop::View() const {
  std::lock_guard lock(view_mutex_);
  return view_;
}

}  // namespace bulkhead::control
