// What a new topology, or new limits, mean for the connections of a pool.

#include "proxy/io/backend_pool.h"

namespace bulkhead::io {

using session::BackendLink;

void BackendPool::SetTopology(std::shared_ptr<const routing::Topology> topology) {
  topology_ = std::move(topology);
  std::vector<BackendConnection*> free;
  for (const auto& [raw, connection] : connections_) {
    if (topology_->backend(connection->backend) != nullptr) continue;
    if (connection->use == BackendLink::Use::kFree || connection->use == BackendLink::Use::kKept)
      free.push_back(raw);
  }
  for (BackendConnection* connection : free) {
    TakeFromOwner(connection, {});
    Discard(connection);
  }
  std::vector<PerBackend*> gone;
  for (const auto& [id, backend] : backends_) {
    if (const routing::Backend* still = topology_->backend(id); still != nullptr) {
      (void)find_budget_(*still);  // its limit may be another one
    } else {
      gone.push_back(backend.get());
    }
  }
  FailMoved();
  for (PerBackend* backend : gone) {
    FailWaiting(backend, {static_cast<uint16_t>(wire::ClientError::kSliceUnavailable), "HY000",
                          "its backend has left the topology"});
  }
}

void BackendPool::SetLimits(uint64_t acquire_timeout_ms, const routing::PoolLimits& limits) {
  options_.acquire_timeout_ms = acquire_timeout_ms;
  options_.limits = limits;
  for (const auto& [id, backend] : backends_) {
    backend->policy.SetLimits(limits);
    if (const routing::Backend* still = topology_->backend(id); still != nullptr)
      (void)find_budget_(*still);  // its limit may be another one
  }
}

// Those who would wait until a backend is there again that is not their shard's any more.
void BackendPool::FailMoved() {
  std::vector<LinkUser*> moved;
  for (const auto& [user, waiting] : waiting_) {
    const session::RouteTarget& target = waiting.request.target;
    const routing::Shard* shard = topology_->shard(target.shard);
    if (waiting.request.waits_out && (shard == nullptr || shard->primary != target.backend))
      moved.push_back(user);
  }
  for (LinkUser* user : moved) {
    auto it = waiting_.find(user);
    if (it == waiting_.end()) continue;
    const routing::BackendId backend = it->second.request.target.backend;
    CancelAcquire(user);
    user->OnLinkFailed(Unavailable(backend, "the shard has another primary now"));
  }
}

}  // namespace bulkhead::io
