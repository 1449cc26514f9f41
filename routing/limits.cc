#include "routing/limits.h"

#include <algorithm>
#include <cstdlib>

namespace bulkhead::routing {

// Everything here is sequentially consistent: who waits announces it and looks at `lent_` again,
// who gives back lowers `lent_` and looks at `waiting_`; with less, each could miss the other.

bool ConnectionBudget::TryTake(MonoTime now) {
  uint32_t lent = lent_.load();
  if (lent >= limit_.load() || !TryConnect(now)) return false;
  while (lent < limit_.load()) {
    if (lent_.compare_exchange_weak(lent, lent + 1)) return true;
  }
  return false;
}

bool ConnectionBudget::TryConnect(MonoTime now) {
  const int64_t interval = interval_ns_.load(std::memory_order_relaxed);
  if (interval == 0) return true;
  const int64_t at = ToNanos(now);
  int64_t full_at = full_at_ns_.load();
  while (at >= full_at - std::max<int64_t>(kPaceWindow.count() - interval, 0)) {
    if (full_at_ns_.compare_exchange_weak(full_at, std::max(full_at, at) + interval)) return true;
  }
  return false;
}

void ConnectionBudget::SetPace(double per_second) {
  constexpr double kLeast = 0.001;
  interval_ns_.store(
      per_second <= 0
          ? 0
          : std::max<int64_t>(static_cast<int64_t>(1e9 / std::max(per_second, kLeast)), 1),
      std::memory_order_relaxed);
}

MonoTime ConnectionBudget::next_connect() const {
  const int64_t interval = interval_ns_.load(std::memory_order_relaxed);
  if (interval == 0) return MonoTime{};
  return MonoTimeFromNanos(full_at_ns_.load() -
                           std::max<int64_t>(kPaceWindow.count() - interval, 0));
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
  if (paced() && lent < limit) return false;  // they wait for the pace, and nobody can help it
  return lent >= limit || waiting > limit - lent;
}

}  // namespace bulkhead::routing
