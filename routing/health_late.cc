#include "routing/health_late.h"

#include <algorithm>

namespace bulkhead::routing {

void LateLog::Add(MonoTime from, MonoTime to, Duration margin) {
  from = std::max(from, end_);  // intervals don't overlap: no time is taken off twice
  if (to <= from) return;
  const MonoTime end = to + std::min(margin, to - from);
  Interval& last = intervals_[(next_ + intervals_.size() - 1) % intervals_.size()];
  if (last.to != kNoTime && last.to == from) {
    last.to = end;
  } else {
    intervals_[next_] = {from, end};
    next_ = (next_ + 1) % intervals_.size();
  }
  end_ = end;
}

Duration LateLog::Elapsed(MonoTime since, MonoTime now) const {
  if (since == kNoTime) return Duration::max();
  if (now <= since) return Duration::zero();
  Duration elapsed = now - since;
  if (end_ <= since) return elapsed;
  for (const Interval& late : intervals_) {
    if (late.to <= since || late.from >= now) continue;
    elapsed -= std::min(late.to, now) - std::max(late.from, since);
  }
  return elapsed;
}

}  // namespace bulkhead::routing
