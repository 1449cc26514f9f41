#include "proxy/log/repeats.h"

#include <utility>

namespace bulkhead::log {

RepeatLimiter::Answer RepeatLimiter::Note(std::string_view key, std::string_view line, int level,
                                          int64_t now_ms) {
  if (max_ == 0 || key.empty()) return {};
  auto it = keys_.find(absl::string_view(key.data(), key.size()));
  if (it == keys_.end()) {
    if (keys_.size() >= kMostKeys) Forget(keys_.find(ages_.front()));
    const auto age = ages_.insert(ages_.end(), std::string(key));
    it = keys_.emplace(*age, Key{.window_began = now_ms, .age = age}).first;
  } else {
    ages_.splice(ages_.end(), ages_, it->second.age);
  }
  Key& entry = it->second;
  if (now_ms - entry.window_began >= kWindowMs) {
    entry.window_began = now_ms;
    entry.passed = 0;
  }
  if (entry.passed >= max_) {
    entry.held_back.line = line;
    entry.held_back.level = level;
    ++entry.held_back.repeated;
    return {.passes = false};
  }
  ++entry.passed;
  return {.passes = true, .repeated = std::exchange(entry.held_back, {}).repeated};
}

void RepeatLimiter::Forget(absl::flat_hash_map<std::string, Key>::iterator it) {
  if (it->second.held_back.repeated > 0) orphans_.push_back(std::move(it->second.held_back));
  ages_.erase(it->second.age);
  keys_.erase(it);
}

std::vector<RepeatLimiter::Summary> RepeatLimiter::Overdue(int64_t now_ms) {
  std::vector<Summary> due = std::exchange(orphans_, {});
  while (!ages_.empty()) {
    auto it = keys_.find(ages_.front());
    if (now_ms - it->second.window_began < kWindowMs) break;
    if (it->second.held_back.repeated > 0) due.push_back(std::move(it->second.held_back));
    it->second.held_back = {};
    Forget(it);
  }
  return due;
}

}  // namespace bulkhead::log
