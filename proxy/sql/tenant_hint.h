// The tenant that a comment names.
//
// Purpose: /* tenant=acme */, /*tenant='acme'*/, or one of several pairs as sqlcommenter and
// similar
//   libraries write them: /*controller='x',tenant='acme'*/. Pairs are separated by commas,
//   semicolons or white space; words without = are passed over; a value is bare or quoted with ' or
//   ". The key is `tenant`, in lower case.
// Thread: any. Errors: an empty view where there is no such pair. The value is as written between
//   the quotes: not URL-decoded, backslashes kept.
#ifndef BULKHEAD_PROXY_SQL_TENANT_HINT_H_
#define BULKHEAD_PROXY_SQL_TENANT_HINT_H_

#include <string_view>

namespace bulkhead::sql {

// `comment` without /* and */.
[[nodiscard]] std::string_view FindTenantHint(std::string_view comment);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_TENANT_HINT_H_
