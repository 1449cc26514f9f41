#include "metrics/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace bulkhead::metrics {
namespace {

void ReadMemory(ProcessStats* out) {
  FILE* file = fopen("/proc/self/statm", "re");
  if (file == nullptr) return;
  unsigned long size = 0, resident = 0;
  const int fields = fscanf(file, "%lu %lu", &size, &resident);
  fclose(file);
  if (fields != 2) return;
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  out->virtual_bytes = static_cast<double>(size) * page;
  out->resident_bytes = static_cast<double>(resident) * page;
}

std::optional<double> OpenFds() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return std::nullopt;
  int count = 0;
  while (const dirent* entry = readdir(dir)) count += entry->d_name[0] != '.';
  closedir(dir);
  return count - 1;  // without the one that lists them
}

std::optional<double> MaxFds() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  return static_cast<double>(limit.rlim_cur);
}

std::optional<double> CpuSeconds() {
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) != 0) return std::nullopt;
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  ReadMemory(&stats);
  stats.open_fds = OpenFds();
  stats.max_fds = MaxFds();
  stats.cpu_seconds = CpuSeconds();
  return stats;
}

}  // namespace bulkhead::metrics
