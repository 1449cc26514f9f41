// Operators' commands that wait: DRAIN BACKEND, ASSIGN TENANT.

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/busy_task.h"
#include "proxy/control/drill_task.h"

namespace bulkhead::control {

namespace {

class DrainTask final : public BusyTask {
 public:
  DrainTask(Operators* operators, const AskedPtr& asked, const DrainBackend& command,
            routing::BackendId backend)
      : BusyTask(operators, asked,
                 {.kind = "drain",
                  .object = command.backend,
                  .what = "backend " + command.backend,
                  .concerns = command.backend,
                  .filter = {.backend = backend},
                  .timeout = command.timeout,
                  .way_out = "KILL SESSION them, or DRAIN with a longer TIMEOUT"}),
        backend_(command.backend) {
    Start();
  }

 private:
  void CloseGate() override {
    operators()->SetBackendOrder(backend_, Operators::BackendOrder::kDraining);
  }
  void PutBack() override {
    operators()->SetBackendOrder(backend_, Operators::BackendOrder::kNone);
  }
  void Finish(const io::BusyCount& count) override {
    operators()->SetBackendOrder(backend_, Operators::BackendOrder::kDrained);
    operators()->world()->Persist(
        {PutBackendState{backend_, "drained"}},
        [this, pinned = count.pinned, alive = alive()](const absl::Status& status) {
          if (!alive.expired()) Answer(pinned, status);
        });
  }
  void Answer(uint32_t pinned, const absl::Status& status) {
    std::string message = "backend " + backend_ +
                          " is drained: nothing runs there; ENABLE BACKEND " + backend_ +
                          " ends that";
    if (!status.ok()) {
      absl::StrAppend(&message, "; but that is not stored, and a restart will forget it: ",
                      std::string(status.message()));
    }
    if (pinned > 0) {
      absl::StrAppend(&message, "; ", pinned,
                      " idle sessions hold state there that they lose if it stops (SHOW SESSIONS)");
    }
    EndWith(Operation::State::kDone, 0, message);
  }

  const std::string backend_;
};

class AssignTask final : public BusyTask {
 public:
  AssignTask(Operators* operators, const AskedPtr& asked, const AssignTenant& command)
      : BusyTask(operators, asked,
                 {.kind = "assign",
                  .object = command.tenant,
                  .what = "tenant " + command.tenant,
                  .concerns = TenantKey(command.tenant),
                  .filter = {.tenant = command.tenant},
                  .timeout = command.timeout,
                  .way_out = "KILL SESSION them, or ASSIGN with a longer TIMEOUT"}),
        tenant_(command.tenant),
        shard_(command.shard),
        before_(OrderOf(operators, command.tenant)) {
    Start();
  }

 private:
  // The order of an operator who holds or rejects the tenant already: it is there again afterwards.
  static routing::GateOrder OrderOf(Operators* operators, const std::string& tenant) {
    const routing::ShardGate* gate = operators->world()->gates()->tenant_gate(tenant);
    return gate == nullptr ? routing::GateOrder{} : gate->order();
  }

  // Without an end of its own: nothing may start before the flip is stored.
  void CloseGate() override {
    const bool rejected = before_.order == routing::GateOperator::kReject;
    operators()->world()->gates()->SetTenantOrder(
        tenant_,
        {.order = rejected ? routing::GateOperator::kReject : routing::GateOperator::kDrain,
         .words = "is being moved to shard " + shard_},
        operators()->world()->Now());
  }
  void PutBack() override {
    const routing::MonoTime now = operators()->world()->Now();
    if (before_.until <= now) before_ = {};
    operators()->world()->gates()->SetTenantOrder(tenant_, before_, now);
  }
  void Finish(const io::BusyCount& count) override {
    operators()->Change([this](routing::TopologyBuilder* builder) { return Flip(builder); },
                        {tenant_},
                        [this, pinned = count.pinned, alive = alive()](const absl::Status& status) {
                          if (!alive.expired()) Answer(pinned, status);
                        });
  }
  void Answer(uint32_t pinned, const absl::Status& status) {
    PutBack();
    if (!status.ok()) {
      EndWith(Operation::State::kFailed, kErrNotNow,
              "tenant " + tenant_ + " stays where it is: " + std::string(status.message()));
      return;
    }
    std::string message = "tenant " + tenant_ + " is on shard " + shard_;
    if (before_.order != routing::GateOperator::kNone) {
      absl::StrAppend(&message, " and ", before_.words, " as before: RELEASE TENANT ", tenant_,
                      " lets it work there");
    }
    if (pinned > 0) {
      absl::StrAppend(&message, "; ", pinned,
                      " idle sessions held state on the old one and lose it (9411)");
    }
    EndWith(Operation::State::kDone, 0, message);
  }

  absl::Status Flip(routing::TopologyBuilder* builder) {
    routing::TenantSpec spec;
    spec.name = tenant_;
    spec.shard = shard_;
    const routing::LookupResult found = operators()->world()->topology()->FindTenant(tenant_);
    if (found.origin == routing::TenantOrigin::kDirectory) {
      spec.pooling = found.pooling;
      spec.hold = found.hold;
      spec.physical_database = std::string(found.physical_database);
    }
    return builder->AssignTenant(spec);
  }

  const std::string tenant_;
  const std::string shard_;
  routing::GateOrder before_;
};

}  // namespace

void Operators::Run(const DrainBackend& command, const AskedPtr& asked) {
  const routing::Backend* backend = BackendOr(command.backend, asked);
  if (backend == nullptr || UnderChange({command.backend}, asked)) return;
  if (backend_order(command.backend) != BackendOrder::kNone) {
    asked->Fail(kErrNotNow, "backend " + command.backend +
                                " is drained or disabled already: ENABLE BACKEND " +
                                command.backend + " ends that");
    return;
  }
  if (fenced_.contains(command.backend)) {
    asked->Fail(kErrNotNow, "backend " + command.backend + " is fenced: nothing reaches it anyway");
    return;
  }
  if (!MayBegin(asked)) return;
  Begin(std::make_unique<DrainTask>(this, asked, command, backend->id), asked);
}

void Operators::Run(const AssignTenant& command, const AskedPtr& asked) {
  const routing::Shard* shard = ShardOr(command.shard, asked);
  if (shard == nullptr || UnderChange({TenantKey(command.tenant)}, asked)) return;
  const routing::LookupResult found = world_->topology()->FindTenant(command.tenant);
  if (found.origin == routing::TenantOrigin::kDirectory && found.shard == shard->id) {
    asked->Fail(kErrNotNow,
                "tenant " + command.tenant + " is on shard " + command.shard + " already");
    return;
  }
  std::vector<std::string> shards = {command.shard};
  if (const routing::Shard* from = world_->topology()->shard(found.shard); from != nullptr)
    shards.push_back(from->name);
  if (UnderChange(shards, asked) || !MayBegin(asked)) return;
  // Replicas too: each server is asked at its own pace, and one of them sees a canary first.
  std::vector<routing::BackendId> servers;
  for (const routing::Shard* one : {shard, world_->topology()->shard(found.shard)}) {
    if (one == nullptr) continue;
    servers.push_back(one->primary);
    servers.insert(servers.end(), one->replicas.begin(), one->replicas.end());
  }
  if (const auto routers = world_->OtherRoutersOn(servers); !routers.empty()) {
    asked->Fail(kErrNotNow, "other routers serve these shards, and would go on sending tenant " +
                                command.tenant + " to where it was: " +
                                absl::StrJoin(routers, ", ") + "; stop them first");
    return;
  }
  Begin(std::make_unique<AssignTask>(this, asked, command), asked);
}

void Operators::Run(const DrillHang& command, const AskedPtr& asked) {
  const routing::Shard* shard = ShardOr(command.shard, asked);
  if (shard == nullptr) return;
  const routing::BackendHealth* health = world_->HealthOf(shard->primary);
  if (shard->production && !command.force) {
    asked->Fail(kErrNotNow, "shard " + command.shard +
                                " is marked as production: a drill holds its statements; DRILL "
                                "HANG SHARD " +
                                command.shard + " ... FORCE does it all the same");
    return;
  }
  if (command.lasting < std::chrono::seconds(1) || command.lasting > std::chrono::hours(1)) {
    asked->Fail(kErrBadValue, "a drill lasts between '1s' and '1h'");
    return;
  }
  const bool serves =
      world_->gates()->gate(shard->id)->notice().mode == routing::GateMode::kServing;
  if (health == nullptr || health->effect() != routing::GateEffect::kServe || !serves) {
    asked->Fail(kErrNotNow, "shard " + command.shard +
                                " does not serve now: there is no need of a "
                                "drill");
    return;
  }
  if (UnderChange({command.shard}, asked) || !MayBegin(asked)) return;
  Begin(std::make_unique<DrillTask>(this, asked, *shard, command.lasting), asked);
}

}  // namespace bulkhead::control
