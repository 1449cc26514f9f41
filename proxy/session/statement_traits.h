// What follows from a statement's kind and flags for its way: does it need a tenant, may it go
// where writes are held, will a replica do, does it count against a tenant's limits?
//
// Purpose: asked by sessions for what they send, and by EXPLAIN ROUTE for what nobody sends.
// Thread: any; pure.
#ifndef BULKHEAD_PROXY_SESSION_STATEMENT_TRAITS_H_
#define BULKHEAD_PROXY_SESSION_STATEMENT_TRAITS_H_

#include <cstdint>

#include "proxy/sql/statement.h"

namespace bulkhead::session {

// Names tables, or may do anything.
[[nodiscard]] bool NeedsTenant(const sql::StatementInfo& info);
// Nothing of it reaches a table or the log of a server: it may go where writes are held.
[[nodiscard]] bool ReadsOnly(sql::StatementKind kind, uint32_t flags);
// A SELECT of tables and built-in functions, without locks and variables.
[[nodiscard]] bool IsPlainRead(sql::StatementKind kind, uint32_t flags);
// The others end work, or cost a server next to nothing: refusing them would keep locks.
[[nodiscard]] bool CountsAsWork(sql::StatementKind kind);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_STATEMENT_TRAITS_H_
