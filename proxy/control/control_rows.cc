// The control thread's state as rows for people: exact, of the moment it is asked.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/control_loop.h"
#include "routing/abseil_view.h"

namespace bulkhead::control {

namespace {

using routing::GateOperator;

// To the millisecond.
double Seconds(routing::Duration duration) {
  return static_cast<double>(routing::ToMillis(duration)) / 1000;
}

std::optional<double> MaybeSeconds(const std::optional<routing::Duration>& duration) {
  if (!duration.has_value()) return std::nullopt;
  return Seconds(*duration);
}

// What new statements meet at a gate.
std::string GateWord(const routing::ShardGate& gate, routing::HoldPolicy policy,
                     std::optional<routing::Duration> outage, routing::Duration outage_limit) {
  const routing::GateNotice& notice = gate.notice();
  if (notice.mode == routing::GateMode::kServing) return "serving";
  switch (gate.order().order) {
    case GateOperator::kReject:
      return "rejected";
    case GateOperator::kHold:
    case GateOperator::kDrain:
      return "held";
    case GateOperator::kNone:
    case GateOperator::kServe:
      break;
  }
  if (gate.ramp().active() && notice.serves) return "releasing";
  switch (gate.health().effect) {
    case routing::GateEffect::kShed:
      return "shedding";
    case routing::GateEffect::kHoldWrites:
    case routing::GateEffect::kApplyPolicy: {
      const bool refuses =
          policy == routing::HoldPolicy::kReject || (outage.has_value() && *outage > outage_limit);
      if (gate.health().effect == routing::GateEffect::kHoldWrites)
        return refuses ? "writes rejected" : "writes held";
      return refuses ? "rejected" : "held";
    }
    case routing::GateEffect::kHold:
    case routing::GateEffect::kServe:
      break;
  }
  return "held";
}

int64_t WaitingOf(const routing::GateCounters::Kind& kind) {
  return static_cast<int64_t>(kind.enqueued - kind.released - kind.all_refused() - kind.cancelled);
}

bool HasOrder(const routing::ShardGate& gate) { return gate.order().order != GateOperator::kNone; }

void AddHolds(const routing::ShardGate& gate, const std::string& shard, const std::string& tenant,
              const std::string& state, std::vector<HoldRow>* rows) {
  const auto add = [&](const char* word, const routing::GateCounters::Kind& kind) {
    rows->push_back({.shard = shard,
                     .tenant = tenant,
                     .kind = word,
                     .state = state,
                     .why = gate.notice().text,
                     .held = WaitingOf(kind),
                     .enqueued = static_cast<int64_t>(kind.enqueued),
                     .released = static_cast<int64_t>(kind.released),
                     .refused = static_cast<int64_t>(kind.all_refused()),
                     .cancelled = static_cast<int64_t>(kind.cancelled)});
  };
  add("read", gate.counters().reads);
  add("write", gate.counters().writes);
}

std::string OrderWord(Operators::BackendOrder order, routing::OperatorMark mark) {
  std::string words;
  switch (order) {
    case Operators::BackendOrder::kNone:
      break;
    case Operators::BackendOrder::kDraining:
      words = "draining";
      break;
    case Operators::BackendOrder::kDrained:
      words = "drained";
      break;
    case Operators::BackendOrder::kDisabled:
      words = "disabled";
      break;
  }
  if (mark == routing::OperatorMark::kAuto) return words;
  return absl::StrCat(words, words.empty() ? "" : ", ", "marked ", routing::Abs(ToString(mark)));
}

void AddName(const std::string& name, std::string* names) {
  absl::StrAppend(names, names->empty() ? "" : ", ", name);
}

}  // namespace

void ControlLoop::PostRows(const FleetQuestion& question,
                           std::function<void(ControlRows)> done) const {
  // The loop's queue is the only thing of it that another thread may touch.
  auto* self = const_cast<ControlLoop*>(this);
  self->loop_.Post([self, question, done = std::move(done)] {
    ControlRows rows;
    if (self->tick_ != nullptr) {
      if (question.shards) rows.shards = self->ShardRows();
      if (question.backends) rows.backends = self->BackendRows();
      if (question.replicas) rows.replicas = self->ReplicaRows();
      if (question.holds) rows.holds = self->HoldRows();
    }
    done(std::move(rows));
  });
}

std::vector<ShardRow> ControlLoop::ShardRows() {
  std::vector<ShardRow> rows;
  absl::flat_hash_map<routing::ShardId, int64_t> slots;
  if (std::holds_alternative<routing::UnassignedSlots>(topology_->unassigned())) {
    for (const routing::ShardId id : topology_->slots()) ++slots[id];
  }
  for (const routing::Shard* shard : topology_->shards()) {
    ShardRow& row = rows.emplace_back();
    row.name = shard->name;
    row.epoch = static_cast<int64_t>(shard->epoch.value);
    row.slots = slots[shard->id];
    if (const routing::Backend* primary = topology_->backend(shard->primary); primary != nullptr)
      row.primary = primary->name;
    for (const routing::BackendId id : shard->replicas) {
      if (const routing::Backend* replica = topology_->backend(id); replica != nullptr)
        AddName(replica->name, &row.replicas);
    }
    if (shard->hold.policy.has_value()) row.policy = std::string(ToString(*shard->hold.policy));
    row.max_wait = MaybeSeconds(shard->hold.max_wait);
    row.outage_limit = MaybeSeconds(shard->hold.outage_limit);
    if (shard->hold.max_statements.has_value()) row.max_statements = *shard->hold.max_statements;
    if (shard->hold.max_bytes.has_value())
      row.max_bytes = static_cast<int64_t>(*shard->hold.max_bytes);
    row.failover = std::string(ToString(shard->failover));
    FillGate(*shard, &row);
  }
  return rows;
}

std::string ControlLoop::GateState(const routing::ShardGate& gate, const routing::Shard* shard) {
  const routing::HoldOverrides own = shard == nullptr ? routing::HoldOverrides() : shard->hold;
  std::optional<routing::Duration> outage;
  if (gate.outage_since().has_value()) outage = Now() - *gate.outage_since();
  return GateWord(gate, own.policy.value_or(options().hold.policy), outage,
                  own.outage_limit.value_or(options().hold.outage_limit));
}

void ControlLoop::FillGate(const routing::Shard& shard, ShardRow* row) {
  const routing::ShardGate* gate = desk_->gate(shard.id);
  if (gate == nullptr) return;
  row->state = GateState(*gate, &shard);
  row->ordered = HasOrder(*gate);
  const routing::GateEffect effect = gate->health().effect;
  row->policy_applies = !row->ordered && (effect == routing::GateEffect::kApplyPolicy ||
                                          effect == routing::GateEffect::kHoldWrites);
  row->outage_over_limit =
      row->policy_applies && gate->outage_since().has_value() &&
      Now() - *gate->outage_since() > shard.hold.outage_limit.value_or(options().hold.outage_limit);
  row->why = gate->notice().text;
  row->held_reads = WaitingOf(gate->counters().reads);
  row->held_writes = WaitingOf(gate->counters().writes);
  row->held = row->held_reads + row->held_writes;
  row->held_bytes = static_cast<int64_t>(gate->queue().bytes());
  if (const routing::Backend* replica = topology_->backend(gate->replica()); replica != nullptr)
    row->reads_from = replica->name;
}

std::vector<BackendRow> ControlLoop::BackendRows() {
  std::vector<BackendRow> rows;
  for (const routing::Backend* backend : topology_->backends()) {
    BackendRow& row = rows.emplace_back();
    row.name = backend->name;
    row.address = backend->address.ToString();
    row.family = std::string(ToString(backend->family));
    if (backend->tls.has_value()) row.tls = std::string(ToString(*backend->tls));
    if (backend->max_connections.has_value()) row.max_connections = *backend->max_connections;
    for (const routing::Shard* shard : topology_->shards()) {
      if (shard->primary == backend->id) {
        AddName(shard->name, &row.primary_of);
        if (const routing::ShardGate* gate = desk_->gate(shard->id); gate != nullptr)
          row.held += static_cast<int64_t>(gate->queue().size());
      }
      if (std::find(shard->replicas.begin(), shard->replicas.end(), backend->id) !=
          shard->replicas.end())
        AddName(shard->name, &row.replica_of);
    }
    FillHealth(*backend, &row);
  }
  return rows;
}

void ControlLoop::FillHealth(const routing::Backend& backend, BackendRow* row) {
  auto it = watched_.find(backend.id);
  if (it == watched_.end()) return;
  const BackendWatch& watch = *it->second.watch;
  const routing::BackendHealth& health = watch.health();
  const routing::MonoTime now = Now();
  row->state = std::string(ToString(health.state()));
  row->order = OrderWord(operators_->backend_order(backend.name), health.mark());
  row->since = Seconds(now - health.since());
  if (health.last_life() != routing::kNoTime) row->silent = Seconds(now - health.last_life());
  row->given_up = static_cast<int64_t>(it->second.connections_given_up);
  row->abandoned = static_cast<int64_t>(watch.abandoned());
  for (const uint64_t count : watch.probes_ok()) row->probes_ok += static_cast<int64_t>(count);
  for (const uint64_t count : watch.probes_failed())
    row->probes_failed += static_cast<int64_t>(count);
  if (health.state() != routing::BackendState::kUp)
    row->why = absl::StrJoin(health.Reasons(now), "; ");
}

std::vector<ReplicaRow> ControlLoop::ReplicaRows() {
  std::vector<ReplicaRow> rows;
  const auto state_of = [this](routing::BackendId id, std::string* why) {
    auto it = watched_.find(id);
    if (it == watched_.end()) return std::string();
    const routing::BackendHealth& health = it->second.watch->health();
    if (why != nullptr && health.state() != routing::BackendState::kUp)
      *why = absl::StrJoin(health.Reasons(Now()), "; ");
    return std::string(ToString(health.state()));
  };
  for (const routing::Shard* shard : topology_->shards()) {
    for (const routing::BackendId id : shard->replicas) {
      const routing::Backend* replica = topology_->backend(id);
      const routing::Backend* primary = topology_->backend(shard->primary);
      if (replica == nullptr || primary == nullptr) continue;
      ReplicaRow& row = rows.emplace_back();
      row.shard = shard->name;
      row.backend = replica->name;
      row.primary = primary->name;
      row.state = state_of(id, &row.why);
      row.primary_state = state_of(shard->primary, nullptr);
    }
  }
  return rows;
}

std::vector<HoldRow> ControlLoop::HoldRows() {
  std::vector<HoldRow> rows;
  for (const routing::Shard* shard : topology_->shards()) {
    if (const routing::ShardGate* gate = desk_->gate(shard->id); gate != nullptr)
      AddHolds(*gate, shard->name, {}, GateState(*gate, shard), &rows);
  }
  desk_->ForEachTenant([&](const routing::ShardGate& gate) {
    AddHolds(gate, {}, gate.name(), GateState(gate, nullptr), &rows);
  });
  return rows;
}

}  // namespace bulkhead::control
