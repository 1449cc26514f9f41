// What the process knows of itself beside its threads' counters, as plain values for the registry.
//
// Purpose: made by the server's wiring at each scrape, from the log, the HTTP server, certificates,
// topology and tenants' limits. Thread: values. Units: seconds since the epoch.
#ifndef BULKHEAD_METRICS_PROCESS_VIEW_H_
#define BULKHEAD_METRICS_PROCESS_VIEW_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::metrics {

struct LimitedTenant {
  std::string name;
  uint32_t sessions = 0;
  uint32_t running = 0;
  uint64_t refused = 0;
};

struct ProcessView {
  bool ready = true;
  std::vector<std::pair<std::string, int64_t>> certificates{};  // role, end
  std::array<uint64_t, 4> log_lines{};                          // debug, info, warn, error
  uint64_t log_held_back = 0;
  uint64_t log_dropped = 0;
  std::array<uint64_t, 6> http_answers{};  // by the first digit of the status
  uint64_t http_streams = 0;
  std::vector<LimitedTenant> limited{};
  std::vector<std::pair<std::string, uint64_t>> operations{};  // kind, under way
  uint64_t predecessor_sessions = 0;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_PROCESS_VIEW_H_
