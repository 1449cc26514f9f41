// What happens to backends and shards, written down for metrics and incidents.

#include <chrono>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "proxy/control/control_loop.h"

namespace bulkhead::control {

using routing::BackendState;
using routing::MonoTime;

int64_t ControlLoop::WallMs(MonoTime then) {
  const auto now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return now_ms.count() - routing::ToMillis(Now() - then);
}

void ControlLoop::NoteStateChange(Watched* watched, const routing::HealthAction& change) {
  ++watched->entered[static_cast<size_t>(change.to)];
  watched->since_ms = WallMs(Now());
  const bool suspected = change.to == BackendState::kSuspect;
  const bool condemned = change.to == BackendState::kDown;
  if (change.from == BackendState::kSuspect && change.to == BackendState::kUp)
    ++watched->false_suspects;
  if (suspected || condemned) {
    for (size_t i = 0; i < watched->signals.size(); ++i) {
      if ((change.signals & (1u << i)) != 0) ++watched->signals[i];
    }
    if (change.silent_since != routing::kNoTime) {
      setup_.metrics
          ->detection[suspected ? metrics::DetectedState::kSuspect : metrics::DetectedState::kDown]
          .Record(Now() - change.silent_since);
    }
  }
  IncidentLog::StateChange told;
  told.backend = watched->watch->name();
  told.from = change.from;
  told.to = change.to;
  if (change.silent_since != routing::kNoTime) told.last_byte_ms = WallMs(change.silent_since);
  told.words = absl::StrJoin(change.reasons, "; ");
  for (const routing::Shard* shard : topology_->shards()) {
    if (shard->primary == watched->watch->id()) told.shards.push_back(shard->name);
  }
  incidents_.OnBackend(told, WallMs(Now()));
}

metrics::ShardState ControlLoop::StateOf(const routing::ShardGate& gate) {
  using metrics::ShardState;
  const routing::GateNotice& notice = gate.notice();
  if (notice.mode == routing::GateMode::kServing) return ShardState::kServing;
  if (gate.order().order == routing::GateOperator::kReject) return ShardState::kRejected;
  if (gate.order().order == routing::GateOperator::kNone &&
      gate.health().effect == routing::GateEffect::kShed) {
    return ShardState::kShedding;
  }
  if (notice.mode == routing::GateMode::kAskWrites) return ShardState::kReadsOnly;
  if (notice.serves) return ShardState::kReleasing;
  const bool by_policy = gate.order().order == routing::GateOperator::kNone &&
                         gate.health().effect == routing::GateEffect::kApplyPolicy;
  const bool too_long =
      gate.outage_since().has_value() && Now() - *gate.outage_since() > gate.rules().outage_limit;
  const bool rejects = gate.rules().policy == routing::HoldPolicy::kReject;
  return by_policy && (rejects || too_long) ? ShardState::kRejected : ShardState::kHeld;
}

void ControlLoop::OnGateNotice(const routing::ShardGate& gate) {
  const ShardSeen now = {StateOf(gate), Now(), WallMs(Now()),
                         gate.order().order != routing::GateOperator::kNone};
  auto [it, is_new] = shards_seen_.try_emplace(gate.id(), now);
  if (!is_new && it->second.state == now.state) return;
  const ShardSeen before = std::exchange(it->second, now);
  const std::string name(metrics::kShardStateNames[static_cast<size_t>(now.state)]);
  const std::string& words = gate.notice().text;
  incidents_.OnShard(gate.name(), name, words, now.since_ms);
  // What follows from its backend's state is told once, by the backend's own event.
  const bool worth_telling =
      now.ordered || before.ordered || now.state == metrics::ShardState::kRejected;
  if (worth_telling) events_.Add("shard", gate.name(), words.empty() ? name : name + ": " + words);
}

// Five times a second: numbers, and states that change by time alone.
void ControlLoop::NoteGates() {
  std::map<std::string, bool> primary_of_any;
  const bool any_open = incidents_.any_open();
  desk_->ForEach([&](const routing::ShardGate& gate) {
    OnGateNotice(gate);
    const routing::GateCounters& counters = gate.counters();
    IncidentLog::Gate told;
    for (const routing::GateCounters::Kind* kind : {&counters.reads, &counters.writes}) {
      told.asked += kind->enqueued;
      told.released += kind->released;
      told.refused += kind->all_refused();
      told.cancelled += kind->cancelled;
    }
    told.held = told.asked - told.released - told.refused - told.cancelled;
    incidents_.OnGate(gate.name(), told);
  });
  if (!any_open) return;
  for (const auto& [id, watched] : watched_) {
    primary_of_any[watched.watch->name()] =
        watched.watch->health().role() == routing::BackendRole::kPrimary;
  }
  incidents_.OnTopology(primary_of_any, WallMs(Now()));
}

}  // namespace bulkhead::control
