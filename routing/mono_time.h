// Monotonic time as an argument: nanoseconds since an arbitrary start, without a Now().
//
// Purpose: everything under routing/ and proxy/session/ takes the time from its caller, so that it
// can run under a simulator. The type is a std::chrono time_point of a clock that can't be read;
// arithmetic and literals (using namespace std::chrono_literals) work as usual. Only io, control
// and http convert a real clock into it. Thread: values, any thread. Range: signed 64 bits, 292
// years.
#ifndef BULKHEAD_ROUTING_MONO_TIME_H_
#define BULKHEAD_ROUTING_MONO_TIME_H_

#include <chrono>
#include <cstdint>

namespace bulkhead::routing {

using Duration = std::chrono::nanoseconds;

struct MonoClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<MonoClock, Duration>;
  static constexpr bool is_steady = true;
  // No now(): time is an argument.
};

using MonoTime = MonoClock::time_point;

constexpr MonoTime kMonoNever = MonoTime::max();

constexpr MonoTime MonoTimeFromNanos(int64_t nanos) { return MonoTime(Duration(nanos)); }
constexpr int64_t ToNanos(MonoTime time) { return time.time_since_epoch().count(); }
constexpr int64_t ToMillis(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_MONO_TIME_H_
