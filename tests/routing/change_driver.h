// Drives a PrimaryChange through a script: tells what each step answers, and writes down what was
// asked. For tests; time moves only where the machine waits.
#ifndef BULKHEAD_TESTS_ROUTING_CHANGE_DRIVER_H_
#define BULKHEAD_TESTS_ROUTING_CHANGE_DRIVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "routing/failover.h"
#include "routing/switchover.h"

namespace bulkhead::routing {

inline ChangePlan PlanFor(ChangeKind kind) {
  ChangePlan plan;
  plan.kind = kind;
  plan.shard = "s1";
  plan.old_primary = "old";
  plan.candidate = "new";
  plan.others = {"other"};
  plan.timeout = std::chrono::seconds(2);
  return plan;
}

inline std::unique_ptr<PrimaryChange> MakeChange(const ChangePlan& plan) {
  if (plan.kind == ChangeKind::kFailover) return std::make_unique<Failover>(plan);
  return std::make_unique<Switchover>(plan);
}

// What goes well.
inline StepReport Good(const ChangeAction& action) {
  StepReport report;
  if (action.step == ChangeStep::kReadPosition) report.position = "0-1-7";
  if (action.step == ChangeStep::kInspect) report.saved = "scheduler=ON\nsecond line\\";
  return report;
}

inline StepReport Bad(StepReport::Result result, const std::string& why = "so it was told") {
  StepReport report;
  report.result = result;
  report.why = why;
  return report;
}

class ChangeDriver {
 public:
  using Answer = std::function<std::optional<StepReport>(const ChangeAction&)>;

  explicit ChangeDriver(const ChangePlan& plan) : machine(MakeChange(plan)) {}

  explicit ChangeDriver(const ChangeRecord& resumed) : ChangeDriver(resumed.plan) {
    begun = true;
    machine->Resume(resumed, now);
  }

  // Until it ends, or 200 actions were carried out. `answer`: nothing, no answer comes.
  void Run(const Answer& answer) {
    if (!std::exchange(begun, true)) machine->Start(now);
    for (int turns = 0; turns < 200 && machine->outcome() == ChangeOutcome::kRunning; ++turns) {
      std::vector<ChangeAction> actions = machine->TakeActions();
      if (actions.empty()) {
        if (machine->next_wake() == kMonoNever) return;
        now = std::max(now, machine->next_wake());
        machine->Tick(now);
        continue;
      }
      for (const ChangeAction& action : actions) Do(action, answer);
    }
    for (const ChangeAction& action : machine->TakeActions()) Do(action, answer);
  }

  void Do(const ChangeAction& action, const Answer& answer) {
    switch (action.kind) {
      case ChangeAction::Kind::kStoreStep:
        stored = EncodeChange(action.record);
        if (on_store) on_store(action);
        machine->OnStored(action.id, store_works, now);
        return;
      case ChangeAction::Kind::kRunStep: {
        steps.push_back(action.step == ChangeStep::kRepoint ? "repoint " + action.server
                                                            : std::string(ToString(action.step)));
        if (std::optional<StepReport> report = answer(action)) {
          machine->OnStep(action.id, *report, now);
        }
        return;
      }
      case ChangeAction::Kind::kAbortStep:
        ++aborted;
        return;
      case ChangeAction::Kind::kProgress:
        return;
      case ChangeAction::Kind::kAlert:
        alerts.push_back(action.words);
        return;
      case ChangeAction::Kind::kEnd:
        ++ends;
        return;
    }
  }

  MonoTime now = MonoTimeFromNanos(1'000'000'000);
  std::unique_ptr<PrimaryChange> machine;
  std::vector<std::string> steps;
  std::vector<std::string> alerts;
  std::string stored;
  bool store_works = true;
  bool begun = false;
  int aborted = 0;
  int ends = 0;
  std::function<void(const ChangeAction&)> on_store;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_TESTS_ROUTING_CHANGE_DRIVER_H_
