// Switchovers and failovers in a world where any step fails, loses its answer or never answers, the
// store fails, operators cancel and the router is restarted. The world checks what must never be.
#include <gtest/gtest.h>

#include <random>

#include "tests/routing/change_driver.h"

namespace bulkhead::routing {
namespace {

using Result = StepReport::Result;

struct World {
  bool old_writable = true;
  bool new_writable = false;
  bool replicating = true;
  bool held = false;
  bool fenced = false;
  bool published = false;
  uint64_t old_position = 5;
  uint64_t new_position = 5;

  // What clients do meanwhile.
  void Live(std::mt19937_64& random) {
    if (!held && !published && old_writable) old_position += random() % 3;
    if (!held && published && new_writable) new_position += random() % 3;
    if (replicating && !new_writable && random() % 2 == 0) new_position = old_position;
  }
};

class Trial {
 public:
  Trial(const ChangePlan& plan, uint64_t seed) : random_(seed), plan_(plan) {
    faults_ = static_cast<int>(random_() % 60);
    rate_ = 2 + random_() % 12;
    hopeless_ = random_() % 10 == 0;
  }

  void Run() {
    Fresh(nullptr);
    for (int turn = 0; turn < 5000 && machine_->outcome() == ChangeOutcome::kRunning; ++turn) {
      std::vector<ChangeAction> actions = machine_->TakeActions();
      if (actions.empty()) {
        ASSERT_NE(machine_->next_wake(), kMonoNever) << "it waits for nothing";
        now_ = std::max(now_, machine_->next_wake());
        machine_->Tick(now_);
      }
      for (const ChangeAction& action : actions) {
        if (!Do(action)) break;  // restarted
        ASSERT_NO_FATAL_FAILURE(Check(action));
      }
      if (turn == 4000) machine_->Cancel(now_);
    }
    for (const ChangeAction& action : machine_->TakeActions()) Do(action);
    CheckEnd();
  }

 private:
  bool Faulty() { return faults_ > 0 && random_() % rate_ == 0 && faults_-- > 0; }

  void Fresh(const ChangeRecord* record) {
    machine_ = MakeChange(plan_);
    if (record == nullptr) {
      machine_->Start(now_);
    } else {
      machine_->Resume(*record, now_);
    }
  }

  bool Restart() {
    if (stored_.empty() || restarts_ == 4) return false;
    ++restarts_;
    world_.held = false;
    // Hours may have passed, and somebody has helped himself.
    const bool switchover = plan_.kind == ChangeKind::kSwitchover;
    if (switchover && !world_.old_writable && !world_.new_writable && faults_ == 0 && !hopeless_ &&
        random_() % 3 != 0) {
      world_.new_writable = true;
      by_hand_ = true;
    }
    const std::optional<ChangeRecord> record = DecodeChange(stored_);
    EXPECT_TRUE(record.has_value());
    Fresh(&*record);
    return true;
  }

  bool Do(const ChangeAction& action) {
    now_ += std::chrono::milliseconds(random_() % 50);
    world_.Live(random_);
    if (random_() % 200 == 0) machine_->Cancel(now_);
    switch (action.kind) {
      case ChangeAction::Kind::kStoreStep: {
        const bool ok = !Faulty();
        if (ok) stored_ = EncodeChange(action.record);
        if (random_() % 50 == 0 && Restart()) return false;
        machine_->OnStored(action.id, ok, now_);
        return true;
      }
      case ChangeAction::Kind::kRunStep:
        return RunStep(action);
      case ChangeAction::Kind::kAlert:
        ++alerts_;
        return true;
      case ChangeAction::Kind::kAbortStep:
      case ChangeAction::Kind::kProgress:
      case ChangeAction::Kind::kEnd:
        return true;
    }
    return true;
  }

  bool RunStep(const ChangeAction& action) {
    StepReport report;
    const bool stuck =
        hopeless_ && (action.step == ChangeStep::kConfirm || action.step == ChangeStep::kThawOld);
    if (stuck || Faulty()) {
      const uint64_t how = random_() % 4;
      report.result = how == 0 || stuck ? Result::kFailed : Result::kUnknown;
      report.why = "fault";
      report.locked = random_() % 2 == 0;
      if (how == 2) Effect(action, &report);
      if (how == 3 && random_() % 2 == 0) Effect(action, &report);
      report.result = how == 0 || stuck ? Result::kFailed : Result::kUnknown;
      if (random_() % 8 == 0 && Restart()) return false;
      if (how != 3) machine_->OnStep(action.id, report, now_);
      return true;
    }
    Effect(action, &report);
    if (random_() % 60 == 0 && Restart()) return false;
    machine_->OnStep(action.id, report, now_);
    return true;
  }

  void Effect(const ChangeAction& action, StepReport* report) {
    switch (action.step) {
      case ChangeStep::kInspect:
        report->saved = "as it was";
        report->semi_sync = random_() % 4 == 0;
        return;
      case ChangeStep::kHold:
        world_.held = true;
        return;
      case ChangeStep::kDrain:
        report->busy = random_() % 6 == 0 ? 1 : 0;
        return;
      case ChangeStep::kFreezeOld:
        world_.old_writable = false;
        return;
      case ChangeStep::kReadPosition:
        report->position = std::to_string(world_.old_position);
        report->stable = random_() % 6 != 0;
        return;
      case ChangeStep::kCatchUp:
        if (world_.replicating && random_() % 8 != 0) world_.new_position = world_.old_position;
        if (std::to_string(world_.new_position) != action.record.position) {
          report->result = Result::kFailed;
          report->why = "it lags";
        }
        return;
      case ChangeStep::kFence:
        world_.fenced = true;
        world_.old_writable = false;
        return;
      case ChangeStep::kStopReceiving:
      case ChangeStep::kDetach:
        world_.replicating = false;
        return;
      case ChangeStep::kPromote:
        if (plan_.kind == ChangeKind::kSwitchover) {
          EXPECT_EQ(world_.new_position, world_.old_position) << "promoted without everything";
          EXPECT_TRUE(world_.held);
        }
        world_.new_writable = true;
        return;
      case ChangeStep::kConfirm:
        report->writable = world_.new_writable;
        return;
      case ChangeStep::kPublish:
        EXPECT_TRUE(world_.new_writable);
        world_.published = true;
        return;
      case ChangeStep::kRelease:
        world_.held = false;
        return;
      case ChangeStep::kThawOld:
        world_.old_writable = true;
        return;
      case ChangeStep::kReattach:
        world_.replicating = true;
        return;
      case ChangeStep::kEndRunning:
      case ChangeStep::kEndPrivileged:
      case ChangeStep::kApplyReceived:
      case ChangeStep::kProve:
      case ChangeStep::kRepoint:
      case ChangeStep::kKeepSemiSync:
      case ChangeStep::kSettle:
        return;
    }
  }

  void Check(const ChangeAction&) {
    const bool both_allowed = plan_.kind == ChangeKind::kFailover && plan_.accept_split_brain;
    ASSERT_TRUE(both_allowed || !(world_.old_writable && world_.new_writable));
    ASSERT_FALSE(world_.published && !world_.new_writable);
  }

  void CheckEnd() {
    ASSERT_NE(machine_->outcome(), ChangeOutcome::kRunning) << "it never ends";
    const bool switchover = plan_.kind == ChangeKind::kSwitchover;
    switch (machine_->outcome()) {
      case ChangeOutcome::kFinished:
        EXPECT_TRUE(world_.new_writable && world_.published && !world_.held);
        EXPECT_TRUE(!switchover || !world_.old_writable);
        return;
      case ChangeOutcome::kPutBack:
      case ChangeOutcome::kRefused:
        EXPECT_TRUE(!world_.new_writable && !world_.published && !world_.held);
        EXPECT_TRUE(!switchover || world_.old_writable);
        EXPECT_TRUE(world_.replicating || alerts_ > 0);
        return;
      case ChangeOutcome::kFrozen:
        by_hand_seen += by_hand_ ? 1 : 0;
        // Or nobody knows whether it was released.
        EXPECT_TRUE(world_.held || machine_->record().step == ChangeStep::kRelease);
        EXPECT_GT(alerts_, 0);
        return;
      case ChangeOutcome::kRunning:
      case ChangeOutcome::kDryRun:
        FAIL();
    }
  }

  std::mt19937_64 random_;
  ChangePlan plan_;
  World world_;
  MonoTime now_ = MonoTimeFromNanos(1);
  std::unique_ptr<PrimaryChange> machine_;
  std::string stored_;
  int faults_ = 0;
  uint64_t rate_ = 4;
  bool hopeless_ = false;
  int restarts_ = 0;
  int alerts_ = 0;
  bool by_hand_ = false;

 public:
  static int by_hand_seen;
};
int Trial::by_hand_seen = 0;

TEST(ChangeRandomTest, Switchovers) {
  for (uint64_t seed = 1; seed <= 20'000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    Trial(PlanFor(ChangeKind::kSwitchover), seed).Run();
  }
  EXPECT_GT(Trial::by_hand_seen, 20) << "promoted by hand while no process ran";
}

TEST(ChangeRandomTest, Failovers) {
  for (uint64_t seed = 1; seed <= 20'000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    ChangePlan plan = PlanFor(ChangeKind::kFailover);
    plan.accept_data_loss = true;
    plan.fence_configured = seed % 2 == 0;
    plan.accept_split_brain = seed % 3 == 0 || !plan.fence_configured;
    Trial(plan, seed).Run();
  }
}

}  // namespace
}  // namespace bulkhead::routing
