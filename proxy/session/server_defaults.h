// What a backend gives a session that has set nothing: its global sql_mode and client character
// set, which decide how texts are read, and the times after which it closes idle connections.
//
// Purpose: the lexer reads a text as the server will, and pooled connections are retired in time.
// Asked of each backend when one of its connections was opened; until then another backend's answer
// is assumed, or nothing set. Thread: one worker's. Limits: at most kMaxKinds distinct pairs of
// sql_mode and character set are told apart, which servers of one fleet never have. Sources: MySQL
// manual "Server System Variables" (wait_timeout, interactive_timeout, sql_mode); sql/sql_class.cc
// of both servers, THD::init, for what a new session takes from the globals.
#ifndef BULKHEAD_PROXY_SESSION_SERVER_DEFAULTS_H_
#define BULKHEAD_PROXY_SESSION_SERVER_DEFAULTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "routing/ids.h"

namespace bulkhead::session {

// One row with one cell, which ParseServerDefaults reads.
inline constexpr std::string_view kServerDefaultsQuery =
    "SELECT CONCAT_WS('|',@@global.wait_timeout,@@global.interactive_timeout,"
    "@@global.character_set_client,@@global.sql_mode)";

struct ServerDefaults {
  uint64_t wait_timeout_s = 0;  // 0: not known
  uint64_t interactive_timeout_s = 0;
  std::string charset;
  std::string sql_mode;
  bool operator==(const ServerDefaults&) const = default;
};

// Nothing for a cell of another form.
[[nodiscard]] std::optional<ServerDefaults> ParseServerDefaults(std::string_view cell);

// How texts are read by default: sql_mode and character set.
using ReadingDefaults = std::pair<std::string, std::string>;

class ServerDefaultsTable {
 public:
  static constexpr size_t kMaxKinds = 64;

  void Set(routing::BackendId backend, const ServerDefaults& defaults);
  // Of this backend; of the one that answered last where this one has not; nullptr before any has.
  // Equal defaults are one pointer, good as long as the table.
  [[nodiscard]] const ReadingDefaults* Of(routing::BackendId backend) const;

 private:
  std::set<ReadingDefaults> kinds_;
  absl::flat_hash_map<routing::BackendId, const ReadingDefaults*> of_;
  const ReadingDefaults* last_ = nullptr;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_SERVER_DEFAULTS_H_
