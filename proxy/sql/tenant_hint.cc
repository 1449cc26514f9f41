#include "proxy/sql/tenant_hint.h"

#include <cstddef>

namespace bulkhead::sql {
namespace {

constexpr std::string_view kKey = "tenant";
constexpr std::string_view kBlanks = " \t\r\n\v\f";
constexpr std::string_view kSeparators = " \t\r\n\v\f,;";

size_t Skip(std::string_view text, size_t at, std::string_view set) {
  const size_t found = text.find_first_not_of(set, at);
  return found == std::string_view::npos ? text.size() : found;
}

size_t Find(std::string_view text, size_t at, std::string_view set) {
  const size_t found = text.find_first_of(set, at);
  return found == std::string_view::npos ? text.size() : found;
}

// Of the closing quote, or the text's end; a backslash hides the character behind it.
size_t FindQuote(std::string_view text, size_t at, char quote) {
  while (at < text.size() && text[at] != quote) at += text[at] == '\\' ? 2 : 1;
  return at < text.size() ? at : text.size();
}

}  // namespace

std::string_view FindTenantHint(std::string_view comment) {
  if (comment.find(kKey) == std::string_view::npos) return {};
  size_t at = 0;
  while (true) {
    const size_t key = Skip(comment, at, kSeparators);
    if (key == comment.size()) return {};
    const size_t key_end = Find(comment, key, " \t\r\n\v\f,;=");
    const size_t equals = Skip(comment, key_end, kBlanks);
    if (equals == comment.size() || comment[equals] != '=') {
      at = key_end;
      continue;
    }
    size_t value = Skip(comment, equals + 1, kBlanks);
    size_t value_end = value;
    const bool quoted = value < comment.size() && (comment[value] == '\'' || comment[value] == '"');
    if (quoted) {
      ++value;
      value_end = FindQuote(comment, value, comment[value - 1]);
      at = value_end + 1;
      if (value_end == comment.size()) return {};  // no end: not a pair that anybody meant
    } else {
      value_end = Find(comment, value, kSeparators);
      at = value_end;
    }
    if (comment.substr(key, key_end - key) == kKey && value_end > value) {
      return comment.substr(value, value_end - value);
    }
  }
}

}  // namespace bulkhead::sql
