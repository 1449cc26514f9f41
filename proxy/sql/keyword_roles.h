// What keywords mean in the midst of a statement. Data of expression_scan.cc only.
#ifndef BULKHEAD_PROXY_SQL_KEYWORD_ROLES_H_
#define BULKHEAD_PROXY_SQL_KEYWORD_ROLES_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "proxy/sql/words.h"

namespace bulkhead::sql {

// A table from keyword to role, so that the scanner's switch can name every role.
enum class Role : uint8_t {
  kNone,
  kFrom,
  kJoin,
  kStraightJoin,
  kInto,
  kUpdate,
  kTable,
  kUsing,
  kShare,
  kFor,
  kOutfile,
  kCalcFoundRows,
  kEvent,
  kWith,
  kSelect,
  kValues,
  kOtherVerb,     // DELETE, INSERT, REPLACE
  kEndsFromList,  // WHERE, SET, ...
  kOrdering,      // ORDER, GROUP: end it, but not in FORCE INDEX FOR ORDER BY
  kSetOperation,
  kReturning,
};

struct KeywordRole {
  Keyword keyword;
  Role role;
};

inline constexpr std::array kRoles = {
    KeywordRole{Keyword::kFrom, Role::kFrom},
    KeywordRole{Keyword::kJoin, Role::kJoin},
    KeywordRole{Keyword::kStraightJoin, Role::kStraightJoin},
    KeywordRole{Keyword::kInto, Role::kInto},
    KeywordRole{Keyword::kUpdate, Role::kUpdate},
    KeywordRole{Keyword::kTable, Role::kTable},
    KeywordRole{Keyword::kUsing, Role::kUsing},
    KeywordRole{Keyword::kShare, Role::kShare},
    KeywordRole{Keyword::kFor, Role::kFor},
    KeywordRole{Keyword::kOutfile, Role::kOutfile},
    KeywordRole{Keyword::kDumpfile, Role::kOutfile},
    KeywordRole{Keyword::kSqlCalcFoundRows, Role::kCalcFoundRows},
    KeywordRole{Keyword::kEvent, Role::kEvent},
    KeywordRole{Keyword::kWith, Role::kWith},
    KeywordRole{Keyword::kSelect, Role::kSelect},
    KeywordRole{Keyword::kValues, Role::kValues},
    KeywordRole{Keyword::kDelete, Role::kOtherVerb},
    KeywordRole{Keyword::kInsert, Role::kOtherVerb},
    KeywordRole{Keyword::kReplace, Role::kOtherVerb},
    KeywordRole{Keyword::kWhere, Role::kEndsFromList},
    KeywordRole{Keyword::kHaving, Role::kEndsFromList},
    KeywordRole{Keyword::kLimit, Role::kEndsFromList},
    KeywordRole{Keyword::kSet, Role::kEndsFromList},
    KeywordRole{Keyword::kProcedure, Role::kEndsFromList},
    KeywordRole{Keyword::kUnion, Role::kEndsFromList},
    KeywordRole{Keyword::kOrder, Role::kOrdering},
    KeywordRole{Keyword::kGroup, Role::kOrdering},
    KeywordRole{Keyword::kExcept, Role::kSetOperation},
    KeywordRole{Keyword::kIntersect, Role::kSetOperation},
    KeywordRole{Keyword::kReturning, Role::kReturning},
};

// Reserved words that end or qualify a table position; every other word there is a name.
inline constexpr std::array kStructural = {
    Keyword::kSelect,       Keyword::kWith,     Keyword::kValues,  Keyword::kTable,
    Keyword::kFrom,         Keyword::kInto,     Keyword::kWhere,   Keyword::kSet,
    Keyword::kOn,           Keyword::kUsing,    Keyword::kGroup,   Keyword::kOrder,
    Keyword::kHaving,       Keyword::kLimit,    Keyword::kUnion,   Keyword::kFor,
    Keyword::kAs,           Keyword::kJoin,     Keyword::kInsert,  Keyword::kOutfile,
    Keyword::kDelete,       Keyword::kDumpfile, Keyword::kReplace, Keyword::kUpdate,
    Keyword::kStraightJoin, Keyword::kIn,       Keyword::kIf,      Keyword::kNot,
    Keyword::kExists,       Keyword::kDual,
};

struct KeywordTables {
  std::array<Role, 256> roles = {};
  std::array<bool, 256> structural = {};
};

constexpr KeywordTables BuildKeywordTables() {
  KeywordTables tables;
  for (const KeywordRole& entry : kRoles) {
    tables.roles[static_cast<size_t>(entry.keyword)] = entry.role;
  }
  for (const Keyword keyword : kStructural) {
    tables.structural[static_cast<size_t>(keyword)] = true;
  }
  return tables;
}

inline constexpr KeywordTables kKeywordTables = BuildKeywordTables();

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_KEYWORD_ROLES_H_
