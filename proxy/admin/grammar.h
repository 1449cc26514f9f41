// The grammar: a statement's text against the list of statements.
//
// Purpose: reads the notation of Statement::syntax once, then matches tokens with it by recursive
// descent, one token of look-ahead. What it matched is a flat list, from which commands are made.
// Thread: any; pure (the notation is read at the first use).
// Limits: those of tokens.h.
// Errors: the place, what was expected there, and the nearest word that would have been right.
#ifndef BULKHEAD_PROXY_ADMIN_GRAMMAR_H_
#define BULKHEAD_PROXY_ADMIN_GRAMMAR_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/statement_list.h"
#include "proxy/admin/tokens.h"

namespace bulkhead::admin {

// A keyword (in upper case) or a value, in the order of the text.
struct Matched {
  bool is_keyword = false;
  std::string text;
  size_t position = 0;
  std::vector<std::string> list{};  // of <backends>
};

struct MatchResult {
  const Statement* statement = nullptr;  // nullptr: see error
  std::vector<Matched> parts;
  StatementError error;

  [[nodiscard]] bool Has(std::string_view keyword) const { return Find(keyword) != nullptr; }
  // What follows a keyword, which must be there.
  [[nodiscard]] const Matched& After(std::string_view keyword) const;
  [[nodiscard]] std::optional<std::string> TextAfter(std::string_view keyword) const;

 private:
  [[nodiscard]] const Matched* Find(std::string_view keyword) const;
};

[[nodiscard]] MatchResult MatchStatement(std::string_view text, const TokenList& tokens);

// Whether `word` may begin a statement.
[[nodiscard]] bool BeginsStatement(const Token& word);
// The error of a value that its kind does not allow; "" if it is fine. `kind` as in the notation.
[[nodiscard]] std::string ValueProblem(std::string_view kind, const Token& token);

// "; did you mean X?" where one of `known` is near, otherwise "".
[[nodiscard]] std::string Suggestion(std::string_view word,
                                     const std::vector<std::string_view>& known);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_GRAMMAR_H_
