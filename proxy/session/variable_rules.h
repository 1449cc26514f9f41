// Which session variables can be brought to another connection, and why some can't.
//
// Purpose: one list. A variable that is not in it is ordinary: what was set from a literal can be
// set again elsewhere, and DEFAULT takes it back.
// Thread: any; constants. Names are lower case, without @@ and scope.
// Sources: "Server System Variables", "Replication and Binary Logging Options and Variables" of the
// MySQL 8.4 manual; "Server System Variables" and "Replication and Binary Log System Variables" of
// MariaDB; sql/sys_vars.cc of both.
#ifndef BULKHEAD_PROXY_SESSION_VARIABLE_RULES_H_
#define BULKHEAD_PROXY_SESSION_VARIABLE_RULES_H_

#include <cstdint>
#include <span>
#include <string_view>

#include "proxy/session/login.h"
#include "proxy/session/pins.h"

namespace bulkhead::session {

enum class VariableRule : uint8_t {
  kOrdinary,
  kBoolean,       // ordinary; ON, 1 and TRUE are one value
  kCheck,         // a boolean; DEFAULT does not give the global value (MySQL 9.7: it gives OFF)
  kIsolation,     // ordinary; the words of SET TRANSACTION and of the variable are one value
  kPair,          // ordinary; setting it sets its partner too, so that only the last one counts
  kTimestamp,     // ordinary; 0 is DEFAULT
  kCharset,       // belongs to SET NAMES: in order with it
  kLastInsertId,  // the session's LAST_INSERT_ID(), which the router keeps itself
  kOffOnly,       // a boolean; while it is on, it can't be restored
  kOneShot,       // for the next statement or transaction only
  kPin,           // can't be restored
};

struct VariableEntry {
  std::string_view name;  // a trailing * stands for anything
  VariableRule rule = VariableRule::kOrdinary;
  std::string_view reason;  // for an operator's eyes
  Pin pin = Pin::kSessionVariable;
};

[[nodiscard]] std::span<const VariableEntry> VariableEntries();

// The entry for a canonical name; one with kOrdinary and an empty name where the list has none.
[[nodiscard]] const VariableEntry& RuleFor(std::string_view name);

// Of a kPair; otherwise empty.
[[nodiscard]] std::string_view PartnerOf(std::string_view name);

// One name for a variable that has several: transaction_isolation for tx_isolation, and so on.
[[nodiscard]] std::string_view CanonicalName(std::string_view name, ServerFamily family);
// The name that all servers of the family know, for a canonical one.
[[nodiscard]] std::string_view ServerName(std::string_view canonical, ServerFamily family);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_VARIABLE_RULES_H_
