// Small helpers for texts of SET statements; for session_state*.cc alone.
#ifndef BULKHEAD_PROXY_SESSION_STATE_TEXT_H_
#define BULKHEAD_PROXY_SESSION_STATE_TEXT_H_

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::session {

[[nodiscard]] inline char LowerOf(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
[[nodiscard]] inline char UpperOf(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}
[[nodiscard]] inline std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), LowerOf);
  return out;
}
// In a vector, a value that is not known: equal to no session's, and never sent to a server.
inline constexpr std::string_view kNotKnown = "?";
inline constexpr std::string_view kCharacterSetClient = "character_set_client";

[[nodiscard]] inline std::string Upper(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), UpperOf);
  return out;
}
[[nodiscard]] inline std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// A string literal that every server reads alike, whatever its sql_mode: `text` must have no
// backslash.
[[nodiscard]] inline std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  return out += '\'';
}
// The other way round; a text without quotes stays as it is.
[[nodiscard]] inline std::string Unquoted(std::string_view text) {
  if (text.size() < 2 || text.front() != '\'') return std::string(text);
  std::string out;
  for (size_t i = 1; i + 1 < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\'') ++i;
  }
  return out;
}

// Sorted lists of names and values (VariableList).
template <typename List>
[[nodiscard]] auto FindPlace(List& list, std::string_view name) {
  return std::lower_bound(
      list.begin(), list.end(), name,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
}
template <typename List>
void SetEntry(List* list, std::string_view name, std::string value) {
  const auto it = FindPlace(*list, name);
  if (it != list->end() && it->first == name) {
    it->second = std::move(value);
  } else {
    list->insert(it, {std::string(name), std::move(value)});
  }
}
template <typename List>
void EraseEntry(List* list, std::string_view name) {
  const auto it = FindPlace(*list, name);
  if (it != list->end() && it->first == name) list->erase(it);
}
template <typename List>
[[nodiscard]] const std::string* FindEntry(const List& list, std::string_view name) {
  const auto it = FindPlace(list, name);
  return it == list.end() || it->first != name ? nullptr : &it->second;
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_STATE_TEXT_H_
