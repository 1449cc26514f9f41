// Which statement it is, by its first words.
#include "proxy/sql/analyzer.h"

namespace bulkhead::sql {

void Analyzer::ParseStatement() {
  depth_ = 0;
  from_lists_ = 0;
  from_is_word_ = 0;
  two_arguments_ = 0;
  one_comma_ = 0;
  next_call_ = CallEffect::kNone;
  table_position_ = TablePosition::kNone;
  in_cte_list_ = false;
  every_qualifier_is_schema_ = false;
  names_are_not_calls_ = false;
  writes_user_variables_ = false;
  is_delete_ = false;
  set_statements_ = 0;
  kind_pending_ = false;
  if (mode_.oracle && !AtEnd()) Flag(kUnknownFunction | kReferencesTable);
  if (AtEnd()) {
    info_.kind = StatementKind::kEmpty;
  } else if (cur_.Is('(')) {
    ParseParenthesisedQuery();
  } else {
    ParseVerb(cur_.keyword());
  }
  ScanRest();
  if (kind_pending_) ParseOther();
}

// By how often they come.
const Analyzer::VerbParser Analyzer::kVerbParsers[] = {
    {Keyword::kInsert, &Analyzer::ParseInsert},
    {Keyword::kUpdate, &Analyzer::ParseUpdate},
    {Keyword::kDelete, &Analyzer::ParseDelete},
    {Keyword::kReplace, &Analyzer::ParseInsert},
    {Keyword::kSet, &Analyzer::ParseSet},
    {Keyword::kCommit, &Analyzer::ParseCommitOrRollback},
    {Keyword::kBegin, &Analyzer::ParseBegin},
    {Keyword::kStart, &Analyzer::ParseStart},
    {Keyword::kRollback, &Analyzer::ParseCommitOrRollback},
    {Keyword::kShow, &Analyzer::ParseShow},
    {Keyword::kWith, &Analyzer::ParseWith},
    {Keyword::kValues, &Analyzer::ParseQuery},
    {Keyword::kTable, &Analyzer::ParseQuery},
    {Keyword::kUse, &Analyzer::ParseUse},
    {Keyword::kCall, &Analyzer::ParseCall},
    {Keyword::kDo, &Analyzer::ParseDo},
    {Keyword::kSavepoint, &Analyzer::ParseSavepoint},
    {Keyword::kRelease, &Analyzer::ParseRelease},
    {Keyword::kExplain, &Analyzer::ParseExplain},
    {Keyword::kDescribe, &Analyzer::ParseExplain},
    {Keyword::kDesc, &Analyzer::ParseExplain},
    {Keyword::kKill, &Analyzer::ParseKill},
    {Keyword::kPrepare, &Analyzer::ParsePrepare},
    {Keyword::kExecute, &Analyzer::ParseExecute},
    {Keyword::kDeallocate, &Analyzer::ParseDeallocate},
    {Keyword::kCreate, &Analyzer::ParseCreate},
    {Keyword::kDrop, &Analyzer::ParseDrop},
    {Keyword::kAlter, &Analyzer::ParseDdl},
    {Keyword::kTruncate, &Analyzer::ParseDdl},
    {Keyword::kRename, &Analyzer::ParseDdl},
    {Keyword::kLoad, &Analyzer::ParseLoad},
    {Keyword::kLock, &Analyzer::ParseLock},
    {Keyword::kUnlock, &Analyzer::ParseUnlock},
    {Keyword::kFlush, &Analyzer::ParseFlush},
    {Keyword::kBackup, &Analyzer::ParseBackup},
    {Keyword::kHandler, &Analyzer::ParseHandler},
    {Keyword::kXa, &Analyzer::ParseXa},
    {Keyword::kAnalyze, &Analyzer::ParseAnalyze},
    {Keyword::kChecksum, &Analyzer::ParseChecksum},
    {Keyword::kHelp, &Analyzer::ParseHelp},
    {Keyword::kGet, &Analyzer::ParseGetDiagnostics},
    {Keyword::kGrant, &Analyzer::ParseAdmin},
    {Keyword::kRevoke, &Analyzer::ParseAdmin},
    {Keyword::kOptimize, &Analyzer::ParseAdmin},
    {Keyword::kRepair, &Analyzer::ParseAdmin},
    {Keyword::kCheck, &Analyzer::ParseAdmin},
    {Keyword::kCache, &Analyzer::ParseAdmin},
    {Keyword::kChange, &Analyzer::ParseAdmin},
    {Keyword::kPurge, &Analyzer::ParseAdmin},
    {Keyword::kReset, &Analyzer::ParseAdmin},
    {Keyword::kStop, &Analyzer::ParseAdmin},
    {Keyword::kInstall, &Analyzer::ParseAdmin},
    {Keyword::kUninstall, &Analyzer::ParseAdmin},
    {Keyword::kShutdown, &Analyzer::ParseAdmin},
    {Keyword::kRestart, &Analyzer::ParseAdmin},
    {Keyword::kImport, &Analyzer::ParseAdmin},
    {Keyword::kClone, &Analyzer::ParseAdmin},
};

void Analyzer::ParseVerb(Keyword verb) {
  if (verb == Keyword::kSelect) {
    info_.kind = StatementKind::kSelect;
    return;
  }
  for (const VerbParser& parser : kVerbParsers) {
    if (parser.verb == verb) {
      (this->*parser.parse)();
      return;
    }
  }
  ParseOther();
}

// SIGNAL, BINLOG, compound statements and labels of MariaDB (BEGIN NOT ATOMIC, IF, LOOP, x: BEGIN),
// and what a later version brings.
void Analyzer::ParseOther() {
  info_.kind = StatementKind::kOther;
  Flag(kCarefulFlags);
  every_qualifier_is_schema_ = true;
}

void Analyzer::ParseQuery() { info_.kind = StatementKind::kSelect; }

// (SELECT ...) UNION (SELECT ...), ((SELECT 1)).
void Analyzer::ParseParenthesisedQuery() {
  while (cur_.Is('(')) OpenParenthesis(false);
  if (cur_.Is(Keyword::kSelect) || cur_.Is(Keyword::kWith) || cur_.Is(Keyword::kValues) ||
      cur_.Is(Keyword::kTable)) {
    info_.kind = StatementKind::kSelect;
  } else {
    ParseOther();
  }
}

// The verb comes behind the list: OnVerb meets it.
void Analyzer::ParseWith() {
  info_.kind = StatementKind::kSelect;
  kind_pending_ = true;
  OpenCteList();
  Advance();
}

void Analyzer::ParseInsert() {
  info_.kind = StatementKind::kDml;
  Flag(kReferencesTable);
  Advance();
  table_position_ = TablePosition::kTarget;  // INTO may follow: it sets the same
}

void Analyzer::ParseUpdate() {
  info_.kind = StatementKind::kDml;
  Flag(kReferencesTable);
  Advance();
  ExpectTables();
}

void Analyzer::ParseDelete() {
  info_.kind = StatementKind::kDml;
  Flag(kReferencesTable);
  is_delete_ = true;
  Advance();
  while (cur_.Is(Keyword::kLowPriority) || cur_.Is(Keyword::kQuick) || cur_.Is(Keyword::kIgnore) ||
         cur_.Is(Keyword::kHistory)) {
    Advance();
  }
  if (!AtEnd() && !cur_.Is(Keyword::kFrom)) ExpectTables();  // DELETE a, b.* FROM ...
}

void Analyzer::ParseDo() {
  info_.kind = StatementKind::kDo;
  Advance();
}

void Analyzer::ParseLoad() {
  Advance();
  if (cur_.Is(Keyword::kIndex)) {  // LOAD INDEX INTO CACHE
    ParseAdmin();
    return;
  }
  if (!cur_.Is(Keyword::kData) && !cur_.Is(Keyword::kXml)) {
    ParseOther();
    return;
  }
  info_.kind = StatementKind::kDml;
  Flag(kReferencesTable);
  writes_user_variables_ = true;  // LOAD DATA ... (a, @b)
  while (!AtEnd() && cur_.kind == TokenKind::kWord) {
    if (cur_.Is(Keyword::kLocal)) Flag(kLocalInfile);
    Advance();
  }
}

// Statements that commit by themselves, temporary tables and sequences apart.
void Analyzer::ParseDdl() {
  info_.kind = StatementKind::kDdl;
  Flag(kImplicitCommit | kReferencesTable);
  every_qualifier_is_schema_ = true;
  names_are_not_calls_ = true;
  Advance();
  ParseSchemaName();
}

void Analyzer::ParseCreate() {
  info_.kind = StatementKind::kDdl;
  Flag(kReferencesTable);
  every_qualifier_is_schema_ = true;
  names_are_not_calls_ = true;
  Advance();
  if (Accept(Keyword::kOr)) Accept(Keyword::kReplace);
  if (Accept(Keyword::kTemporary)) {
    Flag(kCreatesTempTable);
    return;
  }
  Flag(kImplicitCommit);
  ParseSchemaName();
}

void Analyzer::ParseDrop() {
  info_.kind = StatementKind::kDdl;
  every_qualifier_is_schema_ = true;
  names_are_not_calls_ = true;
  Advance();
  if (cur_.Is(Keyword::kPrepare)) {
    names_are_not_calls_ = false;
    ParseDeallocate();
    return;
  }
  Flag(kReferencesTable);
  if (Accept(Keyword::kTemporary)) {
    Flag(kDropsTempTable);
    return;
  }
  Flag(kImplicitCommit);
  ParseSchemaName();
}

// Behind CREATE, ALTER or DROP: DATABASE [IF [NOT] EXISTS] name.
void Analyzer::ParseSchemaName() {
  if (!Accept(Keyword::kDatabase) && !Accept(Keyword::kSchema)) return;
  if (Accept(Keyword::kIf)) {
    Accept(Keyword::kNot);
    Accept(Keyword::kExists);
  }
  const bool option = cur_.Is(Keyword::kCharacter) || cur_.Is(Keyword::kCharset) ||
                      cur_.Is(Keyword::kCollate) || cur_.Is(Keyword::kDefault);
  if (cur_.IsName() && !option) AddSchema(cur_);  // ALTER DATABASE COLLATE x: the current one
}

void Analyzer::ParseAdmin() {
  info_.kind = StatementKind::kAdmin;
  Flag(kImplicitCommit | kReferencesTable);
  every_qualifier_is_schema_ = true;
  Advance();
}

void Analyzer::ParseHandler() {
  info_.kind = StatementKind::kHandler;
  Flag(kReferencesTable);
  every_qualifier_is_schema_ = true;
  Advance();
}

void Analyzer::ParseXa() {
  info_.kind = StatementKind::kXa;
  Advance();
}

void Analyzer::ParseChecksum() {
  info_.kind = StatementKind::kShow;
  Flag(kReferencesTable);
  every_qualifier_is_schema_ = true;
  Advance();
}

void Analyzer::ParseHelp() {
  info_.kind = StatementKind::kShow;
  Advance();
}

// GET [CURRENT | STACKED] DIAGNOSTICS @x = NUMBER.
void Analyzer::ParseGetDiagnostics() {
  ParseOther();
  Flag(kReadsWarnings);
}

}  // namespace bulkhead::sql
