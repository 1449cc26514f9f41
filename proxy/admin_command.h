// `bulkhead admin`: the command line of the admin client.
//
// Purpose: finds the address, the user and the password (options, environment, configuration file,
// in this order; the password may also be typed), then runs statements
// (proxy/admin/admin_client.h). Thread: the main thread's. Exit codes: 0 done, 1 a statement
// failed, 2 no connection, or it was lost, 130 cancelled by Ctrl-C.
#ifndef BULKHEAD_PROXY_ADMIN_COMMAND_H_
#define BULKHEAD_PROXY_ADMIN_COMMAND_H_

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin/client_link.h"

namespace CLI {
class App;
}

namespace bulkhead {

class AdminCommand {
 public:
  explicit AdminCommand(CLI::App* app);
  [[nodiscard]] bool parsed() const;
  [[nodiscard]] int Run(std::ostream& out, std::ostream& errors);

 private:
  // "" or what is wrong.
  [[nodiscard]] std::string FindTarget(admin::LinkTarget* target) const;
  [[nodiscard]] std::string FindPassword(admin::LinkTarget* target) const;
  [[nodiscard]] std::string FromConfiguration(admin::LinkTarget* target) const;

  CLI::App* command_;
  std::string config_;
  std::string host_;
  uint16_t port_ = 0;
  std::string socket_;
  std::string user_;
  std::string password_file_;
  std::string tls_;
  std::string ca_;
  std::vector<std::string> statements_;
  bool json_ = false;
  bool vertical_ = false;
  bool tabs_ = false;
};

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_ADMIN_COMMAND_H_
