// The fleet as rows for people: shards, backends, what is held, what is unknown, operations,
// events.
//
// Purpose: what the admin statements and the status page show alike; made by the control thread
// (control_rows.cc) and by FleetCollector.
// Threads: values. Units: seconds, bytes; times of day in UTC, "2026-11-29 06:49:12".
#ifndef BULKHEAD_PROXY_CONTROL_FLEET_ROWS_H_
#define BULKHEAD_PROXY_CONTROL_FLEET_ROWS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bulkhead::control {

struct ShardRow {
  std::string name{}, state{}, primary{}, replicas{}, why{}, policy{}, failover{};
  std::string reads_from{};        // a replica that plain reads may go to now
  bool ordered = false;            // by an operator: its state has nothing to do with its backend's
  bool policy_applies = false;     // the hold policy decides, the shard's or a tenant's own
  bool outage_over_limit = false;  // outage_limit has passed: refused, whatever the policy
  int64_t epoch = 0, slots = 0;
  int64_t held = 0, held_reads = 0, held_writes = 0, held_bytes = 0;
  std::optional<double> max_wait{}, outage_limit{};
  std::optional<int64_t> max_statements{}, max_bytes{};
};
struct BackendRow {
  std::string name{}, address{}, state{}, primary_of{}, replica_of{}, order{}, why{}, family{},
      tls{};
  double since = 0;
  std::optional<double> silent{};
  int64_t held = 0, given_up = 0, abandoned = 0, probes_ok = 0, probes_failed = 0;
  std::optional<int64_t> max_connections{};
};
struct ReplicaRow {
  std::string shard{}, backend{}, primary{}, state{}, primary_state{}, why{};
};
// Of a shard's gate, or of the gate of a tenant that an operator holds.
struct HoldRow {
  std::string shard{}, tenant{}, kind{}, state{}, why{};
  int64_t held = 0, enqueued = 0, released = 0, refused = 0, cancelled = 0;
};
struct UnknownRow {
  std::string time{}, tenant{}, shard{}, backend{}, digest{};
  int64_t connection = 0, session = 0;
};
struct OperationRow {
  int64_t id = 0;
  std::string kind{}, object{}, state{}, step{}, detail{}, user{}, begun{}, ended{};
};
struct EventRow {
  int64_t id = 0;
  std::string time{}, kind{}, object{}, text{};
};

// What is asked for; the rest is not collected.
struct FleetQuestion {
  bool shards = false, backends = false, replicas = false, holds = false;
  bool unknown = false, operations = false, events = false;
  bool sessions = false, pools = false;

  [[nodiscard]] bool asks_control() const { return shards || backends || replicas || holds; }
  [[nodiscard]] bool asks_workers() const { return sessions || pools; }
};

// What only the control thread knows.
struct ControlRows {
  std::vector<ShardRow> shards{};
  std::vector<BackendRow> backends{};
  std::vector<ReplicaRow> replicas{};
  std::vector<HoldRow> holds{};
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_FLEET_ROWS_H_
