#include "proxy/control/incident_log.h"

#include <algorithm>
#include <utility>

namespace bulkhead::control {

namespace {

using routing::BackendState;

bool IsWell(BackendState state) {
  return state == BackendState::kUp || state == BackendState::kUnknown;
}

// How bad a state is, to remember the worst.
int Weight(std::string_view state) {
  constexpr std::string_view kByWeight[] = {"unknown",       "up",        "recovering",
                                            "suspect",       "saturated", "read_only",
                                            "write_stalled", "down",      "fenced"};
  const auto* found = std::find(std::begin(kByWeight), std::end(kByWeight), state);
  return static_cast<int>(found - std::begin(kByWeight));
}

void Once(int64_t* moment, int64_t now_ms) {
  if (*moment == 0) *moment = now_ms;
}

}  // namespace

Incident* IncidentLog::Get(uint64_t id) {
  auto it = std::find_if(incidents_.begin(), incidents_.end(),
                         [id](const Incident& incident) { return incident.id == id; });
  return it == incidents_.end() ? nullptr : &*it;
}

std::vector<uint64_t> IncidentLog::OpenIds() const {
  std::vector<uint64_t> ids;
  for (const auto& [id, open] : open_) ids.push_back(id);
  return ids;
}

Incident* IncidentLog::OpenOf(const std::string& backend) {
  for (const auto& [id, open] : open_) {
    Incident* incident = Get(id);
    if (incident != nullptr && incident->backend == backend) return incident;
  }
  return nullptr;
}

void IncidentLog::Add(Incident* incident, IncidentMoment moment) {
  changed_.insert(incident->id);
  if (incident->timeline.size() >= kMostMoments) {
    ++incident->left_out;
    return;
  }
  incident->timeline.push_back(std::move(moment));
}

Incident* IncidentLog::Begin(const StateChange& change, int64_t now_ms) {
  Incident incident;
  incident.id = ++last_id_;
  incident.backend = change.backend;
  incident.shards = change.shards;
  incident.last_byte_ms = change.last_byte_ms;
  incident.began_ms = now_ms;
  incidents_.push_back(std::move(incident));
  if (incidents_.size() > kMost) {
    open_.erase(incidents_.front().id);
    changed_.erase(incidents_.front().id);
    incidents_.pop_front();
  }
  Incident* begun = &incidents_.back();
  Open& open = open_[begun->id];
  for (const std::string& shard : begun->shards) {
    open.before[shard] = open.after[shard] = gates_[shard];
    if (const std::string& state = states_[shard]; !state.empty() && state != "serving")
      open.troubled.insert(shard);
  }
  if (change.last_byte_ms != 0)
    Add(begun, {change.last_byte_ms, "last_byte", change.backend, "the last sign of life"});
  return begun;
}

void IncidentLog::OnBackend(const StateChange& change, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  Incident* incident = OpenOf(change.backend);
  if (incident == nullptr) {
    // An old primary that comes back has nothing to do with shards that others serve by now.
    if (IsWell(change.to) || (!IsWell(change.from) && change.shards.empty())) return;
    incident = Begin(change, now_ms);
  }
  const std::string to(routing::ToString(change.to));
  if (incident->worst.empty() || Weight(to) > Weight(incident->worst)) incident->worst = to;
  if (change.to == BackendState::kDown) Once(&incident->verdict_ms, now_ms);
  if (change.to == BackendState::kRecovering) Once(&incident->answered_ms, now_ms);
  Add(incident, {now_ms, to, change.backend, change.words});
  open_[incident->id].backend_up = change.to == BackendState::kUp;
  EndIfOver(incident, now_ms);
}

void IncidentLog::OnShard(const std::string& shard, const std::string& state,
                          const std::string& words, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  states_[shard] = state;
  for (const uint64_t id : OpenIds()) {
    Incident* incident = Get(id);
    const auto& shards = incident->shards;
    if (std::find(shards.begin(), shards.end(), shard) == shards.end()) continue;
    Open& open = open_[id];
    if (state == "serving") {
      open.troubled.erase(shard);
      if (incident->held_ms != 0) Once(&incident->released_ms, now_ms);
    } else {
      open.troubled.insert(shard);
      if (state == "releasing") {
        Once(&incident->released_ms, now_ms);
      } else {
        Once(&incident->held_ms, now_ms);
        incident->released_ms = 0;  // held again
      }
    }
    Add(incident, {now_ms, state, shard, words});
    EndIfOver(incident, now_ms);
  }
}

void IncidentLog::OnGivenUp(const std::string& backend, uint64_t connections, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  Incident* incident = OpenOf(backend);
  if (incident == nullptr || connections == 0) return;
  incident->numbers.reset += connections;
  Once(&incident->given_up_ms, now_ms);
  Add(incident, {now_ms, "given_up", backend,
                 std::to_string(connections) + " connections were reset under a statement"});
}

void IncidentLog::OnGate(const std::string& shard, const Gate& gate) {
  const std::lock_guard lock(mutex_);
  gates_[shard] = gate;
  for (auto& [id, open] : open_) {
    auto it = open.after.find(shard);
    if (it == open.after.end()) continue;
    it->second = gate;
    Count(Get(id));
  }
}

void IncidentLog::Count(Incident* incident) {
  const Open& open = open_[incident->id];
  IncidentNumbers numbers;
  numbers.unknown = incident->numbers.unknown;
  numbers.reset = incident->numbers.reset;
  uint64_t held = 0;
  for (const auto& [shard, after] : open.after) {
    const Gate& before = open.before.at(shard);
    held += after.held;
    numbers.asked += after.asked - before.asked;
    numbers.released += after.released - before.released;
    numbers.refused += after.refused - before.refused;
    numbers.cancelled += after.cancelled - before.cancelled;
  }
  numbers.most_held = std::max(incident->numbers.most_held, held);
  incident->numbers = numbers;
}

void IncidentLog::OnUnknown(const std::string& shard) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, open] : open_) {
    if (open.after.contains(shard)) ++Get(id)->numbers.unknown;
  }
}

void IncidentLog::OnTopology(const std::map<std::string, bool>& primary_of_any, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  for (const uint64_t id : OpenIds()) {
    Incident* incident = Get(id);
    const auto it = primary_of_any.find(incident->backend);
    if (it != primary_of_any.end() && it->second) continue;
    const bool was_primary = !incident->shards.empty();
    if (it != primary_of_any.end() && !was_primary) continue;  // a replica: it ends when it is up
    if (open_[id].backend_up) continue;
    open_[id].backend_up = true;
    Add(incident, {now_ms, "moved", incident->backend,
                   it == primary_of_any.end() ? "it is gone from the topology"
                                              : "it is no shard's primary any more"});
    EndIfOver(incident, now_ms);
  }
}

void IncidentLog::EndIfOver(Incident* incident, int64_t now_ms) {
  const auto it = open_.find(incident->id);
  if (it == open_.end() || !it->second.backend_up || !it->second.troubled.empty()) return;
  Count(incident);
  incident->over_ms = now_ms;
  Add(incident, {now_ms, "over", incident->backend, "all of its shards are served plainly"});
  open_.erase(it);
}

bool IncidentLog::any_open() const {
  const std::lock_guard lock(mutex_);
  return !open_.empty();
}

uint64_t IncidentLog::OpenOn(const std::string& backend) const {
  const std::lock_guard lock(mutex_);
  for (const Incident& incident : incidents_) {
    if (incident.backend == backend && open_.contains(incident.id)) return incident.id;
  }
  return 0;
}

std::vector<Incident> IncidentLog::Newest(size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Incident> newest;
  for (auto it = incidents_.rbegin(); it != incidents_.rend() && newest.size() < most; ++it)
    newest.push_back(*it);
  return newest;
}

std::vector<IncidentFacts> IncidentLog::NewestFacts(size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<IncidentFacts> newest;
  for (auto it = incidents_.rbegin(); it != incidents_.rend() && newest.size() < most; ++it) {
    newest.push_back(*it);
    newest.back().moments = it->timeline.size();
  }
  return newest;
}

std::optional<Incident> IncidentLog::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  for (const Incident& incident : incidents_) {
    if (incident.id == id) return incident;
  }
  return std::nullopt;
}

void IncidentLog::Restore(std::vector<Incident> incidents, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  for (Incident& incident : incidents) {
    last_id_ = std::max(last_id_, incident.id);
    incidents_.push_back(std::move(incident));
    Incident* restored = &incidents_.back();
    if (restored->over_ms != 0) continue;
    restored->over_ms = now_ms;
    Add(restored, {now_ms, "over", restored->backend,
                   "the router was started anew; what came after is another incident"});
  }
  while (incidents_.size() > kMost) incidents_.pop_front();
}

std::vector<Incident> IncidentLog::TakeChanged() {
  const std::lock_guard lock(mutex_);
  std::vector<Incident> changed;
  for (const uint64_t id : std::exchange(changed_, {})) {
    if (const Incident* incident = Get(id); incident != nullptr) changed.push_back(*incident);
  }
  return changed;
}

}  // namespace bulkhead::control
