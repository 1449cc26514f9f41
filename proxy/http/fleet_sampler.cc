#include "proxy/http/fleet_sampler.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "proxy/http/json.h"

namespace bulkhead::http {

namespace {

constexpr std::array kFailures = {
    metrics::StatementOutcome::kRefused, metrics::StatementOutcome::kUnknown,
    metrics::StatementOutcome::kRolledBack, metrics::StatementOutcome::kStateLost};

constexpr size_t kShownIncidents = 20;

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Counters of several threads, read one after the other: never less than nothing.
double Risen(uint64_t before, uint64_t now) {
  return now > before ? static_cast<double>(now - before) : 0;
}

uint64_t FailuresOf(const metrics::ShardTotals& totals) {
  uint64_t failed = 0;
  for (const metrics::StatementOutcome outcome : kFailures)
    failed += totals.outcomes[static_cast<size_t>(outcome)];
  return failed;
}

uint64_t AllOf(const metrics::ShardTotals& totals) {
  uint64_t all = 0;
  for (const uint64_t count : totals.outcomes) all += count;
  return all;
}

ShardRates RatesOf(const metrics::ShardTotals& before, const metrics::ShardTotals& now,
                   double seconds) {
  const Buckets since = Since(before.buckets, now.buckets);
  ShardRates rates;
  rates.per_second = Risen(AllOf(before), AllOf(now)) / seconds;
  rates.failed = Risen(FailuresOf(before), FailuresOf(now)) / seconds;
  rates.p50_ms = QuantileMs(since, 0.5);
  rates.p99_ms = QuantileMs(since, 0.99);
  return rates;
}

}  // namespace

FleetSampler::FleetSampler(const FleetSource* source, std::function<void()> changed)
    : source_(source), changed_(std::move(changed)) {
  Look(WallMs(), SteadyMs());  // whoever asks first finds a picture
}

FleetSampler::~FleetSampler() { Stop(); }

void FleetSampler::Start() {
  thread_ = std::thread([this] { Run(); });
}

void FleetSampler::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void FleetSampler::Run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return stopping_; })) {
    lock.unlock();
    Look(WallMs(), SteadyMs());
    lock.lock();
  }
}

// A number that differs if some state does.
uint64_t FleetSampler::StatesOf(const metrics::HealthView* health) {
  if (health == nullptr) return 0;
  uint64_t states = 1;
  for (const metrics::ShardView& shard : health->shards)
    states = absl::HashOf(states, shard.name, static_cast<int>(shard.state));
  for (const metrics::BackendView& backend : health->backends)
    states = absl::HashOf(states, backend.name, backend.state);
  return states;
}

void FleetSampler::Look(int64_t now_ms, int64_t steady_ms) {
  const FleetSource::TopologyPtr topology = source_->Topology();
  const std::shared_ptr<const metrics::HealthView> health = source_->Health();
  const uint64_t states = StatesOf(health.get());
  const bool sample_due = looks_++ % kLooksPerSample == 0;
  if (!sample_due && states == states_) return;
  states_ = states;
  if (sample_due) {
    size_t size = 0;
    for (const routing::Shard* shard : topology->shards())
      size = std::max<size_t>(size, shard->id.index + 1u);
    totals_.resize(size);
    rates_.assign(size, {});
    source_->ReadShards(&totals_);
    Count(*topology, totals_, health.get(), steady_ms);
    EndStep(now_ms, steady_ms);
  }
  TakePicture(topology, health, now_ms);
  if (changed_) changed_();
}

void FleetSampler::Count(const routing::Topology& topology,
                         const std::vector<metrics::ShardTotals>& totals,
                         const metrics::HealthView* health, int64_t steady_ms) {
  const double seconds = std::max(
      static_cast<double>(steady_ms - std::exchange(counted_ms_, steady_ms)) / 1000, 0.001);
  const std::lock_guard lock(mutex_);
  absl::erase_if(shards_,
                 [&](const auto& entry) { return topology.FindShard(entry.first) == nullptr; });
  for (const routing::Shard* shard : topology.shards()) {
    Followed& followed = shards_[shard->name];
    const metrics::ShardTotals& now = totals[shard->id.index];
    if (followed.id != shard->id) {  // also another one of the same name
      followed = {};
      followed.id = shard->id;
      followed.before = followed.step_before = now;
    }
    rates_[shard->id.index] = RatesOf(followed.before, now, seconds);
    followed.before = now;
  }
  if (health != nullptr) {
    for (const metrics::ShardView& shard : health->shards) {
      const auto it = shards_.find(shard.name);
      if (it == shards_.end()) continue;
      const uint64_t held = shard.kinds[0].held + shard.kinds[1].held;
      it->second.most_held = std::max(it->second.most_held, static_cast<uint32_t>(held));
    }
  }
}

// If it is over. After a pause of the process (a long step) the rates are the pause's mean.
void FleetSampler::EndStep(int64_t now_ms, int64_t steady_ms) {
  if (step_ms_ == 0) step_ms_ = steady_ms;
  if (steady_ms - step_ms_ < ShardHistory::kStepSeconds * 1000 - 100) return;
  const double seconds =
      std::max(static_cast<double>(steady_ms - std::exchange(step_ms_, steady_ms)) / 1000, 0.001);
  const std::lock_guard lock(mutex_);
  for (auto& [name, followed] : shards_) {
    const ShardRates rates = RatesOf(followed.step_before, followed.before, seconds);
    followed.history.Add({.per_second = static_cast<float>(rates.per_second),
                          .failed = static_cast<float>(rates.failed),
                          .p99_ms = static_cast<float>(rates.p99_ms),
                          .held = std::exchange(followed.most_held, 0)});
    followed.step_before = followed.before;
  }
  history_end_ms_ = now_ms;
}

void FleetSampler::TakePicture(const FleetSource::TopologyPtr& topology,
                               const std::shared_ptr<const metrics::HealthView>& health,
                               int64_t now_ms) {
  PictureParts parts;
  parts.router = source_->Router();
  parts.topology = topology;
  parts.health = health;
  parts.totals = totals_;
  parts.rates = rates_;
  parts.tenants = source_->TenantCounts(topology);
  parts.connections = source_->BackendConnections(*topology);
  parts.incidents = source_->Incidents(kShownIncidents);
  parts.sessions = source_->Sessions();
  parts.now_ms = now_ms;
  const std::vector<control::Event> events = source_->EventsAfter(last_event_);
  if (!events.empty()) last_event_ = events.back().id;
  parts.last_event = last_event_;
  auto picture = std::make_shared<FleetPicture>(MakePicture(parts));
  picture->number = ++number_;
  const std::lock_guard lock(mutex_);
  picture_ = std::move(picture);
}

std::shared_ptr<const FleetPicture> FleetSampler::Picture() const {
  const std::lock_guard lock(mutex_);
  return picture_;
}

std::string FleetSampler::HistoryJson(const std::vector<std::string>& shards) const {
  const std::lock_guard lock(mutex_);
  Json json;
  json["step_seconds"] = ShardHistory::kStepSeconds;
  json["end_ms"] = history_end_ms_;
  Json all = Json::object();
  for (const std::string& name : shards) {
    const auto it = shards_.find(name);
    if (it == shards_.end()) continue;
    Json per_second = Json::array(), failed = Json::array(), p99 = Json::array(),
         held = Json::array();
    for (size_t i = 0; i < it->second.history.size(); ++i) {
      const ShardSample& sample = it->second.history.At(i);
      per_second.push_back(Rounded(sample.per_second));
      failed.push_back(Rounded(sample.failed));
      p99.push_back(Rounded(sample.p99_ms));
      held.push_back(sample.held);
    }
    all[name] = {{"per_second", std::move(per_second)},
                 {"failed_per_second", std::move(failed)},
                 {"p99_ms", std::move(p99)},
                 {"held", std::move(held)}};
  }
  json["shards"] = std::move(all);
  return Dump(json);
}

}  // namespace bulkhead::http
