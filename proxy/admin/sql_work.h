// What an admin session gives to a query thread: SQL over the tables, and EXPLAIN ROUTE.
//
// Purpose: everything that may take its time apart from commands: collecting rows, running SQL.
// Threads: SqlRunner::Do on one query thread at a time; Interrupt and Rearm any. A runner is shared
// by a session and its work, which may outlive it.
// Limits: SqlEngine's; all results that are kept at once: ResultBudget::kMost.
// Errors: SqlEngine's; 1235 where too much is kept.
#ifndef BULKHEAD_PROXY_ADMIN_SQL_WORK_H_
#define BULKHEAD_PROXY_ADMIN_SQL_WORK_H_

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/admin/live_state.h"
#include "proxy/admin/sql_engine.h"
#include "proxy/admin/statement.h"

namespace bulkhead::admin {

// Bytes of results that wait to be read by their clients, of the whole listener. Any thread.
class ResultBudget {
 public:
  static constexpr size_t kMost = size_t{256} << 20;
  // The table, which gives its bytes back when it goes; nullptr: there is no room.
  [[nodiscard]] std::shared_ptr<const ResultTable> Keep(ResultTable table);
  [[nodiscard]] size_t used() const { return *used_; }

 private:
  const std::shared_ptr<std::atomic<size_t>> used_ = std::make_shared<std::atomic<size_t>>(0);
};

struct SqlWork {
  enum class Kind : uint8_t {
    kRun,       // sql
    kDescribe,  // sql: only the columns that it would have
    kExplain,   // explain
  };
  Kind kind = Kind::kRun;
  std::string sql{};
  ExplainRoute explain{};

  // What came of it.
  std::optional<StatementError> error{};
  std::shared_ptr<const ResultTable> table{};
  std::vector<std::string> warnings{};
};

class SqlRunner {
 public:
  // `source` and `budget` outlive this.
  SqlRunner(SessionFacts facts, StateSource* source, ResultBudget* budget)
      : facts_(std::move(facts)), source_(source), budget_(budget) {}

  void Do(SqlWork* work);
  // Ends what runs, or is begun before Rearm.
  void Interrupt() { interrupted_.store(true, std::memory_order_relaxed); }
  void Rearm() { interrupted_.store(false, std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::optional<StatementError> Query(SqlWork* work, ResultTable* table);

  const SessionFacts facts_;
  StateSource* const source_;
  ResultBudget* const budget_;
  std::atomic<bool> interrupted_{false};
  std::unique_ptr<SqlEngine> engine_;  // made when it is needed first: it takes milliseconds
};

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_SQL_WORK_H_
