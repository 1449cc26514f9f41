// The process: workers, HTTP pages and signals, wired together, started and stopped in order.
//
// Purpose: everything that is made once. Start order: TLS contexts and users, sockets (so that an
// error leaves nothing
//   behind), workers, admin, HTTP. Stop order: listeners, sessions, pools, threads, control, admin,
//   HTTP.
// Thread: Run on the main thread, which waits for signals and replaces the configuration.
// Errors: Start says in words what can't be had (a port in use, an unreadable certificate).
#ifndef BULKHEAD_PROXY_SERVER_H_
#define BULKHEAD_PROXY_SERVER_H_

#include <memory>
#include <string>

#include "proxy/config/options.h"
#include "proxy/handover.h"

namespace bulkhead {

class Server {
 public:
  // `file`: what RELOAD CONFIG reads again.
  // `inheritance`: of the process that this one takes over from; may be null.
  Server(std::shared_ptr<const config::Options> options, std::string file, std::string version,
         std::unique_ptr<Inheritance> inheritance);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // "" or what is wrong.
  [[nodiscard]] std::string Start();
  // After an error of Start: tells the process that this one was to take over from.
  void Failed(const std::string& why);
  // Until SIGTERM or SIGINT (drain; a second one ends at once, without waiting for a disk or an
  // operation for more than a few seconds, a third one for nothing). SIGHUP reloads the
  // configuration. SIGUSR2 starts the program anew, which takes over: this process then drains.
  // Returns the exit code.
  [[nodiscard]] int Run();

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_SERVER_H_
