#include "proxy/control/sql_session.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "routing/abseil_view.h"

namespace bulkhead::control {

namespace {

std::string Quoted(std::string_view text, char quote, bool backslash) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || (backslash && c == '\\')) out += c;
    out += c;
  }
  return out + quote;
}

}  // namespace

std::string SqlAnswer::Cell(size_t row, size_t column) const {
  if (row >= rows.size() || column >= rows[row].size()) return {};
  return rows[row][column].value_or("");
}

std::string SqlAnswer::Cell(size_t row, std::string_view column) const {
  for (size_t i = 0; i < columns.size(); ++i) {
    if (absl::EqualsIgnoreCase(columns[i], routing::Abs(column))) return Cell(row, i);
  }
  return {};
}

bool SqlAnswer::HasColumn(std::string_view column) const {
  return std::any_of(columns.begin(), columns.end(), [&](const std::string& name) {
    return absl::EqualsIgnoreCase(name, routing::Abs(column));
  });
}

std::string SqlQuoted(std::string_view text) { return Quoted(text, '\'', true); }
std::string SqlName(std::string_view name) { return Quoted(name, '`', false); }

}  // namespace bulkhead::control
