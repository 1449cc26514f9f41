#include "proxy/control/change_scene.h"

#include <algorithm>
#include <set>

namespace bulkhead::control {

using routing::ChangePlan;
using routing::Shard;
using routing::Topology;

namespace {

bool HasReplica(const Shard& shard, routing::BackendId backend) {
  return std::find(shard.replicas.begin(), shard.replicas.end(), backend) != shard.replicas.end();
}

std::vector<std::string> AgainstIt(const Topology& topology, const ChangePlan& plan) {
  std::vector<std::string> reasons;
  const routing::Backend* candidate = topology.FindBackend(plan.candidate);
  const routing::Backend* old_primary = topology.FindBackend(plan.old_primary);
  if (candidate == nullptr || old_primary == nullptr) return reasons;
  for (const Shard* shard : topology.shards()) {
    if (shard->primary == candidate->id) {
      reasons.push_back(plan.candidate + " is the primary of shard " + shard->name);
    } else if (shard->primary == old_primary->id && !HasReplica(*shard, candidate->id)) {
      reasons.push_back("shard " + shard->name + " has the same primary, " + plan.old_primary +
                        ", and not " + plan.candidate + " as its replica: ALTER SHARD " +
                        shard->name + " REPLICAS ... first");
    }
  }
  return reasons;
}

NamedFacts Named(const Topology& topology, const std::string& name) {
  NamedFacts named;
  named.name = name;
  if (const routing::Backend* backend = topology.FindBackend(name); backend != nullptr)
    named.address = backend->address;
  return named;
}

bool Answers(routing::BackendState state) {
  switch (state) {
    case routing::BackendState::kUp:
    case routing::BackendState::kReadOnly:
    case routing::BackendState::kSaturated:
    case routing::BackendState::kRecovering:
    case routing::BackendState::kSuspect:
      return true;
    case routing::BackendState::kUnknown:
    case routing::BackendState::kDown:
    case routing::BackendState::kFenced:
    case routing::BackendState::kWriteStalled:
      return false;
  }
  return false;
}

void AddHealth(OperatorWorld* world, const ChangePlan& plan, ChangeScene* scene) {
  const routing::Backend* old_primary = world->topology()->FindBackend(plan.old_primary);
  if (old_primary == nullptr) return;
  const routing::BackendHealth* health = world->HealthOf(old_primary->id);
  if (health == nullptr) return;
  scene->old_state = std::string(routing::ToString(health->state()));
  scene->old_answers = health->mark() != routing::OperatorMark::kDown && Answers(health->state());
  scene->lives_elsewhere = health->lives_elsewhere();
}

}  // namespace

std::vector<const Shard*> ShardsOfChange(const Topology& topology, const ChangePlan& plan) {
  const Shard* own = topology.FindShard(plan.shard);
  std::vector<const Shard*> shards;
  if (own == nullptr) return shards;
  for (const Shard* shard : topology.shards()) {
    if (shard->primary == own->primary) shards.push_back(shard);
  }
  return shards;
}

std::vector<std::string> OthersOf(const Topology& topology, const ChangePlan& plan) {
  std::set<std::string> others;
  for (const Shard* shard : ShardsOfChange(topology, plan)) {
    for (const routing::BackendId replica : shard->replicas)
      others.insert(topology.backend(replica)->name);
  }
  others.erase(plan.candidate);
  others.erase(plan.old_primary);
  return {others.begin(), others.end()};
}

ChangeScene MakeScene(OperatorWorld* world, const ChangePlan& plan) {
  const Topology& topology = *world->topology();
  ChangeScene scene;
  scene.plan = plan;
  scene.old_primary = Named(topology, plan.old_primary);
  scene.candidate = Named(topology, plan.candidate);
  for (const std::string& other : plan.others) scene.others.push_back(Named(topology, other));
  for (const Shard* shard : ShardsOfChange(topology, plan)) scene.shards.push_back(shard->name);
  scene.topology_reasons = AgainstIt(topology, plan);
  scene.has_replication_account = world->options().replication.has_value();
  scene.max_wait = world->options().hold.max_wait;
  AddHealth(world, plan, &scene);
  world->AddKnown(&scene);
  return scene;
}

}  // namespace bulkhead::control
