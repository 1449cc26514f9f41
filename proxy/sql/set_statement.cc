// SET in all its forms. Source: sql/sql_yacc.yy of both servers, MySQL manual "SET syntax for
// variable assignment" and "SET TRANSACTION statement", MariaDB knowledge base "SET STATEMENT";
// which names a scope word holds for was tried on MariaDB 10.11.
#include <array>
#include <utility>

#include "proxy/sql/analyzer.h"

namespace bulkhead::sql {
namespace {

constexpr uint32_t kMaxSetStatements = 8;  // within each other, which recurses

// Functions that need no parentheses: as a value they are no bare word.
constexpr std::array<std::string_view, 10> kValueFunctions = {
    "current_date", "current_time",   "current_timestamp", "current_user", "current_role",
    "localtime",    "localtimestamp", "utc_date",          "utc_time",     "utc_timestamp",
};

bool IsValueFunction(std::string_view word) {
  for (const std::string_view function : kValueFunctions) {
    if (EqualsLower(word, function)) return true;
  }
  return false;
}

bool IsTransactionTrait(std::string_view name) {
  return name == "tx_isolation" || name == "transaction_isolation" || name == "tx_read_only" ||
         name == "transaction_read_only";
}

std::string_view Join(const char* begin, std::string_view last) {
  return {begin, static_cast<size_t>(last.data() + last.size() - begin)};
}

}  // namespace

void Analyzer::ParseSet() {
  info_.kind = StatementKind::kSet;
  Advance();
  const size_t before = info_.assignments.size();
  const bool understood = ParseSetList();
  if (!understood) {
    info_.assignments.erase(info_.assignments.begin() + static_cast<ptrdiff_t>(before),
                            info_.assignments.end());
    ParseOther();
  }
}

bool Analyzer::ParseSetList() {
  Assignment::Target scope = Assignment::Target::kSession;
  do {
    if (!ParseSetItem(&scope)) return false;
    if (info_.kind != StatementKind::kSet) return true;  // SET STATEMENT ... FOR another
  } while (Accept(','));
  return AtEnd();
}

// One element of the list. `*scope` is what a bare name means: the last scope word counts for it.
bool Analyzer::ParseSetItem(Assignment::Target* scope) {
  if (cur_.kind == TokenKind::kUserVariable) return ParseUserVariableItem();
  if (cur_.kind == TokenKind::kSystemVariable) return ParseSystemVariableItem();
  if (!cur_.IsName()) return false;
  const Token name = cur_;
  Advance();
  if (cur_.Is('=') || cur_.kind == TokenKind::kAssign || cur_.Is('.')) {
    if (name.Is(Keyword::kPassword) && cur_.Is('=')) return ParseOtherSet("password");
    return ParseVariableItem(*scope, name);
  }
  if (name.Is(Keyword::kGlobal) || name.Is(Keyword::kPersist) || name.Is(Keyword::kPersistOnly)) {
    *scope = Assignment::Target::kGlobal;
    return ParseScopedItem(*scope);
  }
  if (name.Is(Keyword::kSession) || name.Is(Keyword::kLocal)) {
    *scope = Assignment::Target::kSession;
    return ParseScopedItem(*scope);
  }
  return ParseSpecialSet(name);
}

// Behind GLOBAL, SESSION and so on.
bool Analyzer::ParseScopedItem(Assignment::Target scope) {
  if (Accept(Keyword::kTransaction)) return ParseSetTransaction(scope);
  if (!cur_.IsName()) return false;
  const Token name = cur_;
  Advance();
  return ParseVariableItem(scope, name);
}

// Forms that begin with a word of their own and no = behind it.
bool Analyzer::ParseSpecialSet(const Token& word) {
  if (word.Is(Keyword::kNames)) return ParseSetNames();
  if (word.Is(Keyword::kCharset)) return ParseSetCharacterSet();
  if (word.Is(Keyword::kCharacter) || EqualsLower(word.text, "char")) {
    return Accept(Keyword::kSet) && ParseSetCharacterSet();
  }
  if (word.Is(Keyword::kTransaction)) {
    return ParseSetTransaction(Assignment::Target::kNextTransaction);
  }
  if (word.Is(Keyword::kPassword)) return ParseOtherSet("password");
  if (word.Is(Keyword::kRole)) return ParseOtherSet("role");
  if (word.Is(Keyword::kDefault) && Accept(Keyword::kRole)) return ParseOtherSet("default role");
  if (word.Is(Keyword::kResource)) return ParseOtherSet("resource group");
  if (word.Is(Keyword::kStatement) && mode_.mariadb) return ParseSetStatement();
  return false;
}

bool Analyzer::ParseUserVariableItem() {
  Assignment assignment;
  assignment.target = Assignment::Target::kUserVariable;
  std::string_view name = cur_.text.substr(1);
  if (!name.empty() && (name.front() == '\'' || (name.front() == '"' && !mode_.ansi_quotes))) {
    if (!DecodeStringLiteral(name, mode_, &assignment.name)) return false;
    LowerAscii(lexer_.charset(), &assignment.name);
  } else {
    assignment.name = Lowered(name);
  }
  Advance();
  return ParseAssigned(std::move(assignment));
}

// @@x, @@session.x, @@global.x, @@component.x.
bool Analyzer::ParseSystemVariableItem() {
  Advance();
  if (!cur_.IsName()) return false;
  const Token first = cur_;
  Advance();
  if (!cur_.Is('.')) {
    const bool one_shot = IsTransactionTrait(Lowered(first.text));
    return ParseVariableItem(
        one_shot ? Assignment::Target::kNextTransaction : Assignment::Target::kSession, first);
  }
  const bool quoted = first.kind == TokenKind::kQuotedName;
  const bool global =
      !quoted && (EqualsLower(first.text, "global") || EqualsLower(first.text, "persist") ||
                  EqualsLower(first.text, "persist_only"));
  const bool session =
      !quoted && (EqualsLower(first.text, "session") || EqualsLower(first.text, "local"));
  if (!global && !session) return ParseVariableItem(Assignment::Target::kSession, first);
  Advance();
  if (!cur_.IsName()) return false;
  const Token name = cur_;
  Advance();
  return ParseVariableItem(global ? Assignment::Target::kGlobal : Assignment::Target::kSession,
                           name);
}

// Behind a variable's name, or its first part.
bool Analyzer::ParseVariableItem(Assignment::Target scope, const Token& name) {
  Assignment assignment;
  assignment.target = scope;
  assignment.name = Lowered(name.text);
  if (Accept('.')) {
    if (!cur_.IsName()) return false;
    assignment.name += '.';
    assignment.name += Lowered(cur_.text);
    Advance();
  }
  // SET autocommit=1 commits.
  if (assignment.name == "autocommit" && scope == Assignment::Target::kSession) {
    Flag(kImplicitCommit);
  }
  return ParseAssigned(std::move(assignment));
}

// = value or := value.
bool Analyzer::ParseAssigned(Assignment assignment) {
  if (!cur_.Is('=') && cur_.kind != TokenKind::kAssign) return false;
  Advance();
  if (AtValueEnd() || !ParseValue(&assignment)) return false;
  info_.assignments.push_back(std::move(assignment));
  return true;
}

bool Analyzer::AtValueEnd() const {
  return AtEnd() ||
         (depth_ == 0 && (cur_.Is(',') || (set_statements_ > 0 && cur_.Is(Keyword::kFor))));
}

bool Analyzer::ParseValue(Assignment* assignment) {
  const char* begin = cur_.text.data();
  const Lexer lexer = lexer_;
  const Token cur = cur_;
  const Token prev = prev_;
  if (ParseLiteral(assignment)) {
    assignment->value = Join(begin, prev_.text);
    return true;
  }
  lexer_ = lexer;  // the scanner sees it from its first token
  cur_ = cur;
  prev_ = prev;
  while (!AtValueEnd()) ScanToken();
  assignment->value_kind = Assignment::Value::kExpression;
  assignment->value = Join(begin, prev_.text);
  return true;
}

// A value that is one literal or one word. One that is spread around a comment is left to the
// expressions: its text could not be used alone.
bool Analyzer::ParseLiteral(Assignment* assignment) {
  const Token first = cur_;
  Advance();
  if (first.kind == TokenKind::kNumber) {
    assignment->value_kind = Assignment::Value::kNumber;
  } else if (first.Is('-') || first.Is('+')) {
    assignment->value_kind = Assignment::Value::kNumber;
    if (cur_.kind != TokenKind::kNumber || cur_.gap != Gap::kNone) return false;
    Advance();
  } else if (first.kind == TokenKind::kBitString) {
    assignment->value_kind = Assignment::Value::kString;
  } else if (first.kind == TokenKind::kString) {
    assignment->value_kind = Assignment::Value::kString;
    while (cur_.kind == TokenKind::kString && cur_.gap != Gap::kComment) Advance();
  } else if (first.Is('?')) {
    assignment->value_kind = Assignment::Value::kParameter;
  } else if (first.Is(Keyword::kDefault)) {
    assignment->value_kind = Assignment::Value::kDefault;
  } else if (first.Is(Keyword::kNull)) {
    assignment->value_kind = Assignment::Value::kNull;
  } else if (first.IsName() && !IsValueFunction(first.text)) {
    assignment->value_kind = Assignment::Value::kIdentifier;
    if (first.text.front() == '_' && cur_.gap != Gap::kComment &&
        (cur_.kind == TokenKind::kString || cur_.kind == TokenKind::kBitString)) {
      assignment->value_kind = Assignment::Value::kString;
      Advance();
      while (cur_.kind == TokenKind::kString && cur_.gap != Gap::kComment) Advance();
    }
  } else {
    return false;
  }
  return AtValueEnd();
}

// SET NAMES cs [COLLATE co].
bool Analyzer::ParseSetNames() {
  Assignment assignment;
  assignment.target = Assignment::Target::kNames;
  if (!ParseCharsetName(&assignment)) return false;
  if (Accept(Keyword::kCollate)) {
    if (!cur_.IsName() && cur_.kind != TokenKind::kString) return false;
    assignment.extra = cur_.text;
    Advance();
  }
  info_.assignments.push_back(std::move(assignment));
  return true;
}

bool Analyzer::ParseSetCharacterSet() {
  Assignment assignment;
  assignment.target = Assignment::Target::kCharacterSet;
  if (!ParseCharsetName(&assignment)) return false;
  info_.assignments.push_back(std::move(assignment));
  return true;
}

bool Analyzer::ParseCharsetName(Assignment* assignment) {
  if (cur_.kind == TokenKind::kString) {
    assignment->value_kind = Assignment::Value::kString;
  } else if (cur_.Is(Keyword::kDefault)) {
    assignment->value_kind = Assignment::Value::kDefault;
  } else if (cur_.IsName()) {
    assignment->value_kind = Assignment::Value::kIdentifier;
  } else {
    return false;
  }
  assignment->value = cur_.text;
  Advance();
  return true;
}

// Traits separated by commas; nothing else may follow.
bool Analyzer::ParseSetTransaction(Assignment::Target scope) {
  do {
    Assignment assignment;
    assignment.target = scope;
    assignment.value_kind = Assignment::Value::kIdentifier;
    if (!ParseTransactionTrait(&assignment)) return false;
    info_.assignments.push_back(std::move(assignment));
  } while (Accept(','));
  return AtEnd();
}

// ISOLATION LEVEL x, READ ONLY, READ WRITE, with the values that the variables have.
bool Analyzer::ParseTransactionTrait(Assignment* assignment) {
  if (Accept(Keyword::kRead)) {
    const bool only = Accept(Keyword::kOnly);
    assignment->name = "transaction_read_only";
    assignment->value = only ? "ON" : "OFF";
    return only || Accept(Keyword::kWrite);
  }
  assignment->name = "transaction_isolation";
  if (!Accept(Keyword::kIsolation) || !Accept(Keyword::kLevel)) return false;
  if (AtWord("serializable")) {
    assignment->value = "SERIALIZABLE";
  } else if (AtWord("repeatable")) {
    Advance();
    assignment->value = "REPEATABLE-READ";
    return Accept(Keyword::kRead);
  } else if (!Accept(Keyword::kRead)) {
    return false;
  } else if (AtWord("committed")) {
    assignment->value = "READ-COMMITTED";
  } else if (AtWord("uncommitted")) {
    assignment->value = "READ-UNCOMMITTED";
  } else {
    return false;
  }
  Advance();
  return true;
}

// Behind the words of `name`. In MySQL a comma can separate roles and users, in MariaDB it ends the
// element.
bool Analyzer::ParseOtherSet(std::string_view name) {
  Assignment assignment;
  assignment.target = Assignment::Target::kOther;
  assignment.name = name;
  assignment.value_kind = Assignment::Value::kExpression;
  if (name == "password" || name == "default role") Flag(kImplicitCommit);
  const char* begin = cur_.text.data();
  every_qualifier_is_schema_ = true;  // u@h is an account here
  while (!AtEnd() && (!AtValueEnd() || !mode_.mariadb)) ScanToken();
  every_qualifier_is_schema_ = false;
  assignment.value =
      prev_.text.data() < begin ? std::string_view(begin, 0) : Join(begin, prev_.text);
  info_.assignments.push_back(std::move(assignment));
  return true;
}

// MariaDB: SET STATEMENT x=1, y=2 FOR statement.
bool Analyzer::ParseSetStatement() {
  if (set_statements_ == kMaxSetStatements) return false;
  ++set_statements_;
  Assignment::Target scope = Assignment::Target::kSession;
  do {
    if (!cur_.IsName() || !ParseSetItem(&scope)) return false;
    info_.assignments.back().target = Assignment::Target::kStatementScope;
  } while (Accept(','));
  if (!Accept(Keyword::kFor) || AtEnd()) return false;
  info_.kind = StatementKind::kOther;
  if (cur_.Is('(')) {
    ParseParenthesisedQuery();
  } else {
    ParseVerb(cur_.keyword());
  }
  return true;
}

}  // namespace bulkhead::sql
