// What stands against a change of primary: the preflight, from what the servers say of themselves.
//
// Purpose: every reason at once, and what should be known besides; a row for each check, for DRY
// RUN; and what must be remembered to put things back.
// Pure; any thread. Units: routing::Duration. Order matters in two places: the candidate's facts
// were read before the old primary's position, and everybody's before `now`.
// Sources: docs/decisions/changing-a-primary.md says why each is checked; the settings are the
// manuals' ("Configuring Replication Using GTIDs", "Semisynchronous Replication").
#ifndef BULKHEAD_PROXY_CONTROL_CHANGE_CHECKS_H_
#define BULKHEAD_PROXY_CONTROL_CHANGE_CHECKS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/control/change_saved.h"
#include "proxy/control/server_facts.h"
#include "routing/primary_change.h"
#include "routing/topology.h"

namespace bulkhead::control {

struct NamedFacts {
  std::string name{};
  routing::Address address{};
  ServerFacts facts{};
};

// What the old primary said of its semi-synchronous replication while it could be asked.
struct SemiSyncSeen {
  bool known = false;
  bool waits = false;     // it is on, and does wait
  bool for_ever = false;  // its timeout is effectively infinite
  bool wait_no_replica = false;
  uint32_t acknowledgers = 0;  // replicas that it has, of those that acknowledge
  uint32_t wait_count = 1;
  // Where it is on: variable to value, by the words of the plugin that it has.
  std::map<std::string, std::string> settings{};
  bool old_words = false;
};
[[nodiscard]] SemiSyncSeen SemiSyncOf(const ServerFacts& primary);
// It can't acknowledge without a replica, ever.
[[nodiscard]] bool IsStrict(const SemiSyncSeen& seen);

struct ChangeScene {
  routing::ChangePlan plan{};
  NamedFacts old_primary{};  // of a failover: not asked
  NamedFacts candidate{};
  std::vector<NamedFacts> others{};
  // In words; empty: none.
  std::vector<std::string> other_routers{};
  // Against it for what the topology says: a shard that shares the old primary, and not the
  // candidate.
  std::vector<std::string> topology_reasons{};
  std::vector<std::string> shards{};  // that move, by name
  bool has_replication_account = false;
  routing::Duration max_wait{};  // the longest that a statement is held
  // Failover.
  SemiSyncSeen semi_sync{};     // as last seen
  std::string last_position{};  // the old primary's as last seen; empty: never
  std::string old_state{};      // its health, in a word
  bool old_answers = false;     // it is up, or nearly
  bool lives_elsewhere = false;
  bool automatic = false;  // nobody is there to choose: not where another replica has more
};

[[nodiscard]] routing::StepReport JudgeSwitchover(const ChangeScene& scene);
[[nodiscard]] routing::StepReport JudgeFailover(const ChangeScene& scene);

// Of a failover: what somebody has received and the candidate has not, in words.
[[nodiscard]] std::vector<std::string> LostBy(const ChangeScene& scene);

// Why this server can't change its role by us at all; empty: it can.
[[nodiscard]] std::string CantChange(const ServerFacts& facts);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_CHANGE_CHECKS_H_
