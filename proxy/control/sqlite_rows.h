// Edits and rows of the topology store in SQLite.
//
// Purpose: the schema, how an edit is written and how everything is read; sqlite_store.h has the
// file and its transactions. Thread: the store's.
#ifndef BULKHEAD_PROXY_CONTROL_SQLITE_ROWS_H_
#define BULKHEAD_PROXY_CONTROL_SQLITE_ROWS_H_

#include <sqlite3.h>

#include <span>

#include "proxy/control/topology_store.h"

namespace bulkhead::control {

// What makes schema version n + 1 of version n; the first makes version 1 of nothing.
[[nodiscard]] std::span<const char* const> SchemaSteps();
// Inside a transaction.
[[nodiscard]] absl::Status ApplyEdit(sqlite3* db, const StoreEdit& edit);
[[nodiscard]] absl::Status ReadRows(sqlite3* db, StoredState* state);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SQLITE_ROWS_H_
