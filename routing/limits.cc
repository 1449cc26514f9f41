#include "routing/limits.h"

#include <cstdlib>

namespace bulkhead::routing {

bool ConnectionBudget::TryTake() {
  uint32_t lent = lent_.load(std::memory_order_relaxed);
  while (lent < limit_.load(std::memory_order_relaxed)) {
    if (lent_.compare_exchange_weak(lent, lent + 1, std::memory_order_acq_rel)) return true;
  }
  return false;
}

bool ConnectionBudget::Give() {
  if (lent_.fetch_sub(1, std::memory_order_acq_rel) == 0) std::abort();  // given back twice
  return waiting_.load(std::memory_order_acquire) > 0;
}

void ConnectionBudget::AddWaiting() { waiting_.fetch_add(1, std::memory_order_acq_rel); }

void ConnectionBudget::RemoveWaiting() {
  if (waiting_.fetch_sub(1, std::memory_order_acq_rel) == 0) std::abort();  // counted down twice
}

bool ConnectionBudget::wanted() const {
  const uint64_t waiting = waiting_.load(std::memory_order_acquire);
  if (waiting == 0) return false;
  const uint64_t lent = lent_.load(std::memory_order_relaxed);
  const uint64_t limit = limit_.load(std::memory_order_relaxed);
  return lent >= limit || waiting > limit - lent;
}

}  // namespace bulkhead::routing
