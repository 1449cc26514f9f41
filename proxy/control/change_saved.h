// What the hands of a change of primary must remember to put things back, or to finish in another
// process: routing::ChangeRecord::saved.
//
// Pure; any thread. Encode and Decode are each other's inverse; a text that Encode never made gives
// nullopt.
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_SAVED_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_SAVED_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/control/server_facts.h"

namespace bulkhead::control {

struct SavedForChange {
  bool scheduler_was_on = false;  // the old primary's event_scheduler
  // Of the old primary while it was that. A failover doesn't know them (events_known false), and
  // enables all that replication has disabled.
  bool events_known = false;
  std::vector<ServerEvent> events{};  // enabled ones; definer, charset, collation as there
  // For the old primary when it follows the candidate: FollowSpec::options.
  std::vector<std::pair<std::string, std::string>> follow{};
  // Whom the candidate replicated from, as it said; empty: not known. Whoever else has the same
  // source follows the old primary.
  std::string source_host{}, source_port{}, source_server_id{};
  // Semi-synchronous settings of the old primary; empty: it had none, or did not wait.
  std::map<std::string, std::string> semi_sync{};  // variable to value, by the old one's names
  bool semi_sync_old_words = false;                // which plugin is loaded
  friend bool operator==(const SavedForChange&, const SavedForChange&);
};

[[nodiscard]] std::string EncodeSaved(const SavedForChange& saved);
[[nodiscard]] std::optional<SavedForChange> DecodeSaved(std::string_view text);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_SAVED_H_
