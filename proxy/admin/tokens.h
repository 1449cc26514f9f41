// The lexer of admin statements: words, names, strings and signs, each with its place.
//
// Purpose: what the grammar reads, and what errors point at. Comments (/* */, -- , #) are skipped.
// Thread: any; pure. Units: byte offsets into the text.
// Limits: kMaxStatement bytes and kMaxTokens tokens.
// Errors: one in words, with its place: an open string or comment, a sign that means nothing here.
// Source: MySQL 8.0 Reference Manual, "String Literals", "Schema Object Names", "Comments".
#ifndef BULKHEAD_PROXY_ADMIN_TOKENS_H_
#define BULKHEAD_PROXY_ADMIN_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::admin {

inline constexpr size_t kMaxStatement = 64 * 1024;
inline constexpr size_t kMaxTokens = 4096;

enum class TokenKind : uint8_t {
  kWord,  // letters, digits, and _ $ - . : @ % inside: keywords, names, numbers, 30s, 10.0.0.1:3306
  kName,  // in backticks
  kString,  // in single or double quotes
  kSign,    // one of ( ) , = ; * < > + / ! and others
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;  // without quotes and escapes
  size_t begin = 0;
  size_t end = 0;

  [[nodiscard]] bool Is(std::string_view keyword) const;  // in upper case; words only
  [[nodiscard]] bool IsSign(char sign) const {
    return kind == TokenKind::kSign && text.size() == 1 && text[0] == sign;
  }
  // Something that can be a name or a value.
  [[nodiscard]] bool IsText() const {
    return kind == TokenKind::kWord || kind == TokenKind::kName || kind == TokenKind::kString;
  }
};

// A statement that can't be done, for the client.
struct StatementError {
  uint16_t code = 1064;
  std::string message;
  size_t position = 0;  // byte offset of the word it is about
};

struct TokenList {
  std::vector<Token> tokens;  // ends with kEnd; without a trailing ;
  std::optional<StatementError> error;
};
[[nodiscard]] TokenList Tokenize(std::string_view text);

// ASCII.
[[nodiscard]] std::string Upper(std::string_view text);
[[nodiscard]] std::string Lower(std::string_view text);
[[nodiscard]] bool EqualsIgnoringCase(std::string_view a, std::string_view b);

// " near 'the rest' at character 12": `position` as people count, from 1.
[[nodiscard]] std::string NearText(std::string_view statement, size_t position);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_TOKENS_H_
