// Runs one statement for the `bulkhead admin` client: shows what it waits for, lets Ctrl-C cancel
// it, prints the answer.
//
// Purpose: a statement that waits (DRAIN, ASSIGN, SWITCHOVER, DRILL) is watched from a second
// connection: its progress is SHOW OPERATIONS' step, and Ctrl-C is a KILL QUERY, upon which the
// router puts everything back. A second Ctrl-C leaves: the router notices and puts back, too.
// Threads: Run the main thread's; it has a watcher of its own. Signals: OnInterrupt from a handler.
// Exit codes: see ExitCode.
#ifndef BULKHEAD_PROXY_ADMIN_CLIENT_RUNNER_H_
#define BULKHEAD_PROXY_ADMIN_CLIENT_RUNNER_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/client_link.h"

namespace bulkhead::admin {

enum class ExitCode : int {
  kOk = 0,
  kStatementFailed = 1,
  kNotConnected = 2,   // or the connection was lost: what ran may have an unknown end
  kInterrupted = 130,  // Ctrl-C, and everything was put back
};

enum class OutputForm : uint8_t { kTable, kVertical, kTabs, kJson };

class ClientRunner {
 public:
  struct Setup {
    LinkTarget target{};
    OutputForm form = OutputForm::kTable;
    bool interactive = false;  // times and row counts are printed as well
    std::ostream* out = nullptr;
    std::ostream* errors = nullptr;
  };
  explicit ClientRunner(Setup setup) : setup_(std::move(setup)) {}

  [[nodiscard]] ExitCode Connect();
  // `vertical`: ended by \G.
  [[nodiscard]] ExitCode Run(const std::string& statement, bool vertical);
  [[nodiscard]] const ClientLink& link() const { return link_; }
  // Rows of a query that nobody sees; empty if it fails.
  [[nodiscard]] std::vector<std::string> Column(const std::string& query);

  // From a signal handler.
  static void OnInterrupt();

 private:
  class Watcher;
  [[nodiscard]] size_t Width() const;
  void Print(const LinkResult& result, bool vertical, double seconds);
  [[nodiscard]] std::vector<std::string> Warnings(const LinkResult* result, const LinkError* error);

  const Setup setup_;
  ClientLink link_;
  bool connected_ = false;
};

// Whether a statement holds something that no history file may hold.
[[nodiscard]] bool HoldsSecret(std::string_view statement);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_CLIENT_RUNNER_H_
