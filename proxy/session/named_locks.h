// The named locks (GET_LOCK) that a session may hold, counted so that the last RELEASE_LOCK gives
// its connection free again.
//
// Purpose: an upper bound. Whether GET_LOCK got the lock is in a row that passes untouched, so each
// call counts as one lock, and a RELEASE_LOCK takes one off: where the bound is 0, the server holds
// none. Thread: one worker's. Limits: kMaxNames names; beyond, and where a name is no literal, all
// locks are held until RELEASE_ALL_LOCKS. Sources: MySQL manual "Locking Functions" (one session
// can take a lock several times; names are compared without regard to case), the same of MariaDB.
#ifndef BULKHEAD_PROXY_SESSION_NAMED_LOCKS_H_
#define BULKHEAD_PROXY_SESSION_NAMED_LOCKS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "proxy/sql/lock_calls.h"

namespace bulkhead::session {

class NamedLocks {
 public:
  static constexpr size_t kMaxNames = 64;

  void Apply(const sql::LockCalls& calls) {
    if (!calls.understood) {
      uncounted_ = true;
      return;
    }
    for (const sql::LockCall& call : calls.calls) {
      switch (call.kind) {
        case sql::LockCall::Kind::kGet:
          if (held_.size() == kMaxNames && !held_.contains(call.name)) {
            uncounted_ = true;
          } else {
            ++held_[call.name];
          }
          break;
        case sql::LockCall::Kind::kRelease:
          if (const auto it = held_.find(call.name); it != held_.end() && --it->second == 0)
            held_.erase(it);
          break;
        case sql::LockCall::Kind::kReleaseAll:
          Clear();
          break;
      }
    }
  }
  void Clear() {
    held_.clear();
    uncounted_ = false;
  }
  [[nodiscard]] bool none() const { return held_.empty() && !uncounted_; }

 private:
  std::map<std::string, uint32_t> held_;
  bool uncounted_ = false;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_NAMED_LOCKS_H_
