// MySQL's functions that clients and people use, LIKE as MySQL reads it, and @@variables.

#include <algorithm>
#include <ctime>
#include <utility>

#include "proxy/admin/sql_engine.h"
#include "proxy/config/values.h"

namespace bulkhead::admin {

namespace {

std::string_view TextOf(sqlite3_value* value) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(value));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_value_bytes(value))};
}

void Answer(sqlite3_context* context, std::string_view text) {
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

const SessionFacts& FactsOf(sqlite3_context* context) {
  return *static_cast<SqlEngine*>(sqlite3_user_data(context))->facts();
}

void User(sqlite3_context* context, int, sqlite3_value**) {
  const SessionFacts& facts = FactsOf(context);
  Answer(context, facts.user + "@" + facts.address);
}
void Schema(sqlite3_context* context, int, sqlite3_value**) {
  Answer(context, FactsOf(context).schema);
}
void Version(sqlite3_context* context, int, sqlite3_value**) {
  Answer(context, FactsOf(context).version);
}
void ConnectionId(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_int64(context, FactsOf(context).connection_id);
}
void Zero(sqlite3_context* context, int, sqlite3_value**) { sqlite3_result_int64(context, 0); }
void Now(sqlite3_context* context, int, sqlite3_value**) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  Answer(context, {text, std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &utc)});
}
void UnixTimestamp(sqlite3_context* context, int, sqlite3_value**) {
  sqlite3_result_int64(context, std::time(nullptr));
}
void If(sqlite3_context* context, int, sqlite3_value** values) {
  sqlite3_result_value(context, sqlite3_value_double(values[0]) != 0 ? values[1] : values[2]);
}
void Concat(sqlite3_context* context, int count, sqlite3_value** values) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    if (sqlite3_value_type(values[i]) == SQLITE_NULL) return sqlite3_result_null(context);
    all += TextOf(values[i]);
  }
  Answer(context, all);
}

// ASCII letters without regard to case.
char Folded(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Goes back to the last % only: that is enough, and bounds the work by the product of the sizes.
bool Matches(std::string_view text, std::string_view pattern, char escape) {
  size_t t = 0, p = 0;
  size_t star_p = std::string_view::npos, star_t = 0;
  while (t < text.size()) {
    const bool escaped = p + 1 < pattern.size() && pattern[p] == escape;
    if (p < pattern.size() && pattern[p] == '%' && !escaped) {
      star_p = ++p;
      star_t = t;
    } else if (p < pattern.size() &&
               (escaped ? Folded(pattern[p + 1]) == Folded(text[t])
                        : pattern[p] == '_' || Folded(pattern[p]) == Folded(text[t]))) {
      // _ stands for a character, which may have several bytes.
      const bool any = !escaped && pattern[p] == '_';
      p += escaped ? 2 : 1;
      ++t;
      while (any && t < text.size() && (static_cast<unsigned char>(text[t]) & 0xC0) == 0x80) ++t;
    } else if (star_p != std::string_view::npos) {
      p = star_p;
      t = ++star_t;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

void Like(sqlite3_context* context, int count, sqlite3_value** values) {
  if (sqlite3_value_type(values[0]) == SQLITE_NULL || sqlite3_value_type(values[1]) == SQLITE_NULL)
    return sqlite3_result_null(context);
  char escape = '\\';
  if (count == 3) {
    const std::string_view text = TextOf(values[2]);
    if (text.size() != 1) return sqlite3_result_error(context, "ESCAPE wants one character", -1);
    escape = text[0];
  }
  sqlite3_result_int(context, Matches(TextOf(values[1]), TextOf(values[0]), escape) ? 1 : 0);
}

void Variable(sqlite3_context* context, int, sqlite3_value** values) {
  std::string name = Lower(TextOf(values[0]));
  for (const std::string_view scope : {"session.", "global.", "local."}) {
    if (name.starts_with(scope)) name = name.substr(scope.size());
  }
  const auto* engine = static_cast<SqlEngine*>(sqlite3_user_data(context));
  std::vector<VariableRow> known = ClientVariables(FactsOf(context).version);
  if (engine->state() != nullptr) {
    const std::vector<VariableRow>& live = engine->state()->variables;
    known.insert(known.end(), live.begin(), live.end());
  }
  const auto found = std::find_if(known.begin(), known.end(), [&](const VariableRow& variable) {
    return EqualsIgnoringCase(variable.name, name);
  });
  if (found == known.end()) {
    const std::string error = "unknown system variable '" + name + "'";
    return sqlite3_result_error(context, error.c_str(), -1);
  }
  std::string value = found->value;
  if (value == "ON" || value == "OFF") value = std::string(1, value == "ON" ? '1' : '0');
  if (const std::optional<uint64_t> number = config::ParseNumber(value);
      number.has_value() && *number <= INT64_MAX)
    return sqlite3_result_int64(context, static_cast<int64_t>(*number));
  Answer(context, value);
}

}  // namespace

void RegisterFunctions(sqlite3* db, SqlEngine* engine) {
  using Function = void (*)(sqlite3_context*, int, sqlite3_value**);
  const auto add = [&](const char* name, int arguments, Function function) {
    sqlite3_create_function_v2(db, name, arguments, SQLITE_UTF8, engine, function, nullptr, nullptr,
                               nullptr);
  };
  for (const char* name : {"user", "current_user", "session_user", "system_user"})
    add(name, 0, User);
  add("database", 0, Schema);
  add("schema", 0, Schema);
  add("version", 0, Version);
  add("connection_id", 0, ConnectionId);
  for (const char* name : {"last_insert_id", "row_count", "found_rows"}) add(name, 0, Zero);
  add("now", 0, Now);
  add("sysdate", 0, Now);
  add("utc_timestamp", 0, Now);
  add("unix_timestamp", 0, UnixTimestamp);
  add("if", 3, If);
  add("concat", -1, Concat);
  add("like", 2, Like);
  add("like", 3, Like);
  add("bulkhead_variable", 1, Variable);
}

}  // namespace bulkhead::admin
