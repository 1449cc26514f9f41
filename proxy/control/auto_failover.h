// When a shard fails over by itself: only where an operator has said so, and where it is safe.
//
// Purpose: the policy behind `failover: automatic`. One attempt per candidate and outage; whatever
// the failover itself refuses (no confirmed fence, what could be lost) stays refused.
// Pure; the control thread's. Conditions, all of them: the shard's mode is not manual; its primary
// is down by the verdict of its health, not by an operator's mark, for `after`; nobody else hears
// it; a fence command is configured; not every backend is bad at once; no operation is under way
// on the shard; a replica is up. Candidates are tried in the order of how much they have received.
#ifndef BULKHEAD_PROXY_CONTROL_AUTO_FAILOVER_H_
#define BULKHEAD_PROXY_CONTROL_AUTO_FAILOVER_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "routing/ids.h"
#include "routing/mono_time.h"

namespace bulkhead::control {

struct AutoFailoverView {
  std::string shard{};
  std::string primary{};
  routing::FailoverMode mode = routing::FailoverMode::kManual;
  bool primary_down = false;  // by verdict
  routing::MonoTime down_since{};
  bool heard_elsewhere = false;
  bool fence_configured = false;
  bool all_bad = false;  // every backend, of at least two
  bool under_way = false;
  struct Replica {
    std::string name{};
    bool up = false;
    uint64_t received = 0;  // more is better
  };
  std::vector<Replica> replicas{};
};

class AutoFailover {
 public:
  // Absent: not now. `why_not`: a sentence where the shard's mode is automatic and its primary is
  // down, and nothing will be tried; once per outage and reason.
  std::optional<std::string> Choose(const AutoFailoverView& view, routing::Duration after,
                                    routing::MonoTime now, std::string* why_not);

 private:
  struct Outage {
    routing::MonoTime since{};
    std::set<std::string> tried{};
    std::set<std::string> told{};
  };
  std::map<std::string, Outage> outages_;  // by shard
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_AUTO_FAILOVER_H_
