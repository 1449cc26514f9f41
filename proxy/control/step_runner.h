// What the steps of change_steps.h share: a time budget, and reports made of answers.
#ifndef BULKHEAD_PROXY_CONTROL_STEP_RUNNER_H_
#define BULKHEAD_PROXY_CONTROL_STEP_RUNNER_H_

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "proxy/control/change_steps.h"
#include "proxy/control/server_facts.h"
#include "proxy/control/server_words.h"

namespace bulkhead::control {

class StepRunner {
 public:
  StepRunner(SqlSession* session, routing::Duration limit)
      : session_(session), until_(std::chrono::steady_clock::now() + limit) {}

  [[nodiscard]] routing::Duration Left() const {
    return std::max<routing::Duration>(until_ - std::chrono::steady_clock::now(),
                                       routing::Duration::zero());
  }
  // False: there is no connection, and the report says why.
  [[nodiscard]] bool Open();
  // After a lost answer to what only looks. False: there is no connection, or no time left.
  [[nodiscard]] bool Reopen() {
    return Left() > routing::Duration::zero() && session_->Open(Left()).ok();
  }
  [[nodiscard]] const ServerWords& words() const { return ServerWords::Of(session_->version()); }
  [[nodiscard]] const ServerVersion& version() const { return session_->version(); }
  SqlAnswer Ask(const std::string& sql) { return Ask(sql, Left()); }
  SqlAnswer Ask(const std::string& sql, routing::Duration limit) {
    return session_->Run(sql, limit);
  }
  // Runs it; false, with the report made, if it was not answered with OK.
  [[nodiscard]] bool Do(const std::string& sql);
  // The same with the answer's first cell.
  [[nodiscard]] std::optional<std::string> Get(const std::string& sql);
  [[nodiscard]] std::optional<std::vector<ReplicaStatus>> Sources();
  [[nodiscard]] routing::StepReport& report() { return report_; }
  [[nodiscard]] routing::StepReport Fail(std::string why);
  [[nodiscard]] routing::StepReport FailWith(const SqlAnswer& answer, const std::string& sql);
  void Pause(routing::Duration time) const;
  [[nodiscard]] SqlSession* session() { return session_; }

 private:
  SqlSession* const session_;
  const std::chrono::steady_clock::time_point until_;
  routing::StepReport report_;
};

// change_steps_replica.cc: steps on a server that replicates, or will.
[[nodiscard]] routing::StepReport WaitUntilExecuted(StepRunner* runner,
                                                    const std::string& position);
[[nodiscard]] routing::StepReport ApplyReceived(StepRunner* runner);
[[nodiscard]] routing::StepReport Repoint(const StepContext& context, StepRunner* runner);
[[nodiscard]] routing::StepReport Reattach(StepRunner* runner);
[[nodiscard]] routing::StepReport KeepSemiSync(const StepContext& context, StepRunner* runner);
[[nodiscard]] routing::StepReport Settle(const StepContext& context, StepRunner* runner);
[[nodiscard]] routing::StepReport Prove(const StepContext& context, StepRunner* runner);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_STEP_RUNNER_H_
