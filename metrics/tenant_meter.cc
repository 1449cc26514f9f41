#include "metrics/tenant_meter.h"

#include <algorithm>
#include <utility>

namespace bulkhead::metrics {

namespace {

// Enough for those that are nearly among the busiest, too: who comes and goes at the edge keeps its
// numbers.
size_t Places(uint32_t shown) { return size_t{4} * shown; }

}  // namespace

TenantBoard::TenantBoard(uint32_t shown)
    : shown_(shown), places_(Places(shown)), tenants_(places_) {}

std::vector<TenantBoard::Tenant> TenantBoard::Busiest() const {
  std::vector<std::pair<uint64_t, Tenant>> found;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : tenants_.entries())
      found.push_back({entry.weight - entry.error, {entry.key, entry.payload}});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second.name < b.second.name;
  });
  if (found.size() > shown_) found.resize(shown_);
  std::vector<Tenant> busiest;
  busiest.reserve(found.size());
  for (auto& [weight, tenant] : found) busiest.push_back(std::move(tenant));
  return busiest;
}

TenantMeter::TenantMeter(TenantBoard* board)
    : board_(board), tenants_(board == nullptr ? 0 : board->places()) {
  if (board_ == nullptr) return;
  const std::lock_guard lock(board_->mutex_);
  ++board_->givers_;
}

void TenantMeter::GiveOn() {
  if (tenants_.places() == 0) return;
  if (++seconds_ % kHalveEvery == 0) tenants_.Halve();
  const std::unique_lock lock(board_->mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  for (auto& entry : tenants_.entries()) {
    const uint64_t statements = entry.payload.all();
    if (statements == 0) continue;
    SpaceSaving<TenantCounts>::Hint hint = 0;
    board_->tenants_.Add(entry.key, statements, &hint)
        .payload.Add(std::exchange(entry.payload, {}));
  }
  if (++board_->gifts_ % (TenantBoard::kHalveEvery * board_->givers_) == 0)
    board_->tenants_.Halve();
}

}  // namespace bulkhead::metrics
