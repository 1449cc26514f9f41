// Operators' commands that change a shard's primary on its servers: SWITCHOVER, FAILOVER, and what
// goes on from an earlier process.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/change_scene.h"
#include "proxy/control/change_task.h"
#include "proxy/control/operators.h"
#include "proxy/log/events.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

namespace {

constexpr Duration kShortest = std::chrono::seconds(1);
constexpr Duration kLongest = std::chrono::hours(1);

// Nobody waits for it any more.
AskedPtr AskedBefore(const Operation& operation) {
  auto asked = std::make_shared<AskedCommand>();
  asked->origin = {operation.user, "an earlier process",
                   operation.kind + " of " + operation.object};
  return asked;
}

}  // namespace

// --- what tasks ask for
// ------------------------------------------------------------------------------------------------

void Operators::SetChangeOrder(const ShardList& shards, const routing::GateOrder& order) {
  for (const routing::Shard* shard : shards) {
    change_orders_[shard->id] = order;
    ApplyOrder(*shard);
  }
}

void Operators::ReleaseChangeOrder(const ShardList& shards) {
  for (const routing::Shard* shard : shards) {
    change_orders_.erase(shard->id);
    auto it = shard_orders_.find(shard->id);
    if (it != shard_orders_.end() && it->second.words.starts_with(kFrozenWords)) {
      shard_orders_.erase(it);
      PersistQuietly({EraseOrder{{SliceName::Kind::kShard, shard->name}}});
    }
    ApplyOrder(*shard);
  }
}

void Operators::KeepHeld(const ShardList& shards, const std::string& words) {
  for (const routing::Shard* shard : shards) {
    const routing::GateOrder order{.order = routing::GateOperator::kHold,
                                   .words = std::string(kFrozenWords) + ": " + words};
    change_orders_.erase(shard->id);
    shard_orders_[shard->id] = order;
    PersistQuietly({PutOrder{{.slice = {SliceName::Kind::kShard, shard->name},
                              .order = order.order,
                              .until_ms = 0,
                              .words = order.words}}});
    ApplyOrder(*shard);
  }
}

void Operators::NoteEpoch(const std::string& shard, routing::Epoch epoch,
                          const std::string& primary) {
  Promotion& seen = promotions_[shard];
  if (epoch <= seen.epoch) return;
  seen = {epoch, primary};
  const routing::Shard* known = world_->topology()->FindShard(shard);
  if (known == nullptr || epoch <= known->epoch) return;
  const std::string words = absl::StrCat(
      "another router has made ", primary, " the primary (epoch ", epoch.value,
      ", and this router knows ", known->epoch.value, "): the shard is closed; ALTER SHARD ", shard,
      " PRIMARY ", primary, " goes on with it");
  log::Error(log::event::kChange, {{"shard", shard}}, absl::StrCat("shard ", shard, ": ", words));
  world_->events()->Add("shard", shard, words);
  ApplyOrder(*known);
}

routing::Epoch Operators::SeenEpochOf(const std::string& shard) const {
  auto it = promotions_.find(shard);
  return it == promotions_.end() ? routing::Epoch{} : it->second.epoch;
}

void Operators::FenceBackend(const std::string& backend, const std::string& why) {
  Fence(backend, why);
  PersistQuietly({PutBackendState{backend, std::string(kFencedWord) + why},
                  PutMark{backend, routing::OperatorMark::kAuto}});
}

void Operators::NoteFenced(const std::string& backend, const std::string& words) {
  auto it = fenced_.find(backend);
  const routing::Backend* found = world_->topology()->FindBackend(backend);
  if (it == fenced_.end() || found == nullptr) return;
  const std::string why = it->second.substr(0, it->second.find("; it ")) + "; it " + words;
  it->second = why;
  world_->HealthOf(found->id)->Fence(why, world_->Now());
  PersistQuietly({PutBackendState{backend, std::string(kFencedWord) + why}});
}

void Operators::Fence(const std::string& backend, const std::string& why) {
  const routing::Backend* found = world_->topology()->FindBackend(backend);
  if (found == nullptr) return;
  fenced_[backend] = why;
  routing::BackendHealth* health = world_->HealthOf(found->id);
  // A mark would say more than the fence.
  health->SetMark(routing::OperatorMark::kAuto, world_->Now());
  health->Fence(why, world_->Now());
  world_->CarryOut(found->id);
}

// --- what stands in the way
// ----------------------------------------------------------------------------------------

bool Operators::IsUnderChange(const std::string& name) const {
  return std::any_of(tasks_.begin(), tasks_.end(), [&](const auto& entry) {
    return !entry.second.first->ended() && entry.second.first->Concerns(name);
  });
}

std::string Operators::FencedWhy(const std::string& backend) const {
  auto it = fenced_.find(backend);
  return it == fenced_.end() ? std::string() : it->second;
}

bool Operators::UnderChange(const std::vector<std::string>& names, const AskedPtr& asked) {
  for (const auto& [ticket, task] : tasks_) {
    if (task.first->ended()) continue;
    for (const std::string& name : names) {
      if (!task.first->Concerns(name)) continue;
      const uint64_t number = task.first->operation();
      const std::optional<Operation> operation = world_->operations()->Find(number);
      asked->Fail(kErrNotNow, absl::StrCat("operation ", number, " (",
                                           operation.has_value() ? operation->kind : "change",
                                           " of ", operation.has_value() ? operation->object : name,
                                           ") is under way: wait, or CANCEL OPERATION ", number));
      return true;
    }
  }
  return false;
}

bool Operators::MayChange(const routing::Shard& shard, const std::string& to,
                          const AskedPtr& asked) {
  const routing::Topology& topology = *world_->topology();
  const std::string& primary = topology.backend(shard.primary)->name;
  std::vector<std::string> replicas;
  for (const routing::BackendId replica : shard.replicas)
    replicas.push_back(topology.backend(replica)->name);
  std::string reason;
  if (to == primary) {
    reason = absl::StrCat("backend ", to, " is the primary of shard ", shard.name, " already");
  } else if (std::find(replicas.begin(), replicas.end(), to) == replicas.end()) {
    reason = absl::StrCat("backend ", to, " is no replica of shard ", shard.name, " (it has ",
                          replicas.empty() ? "none" : absl::StrJoin(replicas, ", "),
                          "): ALTER SHARD ", shard.name, " REPLICAS ... first");
  } else if (!world_->options().control.has_value()) {
    reason = "there is no control account ('control:' in the configuration)";
  } else if (fenced_.contains(to)) {
    reason = absl::StrCat("backend ", to, " is fenced: ", fenced_[to]);
  } else if (backend_order(to) != BackendOrder::kNone) {
    reason = absl::StrCat("backend ", to, " is drained or disabled: ENABLE BACKEND ", to);
  }
  if (!reason.empty()) {
    asked->Fail(kErrNotNow, reason);
    return false;
  }
  return MayBegin(asked);
}

// --- the commands
// ------------------------------------------------------------------------------------------------

void Operators::StartChange(routing::ChangePlan plan, bool automatic, const AskedPtr& asked) {
  const routing::Topology& topology = *world_->topology();
  plan.others = OthersOf(topology, plan);
  // Not by itself a replica again: what only it has would be in the way, or be lost.
  std::erase_if(plan.others, [this](const std::string& name) { return fenced_.contains(name); });
  std::vector<std::string> names = plan.others;
  names.push_back(plan.old_primary);
  names.push_back(plan.candidate);
  for (const routing::Shard* shard : ShardsOfChange(topology, plan)) names.push_back(shard->name);
  if (UnderChange(names, asked)) return;
  Begin(std::make_unique<ChangeTask>(this, asked, plan, automatic), asked);
}

void Operators::Run(const Switchover& command, const AskedPtr& asked) {
  const routing::Shard* shard = ShardOr(command.shard, asked);
  if (shard == nullptr || BackendOr(command.to, asked) == nullptr) return;
  if (command.timeout < kShortest || command.timeout > kLongest) {
    asked->Fail(kErrBadValue, "TIMEOUT is between '1s' and '1h'");
    return;
  }
  if (!MayChange(*shard, command.to, asked)) return;
  routing::ChangePlan plan;
  plan.kind = routing::ChangeKind::kSwitchover;
  plan.shard = shard->name;
  plan.old_primary = world_->topology()->backend(shard->primary)->name;
  plan.candidate = command.to;
  plan.timeout = command.timeout;
  plan.dry_run = command.dry_run;
  StartChange(std::move(plan), /*automatic=*/false, asked);
}

void Operators::Run(const Failover& command, const AskedPtr& asked) {
  const routing::Shard* shard = ShardOr(command.shard, asked);
  if (shard == nullptr || BackendOr(command.to, asked) == nullptr) return;
  if (!MayChange(*shard, command.to, asked)) return;
  routing::ChangePlan plan;
  plan.kind = routing::ChangeKind::kFailover;
  plan.shard = shard->name;
  plan.old_primary = world_->topology()->backend(shard->primary)->name;
  plan.candidate = command.to;
  plan.dry_run = command.dry_run;
  plan.accept_data_loss = command.accept_data_loss;
  plan.accept_split_brain = command.accept_split_brain;
  plan.fence_configured = !world_->options().failover.FenceOf(plan.old_primary).empty();
  plan.fence_timeout = world_->options().failover.fence_timeout;
  StartChange(std::move(plan), command.automatic, asked);
}

// Something may have been sent, and nobody can read what.
void Operators::HoldUnreadable(const StoredOperation& stored) {
  const Operation& operation = stored.operation;
  const std::string words =
      absl::StrCat("what is stored of operation ", operation.id, " (", operation.kind, " of ",
                   operation.object, ", step '", operation.step,
                   "') can't be read: look at its servers, then RELEASE SHARD ", operation.object);
  log::Error(log::event::kChange,
             {{"operation", operation.id}, {"shard", operation.object}, {"kind", operation.kind}},
             words);
  world_->events()->Add("operation", operation.object, words);
  world_->operations()->End(operation.id, Operation::State::kFailed, words);
  if (const routing::Shard* own = world_->topology()->FindShard(operation.object); own != nullptr) {
    ShardList shards;
    for (const routing::Shard* shard : world_->topology()->shards()) {
      if (shard->primary == own->primary) shards.push_back(shard);
    }
    KeepHeld(shards, words);
  }
  // The next process need not say it once more; what is stored stays.
  StoredOperation ended = stored;
  ended.operation.state = Operation::State::kFailed;
  ended.operation.detail = words;
  PersistQuietly({PutOperation{std::move(ended)}});
}

void Operators::ResumeChanges(const StoredState& state) {
  for (const StoredOperation& stored : state.operations) {
    const Operation& operation = stored.operation;
    const bool change = operation.kind == "switchover" || operation.kind == "failover";
    if (operation.state != Operation::State::kRunning || !change) continue;
    const std::optional<routing::ChangeRecord> record = routing::DecodeChange(stored.payload);
    if (!record.has_value() && !stored.payload.empty()) {
      HoldUnreadable(stored);
      continue;
    }
    if (!record.has_value()) {
      // Nothing was stored yet, so nothing was sent.
      world_->operations()->End(operation.id, Operation::State::kFailed,
                                "the router ended before anything was changed");
      continue;
    }
    const AskedPtr asked = AskedBefore(operation);
    asked->ticket = ++last_ticket_;
    Begin(std::make_unique<ChangeTask>(this, asked, operation.id, *record), asked);
  }
}

}  // namespace bulkhead::control
