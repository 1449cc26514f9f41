#include "tests/sim/control.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "tests/sim/checkers.h"

namespace bulkhead::sim {

namespace {

using routing::BackendState;
using routing::GateEffect;
using routing::HealthAction;
using routing::MonoTime;

constexpr Ns kTick = 50 * kMs;
constexpr routing::Duration kLate = std::chrono::milliseconds(100);
constexpr routing::Duration kWorkerTick = std::chrono::milliseconds(100);

MonoTime At(uint64_t ns) { return routing::MonoTimeFromNanos(static_cast<int64_t>(ns)); }

}  // namespace

struct Control::Watch final : ProberOwner {
  Watch(Control* owner, size_t number, Random random)
      : control(owner),
        index(number),
        health(owner->setup_.health, routing::BackendRole::kPrimary, random.Next(), owner->Now()),
        prober(owner->setup_.scheduler, &owner->actor_, owner->setup_.servers[number],
               random.Fork(7), this) {}

  void OnProbe(uint64_t probe, const routing::ProbeResult& result) override {
    health.OnProbe(probe, result, control->Now());
    control->CarryOut(this);
  }
  void OnHungProbe(uint64_t probe, routing::HungEnd end) override {
    health.OnHungProbe(probe, end, control->Now());
    control->CarryOut(this);
  }
  void OnProbeConnectionLost(routing::ProbeKind kind, routing::ConnectionError error) override {
    health.OnProbeConnectionLost(kind, error, control->Now());
    control->CarryOut(this);
  }

  Control* control;
  size_t index;
  routing::BackendHealth health;
  Prober prober;
  std::vector<uint32_t> abandoned;
  std::vector<io::AbandonedConnection> given_up;
  std::vector<std::pair<MonoTime, uint32_t>> left;  // connections closed in mid-statement
  uint32_t give_ups_awaited = 0;
  uint32_t refused = 0, reset = 0;
  GateEffect effect{};
  bool effect_known = false;
  bool carrying_out = false;
};

Control::Control(Setup setup)
    : setup_(std::move(setup)),
      actor_("control"),
      from_workers_(setup_.scheduler, &actor_),
      totals_(setup_.total_statements, setup_.total_bytes) {
  for (const routing::Shard* shard : setup_.topology->shards()) {
    gates_.push_back(std::make_unique<routing::ShardGate>(
        shard->id, shard->name, routing::GateRules::With(setup_.gate, shard->hold), &totals_,
        Now()));
    setup_.board->SetShard(shard->id, gates_.back()->notice().mode);
    published_.push_back(gates_.back()->notice().version);
  }
  for (size_t i = 0; i < setup_.servers.size(); ++i)
    watches_.push_back(std::make_unique<Watch>(this, i, setup_.random.Fork(100 + i)));
}

Control::~Control() = default;

const routing::BackendHealth& Control::health(size_t backend) const {
  return watches_[backend]->health;
}

void Control::Start(std::vector<Worker*> workers) {
  workers_ = std::move(workers);
  last_tick_ = Now();
  setup_.scheduler->AfterOn(&actor_, kMs, Turn::kTimer, [this] { Tick(); });
}

void Control::Post(Callback callback) {
  from_workers_.Post(setup_.random.Between(2, 60) * kUs, std::move(callback));
}

// --- time

void Control::Tick() {
  const MonoTime now = Now();
  NoteLateLoops(now);
  for (const std::unique_ptr<Watch>& watch : watches_) Sample(watch.get(), now);
  JudgeFleet(now);
  for (const std::unique_ptr<Watch>& watch : watches_) {
    CarryOut(watch.get());
    PublishHealth(watch.get(), now);
  }
  for (size_t i = 0; i < gates_.size(); ++i) {
    if (gates_[i]->NextDeadline() > now) continue;
    gates_[i]->Tick(now, &actions_);
    Carry(i);
  }
  last_tick_ = now;
  setup_.scheduler->AfterOn(&actor_, kTick, Turn::kTimer, [this] { Tick(); });
}

void Control::NoteLateLoops(MonoTime now) {
  const bool late = now - last_tick_ > std::chrono::nanoseconds(kTick) + kLate;
  MonoTime worker_since = routing::kMonoNever;
  for (Worker* worker : workers_) {
    const MonoTime turn = routing::MonoTimeFromNanos(worker->last_turn());
    if (now - turn > kWorkerTick + kLate) worker_since = std::min(worker_since, turn);
  }
  for (const std::unique_ptr<Watch>& watch : watches_) {
    if (late) watch->health.OnLoopLate(routing::LateLoop::kControl, last_tick_, now);
    if (worker_since != routing::kMonoNever)
      watch->health.OnLoopLate(routing::LateLoop::kWorker, worker_since, now);
  }
}

void Control::Sample(Watch* watch, MonoTime now) {
  routing::TrafficSample sample;
  uint32_t refused = 0;
  uint32_t reset = 0;
  const auto latest = [](uint64_t ns, MonoTime* time) {
    if (ns != 0) *time = std::max(*time, At(ns));
  };
  const auto earliest = [](uint64_t ns, MonoTime* time) {
    *time = *time == routing::kNoTime ? At(ns) : std::min(*time, At(ns));
  };
  for (Worker* worker : workers_) {
    const io::BackendActivity& cell = *worker->activity(watch->index);
    sample.in_flight += cell.in_flight.load();
    sample.writes_in_flight += cell.writes.load();
    if (cell.in_flight.load() > 0) earliest(cell.demand_since_ns.load(), &sample.oldest_sent_at);
    if (cell.writes.load() > 0) earliest(cell.writes_since_ns.load(), &sample.oldest_write_at);
    latest(cell.last_byte_ns.load(), &sample.last_byte_at);
    latest(cell.last_answer_ns.load(), &sample.last_answer_at);
    latest(cell.last_commit_ns.load(), &sample.last_commit_at);
    sample.bytes += cell.bytes.load();
    refused += cell.refused.load();
    reset += cell.reset.load();
  }
  if (std::exchange(watch->refused, refused) != refused)
    watch->health.OnConnectionError(routing::ConnectionError::kRefused, now);
  if (std::exchange(watch->reset, reset) != reset)
    watch->health.OnConnectionError(routing::ConnectionError::kReset, now);
  watch->health.OnTraffic(sample, now);
}

void Control::JudgeFleet(MonoTime now) {
  if (watches_.size() < 2) return;
  const bool all_bad = std::all_of(watches_.begin(), watches_.end(), [](const auto& watch) {
    const BackendState state = watch->health.state();
    return state == BackendState::kSuspect || state == BackendState::kDown;
  });
  for (const std::unique_ptr<Watch>& watch : watches_) watch->health.OnFleet(all_bad, now);
}

// --- what the machines ask for

void Control::CarryOut(Watch* watch) {
  if (watch->carrying_out) return;  // the loop below takes what an action has caused
  watch->carrying_out = true;
  while (true) {
    const std::vector<HealthAction> actions = watch->health.TakeActions();
    if (actions.empty()) break;
    for (const HealthAction& action : actions) CarryOutOne(watch, action);
  }
  watch->carrying_out = false;
}

void Control::CarryOutOne(Watch* watch, const HealthAction& action) {
  switch (action.kind) {
    case HealthAction::Kind::kStartProbe:
      watch->prober.Start(action);
      return;
    case HealthAction::Kind::kAbandonProbe:
      watch->prober.Abandon(action.probe);
      return;
    case HealthAction::Kind::kForgetAbandoned:
      watch->abandoned.clear();
      return;
    case HealthAction::Kind::kStateChanged:
      setup_.trace->Note("state", watch->index, static_cast<uint64_t>(action.to), [&] {
        std::string words = "backend b" + std::to_string(watch->index) + " " +
                            std::string(routing::ToString(action.from)) + " -> " +
                            std::string(routing::ToString(action.to));
        for (const std::string& reason : action.reasons) words += "; " + reason;
        return words;
      });
      setup_.checkers->OnState(watch->index, action.to);
      if (action.from == BackendState::kUp) AbandonLeft(watch);
      PublishHealth(watch, Now());
      return;
    case HealthAction::Kind::kGiveUpInFlight:
      setup_.trace->Note("giveup", watch->index, action.writes_only ? 1 : 0, [&] {
        return "what is in flight on b" + std::to_string(watch->index) + " is given up";
      });
      watch->give_ups_awaited += static_cast<uint32_t>(workers_.size());
      for (Worker* worker : workers_) {
        worker->PostGiveUp(setup_.topology->backends()[watch->index]->id, action.writes_only,
                           action.silent_before);
      }
      return;
    case HealthAction::Kind::kCheckIdentity:
      watch->prober.Ask(Prober::Task::kIdentity, {"#IDENTITY"}, [this, watch](auto answers) {
        routing::IdentityFacts facts;
        if (answers.has_value()) {
          const std::string& text = answers->front();
          const size_t space = text.find(' ');
          facts.known = true;
          facts.server = text.substr(0, space);
          (void)std::from_chars(text.data() + space + 1, text.data() + text.size(),
                                facts.started_at);
        }
        watch->health.OnIdentity(facts, Now());
        CarryOut(watch);
      });
      return;
    case HealthAction::Kind::kKillAbandoned:
      KillAbandoned(watch);
      return;
    case HealthAction::Kind::kNotice:
      return;
  }
}

void Control::KillAbandoned(Watch* watch) {
  std::vector<std::string> kills;
  for (const uint32_t thread : watch->abandoned) kills.push_back("#KILL " + std::to_string(thread));
  setup_.trace->Note("kill", watch->index, kills.size(), [&] {
    return std::to_string(kills.size()) + " abandoned connections of b" +
           std::to_string(watch->index) + " are killed, or looked for";
  });
  const std::vector<uint32_t> asked = watch->abandoned;
  watch->prober.Ask(Prober::Task::kKill, std::move(kills), [this, watch, asked](auto answers) {
    routing::AbandonedReport report;
    report.checkable = answers.has_value();
    for (size_t i = 0; answers.has_value() && i < asked.size(); ++i) {
      if ((*answers)[i] == "gone") std::erase(watch->abandoned, asked[i]);
    }
    report.remaining = static_cast<uint32_t>(watch->abandoned.size());
    watch->health.OnAbandoned(report, Now());
    CarryOut(watch);
  });
}

void Control::NoteAbandoned(routing::BackendId backend,
                            std::vector<io::AbandonedConnection> connections) {
  Post([this, backend, connections = std::move(connections)] {
    Watch* watch = watches_[backend.index].get();
    watch->given_up.insert(watch->given_up.end(), connections.begin(), connections.end());
    if (watch->give_ups_awaited == 0 || --watch->give_ups_awaited > 0) return;
    const std::vector<io::AbandonedConnection> all = std::exchange(watch->given_up, {});
    for (const io::AbandonedConnection& one : all) watch->abandoned.push_back(one.thread_id);
    watch->health.OnGaveUp(static_cast<uint32_t>(all.size()), Now());
    CarryOut(watch);
  });
}

void Control::NoteLeft(routing::BackendId backend, io::AbandonedConnection connection) {
  Post([this, backend, connection] {
    Watch* watch = watches_[backend.index].get();
    watch->left.emplace_back(Now(), connection.thread_id);
    if (watch->health.state() != BackendState::kUp) AbandonLeft(watch);
  });
}

// What was left since the server was last heard of hangs there, like what is given up.
void Control::AbandonLeft(Watch* watch) {
  const MonoTime life = watch->health.last_life();
  uint32_t count = 0;
  for (const auto& [at, thread] : std::exchange(watch->left, {})) {
    if (at < life) continue;
    watch->abandoned.push_back(thread);
    ++count;
  }
  if (count > 0) watch->health.OnGaveUp(count, Now());
}

// --- gates

void Control::PublishHealth(Watch* watch, MonoTime now) {
  const GateEffect effect = watch->health.effect();
  if (watch->effect_known && watch->effect == effect) return;
  watch->effect_known = true;
  watch->effect = effect;
  setup_.board->SetAnswers(setup_.topology->backends()[watch->index]->id,
                           effect == GateEffect::kServe || effect == GateEffect::kHoldWrites);
  const MonoTime life = watch->health.last_life();
  const bool silent = effect == GateEffect::kApplyPolicy && life != routing::kNoTime;
  const routing::GateHealth health{
      .effect = effect,
      .since = silent ? life : watch->health.since(),
      .words = "is " + std::string(routing::ToString(watch->health.state())),
      .concurrency = 0};
  gates_[watch->index]->SetHealth(health, now, &actions_);
  Carry(watch->index);
}

void Control::Enqueue(io::HeldStatement statement) {
  Post([this, statement = std::move(statement)] {
    const size_t shard = statement.shard.index;
    setup_.checkers->OnEnqueued(shard, statement.ticket, statement.bytes);
    gates_[shard]->Enqueue({.waiter = statement.ticket,
                            .worker = statement.worker,
                            .tenant = statement.tenant,
                            .bytes = statement.bytes,
                            .is_read = statement.is_read,
                            .continues_transaction = statement.continues_transaction,
                            .plain_read = statement.plain_read,
                            .policy = statement.policy,
                            .since = At(statement.since_ns)},
                           Now(), &actions_);
    Carry(shard);
  });
}

void Control::Cancel(routing::ShardId shard, uint64_t ticket) {
  Post([this, shard, ticket] {
    setup_.checkers->OnCancelled(shard.index, ticket);
    (void)gates_[shard.index]->Cancel(ticket, Now(), &actions_);
    Carry(shard.index);
  });
}

void Control::Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok) {
  Post([this, shard, ticket, took_ns, ok] {
    setup_.checkers->OnFinished(shard.index, ticket);
    gates_[shard.index]->Finished(ticket, routing::Duration(static_cast<int64_t>(took_ns)), ok,
                                  Now(), &actions_);
    Carry(shard.index);
  });
}

void Control::Carry(size_t shard) {
  routing::ShardGate* gate = gates_[shard].get();
  const routing::GateNotice& notice = gate->notice();
  // What is published first: a worker that is told to release must not find the gate closed.
  if (published_[shard] != notice.version) {
    published_[shard] = notice.version;
    const routing::GateMode before = setup_.board->shard(gate->id());
    setup_.board->SetShard(gate->id(), notice.mode);
    setup_.budgets[shard]->SetPace(notice.connects_per_second);
    setup_.trace->Note("gate", shard, static_cast<uint64_t>(notice.mode), [&] {
      return gate->name() + ": " + (notice.text.empty() ? "serves" : notice.text);
    });
    const bool served = std::exchange(serves_[shard], notice.serves);
    const bool closed = before != notice.mode || (served && !notice.serves);
    if (closed && notice.mode != routing::GateMode::kServing) {
      for (Worker* worker : workers_) worker->PostGateClosed(gate->id());
    }
  }
  std::vector<std::vector<io::GateRelease>> released(workers_.size());
  std::vector<std::vector<io::GateRefusal>> refused(workers_.size());
  for (routing::GateAction& action : actions_) {
    setup_.checkers->OnGateAction(shard, action);
    if (action.kind == routing::GateAction::Kind::kRefuse) {
      refused[action.worker].push_back(
          {action.waiter, action.code, action.retry_after_ms, std::move(action.reason)});
    } else {
      released[action.worker].push_back({action.waiter, action.replica});
    }
  }
  actions_.clear();
  setup_.checkers->AfterGate(shard, *gate, totals_);
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (!released[i].empty()) workers_[i]->PostReleased(std::move(released[i]));
    if (!refused[i].empty()) workers_[i]->PostRefused(std::move(refused[i]));
  }
}

}  // namespace bulkhead::sim
