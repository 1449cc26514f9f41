#include "routing/limits.h"

#include <algorithm>
#include <cstdlib>

namespace bulkhead::routing {

// Everything here is sequentially consistent: who waits announces it and looks at `lent_` again,
// who gives back lowers `lent_` and looks at `waiting_`; with less, each could miss the other.

bool ConnectionBudget::TryTake() {
  uint32_t lent = lent_.load();
  while (lent < limit_.load()) {
    if (lent_.compare_exchange_weak(lent, lent + 1)) return true;
  }
  return false;
}

bool ConnectionBudget::Give() {
  if (lent_.fetch_sub(1) == 0) std::abort();  // given back twice
  return waiting_.load() > 0;
}

uint32_t ConnectionBudget::fair_share() const {
  // Rounded down: were it up, the shares could be more than the limit, and the last pool would
  // never get one.
  return limit_.load() / std::max<uint32_t>(pools_.load(), 1);
}

void ConnectionBudget::AddWaiting() { waiting_.fetch_add(1); }

void ConnectionBudget::RemoveWaiting() {
  if (waiting_.fetch_sub(1) == 0) std::abort();  // counted down twice
}

bool ConnectionBudget::wanted() const {
  const uint64_t waiting = waiting_.load();
  if (waiting == 0) return false;
  const uint64_t lent = lent_.load();
  const uint64_t limit = limit_.load();
  return lent >= limit || waiting > limit - lent;
}

}  // namespace bulkhead::routing
