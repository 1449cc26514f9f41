// A SqlSession that answers from a script: what a statement contains decides its answer.
#ifndef BULKHEAD_TESTS_CONTROL_SCRIPTED_SESSION_H_
#define BULKHEAD_TESTS_CONTROL_SCRIPTED_SESSION_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/sql_session.h"

namespace bulkhead::control {

inline SqlAnswer Rows(std::vector<std::string> columns,
                      std::vector<std::vector<std::string>> rows = {}) {
  SqlAnswer answer;
  answer.columns = std::move(columns);
  for (std::vector<std::string>& row : rows) {
    SqlAnswer::Row& cells = answer.rows.emplace_back();
    for (std::string& cell : row) cells.emplace_back(std::move(cell));
  }
  return answer;
}
inline SqlAnswer One(std::string cell) { return Rows({"x"}, {{std::move(cell)}}); }
inline SqlAnswer ErrorAnswer(uint16_t code, std::string message) {
  return {.kind = SqlAnswer::Kind::kError, .code = code, .message = std::move(message)};
}
inline SqlAnswer LostAnswer() {
  return {.kind = SqlAnswer::Kind::kLost, .code = 2013, .message = "no answer"};
}

class ScriptedSession final : public SqlSession {
 public:
  explicit ScriptedSession(const char* version) : version_(ParseServerVersion(version)) {}

  // The answers to statements that contain `part`, in turn; the last one stays.
  void On(std::string part, std::vector<SqlAnswer> answers) {
    script_.emplace_front(std::move(part), std::deque<SqlAnswer>(answers.begin(), answers.end()));
  }
  void On(std::string part, SqlAnswer answer) {
    On(std::move(part), std::vector{std::move(answer)});
  }

  SqlAnswer Open(routing::Duration) override { return open; }
  SqlAnswer Run(const std::string& sql, routing::Duration) override {
    if (!open.ok()) return open;
    asked.push_back(sql);
    for (auto& [part, answers] : script_) {
      if (sql.find(part) == std::string::npos) continue;
      SqlAnswer answer = answers.front();
      if (answers.size() > 1) answers.pop_front();
      return answer;
    }
    return {};
  }
  const ServerVersion& version() const override { return version_; }

  SqlAnswer open;
  std::vector<std::string> asked;

 private:
  const ServerVersion version_;
  std::deque<std::pair<std::string, std::deque<SqlAnswer>>> script_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_TESTS_CONTROL_SCRIPTED_SESSION_H_
