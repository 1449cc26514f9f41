// Virtual time: what happens next, in an order that the seed alone decides.
//
// An event belongs to the world (a packet arrives at a kernel) or to an Actor, which is one of the
// router's threads. An actor that is stalled runs nothing; what came meanwhile runs when it goes
// on, its timers first, as an event loop does. Units: nanoseconds. Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_SCHEDULER_H_
#define BULKHEAD_TESTS_SIM_SCHEDULER_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::sim {

using Ns = int64_t;
inline constexpr Ns kUs = 1'000;
inline constexpr Ns kMs = 1'000'000;
inline constexpr Ns kSecond = 1'000'000'000;

using Callback = std::function<void()>;

class Actor {
 public:
  explicit Actor(std::string name) : name_(std::move(name)) {}
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  friend class Scheduler;
  std::string name_;
  Ns stalled_until_ = 0;
  std::deque<Callback> timers_;
  std::deque<Callback> others_;
};

enum class Turn : uint8_t { kTimer, kOther };

class Scheduler {
 public:
  explicit Scheduler(Ns start) : now_(start) {}

  [[nodiscard]] Ns now() const { return now_; }
  void After(Ns delay, Callback callback) {
    Push(now_ + delay, nullptr, Turn::kOther, std::move(callback));
  }
  void AfterOn(Actor* actor, Ns delay, Turn turn, Callback callback) {
    Push(now_ + delay, actor, turn, std::move(callback));
  }
  // The actor's thread does not run until then.
  void Stall(Actor* actor, Ns until);
  // After each event.
  void SetAfterEach(Callback callback) { after_each_ = std::move(callback); }
  // Runs what is due before `end`, then it is `end`. False: stopped.
  bool RunUntil(Ns end);
  void Stop() { stopped_ = true; }
  [[nodiscard]] uint64_t events() const { return events_; }
  uint64_t NextNumber() { return ++numbers_; }  // for names that are never reused

 private:
  struct Event {
    Ns when;
    uint64_t sequence;
    Actor* actor;
    Turn turn;
    Callback callback;
    // A heap's top is its greatest: the earliest here.
    bool operator<(const Event& other) const {
      return when != other.when ? when > other.when : sequence > other.sequence;
    }
  };
  void Push(Ns when, Actor* actor, Turn turn, Callback callback);
  void Run(const Callback& callback);
  void GoOn(Actor* actor);

  Ns now_;
  uint64_t sequence_ = 0;
  uint64_t events_ = 0;
  uint64_t numbers_ = 0;
  bool stopped_ = false;
  std::vector<Event> heap_;
  Callback after_each_;
};

// Messages from one thread to another: each takes its time, none overtakes another.
class Channel {
 public:
  Channel(Scheduler* scheduler, Actor* to) : scheduler_(scheduler), to_(to) {}
  void Post(Ns delay, Callback callback) {
    last_ = std::max(last_, scheduler_->now() + delay);
    scheduler_->AfterOn(to_, last_ - scheduler_->now(), Turn::kOther, std::move(callback));
  }

 private:
  Scheduler* scheduler_;
  Actor* to_;
  Ns last_ = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_SCHEDULER_H_
