// The virtual tables: LiveState's rows as SQLite reads them.

#include <cstring>
#include <new>
#include <utility>

#include "proxy/admin/sql_engine.h"

namespace bulkhead::admin {

namespace {

struct Module {
  const Table* table;
  SqlEngine* engine;
};

struct VirtualTable {
  sqlite3_vtab base;
  const Module* module;
};

struct Cursor {
  sqlite3_vtab_cursor base;
  std::unique_ptr<Rows> rows;
  size_t at = 0;
};

std::string Declaration(const Table& table) {
  std::string sql = "CREATE TABLE x(";
  for (size_t i = 0; i < table.columns.size(); ++i) {
    const Column& column = table.columns[i];
    if (i > 0) sql += ", ";
    sql += "\"" + std::string(column.name) + "\"";
    switch (column.kind) {
      case ColumnKind::kText:
        // As MySQL compares by default; tenants' own names are exact.
        sql += table.name == "tenants" && i == 0 ? " TEXT" : " TEXT COLLATE NOCASE";
        break;
      case ColumnKind::kNumber:
        sql += " INTEGER";
        break;
      case ColumnKind::kReal:
        sql += " REAL";
        break;
    }
  }
  return sql + ")";
}

int Connect(sqlite3* db, void* module, int, const char* const*, sqlite3_vtab** out, char**) {
  const auto* own = static_cast<const Module*>(module);
  const int code = sqlite3_declare_vtab(db, Declaration(*own->table).c_str());
  if (code != SQLITE_OK) return code;
  *out = &(new VirtualTable{.base = {}, .module = own})->base;
  return SQLITE_OK;
}

int Disconnect(sqlite3_vtab* table) {
  delete reinterpret_cast<VirtualTable*>(table);
  return SQLITE_OK;
}

// Plan 1: rows whose first column equals the argument; of tenants only, where it saves something.
int BestIndex(sqlite3_vtab* table, sqlite3_index_info* info) {
  const auto* own = reinterpret_cast<VirtualTable*>(table);
  info->estimatedCost = 1e6;
  info->estimatedRows = 1'000'000;
  if (own->module->table->name != "tenants") return SQLITE_OK;
  for (int i = 0; i < info->nConstraint; ++i) {
    const auto& constraint = info->aConstraint[i];
    if (constraint.usable == 0 || constraint.iColumn != 0 ||
        constraint.op != SQLITE_INDEX_CONSTRAINT_EQ ||
        std::strcmp(sqlite3_vtab_collation(info, i), "BINARY") != 0)
      continue;
    info->aConstraintUsage[i].argvIndex = 1;
    info->idxNum = 1;
    info->estimatedCost = 1;
    info->estimatedRows = 1;
    break;
  }
  return SQLITE_OK;
}

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = &(new Cursor{})->base;
  return SQLITE_OK;
}

int Close(sqlite3_vtab_cursor* cursor) {
  delete reinterpret_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int Filter(sqlite3_vtab_cursor* cursor, int plan, const char*, int count, sqlite3_value** values) {
  auto* own = reinterpret_cast<Cursor*>(cursor);
  const Module& module = *reinterpret_cast<VirtualTable*>(cursor->pVtab)->module;
  std::optional<std::string> name;
  if (plan == 1 && count == 1) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[0]));
    name = text == nullptr ? std::string()
                           : std::string(text, static_cast<size_t>(sqlite3_value_bytes(values[0])));
  }
  own->at = 0;
  own->rows = nullptr;
  if (module.engine->state() == nullptr) return SQLITE_OK;
  own->rows = module.table->open(*module.engine->state(), name);
  return SQLITE_OK;
}

int Next(sqlite3_vtab_cursor* cursor) {
  ++reinterpret_cast<Cursor*>(cursor)->at;
  return SQLITE_OK;
}

int Eof(sqlite3_vtab_cursor* cursor) {
  const auto* own = reinterpret_cast<Cursor*>(cursor);
  return own->rows == nullptr || own->at >= own->rows->size() ? 1 : 0;
}

struct ResultSetter {
  sqlite3_context* context;
  void operator()(std::monostate) const { sqlite3_result_null(context); }
  void operator()(int64_t number) const { sqlite3_result_int64(context, number); }
  void operator()(double number) const { sqlite3_result_double(context, number); }
  void operator()(const std::string& text) const {
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  }
};

int ColumnOf(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
  const auto* own = reinterpret_cast<Cursor*>(cursor);
  std::visit(ResultSetter{context}, own->rows->Cell(own->at, static_cast<size_t>(column)));
  return SQLITE_OK;
}

int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* id) {
  *id = static_cast<sqlite3_int64>(reinterpret_cast<Cursor*>(cursor)->at);
  return SQLITE_OK;
}

// No xCreate: the tables are simply there, one of each.
sqlite3_module MakeMethods() {
  sqlite3_module methods{};
  methods.iVersion = 0;
  methods.xConnect = Connect;
  methods.xBestIndex = BestIndex;
  methods.xDisconnect = Disconnect;
  methods.xOpen = Open;
  methods.xClose = Close;
  methods.xFilter = Filter;
  methods.xNext = Next;
  methods.xEof = Eof;
  methods.xColumn = ColumnOf;
  methods.xRowid = RowId;
  return methods;
}

}  // namespace

void RegisterTables(sqlite3* db, SqlEngine* engine) {
  static const sqlite3_module methods = MakeMethods();
  for (const Table& table : TableList()) {
    sqlite3_create_module_v2(db, std::string(table.name).c_str(), &methods,
                             new Module{&table, engine},
                             [](void* module) { delete static_cast<Module*>(module); });
    // SQLite makes the table when it is first named: that is before the authorizer looks.
    const std::string first = "SELECT 1 FROM " + std::string(table.name);
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(db, first.c_str(), -1, &statement, nullptr);
    sqlite3_finalize(statement);
  }
}

}  // namespace bulkhead::admin
