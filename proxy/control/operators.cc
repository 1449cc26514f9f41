#include "proxy/control/operators.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/option_list.h"
#include "proxy/config/values.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

using routing::GateOperator;
using routing::GateOrder;

namespace {

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// --- the asked command
// ----------------------------------------------------------------------------------

void AskedCommand::Report(OperatorReply reply) {
  if (auto done = std::exchange(callbacks.done, nullptr); done) done(std::move(reply));
}

void AskedCommand::Done(std::string message) {
  Report({.ok = true, .message = std::move(message)});
}

void AskedCommand::Fail(uint16_t code, std::string message) {
  Report({.ok = false, .code = code, .message = std::move(message)});
}

void AskedCommand::Progress(const std::string& words) const {
  if (callbacks.progress) callbacks.progress(words);
}

// --- submitting
// -----------------------------------------------------------------------------------------

Operators::Operators(OperatorWorld* world) : world_(world) {}
Operators::~Operators() = default;

uint64_t Operators::Submit(OperatorCommand command, OperatorOrigin origin, Callbacks callbacks) {
  const uint64_t ticket = ++last_ticket_;
  auto asked = std::make_shared<AskedCommand>();
  asked->ticket = ticket;
  asked->origin = std::move(origin);
  asked->callbacks = std::move(callbacks);
  world_->Post([this, command = std::move(command), asked]() mutable {
    Execute(std::move(command), asked);
  });
  return ticket;
}

void Operators::CancelSubmitted(uint64_t ticket) {
  world_->Post([this, ticket] {
    auto it = tasks_.find(ticket);
    if (it == tasks_.end()) return;
    it->second.second->cancelled = true;
    it->second.first->CancelUnasked();
  });
}

void Operators::Tick(routing::MonoTime now) {
  // What was ordered for a while: the gate has ended it by itself.
  absl::erase_if(shard_orders_, [&](const auto& entry) {
    if (entry.second.until > now) return false;
    if (const routing::Shard* shard = world_->topology()->shard(entry.first); shard != nullptr)
      PersistQuietly({EraseOrder{{SliceName::Kind::kShard, shard->name}}});
    return true;
  });
  std::vector<uint64_t> ended;
  for (auto& [ticket, task] : tasks_) {
    if (!task.first->ended()) task.first->Tick(now);
    if (task.first->ended()) ended.push_back(ticket);
  }
  for (const uint64_t ticket : ended) tasks_.erase(ticket);
}

void Operators::CancelAll() {
  for (auto& [ticket, task] : tasks_) {
    if (!task.first->ended()) task.first->CancelUnasked();
  }
}

size_t Operators::stuck() const {
  return static_cast<size_t>(std::count_if(tasks_.begin(), tasks_.end(), [](const auto& entry) {
    return entry.second.first->needs_person();
  }));
}

void Operators::Stop() {
  for (auto& [ticket, task] : tasks_) {
    if (!task.first->ended()) task.first->Stop();
  }
  tasks_.clear();
}

bool Operators::MayBegin(const AskedPtr& asked) {
  if (tasks_.size() < kMostWaiting) return true;
  asked->Fail(kErrNotNow, absl::StrCat("there are ", kMostWaiting,
                                       " operations under way: wait, or CANCEL OPERATION"));
  return false;
}

void Operators::Begin(std::unique_ptr<OperatorTask> task, const AskedPtr& asked) {
  tasks_.emplace(asked->ticket, std::pair(std::move(task), asked));
}

void Operators::Run(const CancelOperation& command, const AskedPtr& asked) {
  for (auto& [ticket, task] : tasks_) {
    if (task.first->operation() != command.number || task.first->ended()) continue;
    if (const std::string past = task.first->PastCancel(); !past.empty()) {
      asked->Fail(kErrNotNow,
                  absl::StrCat("operation ", command.number, " can't be cancelled: ", past));
      return;
    }
    task.first->Cancel();
    asked->Done(absl::StrCat("operation ", command.number, " is being cancelled"));
    return;
  }
  asked->Fail(kErrNoSuchObject,
              absl::StrCat("no operation ", command.number, " is under way: see SHOW OPERATIONS"));
}

void Operators::StoreAndAnswer(const AskedPtr& asked, std::vector<StoreEdit> edits,
                               std::string message) {
  world_->Persist(
      std::move(edits), [asked, message = std::move(message)](const absl::Status& status) {
        if (status.ok()) {
          asked->Done(message);
        } else {
          asked->Fail(kErrNotStored,
                      message + "; but that is not stored, and a restart will forget it: " +
                          std::string(status.message()));
        }
      });
}

void Operators::PersistQuietly(std::vector<StoreEdit> edits) {
  world_->Persist(std::move(edits), [](const absl::Status& status) {
    if (!status.ok()) {
      log::Error(log::event::kStore, {{"what", "an order"}},
                 "topology store: " + status.ToString());
    }
  });
}

void Operators::Restore(const StoredState& state) {
  const routing::MonoTime now = world_->Now();
  for (const auto& [backend, word] : state.backend_states) {
    if (word.starts_with(kFencedWord)) {
      Fence(backend, word.substr(kFencedWord.size()));
    } else {
      backend_orders_[backend] =
          word == "disabled" ? BackendOrder::kDisabled : BackendOrder::kDrained;
    }
  }
  const int64_t wall_ms = WallMs();
  for (const StoredOrder& stored : state.orders) {
    if (stored.until_ms != 0 && stored.until_ms <= wall_ms) {
      PersistQuietly({EraseOrder{stored.slice}});
      continue;
    }
    const GateOrder order{.order = stored.order,
                          .until = stored.until_ms == 0
                                       ? routing::kMonoNever
                                       : now + std::chrono::milliseconds(stored.until_ms - wall_ms),
                          .words = stored.words};
    if (stored.slice.kind == SliceName::Kind::kTenant) {
      world_->gates()->SetTenantOrder(stored.slice.name, order, now);
    } else if (const routing::Shard* shard = world_->topology()->FindShard(stored.slice.name);
               shard != nullptr) {
      shard_orders_[shard->id] = order;
    }
  }
  ApplyOrders();
  for (const auto& [name, mark] : state.marks) {
    const routing::Backend* backend = world_->topology()->FindBackend(name);
    if (backend == nullptr) continue;
    world_->HealthOf(backend->id)->SetMark(mark, now);
    world_->CarryOut(backend->id);
  }
  for (const auto& [tenant, limit] : state.limits) world_->limits()->SetTenant(tenant, limit);
  ResumeChanges(state);
}

// --- names
// ------------------------------------------------------------------------------------------------

namespace {

template <typename Objects>
std::string NoSuch(std::string_view kind, const std::string& name, const Objects& objects) {
  std::vector<std::string_view> known;
  known.reserve(objects.size());
  for (const auto* object : objects) known.push_back(object->name);
  const std::string_view nearest = config::NearestKey(name, known);
  std::string text = "there is no " + std::string(kind) + " '" + name + "'";
  if (!nearest.empty()) text += "; did you mean '" + std::string(nearest) + "'?";
  return text;
}

}  // namespace

const routing::Shard* Operators::ShardOr(const std::string& name, const AskedPtr& asked) {
  const routing::Shard* shard = world_->topology()->FindShard(name);
  if (shard == nullptr)
    asked->Fail(kErrNoSuchObject, NoSuch("shard", name, world_->topology()->shards()));
  return shard;
}

const routing::Backend* Operators::BackendOr(const std::string& name, const AskedPtr& asked) {
  const routing::Backend* backend = world_->topology()->FindBackend(name);
  if (backend == nullptr)
    asked->Fail(kErrNoSuchObject, NoSuch("backend", name, world_->topology()->backends()));
  return backend;
}

bool Operators::TenantOr(const std::string& name, const AskedPtr& asked) {
  if (world_->topology()->FindTenant(name).found()) return true;
  asked->Fail(kErrNoSuchObject,
              "there is no tenant '" + name + "', and no rule that would place it");
  return false;
}

// --- orders for shards and tenants
// ----------------------------------------------------------------------

void Operators::Run(const HoldSlice& command, const AskedPtr& asked) {
  Order(command.slice, GateOperator::kHold, command.lasting, "is held by an operator", asked);
}

void Operators::Run(const RejectSlice& command, const AskedPtr& asked) {
  Order(command.slice, GateOperator::kReject, command.lasting, "is closed by an operator", asked);
}

void Operators::Order(const SliceName& slice, GateOperator order,
                      const std::optional<Duration>& lasting, const std::string& words,
                      const AskedPtr& asked) {
  const routing::MonoTime now = world_->Now();
  const GateOrder gate_order{.order = order,
                             .until = lasting.has_value() ? now + *lasting : routing::kMonoNever,
                             .words = words};
  const std::string until = lasting.has_value() ? " for " + config::DurationText(*lasting)
                                                : std::string(" until it is released");
  const StoredOrder stored{
      .slice = slice,
      .order = order,
      .until_ms = lasting.has_value() ? WallMs() + routing::ToMillis(*lasting) : 0,
      .words = words};
  if (slice.kind == SliceName::Kind::kTenant) {
    if (!TenantOr(slice.name, asked) || UnderChange({TenantKey(slice.name)}, asked)) return;
    world_->gates()->SetTenantOrder(slice.name, gate_order, now);
    StoreAndAnswer(asked, {PutOrder{stored}}, "tenant " + slice.name + " " + words + until);
    return;
  }
  const routing::Shard* shard = ShardOr(slice.name, asked);
  if (shard == nullptr) return;
  shard_orders_[shard->id] = gate_order;
  ApplyOrder(*shard);
  StoreAndAnswer(asked, {PutOrder{stored}}, "shard " + slice.name + " " + words + until);
}

void Operators::Run(const ReleaseSlice& command, const AskedPtr& asked) {
  if (command.slice.kind == SliceName::Kind::kShard) {
    const routing::Shard* shard = ShardOr(command.slice.name, asked);
    if (shard != nullptr && !UnderChange({shard->name}, asked))
      ReleaseShard(*shard, command.force, asked);
    return;
  }
  if (UnderChange({TenantKey(command.slice.name)}, asked)) return;
  if (world_->gates()->tenant_gate(command.slice.name) == nullptr) {
    asked->Fail(kErrNotNow, "tenant " + command.slice.name + " is not held");
    return;
  }
  world_->gates()->SetTenantOrder(command.slice.name, {}, world_->Now());
  StoreAndAnswer(asked, {EraseOrder{command.slice}},
                 "tenant " + command.slice.name + " is released");
}

void Operators::ReleaseShard(const routing::Shard& shard, bool force, const AskedPtr& asked) {
  const bool had_order = shard_orders_.erase(shard.id) > 0;
  const SliceName slice{SliceName::Kind::kShard, shard.name};
  const routing::BackendHealth* health = world_->HealthOf(shard.primary);
  const bool well = health != nullptr && (health->effect() == routing::GateEffect::kServe ||
                                          health->effect() == routing::GateEffect::kShed);
  const routing::Backend* primary = world_->topology()->backend(shard.primary);
  if (!well && force) {
    shard_orders_[shard.id] = {.order = GateOperator::kServe,
                               .words = "is served by force, whatever its backend's state is"};
    ApplyOrder(shard);
    StoreAndAnswer(
        asked, {PutOrder{{slice, GateOperator::kServe, 0, shard_orders_[shard.id].words}}},
        "shard " + shard.name + " is served, although its backend is " +
            std::string(health == nullptr ? "unknown" : routing::ToString(health->state())) +
            "; RELEASE SHARD " + shard.name + " ends that");
    return;
  }
  ApplyOrder(shard);
  if (had_order) PersistQuietly({EraseOrder{slice}});
  const BackendOrder backend = backend_order(primary->name);
  if (backend != BackendOrder::kNone) {
    asked->Fail(kErrNotNow, "backend " + primary->name +
                                " is drained or disabled: ENABLE BACKEND " + primary->name);
  } else if (!well) {
    asked->Fail(
        kErrNotNow,
        "shard " + shard.name + " " + (had_order ? "has no order any more, but " : "") +
            "waits for its backend " + primary->name + ", which is " +
            std::string(health == nullptr ? "unknown" : routing::ToString(health->state())) +
            ": RELEASE SHARD " + shard.name + " FORCE serves it all the same");
  } else if (!had_order) {
    asked->Fail(kErrNotNow, "shard " + shard.name + " has no order of an operator");
  } else {
    StoreAndAnswer(asked, {EraseOrder{slice}}, "shard " + shard.name + " is released");
  }
}

// What an operator wants of a shard: its own order, or else what was said of its primary; and a
// change under way comes first.
void Operators::ApplyOrder(const routing::Shard& shard) {
  if (followed_.has_value()) {
    ApplyFollowed(shard);
    return;
  }
  GateOrder order;
  const routing::Backend* primary = world_->topology()->backend(shard.primary);
  const BackendOrder backend =
      primary == nullptr ? BackendOrder::kNone : backend_order(primary->name);
  if (backend == BackendOrder::kDraining || backend == BackendOrder::kDrained) {
    order = {.order = GateOperator::kDrain, .words = "is drained (backend " + primary->name + ")"};
  } else if (backend == BackendOrder::kDisabled) {
    order = {.order = GateOperator::kReject,
             .words = "is disabled (backend " + primary->name + ")"};
  }
  if (auto it = shard_orders_.find(shard.id); it != shard_orders_.end()) order = it->second;
  if (std::find(moving_.begin(), moving_.end(), shard.id) != moving_.end())
    order = {.order = GateOperator::kDrain, .words = "is getting another primary"};
  if (const std::optional<GateOrder> passed = PassedBy(shard); passed.has_value()) order = *passed;
  if (auto it = change_orders_.find(shard.id); it != change_orders_.end()) order = it->second;
  world_->gates()->SetOrder(shard.id, order, world_->Now());
}

// A promotion is written down that this process does not know.
std::optional<routing::GateOrder> Operators::PassedBy(const routing::Shard& shard) const {
  auto it = promotions_.find(shard.name);
  if (it == promotions_.end() || it->second.epoch <= shard.epoch) return std::nullopt;
  return GateOrder{.order = GateOperator::kReject,
                   .words = absl::StrCat("has had its primary changed to ", it->second.primary,
                                         " by another router (epoch ", it->second.epoch.value,
                                         ", and this router knows ", shard.epoch.value, ")")};
}

void Operators::ApplyOrders() {
  absl::erase_if(shard_orders_, [this](const auto& entry) {
    return world_->topology()->shard(entry.first) == nullptr;
  });
  for (const routing::Shard* shard : world_->topology()->shards()) ApplyOrder(*shard);
}

// --- backends
// ------------------------------------------------------------------------------------------------

Operators::BackendOrder Operators::backend_order(const std::string& backend) const {
  auto it = backend_orders_.find(backend);
  return it == backend_orders_.end() ? BackendOrder::kNone : it->second;
}

void Operators::SetBackendOrder(const std::string& backend, BackendOrder order) {
  if (order == BackendOrder::kNone) {
    backend_orders_.erase(backend);
  } else {
    backend_orders_[backend] = order;
  }
  ApplyOrders();
}

void Operators::Run(const MarkBackend& command, const AskedPtr& asked) {
  const routing::Backend* backend = BackendOr(command.backend, asked);
  if (backend == nullptr) return;
  routing::BackendHealth* health = world_->HealthOf(backend->id);
  switch (command.as) {
    case MarkBackend::As::kDown:
      health->SetMark(routing::OperatorMark::kDown, world_->Now());
      break;
    case MarkBackend::As::kUp:
      health->SetMark(routing::OperatorMark::kUp, world_->Now());
      if (fenced_.erase(command.backend) > 0)
        PersistQuietly({PutBackendState{command.backend, ""}});
      break;
    case MarkBackend::As::kAuto:
      health->SetMark(routing::OperatorMark::kAuto, world_->Now());
      break;
  }
  world_->CarryOut(backend->id);
  StoreAndAnswer(asked, {PutMark{command.backend, health->mark()}},
                 "backend " + command.backend + " is marked " +
                     std::string(routing::ToString(health->mark())) + "; it is " +
                     std::string(routing::ToString(health->state())));
}

void Operators::Run(const DisableBackend& command, const AskedPtr& asked) {
  if (BackendOr(command.backend, asked) == nullptr || UnderChange({command.backend}, asked)) return;
  if (fenced_.contains(command.backend)) {
    asked->Fail(kErrNotNow, "backend " + command.backend + " is fenced: nothing reaches it anyway");
    return;
  }
  SetBackendOrder(command.backend, BackendOrder::kDisabled);
  StoreAndAnswer(asked, {PutBackendState{command.backend, "disabled"}},
                 "backend " + command.backend +
                     " is disabled: new work for its shards is refused, what runs goes on");
}

void Operators::Run(const EnableBackend& command, const AskedPtr& asked) {
  if (BackendOr(command.backend, asked) == nullptr || UnderChange({command.backend}, asked)) return;
  if (backend_order(command.backend) == BackendOrder::kNone) {
    asked->Fail(kErrNotNow, "backend " + command.backend + " is neither drained nor disabled");
    return;
  }
  SetBackendOrder(command.backend, BackendOrder::kNone);
  StoreAndAnswer(asked, {PutBackendState{command.backend, ""}},
                 "backend " + command.backend + " is enabled");
}

// --- sessions, limits, the process
// ------------------------------------------------------------------------

void Operators::Run(const KillSession& command, const AskedPtr& asked) {
  struct Answers {
    size_t awaited;
    bool found = false;
  };
  auto answers = std::make_shared<Answers>(Answers{world_->workers().size()});
  const auto answer = [asked, command](bool found) {
    if (found) {
      asked->Done(absl::StrCat(command.query_only ? "what session " : "session ", command.id,
                               command.query_only ? " runs is killed" : " is killed"));
    } else {
      asked->Fail(kErrNoSuchObject,
                  absl::StrCat("there is no session ", command.id, ": see SHOW SESSIONS"));
    }
  };
  for (io::Worker* worker : world_->workers()) {
    worker->PostKill(command.id, command.query_only, std::nullopt, [=, this](bool found) {
      world_->Post([=, this] {
        answers->found = answers->found || found;
        if (--answers->awaited > 0) return;
        if (answers->found) {
          answer(true);
        } else {
          world_->KillElsewhere(command.id, command.query_only, answer);
        }
      });
    });
  }
}

void Operators::Run(const LimitTenant& command, const AskedPtr& asked) {
  world_->limits()->SetTenant(command.tenant, command.limit);
  StoreAndAnswer(asked, {PutLimit{command.tenant, command.limit}},
                 command.limit.has_value()
                     ? "tenant " + command.tenant + " has limits of its own"
                     : "tenant " + command.tenant + " has the default limits");
}

void Operators::Run(const Shutdown& command, const AskedPtr& asked) {
  (void)command;
  asked->Done("shutting down: no new clients, what runs may end");
  world_->ShutDown();
}

}  // namespace bulkhead::control
