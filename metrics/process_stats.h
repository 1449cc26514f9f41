// What the operating system knows of this process, for the process_* metrics.
//
// Thread: any; reads /proc and getrusage, so never on a worker.
// Errors: a value that can't be read is absent.
// Source: proc(5), getrusage(2), getrlimit(2).
#ifndef BULKHEAD_METRICS_PROCESS_STATS_H_
#define BULKHEAD_METRICS_PROCESS_STATS_H_

#include <optional>

namespace bulkhead::metrics {

struct ProcessStats {
  std::optional<double> resident_bytes;
  std::optional<double> virtual_bytes;
  std::optional<double> open_fds;
  std::optional<double> max_fds;
  std::optional<double> cpu_seconds;
};

[[nodiscard]] ProcessStats ReadProcessStats();

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_PROCESS_STATS_H_
