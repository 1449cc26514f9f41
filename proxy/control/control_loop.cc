#include "proxy/control/control_loop.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/log/log.h"
#include "routing/abseil_view.h"

namespace bulkhead::control {

namespace {

using routing::BackendState;
using routing::GateEffect;
using routing::MonoTime;

constexpr uint64_t kTickMs = 50;
// A tick this late means that the process did not run: nothing seen meanwhile counts.
constexpr routing::Duration kLate = std::chrono::milliseconds(100);
constexpr routing::Duration kWorkerTick = std::chrono::milliseconds(100);

MonoTime At(uint64_t ns) {
  return ns > INT64_MAX ? routing::kMonoNever
                        : routing::MonoTimeFromNanos(static_cast<int64_t>(ns));
}

}  // namespace

ControlLoop::ControlLoop(Setup setup)
    : setup_(std::move(setup)),
      topology_(setup_.options->topology),
      operators_(std::make_unique<Operators>(this)) {}

ControlLoop::~ControlLoop() = default;

MonoTime ControlLoop::Now() { return At(loop_.NowNs()); }

void ControlLoop::Start() {
  desk_ = std::make_unique<GateDesk>(
      setup_.options->hold, setup_.options->pools.max_connections, setup_.workers, setup_.gates,
      setup_.limits,
      [this](routing::BackendId id, double per_second) {
        const routing::Backend* backend = topology_->backend(id);
        if (backend != nullptr) setup_.budget_of(*backend)->SetPace(per_second);
      },
      setup_.metrics, [this](const routing::ShardGate& gate) { OnGateNotice(gate); });
  desk_->SetTopology(*topology_, Now());
  if (!setup_.options->probe.has_value()) {
    log::Warn(log::event::kSetup, {{"what", "probe"}},
              "no probe account (probe: in the configuration): a hang is noticed late, by the "
              "applications' own statements and logins, or not at all");
  }
  desk_->set_order_listener(
      [this](routing::ShardId id, const std::string& tenant, const routing::GateOrder& order) {
        const routing::Shard* shard = topology_->shard(id);
        if (predecessor_ != nullptr && (shard != nullptr || !tenant.empty()))
          predecessor_->TellOrder(shard == nullptr, shard == nullptr ? tenant : shard->name, order);
      });
  SyncWatches();
  StartStore();
  if (predecessor_ != nullptr) predecessor_->TellSynced();
  last_tick_ = Now();
  tick_ = std::make_unique<io::Timer>(&loop_, [this] { OnTick(); });
  tick_->Start(1, kTickMs);
  thread_ = std::thread([this] { loop_.Run(); });
}

// A change of primary is put back, if it may be and its servers answer; nobody serves any more.
void ControlLoop::Stop() {
  loop_.Post([this] {
    constexpr routing::Duration kPatience = std::chrono::seconds(10);
    operators_->CancelAll();
    stop_by_ = Now() + kPatience;
  });
}

void ControlLoop::FinishStop() {
  tick_.reset();
  operators_->Stop();
  history_at_ = {};
  StoreHistory(Now());
  store_.reset();  // what was asked for is on disk
  successor_.reset();
  predecessor_.reset();
  watched_.clear();
  loop_.Post([this] { loop_.Stop(); });
}

void ControlLoop::Join() {
  if (thread_.joinable()) thread_.join();
}

// --- time
// ------------------------------------------------------------------------------------------------

void ControlLoop::OnTick() {
  const MonoTime now = Now();
  NoteLateLoops(now);
  GiveSignOfLife(now);
  for (auto& [id, watched] : watched_) Sample(&watched, now);
  JudgeFleet(now);
  for (auto& [id, watched] : watched_) {
    watched.watch->CarryOut();
    PublishHealth(&watched, now);
    if (now >= watched.tables_due) AskForTables(&watched, now);
    if (now >= watched.semi_sync_due) AskForSemiSync(&watched, now);
    if (watched.returned != nullptr) watched.returned->Tick();
    if (now >= watched.look_at) LookAtReturned(&watched, now);
  }
  ChooseReplicas(now);
  desk_->Tick(now);
  operators_->Tick(now);
  if (stop_by_ == routing::kMonoNever && !giving_store_ && successor_ == nullptr)
    FailOverByItself(now);
  TickHandover(now);
  StoreHistory(now);
  if (setup_.limits != nullptr && now - last_sweep_ >= std::chrono::seconds(1)) {
    last_sweep_ = now;
    setup_.limits->Sweep(now);
  }
  PublishView(now);
  last_tick_ = now;
  if (stop_by_ != routing::kMonoNever && (operators_->idle() || now >= stop_by_)) FinishStop();
}

void ControlLoop::NoteLateLoops(MonoTime now) {
  const routing::Duration gap = now - last_tick_;
  setup_.metrics->loop_lag.Record(gap - std::chrono::milliseconds(kTickMs));
  const bool late = gap > std::chrono::milliseconds(kTickMs) + kLate;
  if (late) {
    log::Warn(log::event::kLate, {{"milliseconds", routing::ToMillis(gap)}},
              absl::StrCat("this process did not run for ", routing::ToMillis(gap), " ms"));
  }
  MonoTime worker_since = routing::kMonoNever;
  for (const io::Worker* worker : *setup_.workers) {
    const MonoTime turn = At(worker->last_turn_ns());
    if (now - turn > kWorkerTick + kLate) worker_since = std::min(worker_since, turn);
  }
  for (auto& [id, watched] : watched_) {
    if (late) watched.watch->health().OnLoopLate(routing::LateLoop::kControl, last_tick_, now);
    if (worker_since != routing::kMonoNever)
      watched.watch->health().OnLoopLate(routing::LateLoop::kWorker, worker_since, now);
  }
}

// A worker that stands still for half the watchdog's time counts as hung: the service manager then
// ends the process, which could not do it itself.
void ControlLoop::GiveSignOfLife(MonoTime now) {
  const routing::Duration timeout = setup_.watchdog;
  if (successor_ != nullptr) return;  // that one is the service's main process
  if (timeout == routing::Duration{} || now - alive_at_ < timeout / 4) return;
  for (const io::Worker* worker : *setup_.workers) {
    const MonoTime turn = At(worker->last_turn_ns());
    if (turn != routing::kMonoNever && now - turn > timeout / 2) return;
  }
  alive_at_ = now;
  setup_.alive();
}

// What the data connections of all workers show of one backend.
routing::TrafficSample ControlLoop::ReadCells(const Watched& watched,
                                              Watched::Counted* counted) const {
  routing::TrafficSample sample;
  const auto latest = [&](const std::atomic<uint64_t>& cell, MonoTime* time) {
    const MonoTime at = At(cell.load(std::memory_order_relaxed));
    if (at > watched.began) *time = std::max(*time, at);
  };
  const auto earliest = [&](const std::atomic<uint64_t>& cell, MonoTime* time) {
    const MonoTime at = std::max(At(cell.load(std::memory_order_relaxed)), watched.began);
    *time = *time == routing::kNoTime ? at : std::min(*time, at);
  };
  for (const io::Worker* worker : *setup_.workers) {
    const io::BackendActivity* cell = worker->activity().Find(watched.watch->id().index);
    if (cell == nullptr) continue;
    const uint32_t in_flight = cell->in_flight.load(std::memory_order_relaxed);
    const uint32_t writes = cell->writes.load(std::memory_order_relaxed);
    sample.in_flight += in_flight;
    sample.writes_in_flight += writes;
    if (in_flight > 0) earliest(cell->demand_since_ns, &sample.oldest_sent_at);
    if (writes > 0) earliest(cell->writes_since_ns, &sample.oldest_write_at);
    latest(cell->last_byte_ns, &sample.last_byte_at);
    latest(cell->last_answer_ns, &sample.last_answer_at);
    latest(cell->last_commit_ns, &sample.last_commit_at);
    sample.bytes += cell->bytes.load(std::memory_order_relaxed);
    counted->refused += cell->refused.load(std::memory_order_relaxed);
    counted->reset += cell->reset.load(std::memory_order_relaxed);
    counted->logins += cell->logins.load(std::memory_order_relaxed);
    counted->login_timeouts += cell->login_timeouts.load(std::memory_order_relaxed);
    counted->full += cell->full.load(std::memory_order_relaxed);
    counted->read_only += cell->read_only.load(std::memory_order_relaxed);
  }
  return sample;
}

void ControlLoop::Sample(Watched* watched, MonoTime now) {
  Watched::Counted counted;
  const routing::TrafficSample sample = ReadCells(*watched, &counted);
  NoteCounted(watched, counted, now);
  watched->watch->health().OnTraffic(sample, now);
}

void ControlLoop::NoteCounted(Watched* watched, const Watched::Counted& counted, MonoTime now) {
  routing::BackendHealth& health = watched->watch->health();
  const Watched::Counted before = std::exchange(watched->counted, counted);
  if (before.refused != counted.refused)
    health.OnConnectionError(routing::ConnectionError::kRefused, now);
  if (before.reset != counted.reset)
    health.OnConnectionError(routing::ConnectionError::kReset, now);
  if (before.login_timeouts != counted.login_timeouts) {
    health.OnLogin(
        {.outcome = routing::ProbeOutcome::kTimeout, .stage = routing::ProbeStage::kGreeting}, now);
  }
  if (before.full != counted.full) {
    health.OnLogin({.outcome = routing::ProbeOutcome::kTooManyConnections, .error_code = 1040},
                   now);
  }
  if (before.logins != counted.logins) health.OnLogin({.outcome = routing::ProbeOutcome::kOk}, now);
  if (before.read_only != counted.read_only) health.OnReadOnlyAnswer(now);
}

// Which schemas hold only transactional tables. Rare: it may be dear on a server with many tables.
void ControlLoop::AskForTables(Watched* watched, MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::minutes(5);
  if (watched->watch->health().state() != BackendState::kUp) return;
  watched->tables_due = now + kInterval;
  if (!setup_.options->probe.has_value() && !setup_.options->control.has_value()) return;
  watched->tables->Ask([this, id = watched->watch->id(), notes = watched->ddl_notes](
                           std::optional<routing::TransactionalTables::Server> answer, bool seen) {
    Watched& asked = watched_[id];
    if (!seen && !std::exchange(asked.tables_told, true)) {
      OnNotice(asked.watch.get(),
               "the control account has no SELECT on *.*, so it is not known which tables are "
               "transactional: writes of a lost transaction are outcome unknown (9410), not rolled "
               "back (1213)");
    }
    if (asked.ddl_notes != notes) return;  // it may have changed meanwhile: asked again soon
    if (answer.has_value()) {
      if (!std::exchange(asked.tables_told, true)) {
        OnNotice(asked.watch.get(), answer->all ? "all its tables are transactional"
                                                : "schemas with other tables, or with triggers: " +
                                                      absl::StrJoin(answer->excluded, ", "));
      }
      tables_.Set(id, std::move(*answer));
    } else {
      tables_.Forget(id);
    }
    PublishTables();
  });
}

void ControlLoop::NoteDdl(routing::BackendId backend) {
  loop_.Post([this, backend] {
    auto it = watched_.find(backend);
    if (it == watched_.end()) return;
    ++it->second.ddl_notes;
    it->second.tables_due = Now() + std::chrono::seconds(1);
    tables_.Forget(backend);
    PublishTables();
  });
}

void ControlLoop::PublishTables() {
  const auto snapshot = std::make_shared<const routing::TransactionalTables>(tables_);
  for (io::Worker* worker : *setup_.workers) worker->PostTables(snapshot);
}

void ControlLoop::JudgeFleet(MonoTime now) {
  if (watched_.size() < 2) return;
  const bool all_bad = std::all_of(watched_.begin(), watched_.end(), [](const auto& entry) {
    const BackendState state = entry.second.watch->health().state();
    return state == BackendState::kSuspect || state == BackendState::kDown;
  });
  all_bad_ = all_bad;
  for (auto& [id, watched] : watched_) watched.watch->health().OnFleet(all_bad, now);
}

// --- states
// ------------------------------------------------------------------------------------------------

void ControlLoop::PublishHealth(Watched* watched, MonoTime now) {
  const BackendWatch& watch = *watched->watch;
  const GateEffect effect = watch.health().effect();
  uint32_t ready = 0;
  if (effect == GateEffect::kShed) {
    for (const io::Worker* worker : *setup_.workers) {
      if (const io::BackendActivity* cell = worker->activity().Find(watch.id().index))
        ready += cell->ready.load(std::memory_order_relaxed);
    }
  }
  const bool as_before = watched->effect == effect && watched->ready_connections == ready;
  if (watched->effect_known && as_before) return;
  watched->ready_connections = ready;
  watched->effect_known = true;
  watched->effect = effect;
  setup_.gates->SetAnswers(watch.id(),
                           effect == GateEffect::kServe || effect == GateEffect::kHoldWrites);
  const MonoTime life = watch.health().last_life();
  const bool silent = effect == GateEffect::kApplyPolicy && life != routing::kNoTime;
  desk_->SetHealth(watch.id(),
                   {.effect = effect,
                    .since = silent ? life : watch.health().since(),
                    .words = Words(watch),
                    .concurrency = ready},
                   now);
}

// After "shard s2 ": what is the matter with its backend.
std::string ControlLoop::Words(const BackendWatch& watch) {
  const routing::BackendHealth& health = watch.health();
  const bool silent =
      (health.state() == BackendState::kDown || health.state() == BackendState::kSuspect) &&
      health.last_life() != routing::kNoTime;
  const std::string since = TimeOfDay(silent ? health.last_life() : health.since());
  return "is " + std::string(routing::ToString(health.state())) + " since " + since + " (backend " +
         watch.name() + ")";
}

std::string ControlLoop::TimeOfDay(MonoTime then) {
  const auto ago = std::chrono::duration_cast<std::chrono::seconds>(Now() - then);
  const std::time_t time = std::time(nullptr) - static_cast<std::time_t>(ago.count());
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%SZ", &utc);
  return text;
}

void ControlLoop::OnStateChanged(BackendWatch* watch, const routing::HealthAction& change) {
  const std::string words = absl::StrCat(routing::Abs(routing::ToString(change.from)), " -> ",
                                         routing::Abs(routing::ToString(change.to)), ": ",
                                         absl::StrJoin(change.reasons, "; "));
  const auto level = change.to == BackendState::kUp ? log::Level::kInfo : log::Level::kWarn;
  const bool silent = change.silent_since != routing::kNoTime;
  log::Write(level, log::event::kBackendState,
             {{"backend", watch->name()},
              {"from", routing::ToString(change.from)},
              {"to", routing::ToString(change.to)},
              {"signals", routing::SignalWords(change.signals)},
              {"silent_ms", silent ? routing::ToMillis(Now() - change.silent_since) : 0}},
             "backend " + watch->name() + ": " + words);
  events_.Add("backend", watch->name(), words);
  auto it = watched_.find(watch->id());
  if (it == watched_.end()) return;
  NoteStateChange(&it->second, change);
  if (change.from == BackendState::kUp) AbandonLeft(&it->second);
  if (change.to == BackendState::kFenced) it->second.look_at = Now();
  PublishHealth(&it->second, Now());
}

void ControlLoop::OnNotice(BackendWatch* watch, const std::string& words) {
  log::Info(log::event::kBackendNotice, {{"backend", watch->name()}},
            "backend " + watch->name() + ": " + words);
  events_.Add("backend", watch->name(), words);
}

void ControlLoop::GiveUpInFlight(BackendWatch* watch, const routing::HealthAction& action) {
  // The loops' clocks are one: CLOCK_MONOTONIC.
  const uint64_t silent_before_ns =
      action.silent_before == routing::kMonoNever
          ? UINT64_MAX
          : static_cast<uint64_t>(std::max<int64_t>(routing::ToNanos(action.silent_before), 0));
  Watched& watched = watched_[watch->id()];
  watched.give_ups_awaited += static_cast<uint32_t>(setup_.workers->size());
  for (io::Worker* worker : *setup_.workers)
    worker->PostGiveUp(watch->id(), action.writes_only, silent_before_ns);
}

// --- what workers ask
// ---------------------------------------------------------------------------------

void ControlLoop::Enqueue(io::HeldStatement statement) {
  loop_.Post([this, statement = std::move(statement)] { desk_->Enqueue(statement, Now()); });
}

void ControlLoop::Cancel(routing::ShardId shard, uint64_t ticket) {
  loop_.Post([this, shard, ticket] { desk_->Cancel(shard, ticket, Now()); });
}

void ControlLoop::Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok) {
  loop_.Post(
      [this, shard, ticket, took_ns, ok] { desk_->Finished(shard, ticket, took_ns, ok, Now()); });
}

void ControlLoop::NoteLeft(routing::BackendId backend, io::AbandonedConnection connection) {
  constexpr size_t kMost = 1000;
  loop_.Post([this, backend, connection] {
    auto it = watched_.find(backend);
    if (it == watched_.end()) return;
    Watched& watched = it->second;
    watched.left.push_back({Now(), connection});
    if (watched.left.size() > kMost) watched.left.pop_front();
    if (watched.watch->health().state() != BackendState::kUp) AbandonLeft(&watched);
  });
}

// What was left since the server was last heard of hangs there, like what is given up.
void ControlLoop::AbandonLeft(Watched* watched) {
  const MonoTime life = watched->watch->health().last_life();
  std::vector<io::AbandonedConnection> abandoned;
  for (const Watched::Left& left : std::exchange(watched->left, {})) {
    if (left.at >= life) abandoned.push_back(left.connection);
  }
  if (abandoned.empty()) return;
  const std::string& name = watched->watch->name();
  log::Warn(log::event::kLeft, {{"backend", name}, {"connections", abandoned.size()}},
            absl::StrCat("backend ", name, ": ", abandoned.size(),
                         " connections were left in mid-statement by clients or by accident"));
  watched->watch->Abandon(abandoned);
}

void ControlLoop::NoteAbandoned(routing::BackendId backend,
                                std::vector<io::AbandonedConnection> connections) {
  loop_.Post([this, backend, connections = std::move(connections)] {
    auto it = watched_.find(backend);
    if (it == watched_.end()) return;
    Watched& watched = it->second;
    watched.given_up.insert(watched.given_up.end(), connections.begin(), connections.end());
    if (watched.give_ups_awaited == 0 || --watched.give_ups_awaited > 0) return;
    const std::vector<io::AbandonedConnection> all = std::exchange(watched.given_up, {});
    watched.connections_given_up += all.size();
    incidents_.OnGivenUp(watched.watch->name(), all.size(), WallMs(Now()));
    if (!all.empty()) {
      const std::string& name = watched.watch->name();
      log::Warn(log::event::kGivenUp, {{"backend", name}, {"connections", all.size()}},
                absl::StrCat("backend ", name, ": given up; ", all.size(),
                             " connections were reset under a statement"));
    }
    watched.watch->GaveUp(all);
    for (const auto& done : std::exchange(watched.when_given_up, {})) done();
  });
}

void ControlLoop::NoteUnknown(io::UnknownStatement statement) {
  log::Warn(log::event::kOutcomeUnknown,
            {{"tenant", statement.tenant},
             {"shard", statement.shard},
             {"backend", statement.backend},
             {"connection", statement.thread_id},
             {"session", statement.session_id}},
            absl::StrCat("outcome unknown: tenant ", statement.tenant, ", shard ", statement.shard,
                         ", backend ", statement.backend, ", its connection ", statement.thread_id,
                         ", session ", statement.session_id));
  // Readers hold the incidents' mutex while they copy: no worker waits for it.
  loop_.Post([this, shard = statement.shard] { incidents_.OnUnknown(shard); });
  std::lock_guard lock(unknown_mutex_);
  ++unknown_total_;
  unknown_.push_back(std::move(statement));
  if (unknown_.size() <= kMaxUnknown) return;
  unknown_.pop_front();
  ++unknown_dropped_;
}

ControlLoop::UnknownList ControlLoop::Unknown() const {
  std::lock_guard lock(unknown_mutex_);
  return {{unknown_.begin(), unknown_.end()}, unknown_dropped_};
}

}  // namespace bulkhead::control
