// The text as tokens, the way the server splits it.
//
// Purpose: white space, comments and literals are recognised exactly as the server does with the
//   session's sql_mode, charset, family and version, so that nothing that the server executes hides
//   in what we take for a string or a comment, and the other way round.
// Thread: any; a Lexer belongs to one text. No allocation; tokens are views into the text.
// Limits: none; each byte is looked at a bounded number of times.
// Errors: where the server gives up with a syntax error (a string or comment without an end, x'1'),
//   the tokens end and `broken()` is true. Where it is not clear what the server reads,
//   `ambiguous()` is.
// Sources: lex_one_token and its helpers in sql/sql_lex.cc of MySQL 8.0 to 9 and MariaDB 10.11;
//   MySQL manual "Comments", "String literals", "Schema object names"; "Are you ready for MySQL 10"
//   (six digits in version comments from 8.1 on); MariaDB knowledge base, "Comment syntax".
#ifndef BULKHEAD_PROXY_SQL_LEXER_H_
#define BULKHEAD_PROXY_SQL_LEXER_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "proxy/sql/charset.h"
#include "proxy/sql/statement.h"
#include "proxy/sql/words.h"

namespace bulkhead::sql {

enum class TokenKind : uint8_t {
  kEnd,
  kWord,            // an unquoted identifier or keyword
  kQuotedName,      // `x`, with ANSI_QUOTES also "x"
  kString,          // 'x', "x", N'x', $$x$$
  kBitString,       // 0x1F, x'1F', 0b1, b'1'
  kNumber,          // without sign
  kUserVariable,    // @x, @`x`, @'x', @"x"; a lone @
  kSystemVariable,  // the two characters @@; the name follows
  kAssign,          // :=
  kSymbol,          // any other single character
};

// What lies between a token and the one before.
enum class Gap : uint8_t { kNone, kSpace, kComment };

struct Token {
  TokenKind kind = TokenKind::kEnd;
  Gap gap = Gap::kNone;
  char symbol = 0;             // of kSymbol
  const Word* word = nullptr;  // of kWord that is a keyword or function, where it can be one
  std::string_view text;       // as written

  [[nodiscard]] bool Is(char c) const { return kind == TokenKind::kSymbol && symbol == c; }
  [[nodiscard]] bool Is(Keyword keyword) const {
    return word != nullptr && word->keyword == keyword;
  }
  [[nodiscard]] Keyword keyword() const { return word == nullptr ? Keyword::kNone : word->keyword; }
  [[nodiscard]] bool IsName() const {
    return kind == TokenKind::kWord || kind == TokenKind::kQuotedName;
  }
};

class Lexer {
 public:
  // `mode` must outlive the lexer.
  Lexer(std::string_view text, const LexerMode& mode);

  void Next(Token* token);

  [[nodiscard]] CharsetLexing charset() const { return charset_; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] bool ambiguous() const { return ambiguous_; }
  [[nodiscard]] bool saw_hint_comment() const { return saw_hint_comment_; }
  // First tenant hint of the comments since the last ForgetTenantHint.
  [[nodiscard]] std::string_view tenant_hint() const { return tenant_hint_; }
  void ForgetTenantHint() { tenant_hint_ = {}; }

 private:
  // Between tokens (lexer_comments.cc).
  Gap SkipBlanks();
  bool SkipLineComment();
  bool SkipBlockComment();
  bool EnterExecutableComment(size_t body, bool mariadb_mark);
  void SkipUnusedComment(size_t body);
  size_t FindCommentEnd(size_t from) const;
  void CheckOptimizerHint(std::string_view body);

  // Tokens.
  void ReadWord(Token* token);
  void ReadAfterDot(Token* token);
  void ReadNumber(Token* token);
  void ReadPrefixedNumber(Token* token, bool hexadecimal);
  void ReadQuotedDigits(Token* token);
  void ReadString(Token* token, size_t quote_at);
  void ReadQuotedName(Token* token);
  void ReadUserVariable(Token* token);
  void ReadDollarQuoted(Token* token);
  void ReadSymbol(Token* token);
  void Give(Token* token, TokenKind kind, size_t end) {
    token->kind = kind;
    token->text = std::string_view(text_.data() + at_, end - at_);
    at_ = end;
  }
  void Break(Token* token);
  void Stop();

  [[nodiscard]] size_t EndOfIdentifier(size_t from) const;
  [[nodiscard]] size_t EndOfDigits(size_t from) const;
  // Behind the closing quote of the quoted text that begins at `quote_at`; npos without one.
  [[nodiscard]] size_t EndOfQuoted(size_t quote_at, bool with_escapes) const;
  [[nodiscard]] size_t EndOfLongQuoted(size_t from, char quote, bool with_escapes) const;

  [[nodiscard]] uint8_t ClassAt(size_t at) const {
    return at < text_.size() ? (*classes_)[static_cast<uint8_t>(text_[at])] : 0;
  }
  [[nodiscard]] char CharAt(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  std::string_view text_;
  const LexerMode* mode_;
  const std::array<uint8_t, 256>* classes_;
  CharsetLexing charset_;
  size_t at_ = 0;
  std::string_view tenant_hint_;
  size_t dot_at_ = std::string_view::npos;  // of a dot that belongs to the word before
  bool in_executable_ = false;
  bool name_expected_ = false;  // behind a dot: the next word is no keyword
  bool broken_ = false;
  bool ambiguous_;
  bool dollar_seen_ = false;
  bool saw_hint_comment_ = false;
};

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_LEXER_H_
