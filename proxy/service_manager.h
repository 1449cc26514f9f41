// What the service manager is told: ready, reloading, stopping, alive, who the main process is.
//
// Purpose: systemd's notification protocol (Type=notify, WatchdogSec=). Every call does nothing
// where no manager asked to be told (NOTIFY_SOCKET is not set), and never fails: a manager that
// does not listen is no reason not to serve.
// Threads: any; each call is one datagram, which does not wait.
// Source: sd_notify(3), sd_watchdog_enabled(3), systemd.service(5) NotifyAccess=.
#ifndef BULKHEAD_PROXY_SERVICE_MANAGER_H_
#define BULKHEAD_PROXY_SERVICE_MANAGER_H_

#include <sys/types.h>

#include <chrono>
#include <string>

namespace bulkhead::service_manager {

// Serving (again, after Reloading). `status`: one line, shown by `systemctl status`.
void Ready(const std::string& status);
void Reloading();
void Stopping(const std::string& status);
void Status(const std::string& status);
// From now on another process is the service's main one. Sent by the one that was it.
void MainPid(pid_t pid);
// The watchdog's sign of life.
void Alive();
// How soon Alive must come again; 0: nobody asked for it.
[[nodiscard]] std::chrono::microseconds WatchdogTimeout();

}  // namespace bulkhead::service_manager

#endif  // BULKHEAD_PROXY_SERVICE_MANAGER_H_
