// Which schemas of which backends hold only tables whose changes a lost transaction takes back.
//
// Purpose: 1213 ("rolled back") may be said of a transaction that wrote only where this is known;
// of any other the outcome is unknown. An immutable snapshot, replaced whole. Triggers and views
// may write elsewhere: on a backend with any other table, a schema with one of them is not known,
// and none is where triggers can't be seen. Thread: any, once built. A backend that is not in it is
// not known.
#ifndef BULKHEAD_ROUTING_TRANSACTIONAL_TABLES_H_
#define BULKHEAD_ROUTING_TRANSACTIONAL_TABLES_H_

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "routing/ids.h"

namespace bulkhead::routing {

class TransactionalTables {
 public:
  struct Server {
    bool all = false;  // every table of every schema
    bool triggers_seen = false;
    std::vector<std::string> excluded;  // sorted: with other tables, triggers or views
    bool folds_names = false;           // lower_case_table_names: `excluded` is folded
    friend bool operator==(const Server&, const Server&) = default;
  };

  void Set(BackendId backend, Server server) {
    Entry& entry = servers_[backend];
    if (entry.known && entry.server == server) return;
    entry.known = true;
    entry.server = std::move(server);
    ++entry.version;
  }
  void Forget(BackendId backend) {
    Entry& entry = servers_[backend];
    entry.known = false;
    ++entry.version;
  }

  // Raised by whatever may have changed the tables: what was known of a statement when it was sent
  // holds only while this stays the same.
  [[nodiscard]] uint64_t Version(BackendId backend) const {
    auto it = servers_.find(backend);
    return it == servers_.end() ? 0 : it->second.version;
  }

  [[nodiscard]] bool Known(BackendId backend, std::string_view schema) const {
    auto it = servers_.find(backend);
    if (it == servers_.end() || !it->second.known) return false;
    const Server& server = it->second.server;
    if (server.all) return true;
    if (!server.triggers_seen || schema.empty()) return false;
    const auto is_excluded = [&server](std::string_view name) {
      return std::binary_search(server.excluded.begin(), server.excluded.end(), name);
    };
    if (!server.folds_names) return !is_excluded(schema);
    // How the server folds other letters is its own affair.
    const bool ascii = std::all_of(schema.begin(), schema.end(), [](char c) { return c > 0; });
    return ascii && !is_excluded(Folded(schema));
  }
  // ASCII letters in lower case.
  [[nodiscard]] static std::string Folded(std::string_view name) {
    std::string folded(name);
    for (char& c : folded) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return folded;
  }

 private:
  struct Entry {
    bool known = false;
    Server server;
    uint64_t version = 0;
  };
  absl::flat_hash_map<BackendId, Entry> servers_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TRANSACTIONAL_TABLES_H_
