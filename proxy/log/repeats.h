// RepeatLimiter: which lines of a kind are written, and how many were not.
//
// Purpose: a flood of one kind of line (logins that fail, statements that are slow) must not bury
// the others. Of each key `max` lines pass in a window of ten seconds; the first one after it, or
// Overdue(), tells how many were held back.
// Pure: time is an argument (milliseconds that do not go back). Owner: the writing thread.
// Limits: kMostKeys keys; when there are more, the one that was quiet longest is forgotten after
// its number was told.
#ifndef BULKHEAD_PROXY_LOG_REPEATS_H_
#define BULKHEAD_PROXY_LOG_REPEATS_H_

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace bulkhead::log {

class RepeatLimiter {
 public:
  static constexpr size_t kMostKeys = 1000;
  static constexpr int64_t kWindowMs = 10'000;

  // 0: everything passes.
  explicit RepeatLimiter(uint32_t max) : max_(max) {}
  void SetMax(uint32_t max) { max_ = max; }

  struct Answer {
    bool passes = true;
    uint64_t repeated = 0;  // held back before this one, if it passes
  };
  // `line`: kept while lines of this key are held back, to be shown by Overdue.
  [[nodiscard]] Answer Note(std::string_view key, std::string_view line, int level, int64_t now_ms);

  struct Summary {
    std::string line{};  // the last one that was held back
    int level = 0;
    uint64_t repeated = 0;
  };
  // What was held back in windows that are over, and of keys that had to go.
  [[nodiscard]] std::vector<Summary> Overdue(int64_t now_ms);
  // All of it: the log is closed.
  [[nodiscard]] std::vector<Summary> TakeAll() { return Overdue(INT64_MAX); }

  [[nodiscard]] size_t keys() const { return keys_.size(); }

 private:
  struct Key {
    int64_t window_began = 0;
    uint32_t passed = 0;  // in this window
    Summary held_back{};
    std::list<std::string>::iterator age;
  };
  void Forget(absl::flat_hash_map<std::string, Key>::iterator it);

  uint32_t max_;
  absl::flat_hash_map<std::string, Key> keys_;
  std::list<std::string> ages_;  // the one that was quiet longest first
  std::vector<Summary> orphans_;
};

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_REPEATS_H_
