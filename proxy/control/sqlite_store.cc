#include "proxy/control/sqlite_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/sqlite_query.h"
#include "proxy/control/sqlite_rows.h"

namespace bulkhead::control {

namespace {

// The lock's descriptor. The file says who holds it.
absl::StatusOr<int> Lock(const std::string& state_dir) {
  const std::string path = state_dir + "/topology.lock";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " can't be opened: ", std::strerror(errno),
                     "; state_dir must be a folder that this user may write to"));
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const ssize_t size = read(fd, holder, sizeof holder - 1);
    close(fd);
    return absl::UnavailableError(
        absl::StrCat("another process has the topology store in ", state_dir, " open",
                     size > 0 ? absl::StrCat(" (pid ", holder, ")") : std::string(),
                     "; give each router a state_dir of its own, or stop that one"));
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    close(fd);
    return absl::FailedPreconditionError(
        absl::StrCat(path, " can't be written: ", std::strerror(errno)));
  }
  return fd;
}

absl::Status WithFile(const absl::Status& status, const std::string& path) {
  if (status.ok()) return status;
  std::string text = absl::StrCat(path, ": ", std::string(status.message()));
  if (status.code() == absl::StatusCode::kDataLoss) {
    absl::StrAppend(&text,
                    "; the file is damaged: put a copy back, or move it away and start with the "
                    "configuration's topology or `bulkhead topology import`");
  }
  return {status.code(), text};
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(const std::string& state_dir) {
  std::error_code error;
  if (std::filesystem::create_directories(state_dir, error))
    std::filesystem::permissions(state_dir, std::filesystem::perms::owner_all, error);
  const absl::StatusOr<int> lock = Lock(state_dir);
  if (!lock.ok()) return lock.status();
  const std::string path = state_dir + "/topology.sqlite";
  // With the right mode from the first moment; -wal and -shm get the same.
  if (const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600); fd >= 0) close(fd);
  sqlite3* db = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr);
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, *lock, db));
  if (result != SQLITE_OK) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " can't be opened: ", sqlite3_errstr(result)));
  }
  if (absl::Status status = store->Prepare(); !status.ok()) return WithFile(status, path);
  return store;
}

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::OpenToRead(const std::string& state_dir) {
  const std::string path = state_dir + "/topology.sqlite";
  sqlite3* db = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READONLY, nullptr);
  std::unique_ptr<SqliteStore> store(new SqliteStore(path, -1, db));
  if (result != SQLITE_OK) {
    return absl::FailedPreconditionError(absl::StrCat(path,
                                                      " can't be opened: ", sqlite3_errstr(result),
                                                      "; has a router run with this state_dir?"));
  }
  (void)sqlite3_busy_timeout(db, 5000);
  SqliteQuery asked(db, "PRAGMA user_version");
  const int64_t version = asked.Next() ? asked.Number() : -1;
  if (!asked.status().ok()) return WithFile(asked.status(), path);
  if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": its schema is version ", version, " and this program reads version ",
                     kSchemaVersion, ": use the bulkhead that has written it"));
  }
  return store;
}

SqliteStore::~SqliteStore() {
  sqlite3_close_v2(db_);
  if (lock_ >= 0) close(lock_);
}

absl::Status SqliteStore::Prepare() {
  sqlite3_extended_result_codes(db_, 1);
  absl::Status status = SqliteQuery::Execute(
      db_, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON");
  if (!status.ok()) return status;
  SqliteQuery check(db_, "PRAGMA quick_check(1)");
  if (check.Next()) {
    if (const std::string found = check.Text(); found != "ok") return absl::DataLossError(found);
  }
  if (!check.status().ok()) return check.status();
  SqliteQuery asked(db_, "PRAGMA user_version");
  if (!asked.Next()) return asked.status();
  const int64_t version = asked.Number();
  (void)asked.Run();
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("its schema is version ", version, " and this program knows ", kSchemaVersion,
                     ": it was written by a newer bulkhead; use that one, or export there and "
                     "import here"));
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  status = SqliteQuery::Execute(db_, "BEGIN IMMEDIATE");
  for (int64_t i = version; i < kSchemaVersion && status.ok(); ++i)
    status = SqliteQuery::Execute(db_, SchemaSteps()[static_cast<size_t>(i)]);
  const std::string now = absl::StrCat("PRAGMA user_version=", kSchemaVersion, "; COMMIT");
  if (status.ok()) status = SqliteQuery::Execute(db_, now.c_str());
  if (!status.ok()) (void)SqliteQuery::Execute(db_, "ROLLBACK");
  return status;
}

absl::StatusOr<uint64_t> SqliteStore::Revision() {
  SqliteQuery query(db_, "SELECT value FROM meta WHERE name = 'revision'");
  const uint64_t revision = query.Next() ? static_cast<uint64_t>(query.Number()) : 0;
  if (!query.status().ok()) return query.status();
  return revision;
}

absl::StatusOr<StoredState> SqliteStore::Load() {
  StoredState state;
  const absl::StatusOr<uint64_t> revision = Revision();
  if (!revision.ok()) return WithFile(revision.status(), path_);
  state.revision = *revision;
  if (absl::Status status = ReadRows(db_, &state); !status.ok()) return WithFile(status, path_);
  return state;
}

absl::StatusOr<uint64_t> SqliteStore::Commit(uint64_t seen_revision,
                                             const std::vector<StoreEdit>& edits) {
  absl::Status status = SqliteQuery::Execute(db_, "BEGIN IMMEDIATE");
  uint64_t next = 0;
  if (status.ok()) {
    const absl::StatusOr<uint64_t> revision = Revision();
    status = revision.status();
    if (status.ok() && *revision != seen_revision) {
      status = absl::AbortedError(absl::StrCat("the store is at revision ", *revision, ", not at ",
                                               seen_revision, ": somebody else changed it"));
    }
    next = seen_revision + 1;
  }
  for (const StoreEdit& edit : edits) {
    if (status.ok()) status = ApplyEdit(db_, edit);
  }
  if (status.ok()) {
    SqliteQuery put(db_, "INSERT OR REPLACE INTO meta (name, value) VALUES ('revision', ?)");
    status = put.Bind(static_cast<int64_t>(next)).Run();
  }
  if (status.ok()) status = SqliteQuery::Execute(db_, "COMMIT");
  if (status.ok()) return next;
  if (sqlite3_get_autocommit(db_) == 0) (void)SqliteQuery::Execute(db_, "ROLLBACK");
  return WithFile(status, path_);
}

}  // namespace bulkhead::control
