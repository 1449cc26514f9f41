// information_schema, and MySQL's variables, as far as clients ask for them before they show
// anything.
//
// Source: MySQL 8.0 Reference Manual, "INFORMATION_SCHEMA Tables"; what DBeaver, Connector/J and
// the mysql client were seen to ask.

#include <array>

#include "proxy/admin/sql_engine.h"
#include "proxy/admin/sql_text.h"

namespace bulkhead::admin {

namespace {

constexpr auto kDefinitions = std::to_array<std::string_view>({
    "schemata(CATALOG_NAME, SCHEMA_NAME COLLATE NOCASE, DEFAULT_CHARACTER_SET_NAME, "
    "DEFAULT_COLLATION_NAME, SQL_PATH, DEFAULT_ENCRYPTION)",
    "tables(TABLE_CATALOG, TABLE_SCHEMA COLLATE NOCASE, TABLE_NAME COLLATE NOCASE, TABLE_TYPE, "
    "ENGINE, VERSION, ROW_FORMAT, TABLE_ROWS, AVG_ROW_LENGTH, DATA_LENGTH, MAX_DATA_LENGTH, "
    "INDEX_LENGTH, DATA_FREE, AUTO_INCREMENT, CREATE_TIME, UPDATE_TIME, CHECK_TIME, "
    "TABLE_COLLATION, CHECKSUM, CREATE_OPTIONS, TABLE_COMMENT)",
    "columns(TABLE_CATALOG, TABLE_SCHEMA COLLATE NOCASE, TABLE_NAME COLLATE NOCASE, COLUMN_NAME "
    "COLLATE NOCASE, ORDINAL_POSITION INTEGER, COLUMN_DEFAULT, IS_NULLABLE, DATA_TYPE, "
    "CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, "
    "DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, COLUMN_TYPE, COLUMN_KEY, EXTRA, "
    "PRIVILEGES, COLUMN_COMMENT, GENERATION_EXPRESSION, SRS_ID)",
    "character_sets(CHARACTER_SET_NAME, DEFAULT_COLLATE_NAME, DESCRIPTION, MAXLEN)",
    "collations(COLLATION_NAME, CHARACTER_SET_NAME, ID, IS_DEFAULT, IS_COMPILED, SORTLEN)",
    "engines(ENGINE, SUPPORT, COMMENT, TRANSACTIONS, XA, SAVEPOINTS)",
    "views(TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, VIEW_DEFINITION)",
    "routines(SPECIFIC_NAME, ROUTINE_CATALOG, ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE, "
    "DTD_IDENTIFIER, ROUTINE_COMMENT)",
    "parameters(SPECIFIC_CATALOG, SPECIFIC_SCHEMA, SPECIFIC_NAME, ORDINAL_POSITION, "
    "PARAMETER_NAME)",
    "triggers(TRIGGER_CATALOG, TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE)",
    "statistics(TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, NON_UNIQUE, INDEX_SCHEMA, INDEX_NAME, "
    "SEQ_IN_INDEX, COLUMN_NAME)",
    "key_column_usage(CONSTRAINT_CATALOG, CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_CATALOG, "
    "TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, REFERENCED_TABLE_SCHEMA, "
    "REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME)",
    "table_constraints(CONSTRAINT_CATALOG, CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_SCHEMA, "
    "TABLE_NAME, CONSTRAINT_TYPE)",
    "referential_constraints(CONSTRAINT_SCHEMA, CONSTRAINT_NAME, TABLE_NAME, "
    "REFERENCED_TABLE_NAME)",
    "partitions(TABLE_SCHEMA, TABLE_NAME, PARTITION_NAME)",
    "plugins(PLUGIN_NAME, PLUGIN_STATUS, PLUGIN_TYPE)",
    "user_privileges(GRANTEE, TABLE_CATALOG, PRIVILEGE_TYPE, IS_GRANTABLE)",
});

std::string_view SqlType(ColumnKind kind) {
  switch (kind) {
    case ColumnKind::kNumber:
      return "bigint";
    case ColumnKind::kReal:
      return "double";
    case ColumnKind::kText:
      break;
  }
  return "varchar";
}

// One statement for all: the catalogue has a few hundred rows.
std::string Catalogue() {
  std::string sql = "ATTACH ':memory:' AS information_schema; BEGIN;";
  for (const std::string_view definition : kDefinitions)
    sql += "CREATE TABLE information_schema." + std::string(definition) + ";";
  for (const char* schema : {"bulkhead", "information_schema"}) {
    sql += "INSERT INTO information_schema.schemata VALUES ('def','" + std::string(schema) +
           "','utf8mb4','utf8mb4_general_ci',NULL,'NO');";
  }
  sql +=
      "INSERT INTO information_schema.character_sets VALUES "
      "('utf8mb4','utf8mb4_general_ci','UTF-8 Unicode',4);"
      "INSERT INTO information_schema.collations VALUES "
      "('utf8mb4_general_ci','utf8mb4',45,'Yes','Yes',1);"
      "INSERT INTO information_schema.engines VALUES "
      "('BULKHEAD','DEFAULT','the live state','NO','NO','NO');";
  for (const Table& table : TableList()) {
    const std::string name = SqliteLiteral(table.name);
    sql +=
        "INSERT INTO information_schema.tables (TABLE_CATALOG, TABLE_SCHEMA, TABLE_NAME, "
        "TABLE_TYPE, ENGINE, TABLE_COLLATION, TABLE_COMMENT) VALUES ('def','bulkhead'," +
        name + ",'BASE TABLE','BULKHEAD','utf8mb4_general_ci'," + SqliteLiteral(table.help) + ");";
    for (size_t i = 0; i < table.columns.size(); ++i) {
      const Column& column = table.columns[i];
      const std::string type(SqlType(column.kind));
      const bool text = column.kind == ColumnKind::kText;
      sql += "INSERT INTO information_schema.columns VALUES ('def','bulkhead'," + name + "," +
             SqliteLiteral(column.name) + "," + std::to_string(i + 1) + ",NULL,'YES','" + type +
             "'," +
             (text ? "4096,16384,NULL,NULL,NULL,'utf8mb4','utf8mb4_general_ci','varchar(4096)'"
                   : "NULL,NULL,20,0,NULL,NULL,NULL,'" + type + "'") +
             ",'','','select'," + SqliteLiteral(column.help) + ",'',NULL);";
    }
  }
  return sql + "COMMIT;";
}

}  // namespace

void MakeInformationSchema(sqlite3* db) {
  static const auto* const catalogue = new std::string(Catalogue());
  sqlite3_exec(db, catalogue->c_str(), nullptr, nullptr, nullptr);
}

std::vector<VariableRow> ClientVariables(std::string_view version) {
  std::vector<VariableRow> variables;
  const auto add = [&](std::string_view name, std::string_view value) {
    variables.push_back({std::string(name), std::string(value), "client"});
  };
  for (const char* name :
       {"character_set_client", "character_set_connection", "character_set_results",
        "character_set_server", "character_set_system", "character_set_database"})
    add(name, "utf8mb4");
  for (const char* name : {"collation_connection", "collation_server", "collation_database"})
    add(name, "utf8mb4_general_ci");
  for (const char* name : {"autocommit", "unique_checks", "foreign_key_checks", "sql_notes"})
    add(name, "ON");
  for (const char* name : {"read_only", "super_read_only", "have_query_cache", "profiling",
                           "performance_schema", "sql_auto_is_null", "sql_safe_updates",
                           "transaction_read_only", "tx_read_only", "event_scheduler"})
    add(name, "OFF");
  for (const char* name :
       {"lower_case_table_names", "auto_increment_increment", "auto_increment_offset",
        "warning_count", "error_count", "query_cache_size", "query_cache_type"})
    add(name, std::string_view(name).starts_with("auto_") ? "1" : "0");
  for (const char* name : {"transaction_isolation", "tx_isolation"}) add(name, "REPEATABLE-READ");
  for (const char* name : {"sql_mode", "init_connect", "query_alloc_block_size"}) add(name, "");
  for (const char* name : {"wait_timeout", "interactive_timeout"}) add(name, "28800");
  for (const char* name :
       {"net_write_timeout", "net_read_timeout", "max_execution_time", "lock_wait_timeout"})
    add(name, "60");
  add("system_time_zone", "UTC");
  add("time_zone", "+00:00");
  add("license", "Apache-2.0");
  add("max_allowed_packet", "1048576");
  add("net_buffer_length", "16384");
  add("sql_select_limit", "18446744073709551615");
  add("default_storage_engine", "BULKHEAD");
  add("version", version);
  add("version_comment", "Bulkhead admin");
  add("version_compile_os", "Linux");
  add("version_compile_machine", "x86_64");
  add("protocol_version", "10");
  add("port", "6032");
  add("hostname", "bulkhead");
  add("lc_time_names", "en_US");
  add("server_id", "0");
  return variables;
}

}  // namespace bulkhead::admin
