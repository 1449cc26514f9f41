// LateLog: when this process itself did not run, so that durations of silence don't count it.
//
// Keeps the last 16 late intervals; what is older has no bearing on verdicts of seconds. A late
// interval is stretched by a margin, in which what arrived meanwhile is read, but by no more than
// its own length: a loop that is often a little late must not blind the machine for good.
#ifndef BULKHEAD_ROUTING_HEALTH_LATE_H_
#define BULKHEAD_ROUTING_HEALTH_LATE_H_

#include <array>
#include <cstddef>

#include "routing/health_types.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

class LateLog {
 public:
  void Add(MonoTime from, MonoTime to, Duration margin);
  // now - since without the late parts; Duration::max() for kNoTime, never negative.
  Duration Elapsed(MonoTime since, MonoTime now) const;

 private:
  struct Interval {
    MonoTime from = kNoTime;
    MonoTime to = kNoTime;
  };
  std::array<Interval, 16> intervals_{};
  size_t next_ = 0;
  MonoTime end_ = kNoTime;  // of the latest
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HEALTH_LATE_H_
