// What Analyze says, as one line of words that a test can compare and a person can read.
#ifndef BULKHEAD_TESTS_SQL_ANALYSIS_H_
#define BULKHEAD_TESTS_SQL_ANALYSIS_H_

#include <array>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/sql/statement.h"

namespace bulkhead::sql {

inline constexpr std::array<std::pair<uint32_t, std::string_view>, 27> kFlagNames = {{
    {kReadsUserVariable, "reads_var"}, {kWritesUserVariable, "writes_var"},
    {kUsesLockFunction, "lock"},       {kUnknownFunction, "unknown"},
    {kReadsLastInsertId, "last_id"},   {kSetsLastInsertId, "sets_last_id"},
    {kReadsWarnings, "warnings"},      {kReadsFoundRows, "found_rows"},
    {kReadsRowCount, "row_count"},     {kCalcFoundRows, "calc"},
    {kCreatesTempTable, "temp"},       {kDropsTempTable, "drops_temp"},
    {kMultiStatement, "multi"},        {kImplicitCommit, "commits"},
    {kLockingRead, "locking"},         {kLocalInfile, "local"},
    {kReferencesTable, "table"},       {kReadsSystemVariable, "sysvar"},
    {kConsistentSnapshot, "snapshot"}, {kChain, "chain"},
    {kReleaseConnection, "release"},   {kReadOnlyTransaction, "read_only"},
    {kIntoOutfile, "outfile"},         {kReadsConnectionId, "connection_id"},
    {kShowWarningsExactly, "exactly"}, {kHasHintComment, "hint"},
    {kReadsSessionStatus, "status"},
}};

inline std::string FlagWords(uint32_t flags) {
  std::string words;
  if ((flags & kCarefulFlags) == kCarefulFlags) {
    words = "careful";
    flags &= ~kCarefulFlags;
  }
  for (const auto& [flag, name] : kFlagNames) {
    if ((flags & flag) == 0) continue;
    if (!words.empty()) words += ' ';
    words += name;
  }
  return words;
}

// "select: table locking"
inline std::string Summary(const StatementInfo& info) {
  const std::string flags = FlagWords(info.flags);
  return std::string(KindName(info.kind)) + (flags.empty() ? "" : ": " + flags);
}

inline LexerMode MariaDb() { return LexerMode(); }

inline LexerMode MySql(uint32_t version = 90700) {
  LexerMode mode;
  mode.mariadb = false;
  mode.server_version = version;
  return mode;
}

inline std::string Summary(std::string_view text, const LexerMode& mode = MariaDb()) {
  return Summary(Analyze(text, mode));
}

struct Case {
  std::string_view text;
  std::string_view summary;
};

inline void PrintTo(const Case& sample, std::ostream* out) { *out << sample.text; }

}  // namespace bulkhead::sql

#endif  // BULKHEAD_TESTS_SQL_ANALYSIS_H_
