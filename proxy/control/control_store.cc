// What the control thread gives to the topology store, and takes from it at the start.

#include <spdlog/spdlog.h>

#include <utility>

#include "proxy/control/control_loop.h"

namespace bulkhead::control {

// Operations of an earlier process that only waited: they ended with it, and nothing of them lasts.
void ControlLoop::StartStore() {
  std::vector<Operation> operations;
  for (const StoredOperation& stored : setup_.stored.operations)
    operations.push_back(stored.operation);
  operations_.Restore(operations);
  events_.Restore(setup_.stored.events);
  if (!setup_.stored.events.empty()) stored_event_ = setup_.stored.events.back().id;
  if (setup_.store != nullptr) {
    store_ = std::make_unique<StoreThread>(
        std::move(setup_.store), setup_.stored.revision,
        [this](std::function<void()> message) { loop_.Post(std::move(message)); });
  }
  for (const Operation& operation : operations) {
    if (operation.state != Operation::State::kRunning) continue;
    const bool only_waited =
        operation.kind == "drain" || operation.kind == "assign" || operation.kind == "drill";
    if (!only_waited) continue;
    operations_.End(operation.id, Operation::State::kFailed,
                    "the router ended in the middle of it; everything is as it was before");
  }
  operators_->Restore(setup_.stored);
  setup_.stored = {};
}

void ControlLoop::Persist(std::vector<StoreEdit> edits,
                          std::function<void(const absl::Status&)> done) {
  if (store_ == nullptr) {
    loop_.Post([done = std::move(done)] { done(absl::OkStatus()); });
    return;
  }
  store_->Commit(std::move(edits), std::move(done));
}

// Events and the steps of what only waits: a few at a time, and not waited for.
void ControlLoop::StoreHistory(routing::MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::milliseconds(500);
  if (store_ == nullptr || now - history_at_ < kInterval) return;
  history_at_ = now;
  std::vector<StoreEdit> edits;
  for (Event& event : events_.After(stored_event_)) {
    stored_event_ = event.id;
    edits.push_back(PutEvent{std::move(event)});
  }
  for (Operation& operation : operations_.TakeChanged())
    edits.push_back(PutOperation{{std::move(operation), {}, setup_.router_id, 0}});
  if (edits.empty()) return;
  store_->Commit(std::move(edits), [](const absl::Status& status) {
    if (!status.ok()) spdlog::error("topology store: events are not stored: {}", status.ToString());
  });
}

}  // namespace bulkhead::control
