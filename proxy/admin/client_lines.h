// Lines from a terminal: editing, history, completion. Over libedit.
//
// Thread: one. The history file is readable by its user only; statements with secrets are not
// written to it. The locale of the environment is set, for its characters. SIGINT is blocked but
// while a key is awaited: its handler, installed without SA_RESTART, ends Read.
// Source: editline(3).
#ifndef BULKHEAD_PROXY_ADMIN_CLIENT_LINES_H_
#define BULKHEAD_PROXY_ADMIN_CLIENT_LINES_H_

#include <memory>
#include <string>
#include <vector>

namespace bulkhead::admin {

class LineEditor {
 public:
  // `history_file` empty: none. `words`: what Tab completes, in any case.
  LineEditor(std::string history_file, std::vector<std::string> words);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome : uint8_t { kLine, kInterrupted, kEnd };
  [[nodiscard]] Outcome Read(const std::string& prompt, std::string* line);
  void AddHistory(const std::string& statement);

  struct Impl;  // client_lines.cc

 private:
  const std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_CLIENT_LINES_H_
