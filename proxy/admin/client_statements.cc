// What MySQL clients and drivers send by themselves: at connect, for their lists of schemas and
// tables, and around transactions. Answered as well as there is an answer.
//
// Sources: MySQL 8.0 Reference Manual, "SHOW Statements", "SET Syntax for Variable Assignment";
// what the mysql client, PyMySQL, Connector/J and DBeaver were seen to send.

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_replace.h"
#include "proxy/admin/statement.h"

namespace bulkhead::admin {

namespace {

// Variables that describe the client's connection: there is nothing to be set.
constexpr auto kClientVariables = std::to_array<std::string_view>({
    "autocommit",
    "sql_mode",
    "character_set_client",
    "character_set_results",
    "character_set_connection",
    "collation_connection",
    "net_write_timeout",
    "net_read_timeout",
    "wait_timeout",
    "interactive_timeout",
    "sql_select_limit",
    "sql_auto_is_null",
    "sql_safe_updates",
    "time_zone",
    "tx_isolation",
    "transaction_isolation",
    "transaction_read_only",
    "tx_read_only",
    "foreign_key_checks",
    "unique_checks",
    "sql_notes",
    "sql_warnings",
    "profiling",
    "lc_messages",
    "max_execution_time",
    "max_statement_time",
    "group_concat_max_len",
    "sql_quote_show_create",
    "lock_wait_timeout",
    "innodb_lock_wait_timeout",
    "information_schema_stats_expiry",
    "net_buffer_length",
    "max_join_size",
    "big_tables",
    "sql_big_selects",
    "old_mode",
});

constexpr std::string_view kSchemaCondition = "table_schema = 'bulkhead'";

class Reader {
 public:
  explicit Reader(const std::vector<Token>& tokens) : tokens_(tokens) {}
  [[nodiscard]] const Token& Now() const { return tokens_[at_]; }
  [[nodiscard]] bool AtEnd() const { return Now().kind == TokenKind::kEnd; }
  bool Take(std::string_view keyword) {
    if (!Now().Is(keyword)) return false;
    ++at_;
    return true;
  }
  const Token& Next() {
    const Token& token = tokens_[at_];
    if (!AtEnd()) ++at_;
    return token;
  }

 private:
  const std::vector<Token>& tokens_;
  size_t at_ = 0;
};

StatementMeaning Sql(std::string sql) { return ReadQuery{std::move(sql)}; }

// The condition of [LIKE 'x'] for `column`.
std::string Like(Reader* reader, std::string_view column) {
  if (!reader->Take("LIKE")) return {};
  return " AND " + std::string(column) + " LIKE " + SqlLiteral(reader->Next().text);
}

// FROM t [FROM db]: the table, with or without its schema.
std::string TableOf(Reader* reader) {
  if (!reader->Take("FROM") && !reader->Take("IN")) return {};
  std::string name = Lower(reader->Next().text);
  if (const size_t dot = name.rfind('.'); dot != std::string::npos) name = name.substr(dot + 1);
  if (reader->Take(".")) {
    name = Lower(reader->Next().text);
  }
  return name;
}

StatementMeaning ShowTables(Reader* reader, bool full) {
  std::string condition(kSchemaCondition);
  if (reader->Take("FROM") || reader->Take("IN"))
    condition = "table_schema = " + SqlLiteral(Lower(reader->Next().text));
  condition += Like(reader, "table_name");
  return Sql("SELECT table_name AS Tables_in_bulkhead" +
             std::string(full ? ", table_type AS Table_type" : "") +
             " FROM information_schema.tables WHERE " + condition + " ORDER BY 1");
}

StatementMeaning ShowColumnsOf(Reader* reader, bool full) {
  const std::string table = TableOf(reader);
  std::string columns = "column_name AS Field, column_type AS Type, ";
  if (full) columns += "collation_name AS Collation, ";
  columns += "is_nullable AS 'Null', '' AS 'Key', NULL AS 'Default', '' AS Extra";
  if (full) columns += ", 'select' AS Privileges, column_comment AS Comment";
  (void)reader->Take("FROM");
  return Sql("SELECT " + columns +
             " FROM information_schema.columns WHERE table_name = " + SqlLiteral(table) +
             Like(reader, "column_name") + " ORDER BY table_schema, ordinal_position");
}

StatementMeaning ShowVariables(Reader* reader, std::string_view table) {
  std::string sql = "SELECT variable_name AS Variable_name, value AS Value FROM " +
                    std::string(table) + " WHERE 1";
  sql += Like(reader, "variable_name");
  return Sql(std::move(sql));
}

// A table of this form without rows.
StatementMeaning Nothing(std::string_view columns) {
  return Sql("SELECT " + std::string(columns) + " WHERE 0");
}

std::optional<StatementMeaning> ShowObject(Reader* reader) {
  const bool full = reader->Take("FULL");
  (void)reader->Take("EXTENDED");
  if (reader->Take("TABLES")) return ShowTables(reader, full);
  if (reader->Take("COLUMNS") || reader->Take("FIELDS")) return ShowColumnsOf(reader, full);
  if (reader->Take("PROCESSLIST"))
    return Sql(
        "SELECT id AS Id, user AS User, address AS Host, tenant AS db, state AS Command, "
        "CAST(coalesce(running, idle, 0) AS INTEGER) AS Time, pin AS State, statement AS Info FROM "
        "sessions");
  if (full) return std::nullopt;
  if (reader->Take("DATABASES") || reader->Take("SCHEMAS"))
    return Sql("SELECT schema_name AS 'Database' FROM information_schema.schemata WHERE 1" +
               Like(reader, "schema_name"));
  if (reader->Take("GLOBAL") || reader->Take("SESSION") || reader->Take("LOCAL")) {
    if (reader->Take("VARIABLES")) return ShowVariables(reader, "variables");
    if (reader->Take("STATUS")) return ShowVariables(reader, "status");
    return std::nullopt;
  }
  if (reader->Take("WARNINGS") || reader->Take("ERRORS")) return ShowWarnings{};
  if (reader->Take("ENGINES"))
    return Sql("SELECT 'BULKHEAD' AS Engine, 'DEFAULT' AS Support, 'the live state' AS Comment");
  if (reader->Take("COLLATION"))
    return Sql(
        "SELECT collation_name AS Collation, character_set_name AS Charset, id AS Id, "
        "is_default AS 'Default', is_compiled AS Compiled, sortlen AS Sortlen FROM "
        "information_schema.collations WHERE 1" +
        Like(reader, "collation_name"));
  return std::nullopt;
}

std::optional<StatementMeaning> ShowNothing(Reader* reader) {
  if (reader->Take("CHARACTER") || reader->Take("CHARSET")) {
    return Sql(
        "SELECT character_set_name AS Charset, description AS Description, "
        "default_collate_name AS 'Default collation', maxlen AS Maxlen FROM "
        "information_schema.character_sets");
  }
  if (reader->Take("TABLE") && reader->Take("STATUS"))
    return Sql(
        "SELECT table_name AS Name, 'BULKHEAD' AS Engine, NULL AS 'Rows', table_comment AS "
        "Comment FROM information_schema.tables WHERE " +
        std::string(kSchemaCondition));
  if (reader->Take("INDEX") || reader->Take("INDEXES") || reader->Take("KEYS"))
    return Nothing("'' AS 'Table', 0 AS Non_unique, '' AS Key_name, '' AS Column_name");
  if (reader->Take("PROCEDURE") || reader->Take("FUNCTION"))
    return Nothing("'' AS Db, '' AS Name, '' AS Type");
  if (reader->Take("TRIGGERS")) return Nothing("'' AS 'Trigger', '' AS Event, '' AS 'Table'");
  if (reader->Take("PLUGINS"))
    return Nothing("'' AS Name, '' AS Status, '' AS Type, '' AS Library, '' AS License");
  if (reader->Take("GRANTS"))
    return Sql("SELECT 'GRANT SELECT ON `bulkhead`.* TO ' || quote(user()) AS Grants");
  return std::nullopt;
}

// SHOW SESSIONS and the like are the grammar's.
std::optional<StatementMeaning> ShowStatement(Reader* reader) {
  if (std::optional<StatementMeaning> found = ShowObject(reader); found.has_value()) return found;
  return ShowNothing(reader);
}

bool IsClientVariable(const Token& token) {
  if (token.kind != TokenKind::kWord && token.kind != TokenKind::kName) return false;
  const std::string name = Lower(token.text);
  return name.starts_with("@") || std::find(kClientVariables.begin(), kClientVariables.end(),
                                            name) != kClientVariables.end();
}

std::optional<StatementMeaning> SetStatement(Reader* reader) {
  for (const std::string_view word :
       {"NAMES", "CHARACTER", "CHARSET", "TRANSACTION", "STATEMENT"}) {
    if (reader->Now().Is(word)) return Accepted{};
  }
  if (reader->Take("SESSION") || reader->Take("LOCAL")) return Accepted{};
  (void)reader->Take("GLOBAL");
  if (IsClientVariable(reader->Now())) return Accepted{};
  return std::nullopt;
}

}  // namespace

std::optional<StatementMeaning> ClientStatement(const TokenList& tokens) {
  Reader reader(tokens.tokens);
  if (reader.AtEnd()) return std::nullopt;
  if (reader.Take("SHOW")) return ShowStatement(&reader);
  if (reader.Take("SET")) return SetStatement(&reader);
  if (reader.Take("USE")) return UseSchema{reader.Next().text};
  if (reader.Take("BEGIN") || reader.Take("COMMIT") || reader.Take("ROLLBACK")) return Accepted{};
  if (reader.Take("START") && reader.Take("TRANSACTION")) return Accepted{};
  if (reader.Take("DESC")) {
    const Token& table = reader.Next();
    const std::string name = absl::StrReplaceAll(table.text, {{"`", "``"}});
    StatementMeaning meaning = ParseStatement("DESCRIBE `" + name + "`").meaning;
    if (auto* error = std::get_if<StatementError>(&meaning)) error->position = table.begin;
    return meaning;
  }
  return std::nullopt;
}

}  // namespace bulkhead::admin
