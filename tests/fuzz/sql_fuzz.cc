// Analyze, Digest and DecodeStringLiteral on any bytes in any mode: no crash, no byte read outside
// of the text, views inside of it, and answers that do not contradict each other.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "proxy/sql/charset.h"
#include "proxy/sql/lexer.h"
#include "proxy/sql/statement.h"

namespace bulkhead::sql {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

bool Inside(std::string_view view, std::string_view text) {
  if (view.empty()) return true;
  return view.data() >= text.data() && view.data() + view.size() <= text.data() + text.size();
}

LexerMode ModeOf(uint8_t bits, uint8_t charset) {
  LexerMode mode;
  mode.ansi_quotes = (bits & 1) != 0;
  mode.no_backslash_escapes = (bits & 2) != 0;
  mode.ignore_space = (bits & 4) != 0;
  mode.mariadb = (bits & 8) != 0;
  mode.oracle = (bits & 48) == 48;
  mode.server_version = mode.mariadb ? 101100 : (bits & 64) != 0 ? 90700 : 80036;
  mode.charset_id_hint = charset % 10;  // one more than there are
  mode.multibyte_backslash = (charset & 64) != 0;
  return mode;
}

void CheckTokens(std::string_view text, const LexerMode& mode) {
  Lexer lexer(text, mode);
  Token token;
  const char* last = text.data();
  size_t count = 0;
  for (lexer.Next(&token); token.kind != TokenKind::kEnd; lexer.Next(&token)) {
    Require(!token.text.empty() && Inside(token.text, text));
    Require(token.text.data() >= last);
    last = token.text.data() + token.text.size();
    Require(++count <= text.size());
  }
}

void CheckInfo(const StatementInfo& info, std::string_view text, const LexerMode& mode) {
  Require(Inside(info.tenant_hint, text));
  Require(info.schemas.size() <= 16);
  Require(!info.Has(kShowWarningsExactly) || info.Has(kReadsWarnings));
  Require(info.kind != StatementKind::kOther || (info.flags & kCarefulFlags) == kCarefulFlags);
  Require(info.later_kinds == 0 || info.Has(kMultiStatement));
  for (const Assignment& assignment : info.assignments) {
    const bool constant = assignment.name.starts_with("transaction_") &&
                          assignment.value_kind == Assignment::Value::kIdentifier;
    Require(constant || Inside(assignment.value, text));
    Require(Inside(assignment.extra, text));
    std::string value;
    (void)DecodeStringLiteral(assignment.value, mode, &value);
    Require(value.size() <= text.size());
  }
}

}  // namespace
}  // namespace bulkhead::sql

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace bulkhead::sql;
  if (size < 2) return 0;
  const LexerMode mode = ModeOf(data[0], data[1]);
  // A block of exactly that size: a read behind its end is found.
  const size_t length = size - 2;
  const std::unique_ptr<char[]> copy(new char[length]);
  for (size_t i = 0; i < length; ++i) copy[i] = static_cast<char>(data[i + 2]);
  const std::string_view text(copy.get(), length);

  CheckTokens(text, mode);
  const StatementInfo info = Analyze(text, mode);
  CheckInfo(info, text, mode);
  const StatementInfo careful = Analyze(text, mode, true);
  Require((careful.flags & kCarefulFlags) == kCarefulFlags);
  Require(Digest(text, mode, 100).size() <= 100);
  std::string value;
  if (DecodeStringLiteral(text, mode, &value)) Require(value.size() < text.size());
  return 0;
}
