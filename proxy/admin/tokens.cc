#include "proxy/admin/tokens.h"

#include <algorithm>
#include <utility>

namespace bulkhead::admin {

namespace {

constexpr size_t kNearLength = 40;

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         static_cast<unsigned char>(c) >= 0x80;
}
bool StartsWord(char c) { return IsLetterOrDigit(c) || c == '_' || c == '$' || c == '@'; }
// Inside a word, where another word character follows or may follow.
bool JoinsWord(char c) { return c == '-' || c == '.' || c == ':' || c == '%'; }
bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char Unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '0':
      return '\0';
    case 'b':
      return '\b';
    case 'Z':
      return '\x1a';
    default:
      return c;
  }
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  TokenList Run() {
    if (text_.size() > kMaxStatement) {
      Fail("the statement is longer than 64 KiB", 0);
      return std::move(list_);
    }
    while (!list_.error.has_value() && SkipSpace() && at_ < text_.size()) {
      if (list_.tokens.size() >= kMaxTokens) {
        Fail("the statement has too many words", at_);
        break;
      }
      ReadToken();
    }
    while (!list_.tokens.empty() && list_.tokens.back().IsSign(';')) list_.tokens.pop_back();
    Token end;
    end.begin = end.end = list_.tokens.empty() ? 0 : list_.tokens.back().end;
    list_.tokens.push_back(std::move(end));
    return std::move(list_);
  }

 private:
  void Fail(std::string message, size_t position) {
    list_.error = StatementError{.message = std::move(message), .position = position};
  }
  [[nodiscard]] char Peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  // False: an open comment.
  bool SkipSpace() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (IsSpace(c)) {
        ++at_;
      } else if (c == '#' ||
                 (c == '-' && Peek(1) == '-' && (at_ + 2 == text_.size() || IsSpace(Peek(2))))) {
        const size_t end = text_.find('\n', at_);
        at_ = end == std::string_view::npos ? text_.size() : end;
      } else if (c == '/' && Peek(1) == '*') {
        // Executable comments are read as what they hold.
        if (Peek(2) == '!' || (Peek(2) == 'M' && Peek(3) == '!')) {
          at_ += Peek(2) == '!' ? 3 : 4;
          while (Peek() >= '0' && Peek() <= '9') ++at_;
          ++executable_;
          continue;
        }
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) {
          Fail("the comment is not closed", at_);
          return false;
        }
        at_ = end + 2;
      } else if (executable_ > 0 && c == '*' && Peek(1) == '/') {
        --executable_;
        at_ += 2;
      } else {
        break;
      }
    }
    return true;
  }

  void ReadToken() {
    const char c = text_[at_];
    if (c == '\'' || c == '"' || c == '`') {
      ReadQuoted(c);
    } else if (StartsWord(c) || (JoinsWord(c) && c != '-' && c != '%')) {
      ReadWord();
    } else {
      Add(TokenKind::kSign, std::string(1, c), at_, at_ + 1);
      ++at_;
    }
  }

  void ReadWord() {
    const size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool joins = JoinsWord(c) && !(c == '-' && Peek(1) == '-');
      if (!StartsWord(c) && !joins) break;
      ++at_;
    }
    Add(TokenKind::kWord, std::string(text_.substr(begin, at_ - begin)), begin, at_);
  }

  void ReadQuoted(char quote) {
    const size_t begin = at_++;
    std::string value;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == quote) {
        if (Peek() != quote) {
          Add(quote == '`' ? TokenKind::kName : TokenKind::kString, std::move(value), begin, at_);
          return;
        }
        ++at_;
        value += quote;
      } else if (c == '\\' && quote != '`' && at_ < text_.size()) {
        // The two that LIKE reads itself keep their backslash.
        if (text_[at_] == '%' || text_[at_] == '_') value += c;
        value += Unescaped(text_[at_++]);
      } else {
        value += c;
      }
    }
    Fail(quote == '`' ? "the name is not closed" : "the string is not closed", begin);
  }

  void Add(TokenKind kind, std::string text, size_t begin, size_t end) {
    list_.tokens.push_back(
        Token{.kind = kind, .text = std::move(text), .begin = begin, .end = end});
  }

  const std::string_view text_;
  size_t at_ = 0;
  int executable_ = 0;
  TokenList list_;
};

char UpperChar(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
char LowerChar(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::string Upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), UpperChar);
  return result;
}

std::string Lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), LowerChar);
  return result;
}

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return LowerChar(x) == LowerChar(y);
         });
}

bool Token::Is(std::string_view keyword) const {
  return kind == TokenKind::kWord && EqualsIgnoringCase(text, keyword);
}

std::string NearText(std::string_view statement, size_t position) {
  while (!statement.empty() && (IsSpace(statement.back()) || statement.back() == ';'))
    statement.remove_suffix(1);
  if (position >= statement.size()) return " at the end of the statement";
  std::string near(statement.substr(position, kNearLength));
  // Not in the middle of a UTF-8 character.
  while (!near.empty() && position + near.size() < statement.size() &&
         (static_cast<unsigned char>(statement[position + near.size()]) & 0xC0) == 0x80)
    near.pop_back();
  std::replace_if(
      near.begin(), near.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return " near '" + near + "' at character " + std::to_string(position + 1);
}

TokenList Tokenize(std::string_view text) { return Lexer(text).Run(); }

}  // namespace bulkhead::admin
