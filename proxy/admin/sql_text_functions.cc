// MySQL's functions of texts that SQLite has not, or has under another name: what graphical clients
// use to read information_schema.
//
// Source: MySQL 8.0 Reference Manual, "String Functions and Operators", "Comparison Functions".

#include <algorithm>
#include <string>

#include "proxy/admin/sql_engine.h"

namespace bulkhead::admin {

namespace {

using Values = sqlite3_value**;

std::string_view TextOf(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_value_bytes(value))};
}

bool IsNull(sqlite3_value* value) { return sqlite3_value_type(value) == SQLITE_NULL; }

// True: one of them is NULL, and so is the result.
bool AnyNull(sqlite3_context* context, int count, Values values) {
  for (int i = 0; i < count; ++i) {
    if (!IsNull(values[i])) continue;
    sqlite3_result_null(context);
    return true;
  }
  return false;
}

void Answer(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

void Upper(sqlite3_context* context, int count, Values values) {
  if (!AnyNull(context, count, values)) Answer(context, admin::Upper(TextOf(values[0])));
}
void Lower(sqlite3_context* context, int count, Values values) {
  if (!AnyNull(context, count, values)) Answer(context, admin::Lower(TextOf(values[0])));
}

// Characters are counted in bytes here: names of columns and types are ASCII.
void Locate(sqlite3_context* context, int count, Values values) {
  if (AnyNull(context, count, values)) return;
  const std::string wanted = admin::Lower(TextOf(values[0]));
  const std::string text = admin::Lower(TextOf(values[1]));
  const int64_t from = count == 3 ? sqlite3_value_int64(values[2]) : 1;
  if (from < 1) return sqlite3_result_int64(context, 0);
  const size_t found = text.find(wanted, static_cast<size_t>(from - 1));
  sqlite3_result_int64(context, found == std::string::npos ? 0 : static_cast<int64_t>(found) + 1);
}
void Left(sqlite3_context* context, int count, Values values) {
  if (AnyNull(context, count, values)) return;
  const int64_t size = std::max<int64_t>(sqlite3_value_int64(values[1]), 0);
  Answer(context, TextOf(values[0]).substr(0, static_cast<size_t>(size)));
}
void Right(sqlite3_context* context, int count, Values values) {
  if (AnyNull(context, count, values)) return;
  const std::string_view text = TextOf(values[0]);
  const auto size = static_cast<size_t>(std::max<int64_t>(sqlite3_value_int64(values[1]), 0));
  Answer(context, text.substr(text.size() - std::min(size, text.size())));
}
void ConcatWs(sqlite3_context* context, int count, Values values) {
  if (count == 0 || AnyNull(context, 1, values)) return;
  std::string all;
  bool first = true;
  for (int i = 1; i < count; ++i) {
    if (IsNull(values[i])) continue;
    if (!first) all += TextOf(values[0]);
    all += TextOf(values[i]);
    first = false;
  }
  Answer(context, all);
}

// SQLite's max and min of several values are these two.
template <bool kGreatest>
void Extreme(sqlite3_context* context, int count, Values values) {
  if (count == 0 || AnyNull(context, count, values)) return;
  sqlite3_value* best = values[0];
  for (int i = 1; i < count; ++i) {
    const bool greater = sqlite3_value_double(values[i]) > sqlite3_value_double(best);
    if (greater == kGreatest) best = values[i];
  }
  sqlite3_result_value(context, best);
}

void IsNullValue(sqlite3_context* context, int, Values values) {
  sqlite3_result_int(context, IsNull(values[0]) ? 1 : 0);
}

// CONVERT(x, type), with the type as a text.
void Convert(sqlite3_context* context, int count, Values values) {
  if (AnyNull(context, count, values)) return;
  const std::string type = admin::Upper(TextOf(values[1]));
  const auto names = [&](std::string_view word) { return type.find(word) != std::string::npos; };
  if (names("SIGNED") || names("INT")) {
    sqlite3_result_int64(context, sqlite3_value_int64(values[0]));
  } else if (names("DECIMAL") || names("DOUBLE") || names("FLOAT")) {
    sqlite3_result_double(context, sqlite3_value_double(values[0]));
  } else {
    Answer(context, TextOf(values[0]));
  }
}

}  // namespace

void RegisterTextFunctions(sqlite3* db) {
  using Function = void (*)(sqlite3_context*, int, Values);
  const auto add = [&](const char* name, int arguments, Function function) {
    sqlite3_create_function_v2(db, name, arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                               function, nullptr, nullptr, nullptr);
  };
  add("ucase", 1, Upper);
  add("lcase", 1, Lower);
  add("locate", 2, Locate);
  add("locate", 3, Locate);
  add("mysql_left", 2, Left);
  add("mysql_right", 2, Right);
  add("concat_ws", -1, ConcatWs);
  add("greatest", -1, Extreme<true>);
  add("least", -1, Extreme<false>);
  add("mysql_isnull", 1, IsNullValue);
  add("convert", 2, Convert);
}

}  // namespace bulkhead::admin
