// The calls of GET_LOCK and its kin in a statement, where they can be counted.
//
// Purpose: tells which named locks a statement takes and gives back. Only plain statements are
// understood: SELECT or DO, then nothing but calls of GET_LOCK('name', number),
// RELEASE_LOCK('name') and RELEASE_ALL_LOCKS() separated by commas, each with an alias or none. In
// any other (a WHERE, a FROM, an IF around it) a call may run never, or once for each row. Thread:
// any. Errors: not understood. Sources: MySQL manual "Locking Functions".
#ifndef BULKHEAD_PROXY_SQL_LOCK_CALLS_H_
#define BULKHEAD_PROXY_SQL_LOCK_CALLS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/sql/statement.h"

namespace bulkhead::sql {

struct LockCall {
  enum class Kind : uint8_t { kGet, kRelease, kReleaseAll };
  Kind kind;
  std::string name;  // lower case; empty for kReleaseAll
  bool operator==(const LockCall&) const = default;
};

struct LockCalls {
  bool understood = false;
  std::vector<LockCall> calls;
};

[[nodiscard]] LockCalls FindLockCalls(std::string_view text, const LexerMode& mode);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_LOCK_CALLS_H_
