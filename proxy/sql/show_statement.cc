// SHOW, EXPLAIN, DESCRIBE and ANALYZE of a statement.
#include <array>

#include "proxy/sql/analyzer.h"

namespace bulkhead::sql {
namespace {

// First words of SHOW that tell of the server and not of anything in a schema.
constexpr std::array<std::string_view, 28> kServerWords = {
    "variables", "status",  "engines", "engine", "storage",      "charset",  "character",
    "collation", "plugins", "master",  "binary", "privileges",   "grants",   "processlist",
    "binlog",    "slave",   "replica", "slaves", "replicas",     "relaylog", "authors",
    "warnings",  "errors",  "count",   "hosts",  "contributors", "all",      "profile",
};

bool IsServerWord(std::string_view word) {
  for (const std::string_view known : kServerWords) {
    if (EqualsLower(word, known)) return true;
  }
  return EqualsLower(word, "profiles");
}

bool IsOfColumns(std::string_view word) {
  return EqualsLower(word, "columns") || EqualsLower(word, "fields") ||
         EqualsLower(word, "index") || EqualsLower(word, "indexes") || EqualsLower(word, "keys");
}

bool StartsExplainable(const Token& token) {
  return token.Is('(') || token.Is(Keyword::kSelect) || token.Is(Keyword::kInsert) ||
         token.Is(Keyword::kReplace) || token.Is(Keyword::kUpdate) || token.Is(Keyword::kDelete) ||
         token.Is(Keyword::kTable) || token.Is(Keyword::kValues) || token.Is(Keyword::kWith);
}

}  // namespace

void Analyzer::ParseShow() {
  info_.kind = StatementKind::kShow;
  every_qualifier_is_schema_ = true;
  Advance();
  const bool global = cur_.Is(Keyword::kGlobal);
  while (cur_.Is(Keyword::kGlobal) || cur_.Is(Keyword::kSession) || cur_.Is(Keyword::kLocal) ||
         cur_.Is(Keyword::kExtended) || AtWord("full")) {
    Advance();
  }
  const Token subject = cur_;
  if (AtEnd()) return;
  Advance();
  if (subject.Is(Keyword::kWarnings) || subject.Is(Keyword::kErrors)) {
    Flag(AtEnd() ? kReadsWarnings | kShowWarningsExactly : kReadsWarnings);
    return;
  }
  if (subject.Is(Keyword::kCount)) Flag(kReadsWarnings);
  const bool reads_status = subject.Is(Keyword::kStatus) && !global;
  if (reads_status || subject.Is(Keyword::kProfile) || subject.Is(Keyword::kProfiles)) {
    Flag(kReadsSessionStatus);
  }
  if (IsServerWord(subject.text)) return;
  Flag(kReferencesTable);
  if (subject.Is(Keyword::kCreate)) {
    ParseSchemaName();
    return;
  }
  ParseShowSource(IsOfColumns(subject.text));
}

// FROM and IN name schemas: SHOW TABLES FROM s; behind a table they do too: SHOW COLUMNS FROM t
// FROM s.
void Analyzer::ParseShowSource(bool of_columns) {
  bool table_is_next = of_columns;
  while (!AtEnd() && !cur_.Is(Keyword::kWhere) && !AtWord("like")) {
    if (!Accept(Keyword::kFrom) && !Accept(Keyword::kIn)) {
      ScanToken();
      continue;
    }
    if (!cur_.IsName()) continue;
    const Token first = cur_;
    Advance();
    if (ReadQualifiers(true) > 1 || !table_is_next) AddSchema(first);
    table_is_next = false;
  }
}

// EXPLAIN [ANALYZE] [FORMAT = x] [INTO @x] statement; DESCRIBE table.
void Analyzer::ParseExplain() {
  Advance();
  bool executes = false;
  info_.kind = StatementKind::kShow;
  while (true) {
    if (Accept(Keyword::kAnalyze)) {
      executes = true;
    } else if (Accept(Keyword::kFormat)) {
      if (!Accept('=')) break;  // a table of that name
      Advance();
    } else if (Accept(Keyword::kInto)) {
      Flag(kWritesUserVariable);
      if (cur_.kind == TokenKind::kUserVariable) Advance();
    } else if (Accept(Keyword::kFor)) {  // FOR CONNECTION n, FOR SCHEMA s statement
      if (Accept(Keyword::kConnection)) return;
      if (!Accept(Keyword::kSchema) && !Accept(Keyword::kDatabase)) break;
      if (cur_.IsName()) AddSchema(cur_);
      Advance();
    } else if (!Accept(Keyword::kExtended) && !Accept(Keyword::kPartitions)) {
      break;
    }
  }
  ParseExplained(executes);
}

void Analyzer::ParseExplained(bool executes) {
  if (!StartsExplainable(cur_)) {
    Flag(kReferencesTable);
    every_qualifier_is_schema_ = true;
    if (executes) ParseOther();
    return;
  }
  if (cur_.Is('(')) {
    ParseParenthesisedQuery();
  } else {
    ParseVerb(cur_.keyword());
  }
  if (executes) return;
  // What is only explained changes nothing; a subquery may still be evaluated, so flags stay.
  ScanRest();
  kind_pending_ = false;
  if (info_.kind != StatementKind::kOther) info_.kind = StatementKind::kShow;
}

// ANALYZE TABLE t; on MariaDB ANALYZE [FORMAT = x] statement executes it.
void Analyzer::ParseAnalyze() {
  Advance();
  if (Accept(Keyword::kFormat)) {
    Accept('=');
    Advance();
    ParseExplained(true);
  } else if (StartsExplainable(cur_) && !cur_.Is(Keyword::kTable)) {
    ParseExplained(true);
  } else {
    info_.kind = StatementKind::kAdmin;
    Flag(kImplicitCommit | kReferencesTable);
    every_qualifier_is_schema_ = true;
  }
}

}  // namespace bulkhead::sql
