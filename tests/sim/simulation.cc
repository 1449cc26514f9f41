#include "tests/sim/simulation.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace bulkhead::sim {

namespace {

constexpr Ns kStart = 1000 * kSecond;  // nothing may count on a clock that begins at 0
constexpr Ns kLook = 20 * kMs;

void MustBeOk(const absl::Status& status) {
  if (!status.ok()) std::abort();
}

}  // namespace

Simulation::Simulation(uint64_t seed, Options options)
    : seed_(seed),
      options_(options),
      plan_(seed),
      scheduler_(kStart),
      trace_(&scheduler_, options.verbose),
      board_(std::make_unique<routing::GateBoard>()) {
  const Random random(seed);
  const Holds::Rules rules{plan_.gate, plan_.total_statements, plan_.total_bytes};
  // A statement takes up to 3 ms and may have to wait for a connection that is opened; where there
  // are few, for one that another worker gives back at its next look around.
  const Ns latency = plan_.few_connections ? 1000 * kMs : 50 * kMs;
  checkers_ = std::make_unique<Checkers>(Checkers::Setup{.scheduler = &scheduler_,
                                                         .shards = plan_.servers,
                                                         .calm = plan_.calm,
                                                         .usual_latency = latency,
                                                         .rules = rules});
  MakeTopology();
  std::vector<Server*> servers;
  std::vector<routing::ConnectionBudget*> budgets;
  auto tables = std::make_shared<routing::TransactionalTables>();
  for (size_t i = 0; i < plan_.servers; ++i) {
    servers_.push_back(
        std::make_unique<Server>(i, &scheduler_, &trace_, checkers_.get(), random.Fork(10 + i)));
    servers.push_back(servers_.back().get());
    budgets_.push_back(std::make_unique<routing::ConnectionBudget>(plan_.connections));
    budgets.push_back(budgets_.back().get());
    tables->Set(topology_->backends()[i]->id,
                {.all = plan_.tables_known, .triggers_seen = false, .excluded = {}});
  }
  control_ = std::make_unique<Control>(Control::Setup{.scheduler = &scheduler_,
                                                      .trace = &trace_,
                                                      .checkers = checkers_.get(),
                                                      .topology = topology_,
                                                      .servers = servers,
                                                      .board = board_.get(),
                                                      .budgets = budgets,
                                                      .health = plan_.health,
                                                      .gate = plan_.gate,
                                                      .total_statements = plan_.total_statements,
                                                      .total_bytes = plan_.total_bytes,
                                                      .random = random.Fork(2)});
  std::vector<Worker*> workers;
  for (uint32_t i = 0; i < plan_.workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(Worker::Setup{
        .index = i,
        .scheduler = &scheduler_,
        .trace = &trace_,
        .checkers = checkers_.get(),
        .keeper = control_.get(),
        .note_left = [this](auto backend, auto link) { control_->NoteLeft(backend, link); },
        .board = board_.get(),
        .topology = topology_,
        .tables = tables,
        .rules = &rules_,
        .servers = servers,
        .budgets = budgets,
        .read_retry = plan_.read_retry,
        .random = random.Fork(30 + i)}));
    workers.push_back(workers_.back().get());
  }
  for (Worker* worker : workers) worker->SetOthers(workers);
  MakeClients(random.Fork(3));
  control_->Start(workers);
  for (Worker* worker : workers) worker->Start();
}

Simulation::~Simulation() = default;

void Simulation::MakeTopology() {
  routing::TopologyBuilder builder;
  for (size_t i = 0; i < plan_.servers; ++i) {
    const std::string number = std::to_string(i);
    MustBeOk(builder.AddBackend(
        {.name = "b" + number, .address = {.host = "b" + number, .port = 3306}}));
    MustBeOk(builder.AddShard({.name = "s" + number, .primary = "b" + number}));
    for (const char* tenant : {"acme", "globex"})
      MustBeOk(builder.AddTenant({.name = tenant + number, .shard = "s" + number}));
  }
  topology_ = builder.Build().value();
}

void Simulation::MakeClients(Random random) {
  auto record = std::make_shared<auth::UserRecord>();
  record->name = "app";
  uint32_t number = 0;
  for (size_t shard = 0; shard < plan_.servers; ++shard) {
    for (uint32_t i = 0; i < plan_.clients_per_server; ++i) {
      Random own = random.Fork(++number);
      Client::Setup setup;
      setup.number = number;
      setup.shard = shard;
      setup.tenant = (own.Chance(600) ? "acme" : "globex") + std::to_string(shard);
      setup.habit = static_cast<Habit>(own.Below(kHabits));
      setup.think = own.Chance(150) ? own.Between(1000, 4000) * kMs : own.Between(20, 150) * kMs;
      // Nobody may keep one of few connections for long.
      if (plan_.few_connections) setup.think = std::min(setup.think, 100 * kMs);
      setup.leaves_permille = own.Chance(300) ? 40 : 0;
      setup.sets_variables = own.Chance(300);
      setup.is_pinned = !plan_.few_connections && own.Chance(100);
      setup.worker = workers_[own.Below(workers_.size())].get();
      setup.scheduler = &scheduler_;
      setup.trace = &trace_;
      setup.checkers = checkers_.get();
      setup.user = record;
      setup.random = own.Fork(1);
      clients_.push_back(std::make_unique<Client>(std::move(setup)));
      clients_.back()->Start();
    }
  }
}

// --- faults

void Simulation::Schedule(const Fault& fault) {
  scheduler_.After(fault.begin, [this, fault] { Apply(fault, true); });
  scheduler_.After(fault.end, [this, fault] { Apply(fault, false); });
}

void Simulation::Apply(const Fault& fault, bool on) {
  trace_.Note("fault", static_cast<uint64_t>(fault.kind), on ? 1 : 0,
              [&] { return (on ? "begins: " : "ends: ") + fault.Words(); });
  Server& server = *servers_[fault.server];
  switch (fault.kind) {
    case FaultKind::kCrash:
      on ? server.Crash() : server.Start();
      return;
    case FaultKind::kHang:
      on ? server.Freeze() : server.Thaw();
      return;
    case FaultKind::kSlow:
      server.SetSlowness(on ? fault.amount : 1);
      return;
    case FaultKind::kDrip:
      server.SetDrip(on);
      return;
    case FaultKind::kPartition:
      server.link.to_server = server.link.to_router = !on;
      return;
    case FaultKind::kToServerLost:
      server.link.to_server = !on;
      return;
    case FaultKind::kToRouterLost:
      server.link.to_router = !on;
      return;
    case FaultKind::kFlapping:
      if (on) {
        Flap(fault, true);
      } else {
        server.Thaw();
      }
      return;
    case FaultKind::kCommitsHang:
      server.SetCommitsHang(on);
      return;
    case FaultKind::kOwnStall:
      if (!on) return;
      const Ns until = kStart + fault.end;
      checkers_->OnOwnStall(scheduler_.now(), until);
      if ((fault.threads & 1) != 0) scheduler_.Stall(control_->actor(), until);
      for (size_t i = 0; i < workers_.size(); ++i) {
        if ((fault.threads & (2u << i)) != 0) scheduler_.Stall(workers_[i]->actor(), until);
      }
      return;
  }
}

void Simulation::Flap(Fault fault, bool on) {
  if (scheduler_.now() >= kStart + fault.end) return;
  if (on) {
    servers_[fault.server]->Freeze();
  } else {
    servers_[fault.server]->Thaw();
  }
  scheduler_.After(fault.amount * kMs, [this, fault, on] { Flap(fault, !on); });
}

// --- looking

void Simulation::CheckRegularly() {
  checkers_->holds()->CheckOverdue(scheduler_.now());
  for (size_t i = 0; i < servers_.size(); ++i) {
    size_t connections = 0;
    for (const auto& worker : workers_) connections += worker->connections(i);
    if (connections > plan_.connections) {
      checkers_->violations()->Add(Checker::kCaps, std::to_string(connections) +
                                                       " connections to backend " +
                                                       std::to_string(i) + ", the limit is " +
                                                       std::to_string(plan_.connections));
    }
  }
  if (options_.stop_early && !checkers_->violations()->found().empty()) scheduler_.Stop();
  scheduler_.After(kLook, [this] { CheckRegularly(); });
}

void Simulation::CheckLiveness() {
  Violations* violations = checkers_->violations();
  for (size_t i = 0; i < servers_.size(); ++i) {
    const routing::BackendState state = control_->health(i).state();
    if (state != routing::BackendState::kUp) {
      std::string why;
      for (const std::string& reason :
           control_->health(i).Reasons(routing::MonoTimeFromNanos(scheduler_.now())))
        why += "; " + reason;
      violations->Add(Checker::kLiveness, "backend " + std::to_string(i) + " is still " +
                                              std::string(routing::ToString(state)) + why);
    } else if (control_->gate(i).notice().mode != routing::GateMode::kServing) {
      violations->Add(Checker::kLiveness,
                      "the gate of shard " + std::to_string(i) +
                          " is still closed: " + control_->gate(i).notice().text);
    }
  }
  constexpr Ns kRecently = 15 * kSecond;
  for (const auto& client : clients_) {
    if (client->last_ok() < scheduler_.now() - kRecently)
      violations->Add(Checker::kLiveness, client->Words() + " gets nothing done any more");
  }
}

Result Simulation::Run() {
  for (const Fault& fault : plan_.faults) Schedule(fault);
  CheckRegularly();
  bool goes_on = scheduler_.RunUntil(kStart + 2 * kSecond);
  checkers_->BeginIsolation();
  goes_on = goes_on && scheduler_.RunUntil(kStart + plan_.judged);
  if (goes_on) {
    CheckLiveness();
    for (const auto& client : clients_) client->Finish();
    goes_on = scheduler_.RunUntil(kStart + plan_.end);
  }
  if (goes_on) {
    for (const auto& client : clients_) {
      if (client->busy())
        checkers_->violations()->Add(Checker::kOneOutcome, client->Words() + " still waits");
    }
    for (const auto& server : servers_) {
      if (server->busy() > 0)
        checkers_->violations()->Add(Checker::kLiveness, server->Name() + " is still busy");
    }
    checkers_->ledger()->CheckAll();
  }
  return {.seed = seed_,
          .hash = trace_.hash(),
          .events = scheduler_.events(),
          .time = scheduler_.now() - kStart,
          .violations = checkers_->violations()->found(),
          .writes = checkers_->ledger()->counts(),
          .held = checkers_->holds()->counts(),
          .seen = checkers_->seen()};
}

Result RunSeed(uint64_t seed, const Simulation::Options& options) {
  return Simulation(seed, options).Run();
}

}  // namespace bulkhead::sim
