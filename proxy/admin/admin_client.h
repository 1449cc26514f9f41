// The `bulkhead admin` client: statements from the command line, from a pipe, or typed.
//
// Purpose: puts statements together (up to ; or \G), runs them one after the other, and stops at
// the first that fails where nobody is typing.
// Thread: the main thread's. Exit codes: ExitCode (client_runner.h).
#ifndef BULKHEAD_PROXY_ADMIN_ADMIN_CLIENT_H_
#define BULKHEAD_PROXY_ADMIN_ADMIN_CLIENT_H_

#include <istream>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/client_runner.h"

namespace bulkhead::admin {

// Texts as they are typed, taken apart into statements.
class StatementBuffer {
 public:
  struct Complete {
    std::string statement;
    bool vertical = false;  // ended by \G
  };
  // What became complete with this line.
  [[nodiscard]] std::vector<Complete> AddLine(std::string_view line);
  // What is left at the end of a text, taken for a statement.
  [[nodiscard]] std::vector<Complete> TakeRest();
  void Clear() { text_.clear(); }
  [[nodiscard]] bool empty() const { return text_.empty(); }

 private:
  std::string text_;
};

class AdminClient {
 public:
  explicit AdminClient(ClientRunner::Setup setup);

  [[nodiscard]] ExitCode RunStatements(const std::vector<std::string>& texts);
  [[nodiscard]] ExitCode RunPipe(std::istream& in);
  [[nodiscard]] ExitCode RunTerminal();

 private:
  [[nodiscard]] ExitCode RunAll(const std::vector<StatementBuffer::Complete>& statements);
  [[nodiscard]] std::vector<std::string> Words();

  ClientRunner::Setup setup_;
  ClientRunner runner_;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_ADMIN_CLIENT_H_
