// What the control loop gives to changes of primary: hands, connections given up, what is known.

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/control_loop.h"
#include "proxy/control/fence_command.h"
#include "proxy/log/events.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

std::unique_ptr<ChangeHands> ControlLoop::MakeHands(const ChangeScene& scene) {
  const config::Options& options = *setup_.options;
  HandsSetup setup;
  setup.post = [this](std::function<void()> message) { loop_.Post(std::move(message)); };
  setup.now = [this] { return Now(); };
  setup.threads = &client_threads_;
  setup.tls = options.backend_tls;
  setup.router_id = setup_.router_id;
  if (options.control.has_value()) {
    setup.user = options.control->user;
    setup.password = options.control->password.reveal();
  }
  if (options.probe.has_value()) setup.probe_user = options.probe->user;
  if (options.replication.has_value()) {
    setup.replication_user = options.replication->user;
    setup.replication_password = options.replication->password.reveal();
  }
  setup.fence_command =
      FilledIn(options.failover.FenceOf(scene.plan.old_primary), scene.plan.old_primary,
               scene.old_primary.address, scene.plan.shard);
  return std::make_unique<SqlHands>(
      std::move(setup), scene, [this, mode = options.backend_tls.mode](const std::string& name) {
        const routing::Backend* backend = topology_->FindBackend(name);
        return backend == nullptr ? mode : backend->tls.value_or(mode);
      });
}

void ControlLoop::GiveUp(routing::BackendId backend, std::function<void()> done) {
  auto it = watched_.find(backend);
  if (it != watched_.end() && predecessor_ != nullptr) {
    auto awaited = std::make_shared<int>(2);
    done = [awaited, both = std::move(done)] {
      if (--*awaited == 0) both();
    };
    predecessor_->GiveUp(it->second.watch->name(), done);
  }
  if (it == watched_.end()) {
    loop_.Post(std::move(done));
    return;
  }
  Watched& watched = it->second;
  watched.when_given_up.push_back(std::move(done));
  watched.give_ups_awaited += static_cast<uint32_t>(setup_.workers->size());
  for (io::Worker* worker : *setup_.workers)
    worker->PostGiveUp(backend, /*writes_only=*/false, /*silent_before_ns=*/UINT64_MAX,
                       /*idle_too=*/true);
}

void ControlLoop::ExpectReadOnly(routing::BackendId backend, bool expected) {
  const bool changed = expected ? expected_read_only_.insert(backend).second
                                : expected_read_only_.erase(backend) > 0;
  auto it = watched_.find(backend);
  if (!changed || it == watched_.end()) return;
  if (predecessor_ != nullptr) predecessor_->TellReadOnly(it->second.watch->name(), expected);
  it->second.watch->SetRole(RoleOf(backend), setup_.options->health.heartbeat);
  CarryOut(backend);
}

void ControlLoop::AddKnown(ChangeScene* scene) {
  const auto id_of = [&](const std::string& name) {
    const routing::Backend* backend = topology_->FindBackend(name);
    return backend == nullptr ? routing::BackendId{} : backend->id;
  };
  std::vector<routing::BackendId> backends = {id_of(scene->old_primary.name),
                                              id_of(scene->candidate.name)};
  for (const NamedFacts& other : scene->others) backends.push_back(id_of(other.name));
  scene->other_routers = OtherRoutersOn(backends);
  auto it = watched_.find(backends[0]);
  if (it == watched_.end()) return;
  const Watched& old_primary = it->second;
  scene->last_position = old_primary.watch->position();
  // It may have been changed since: what was read long before the end says nothing.
  constexpr routing::Duration kOld = std::chrono::seconds(90);
  const routing::MonoTime life = old_primary.watch->health().last_life();
  if (old_primary.semi_sync.known && life - old_primary.semi_sync_at < kOld)
    scene->semi_sync = old_primary.semi_sync;
}

std::vector<std::string> ControlLoop::OtherRoutersOn(
    const std::vector<routing::BackendId>& backends) const {
  const routing::MonoTime now = routing::MonoTimeFromNanos(static_cast<int64_t>(uv_hrtime()));
  std::map<std::string, std::string> words;  // by router
  for (const routing::BackendId id : backends) {
    auto it = watched_.find(id);
    if (it == watched_.end()) continue;
    for (const OtherRouter& router : it->second.watch->other_routers()) {
      if (!IsAlive(router, now)) continue;
      words.emplace(router.id,
                    "router " + router.id + " (its canary is on " + it->second.watch->name() + ")");
    }
  }
  std::vector<std::string> routers;
  routers.reserve(words.size());
  for (auto& [id, text] : words) routers.push_back(std::move(text));
  return routers;
}

// Rows of shards that this backend belongs to: servers may hold those of others, too.
void ControlLoop::OnEpochs(BackendWatch* watch, const std::vector<SeenEpoch>& epochs) {
  for (const SeenEpoch& seen : epochs) {
    const routing::Shard* shard = topology_->FindShard(seen.shard);
    if (shard == nullptr) continue;
    const auto& replicas = shard->replicas;
    if (shard->primary == watch->id() ||
        std::find(replicas.begin(), replicas.end(), watch->id()) != replicas.end())
      operators_->NoteEpoch(seen.shard, routing::Epoch{seen.epoch}, seen.primary);
  }
}

ControlClient::Options ControlLoop::ControlClientOf(const routing::Backend& backend) const {
  const config::Options& options = *setup_.options;
  ControlClient::Options client;
  client.address = backend.address;
  client.tls_mode = backend.tls.value_or(options.backend_tls.mode);
  client.tls = options.backend_tls;
  client.lock = "bulkhead." + setup_.router_id + ".look";
  if (options.control.has_value()) {
    client.user = options.control->user;
    client.password = options.control->password.reveal();
  }
  return client;
}

void ControlLoop::AskForSemiSync(Watched* watched, routing::MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::seconds(15);
  watched->semi_sync_due = now + kInterval;
  if (!setup_.options->control.has_value()) return;
  const routing::BackendId id = watched->watch->id();
  const bool wanted = std::any_of(topology_->shards().begin(), topology_->shards().end(),
                                  [&](const routing::Shard* shard) {
                                    return shard->primary == id && !shard->replicas.empty();
                                  });
  if (!wanted || watched->watch->health().state() != routing::BackendState::kUp) return;
  watched->semi_sync_reader->Ask([this, id](std::optional<SemiSyncSeen> seen) {
    auto it = watched_.find(id);
    if (it == watched_.end() || !seen.has_value()) return;
    it->second.semi_sync = *seen;
    it->second.semi_sync_at = Now();
  });
}

// What nobody will ever see again, unless somebody is told. Asked again until it is known.
void ControlLoop::LookAtReturned(Watched* watched, routing::MonoTime now) {
  constexpr routing::Duration kAgain = std::chrono::seconds(10);
  watched->look_at = now + kAgain;
  const bool answers = watched->watch->health().state() == routing::BackendState::kFenced;
  const std::string why = operators_->FencedWhy(watched->watch->name());
  if (!answers || why.empty() || watched->returned != nullptr) return;
  const routing::BackendId id = watched->watch->id();
  const routing::Backend* present = nullptr;
  for (const routing::Shard* shard : topology_->shards()) {
    const auto& replicas = shard->replicas;
    if (std::find(replicas.begin(), replicas.end(), id) != replicas.end())
      present = topology_->backend(shard->primary);
  }
  const bool may_ask =
      setup_.options->control.has_value() && client_threads_.left() <= ClientThreads::kMostLeft;
  if (present == nullptr || !may_ask) return;
  watched->returned = std::make_unique<ReturnedPrimary>(
      ControlClientOf(*topology_->backend(id)), ControlClientOf(*present),
      [this](std::function<void()> message) { loop_.Post(std::move(message)); }, &client_threads_,
      [this, id, present = present->name](const ExtraFound& found) {
        OnReturnedSeen(id, present, found);
      });
}

void ControlLoop::OnReturnedSeen(routing::BackendId id, const std::string& present,
                                 const ExtraFound& found) {
  auto it = watched_.find(id);
  if (it == watched_.end()) return;
  Watched& watched = it->second;
  // Its own function is on the stack.
  loop_.DisposeLater(std::shared_ptr<ReturnedPrimary>(std::move(watched.returned)));
  if (!found.known) {
    log::Info(log::event::kReturned, {{"backend", watched.watch->name()}},
              absl::StrCat("backend ", watched.watch->name(), ": ", WordsOf(found, present)));
    return;
  }
  watched.look_at = routing::kMonoNever;
  const std::string name = watched.watch->name();
  std::string words = WordsOf(found, present);
  if (words.empty()) words = "has nothing that " + present + " lacks";
  log::Warn(log::event::kReturned, {{"backend", name}},
            absl::StrCat("backend ", name, ": it came back after a failover and ", words));
  events_.Add("backend", name, "came back after a failover, is fenced, and " + words);
  for (const ExtraTransaction& one : found.listed)
    events_.Add("backend", name, "only here: " + one.gtid + " " + absl::StrJoin(one.tables, ", "));
  operators_->NoteFenced(name, words);
}

AutoFailoverView ControlLoop::AutoViewOf(const routing::Shard& shard) {
  AutoFailoverView view;
  view.shard = shard.name;
  view.mode = shard.failover;
  const routing::Backend* primary = topology_->backend(shard.primary);
  auto it = watched_.find(shard.primary);
  if (primary == nullptr || it == watched_.end()) return view;
  const routing::BackendHealth& health = it->second.watch->health();
  view.primary = primary->name;
  view.primary_down = health.state() == routing::BackendState::kDown &&
                      health.mark() == routing::OperatorMark::kAuto &&
                      health.rules().detection == routing::DetectionMode::kFull;
  view.down_since = health.since();
  view.heard_elsewhere = health.lives_elsewhere();
  view.fence_configured = !setup_.options->failover.FenceOf(primary->name).empty();
  view.all_bad = all_bad_;
  view.under_way =
      operators_->IsUnderChange(shard.name) || operators_->IsUnderChange(primary->name);
  for (const routing::BackendId id : shard.replicas) {
    auto replica = watched_.find(id);
    if (replica == watched_.end()) continue;
    view.replicas.push_back(
        {.name = replica->second.watch->name(),
         .up = replica->second.watch->health().state() == routing::BackendState::kUp,
         .received = replica->second.canary_seen});
  }
  return view;
}

void ControlLoop::FailOverByItself(routing::MonoTime now) {
  for (const routing::Shard* shard : topology_->shards()) {
    if (shard->failover == routing::FailoverMode::kManual) continue;
    std::string why_not;
    const std::optional<std::string> to = auto_failover_.Choose(
        AutoViewOf(*shard), setup_.options->failover.automatic_after, now, &why_not);
    if (!why_not.empty()) {
      log::Error(log::event::kChange, {{"shard", shard->name}, {"kind", "failover"}},
                 absl::StrCat("shard ", shard->name, " is not failed over by itself: ", why_not));
      events_.Add("shard", shard->name, "not failed over by itself: " + why_not);
    }
    if (!to.has_value()) continue;
    const bool with_loss = shard->failover == routing::FailoverMode::kAutomaticWithLoss;
    events_.Add("shard", shard->name, "fails over by itself to " + *to);
    (void)operators_->Submit(
        Failover{.shard = shard->name, .to = *to, .accept_data_loss = with_loss, .automatic = true},
        {"automatic", "this router",
         "FAILOVER SHARD " + shard->name + " TO " + *to + " (automatic)"},
        {});
  }
}

}  // namespace bulkhead::control
