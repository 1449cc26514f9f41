// What the control thread knows of backends and gates, as plain values for the registry.
//
// Purpose: one consistent picture, made by the control thread and replaced whole: within it
//   enqueued = released + refused + cancelled + held, for each shard and kind.
// Threads: immutable once published. Units: seconds, bytes.
#ifndef BULKHEAD_METRICS_HEALTH_VIEW_H_
#define BULKHEAD_METRICS_HEALTH_VIEW_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::metrics {

inline constexpr std::array<std::string_view, 9> kBackendStateNames = {
    "unknown", "up",        "suspect",       "down",     "recovering",
    "fenced",  "read_only", "write_stalled", "saturated"};
inline constexpr std::array<std::string_view, 4> kProbeKindNames = {"login", "ping", "read",
                                                                    "commit"};
inline constexpr std::array<std::string_view, 2> kGateKindNames = {"read", "write"};
inline constexpr std::array<std::string_view, 4> kRefusalCodeNames = {"9401", "9402", "9403",
                                                                      "9404"};

struct BackendView {
  std::string name{};
  size_t state = 0;  // of kBackendStateNames
  double since_seconds = 0;
  double silent_seconds = 0;  // since the last proof of life; 0: none yet
  std::array<uint64_t, kBackendStateNames.size()> entered{};  // changes to each state
  std::array<uint64_t, kProbeKindNames.size()> probes_ok{};
  std::array<uint64_t, kProbeKindNames.size()> probes_failed{};
  uint64_t given_up = 0;   // connections that were reset under a statement
  uint64_t abandoned = 0;  // of them, not seen gone yet
  std::string reason{};    // in words
};

struct GateKindView {
  uint64_t enqueued = 0;
  uint64_t released = 0;
  std::array<uint64_t, kRefusalCodeNames.size()> refused{};
  uint64_t cancelled = 0;
  uint64_t held = 0;
};

struct ShardView {
  std::string name{};
  bool serving = false;
  std::string text{};  // empty: plainly serving
  uint64_t held_bytes = 0;
  double ramp = 0;  // statements that may run at once; 0: no ramp
  std::array<GateKindView, kGateKindNames.size()> kinds{};
};

struct HealthView {
  std::vector<BackendView> backends;
  std::vector<ShardView> shards;
  uint64_t unknown_outcomes = 0;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_HEALTH_VIEW_H_
