// The control thread's picture of backends and gates, for metrics and pages.

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

metrics::ShardView ShardViewOf(const routing::ShardGate& gate) {
  metrics::ShardView view;
  view.name = gate.name();
  view.serving = gate.notice().mode == routing::GateMode::kServing;
  view.text = gate.notice().text;
  view.held_bytes = gate.queue().bytes();
  view.ramp = gate.ramp().active() ? static_cast<double>(gate.ramp().concurrency()) : 0;
  view.kinds = {KindView(gate.counters().reads), KindView(gate.counters().writes)};
  return view;
}

}  // namespace

void ControlLoop::PublishView(routing::MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::milliseconds(200);
  if (view_ != nullptr && now - view_at_ < kInterval) return;
  view_at_ = now;
  auto view = std::make_shared<metrics::HealthView>();
  for (const auto& [id, watched] : watched_) {
    const routing::BackendHealth& health = watched.watch->health();
    metrics::BackendView backend;
    backend.name = watched.watch->name();
    backend.state = static_cast<size_t>(health.state());
    backend.since_seconds = Seconds(now - health.since());
    if (health.last_life() != routing::kNoTime)
      backend.silent_seconds = Seconds(now - health.last_life());
    backend.entered = watched.entered;
    backend.probes_ok = watched.watch->probes_ok();
    backend.probes_failed = watched.watch->probes_failed();
    backend.given_up = watched.connections_given_up;
    backend.abandoned = watched.watch->abandoned();
    if (health.state() != routing::BackendState::kUp)
      backend.reason = absl::StrJoin(health.Reasons(now), "; ");
    view->backends.push_back(std::move(backend));
  }
  desk_->ForEach(
      [&](const routing::ShardGate& gate) { view->shards.push_back(ShardViewOf(gate)); });
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
