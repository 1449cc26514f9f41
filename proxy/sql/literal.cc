// String literals as values.
#include <array>

#include "proxy/sql/analyzer.h"

namespace bulkhead::sql {
namespace {

// Of these, bytes in the client's charset mean the same or are taken as they are.
constexpr std::array<std::string_view, 6> kPlainIntroducers = {
    "_utf8", "_utf8mb3", "_utf8mb4", "_latin1", "_ascii", "_binary",
};

bool IsPlainIntroducer(std::string_view word) {
  for (const std::string_view introducer : kPlainIntroducers) {
    if (EqualsLower(word, introducer)) return true;
  }
  return false;
}

// The character that stands behind a backslash. \% and \_ keep it: they are for LIKE.
void AppendEscaped(char c, std::string* out) {
  switch (c) {
    case '0':
      out->push_back('\0');
      break;
    case 'b':
      out->push_back('\b');
      break;
    case 'n':
      out->push_back('\n');
      break;
    case 'r':
      out->push_back('\r');
      break;
    case 't':
      out->push_back('\t');
      break;
    case 'Z':
      out->push_back('\x1A');
      break;
    case '%':
    case '_':
      out->push_back('\\');
      out->push_back(c);
      break;
    default:
      out->push_back(c);
      break;
  }
}

// `written` is one literal that the lexer accepted.
void AppendString(std::string_view written, const LexerMode& mode, std::string* out) {
  const size_t quote_at = written.find_first_of("'\"");
  const char quote = written[quote_at];
  const auto charset = static_cast<CharsetLexing>(mode.charset_id_hint);
  const std::string_view body = written.substr(0, written.size() - 1);
  for (size_t at = quote_at + 1; at < body.size();) {
    const size_t length = CharacterLength(charset, body, at);
    if (length > 1) {
      out->append(body.substr(at, length));
      at += length;
    } else if (body[at] == '\\' && !mode.no_backslash_escapes && at + 1 < body.size()) {
      AppendEscaped(body[at + 1], out);
      at += 2;
    } else {
      out->push_back(body[at]);
      at += body[at] == quote ? 2 : 1;  // a doubled quote
    }
  }
}

}  // namespace

bool DecodeStringLiteral(std::string_view as_written, const LexerMode& mode, std::string* out) {
  out->clear();
  Lexer lexer(as_written, mode);
  Token token;
  lexer.Next(&token);
  if (token.kind == TokenKind::kWord && IsPlainIntroducer(token.text)) lexer.Next(&token);
  if (token.kind != TokenKind::kString) return false;
  for (; token.kind == TokenKind::kString; lexer.Next(&token)) {
    if (token.text.front() == '$') {
      const size_t tag = token.text.find('$', 1) + 1;
      out->append(token.text.substr(tag, token.text.size() - 2 * tag));
    } else {
      AppendString(token.text, mode, out);
    }
  }
  return token.kind == TokenKind::kEnd && !lexer.broken() && !lexer.ambiguous();
}

}  // namespace bulkhead::sql
