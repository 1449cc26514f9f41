// MySQL's spelling of a query, turned into SQLite's.
//
// Purpose: what clients and people write for a MySQL server and SQLite reads otherwise: strings in
// double quotes and with backslashes, # comments, executable comments, @@variables, @variables,
// CONVERT, LEFT and RIGHT.
// Thread: any; pure. Limits: kMaxStatement bytes in; at most eight times as many come out.
// Errors: 1064: parameters, $$, a second statement, what is not closed.
// Source: MySQL 8.0 Reference Manual, "Lexical Structure"; sqlite.org/lang_expr.html.
#ifndef BULKHEAD_PROXY_ADMIN_SQL_TEXT_H_
#define BULKHEAD_PROXY_ADMIN_SQL_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "proxy/admin/tokens.h"

namespace bulkhead::admin {

struct SqliteText {
  std::string sql;
  std::optional<StatementError> error;
};
[[nodiscard]] SqliteText MysqlToSqlite(std::string_view text);

// 'text' as a literal of SQLite's SQL.
[[nodiscard]] std::string SqliteLiteral(std::string_view text);

// A column's name as the client wrote it: @@x where MysqlToSqlite put a function.
[[nodiscard]] std::string ColumnNameFromSqlite(std::string_view name);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_SQL_TEXT_H_
