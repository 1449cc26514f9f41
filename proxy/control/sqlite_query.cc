#include "proxy/control/sqlite_query.h"

#include "absl/strings/str_cat.h"

namespace bulkhead::control {

namespace {

absl::Status ErrorOf(sqlite3* db, int result, std::string_view sql) {
  const std::string text =
      absl::StrCat(sqlite3_errmsg(db), " (", std::string(sql.substr(0, 80)), ")");
  switch (result & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(text);
    default:
      return absl::InternalError(text);
  }
}

}  // namespace

SqliteQuery::SqliteQuery(sqlite3* db, std::string_view sql) : db_(db), sql_(sql) {
  Check(sqlite3_prepare_v2(db, sql.data(), static_cast<int>(sql.size()), &statement_, nullptr));
}

SqliteQuery::~SqliteQuery() { sqlite3_finalize(statement_); }

void SqliteQuery::Check(int result) {
  if (status_.ok() && result != SQLITE_OK && result != SQLITE_ROW && result != SQLITE_DONE)
    status_ = ErrorOf(db_, result, sql_);
}

SqliteQuery& SqliteQuery::Bind(std::string_view text) {
  if (status_.ok()) {
    // An empty view may have no address, which would be NULL.
    const char* data = text.empty() ? "" : text.data();
    Check(sqlite3_bind_text(statement_, next_parameter_++, data, static_cast<int>(text.size()),
                            SQLITE_TRANSIENT));
  }
  return *this;
}

SqliteQuery& SqliteQuery::Bind(int64_t number) {
  if (status_.ok()) Check(sqlite3_bind_int64(statement_, next_parameter_++, number));
  return *this;
}

SqliteQuery& SqliteQuery::Bind(const std::optional<int64_t>& number) {
  if (number.has_value()) return Bind(*number);
  if (status_.ok()) Check(sqlite3_bind_null(statement_, next_parameter_++));
  return *this;
}

bool SqliteQuery::Next() {
  if (!status_.ok()) return false;
  next_column_ = 0;
  const int result = sqlite3_step(statement_);
  Check(result);
  return result == SQLITE_ROW;
}

std::string SqliteQuery::Text() {
  const int column = next_column_++;
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}

int64_t SqliteQuery::Number() { return sqlite3_column_int64(statement_, next_column_++); }

std::optional<int64_t> SqliteQuery::MaybeNumber() {
  const int column = next_column_++;
  if (sqlite3_column_type(statement_, column) == SQLITE_NULL) return std::nullopt;
  return sqlite3_column_int64(statement_, column);
}

absl::Status SqliteQuery::Run() {
  while (Next()) {
  }
  return status_;
}

absl::Status SqliteQuery::Execute(sqlite3* db, const char* sql) {
  const int result = sqlite3_exec(db, sql, nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : ErrorOf(db, result, sql);
}

}  // namespace bulkhead::control
