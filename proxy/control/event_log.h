// What happened and what is under way: the lines of SHOW EVENTS and SHOW OPERATIONS.
//
// Purpose: bounded lists, written by the control thread and read by whoever shows them. The newest
// stay; how many were dropped is told.
// Threads: any; a mutex, never taken on the data path. Units: wall-clock milliseconds since 1970.
#ifndef BULKHEAD_PROXY_CONTROL_EVENT_LOG_H_
#define BULKHEAD_PROXY_CONTROL_EVENT_LOG_H_

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace bulkhead::control {

struct Event {
  uint64_t id = 0;  // from 1
  int64_t at_ms = 0;
  std::string kind;    // "backend", "shard", "tenant", "operator", "operation", "topology"
  std::string object;  // its name
  std::string text;
};

class EventLog {
 public:
  static constexpr size_t kMost = 2000;
  void Add(std::string kind, std::string object, std::string text);
  // Oldest first.
  [[nodiscard]] std::vector<Event> All() const;
  // Those with a higher number.
  [[nodiscard]] std::vector<Event> After(uint64_t id) const;
  // From a store, oldest first, before anything is added.
  void Restore(const std::vector<Event>& events);

 private:
  mutable std::mutex mutex_;
  std::deque<Event> events_;
  uint64_t last_id_ = 0;
};

struct Operation {
  enum class State : uint8_t { kRunning, kDone, kFailed, kCancelled };
  uint64_t id = 0;     // from 1
  std::string kind;    // "drain", "assign", "switchover", "failover", "drill"
  std::string object;  // its name
  State state = State::kRunning;
  std::string step;    // what it does or did last
  std::string detail;  // how it ended
  std::string user;    // who asked for it
  int64_t begun_ms = 0;
  int64_t ended_ms = 0;  // 0: still running
};
[[nodiscard]] std::string_view ToString(Operation::State state);

class OperationLog {
 public:
  static constexpr size_t kMost = 500;
  [[nodiscard]] uint64_t Begin(std::string kind, std::string object, std::string user);
  // From a store, before anything is begun: numbers go on.
  void Restore(const std::vector<Operation>& operations);
  void Step(uint64_t id, std::string step);
  void End(uint64_t id, Operation::State state, std::string detail);
  // Oldest first.
  [[nodiscard]] std::vector<Operation> All() const;
  [[nodiscard]] std::optional<Operation> Find(uint64_t id) const;
  // Those that changed since this was called last.
  [[nodiscard]] std::vector<Operation> TakeChanged();

 private:
  Operation* FindIt(uint64_t id);
  mutable std::mutex mutex_;
  std::set<uint64_t> changed_;
  std::deque<Operation> operations_;
  uint64_t last_id_ = 0;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_EVENT_LOG_H_
