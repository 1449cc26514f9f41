#include "proxy/sql/lock_calls.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <optional>

#include "proxy/sql/lexer.h"

namespace bulkhead::sql {
namespace {

bool IsWord(const Token& token, std::string_view lower_case) {
  return token.kind == TokenKind::kWord &&
         std::equal(token.text.begin(), token.text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return absl::ascii_tolower(a) == b; });
}

class LockCallReader {
 public:
  LockCallReader(std::string_view text, const LexerMode& mode) : mode_(mode), lexer_(text, mode_) {
    Advance();
  }

  LockCalls Read() {
    LockCalls out;
    if (!IsWord(cur_, "select") && !IsWord(cur_, "do")) return out;
    Advance();
    do {
      std::optional<LockCall> call = ReadCall();
      if (!call.has_value()) return {};
      out.calls.push_back(std::move(*call));
      SkipAlias();
    } while (Accept(','));
    (void)Accept(';');
    out.understood = cur_.kind == TokenKind::kEnd && !lexer_.broken() && !lexer_.ambiguous();
    if (!out.understood) out.calls.clear();
    return out;
  }

 private:
  void Advance() { lexer_.Next(&cur_); }
  bool Accept(char symbol) {
    if (!cur_.Is(symbol)) return false;
    Advance();
    return true;
  }

  std::optional<LockCall> ReadCall() {
    LockCall call{};
    if (IsWord(cur_, "get_lock")) {
      call.kind = LockCall::Kind::kGet;
    } else if (IsWord(cur_, "release_lock")) {
      call.kind = LockCall::Kind::kRelease;
    } else if (IsWord(cur_, "release_all_locks")) {
      call.kind = LockCall::Kind::kReleaseAll;
    } else {
      return std::nullopt;
    }
    Advance();
    if (!Accept('(')) return std::nullopt;
    if (call.kind != LockCall::Kind::kReleaseAll && !ReadName(&call.name)) return std::nullopt;
    if (call.kind == LockCall::Kind::kGet) {
      if (!Accept(',')) return std::nullopt;
      (void)Accept('-');
      if (cur_.kind != TokenKind::kNumber) return std::nullopt;
      Advance();
    }
    if (!Accept(')')) return std::nullopt;
    return call;
  }

  bool ReadName(std::string* name) {
    if (cur_.kind != TokenKind::kString || !DecodeStringLiteral(cur_.text, mode_, name))
      return false;
    // Other letters have a lower case that depends on the server's character sets.
    const bool ascii = std::all_of(name->begin(), name->end(), absl::ascii_isprint);
    for (char& c : *name) c = absl::ascii_tolower(c);
    Advance();
    return ascii;
  }

  void SkipAlias() {
    if (IsWord(cur_, "as")) Advance();
    if (cur_.IsName() && cur_.keyword() == Keyword::kNone) {
      Advance();
    } else if (cur_.kind == TokenKind::kString) {
      Advance();
    }
  }

  const LexerMode mode_;
  Lexer lexer_;
  Token cur_;
};

}  // namespace

LockCalls FindLockCalls(std::string_view text, const LexerMode& mode) {
  return LockCallReader(text, mode).Read();
}

}  // namespace bulkhead::sql
