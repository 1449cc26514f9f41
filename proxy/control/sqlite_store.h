// SqliteStore: the embedded topology store, one SQLite file in state_dir.
//
// Purpose: TopologyStore for a router on its own. A Commit is one transaction, on disk before it
// returns: write-ahead log with synchronous=FULL
// (https://www.sqlite.org/pragma.html#pragma_synchronous, https://www.sqlite.org/wal.html), so that
// kill -9 and a power cut lose no acknowledged change and leave no half of one. Files, in state_dir
// (made with mode 0700): topology.sqlite (0600) with -wal and -shm, and topology.lock, held with
// flock(2) as long as the store is open: one process at a time. The schema has a version (PRAGMA
// user_version); older ones are brought forward at Open, step by step, in one transaction; a newer
// one is refused. Thread: one at a time. Limits: the newest kKeptEvents events and kKeptOperations
// ended operations are kept. Errors: as topology_store.h says; what is wrong with a file names the
// file.
#ifndef BULKHEAD_PROXY_CONTROL_SQLITE_STORE_H_
#define BULKHEAD_PROXY_CONTROL_SQLITE_STORE_H_

#include <sqlite3.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/control/topology_store.h"

namespace bulkhead::control {

class SqliteStore final : public TopologyStore {
 public:
  static constexpr int kSchemaVersion = 3;
  static constexpr int kKeptEvents = 5000;
  static constexpr int kKeptOperations = 500;
  static constexpr int kKeptIncidents = 200;

  // Makes the folder and the file where they are missing.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(
      const std::string& state_dir);
  // For a look, also while another process has it; Commit fails.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteStore>> OpenToRead(
      const std::string& state_dir);
  ~SqliteStore() override;
  SqliteStore(const SqliteStore&) = delete;
  SqliteStore& operator=(const SqliteStore&) = delete;

  [[nodiscard]] absl::StatusOr<StoredState> Load() override;
  [[nodiscard]] absl::StatusOr<uint64_t> Commit(uint64_t seen_revision,
                                                const std::vector<StoreEdit>& edits) override;
  void OnChange(std::function<void(uint64_t revision)> changed) override { (void)changed; }

 private:
  SqliteStore(std::string path, int lock, sqlite3* db)
      : path_(std::move(path)), lock_(lock), db_(db) {}
  [[nodiscard]] absl::Status Prepare();
  [[nodiscard]] absl::StatusOr<uint64_t> Revision();

  const std::string path_;
  const int lock_;
  sqlite3* const db_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_SQLITE_STORE_H_
