#include "proxy/sql/words.h"

#include <bit>
#include <cstring>

#include "proxy/sql/builtin_functions.h"

namespace bulkhead::sql {
namespace {

struct KeywordEntry {
  Keyword keyword;
  std::string_view name;
  CallForm form = CallForm::kNever;
  uint32_t since_mysql = kAlways;
  uint32_t since_mariadb = kAlways;
};

constexpr CallForm kNever = CallForm::kNever;
constexpr CallForm kStored = CallForm::kStored;
constexpr CallForm kBuiltin = CallForm::kBuiltin;
constexpr CallForm kAdjacent = CallForm::kAdjacent;

// Those with kStored can be names of stored functions: MariaDB takes most words that are not
// reserved. JSON_TABLE is built in only where a table may stand.
// clang-format off
constexpr std::array kKeywords = {
    KeywordEntry{Keyword::kAll, "ALL"}, KeywordEntry{Keyword::kAlter, "ALTER"},
    KeywordEntry{Keyword::kAnalyze, "ANALYZE"}, KeywordEntry{Keyword::kAnd, "AND"},
    KeywordEntry{Keyword::kAs, "AS"}, KeywordEntry{Keyword::kBackup, "BACKUP", kStored},
    KeywordEntry{Keyword::kBegin, "BEGIN"}, KeywordEntry{Keyword::kBinlog, "BINLOG"},
    KeywordEntry{Keyword::kCache, "CACHE"}, KeywordEntry{Keyword::kCall, "CALL"},
    KeywordEntry{Keyword::kChain, "CHAIN", kStored}, KeywordEntry{Keyword::kChange, "CHANGE"},
    KeywordEntry{Keyword::kCharacter, "CHARACTER"},
    KeywordEntry{Keyword::kCharset, "CHARSET", kBuiltin},
    KeywordEntry{Keyword::kCheck, "CHECK"}, KeywordEntry{Keyword::kChecksum, "CHECKSUM"},
    KeywordEntry{Keyword::kClone, "CLONE", kStored}, KeywordEntry{Keyword::kCollate, "COLLATE"},
    KeywordEntry{Keyword::kCommit, "COMMIT"},
    KeywordEntry{Keyword::kConnection, "CONNECTION", kStored},
    KeywordEntry{Keyword::kConsistent, "CONSISTENT", kStored},
    KeywordEntry{Keyword::kCount, "COUNT", kAdjacent}, KeywordEntry{Keyword::kCreate, "CREATE"},
    KeywordEntry{Keyword::kData, "DATA", kStored},
    KeywordEntry{Keyword::kDatabase, "DATABASE", kBuiltin},
    KeywordEntry{Keyword::kDeallocate, "DEALLOCATE"}, KeywordEntry{Keyword::kDefault, "DEFAULT"},
    KeywordEntry{Keyword::kDefiner, "DEFINER", kStored}, KeywordEntry{Keyword::kDelayed, "DELAYED"},
    KeywordEntry{Keyword::kDelete, "DELETE"}, KeywordEntry{Keyword::kDesc, "DESC"},
    KeywordEntry{Keyword::kDescribe, "DESCRIBE"},
    KeywordEntry{Keyword::kDiagnostics, "DIAGNOSTICS", kStored},
    KeywordEntry{Keyword::kDo, "DO"}, KeywordEntry{Keyword::kDrop, "DROP"},
    KeywordEntry{Keyword::kDual, "DUAL"}, KeywordEntry{Keyword::kDumpfile, "DUMPFILE", kStored},
    KeywordEntry{Keyword::kErrors, "ERRORS", kStored},
    KeywordEntry{Keyword::kEvent, "EVENT", kStored},
    KeywordEntry{Keyword::kExcept, "EXCEPT", kNever, 80031},
    KeywordEntry{Keyword::kExecute, "EXECUTE"}, KeywordEntry{Keyword::kExists, "EXISTS"},
    KeywordEntry{Keyword::kExplain, "EXPLAIN"}, KeywordEntry{Keyword::kExport, "EXPORT", kStored},
    KeywordEntry{Keyword::kExtended, "EXTENDED", kStored}, KeywordEntry{Keyword::kFlush, "FLUSH"},
    KeywordEntry{Keyword::kFor, "FOR"}, KeywordEntry{Keyword::kFormat, "FORMAT", kBuiltin},
    KeywordEntry{Keyword::kFrom, "FROM"}, KeywordEntry{Keyword::kGet, "GET", kStored},
    KeywordEntry{Keyword::kGlobal, "GLOBAL"}, KeywordEntry{Keyword::kGrant, "GRANT"},
    KeywordEntry{Keyword::kGroup, "GROUP"}, KeywordEntry{Keyword::kHandler, "HANDLER"},
    KeywordEntry{Keyword::kHard, "HARD", kStored}, KeywordEntry{Keyword::kHaving, "HAVING"},
    KeywordEntry{Keyword::kHelp, "HELP"}, KeywordEntry{Keyword::kHighPriority, "HIGH_PRIORITY"},
    KeywordEntry{Keyword::kHistory, "HISTORY", kStored}, KeywordEntry{Keyword::kId, "ID", kStored},
    KeywordEntry{Keyword::kIf, "IF", kBuiltin}, KeywordEntry{Keyword::kIgnore, "IGNORE"},
    KeywordEntry{Keyword::kImmediate, "IMMEDIATE", kStored},
    KeywordEntry{Keyword::kImport, "IMPORT", kStored}, KeywordEntry{Keyword::kIn, "IN"},
    KeywordEntry{Keyword::kIndex, "INDEX"}, KeywordEntry{Keyword::kInsert, "INSERT", kBuiltin},
    KeywordEntry{Keyword::kInstall, "INSTALL"},
    KeywordEntry{Keyword::kInstance, "INSTANCE", kStored},
    KeywordEntry{Keyword::kIntersect, "INTERSECT", kNever, 80031},
    KeywordEntry{Keyword::kInto, "INTO"}, KeywordEntry{Keyword::kIsolation, "ISOLATION", kStored},
    KeywordEntry{Keyword::kJoin, "JOIN"},
    KeywordEntry{Keyword::kJsonTable, "JSON_TABLE", kStored},
    KeywordEntry{Keyword::kKey, "KEY"}, KeywordEntry{Keyword::kKill, "KILL"},
    KeywordEntry{Keyword::kLateral, "LATERAL", kNever, 80014, kNotThere},
    KeywordEntry{Keyword::kLess, "LESS", kStored}, KeywordEntry{Keyword::kLevel, "LEVEL", kStored},
    KeywordEntry{Keyword::kLimit, "LIMIT"}, KeywordEntry{Keyword::kLoad, "LOAD"},
    KeywordEntry{Keyword::kLocal, "LOCAL"}, KeywordEntry{Keyword::kLock, "LOCK"},
    KeywordEntry{Keyword::kLowPriority, "LOW_PRIORITY"}, KeywordEntry{Keyword::kNames, "NAMES"},
    KeywordEntry{Keyword::kNext, "NEXT", kStored}, KeywordEntry{Keyword::kNo, "NO"},
    KeywordEntry{Keyword::kNot, "NOT"}, KeywordEntry{Keyword::kNull, "NULL"},
    KeywordEntry{Keyword::kOn, "ON"}, KeywordEntry{Keyword::kOnly, "ONLY", kStored},
    KeywordEntry{Keyword::kOptimize, "OPTIMIZE"}, KeywordEntry{Keyword::kOr, "OR"},
    KeywordEntry{Keyword::kOrder, "ORDER"}, KeywordEntry{Keyword::kOutfile, "OUTFILE"},
    KeywordEntry{Keyword::kPartitions, "PARTITIONS", kStored},
    KeywordEntry{Keyword::kPassword, "PASSWORD", kBuiltin, kNotThere, kAlways},
    KeywordEntry{Keyword::kPersist, "PERSIST", kStored},
    KeywordEntry{Keyword::kPersistOnly, "PERSIST_ONLY", kStored},
    KeywordEntry{Keyword::kPlugin, "PLUGIN", kStored}, KeywordEntry{Keyword::kPrepare, "PREPARE"},
    KeywordEntry{Keyword::kPrevious, "PREVIOUS", kStored},
    KeywordEntry{Keyword::kProcedure, "PROCEDURE"},
    KeywordEntry{Keyword::kProfile, "PROFILE", kStored},
    KeywordEntry{Keyword::kProfiles, "PROFILES", kStored}, KeywordEntry{Keyword::kPurge, "PURGE"},
    KeywordEntry{Keyword::kQuery, "QUERY", kStored},
    KeywordEntry{Keyword::kQuick, "QUICK", kStored},
    KeywordEntry{Keyword::kRead, "READ"},
    KeywordEntry{Keyword::kRecursive, "RECURSIVE", kNever, 80001},
    KeywordEntry{Keyword::kRelease, "RELEASE"}, KeywordEntry{Keyword::kRename, "RENAME"},
    KeywordEntry{Keyword::kRepair, "REPAIR"}, KeywordEntry{Keyword::kReplace, "REPLACE", kBuiltin},
    KeywordEntry{Keyword::kReset, "RESET"}, KeywordEntry{Keyword::kResource, "RESOURCE", kStored},
    KeywordEntry{Keyword::kRestart, "RESTART", kStored},
    KeywordEntry{Keyword::kReturning, "RETURNING", kNever, 80021},
    KeywordEntry{Keyword::kRevoke, "REVOKE"}, KeywordEntry{Keyword::kRole, "ROLE", kStored},
    KeywordEntry{Keyword::kRollback, "ROLLBACK"}, KeywordEntry{Keyword::kSavepoint, "SAVEPOINT"},
    KeywordEntry{Keyword::kSchema, "SCHEMA", kBuiltin}, KeywordEntry{Keyword::kSelect, "SELECT"},
    KeywordEntry{Keyword::kSequence, "SEQUENCE", kStored},
    KeywordEntry{Keyword::kSession, "SESSION"}, KeywordEntry{Keyword::kSet, "SET"},
    KeywordEntry{Keyword::kShare, "SHARE", kStored}, KeywordEntry{Keyword::kShow, "SHOW"},
    KeywordEntry{Keyword::kShutdown, "SHUTDOWN"},
    KeywordEntry{Keyword::kSnapshot, "SNAPSHOT", kStored},
    KeywordEntry{Keyword::kSoft, "SOFT", kStored},
    KeywordEntry{Keyword::kSqlCalcFoundRows, "SQL_CALC_FOUND_ROWS"},
    KeywordEntry{Keyword::kStage, "STAGE", kStored}, KeywordEntry{Keyword::kStart, "START"},
    KeywordEntry{Keyword::kStatement, "STATEMENT", kStored},
    KeywordEntry{Keyword::kStatus, "STATUS", kStored}, KeywordEntry{Keyword::kStop, "STOP"},
    KeywordEntry{Keyword::kStraightJoin, "STRAIGHT_JOIN"}, KeywordEntry{Keyword::kTable, "TABLE"},
    KeywordEntry{Keyword::kTables, "TABLES", kStored},
    KeywordEntry{Keyword::kTemporary, "TEMPORARY", kStored},
    KeywordEntry{Keyword::kTo, "TO"}, KeywordEntry{Keyword::kTransaction, "TRANSACTION", kStored},
    KeywordEntry{Keyword::kTruncate, "TRUNCATE", kBuiltin},
    KeywordEntry{Keyword::kUninstall, "UNINSTALL"}, KeywordEntry{Keyword::kUnion, "UNION"},
    KeywordEntry{Keyword::kUnlock, "UNLOCK"}, KeywordEntry{Keyword::kUpdate, "UPDATE"},
    KeywordEntry{Keyword::kUse, "USE"}, KeywordEntry{Keyword::kUser, "USER", kBuiltin},
    KeywordEntry{Keyword::kUsing, "USING"}, KeywordEntry{Keyword::kValue, "VALUE"},
    KeywordEntry{Keyword::kValues, "VALUES"}, KeywordEntry{Keyword::kWarnings, "WARNINGS", kStored},
    KeywordEntry{Keyword::kWhere, "WHERE"},
    KeywordEntry{Keyword::kWindow, "WINDOW", kNever, 80000},
    KeywordEntry{Keyword::kWith, "WITH"}, KeywordEntry{Keyword::kWork, "WORK", kStored},
    KeywordEntry{Keyword::kWrite, "WRITE"}, KeywordEntry{Keyword::kXa, "XA"},
    KeywordEntry{Keyword::kXml, "XML", kStored},
};
// clang-format on

constexpr size_t CountWords(std::string_view words) {
  size_t count = 1;
  for (const char c : words) count += c == ' ';
  return count;
}

constexpr size_t CountAllWords() {
  size_t count = kKeywords.size();
  for (const WordGroup& group : kWordGroups) count += CountWords(group.words);
  return count;
}

constexpr size_t kWordCount = CountAllWords();
constexpr size_t kSlotCount = 4096;  // more than five times the words: short probes
constexpr uint16_t kFree = UINT16_MAX;
constexpr uint64_t kCaseBits = 0x2020202020202020;

using Folded = std::array<uint64_t, kMaxWordLength / 8>;

constexpr size_t SlotOf(const Folded& folded) {
  const uint64_t mixed =
      folded[0] ^ std::rotl(folded[1], 21) ^ std::rotl(folded[2], 42) ^ folded[3];
  return static_cast<size_t>((mixed * 0x9E3779B97F4A7C15) >> 52);
}
static_assert(kSlotCount == 1u << 12);

struct Table {
  std::array<Word, kWordCount> words = {};
  std::array<uint16_t, kSlotCount> slots = {};
  size_t used = 0;

  constexpr void Add(std::string_view name, Word word) {
    for (size_t i = 0; i < name.size(); ++i) {
      word.folded[i / 8] |= static_cast<uint64_t>(static_cast<uint8_t>(name[i])) << (i % 8 * 8);
    }
    for (size_t i = 0; i * 8 < name.size(); ++i) word.folded[i] |= kCaseBits;
    word.length = static_cast<uint8_t>(name.size());
    size_t slot = SlotOf(word.folded);
    while (slots[slot] != kFree) slot = (slot + 1) % kSlotCount;
    slots[slot] = static_cast<uint16_t>(used);
    words[used++] = word;
  }

  constexpr void AddGroup(const WordGroup& group) {
    std::string_view rest = group.words;
    while (!rest.empty()) {
      const size_t end = rest.find(' ');
      Word word;
      word.form = group.form;
      word.effect = group.effect;
      word.since_mysql = group.since_mysql;
      word.since_mariadb = group.since_mariadb;
      word.before_mysql = group.before_mysql;
      Add(rest.substr(0, end), word);
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
  }
};

constexpr Table BuildTable() {
  Table table;
  for (uint16_t& slot : table.slots) slot = kFree;
  for (const KeywordEntry& entry : kKeywords) {
    Word word;
    word.keyword = entry.keyword;
    word.form = entry.form;
    word.since_mysql = entry.since_mysql;
    word.since_mariadb = entry.since_mariadb;
    table.Add(entry.name, word);
  }
  for (const WordGroup& group : kWordGroups) table.AddGroup(group);
  return table;
}

constexpr Table kTable = BuildTable();

// Little endian, `size` of 1 to 8 bytes, without reading behind them.
uint64_t LoadBytes(const char* from, size_t size) {
  if (size >= 4) {
    uint32_t low = 0;
    uint32_t high = 0;
    std::memcpy(&low, from, 4);
    std::memcpy(&high, from + size - 4, 4);
    return low | static_cast<uint64_t>(high) << ((size - 4) * 8);
  }
  const auto byte = [from](size_t i) {
    return static_cast<uint64_t>(static_cast<uint8_t>(from[i]));
  };
  return byte(0) | byte(size / 2) << (size / 2 * 8) | byte(size - 1) << ((size - 1) * 8);
}
static_assert(std::endian::native == std::endian::little);

}  // namespace

const Word* FindWord(std::string_view word) {
  if (word.empty() || word.size() > kMaxWordLength) return nullptr;
  Folded folded = {};
  for (size_t at = 0, i = 0; at < word.size(); at += 8, ++i) {
    folded[i] =
        LoadBytes(word.data() + at, word.size() - at < 8 ? word.size() - at : 8) | kCaseBits;
  }
  for (size_t slot = SlotOf(folded); kTable.slots[slot] != kFree; slot = (slot + 1) % kSlotCount) {
    const Word& candidate = kTable.words[kTable.slots[slot]];
    if (candidate.folded == folded && candidate.length == word.size()) return &candidate;
  }
  return nullptr;
}

}  // namespace bulkhead::sql
