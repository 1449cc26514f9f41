// `bulkhead top`: the fleet in a terminal, from a running router's /api/v1/.
//
// Purpose: the same picture as the status page, where there is no browser. --once prints it once,
// for scripts. Exit codes: 0 all shards are served (or left with q), 1 some are not (--once), 2 the
// router does not answer.
#ifndef BULKHEAD_PROXY_TOP_COMMAND_H_
#define BULKHEAD_PROXY_TOP_COMMAND_H_

#include <iosfwd>
#include <string>

#include "proxy/http_target_options.h"

namespace CLI {
class App;
}

namespace bulkhead {

class TopCommand {
 public:
  // Adds the subcommand.
  explicit TopCommand(CLI::App* app);
  [[nodiscard]] bool parsed() const;
  [[nodiscard]] int Run(std::ostream& out, std::ostream& errors) const;

 private:
  [[nodiscard]] int Once(const http::Target& target, std::ostream& out, std::ostream& errors) const;
  [[nodiscard]] int Follow(const http::Target& target, std::ostream& errors) const;

  CLI::App* command_;
  HttpTargetOptions target_;
  bool once_ = false;
  double interval_ = 1;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_TOP_COMMAND_H_
