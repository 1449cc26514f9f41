// How many slow statements a worker logs: a rate, and a count of those beyond it.
//
// Purpose: a server that is slow makes every statement slow; the log must not drown in them.
// Pure. Owner: the worker. Units: nanoseconds, seconds.
#ifndef BULKHEAD_PROXY_IO_SLOW_LOG_H_
#define BULKHEAD_PROXY_IO_SLOW_LOG_H_

#include <cstdint>
#include <utility>

namespace bulkhead::io {

class SlowLog {
 public:
  // threshold_ns 0: nothing is slow.
  SlowLog(uint64_t threshold_ns, uint32_t per_second)
      : threshold_ns_(threshold_ns), per_second_(per_second) {}

  void SetLimits(uint64_t threshold_ns, uint32_t per_second) {
    threshold_ns_ = threshold_ns;
    per_second_ = per_second;
  }
  [[nodiscard]] bool IsSlow(uint64_t took_ns) const {
    return threshold_ns_ != 0 && took_ns >= threshold_ns_;
  }
  // Of a slow one: whether it is logged.
  [[nodiscard]] bool Admit() {
    if (admitted_ < per_second_) {
      ++admitted_;
      return true;
    }
    ++left_out_;
    return false;
  }
  // Once a second. How many were left out in it.
  [[nodiscard]] uint64_t EndSecond() {
    admitted_ = 0;
    return std::exchange(left_out_, 0);
  }

 private:
  uint64_t threshold_ns_;
  uint32_t per_second_;
  uint32_t admitted_ = 0;
  uint64_t left_out_ = 0;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_SLOW_LOG_H_
