// How far behind a replica may be, by the canaries that this router has committed on its primary.
//
// Purpose: a replica that shows canary n has everything that was committed before canary n was
// begun (replication keeps the order of commits, or waits for it; where it does not, as with
// slave_parallel_mode=aggressive without slave_preserve_commit_order, this is no bound). Nothing is
// asked of the primary, which may hang, and no clock but this process's is read.
// Owner: the control thread; pure, time is an argument. Limit: kKept canaries.
#ifndef BULKHEAD_ROUTING_CANARY_HISTORY_H_
#define BULKHEAD_ROUTING_CANARY_HISTORY_H_

#include <array>
#include <cstdint>
#include <optional>

#include "routing/mono_time.h"

namespace bulkhead::routing {

class CanaryHistory {
 public:
  static constexpr size_t kKept = 16;

  // Canary `number` was sent at `begun`, and the primary has acknowledged its commit.
  void Committed(uint64_t number, MonoTime begun);
  // At most this much of what the primary had committed up to `as_of` is missing on a replica that
  // shows canary `seen`. Absent: not known (a canary of before this process, or too long ago).
  std::optional<Duration> BehindAt(uint64_t seen, MonoTime as_of) const;
  // The last one that was acknowledged; 0: none yet.
  uint64_t last() const { return kept_[newest_].number; }

 private:
  struct Canary {
    uint64_t number = 0;
    MonoTime begun{};
  };
  std::array<Canary, kKept> kept_{};
  size_t newest_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_CANARY_HISTORY_H_
