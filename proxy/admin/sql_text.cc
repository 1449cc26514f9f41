#include "proxy/admin/sql_text.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace bulkhead::admin {

namespace {

constexpr std::string_view kVariableCall = "bulkhead_variable('";

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool IsWordChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// MySQL's functions with the name of a word of SQLite's grammar: registered as mysql_NAME.
bool IsSqliteKeyword(std::string_view function) {
  return EqualsIgnoringCase(function, "LEFT") || EqualsIgnoringCase(function, "RIGHT") ||
         EqualsIgnoringCase(function, "ISNULL");
}

class Rewriter {
 public:
  explicit Rewriter(std::string_view text) : text_(text) {}

  SqliteText Run() {
    if (text_.size() > kMaxStatement) Fail("the statement is longer than 64 KiB", 0);
    while (!out_.error.has_value() && at_ < text_.size()) Step();
    return std::move(out_);
  }

 private:
  void Fail(std::string_view what, size_t position) {
    out_.error = StatementError{
        .message = "syntax error" + NearText(text_, position) + ": " + std::string(what),
        .position = position};
  }
  [[nodiscard]] char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  void Step() {
    const char c = text_[at_];
    if (IsSpace(c)) {
      out_.sql += ' ';
      ++at_;
    } else if (c == '#' ||
               (c == '-' && Peek(1) == '-' && (at_ + 2 == text_.size() || IsSpace(Peek(2))))) {
      const size_t end = text_.find('\n', at_);
      at_ = end == std::string_view::npos ? text_.size() : end;
    } else if (c == '/' && Peek(1) == '*') {
      Comment();
    } else if (executable_ > 0 && c == '*' && Peek(1) == '/') {
      --executable_;
      at_ += 2;
    } else if (ended_) {
      if (c != ';') Fail("one statement at a time", at_);
      ++at_;
    } else if (c == ';') {
      ended_ = true;
      ++at_;
    } else if (c == '\'' || c == '"') {
      String(c);
    } else if (c == '`') {
      Name();
    } else if (c == '@') {
      Variable();
    } else if (c == '$' || c == '?' || c == ':') {
      Fail("there are no parameters here", at_);
    } else if (c == '\0') {
      Fail("a NUL", at_);
    } else if (IsWordChar(c)) {
      Word();
    } else {
      Sign(c);
    }
  }

  // CONVERT(x, UNSIGNED INTEGER): the type is no expression, so it becomes a string.
  void Sign(char c) {
    out_.sql += c;
    ++at_;
    if (c == '(') {
      calls_.push_back(std::exchange(converts_, false));
    } else if (c == ')' && !calls_.empty()) {
      calls_.pop_back();
    } else if (c == ',' && !calls_.empty() && calls_.back()) {
      TypeOfConvert();
    }
  }
  void TypeOfConvert() {
    size_t end = std::min(text_.find(')', at_), text_.size());
    const bool sized = text_.substr(at_, end - at_).find('(') != std::string_view::npos;
    if (sized && end < text_.size()) end = std::min(text_.find(')', end + 1), text_.size());
    out_.sql += SqliteLiteral(text_.substr(at_, end - at_));
    at_ = end;
  }

  void Comment() {
    if (Peek(2) == '!' || (Peek(2) == 'M' && Peek(3) == '!')) {
      at_ += Peek(2) == '!' ? 3 : 4;
      while (Peek() >= '0' && Peek() <= '9') ++at_;
      ++executable_;
      out_.sql += ' ';
      return;
    }
    const size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) {
      Fail("the comment is not closed", at_);
      return;
    }
    at_ = end + 2;
    out_.sql += ' ';
  }

  void String(char quote) {
    const size_t begin = at_;
    // One token, read as everywhere else.
    size_t end = begin + 1;
    while (end < text_.size()) {
      if (text_[end] == '\\') {
        end += 2;
      } else if (text_[end] != quote) {
        ++end;
      } else if (end + 1 < text_.size() && text_[end + 1] == quote) {
        end += 2;
      } else {
        break;
      }
    }
    if (end >= text_.size()) {
      Fail("the string is not closed", begin);
      return;
    }
    const TokenList token = Tokenize(text_.substr(begin, end + 1 - begin));
    out_.sql += SqliteLiteral(token.tokens.front().text);
    at_ = end + 1;
  }

  void Name() {
    size_t end = text_.find('`', at_ + 1);
    while (end != std::string_view::npos && end + 1 < text_.size() && text_[end + 1] == '`')
      end = text_.find('`', end + 2);
    if (end == std::string_view::npos) {
      Fail("the name is not closed", at_);
      return;
    }
    out_.sql += text_.substr(at_, end + 1 - at_);
    at_ = end + 1;
  }

  void Variable() {
    const bool system = Peek(1) == '@';
    size_t end = at_ + (system ? 2 : 1);
    const size_t begin = end;
    while (end < text_.size() && (IsWordChar(text_[end]) || text_[end] == '.')) ++end;
    const std::string_view name = text_.substr(begin, end - begin);
    if (name.empty()) {
      Fail("a variable without a name", at_);
      return;
    }
    // Nobody can set a user variable here.
    out_.sql += system ? std::string(kVariableCall) + std::string(name) + "')" : "NULL";
    at_ = end;
  }

  void Word() {
    const size_t begin = at_;
    while (at_ < text_.size() && IsWordChar(text_[at_])) ++at_;
    const std::string_view word = text_.substr(begin, at_ - begin);
    size_t next = at_;
    while (next < text_.size() && IsSpace(text_[next])) ++next;
    const bool called = next < text_.size() && text_[next] == '(';
    converts_ = called && EqualsIgnoringCase(word, "CONVERT");
    if (EqualsIgnoringCase(word, "USING") && !calls_.empty() && calls_.back()) {
      out_.sql += ',';  // CONVERT(x USING utf8mb4)
      TypeOfConvert();
      return;
    }
    if (called && IsSqliteKeyword(word)) out_.sql += "mysql_";
    out_.sql += word;
    if (!called && EqualsIgnoringCase(word, "CURRENT_USER")) out_.sql += "()";
  }

  const std::string_view text_;
  size_t at_ = 0;
  int executable_ = 0;
  bool ended_ = false;
  bool converts_ = false;    // the next parenthesis is CONVERT's
  std::vector<bool> calls_;  // open parentheses: is it CONVERT's?
  SqliteText out_;
};

}  // namespace

SqliteText MysqlToSqlite(std::string_view text) { return Rewriter(text).Run(); }

std::string SqliteLiteral(std::string_view text) {
  std::string literal = "'";
  for (const char c : text) {
    if (c == '\0') continue;  // SQLite's texts end there
    if (c == '\'') literal += c;
    literal += c;
  }
  return literal + "'";
}

std::string ColumnNameFromSqlite(std::string_view name) {
  std::string result(name);
  for (size_t at = 0; (at = result.find(kVariableCall, at)) != std::string::npos;) {
    const size_t end = result.find("')", at);
    if (end == std::string::npos) break;
    const std::string variable =
        result.substr(at + kVariableCall.size(), end - at - kVariableCall.size());
    result.replace(at, end + 2 - at, "@@" + variable);
    at += variable.size() + 2;
  }
  return result;
}

}  // namespace bulkhead::admin
