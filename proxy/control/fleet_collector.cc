#include "proxy/control/fleet_collector.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <ctime>
#include <iterator>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/control/control_loop.h"

namespace bulkhead::control {

namespace {

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The loops' clock is the steady one.
int64_t SteadyNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

OperationRow RowOf(const Operation& operation) {
  return {.id = static_cast<int64_t>(operation.id),
          .kind = operation.kind,
          .object = operation.object,
          .state = std::string(ToString(operation.state)),
          .step = operation.step,
          .detail = operation.detail,
          .user = operation.user,
          .begun = UtcText(operation.begun_ms),
          .ended = UtcText(operation.ended_ms)};
}

UnknownRow RowOf(const io::UnknownStatement& statement, int64_t wall_ms, int64_t steady_ns) {
  const int64_t ago_ms = (steady_ns - static_cast<int64_t>(statement.sent_ns)) / 1'000'000;
  return {.time = UtcText(wall_ms - ago_ms),
          .tenant = statement.tenant,
          .shard = statement.shard,
          .backend = statement.backend,
          .digest = statement.digest,
          .connection = statement.thread_id,
          .session = statement.session_id};
}

}  // namespace

std::string UtcText(int64_t wall_ms) {
  if (wall_ms == 0) return {};
  const auto time = static_cast<std::time_t>(wall_ms / 1000);
  std::tm utc{};
  gmtime_r(&time, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &utc)};
}

// The answers of one Collect; late ones still come here, and nobody looks.
struct FleetCollector::Gathering {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<ControlRows> control;
  std::vector<io::SessionList> lists;
  size_t lists_awaited = 0;
};

struct FleetCollector::Asked {
  std::array<std::atomic<int>, io::Worker::kMaxWorkers> workers{};
  std::atomic<int> control{0};
};

FleetCollector::FleetCollector(const ControlLoop* control, std::vector<io::Worker*> workers)
    : control_(control), workers_(std::move(workers)), asked_(std::make_shared<Asked>()) {}

FleetPicture FleetCollector::Collect(const FleetQuestion& question) const {
  FleetPicture picture;
  picture.topology = control_->Snapshot();
  auto gathering = std::make_shared<Gathering>();
  const bool control_awaited = question.asks_control() && asked_->control.fetch_add(1) < kMostAsked;
  if (control_awaited) {
    control_->PostRows(question, [gathering, asked = asked_](ControlRows rows) {
      --asked->control;
      const std::lock_guard lock(gathering->mutex);
      gathering->control = std::move(rows);
      gathering->changed.notify_one();
    });
  } else if (question.asks_control()) {
    --asked_->control;  // it hangs: don't pile up questions
  }
  if (question.asks_workers()) AskWorkers(question, gathering);
  AddLists(question, &picture);

  std::unique_lock lock(gathering->mutex);
  gathering->changed.wait_for(lock, kCollectLimit, [&] {
    return (!control_awaited || gathering->control.has_value()) && gathering->lists_awaited == 0;
  });
  if (question.asks_control() && !gathering->control.has_value())
    picture.warnings.emplace_back("the control thread does not answer: its rows are missing");
  if (gathering->control.has_value()) picture.control = *std::move(gathering->control);
  uint64_t left_out = 0;
  std::vector<bool> seen(workers_.size());
  for (io::SessionList& list : gathering->lists) {
    seen[list.worker] = true;
    left_out += list.left_out;
    if (question.sessions)
      std::move(list.sessions.begin(), list.sessions.end(), std::back_inserter(picture.sessions));
    if (question.pools)
      std::move(list.pools.begin(), list.pools.end(), std::back_inserter(picture.pools));
  }
  gathering->lists.clear();
  lock.unlock();
  if (question.asks_workers()) {
    for (size_t i = 0; i < seen.size(); ++i) {
      if (!seen[i])
        picture.warnings.push_back(
            absl::StrCat("worker ", i, " does not answer: its sessions and pools are missing"));
    }
  }
  if (question.sessions && left_out > 0)
    picture.warnings.push_back(absl::StrCat(left_out, " more sessions are not listed"));
  std::sort(picture.sessions.begin(), picture.sessions.end(),
            [](const io::SessionRow& a, const io::SessionRow& b) { return a.id < b.id; });
  return picture;
}

void FleetCollector::AskWorkers(const FleetQuestion& question,
                                const std::shared_ptr<Gathering>& gathering) const {
  const size_t share = kMostSessions / std::max<size_t>(workers_.size(), 1);
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (asked_->workers[i].fetch_add(1) >= kMostAsked) {
      --asked_->workers[i];
      continue;
    }
    {
      const std::lock_guard lock(gathering->mutex);
      ++gathering->lists_awaited;
    }
    workers_[i]->PostList(question.sessions ? share : 0,
                          [gathering, asked = asked_, i](io::SessionList list) {
                            --asked->workers[i];
                            const std::lock_guard lock(gathering->mutex);
                            gathering->lists.push_back(std::move(list));
                            --gathering->lists_awaited;
                            gathering->changed.notify_one();
                          });
  }
}

void FleetCollector::AddLists(const FleetQuestion& question, FleetPicture* picture) const {
  if (question.unknown) {
    const ControlLoop::UnknownList list = control_->Unknown();
    const int64_t wall_ms = WallMs();
    const int64_t steady_ns = SteadyNs();
    for (const io::UnknownStatement& statement : list.statements)
      picture->unknown.push_back(RowOf(statement, wall_ms, steady_ns));
    if (list.dropped > 0)
      picture->warnings.push_back(absl::StrCat(list.dropped, " older ones are not listed"));
  }
  if (question.operations) {
    for (const Operation& operation : control_->operation_log().All())
      picture->operations.push_back(RowOf(operation));
  }
  if (question.events) {
    for (const Event& event : control_->event_log().All())
      picture->events.push_back({.id = static_cast<int64_t>(event.id),
                                 .time = UtcText(event.at_ms),
                                 .kind = event.kind,
                                 .object = event.object,
                                 .text = event.text});
  }
}

}  // namespace bulkhead::control
