#include <algorithm>
#include <cstdint>

#include "routing/hold_queue.h"

namespace bulkhead::routing {

HoldTotals::Amount HoldTotals::Reserve() const {
  const uint64_t parts = 2 * std::max<size_t>(members_.size(), 1);
  return {max_.statements / parts, max_.bytes / parts};
}

HoldTotals::Amount HoldTotals::Unused(const Amount& reserve, const Amount& used) {
  return {reserve.statements - std::min(reserve.statements, used.statements),
          reserve.bytes - std::min(reserve.bytes, used.bytes)};
}

void HoldTotals::Recount() {
  unused_reserves_ = {};
  const Amount reserve = Reserve();
  for (const Member* member : members_) {
    const Amount unused = Unused(reserve, member->used_);
    unused_reserves_.statements += unused.statements;
    unused_reserves_.bytes += unused.bytes;
  }
}

void HoldTotals::SetLimits(uint64_t max_statements, uint64_t max_bytes) {
  max_ = {max_statements, max_bytes};
  Recount();
}

HoldTotals::Member::Member(HoldTotals* totals) : totals_(totals) {
  totals_->members_.push_back(this);
  totals_->Recount();
}

HoldTotals::Member::~Member() {
  totals_->used_.statements -= used_.statements;
  totals_->used_.bytes -= used_.bytes;
  std::erase(totals_->members_, this);
  totals_->Recount();
}

bool HoldTotals::Member::Fits(uint64_t bytes, const Amount& freed) const {
  const HoldTotals& all = *totals_;
  const Amount own = Unused(all.Reserve(), used_);
  return all.used_.statements - freed.statements + 1 +
                 (all.unused_reserves_.statements - own.statements) <=
             all.max_.statements &&
         all.used_.bytes - freed.bytes + bytes + (all.unused_reserves_.bytes - own.bytes) <=
             all.max_.bytes;
}

void HoldTotals::Member::Change(int64_t statements, int64_t bytes) {
  HoldTotals& all = *totals_;
  const Amount before = Unused(all.Reserve(), used_);
  for (Amount* amount : {&used_, &all.used_}) {
    amount->statements += static_cast<uint64_t>(statements);  // wraps around: takes away
    amount->bytes += static_cast<uint64_t>(bytes);
  }
  const Amount after = Unused(all.Reserve(), used_);
  all.unused_reserves_.statements += after.statements - before.statements;
  all.unused_reserves_.bytes += after.bytes - before.bytes;
}

}  // namespace bulkhead::routing
