// The topology as the control thread follows it: watches, gates and workers.

#include <algorithm>
#include <ctime>
#include <utility>

#include "proxy/control/control_loop.h"

namespace bulkhead::control {

namespace {

io::QueryConnection::Account AccountOf(const config::ServiceAccount& account) {
  return {account.user, account.password.reveal()};
}

}  // namespace

std::shared_ptr<const routing::Topology> ControlLoop::Snapshot() const {
  const std::lock_guard lock(view_mutex_);
  return topology_;
}

BackendWatch::Role ControlLoop::RoleOf(routing::BackendId backend) const {
  BackendWatch::Role role{.role = routing::BackendRole::kReplica};
  for (const routing::Shard* shard : topology_->shards()) {
    if (shard->primary != backend) continue;
    role.role = routing::BackendRole::kPrimary;
    // Whatever clients commit: other routers know this one by its canary.
    const routing::Duration own = setup_.options->health.commit_interval;
    if (!role.heartbeat.has_value()) role.heartbeat = own;
    if (!shard->replicas.empty())
      role.heartbeat = std::min(own, setup_.options->hold.replica_lag / 2);
  }
  if (expected_read_only_.contains(backend)) role.role = routing::BackendRole::kReplica;
  return role;
}

BackendWatch::Options ControlLoop::WatchOptions(const routing::Backend& backend) {
  const config::Options& options = *setup_.options;
  BackendWatch::Options watch;
  watch.rules = options.health;
  // The canary is the successor's: two hands at one row would contradict each other.
  if (successor_ != nullptr) watch.rules.can_commit = false;
  const BackendWatch::Role role = RoleOf(backend.id);
  watch.role = role.role;
  if (role.heartbeat.has_value()) watch.rules.heartbeat = *role.heartbeat;
  watch.probe.address = backend.address;
  watch.probe.tls = setup_.backend_tls;
  watch.probe.tls_mode = backend.tls.value_or(options.backend_tls.mode);
  watch.rules.can_login = options.probe.has_value();
  if (options.probe.has_value()) watch.probe.account = AccountOf(*options.probe);
  watch.killer = watch.probe;
  if (options.control.has_value()) watch.killer.account = AccountOf(*options.control);
  watch.router_id = setup_.router_id;
  watch.seed = uv_hrtime() ^ (uint64_t{backend.id.index} << 48);
  watch.wall_seconds = [] { return static_cast<int64_t>(std::time(nullptr)); };
  return watch;
}

void ControlLoop::Watch(const routing::Backend& backend) {
  const BackendWatch::Options options = WatchOptions(backend);
  Watched& watched = watched_[backend.id];
  watched.since_ms = WallMs(Now());
  watched.watch = std::make_unique<BackendWatch>(&loop_, backend, options, this);
  watched.began = Now();
  (void)ReadCells(watched, &watched.counted);
  io::QueryConnection::Options reader = options.killer;
  reader.open_timeout_ms = 5000;
  watched.semi_sync_reader = std::make_unique<SemiSyncReader>(&loop_, reader);
  watched.tables = std::make_unique<TableReader>(&loop_, std::move(reader));
}

void ControlLoop::PublishOptions(std::shared_ptr<const config::Options> options,
                                 io::TlsContext::Ptr backend_tls) {
  loop_.Post([this, options = std::move(options), backend_tls = std::move(backend_tls)] {
    setup_.options = options;
    setup_.backend_tls = backend_tls;
    desk_->SetDefaults(options->hold, options->pools.max_connections, *topology_, Now());
    for (auto& [id, watched] : watched_) {
      const routing::Backend* backend = topology_->backend(id);
      if (backend == nullptr) continue;
      const BackendWatch::Options watch = WatchOptions(*backend);
      watched.watch->SetOptions(watch);
      io::QueryConnection::Options reader = watch.killer;
      reader.open_timeout_ms = 5000;
      watched.semi_sync_reader->SetConnection(reader);
      watched.tables->SetConnection(std::move(reader));
    }
    SyncWatches();
    for (auto& [id, watched] : watched_) {
      watched.watch->CarryOut();
      PublishHealth(&watched, Now());
    }
  });
}

// One watch for each backend of the topology, in its present role.
void ControlLoop::SyncWatches() {
  absl::erase_if(watched_,
                 [this](const auto& entry) { return topology_->backend(entry.first) == nullptr; });
  absl::erase_if(shards_seen_,
                 [this](const auto& entry) { return topology_->shard(entry.first) == nullptr; });
  for (const routing::Backend* backend : topology_->backends()) {
    auto it = watched_.find(backend->id);
    if (it == watched_.end()) {
      Watch(*backend);
    } else {
      it->second.watch->SetRole(RoleOf(backend->id), setup_.options->health.heartbeat);
      it->second.effect_known = false;  // its gates are told once more
    }
  }
}

void ControlLoop::Publish(TopologyPtr topology, const std::vector<StoreEdit>& edits,
                          std::function<void()> done) {
  {
    const std::lock_guard lock(view_mutex_);
    topology_ = topology;
  }
  SyncWatches();
  desk_->SetTopology(*topology_, Now());
  for (auto& [id, watched] : watched_) {
    watched.watch->CarryOut();
    PublishHealth(&watched, Now());
    OnEpochs(watched.watch.get(), watched.watch->epochs());  // of shards that are new, too
  }
  const bool told = predecessor_ != nullptr;
  auto awaited = std::make_shared<size_t>(LiveWorkers() + (told ? 1 : 0));
  const auto followed = [awaited, done] {
    if (--*awaited == 0) done();
  };
  if (*awaited == 0) loop_.Post(done);
  if (told) predecessor_->Publish(edits, followed);
  for (io::Worker* worker : *setup_.workers) {
    if (worker->last_turn_ns() == io::Worker::kEnded) continue;
    worker->PublishTopology(topology, [this, followed] { loop_.Post(followed); });
  }
}

void ControlLoop::CountBusy(io::BusyFilter filter, std::function<void(const io::BusyCount&)> done) {
  struct Sum {
    size_t awaited;
    io::BusyCount count;
  };
  const bool told = predecessor_ != nullptr;
  auto sum = std::make_shared<Sum>(Sum{LiveWorkers() + (told ? 1 : 0), {}});
  const auto add = [sum, done](const io::BusyCount& count) {
    sum->count.Add(count);
    if (--sum->awaited == 0) done(sum->count);
  };
  if (sum->awaited == 0) loop_.Post([done] { done({}); });
  if (told) {
    const routing::Backend* backend = topology_->backend(filter.backend);
    const routing::Shard* shard = topology_->shard(filter.shard);
    predecessor_->CountBusy({.backend = backend == nullptr ? "" : backend->name,
                             .shard = shard == nullptr ? "" : shard->name,
                             .tenant = filter.tenant},
                            add);
  }
  for (io::Worker* worker : *setup_.workers) {
    if (worker->last_turn_ns() == io::Worker::kEnded) continue;
    worker->PostCountBusy(filter, [this, add](const io::BusyCount& count) {
      loop_.Post([add, count] { add(count); });
    });
  }
}

void ControlLoop::Configure(ConfigRequest request, std::function<void(ConfigAnswer)> done) {
  const auto answer = [this, done = std::move(done)](ConfigAnswer given) {
    auto shared = std::make_shared<ConfigAnswer>(std::move(given));
    loop_.Post([done, shared] { done(std::move(*shared)); });
  };
  if (setup_.configure) {
    setup_.configure(std::move(request), answer);
  } else {
    answer({.status = absl::UnimplementedError("this process has no configuration file")});
  }
}

routing::BackendHealth* ControlLoop::HealthOf(routing::BackendId backend) {
  auto it = watched_.find(backend);
  return it == watched_.end() ? nullptr : &it->second.watch->health();
}

void ControlLoop::CarryOut(routing::BackendId backend) {
  auto it = watched_.find(backend);
  if (it == watched_.end()) return;
  if (predecessor_ != nullptr) {
    predecessor_->TellMark(it->second.watch->name(),
                           static_cast<int>(it->second.watch->health().mark()));
  }
  it->second.watch->CarryOut();
  PublishHealth(&it->second, Now());
}

}  // namespace bulkhead::control
