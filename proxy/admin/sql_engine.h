// Full SQL over the live state: one SQLite database in memory for each admin session.
//
// Purpose: Prepare says which tables a query names, so that only these are collected; Run reads
// their rows through virtual tables, without a copy. Nothing can be changed: an authorizer allows
// reading only.
// Thread: one at a time.
// Limits: kMaxRunTime, kMaxCells and kMaxBytes of a result, kMaxMemory of SQLite's own.
// Errors: MySQL's codes where there is one: 1064, 1054, 1146, 1305, 1193, 1142, 1317, 3024, 1235.
// Source: sqlite.org/vtab.html, sqlite.org/c3ref/set_authorizer.html.
#ifndef BULKHEAD_PROXY_ADMIN_SQL_ENGINE_H_
#define BULKHEAD_PROXY_ADMIN_SQL_ENGINE_H_

#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/live_state.h"
#include "proxy/admin/tables.h"
#include "proxy/admin/tokens.h"

namespace bulkhead::admin {

// What functions like USER() answer.
struct SessionFacts {
  std::string user{};
  std::string address{};
  uint32_t connection_id = 0;
  std::string version{};  // VERSION()
  std::string schema = "bulkhead";
};

// A result, whole.
class ResultTable {
 public:
  struct ResultColumn {
    std::string name;
    ColumnKind kind = ColumnKind::kText;
  };
  std::vector<ResultColumn> columns{};

  [[nodiscard]] size_t rows() const { return columns.empty() ? 0 : ends_.size() / columns.size(); }
  [[nodiscard]] std::optional<std::string_view> Cell(size_t row, size_t column) const;
  void Add(std::optional<std::string_view> cell);
  [[nodiscard]] size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] size_t cells() const { return ends_.size(); }
  // Of whole rows of text.
  void AddRow(const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) Add(cell);
  }

 private:
  static constexpr uint32_t kNull = 1u << 31;
  std::string bytes_;
  std::vector<uint32_t> ends_;  // the topmost bit: NULL
};

class SqlEngine {
 public:
  static constexpr std::chrono::milliseconds kMaxRunTime{2000};
  static constexpr size_t kMaxCells = 16'000'000;
  static constexpr size_t kMaxBytes = size_t{64} << 20;
  static constexpr int64_t kMaxMemory = int64_t{256} << 20;

  // `interrupted`: while it is true, what is prepared or run ends with 1317. May be null; outlives
  // this.
  explicit SqlEngine(SessionFacts facts, const std::atomic<bool>* interrupted = nullptr);
  ~SqlEngine();
  SqlEngine(const SqlEngine&) = delete;
  SqlEngine& operator=(const SqlEngine&) = delete;

  // `sql` as a MySQL client writes it.
  [[nodiscard]] std::optional<StatementError> Prepare(std::string_view sql);
  // Of the prepared query.
  [[nodiscard]] const TableSet& tables() const { return tables_; }
  [[nodiscard]] std::vector<ResultTable::ResultColumn> columns() const;
  [[nodiscard]] std::optional<StatementError> Run(const LiveState& state, ResultTable* result);

  [[nodiscard]] SessionFacts* facts() { return &facts_; }
  // Of the query that runs.
  [[nodiscard]] const LiveState* state() const { return state_; }

 private:
  static int Authorize(void* self, int action, const char* third, const char* fourth,
                       const char* database, const char* trigger);
  static int OnProgress(void* self);
  [[nodiscard]] StatementError ErrorOf(int code);
  void ReadRow(ResultTable* result, std::vector<bool>* seen);

  [[nodiscard]] bool Interrupted() const {
    return interrupted_ != nullptr && interrupted_->load(std::memory_order_relaxed);
  }

  SessionFacts facts_;
  const std::atomic<bool>* const interrupted_;
  sqlite3* db_ = nullptr;
  sqlite3_stmt* statement_ = nullptr;
  std::string sql_;  // as SQLite got it
  TableSet tables_;
  const LiveState* state_ = nullptr;
  bool open_ = false;  // the authorizer is at work
  std::chrono::steady_clock::time_point deadline_{};
  const char* stopped_ = nullptr;  // why OnProgress did
};

// --- parts, each in a file of its own
// -------------------------------------------------------------

// sql_modules.cc: the virtual tables.
void RegisterTables(sqlite3* db, SqlEngine* engine);
// sql_functions.cc: MySQL's functions that clients use, LIKE as MySQL reads it, and @@variables.
void RegisterFunctions(sqlite3* db, SqlEngine* engine);
// sql_text_functions.cc: MySQL's functions of texts that graphical clients use.
void RegisterTextFunctions(sqlite3* db);
// information_schema.cc
void MakeInformationSchema(sqlite3* db);
// What @@name and SHOW VARIABLES say to clients that ask for MySQL's variables.
[[nodiscard]] std::vector<VariableRow> ClientVariables(std::string_view version);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_SQL_ENGINE_H_
