// One admin statement, understood: a command for the control thread, or something to read.
//
// Purpose: everything between the text that a client sent and what is done about it.
// Thread: any; pure.
// Errors: StatementError: 1064 and 1065 for the form, 1210 for a value.
#ifndef BULKHEAD_PROXY_ADMIN_STATEMENT_H_
#define BULKHEAD_PROXY_ADMIN_STATEMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "proxy/admin/grammar.h"
#include "proxy/admin/tokens.h"
#include "proxy/control/operator_commands.h"

namespace bulkhead::admin {

// SQL over the tables, as SQLite reads it once MysqlToSqlite has been over it.
struct ReadQuery {
  std::string sql;
};
struct ExplainRoute {
  std::string tenant;
  std::optional<std::string> statement;
};
struct GetHelp {
  std::string topic;  // empty: everything
};
// A connection of the admin listener.
struct KillConnection {
  uint64_t id = 0;
  bool query_only = false;
};
struct ShowWarnings {};
struct UseSchema {
  std::string name;
};
// What clients say of themselves (SET NAMES, SET autocommit, BEGIN, COMMIT): true already, or of no
// meaning here.
struct Accepted {};

using StatementMeaning =
    std::variant<StatementError, control::OperatorCommand, ReadQuery, ExplainRoute, GetHelp,
                 KillConnection, ShowWarnings, UseSchema, Accepted>;

struct ParsedStatement {
  StatementMeaning meaning;
  bool changes = false;  // refused to read_only users
};
[[nodiscard]] ParsedStatement ParseStatement(std::string_view text);

// The statement as logs may show it: what follows PASSWORD, SECRET, KEY, TOKEN or IDENTIFIED BY is
// replaced, control characters are escaped, at most 1 KiB of it.
[[nodiscard]] std::string ForLog(std::string_view statement);

// --- parts, each in a file of its own
// -------------------------------------------------------------

// command_maker.cc: of a statement that changes something.
[[nodiscard]] StatementMeaning MakeCommand(const MatchResult& match);
// client_statements.cc: what MySQL clients send by themselves; nullopt: nothing of that.
[[nodiscard]] std::optional<StatementMeaning> ClientStatement(const TokenList& tokens);
// 'text' as a literal of MySQL's SQL.
[[nodiscard]] std::string SqlLiteral(std::string_view text);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_STATEMENT_H_
