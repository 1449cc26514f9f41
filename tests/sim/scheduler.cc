#include "tests/sim/scheduler.h"

#include <algorithm>
#include <utility>

namespace bulkhead::sim {

void Scheduler::Push(Ns when, Actor* actor, Turn turn, Callback callback) {
  heap_.push_back({std::max(when, now_), ++sequence_, actor, turn, std::move(callback)});
  std::push_heap(heap_.begin(), heap_.end());
}

void Scheduler::Run(const Callback& callback) {
  ++events_;
  callback();
  if (after_each_) after_each_();
}

void Scheduler::Stall(Actor* actor, Ns until) {
  if (until <= actor->stalled_until_) return;
  actor->stalled_until_ = until;
  Push(until, nullptr, Turn::kOther, [this, actor] { GoOn(actor); });
}

void Scheduler::GoOn(Actor* actor) {
  while (!stopped_ && now_ >= actor->stalled_until_) {
    std::deque<Callback>& queue = actor->timers_.empty() ? actor->others_ : actor->timers_;
    if (queue.empty()) return;
    const Callback callback = std::move(queue.front());
    queue.pop_front();
    Run(callback);
  }
}

bool Scheduler::RunUntil(Ns end) {
  while (!stopped_ && !heap_.empty() && heap_.front().when < end) {
    std::pop_heap(heap_.begin(), heap_.end());
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.when;
    if (event.actor != nullptr) {
      Actor* actor = event.actor;
      const bool behind = !actor->timers_.empty() || !actor->others_.empty();
      if (now_ < actor->stalled_until_ || behind) {
        (event.turn == Turn::kTimer ? actor->timers_ : actor->others_)
            .push_back(std::move(event.callback));
        continue;
      }
    }
    Run(event.callback);
  }
  if (!stopped_) now_ = end;
  return !stopped_;
}

}  // namespace bulkhead::sim
