#include "proxy/admin/sql_engine.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "proxy/admin/grammar.h"
#include "proxy/admin/sql_text.h"

namespace bulkhead::admin {

namespace {

constexpr int kInstructionsPerLook = 5000;

ColumnKind KindOf(int sqlite_type) {
  if (sqlite_type == SQLITE_INTEGER) return ColumnKind::kNumber;
  return sqlite_type == SQLITE_FLOAT ? ColumnKind::kReal : ColumnKind::kText;
}

// Columns of the tables that a query names.
std::vector<std::string_view> ColumnsNear(std::string_view sql) {
  std::vector<std::string_view> columns;
  const std::string lower = Lower(sql);
  for (const Table& table : TableList()) {
    if (lower.find(table.name) == std::string::npos) continue;
    for (const Column& column : table.columns) columns.push_back(column.name);
  }
  return columns;
}

std::string_view LastPart(std::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

}  // namespace

std::optional<std::string_view> ResultTable::Cell(size_t row, size_t column) const {
  const size_t index = row * columns.size() + column;
  if ((ends_[index] & kNull) != 0) return std::nullopt;
  const uint32_t begin = index == 0 ? 0 : ends_[index - 1] & ~kNull;
  return std::string_view(bytes_).substr(begin, (ends_[index] & ~kNull) - begin);
}

void ResultTable::Add(std::optional<std::string_view> cell) {
  if (cell.has_value()) bytes_ += *cell;
  ends_.push_back(static_cast<uint32_t>(bytes_.size()) | (cell.has_value() ? 0 : kNull));
}

SqlEngine::SqlEngine(SessionFacts facts, const std::atomic<bool>* interrupted)
    : facts_(std::move(facts)), interrupted_(interrupted) {
  // Out of memory is the only way in which this fails.
  if (sqlite3_open_v2(":memory:", &db_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX,
                      nullptr) != SQLITE_OK)
    std::abort();
  sqlite3_db_config(db_, SQLITE_DBCONFIG_MAINDBNAME, "bulkhead");
  sqlite3_db_config(db_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_exec(db_, "PRAGMA temp_store = MEMORY", nullptr, nullptr, nullptr);
  MakeInformationSchema(db_);
  RegisterTables(db_, this);
  RegisterFunctions(db_, this);
  RegisterTextFunctions(db_);
  sqlite3_limit(db_, SQLITE_LIMIT_LENGTH, 16 << 20);
  sqlite3_limit(db_, SQLITE_LIMIT_SQL_LENGTH, 1 << 20);
  sqlite3_limit(db_, SQLITE_LIMIT_EXPR_DEPTH, 200);
  sqlite3_limit(db_, SQLITE_LIMIT_COMPOUND_SELECT, 50);
  sqlite3_limit(db_, SQLITE_LIMIT_VDBE_OP, 250'000);
  sqlite3_limit(db_, SQLITE_LIMIT_ATTACHED, 1);
  sqlite3_set_authorizer(db_, &SqlEngine::Authorize, this);
  sqlite3_progress_handler(db_, kInstructionsPerLook, &SqlEngine::OnProgress, this);
  open_ = true;
}

SqlEngine::~SqlEngine() {
  sqlite3_finalize(statement_);
  sqlite3_close(db_);
}

int SqlEngine::Authorize(void* self, int action, const char* third, const char* fourth,
                         const char* /*database*/, const char* /*trigger*/) {
  auto* engine = static_cast<SqlEngine*>(self);
  switch (action) {
    case SQLITE_READ:
      if (third != nullptr) engine->tables_.insert(Lower(third));
      return SQLITE_OK;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_FUNCTION:
      return fourth != nullptr && EqualsIgnoringCase(fourth, "load_extension") ? SQLITE_DENY
                                                                               : SQLITE_OK;
    default:
      return SQLITE_DENY;
  }
}

int SqlEngine::OnProgress(void* self) {
  auto* engine = static_cast<SqlEngine*>(self);
  if (std::chrono::steady_clock::now() > engine->deadline_) engine->stopped_ = "time";
  if (sqlite3_memory_used() > kMaxMemory) engine->stopped_ = "memory";
  return engine->stopped_ != nullptr || engine->Interrupted() ? 1 : 0;
}

StatementError SqlEngine::ErrorOf(int code) {
  std::string message = sqlite3_errmsg(db_);
  if (Interrupted()) return {.code = 1317, .message = "the query was interrupted"};
  if (code == SQLITE_INTERRUPT && stopped_ != nullptr)
    return {.code = 3024,
            .message = "the query was ended: it took more " + std::string(stopped_) +
                       " than a query may here"};
  if (code == SQLITE_AUTH)
    return {.code = 1142, .message = "SQL only reads here; HELP lists the statements that change"};
  const auto rest = [&](std::string_view prefix) -> std::optional<std::string> {
    if (!message.starts_with(prefix)) return std::nullopt;
    return message.substr(prefix.size());
  };
  if (const auto table = rest("no such table: "); table.has_value())
    return {.code = 1146,
            .message = "there is no table '" + *table + "'" +
                       Suggestion(Lower(LastPart(*table)), TableNames())};
  if (const auto column = rest("no such column: "); column.has_value())
    return {.code = 1054,
            .message = "there is no column '" + *column + "'" +
                       Suggestion(Lower(LastPart(*column)), ColumnsNear(sql_))};
  if (message.starts_with("no such function")) return {.code = 1305, .message = message};
  if (message.starts_with("unknown system variable")) return {.code = 1193, .message = message};
  return {.message = "syntax error: " + message};
}

std::optional<StatementError> SqlEngine::Prepare(std::string_view sql) {
  sqlite3_finalize(std::exchange(statement_, nullptr));
  if (Interrupted()) return ErrorOf(SQLITE_INTERRUPT);
  tables_.clear();
  stopped_ = nullptr;
  deadline_ = std::chrono::steady_clock::now() + kMaxRunTime;
  SqliteText text = MysqlToSqlite(sql);
  if (text.error.has_value()) return text.error;
  sql_ = std::move(text.sql);
  const int code =
      sqlite3_prepare_v2(db_, sql_.data(), static_cast<int>(sql_.size()), &statement_, nullptr);
  if (code != SQLITE_OK) return ErrorOf(code);
  if (statement_ == nullptr) return StatementError{.code = 1065, .message = "the query is empty"};
  return std::nullopt;
}

void SqlEngine::ReadRow(ResultTable* result, std::vector<bool>* seen) {
  for (size_t i = 0; i < result->columns.size(); ++i) {
    const int column = static_cast<int>(i);
    const int type = sqlite3_column_type(statement_, column);
    if (type == SQLITE_NULL) {
      result->Add(std::nullopt);
      continue;
    }
    // A column is of numbers if all of it is.
    ColumnKind& kind = result->columns[i].kind;
    const ColumnKind here = KindOf(type);
    if (!(*seen)[i]) {
      kind = here;
    } else if (kind != here) {
      const bool numbers = kind != ColumnKind::kText && here != ColumnKind::kText;
      kind = numbers ? ColumnKind::kReal : ColumnKind::kText;
    }
    (*seen)[i] = true;
    const auto* bytes = static_cast<const char*>(
        type == SQLITE_BLOB ? sqlite3_column_blob(statement_, column)
                            : static_cast<const void*>(sqlite3_column_text(statement_, column)));
    const int size = sqlite3_column_bytes(statement_, column);
    result->Add(bytes == nullptr ? std::string_view()
                                 : std::string_view(bytes, static_cast<size_t>(size)));
  }
}

std::vector<ResultTable::ResultColumn> SqlEngine::columns() const {
  std::vector<ResultTable::ResultColumn> columns;
  for (int i = 0; i < sqlite3_column_count(statement_); ++i) {
    const char* name = sqlite3_column_name(statement_, i);
    columns.push_back({.name = ColumnNameFromSqlite(name == nullptr ? "" : name)});
  }
  return columns;
}

std::optional<StatementError> SqlEngine::Run(const LiveState& state, ResultTable* result) {
  if (Interrupted()) return ErrorOf(SQLITE_INTERRUPT);
  state_ = &state;
  stopped_ = nullptr;
  deadline_ = std::chrono::steady_clock::now() + kMaxRunTime;
  result->columns = columns();
  std::vector<bool> seen(result->columns.size());
  std::optional<StatementError> error;
  int code = SQLITE_OK;
  while ((code = sqlite3_step(statement_)) == SQLITE_ROW) {
    ReadRow(result, &seen);
    if (result->cells() > kMaxCells || result->bytes() > kMaxBytes) {
      error = StatementError{.code = 1235, .message = "the result is too large: LIMIT it"};
      break;
    }
  }
  if (code != SQLITE_ROW && code != SQLITE_DONE) error = ErrorOf(code);
  sqlite3_finalize(std::exchange(statement_, nullptr));
  state_ = nullptr;
  return error;
}

}  // namespace bulkhead::admin
