#include "proxy/control/event_log.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

namespace bulkhead::control {

namespace {

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

std::string_view ToString(Operation::State state) {
  switch (state) {
    case Operation::State::kRunning:
      return "running";
    case Operation::State::kDone:
      return "done";
    case Operation::State::kFailed:
      return "failed";
    case Operation::State::kCancelled:
      return "cancelled";
  }
  return "";
}

void EventLog::Add(std::string kind, std::string object, std::string text) {
  const std::lock_guard lock(mutex_);
  events_.push_back({++last_id_, WallMs(), std::move(kind), std::move(object), std::move(text)});
  if (events_.size() > kMost) events_.pop_front();
}

std::vector<Event> EventLog::All() const {
  const std::lock_guard lock(mutex_);
  return {events_.begin(), events_.end()};
}

std::vector<Event> EventLog::After(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  auto first = std::find_if(events_.begin(), events_.end(),
                            [id](const Event& event) { return event.id > id; });
  return {first, events_.end()};
}

void EventLog::Restore(const std::vector<Event>& events) {
  const std::lock_guard lock(mutex_);
  for (const Event& event : events) {
    last_id_ = std::max(last_id_, event.id);
    events_.push_back(event);
  }
  while (events_.size() > kMost) events_.pop_front();
}

uint64_t OperationLog::Begin(std::string kind, std::string object, std::string user) {
  const std::lock_guard lock(mutex_);
  Operation operation;
  operation.id = ++last_id_;
  operation.kind = std::move(kind);
  operation.object = std::move(object);
  operation.user = std::move(user);
  operation.begun_ms = WallMs();
  operations_.push_back(std::move(operation));
  if (operations_.size() > kMost) operations_.pop_front();
  changed_.insert(last_id_);
  return last_id_;
}

void OperationLog::Restore(const std::vector<Operation>& operations) {
  const std::lock_guard lock(mutex_);
  for (const Operation& operation : operations) {
    last_id_ = std::max(last_id_, operation.id);
    operations_.push_back(operation);
  }
  while (operations_.size() > kMost) operations_.pop_front();
}

std::vector<Operation> OperationLog::TakeChanged() {
  const std::lock_guard lock(mutex_);
  std::vector<Operation> changed;
  for (const uint64_t id : std::exchange(changed_, {})) {
    if (const Operation* operation = FindIt(id); operation != nullptr)
      changed.push_back(*operation);
  }
  return changed;
}

Operation* OperationLog::FindIt(uint64_t id) {
  auto it = std::find_if(operations_.begin(), operations_.end(),
                         [id](const Operation& operation) { return operation.id == id; });
  return it == operations_.end() ? nullptr : &*it;
}

void OperationLog::Step(uint64_t id, std::string step) {
  const std::lock_guard lock(mutex_);
  Operation* operation = FindIt(id);
  if (operation == nullptr || operation->step == step) return;
  operation->step = std::move(step);
  changed_.insert(id);
}

void OperationLog::End(uint64_t id, Operation::State state, std::string detail) {
  const std::lock_guard lock(mutex_);
  Operation* operation = FindIt(id);
  if (operation == nullptr) return;
  operation->state = state;
  operation->detail = std::move(detail);
  operation->ended_ms = WallMs();
  changed_.insert(id);
}

std::optional<Operation> OperationLog::Find(uint64_t id) const {
  const std::lock_guard lock(mutex_);
  auto it = std::find_if(operations_.begin(), operations_.end(),
                         [id](const Operation& operation) { return operation.id == id; });
  if (it == operations_.end()) return std::nullopt;
  return *it;
}

std::vector<Operation> OperationLog::All() const {
  const std::lock_guard lock(mutex_);
  return {operations_.begin(), operations_.end()};
}

}  // namespace bulkhead::control
