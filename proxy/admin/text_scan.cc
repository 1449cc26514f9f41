#include "proxy/admin/text_scan.h"

namespace bulkhead::admin {

namespace {

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t EndOfQuoted(std::string_view text, size_t at) {
  const char quote = text[at++];
  while (at < text.size() && text[at] != quote) at += text[at] == '\\' && quote != '`' ? 2 : 1;
  return at < text.size() ? at + 1 : text.size();
}

// Where the comment that begins at `at` ends; `at` itself if none begins there.
size_t EndOfComment(std::string_view text, size_t at) {
  const std::string_view rest = text.substr(at);
  const bool line =
      rest[0] == '#' || (rest.starts_with("--") && (rest.size() == 2 || IsSpace(rest[2])));
  if (line) {
    const size_t end = text.find('\n', at);
    return end == std::string_view::npos ? text.size() : end;
  }
  // Executable ones are read as what they hold.
  if (!rest.starts_with("/*") || rest.starts_with("/*!") || rest.starts_with("/*M!")) return at;
  const size_t end = text.find("*/", at + 2);
  return end == std::string_view::npos ? text.size() : end + 2;
}

// The next one at or after `from`; the text's size if there is none.
size_t FindSign(std::string_view text, size_t from, char sign) {
  for (size_t at = from; at < text.size();) {
    const char c = text[at];
    if (c == sign) return at;
    if (c == '\'' || c == '"' || c == '`') {
      at = EndOfQuoted(text, at);
      continue;
    }
    const size_t behind = EndOfComment(text, at);
    at = behind == at ? at + 1 : behind;
  }
  return text.size();
}

}  // namespace

size_t EndOfStatement(std::string_view text, size_t from) { return FindSign(text, from, ';'); }

bool IsBlank(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (IsSpace(text[at]) || text[at] == ';') {
      ++at;
      continue;
    }
    const size_t behind = EndOfComment(text, at);
    if (behind == at) return false;
    at = behind;
  }
  return true;
}

std::vector<size_t> FindPlaceholders(std::string_view text) {
  std::vector<size_t> found;
  for (size_t at = FindSign(text, 0, '?'); at < text.size(); at = FindSign(text, at + 1, '?'))
    found.push_back(at);
  return found;
}

std::string FillPlaceholders(std::string_view text, const std::vector<size_t>& placeholders,
                             const std::vector<std::string>& literals) {
  std::string filled;
  size_t copied = 0;
  for (size_t i = 0; i < placeholders.size(); ++i) {
    filled += text.substr(copied, placeholders[i] - copied);
    filled += literals[i];
    copied = placeholders[i] + 1;
  }
  filled += text.substr(copied);
  return filled;
}

}  // namespace bulkhead::admin
