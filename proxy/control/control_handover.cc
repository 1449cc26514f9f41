// The control loop while another process of this router lives: before, the one that this one took
// over from; afterwards, the one that takes over.

#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/control_loop.h"
#include "proxy/control/topology_message.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

size_t ControlLoop::LiveWorkers() const {
  size_t live = 0;
  for (const io::Worker* worker : *setup_.workers)
    live += worker->last_turn_ns() == io::Worker::kEnded ? 0 : 1;
  return live;
}

// --- this process hands over
// ------------------------------------------------------------------------------------------------

void ControlLoop::GiveStore(
    std::function<void(absl::StatusOr<std::unique_ptr<StoreThread>>)> done) {
  loop_.Post([this, done = std::move(done)] {
    const std::string busy = operators_->Busy();
    if (!busy.empty() || giving_store_ || successor_ != nullptr) {
      done(absl::FailedPreconditionError(busy.empty() ? "it has been given already" : busy));
      return;
    }
    history_at_ = {};
    StoreHistory(Now());
    giving_store_ = true;
    operators_->Close(true);
    done(std::move(store_));
  });
}

void ControlLoop::TakeStoreBack(std::unique_ptr<TopologyStore> store, uint64_t revision) {
  auto shared = std::make_shared<std::unique_ptr<TopologyStore>>(std::move(store));
  loop_.Post([this, shared, revision] {
    if (*shared != nullptr) {
      store_ = std::make_unique<StoreThread>(
          std::move(*shared), revision,
          [this](std::function<void()> message) { loop_.Post(std::move(message)); });
    }
    giving_store_ = false;
    operators_->Close(false);
  });
}

void ControlLoop::Follow(int fd, pid_t pid, routing::Duration drain) {
  loop_.Post([this, fd, pid, drain] {
    giving_store_ = false;
    followed_at_ = Now();
    drain_until_ = Now() + drain;
    successor_ = std::make_unique<Successor>(&loop_, fd, static_cast<Successor::Hands*>(this),
                                             [this, pid](const std::string& why) {
                                               EndFollowing(absl::StrCat(why, " (pid ", pid, ")"));
                                             });
    for (auto& [id, watched] : watched_) {
      if (const routing::Backend* backend = topology_->backend(id); backend != nullptr)
        watched.watch->SetOptions(WatchOptions(*backend));
    }
  });
}

void ControlLoop::NoteEvent(const std::string& kind, const std::string& object,
                            const std::string& text) {
  loop_.Post([this, kind, object, text] { events_.Add(kind, object, text); });
}

// Clients that come are the other process's; whoever is here may stay, for a while.
void ControlLoop::TickHandover(routing::MonoTime now) {
  constexpr routing::Duration kReportEvery = std::chrono::milliseconds(250);
  if (predecessor_ != nullptr) {
    predecessor_->Tick(now);
    const std::lock_guard lock(view_mutex_);
    predecessors_ = {predecessor_->sessions(),
                     {predecessor_->numbers().begin(), predecessor_->numbers().end()}};
  }
  if (successor_ == nullptr) return;
  const uint64_t own = setup_.clients();
  const Predecessors before = SeenPredecessors();
  if (now - reported_at_ >= kReportEvery) {
    reported_at_ = now;
    std::vector<uint32_t> numbers = before.numbers;
    numbers.push_back(setup_.process);
    successor_->Report(own + before.sessions, numbers);
  }
  // By then every worker has closed its listeners, and whoever it accepted last is counted.
  constexpr routing::Duration kSettled = std::chrono::seconds(1);
  if (now - followed_at_ < kSettled) return;
  if (own == 0 && predecessor_ == nullptr) EndFollowing("no session is left");
  if (now >= drain_until_)
    EndFollowing(absl::StrCat("upgrade.drain_timeout is over, with ", own, " sessions left"));
}

void ControlLoop::EndFollowing(const std::string& why) {
  if (std::exchange(ending_, true)) return;
  log::Info(log::event::kHandover, {{"what", "ends"}}, "has handed over and ends: " + why);
  setup_.shut_down();
}

void ControlLoop::FollowOrders(Successor::Orders shards, Successor::Orders tenants) {
  operators_->Follow(std::move(shards));
  std::vector<std::string> released;
  desk_->ForEachTenant([&](const routing::ShardGate& gate) {
    if (!tenants.contains(std::string(gate.name()))) released.emplace_back(gate.name());
  });
  for (const std::string& tenant : released) desk_->SetTenantOrder(tenant, {}, Now());
  for (const auto& [tenant, order] : tenants) desk_->SetTenantOrder(tenant, order, Now());
}

void ControlLoop::FollowOrder(bool tenant, const std::string& name,
                              const routing::GateOrder& order) {
  if (tenant) {
    desk_->SetTenantOrder(name, order, Now());
  } else {
    operators_->FollowOrder(name, order);
  }
}

void ControlLoop::FollowMark(const std::string& backend, int mark) {
  const routing::Backend* known = topology_->FindBackend(backend);
  routing::BackendHealth* health = known == nullptr ? nullptr : HealthOf(known->id);
  if (health == nullptr || static_cast<int>(health->mark()) == mark) return;
  health->SetMark(static_cast<routing::OperatorMark>(mark), Now());
  CarryOut(known->id);
}

void ControlLoop::FollowReadOnly(const std::string& backend, bool expected) {
  const routing::Backend* known = topology_->FindBackend(backend);
  if (known != nullptr) ExpectReadOnly(known->id, expected);
}

bool ControlLoop::FollowTopology(const std::vector<StoreEdit>& edits, std::function<void()> done) {
  auto next = ApplyEdits(*topology_, edits);
  if (!next.ok()) {
    log::Error(
        log::event::kHandover, {{"what", "topology"}},
        "the new process's topology can't be followed: " + std::string(next.status().message()));
    return false;
  }
  Publish(*std::move(next), edits, std::move(done));
  return true;
}

void ControlLoop::AnswerBusy(const std::string& backend, const std::string& shard,
                             const std::string& tenant,
                             std::function<void(const io::BusyCount&)> done) {
  io::BusyFilter filter{.tenant = tenant};
  const routing::Backend* known_backend = topology_->FindBackend(backend);
  const routing::Shard* known_shard = topology_->FindShard(shard);
  if (known_backend != nullptr) filter.backend = known_backend->id;
  if (known_shard != nullptr) filter.shard = known_shard->id;
  CountBusy(std::move(filter), std::move(done));
}

void ControlLoop::FollowGiveUp(const std::string& backend, std::function<void()> done) {
  const routing::Backend* known = topology_->FindBackend(backend);
  GiveUp(known == nullptr ? routing::BackendId{} : known->id, std::move(done));
}

void ControlLoop::FollowKill(uint64_t id, bool query_only, std::optional<io::KillScope> scope,
                             std::function<void(bool)> done) {
  auto awaited = std::make_shared<size_t>(LiveWorkers());
  auto found_any = std::make_shared<bool>(false);
  for (io::Worker* worker : *setup_.workers) {
    if (worker->last_turn_ns() == io::Worker::kEnded) continue;
    worker->PostKill(id, query_only, scope, [=, this](bool found) {
      loop_.Post([=, this] {
        *found_any = *found_any || found;
        if (--*awaited > 0) return;
        if (*found_any || predecessor_ == nullptr) {
          done(*found_any);
        } else {
          predecessor_->Kill(id, query_only, scope, done);
        }
      });
    });
  }
}

// --- this process has taken over
// ------------------------------------------------------------------------------------------------

void ControlLoop::SetPredecessor(int fd, pid_t pid, std::function<void()> following) {
  predecessor_ = std::make_unique<Predecessor>(Predecessor::Setup{
      .loop = &loop_, .fd = fd, .pid = pid, .following = std::move(following), .gone = [this, pid] {
        log::Info(
            log::event::kHandover, {{"what", "gone"}},
            absl::StrCat("the process that this one took over from has ended (pid ", pid, ")"));
        events_.Add("process", absl::StrCat(pid), "has ended: this one took over from it");
        // Its own function may be on the stack.
        loop_.DisposeLater(std::shared_ptr<Predecessor>(std::move(predecessor_)));
        const std::lock_guard lock(view_mutex_);
        predecessors_ = {};
      }});
}

ControlLoop::Predecessors ControlLoop::SeenPredecessors() const {
  const std::lock_guard lock(view_mutex_);
  return predecessors_;
}

std::string ControlLoop::FollowerTrouble() {
  return predecessor_ == nullptr ? "" : predecessor_->Trouble(Now());
}

void ControlLoop::KillElsewhere(uint64_t id, bool query_only, std::function<void(bool)> done) {
  if (predecessor_ == nullptr) {
    done(false);
  } else {
    predecessor_->Kill(id, query_only, std::nullopt, std::move(done));
  }
}

void ControlLoop::PostKillElsewhere(uint64_t id, bool query_only,
                                    const std::optional<io::KillScope>& scope,
                                    std::function<void(bool)> done) {
  loop_.Post([this, id, query_only, scope, done = std::move(done)] {
    if (predecessor_ == nullptr) {
      done(false);
    } else {
      predecessor_->Kill(id, query_only, scope, done);
    }
  });
}

}  // namespace bulkhead::control
