// What the rest of a statement uses: functions, variables, tables and schemas.
#include "proxy/sql/analyzer.h"
#include "proxy/sql/keyword_roles.h"

namespace bulkhead::sql {
namespace {

bool IsStructural(Keyword keyword) {
  return kKeywordTables.structural[static_cast<size_t>(keyword)];
}

bool IsInsertModifier(Keyword keyword) {
  return keyword == Keyword::kLowPriority || keyword == Keyword::kHighPriority ||
         keyword == Keyword::kDelayed || keyword == Keyword::kIgnore;
}

bool StartsQuery(const Token& token) {
  return token.Is(Keyword::kSelect) || token.Is(Keyword::kWith) || token.Is(Keyword::kValues) ||
         token.Is(Keyword::kTable);
}

}  // namespace

void Analyzer::ScanRest() {
  while (!AtEnd()) ScanToken();
}

void Analyzer::ScanToken() {
  if (table_position_ != TablePosition::kNone && ScanTablePosition()) return;
  switch (cur_.kind) {
    case TokenKind::kWord:
      ScanWord();
      break;
    case TokenKind::kQuotedName:
      ScanName();
      break;
    case TokenKind::kUserVariable:
      ScanUserVariable();
      break;
    case TokenKind::kSystemVariable:
      ScanSystemVariable();
      break;
    case TokenKind::kAssign:
      Flag(kWritesUserVariable);
      Advance();
      break;
    case TokenKind::kSymbol:
      ScanSymbol();
      break;
    case TokenKind::kString:
    case TokenKind::kBitString:
    case TokenKind::kNumber:
    case TokenKind::kEnd:
      Advance();
      break;
  }
}

// True if the token was consumed.
bool Analyzer::ScanTablePosition() {
  const TablePosition position = table_position_;
  if (cur_.Is('(') && position == TablePosition::kSource) {
    OpenParenthesis(true);
    return true;
  }
  if (cur_.Is('{')) {  // {OJ t LEFT OUTER JOIN ...}
    Advance();
    if (cur_.kind == TokenKind::kWord) Advance();
    return true;
  }
  if (cur_.Is('.')) {  // .t: a table of the current schema
    Advance();
    return true;
  }
  if (cur_.kind == TokenKind::kWord && IsInsertModifier(cur_.keyword())) {
    Advance();
    return true;
  }
  if (cur_.Is(Keyword::kLateral) && !mode_.mariadb) {
    Advance();
    return true;
  }
  table_position_ = TablePosition::kNone;
  if (!cur_.IsName()) return false;
  if (cur_.Is(Keyword::kDual)) {
    Advance();
    return true;
  }
  if (IsStructural(cur_.keyword())) return false;
  ScanTableName(position);
  return true;
}

void Analyzer::ScanTableName(TablePosition position) {
  const Token first = cur_;
  Advance();
  const int parts = ReadQualifiers(false);
  if (position == TablePosition::kSource && cur_.Is('(')) {
    // No table has arguments: JSON_TABLE, or what only looked like a list of tables.
    if (!first.Is(Keyword::kJsonTable)) OnCall(parts == 1 ? first : Token(), Token());
    return;
  }
  Flag(kReferencesTable);
  if (parts > 1) AddSchema(first);
}

// Behind the first part of a name: the number of parts of a.b.c or a.b.*, all consumed.
int Analyzer::ReadQualifiers(bool count_star) {
  int parts = 1;
  while (cur_.Is('.')) {
    Advance();
    if (cur_.Is('*')) {
      Advance();
      return count_star ? parts + 1 : parts;
    }
    if (cur_.IsName()) Advance();
    ++parts;
  }
  return parts;
}

void Analyzer::ScanWord() {
  if (cur_.word == nullptr) {
    ScanName();
    return;
  }
  const Token word = cur_;
  const Token before = prev_;
  if (word.word->keyword == Keyword::kNone) {
    if (word.word->form == CallForm::kNever) {
      Advance();
      if (cur_.Is('(')) OnCall(word, before);
    } else {
      ScanName();
    }
    return;
  }
  Advance();
  if (cur_.Is('.') && !IsStructural(word.word->keyword)) {  // a name after all: data . t
    FinishName(word, before);
    return;
  }
  OnKeyword(*word.word, before);
  if (cur_.Is('(')) OnCall(word, before);
}

void Analyzer::ScanName() {
  const Token first = cur_;
  const Token before = prev_;
  Advance();
  FinishName(first, before);
}

// Behind the first part of a name.
void Analyzer::FinishName(const Token& first, const Token& before) {
  const int parts = ReadQualifiers(true);
  if (cur_.Is('(')) OnCall(parts == 1 ? first : Token(), before);
  if (parts > 2 || (parts == 2 && (every_qualifier_is_schema_ || cur_.Is('(')))) AddSchema(first);
}

// At the parenthesis behind `name`; an empty token stands for a qualified name.
void Analyzer::OnCall(const Token& name, const Token& before) {
  if (!MayBeCall(before)) return;
  CallForm form = CallForm::kStored;
  if (name.word != nullptr && name.kind == TokenKind::kWord) form = name.word->FormFor(mode_);
  const bool adjacent = cur_.gap == Gap::kNone || (mode_.ignore_space && cur_.gap == Gap::kSpace);
  if (form == CallForm::kAdjacent) form = adjacent ? CallForm::kBuiltin : CallForm::kStored;
  switch (form) {
    case CallForm::kNever:
      return;
    case CallForm::kBuiltin:
      OnEffect(name.word->effect);
      return;
    case CallForm::kStored:
    case CallForm::kAdjacent:
      Flag(kUnknownFunction | kReferencesTable);
      if (name.kind == TokenKind::kQuotedName) OnQuotedCall(name);
      return;
  }
}

// `get_lock`(...) is the built-in function, `count`(...) a stored one: it depends on how the server
// finds each, so the effect of the first is assumed beside the unknown function.
void Analyzer::OnQuotedCall(const Token& name) {
  const Word* word = FindWord(name.text.substr(1, name.text.size() - 2));
  if (word != nullptr) OnEffect(word->effect);
}

// A name with a parenthesis behind it is something else where a column list may follow: AS x (a),
// FROM (SELECT ...) x (a), WITH x (a) AS, CREATE TABLE t (a INT). Behind a closing parenthesis or a
// string there is only an operator or an alias: MATCH (a) AGAINST ('x'), PATH '$' COLUMNS (a INT).
bool Analyzer::MayBeCall(const Token& before) const {
  if (names_are_not_calls_ || before.Is(')') || before.kind == TokenKind::kString) return false;
  if (before.Is(Keyword::kAs)) return false;
  if (in_cte_list_ && depth_ == cte_depth_) {
    return !before.Is(Keyword::kWith) && !before.Is(Keyword::kRecursive) && !before.Is(',');
  }
  return true;
}

void Analyzer::OnEffect(CallEffect effect) {
  next_call_ = effect;
  switch (effect) {
    case CallEffect::kNone:
    case CallEffect::kFromInside:
    case CallEffect::kSomeArgument:
      break;
    case CallEffect::kTwoArguments:
      if (depth_ >= 63) Flag(kUnknownFunction);  // too deep for counting
      break;
    case CallEffect::kLock:
      Flag(kUsesLockFunction);
      break;
    case CallEffect::kLastInsertId:
      Flag(kReadsLastInsertId);
      break;
    case CallEffect::kFoundRows:
      Flag(kReadsFoundRows);
      break;
    case CallEffect::kRowCount:
      Flag(kReadsRowCount);
      break;
    case CallEffect::kConnectionId:
      Flag(kReadsConnectionId);
      break;
    case CallEffect::kSessionStatus:
      Flag(kReadsSessionStatus);
      break;
    case CallEffect::kSequence:
      Flag(kUnknownFunction | kReferencesTable);
      break;
  }
}

void Analyzer::OpenParenthesis(bool of_tables) {
  if (in_cte_list_ && depth_ == cte_depth_ && prev_.Is(')')) in_cte_list_ = false;
  if (kind_pending_ && depth_ == 0 && prev_.Is(')')) {
    kind_pending_ = false;
    info_.kind = StatementKind::kSelect;
  }
  ++depth_;
  from_lists_ &= ~DepthBit();
  from_is_word_ &= ~DepthBit();
  two_arguments_ &= ~DepthBit();
  one_comma_ &= ~DepthBit();
  if (of_tables) from_lists_ |= DepthBit();
  if (depth_ >= 64) Flag(kReferencesTable);
  const CallEffect effect = next_call_;
  next_call_ = CallEffect::kNone;
  if (effect == CallEffect::kFromInside) from_is_word_ |= DepthBit();
  if (effect == CallEffect::kTwoArguments) two_arguments_ |= DepthBit();
  if (effect == CallEffect::kSequence) table_position_ = TablePosition::kTarget;
  Advance();
  if (effect == CallEffect::kLastInsertId && !cur_.Is(')')) Flag(kSetsLastInsertId);
  if (effect == CallEffect::kSomeArgument && cur_.Is(')')) Flag(kUnknownFunction);
  if (StartsQuery(cur_)) {
    table_position_ = TablePosition::kNone;
    EndTables();
  }
}

void Analyzer::ScanSymbol() {
  switch (cur_.symbol) {
    case '(':
      OpenParenthesis(false);
      return;
    case ')':
      if ((two_arguments_ & ~one_comma_ & DepthBit()) != 0) Flag(kUnknownFunction);
      if (depth_ > 0) --depth_;
      if (in_cte_list_ && depth_ < cte_depth_) in_cte_list_ = false;
      break;
    case ',':
      if ((one_comma_ & DepthBit()) != 0 && (two_arguments_ & DepthBit()) != 0) {
        Flag(kUnknownFunction);
      }
      one_comma_ |= DepthBit();
      if (InFromList()) table_position_ = TablePosition::kSource;
      break;
    default:
      break;
  }
  Advance();
}

void Analyzer::ScanUserVariable() {
  // 'u'@'h', `u`@h and, where only accounts can stand, u@h.
  const bool account =
      cur_.gap == Gap::kNone &&
      (prev_.kind == TokenKind::kString || prev_.kind == TokenKind::kQuotedName ||
       (prev_.kind == TokenKind::kWord && prev_.word == nullptr && every_qualifier_is_schema_));
  if (!account) {
    Flag(kReadsUserVariable);
    if (writes_user_variables_) Flag(kWritesUserVariable);
  }
  Advance();
}

void Analyzer::ScanSystemVariable() {
  Flag(kReadsSystemVariable);
  Advance();
  if (!cur_.IsName()) return;
  Token name = cur_;
  Advance();
  while (cur_.Is('.')) {
    Advance();
    if (!cur_.IsName()) return;
    name = cur_;
    Advance();
  }
  std::string_view text = name.text;
  if (name.kind == TokenKind::kQuotedName) text = text.substr(1, text.size() - 2);
  if (EqualsLower(text, "last_insert_id") || EqualsLower(text, "identity")) {
    Flag(kReadsLastInsertId);
  } else if (EqualsLower(text, "warning_count") || EqualsLower(text, "error_count")) {
    Flag(kReadsWarnings);
  } else if (EqualsLower(text, "pseudo_thread_id")) {
    Flag(kReadsConnectionId);
  } else if (EqualsLower(text, "last_gtid")) {
    Flag(kReadsSessionStatus);
  }
}

// Behind `word`; `before` is the token that stood before it.
void Analyzer::OnKeyword(const Word& word, const Token& before) {
  switch (kKeywordTables.roles[static_cast<size_t>(word.keyword)]) {
    case Role::kNone:
      return;
    case Role::kFrom:
      if ((from_is_word_ & DepthBit()) == 0) ExpectTables();
      return;
    case Role::kJoin:
    case Role::kStraightJoin:  // SELECT STRAIGHT_JOIN a.b is no table
      if (InFromList() || word.keyword == Keyword::kJoin) table_position_ = TablePosition::kSource;
      return;
    case Role::kInto:
      OnInto();
      return;
    case Role::kUpdate:
      OnUpdate(before);
      return;
    case Role::kTable:
      OnVerb(StatementKind::kSelect, before);
      table_position_ = TablePosition::kTarget;
      return;
    case Role::kUsing:
      if (is_delete_ && !cur_.Is('(')) ExpectTables();
      return;
    case Role::kWith:
      if (before.Is('(')) OpenCteList();
      return;
    case Role::kSelect:
      OnSelect(before);
      return;
    case Role::kValues:
      // Of a query; PARTITION p VALUES LESS THAN (1) is none.
      if (!cur_.Is(Keyword::kLess) && !cur_.Is(Keyword::kIn)) names_are_not_calls_ = false;
      OnVerb(StatementKind::kSelect, before);
      return;
    case Role::kOtherVerb:
      is_delete_ = is_delete_ || (word.keyword == Keyword::kDelete && kind_pending_);
      OnVerb(StatementKind::kDml, before);
      return;
    case Role::kEndsFromList:
      EndTables();
      return;
    case Role::kOrdering:
      if (!before.Is(Keyword::kFor)) EndTables();
      return;
    case Role::kSetOperation:  // a name in old versions
      if (word.FormFor(mode_) == CallForm::kNever) EndTables();
      return;
    case Role::kReturning:  // a name for MySQL
      if (mode_.mariadb) EndTables();
      return;
    case Role::kShare:
    case Role::kFor:
    case Role::kOutfile:
    case Role::kCalcFoundRows:
    case Role::kEvent:
      OnModifier(word.keyword, before);
      return;
  }
}

// Words that only tell of the statement they stand in.
void Analyzer::OnModifier(Keyword keyword, const Token& before) {
  if (keyword == Keyword::kShare) {
    if (before.Is(Keyword::kFor) || before.Is(Keyword::kIn)) Flag(kLockingRead);
  } else if (keyword == Keyword::kFor) {  // NEXT VALUE FOR s, PREVIOUS VALUE FOR s
    if (!before.Is(Keyword::kValue)) return;
    Flag(kUnknownFunction | kReferencesTable);
    table_position_ = TablePosition::kTarget;
  } else if (keyword == Keyword::kSqlCalcFoundRows) {
    Flag(kCalcFoundRows);
  } else if (keyword == Keyword::kEvent) {  // ON SCHEDULE takes expressions
    names_are_not_calls_ = false;
  } else {  // OUTFILE, DUMPFILE
    Flag(kIntoOutfile);
  }
}

void Analyzer::OnSelect(const Token& before) {
  if (info_.kind == StatementKind::kAdmin) return;  // GRANT SELECT ON d.t
  names_are_not_calls_ = false;
  if (info_.kind != StatementKind::kOther) every_qualifier_is_schema_ = false;
  EndTables();
  OnVerb(StatementKind::kSelect, before);
}

void Analyzer::OpenCteList() {
  in_cte_list_ = true;
  cte_depth_ = depth_;
}

// A comma at this depth separates tables, until EndTables.
void Analyzer::ExpectTables() {
  table_position_ = TablePosition::kSource;
  from_lists_ |= DepthBit();
}

void Analyzer::EndTables() { from_lists_ &= ~DepthBit(); }

// At a verb that may be the one that WITH a AS (...), b AS (...) was for.
void Analyzer::OnVerb(StatementKind kind, const Token& before) {
  if (in_cte_list_ && depth_ <= cte_depth_) in_cte_list_ = false;
  if (!kind_pending_ || depth_ != 0 || !before.Is(')')) return;
  kind_pending_ = false;
  info_.kind = kind;
}

void Analyzer::OnInto() {
  if (cur_.kind == TokenKind::kUserVariable) {
    Flag(kWritesUserVariable);
  } else if (!cur_.Is(Keyword::kOutfile) && !cur_.Is(Keyword::kDumpfile)) {
    table_position_ = TablePosition::kTarget;
  }
}

void Analyzer::OnUpdate(const Token& before) {
  if (before.Is(Keyword::kFor)) {
    Flag(kLockingRead);
    return;
  }
  EndTables();
  if (before.Is(Keyword::kKey) || before.Is(Keyword::kOn)) return;
  ExpectTables();
  OnVerb(StatementKind::kDml, before);
}

}  // namespace bulkhead::sql
