// What the control thread knows of backends and gates, as plain values for the registry.
//
// Purpose: one consistent picture, made by the control thread and replaced whole: within it
//   enqueued = released + refused + cancelled + held, for each shard and kind.
// Threads: immutable once published. Units: seconds, milliseconds since 1970, bytes.
#ifndef BULKHEAD_METRICS_HEALTH_VIEW_H_
#define BULKHEAD_METRICS_HEALTH_VIEW_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::metrics {

inline constexpr std::array<std::string_view, 9> kBackendStateNames = {
    "unknown", "up",        "suspect",       "down",     "recovering",
    "fenced",  "read_only", "write_stalled", "saturated"};
// Bits of routing::HealthSignal, in their order.
inline constexpr std::array<std::string_view, 8> kSignalNames = {
    "silence", "ping", "connect", "reset", "replicas", "reads", "commits", "blocked"};
inline constexpr std::array<std::string_view, 4> kProbeKindNames = {"login", "ping", "read",
                                                                    "commit"};
inline constexpr std::array<std::string_view, 2> kGateKindNames = {"read", "write"};
inline constexpr std::array<std::string_view, 4> kRefusalCodeNames = {"9401", "9402", "9403",
                                                                      "9404"};

struct BackendView {
  std::string name{};
  size_t state = 0;  // of kBackendStateNames
  double since_seconds = 0;
  int64_t since_ms = 0;       // the same as a time, since 1970: it stays while the state does
  double silent_seconds = 0;  // since the last proof of life; 0: none yet
  int64_t heard_ms = 0;       // when that was, to a tenth of a second
  std::array<uint64_t, kBackendStateNames.size()> entered{};  // changes to each state
  std::array<uint64_t, kProbeKindNames.size()> probes_ok{};
  std::array<uint64_t, kProbeKindNames.size()> probes_failed{};
  uint64_t given_up = 0;   // connections that were reset under a statement
  uint64_t abandoned = 0;  // of them, not seen gone yet
  std::string reason{};    // in words; empty: it is up
  // The last pieces of evidence, oldest first, with how many seconds ago; only if it is not up.
  std::vector<std::pair<double, std::string>> evidence{};
  bool is_primary = false;                              // of some shard
  bool canary = false;                                  // commits are probed
  std::array<uint64_t, kSignalNames.size()> signals{};  // that suspicions and verdicts rested on
  uint64_t false_suspects = 0;
};

struct GateKindView {
  uint64_t enqueued = 0;
  uint64_t released = 0;
  std::array<uint64_t, kRefusalCodeNames.size()> refused{};
  uint64_t cancelled = 0;
  uint64_t held = 0;
};

// What the shard does with new work, as one word for people.
inline constexpr std::array<std::string_view, 6> kShardStateNames = {
    "serving", "held", "rejected", "reads_only", "releasing", "shedding"};
enum class ShardState : uint8_t {
  kServing,
  kHeld,
  kRejected,
  kReadsOnly,  // writes are held or rejected
  kReleasing,  // through the ramp, after an outage
  kShedding,   // what is connected is served, the rest is rejected
};

struct ShardView {
  std::string name{};
  bool serving = false;
  ShardState state = ShardState::kServing;
  std::string text{};         // empty: plainly serving
  double since_seconds = 0;   // in this state
  int64_t since_ms = 0;       // the same as a time, since 1970
  double outage_seconds = 0;  // since its primary fell silent; 0: no outage
  uint64_t limit_statements = 0;
  uint64_t limit_bytes = 0;
  // Of failover, by who knows it; absent: not looked at.
  std::optional<bool> failover_ready{};
  std::string failover_words{};  // why not, or what would be lost
  std::optional<bool> fence_configured{};
  uint64_t held_bytes = 0;
  double ramp = 0;  // statements that may run at once; 0: no ramp
  std::array<GateKindView, kGateKindNames.size()> kinds{};
};

// The topology store, as seen by its commits.
struct StoreView {
  bool writable = true;
  uint64_t commits_ok = 0;
  uint64_t commits_failed = 0;
  std::string error{};  // of the last commit
};

struct HealthView {
  std::vector<BackendView> backends;
  std::vector<ShardView> shards;
  uint64_t unknown_outcomes = 0;
  uint64_t changes_stuck = 0;        // of a shard's primary, that need a person
  std::optional<StoreView> store{};  // absent: there is none
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_HEALTH_VIEW_H_
