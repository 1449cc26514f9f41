// The one pass over a text behind Analyze(): private to this folder.
//
// Purpose: split by what is decided: statement_kind.cc which statement it is, transaction and lock
//   statements in session_statement.cc, set_statement.cc the assignments of SET, show_statement.cc
//   SHOW and EXPLAIN, expression_scan.cc what the rest of a statement uses (functions, variables,
//   tables, schemas). Each reads tokens through the same cursor.
// Thread: any; an Analyzer belongs to one text.
#ifndef BULKHEAD_PROXY_SQL_ANALYZER_H_
#define BULKHEAD_PROXY_SQL_ANALYZER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/sql/lexer.h"
#include "proxy/sql/statement.h"

namespace bulkhead::sql {

class Analyzer {
 public:
  Analyzer(std::string_view text, const LexerMode& mode, bool truncated);

  [[nodiscard]] StatementInfo Run() &&;

 private:
  // What a name at the cursor would be.
  enum class TablePosition : uint8_t {
    kNone,    // a column, an alias, a function
    kTarget,  // a table; a parenthesis behind it opens a list: INSERT INTO t (a)
    kSource,  // a table or a derived one: FROM t, FROM (SELECT
  };

  // Cursor.
  void Advance();
  bool Accept(Keyword keyword);
  bool Accept(char symbol);
  [[nodiscard]] bool AtEnd() const { return cur_.kind == TokenKind::kEnd || cur_.Is(';'); }
  [[nodiscard]] bool AtWord(std::string_view lower_case) const;
  void Flag(uint32_t flags) { info_.flags |= flags; }
  void AddSchema(const Token& name);
  [[nodiscard]] std::string Unquoted(std::string_view name) const;
  [[nodiscard]] std::string Lowered(std::string_view name) const;

  // statement_kind.cc
  struct VerbParser {
    Keyword verb;
    void (Analyzer::*parse)();
  };
  static const VerbParser kVerbParsers[];
  void ParseStatement();
  void ParseVerb(Keyword verb);
  void ParseOther();
  void ParseQuery();
  void ParseParenthesisedQuery();
  void ParseWith();
  void ParseInsert();
  void ParseUpdate();
  void ParseDelete();
  void ParseDo();
  void ParseLoad();
  void ParseCreate();
  void ParseDrop();
  void ParseDdl();
  void ParseSchemaName();
  void ParseAdmin();
  void ParseHandler();
  void ParseXa();
  void ParseChecksum();
  void ParseHelp();
  void ParseGetDiagnostics();

  // session_statement.cc
  void ParseBegin();
  void ParseStart();
  void ParseCommitOrRollback();
  void ParseSavepoint();
  void ParseRelease();
  void ParseUse();
  void ParseKill();
  void ParseCall();
  void ParsePrepare();
  void ParseExecute();
  void ParseDeallocate();
  void ParseLock();
  void ParseUnlock();
  void ParseBackup();
  void ParseFlush();

  // show_statement.cc
  void ParseShow();
  void ParseShowSource(bool of_columns);
  void ParseExplain();
  void ParseExplained(bool executes);
  void ParseAnalyze();

  // set_statement.cc: false where the text is not understood
  void ParseSet();
  bool ParseSetList();
  bool ParseSetItem(Assignment::Target* scope);
  bool ParseScopedItem(Assignment::Target scope);
  bool ParseSpecialSet(const Token& word);
  bool ParseUserVariableItem();
  bool ParseSystemVariableItem();
  bool ParseVariableItem(Assignment::Target scope, const Token& name);
  bool ParseAssigned(Assignment assignment);
  bool ParseValue(Assignment* assignment);
  bool ParseLiteral(Assignment* assignment);
  bool ParseSetNames();
  bool ParseSetCharacterSet();
  bool ParseCharsetName(Assignment* assignment);
  bool ParseSetTransaction(Assignment::Target scope);
  bool ParseTransactionTrait(Assignment* assignment);
  bool ParseOtherSet(std::string_view name);
  bool ParseSetStatement();
  [[nodiscard]] bool AtValueEnd() const;

  // expression_scan.cc
  void ScanRest();
  void ScanToken();
  bool ScanTablePosition();
  void ScanTableName(TablePosition position);
  void ScanWord();
  void ScanName();
  void FinishName(const Token& first, const Token& before);
  void ScanSymbol();
  void ScanUserVariable();
  void ScanSystemVariable();
  int ReadQualifiers(bool count_star);
  void OnKeyword(const Word& word, const Token& before);
  void OnModifier(Keyword keyword, const Token& before);
  void OnSelect(const Token& before);
  void OpenCteList();
  void OnVerb(StatementKind kind, const Token& before);
  void ExpectTables();
  void EndTables();
  void OnInto();
  void OnUpdate(const Token& before);
  void OnCall(const Token& name, const Token& before);
  void OnQuotedCall(const Token& name);
  void OnEffect(CallEffect effect);
  [[nodiscard]] bool MayBeCall(const Token& before) const;
  void OpenParenthesis(bool of_tables);
  [[nodiscard]] uint64_t DepthBit() const { return depth_ < 64 ? uint64_t{1} << depth_ : 0; }
  [[nodiscard]] bool InFromList() const { return (from_lists_ & DepthBit()) != 0; }

  LexerMode mode_;
  Lexer lexer_;
  bool truncated_;
  Token cur_;
  Token prev_;
  StatementInfo info_;

  // Of the statement that is being read.
  uint32_t depth_ = 0;
  uint64_t from_lists_ = 0;     // bit of a depth: a comma there separates tables
  uint64_t from_is_word_ = 0;   // bit of a depth: FROM there belongs to a function's arguments
  uint64_t two_arguments_ = 0;  // bit of a depth: arguments of a function that takes two
  uint64_t one_comma_ = 0;      // bit of a depth: a comma was there
  CallEffect next_call_ = CallEffect::kNone;
  TablePosition table_position_ = TablePosition::kNone;
  uint32_t cte_depth_ = 0;
  bool in_cte_list_ = false;
  bool every_qualifier_is_schema_ = false;  // a.b cannot be alias.column here
  bool names_are_not_calls_ = false;        // the head of a DDL statement
  bool writes_user_variables_ = false;      // whatever @x stands in it
  bool is_delete_ = false;
  uint32_t set_statements_ = 0;  // SET STATEMENT ...: FOR ends a value
  bool kind_pending_ = false;    // WITH ...: the verb is still to come
};

// `name` without its quotes, doubled quotes halved.
[[nodiscard]] std::string UnquoteName(std::string_view name, CharsetLexing charset);
void LowerAscii(CharsetLexing charset, std::string* name);
[[nodiscard]] bool EqualsLower(std::string_view text, std::string_view lower_case);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_ANALYZER_H_
