#include "routing/canary_history.h"

#include <algorithm>

namespace bulkhead::routing {

void CanaryHistory::Committed(uint64_t number, MonoTime begun) {
  if (number == 0) return;
  // Somebody has emptied the table: what is counted anew says nothing about the old numbers.
  if (number <= last()) kept_ = {};
  newest_ = (newest_ + 1) % kKept;
  kept_[newest_] = {number, begun};
}

std::optional<Duration> CanaryHistory::BehindAt(uint64_t seen, MonoTime as_of) const {
  const Canary* best = nullptr;
  for (const Canary& canary : kept_) {
    if (canary.number == 0 || canary.number > seen) continue;
    if (best == nullptr || canary.number > best->number) best = &canary;
  }
  if (best == nullptr) return std::nullopt;
  return std::max(as_of - best->begun, Duration::zero());
}

}  // namespace bulkhead::routing
