// Statements about transactions, locks, prepared texts, threads and the current schema.
#include <charconv>

#include "proxy/sql/analyzer.h"

namespace bulkhead::sql {

// BEGIN [WORK]. BEGIN NOT ATOMIC, and BEGIN in Oracle mode, open a compound statement.
void Analyzer::ParseBegin() {
  Advance();
  Accept(Keyword::kWork);
  if (!AtEnd() || mode_.oracle) {
    ParseOther();
    return;
  }
  info_.kind = StatementKind::kBegin;
  Flag(kImplicitCommit);
}

// START TRANSACTION with its traits; START SLAVE, START GROUP_REPLICATION and so on.
void Analyzer::ParseStart() {
  Advance();
  if (!cur_.Is(Keyword::kTransaction)) {
    if (cur_.kind == TokenKind::kWord) {
      ParseAdmin();
    } else {
      ParseOther();
    }
    return;
  }
  Advance();
  bool understood = true;
  while (understood && !AtEnd()) {
    if (Accept(Keyword::kWith)) {
      understood = Accept(Keyword::kConsistent) && Accept(Keyword::kSnapshot);
      Flag(kConsistentSnapshot);
    } else if (Accept(Keyword::kRead)) {
      if (Accept(Keyword::kOnly)) {
        Flag(kReadOnlyTransaction);
      } else {
        understood = Accept(Keyword::kWrite);
      }
    } else {
      understood = false;
    }
    if (understood && !AtEnd()) understood = Accept(',') && !AtEnd();
  }
  if (!understood) {
    ParseOther();
    return;
  }
  info_.kind = StatementKind::kBegin;
  Flag(kImplicitCommit);
}

// COMMIT [WORK] [AND [NO] CHAIN] [[NO] RELEASE]; ROLLBACK [WORK] TO [SAVEPOINT] name.
void Analyzer::ParseCommitOrRollback() {
  const bool rollback = cur_.Is(Keyword::kRollback);
  Advance();
  Accept(Keyword::kWork);
  if (rollback && cur_.Is(Keyword::kTo)) {
    ParseSavepoint();
    return;
  }
  bool understood = true;
  if (Accept(Keyword::kAnd)) {
    const bool no = Accept(Keyword::kNo);
    understood = Accept(Keyword::kChain);
    if (!no) Flag(kChain);
  }
  const bool no = Accept(Keyword::kNo);
  if (Accept(Keyword::kRelease)) {
    if (!no) Flag(kReleaseConnection);
  } else if (no) {
    understood = false;
  }
  if (!understood || !AtEnd()) {
    ParseOther();
    return;
  }
  info_.kind = rollback ? StatementKind::kRollback : StatementKind::kCommit;
}

void Analyzer::ParseSavepoint() {
  info_.kind = StatementKind::kSavepoint;
  Advance();
}

void Analyzer::ParseRelease() {
  Advance();
  if (cur_.Is(Keyword::kSavepoint)) {
    ParseSavepoint();
  } else {
    ParseOther();
  }
}

void Analyzer::ParseUse() {
  Advance();
  const Token name = cur_;
  if (name.IsName()) Advance();
  if (!name.IsName() || !AtEnd()) {
    ParseOther();
    return;
  }
  info_.kind = StatementKind::kUse;
  info_.schema_name = Unquoted(name.text);
  AddSchema(name);
}

// KILL [HARD | SOFT] [CONNECTION | QUERY [ID]] number | USER name. With ID the number is a query's,
// not a connection's.
void Analyzer::ParseKill() {
  info_.kind = StatementKind::kKill;
  Advance();
  if (!Accept(Keyword::kHard)) Accept(Keyword::kSoft);
  bool names_connection = true;
  if (Accept(Keyword::kQuery)) {
    info_.kill_query_only = true;
    names_connection = !Accept(Keyword::kId);
  } else {
    Accept(Keyword::kConnection);
  }
  if (cur_.kind != TokenKind::kNumber || !names_connection) return;
  const std::string_view digits = cur_.text;
  Advance();
  uint64_t id = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (!AtEnd() || error != std::errc() || end != digits.data() + digits.size()) return;
  info_.kill_id = id;
  info_.kill_id_is_literal = true;
}

void Analyzer::ParseCall() {
  info_.kind = StatementKind::kCall;
  Flag(kUnknownFunction | kReferencesTable);
  writes_user_variables_ = true;  // OUT parameters
  Advance();
  if (cur_.IsName()) ScanTableName(TablePosition::kTarget);
}

void Analyzer::ParsePrepare() {
  info_.kind = StatementKind::kPrepareText;
  Flag(kUnknownFunction | kReferencesTable);
  Advance();
  if (!cur_.IsName()) return;
  info_.text_prepare_name = Lowered(cur_.text);
  Advance();
  if (cur_.Is(Keyword::kFrom)) Advance();  // a text follows, not a table
}

// What the text does is not known here.
void Analyzer::ParseExecute() {
  info_.kind = StatementKind::kExecuteText;
  Flag(kUnknownFunction | kReferencesTable);
  writes_user_variables_ = true;
  Advance();
  if (Accept(Keyword::kImmediate)) return;
  if (cur_.IsName()) {
    info_.text_prepare_name = Lowered(cur_.text);
    Advance();
  }
}

// DEALLOCATE PREPARE name, DROP PREPARE name.
void Analyzer::ParseDeallocate() {
  info_.kind = StatementKind::kDeallocateText;
  if (!cur_.Is(Keyword::kPrepare)) Advance();
  if (!Accept(Keyword::kPrepare) || !cur_.IsName()) {
    ParseOther();
    return;
  }
  info_.text_prepare_name = Lowered(cur_.text);
  Advance();
}

// LOCK TABLES commits, LOCK INSTANCE FOR BACKUP does not.
void Analyzer::ParseLock() {
  info_.kind = StatementKind::kLockTables;
  every_qualifier_is_schema_ = true;
  Flag(kReferencesTable);
  Advance();
  if (!cur_.Is(Keyword::kInstance)) Flag(kImplicitCommit);
}

void Analyzer::ParseUnlock() {
  info_.kind = StatementKind::kUnlockTables;
  Advance();
  if (!cur_.Is(Keyword::kInstance)) Flag(kImplicitCommit);
}

// BACKUP STAGE name, BACKUP LOCK table, BACKUP UNLOCK.
void Analyzer::ParseBackup() {
  every_qualifier_is_schema_ = true;
  Advance();
  if (Accept(Keyword::kStage)) {
    const bool end = AtWord("end");
    info_.kind = end ? StatementKind::kUnlockTables : StatementKind::kLockTables;
  } else if (Accept(Keyword::kUnlock)) {
    info_.kind = StatementKind::kUnlockTables;
  } else if (Accept(Keyword::kLock)) {
    info_.kind = StatementKind::kLockTables;
  } else {
    ParseOther();
    return;
  }
  Flag(kImplicitCommit | kReferencesTable);
}

// FLUSH TABLES ... WITH READ LOCK and FLUSH TABLES ... FOR EXPORT keep locks.
void Analyzer::ParseFlush() {
  ParseAdmin();
  while (!AtEnd()) {
    if ((cur_.Is(Keyword::kLock) && prev_.Is(Keyword::kRead)) ||
        (cur_.Is(Keyword::kExport) && prev_.Is(Keyword::kFor))) {
      info_.kind = StatementKind::kLockTables;
    }
    ScanToken();
  }
}

}  // namespace bulkhead::sql
