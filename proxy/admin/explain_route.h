// EXPLAIN ROUTE: where a tenant's statement would go now, and why, step by step. Sends nothing.
//
// Purpose: the same decisions as a session's, by the same functions (sql::Analyze,
// routing::ResolveTenant, CheckSchema, the gate's own words), told instead of done.
// Thread: any; pure. `state` holds shards, backends and holds.
// Limits: what a session's own state would change (a transaction, locks, prepared statements, its
// sql_mode) is not known here.
#ifndef BULKHEAD_PROXY_ADMIN_EXPLAIN_ROUTE_H_
#define BULKHEAD_PROXY_ADMIN_EXPLAIN_ROUTE_H_

#include "proxy/admin/live_state.h"
#include "proxy/admin/sql_engine.h"
#include "proxy/admin/statement.h"
#include "proxy/config/options.h"

namespace bulkhead::admin {

// Columns step, result, why.
void Explain(const ExplainRoute& question, const LiveState& state, const config::Options& options,
             ResultTable* table);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_EXPLAIN_ROUTE_H_
