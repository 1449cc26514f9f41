// `bulkhead health`: /healthz or /readyz of a running router as an exit code.
//
// Purpose: the health check of a container or a cluster, where no HTTP client is installed.
// Exit codes: 0 it is well, 1 it is not (or not ready), or does not answer: one word for all, since
// health checks of containers know no other.
#ifndef BULKHEAD_PROXY_HEALTH_COMMAND_H_
#define BULKHEAD_PROXY_HEALTH_COMMAND_H_

#include <iosfwd>

#include "proxy/http_target_options.h"

namespace CLI {
class App;
}

namespace bulkhead {

class HealthCommand {
 public:
  // Adds the subcommand.
  explicit HealthCommand(CLI::App* app);
  [[nodiscard]] bool parsed() const;
  [[nodiscard]] int Run(std::ostream& out, std::ostream& errors) const;

 private:
  CLI::App* command_;
  HttpTargetOptions target_;
  bool ready_ = false;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_HEALTH_COMMAND_H_
