// The text without its values.
#include <algorithm>

#include "proxy/sql/lexer.h"

namespace bulkhead::sql {
namespace {

bool IsLiteral(const Token& token) {
  return token.kind == TokenKind::kString || token.kind == TokenKind::kBitString ||
         token.kind == TokenKind::kNumber;
}

// Without a half character at the end.
void CutUtf8(size_t max_bytes, std::string* text) {
  if (text->size() <= max_bytes) return;
  while (max_bytes > 0 && (static_cast<uint8_t>((*text)[max_bytes]) & 0xC0) == 0x80) --max_bytes;
  text->resize(max_bytes);
}

}  // namespace

std::string Digest(std::string_view text, const LexerMode& mode, size_t max_bytes) {
  std::string digest;
  digest.reserve(std::min(text.size(), max_bytes));
  Lexer lexer(text, mode);
  Token token;
  for (lexer.Next(&token); token.kind != TokenKind::kEnd; lexer.Next(&token)) {
    if (digest.size() >= max_bytes) break;
    if (token.gap != Gap::kNone && !digest.empty()) digest.push_back(' ');
    if (IsLiteral(token)) {
      digest.push_back('?');
    } else {
      digest.append(token.text.substr(0, max_bytes + 1));
    }
  }
  // What the server would not read to its end is still a literal that nobody should see.
  if (lexer.broken() && digest.size() < max_bytes) digest.append(digest.empty() ? "?" : " ?");
  CutUtf8(max_bytes, &digest);
  return digest;
}

}  // namespace bulkhead::sql
