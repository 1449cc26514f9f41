// What a checker found. The names are the vocabulary of tests and of the program's output.
#ifndef BULKHEAD_TESTS_SIM_VIOLATIONS_H_
#define BULKHEAD_TESTS_SIM_VIOLATIONS_H_

#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/scheduler.h"

namespace bulkhead::sim {

enum class Checker : uint8_t {
  kOneOutcome,    // a statement got no answer, or two, or one that it can't get
  kTruth,         // the rows contradict what was said
  kTwice,         // a write is in the rows twice
  kOrder,         // a session's writes ran in another order than they were sent
  kSettled,       // something from before a freeze ran after what was released after it
  kInnocent,      // KILL hit a connection that nobody had abandoned
  kHoldIdentity,  // held is not released + refused + left + waiting
  kCaps,          // a limit was passed: places, bytes, connections, the ramp
  kWindow,        // held for longer than the window
  kIsolation,     // a slice without any fault noticed something
  kLiveness,      // all is healed, and something did not come back
};

constexpr std::string_view ToString(Checker checker) {
  switch (checker) {
    case Checker::kOneOutcome:
      return "one-outcome";
    case Checker::kTruth:
      return "truth";
    case Checker::kTwice:
      return "twice";
    case Checker::kOrder:
      return "order";
    case Checker::kSettled:
      return "settled";
    case Checker::kInnocent:
      return "innocent";
    case Checker::kHoldIdentity:
      return "hold-identity";
    case Checker::kCaps:
      return "caps";
    case Checker::kWindow:
      return "window";
    case Checker::kIsolation:
      return "isolation";
    case Checker::kLiveness:
      return "liveness";
  }
  return "";
}

struct Violation {
  Checker checker;
  Ns at = 0;
  std::string words;
};

// At most a few are kept: the first is the one to read.
class Violations {
 public:
  explicit Violations(const Scheduler* scheduler) : scheduler_(scheduler) {}
  void Add(Checker checker, std::string words) {
    constexpr size_t kKept = 10;
    if (found_.size() < kKept) found_.push_back({checker, scheduler_->now(), std::move(words)});
  }
  [[nodiscard]] const std::vector<Violation>& found() const { return found_; }

 private:
  const Scheduler* scheduler_;
  std::vector<Violation> found_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_VIOLATIONS_H_
