#include "proxy/control/busy_task.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace bulkhead::control {

BusyTask::BusyTask(Operators* operators, AskedPtr asked, Setup setup)
    : operators_(operators),
      asked_(std::move(asked)),
      setup_(std::move(setup)),
      operation_(
          operators->world()->operations()->Begin(setup_.kind, setup_.object, asked_->origin.user)),
      deadline_(operators->world()->Now() + setup_.timeout) {}

BusyTask::~BusyTask() = default;

void BusyTask::Tick(routing::MonoTime now) {
  if (ended_ || asking_ || finishing_) return;
  if (now >= deadline_) {
    GiveUp(Operation::State::kFailed,
           absl::StrCat("did not end within ", routing::ToMillis(setup_.timeout), " ms"));
    return;
  }
  if (now < ask_at_) return;
  ask_at_ = now + kAskEvery;
  asking_ = true;
  operators_->world()->CountBusy(
      setup_.filter, [this, alive = std::weak_ptr<bool>(alive_)](const io::BusyCount& count) {
        if (!alive.expired()) OnCount(count);
      });
}

void BusyTask::OnCount(const io::BusyCount& count) {
  asking_ = false;
  if (ended_) return;
  last_ = count;
  if (count.must_end() == 0) {
    finishing_ = true;
    Finish(count);
    return;
  }
  const std::string words =
      absl::StrCat(setup_.what, ": waiting for ", count.running, " running statements and ",
                   count.transactions, " open transactions");
  operators_->world()->operations()->Step(operation_, words);
  const routing::MonoTime now = operators_->world()->Now();
  if (now - told_at_ < std::chrono::milliseconds(500)) return;
  told_at_ = now;
  asked_->Progress(words);
}

void BusyTask::Cancel() {
  if (!ended_ && !finishing_) GiveUp(Operation::State::kCancelled, "was cancelled");
}

void BusyTask::GiveUp(Operation::State state, const std::string& why) {
  PutBack();
  std::string message =
      absl::StrCat(setup_.what, ": ", setup_.kind, " ", why, "; everything is as it was before");
  if (!last_.unanswered.empty()) absl::StrAppend(&message, "; ", last_.unanswered);
  if (last_.must_end() > 0) {
    absl::StrAppend(&message, "; still running: ", last_.running, " statements, ",
                    last_.transactions, " transactions (sessions ",
                    absl::StrJoin(last_.sessions, ", "), "): ", setup_.way_out);
  }
  EndWith(state, kErrNotNow, message);
}

void BusyTask::EndWith(Operation::State state, uint16_t code, const std::string& message) {
  ended_ = true;
  operators_->world()->operations()->End(operation_, state, message);
  operators_->world()->events()->Add("operation", setup_.object, message);
  if (state == Operation::State::kDone) {
    asked_->Done(message);
  } else {
    asked_->Fail(code, message);
  }
}

}  // namespace bulkhead::control
