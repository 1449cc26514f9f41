// What the control thread gives to the topology store, and takes from it at the start.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "proxy/control/control_loop.h"
#include "proxy/control/incident_json.h"
#include "proxy/log/log.h"

namespace bulkhead::control {

// Operations of an earlier process that only waited: they ended with it, and nothing of them lasts.
void ControlLoop::StartStore() {
  std::vector<Operation> operations;
  for (const StoredOperation& stored : setup_.stored.operations)
    operations.push_back(stored.operation);
  operations_.Restore(operations);
  events_.Restore(setup_.stored.events);
  std::vector<Incident> incidents;
  for (const std::string& text : setup_.stored.incidents) {
    if (std::optional<Incident> incident = ParseIncident(text); incident.has_value())
      incidents.push_back(*std::move(incident));
  }
  incidents_.Restore(std::move(incidents), WallMs(Now()));
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
  if (giving_store_) {
    loop_.Post([done = std::move(done)] {
      done(absl::UnavailableError("another process takes over from this one"));
    });
    return;
  }
  if (store_ == nullptr) {
    loop_.Post([done = std::move(done)] { done(absl::OkStatus()); });
    return;
  }
  committed_at_ = Now();
  store_->Commit(std::move(edits), [this, done = std::move(done)](const absl::Status& status) {
    NoteCommit(status);
    done(status);
  });
}

void ControlLoop::NoteCommit(const absl::Status& status) {
  store_view_.writable = status.ok();
  ++(status.ok() ? store_view_.commits_ok : store_view_.commits_failed);
  store_view_.error = status.ok() ? "" : std::string(status.message());
}

// Events and the steps of what only waits: a few at a time, and not waited for.
void ControlLoop::StoreHistory(routing::MonoTime now) {
  constexpr routing::Duration kInterval = std::chrono::milliseconds(500);
  if (store_ == nullptr || now - history_at_ < kInterval) return;
  // One at a time, so that nothing older is tried again over something newer. The last one, at the
  // end of the process, waits for none.
  const bool at_the_end = history_at_ == routing::MonoTime{};
  if (storing_history_ && !at_the_end) return;
  history_at_ = now;
  // First what could not be stored: of a full disk nobody's memory is to suffer.
  std::vector<StoreEdit> edits = std::exchange(unstored_, {});
  for (Event& event : events_.After(stored_event_)) {
    stored_event_ = event.id;
    edits.push_back(PutEvent{std::move(event)});
  }
  for (Operation& operation : operations_.TakeChanged()) {
    // These store themselves, with what is needed to go on.
    if (operation.kind == "switchover" || operation.kind == "failover") continue;
    edits.push_back(PutOperation{{std::move(operation), {}, setup_.router_id, 0}});
  }
  for (const Incident& incident : incidents_.TakeChanged())
    edits.push_back(PutIncident{incident.id, IncidentText(incident)});
  // A store that can't be written must be known before it is needed.
  constexpr routing::Duration kTryEvery = std::chrono::minutes(1);
  if (edits.empty() && now - committed_at_ >= kTryEvery)
    edits.push_back(PutAcknowledged{setup_.router_id, topology_->version()});
  if (edits.empty()) return;
  committed_at_ = now;
  storing_history_ = true;
  auto kept = std::make_shared<std::vector<StoreEdit>>(edits);
  store_->Commit(std::move(edits), [this, kept](const absl::Status& status) {
    storing_history_ = false;
    NoteCommit(status);
    if (!status.ok()) {
      constexpr size_t kKept = 10'000;
      constexpr routing::Duration kNextTry = std::chrono::seconds(5);
      for (StoreEdit& edit : *kept) {
        if (!std::holds_alternative<PutAcknowledged>(edit)) unstored_.push_back(std::move(edit));
      }
      const size_t too_many = unstored_.size() - std::min(unstored_.size(), kKept);
      unstored_.erase(unstored_.begin(), unstored_.begin() + static_cast<ptrdiff_t>(too_many));
      history_at_ = Now() + kNextTry;
      log::Error(log::event::kStore, {{"what", "events"}},
                 "topology store: events are not stored: " + status.ToString());
    }
  });
}

}  // namespace bulkhead::control
