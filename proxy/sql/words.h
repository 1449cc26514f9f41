// The words that mean something to the analyzer: keywords and built-in functions, found in one
// look-up.
//
// Purpose: `FindWord` maps an unquoted word to what the analyzer must know of it. A function counts
//   as built in only for the server family and version that have it: elsewhere the same name can be
//   a stored function.
// Thread: any; constant tables, no allocation. Limits: no word here is longer than kMaxWordLength.
// Errors: nullptr for every other word.
// Sources: sql/lex.h and sql/item_create.cc of MySQL (5.7 to 9) and MariaDB (10.5 to 11),
//   INFORMATION_SCHEMA.SQL_FUNCTIONS and KEYWORDS of MariaDB 10.11, MySQL 9 manual ("SQL function
//   and operator reference", "Function name parsing and resolution").
#ifndef BULKHEAD_PROXY_SQL_WORDS_H_
#define BULKHEAD_PROXY_SQL_WORDS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/sql/statement.h"

namespace bulkhead::sql {

// Keywords that the analyzer tells apart. kNone: a word that is only a function's name, or a
// keyword without a meaning here.
// clang-format off
enum class Keyword : uint8_t {
  kNone,
  kAll, kAlter, kAnalyze, kAnd, kAs, kBackup, kBegin, kBinlog, kCache, kCall, kChain, kChange,
  kCharacter, kCharset, kCheck, kChecksum, kClone, kCollate, kCommit, kConnection, kConsistent,
  kCount, kCreate, kData, kDatabase, kDeallocate, kDefault, kDefiner, kDelayed, kDelete, kDesc,
  kDescribe, kDiagnostics, kDo, kDrop, kDual, kDumpfile, kErrors, kEvent, kExcept, kExecute,
  kExists, kExplain, kExport, kExtended, kFlush, kFor, kFormat, kFrom, kGet, kGlobal, kGrant,
  kGroup, kHandler, kHard, kHaving, kHelp, kHighPriority, kHistory, kId, kIf, kIgnore, kImmediate,
  kImport, kIn, kIndex, kInsert, kInstall, kInstance, kIntersect, kInto, kIsolation, kJoin,
  kJsonTable,
  kKey, kKill, kLateral, kLess, kLevel, kLimit, kLoad, kLocal, kLock, kLowPriority, kNames,
  kNext, kNo,
  kNot, kNull, kOn, kOnly, kOptimize, kOr, kOrder, kOutfile, kPartitions, kPassword, kPersist,
  kPersistOnly, kPlugin, kPrepare, kPrevious, kProcedure, kProfile, kProfiles, kPurge, kQuery,
  kQuick, kRead, kRecursive, kRelease, kRename, kRepair, kReplace, kReset, kResource, kRestart,
  kReturning, kRevoke, kRole, kRollback, kSavepoint, kSchema, kSelect, kSequence, kSession, kSet,
  kShare, kShow, kShutdown, kSnapshot, kSoft, kSqlCalcFoundRows, kStage, kStart, kStatement,
  kStatus, kStop, kStraightJoin, kTable, kTables, kTemporary, kTo, kTransaction, kTruncate,
  kUninstall, kUnion, kUnlock, kUpdate, kUse, kUser, kUsing, kValue, kValues, kWarnings, kWhere,
  kWindow, kWith, kWork, kWrite, kXa, kXml,
};
// clang-format on

// How the word may be called, for the server it was looked up for.
enum class CallForm : uint8_t {
  kStored,    // word( calls a stored function, or nothing known
  kNever,     // a keyword: what follows in parentheses is no argument list
  kBuiltin,   // word( and word ( call a built-in function
  kAdjacent,  // only word( does; word ( calls a stored function unless sql_mode has IGNORE_SPACE
};

// What calling a built-in function does to the session, or tells of it.
enum class CallEffect : uint8_t {
  kNone,
  kLock,
  kLastInsertId,
  kFoundRows,
  kRowCount,
  kConnectionId,
  kSessionStatus,
  kSequence,      // NEXTVAL, LASTVAL, SETVAL: moves what later calls read; its argument is a table
  kSomeArgument,  // with none it is a stored function
  kTwoArguments,  // with any other number it is a stored function
  kFromInside,    // FROM may stand in its arguments: EXTRACT, TRIM, SUBSTRING, ...
};

inline constexpr size_t kMaxWordLength = 32;
inline constexpr uint32_t kAlways = 0;
inline constexpr uint32_t kNotThere = UINT32_MAX;

struct Word {
  std::array<uint64_t, kMaxWordLength / 8> folded = {};  // bits 0x20 set, zero padded
  uint8_t length = 0;
  Keyword keyword = Keyword::kNone;
  CallForm form = CallForm::kStored;
  CallEffect effect = CallEffect::kNone;
  uint32_t since_mysql = kNotThere;  // of `form`: before that version it is kStored
  uint32_t since_mariadb = kNotThere;

  uint32_t before_mysql = kNotThere;

  [[nodiscard]] CallForm FormFor(const LexerMode& mode) const {
    const uint32_t version = mode.server_version;
    const bool there =
        mode.mariadb ? version >= since_mariadb : version >= since_mysql && version < before_mysql;
    return there ? form : CallForm::kStored;
  }
};

// `word` in any case.
[[nodiscard]] const Word* FindWord(std::string_view word);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_WORDS_H_
