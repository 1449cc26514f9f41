#include <absl/strings/ascii.h>

#include <algorithm>
#include <utility>

#include "proxy/sql/analyzer.h"
#include "proxy/sql/statement.h"

namespace bulkhead::sql {
namespace {

constexpr size_t kMaxSchemas = 16;

// Kinds that stay true whatever follows; of others the unseen rest can make something else.
bool SurvivesUnseenRest(StatementKind kind) {
  switch (kind) {
    case StatementKind::kSelect:
    case StatementKind::kDml:
    case StatementKind::kDdl:
    case StatementKind::kShow:
    case StatementKind::kCall:
    case StatementKind::kDo:
    case StatementKind::kPrepareText:
    case StatementKind::kExecuteText:
    case StatementKind::kLockTables:
    case StatementKind::kHandler:
    case StatementKind::kXa:
    case StatementKind::kAdmin:
    case StatementKind::kOther:
      return true;
    case StatementKind::kEmpty:
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kSet:
    case StatementKind::kUse:
    case StatementKind::kKill:
    case StatementKind::kDeallocateText:
    case StatementKind::kUnlockTables:
      return false;
  }
  return false;
}

// What of `info` belongs to one statement and not to the text.
void TakeStatement(StatementInfo* from, StatementInfo* to) {
  to->kind = from->kind;
  to->schema_name = std::move(from->schema_name);
  to->kill_id = from->kill_id;
  to->kill_query_only = from->kill_query_only;
  to->kill_id_is_literal = from->kill_id_is_literal;
  to->text_prepare_name = std::move(from->text_prepare_name);
}

}  // namespace

Analyzer::Analyzer(std::string_view text, const LexerMode& mode, bool truncated)
    : mode_(mode), lexer_(text, mode_), truncated_(truncated) {
  lexer_.Next(&cur_);
}

StatementInfo Analyzer::Run() && {
  ParseStatement();
  std::string_view tenant_hint = lexer_.tenant_hint();
  StatementInfo first;
  bool several = false;
  while (Accept(';')) {
    if (AtEnd()) continue;
    if (!several) TakeStatement(&info_, &first);
    several = true;
    StatementInfo none;
    TakeStatement(&none, &info_);
    ParseStatement();
    info_.later_kinds |= 1u << static_cast<uint32_t>(info_.kind);
  }
  if (several) {
    TakeStatement(&first, &info_);
    Flag(kMultiStatement);
    info_.flags &= ~kShowWarningsExactly;
  } else if (tenant_hint.empty()) {
    tenant_hint = lexer_.tenant_hint();
  }
  info_.tenant_hint = tenant_hint;
  if (lexer_.saw_hint_comment()) Flag(kHasHintComment);
  if (truncated_ || lexer_.ambiguous()) {
    Flag(kCarefulFlags);
    if (!SurvivesUnseenRest(info_.kind)) {
      info_.kind = StatementKind::kOther;
    }
    info_.assignments.clear();
  }
  return std::move(info_);
}

void Analyzer::Advance() {
  prev_ = cur_;
  lexer_.Next(&cur_);
}

bool Analyzer::Accept(Keyword keyword) {
  if (!cur_.Is(keyword)) return false;
  Advance();
  return true;
}

bool Analyzer::Accept(char symbol) {
  if (!cur_.Is(symbol)) return false;
  Advance();
  return true;
}

bool Analyzer::AtWord(std::string_view lower_case) const {
  return cur_.kind == TokenKind::kWord && EqualsLower(cur_.text, lower_case);
}

void Analyzer::AddSchema(const Token& name) {
  std::string schema = Unquoted(name.text);
  if (std::find(info_.schemas.begin(), info_.schemas.end(), schema) != info_.schemas.end()) return;
  if (info_.schemas.size() == kMaxSchemas) {
    info_.schemas_overflow = true;
  } else {
    info_.schemas.push_back(std::move(schema));
  }
}

std::string UnquoteName(std::string_view name, CharsetLexing charset) {
  const bool quoted = name.size() >= 2 && (name.front() == '`' || name.front() == '"');
  if (!quoted) return std::string(name);
  const char quote = name.front();
  const std::string_view body = name.substr(0, name.size() - 1);
  std::string plain;
  plain.reserve(body.size());
  for (size_t at = 1; at < body.size();) {
    const size_t length = CharacterLength(charset, body, at);
    plain.append(body.substr(at, length));
    at += length == 1 && body[at] == quote ? 2 : length;
  }
  return plain;
}

// Trail bytes that look like letters stay.
void LowerAscii(CharsetLexing charset, std::string* name) {
  for (size_t at = 0; at < name->size();) {
    const size_t length = CharacterLength(charset, *name, at);
    if (length == 1) (*name)[at] = absl::ascii_tolower((*name)[at]);
    at += length;
  }
}

std::string Analyzer::Unquoted(std::string_view name) const {
  return UnquoteName(name, lexer_.charset());
}

std::string Analyzer::Lowered(std::string_view name) const {
  std::string lower = Unquoted(name);
  LowerAscii(lexer_.charset(), &lower);
  return lower;
}

bool EqualsLower(std::string_view text, std::string_view lower_case) {
  return std::equal(text.begin(), text.end(), lower_case.begin(), lower_case.end(),
                    [](char a, char b) { return absl::ascii_tolower(a) == b; });
}

StatementInfo Analyze(std::string_view text, const LexerMode& mode, bool truncated) {
  return Analyzer(text, mode, truncated).Run();
}

std::string_view KindName(StatementKind kind) {
  switch (kind) {
    case StatementKind::kEmpty:
      return "empty";
    case StatementKind::kSelect:
      return "select";
    case StatementKind::kDml:
      return "dml";
    case StatementKind::kDdl:
      return "ddl";
    case StatementKind::kBegin:
      return "begin";
    case StatementKind::kCommit:
      return "commit";
    case StatementKind::kRollback:
      return "rollback";
    case StatementKind::kSavepoint:
      return "savepoint";
    case StatementKind::kSet:
      return "set";
    case StatementKind::kUse:
      return "use";
    case StatementKind::kShow:
      return "show";
    case StatementKind::kKill:
      return "kill";
    case StatementKind::kCall:
      return "call";
    case StatementKind::kDo:
      return "do";
    case StatementKind::kPrepareText:
      return "prepare";
    case StatementKind::kExecuteText:
      return "execute";
    case StatementKind::kDeallocateText:
      return "deallocate";
    case StatementKind::kLockTables:
      return "lock_tables";
    case StatementKind::kUnlockTables:
      return "unlock_tables";
    case StatementKind::kHandler:
      return "handler";
    case StatementKind::kXa:
      return "xa";
    case StatementKind::kAdmin:
      return "admin";
    case StatementKind::kOther:
      return "other";
  }
  return "unknown";
}

}  // namespace bulkhead::sql
