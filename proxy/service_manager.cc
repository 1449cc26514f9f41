#include "proxy/service_manager.h"

#include <systemd/sd-daemon.h>

#include <ctime>

#include "absl/strings/str_cat.h"

namespace bulkhead::service_manager {

namespace {

void Tell(const std::string& text) { (void)sd_notify(/*unset_environment=*/0, text.c_str()); }

}  // namespace

void Ready(const std::string& status) { Tell(absl::StrCat("READY=1\nSTATUS=", status)); }

void Reloading() {
  // Type=notify-reload wants the time, to tell this reload from an earlier one.
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t usec = int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
  Tell(absl::StrCat("RELOADING=1\nMONOTONIC_USEC=", usec, "\nSTATUS=reads its configuration"));
}

void Stopping(const std::string& status) { Tell(absl::StrCat("STOPPING=1\nSTATUS=", status)); }

void Status(const std::string& status) { Tell(absl::StrCat("STATUS=", status)); }

void MainPid(pid_t pid) { Tell(absl::StrCat("MAINPID=", pid)); }

void Alive() { Tell("WATCHDOG=1"); }

std::chrono::microseconds WatchdogTimeout() {
  uint64_t usec = 0;
  if (sd_watchdog_enabled(/*unset_environment=*/0, &usec) <= 0) return std::chrono::microseconds(0);
  return std::chrono::microseconds(usec);
}

}  // namespace bulkhead::service_manager
