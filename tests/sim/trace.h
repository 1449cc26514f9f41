// What happened in a run: a hash of every step that matters, and, if wanted, a story to read.
//
// Two runs of one seed have the same hash, or something depends on more than the seed.
// Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_TRACE_H_
#define BULKHEAD_TESTS_SIM_TRACE_H_

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "tests/sim/scheduler.h"

namespace bulkhead::sim {

class Trace {
 public:
  Trace(const Scheduler* scheduler, bool verbose) : scheduler_(scheduler), verbose_(verbose) {}

  [[nodiscard]] uint64_t hash() const { return hash_; }
  // `words` is a callable that gives the story's line; only called if somebody reads it.
  template <typename Words>
  void Note(std::string_view what, uint64_t a, uint64_t b, Words words) {
    for (const char c : what) Mix(static_cast<uint8_t>(c));
    Mix(static_cast<uint64_t>(scheduler_->now()));
    Mix(a);
    Mix(b);
    if (verbose_) Print(what, words());
  }

 private:
  void Mix(uint64_t value) { hash_ = (hash_ ^ value) * 0x100000001B3ull; }  // FNV-1a by words
  void Print(std::string_view what, const std::string& words) const {
    const double seconds = static_cast<double>(scheduler_->now()) / static_cast<double>(kSecond);
    std::printf("%12.6f  %-9.*s %s\n", seconds, static_cast<int>(what.size()), what.data(),
                words.c_str());
  }

  const Scheduler* scheduler_;
  const bool verbose_;
  uint64_t hash_ = 0xCBF29CE484222325ull;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_TRACE_H_
