#include "proxy/admin/sql_work.h"

#include <utility>

#include "proxy/admin/explain_route.h"

namespace bulkhead::admin {

std::shared_ptr<const ResultTable> ResultBudget::Keep(ResultTable table) {
  const size_t bytes = table.bytes() + table.cells() * sizeof(uint32_t);
  if (used_->fetch_add(bytes) + bytes > kMost) {
    *used_ -= bytes;
    return nullptr;
  }
  return {new ResultTable(std::move(table)), [used = used_, bytes](const ResultTable* kept) {
            *used -= bytes;
            delete kept;
          }};
}

void SqlRunner::Do(SqlWork* work) {
  ResultTable table;
  if (work->kind == SqlWork::Kind::kExplain) {
    TableSet tables = {"shards", "backends", "holds"};
    const std::shared_ptr<const LiveState> state = source_->Collect(tables);
    work->warnings = state->warnings;
    Explain(work->explain, *state, *source_->Options(), &table);
  } else {
    work->error = Query(work, &table);
  }
  if (work->error.has_value()) return;
  work->table = budget_->Keep(std::move(table));
  if (work->table == nullptr) {
    work->error = StatementError{
        .code = 1235, .message = "too many large results are being read at once: try again"};
  }
}

std::optional<StatementError> SqlRunner::Query(SqlWork* work, ResultTable* table) {
  if (engine_ == nullptr) engine_ = std::make_unique<SqlEngine>(facts_, &interrupted_);
  if (auto error = engine_->Prepare(work->sql); error.has_value()) return error;
  if (work->kind == SqlWork::Kind::kDescribe) {
    table->columns = engine_->columns();
    return std::nullopt;
  }
  const std::shared_ptr<const LiveState> state = source_->Collect(engine_->tables());
  work->warnings = state->warnings;
  return engine_->Run(*state, table);
}

}  // namespace bulkhead::admin
