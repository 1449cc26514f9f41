// Operators' changes of the topology: CREATE, ALTER, DROP, and how a change becomes the present.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/operators.h"

namespace bulkhead::control {

namespace {

uint16_t CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return kErrNoSuchObject;
    case absl::StatusCode::kInvalidArgument:
      return kErrBadValue;
    default:
      return kErrNotNow;
  }
}

// Shards whose data has another home in `next`.
std::vector<routing::ShardId> Moving(const routing::Topology& now, const routing::Topology& next) {
  std::vector<routing::ShardId> moving;
  for (const routing::Shard* shard : now.shards()) {
    const routing::Shard* then = next.shard(shard->id);
    if (then != nullptr && then->primary != shard->primary) moving.push_back(shard->id);
  }
  return moving;
}

routing::TenantSpec SpecOf(const routing::Topology& topology, const std::string& tenant,
                           const routing::LookupResult& found) {
  routing::TenantSpec spec;
  spec.name = tenant;
  spec.shard = topology.shard(found.shard)->name;
  spec.pooling = found.pooling;
  spec.hold = found.hold;
  spec.physical_database = std::string(found.physical_database);
  return spec;
}

}  // namespace

void Operators::Change(Edit edit, std::vector<std::string> tenants,
                       std::function<void(const absl::Status&)> done, bool held) {
  changes_.push_back({std::move(edit), std::move(tenants), std::move(done), held});
  if (changes_.size() == 1) StartNextChange();
}

void Operators::StartNextChange() {
  routing::TopologyBuilder builder(*world_->topology());
  if (absl::Status status = changes_.front().edit(&builder); !status.ok()) {
    FinishChange(status);
    return;
  }
  absl::StatusOr<OperatorWorld::TopologyPtr> next = builder.Build();
  if (!next.ok()) {
    FinishChange(next.status());
    return;
  }
  moving_ = Moving(*world_->topology(), **next);
  ApplyOrders();
  std::vector<StoreEdit> edits =
      EditsBetween(*world_->topology(), **next, changes_.front().tenants);
  // Once every worker has answered, nothing new goes to the old primaries.
  world_->CountBusy({}, [this, next = *std::move(next),
                         edits = std::move(edits)](const io::BusyCount& count) mutable {
    if (!count.unanswered.empty() && !changes_.front().held) {
      FinishChange(absl::FailedPreconditionError("nothing was changed: " + count.unanswered));
      return;
    }
    auto kept = std::make_shared<const std::vector<StoreEdit>>(edits);
    world_->Persist(std::move(edits), [this, next, kept](const absl::Status& status) {
      if (!status.ok()) {
        FinishChange(absl::FailedPreconditionError(absl::StrCat(
            "nothing was changed, since it can't be stored: ", std::string(status.message()))));
        return;
      }
      world_->Publish(next, *kept, [this] { FinishChange(absl::OkStatus()); });
    });
  });
}

void Operators::FinishChange(const absl::Status& status) {
  Change_ change = std::move(changes_.front());
  changes_.pop_front();
  moving_.clear();
  ApplyOrders();
  change.done(status);
  if (!changes_.empty()) StartNextChange();
}

void Operators::ChangeAndAnswer(const AskedPtr& asked, std::vector<std::string> tenants, Edit edit,
                                std::string message, std::function<void()> then) {
  Change(std::move(edit), std::move(tenants),
         [this, asked, message = std::move(message),
          then = std::move(then)](const absl::Status& status) {
           if (!status.ok()) {
             asked->Fail(CodeOf(status), std::string(status.message()));
             return;
           }
           if (then) then();
           world_->events()->Add("topology", absl::StrCat(world_->topology()->version().value),
                                 message);
           asked->Done(message);
         });
}

void Operators::Run(const CreateBackend& command, const AskedPtr& asked) {
  ChangeAndAnswer(
      asked, {},
      [spec = command.spec](routing::TopologyBuilder* builder) {
        return builder->AddBackend(spec);
      },
      "backend " + command.spec.name + " at " + command.spec.address.ToString() +
          " is there; no shard uses it yet");
}

void Operators::Run(const AlterBackend& command, const AskedPtr& asked) {
  if (BackendOr(command.name, asked) == nullptr || UnderChange({command.name}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [this, command](routing::TopologyBuilder* builder) -> absl::Status {
        const routing::Backend* backend = world_->topology()->FindBackend(command.name);
        if (backend == nullptr) return absl::NotFoundError("there is no backend " + command.name);
        routing::BackendSpec spec = *backend;
        if (command.address.has_value()) spec.address = *command.address;
        if (command.family.has_value()) spec.family = *command.family;
        if (command.tls.has_value()) spec.tls = command.tls;
        if (command.max_connections.has_value()) {
          spec.max_connections = command.max_connections;
          if (*command.max_connections == 0) spec.max_connections.reset();
        }
        return builder->AlterBackend(spec);
      },
      "backend " + command.name + " is altered");
}

void Operators::Run(const DropBackend& command, const AskedPtr& asked) {
  if (BackendOr(command.name, asked) == nullptr || UnderChange({command.name}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [name = command.name](routing::TopologyBuilder* builder) {
        return builder->DropBackend(name);
      },
      "backend " + command.name + " is dropped",
      [this, name = command.name] {
        backend_orders_.erase(name);
        fenced_.erase(name);
      });
}

void Operators::Run(const CreateShard& command, const AskedPtr& asked) {
  if (UnderChange({command.spec.primary}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [spec = command.spec](routing::TopologyBuilder* builder) { return builder->AddShard(spec); },
      "shard " + command.spec.name + " is there, with backend " + command.spec.primary);
}

void Operators::Run(const AlterShard& command, const AskedPtr& asked) {
  if (ShardOr(command.name, asked) == nullptr || UnderChange({command.name}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [this, command](routing::TopologyBuilder* builder) -> absl::Status {
        const routing::Shard* shard = world_->topology()->FindShard(command.name);
        if (shard == nullptr) return absl::NotFoundError("there is no shard " + command.name);
        const std::string& primary = world_->topology()->backend(shard->primary)->name;
        routing::HoldOverrides hold = command.reset_hold ? routing::HoldOverrides{} : shard->hold;
        if (command.hold.policy.has_value()) hold.policy = command.hold.policy;
        if (command.hold.max_wait.has_value()) hold.max_wait = command.hold.max_wait;
        if (command.hold.outage_limit.has_value()) hold.outage_limit = command.hold.outage_limit;
        if (command.hold.max_statements.has_value())
          hold.max_statements = command.hold.max_statements;
        if (command.hold.max_bytes.has_value()) hold.max_bytes = command.hold.max_bytes;
        absl::Status status = builder->SetHold(command.name, hold);
        if (status.ok() && command.production.has_value())
          status = builder->SetProduction(command.name, *command.production);
        if (status.ok() && command.failover.has_value())
          status = builder->SetFailover(command.name, *command.failover);
        // The replicas first where the new primary is one of them now, and is none then.
        if (status.ok() && command.replicas.has_value() && command.primary.has_value())
          status = builder->SetReplicas(command.name, {});
        if (status.ok() && command.primary.has_value())
          status = builder->SetPrimary(command.name, *command.primary);
        // Whoever says which it is has seen what another router did.
        const routing::Epoch seen = SeenEpochOf(command.name);
        const bool new_primary = command.primary.has_value() && *command.primary != primary;
        if (status.ok() && command.primary.has_value() && !new_primary && seen > shard->epoch)
          status = builder->RestoreEpoch(command.name, seen);
        if (status.ok() && new_primary)
          status = builder->RaiseEpoch(command.name, routing::Epoch{seen.value + 1});
        if (status.ok() && command.replicas.has_value())
          status = builder->SetReplicas(command.name, *command.replicas);
        return status;
      },
      "shard " + command.name + " is altered" +
          (command.primary.has_value()
               ? ": its primary is " + *command.primary + ", and nothing was done on the servers"
               : std::string()));
}

void Operators::Run(const DropShard& command, const AskedPtr& asked) {
  if (ShardOr(command.name, asked) == nullptr || UnderChange({command.name}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [name = command.name](routing::TopologyBuilder* builder) { return builder->DropShard(name); },
      "shard " + command.name + " is dropped");
}

void Operators::Run(const CreateTenant& command, const AskedPtr& asked) {
  if (UnderChange({TenantKey(command.spec.name)}, asked)) return;
  ChangeAndAnswer(
      asked, {command.spec.name},
      [spec = command.spec](routing::TopologyBuilder* builder) { return builder->AddTenant(spec); },
      "tenant " + command.spec.name + " is on shard " + command.spec.shard);
}

void Operators::Run(const AlterTenant& command, const AskedPtr& asked) {
  if (UnderChange({TenantKey(command.name)}, asked)) return;
  ChangeAndAnswer(
      asked, {command.name},
      [this, command](routing::TopologyBuilder* builder) -> absl::Status {
        const routing::Topology& topology = *world_->topology();
        const routing::LookupResult found = topology.FindTenant(command.name);
        if (found.origin != routing::TenantOrigin::kDirectory) {
          return absl::NotFoundError("tenant " + command.name +
                                     " has no entry of its own: CREATE TENANT it first");
        }
        routing::TenantSpec spec = SpecOf(topology, command.name, found);
        if (command.pooling.has_value()) spec.pooling = command.pooling;
        if (command.hold.has_value()) spec.hold = command.hold;
        if (command.physical_database.has_value())
          spec.physical_database = *command.physical_database;
        return builder->AssignTenant(spec);
      },
      "tenant " + command.name + " is altered");
}

void Operators::Run(const DropTenant& command, const AskedPtr& asked) {
  if (UnderChange({TenantKey(command.name)}, asked)) return;
  ChangeAndAnswer(
      asked, {command.name},
      [name = command.name](routing::TopologyBuilder* builder) {
        return builder->DropTenant(name);
      },
      "tenant " + command.name + " has no entry any more");
}

void Operators::Run(const AssignSlots& command, const AskedPtr& asked) {
  if (UnderChange({command.shard}, asked)) return;
  ChangeAndAnswer(
      asked, {},
      [command](routing::TopologyBuilder* builder) {
        return builder->AssignSlots(command.first, command.last, command.shard);
      },
      absl::StrCat("slots ", command.first, " to ", command.last, " are on shard ", command.shard));
}

}  // namespace bulkhead::control
