// Incidents: from the last byte that a backend was heard of to the moment when all is well again.
//
// Purpose: what a post-mortem needs, written down while it happens: the moments apart ("last byte",
// suspected, held, verdict, given up, answered again, released, over), the evidence in words, and
// what it cost (held, refused, unknown). One incident belongs to one backend and the shards whose
// primary it was when it began; it begins when the backend leaves `up` for the worse and ends when
// it is up again (or gone from the topology, or primary of nothing any more) and those shards are
// served plainly.
// Threads: the control thread writes, any reads; a mutex, never taken on the data path.
// Units: wall-clock milliseconds since 1970, given by the caller; 0: has not happened.
// Limits: kMost incidents, the oldest go; kMostMoments moments each, further ones are counted.
#ifndef BULKHEAD_PROXY_CONTROL_INCIDENT_LOG_H_
#define BULKHEAD_PROXY_CONTROL_INCIDENT_LOG_H_

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "routing/health_types.h"

namespace bulkhead::control {

struct IncidentMoment {
  int64_t at_ms = 0;
  // "last_byte", "suspect", "down", ... (the backend's states), "held", "rejected", "releasing",
  // ... (metrics::kShardStateNames), "given_up", "moved", "over"
  std::string what;
  std::string object;  // the backend, or the shard
  std::string words;
};

// What the gates of its shards did meanwhile, reads and writes together.
struct IncidentNumbers {
  uint64_t most_held = 0;  // at once
  uint64_t asked = 0;      // statements that came to the gates
  uint64_t released = 0;
  uint64_t refused = 0;
  uint64_t cancelled = 0;  // their clients left
  uint64_t unknown = 0;    // outcomes (9410)
  uint64_t reset = 0;      // connections that were reset under a statement
};

// All but the moments.
struct IncidentFacts {
  uint64_t id = 0;  // from 1
  std::string backend;
  std::vector<std::string> shards;
  std::string worst;  // the worst state so far
  int64_t last_byte_ms = 0;
  int64_t began_ms = 0;    // when it was first suspected: detected
  int64_t held_ms = 0;     // new work was held or refused
  int64_t verdict_ms = 0;  // down
  int64_t given_up_ms = 0;
  int64_t answered_ms = 0;  // recovering
  int64_t released_ms = 0;  // what was held is let go
  int64_t over_ms = 0;
  IncidentNumbers numbers;
  size_t moments = 0;  // of its timeline; told by NewestFacts only
};

struct Incident : IncidentFacts {
  std::vector<IncidentMoment> timeline;  // by time
  uint64_t left_out = 0;                 // moments beyond the limit
};

class IncidentLog {
 public:
  static constexpr size_t kMost = 200;
  static constexpr size_t kMostMoments = 200;

  struct StateChange {
    std::string backend;
    routing::BackendState from{};
    routing::BackendState to{};
    int64_t last_byte_ms = 0;
    std::string words;
    std::vector<std::string> shards;  // whose primary it is now
  };
  void OnBackend(const StateChange& change, int64_t now_ms);
  // A shard's state (metrics::kShardStateNames) has changed.
  void OnShard(const std::string& shard, const std::string& state, const std::string& words,
               int64_t now_ms);
  void OnGivenUp(const std::string& backend, uint64_t connections, int64_t now_ms);
  // Of one shard, counted since the process began.
  struct Gate {
    uint64_t held = 0, asked = 0, released = 0, refused = 0, cancelled = 0;
  };
  void OnGate(const std::string& shard, const Gate& gate);
  void OnUnknown(const std::string& shard);
  // The topology may have changed: a backend that is gone, or primary of nothing, has no incident
  // any more once its shards are served. `primary_of_any` by backend.
  void OnTopology(const std::map<std::string, bool>& primary_of_any, int64_t now_ms);

  [[nodiscard]] bool any_open() const;
  // The id of the backend's incident that is not over; 0: it has none.
  [[nodiscard]] uint64_t OpenOn(const std::string& backend) const;
  // The newest first.
  [[nodiscard]] std::vector<Incident> Newest(size_t most) const;
  // The same, for who asks often: a timeline is long to copy.
  [[nodiscard]] std::vector<IncidentFacts> NewestFacts(size_t most) const;
  [[nodiscard]] std::optional<Incident> Find(uint64_t id) const;
  // From a store, before anything is added. What was open then is over: `now_ms`.
  void Restore(std::vector<Incident> incidents, int64_t now_ms);
  // Those that changed since this was called last.
  [[nodiscard]] std::vector<Incident> TakeChanged();

 private:
  struct Open {
    bool backend_up = false;
    std::set<std::string> troubled;      // of its shards, those that are not served plainly
    std::map<std::string, Gate> before;  // of its shards, when it began
    std::map<std::string, Gate> after;   // as last told
  };
  Incident* OpenOf(const std::string& backend);
  Incident* Get(uint64_t id);
  [[nodiscard]] std::vector<uint64_t> OpenIds() const;
  Incident* Begin(const StateChange& change, int64_t now_ms);
  void Add(Incident* incident, IncidentMoment moment);
  void EndIfOver(Incident* incident, int64_t now_ms);
  void Count(Incident* incident);

  mutable std::mutex mutex_;
  std::deque<Incident> incidents_;
  std::map<uint64_t, Open> open_;              // by id
  std::map<std::string, Gate> gates_;          // by shard, as last told
  std::map<std::string, std::string> states_;  // by shard
  std::set<uint64_t> changed_;
  uint64_t last_id_ = 0;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_INCIDENT_LOG_H_
