// A thin hold on SQLite's C interface: one prepared statement, bound, stepped and finalized.
//
// Purpose: no statement leaks, no error is passed over. Thread: its connection's.
// Errors: the first one is kept; every further call does nothing then. status() says it, with the
// statement's text (https://www.sqlite.org/c3ref/intro.html).
#ifndef BULKHEAD_PROXY_CONTROL_SQLITE_QUERY_H_
#define BULKHEAD_PROXY_CONTROL_SQLITE_QUERY_H_

#include <sqlite3.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace bulkhead::control {

class SqliteQuery {
 public:
  // `sql` lives as long as this.
  SqliteQuery(sqlite3* db, std::string_view sql);
  ~SqliteQuery();
  SqliteQuery(const SqliteQuery&) = delete;
  SqliteQuery& operator=(const SqliteQuery&) = delete;

  // To the next parameter, in order.
  SqliteQuery& Bind(std::string_view text);
  SqliteQuery& Bind(int64_t number);
  SqliteQuery& Bind(const std::optional<int64_t>& number);

  // True: there is a row.
  [[nodiscard]] bool Next();
  // Columns of the row, in order.
  std::string Text();
  int64_t Number();
  std::optional<int64_t> MaybeNumber();

  // Runs it to its end.
  [[nodiscard]] absl::Status Run();
  [[nodiscard]] const absl::Status& status() const { return status_; }

  [[nodiscard]] static absl::Status Execute(sqlite3* db, const char* sql);

 private:
  void Check(int result);

  sqlite3* const db_;
  const std::string_view sql_;
  sqlite3_stmt* statement_ = nullptr;
  absl::Status status_;
  int next_parameter_ = 1;
  int next_column_ = 0;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SQLITE_QUERY_H_
