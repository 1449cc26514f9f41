// The HTTP side of the process: pages, the sampler behind them, and the server.
//
// Purpose: wires proxy/http to the control loop, the registry and the configuration.
// Thread: made, changed and destroyed by the server's; all it reads is published or counted.
// Errors: Start says in words what can't be had.
#ifndef BULKHEAD_PROXY_HTTP_SETUP_H_
#define BULKHEAD_PROXY_HTTP_SETUP_H_

#include <functional>
#include <memory>
#include <string>

#include "metrics/registry.h"
#include "proxy/config/options.h"
#include "proxy/control/control_loop.h"
#include "proxy/http/http_server.h"
#include "proxy/process_facts.h"
#include "routing/tenant_limits.h"

namespace bulkhead {

class HttpSide {
 public:
  struct Setup {
    std::shared_ptr<const config::Options> options;  // with an HTTP listener
    const control::ControlLoop* control = nullptr;   // these four outlive this
    const metrics::Registry* registry = nullptr;
    const routing::TenantLimits* limits = nullptr;
    DirectoryCount* directory_count = nullptr;
    std::string router_id;
    std::string version;
    std::function<std::string()> not_ready;  // why not; any thread
    int listen_fd = -1;                      // a socket that listens already; Start's
  };

  explicit HttpSide(Setup setup);
  ~HttpSide();

  // "" or what is wrong.
  [[nodiscard]] std::string Start();
  // Another configuration: its admin users at once, and its certificate. If that can't be had, the
  // old one stays, and the log says so. The main thread's.
  void Replace(const std::shared_ptr<const config::Options>& options);
  [[nodiscard]] http::HttpServer::Counts counts() const;
  // Pages are another process's from now on; what is under way ends. The main
  // thread's.
  void StopListening();
  // See http::HttpServer::CopySocket.
  [[nodiscard]] int CopySocket() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_HTTP_SETUP_H_
