#include "proxy/control/fleet_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "metrics/registry.h"
#include "proxy/control/control_loop.h"
#include "proxy/io/worker.h"
#include "routing/gate_board.h"
#include "routing/tenant_limits.h"

namespace bulkhead::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Accounts final : public io::ProcessAccounts {
 public:
  routing::ConnectionBudget* BudgetOf(const routing::Backend& /*backend*/) override {
    return &budget_;
  }

 private:
  routing::ConnectionBudget budget_{10};
};

// A control thread and two workers, without backends and clients.
class FleetCollectorTest : public ::testing::Test {
 protected:
  FleetCollectorTest() {
    auto options = std::make_shared<config::Options>();
    options->topology = *routing::TopologyBuilder().Build();
    ControlLoop::Setup control;
    control.options = options;
    control.workers = &pointers_;
    control.gates = &gates_;
    control.limits = &limits_;
    control.metrics = registry_.control();
    control.shut_down = [this] { hangs_.wait(true); };
    control.budget_of = [this](const routing::Backend& b) { return accounts_.BudgetOf(b); };
    control_ = std::make_unique<ControlLoop>(std::move(control));
    for (uint32_t i = 0; i < 2; ++i) {
      io::WorkerSetup worker;
      worker.index = i;
      worker.options = options;
      worker.accounts = &accounts_;
      worker.metrics = registry_.AddWorker("worker-" + std::to_string(i));
      worker.gates = &gates_;
      worker.gate_keeper = control_.get();
      worker.limits = &limits_;
      worker.workers = &pointers_;
      workers_.push_back(std::make_unique<io::Worker>(std::move(worker)));
      pointers_.push_back(workers_.back().get());
    }
    for (auto& worker : workers_) worker->Start();
    control_->Start();
    collector_ = std::make_unique<FleetCollector>(control_.get(), pointers_);
  }
  ~FleetCollectorTest() override {
    GoOn();
    for (auto& worker : workers_) worker->RequestShutdown(0);
    for (auto& worker : workers_) worker->Join();
    control_->Stop();
    control_->Join();
  }

  void GoOn() {
    hangs_ = false;
    hangs_.notify_all();
  }
  void HangControl() {
    control_->operators()->Submit(Shutdown{}, {}, {.progress = {}, .done = [](OperatorReply) {}});
  }
  void HangWorker(size_t index) {
    workers_[index]->PublishTopology(control_->Snapshot(), [this] { hangs_.wait(true); });
  }

  static constexpr FleetQuestion kAll{.shards = true,
                                      .backends = true,
                                      .replicas = true,
                                      .holds = true,
                                      .unknown = true,
                                      .operations = true,
                                      .events = true,
                                      .sessions = true,
                                      .pools = true};

  std::atomic<bool> hangs_{true};
  Accounts accounts_;
  routing::GateBoard gates_;
  routing::TenantLimits limits_;
  metrics::Registry registry_{{}};
  std::vector<io::Worker*> pointers_;
  std::unique_ptr<ControlLoop> control_;
  std::vector<std::unique_ptr<io::Worker>> workers_;
  std::unique_ptr<FleetCollector> collector_;
};

TEST_F(FleetCollectorTest, EverybodyAnswers) {
  const FleetPicture picture = collector_->Collect(kAll);
  EXPECT_THAT(picture.warnings, IsEmpty());
  EXPECT_NE(picture.topology, nullptr);
}

TEST_F(FleetCollectorTest, WhoDoesNotAnswerIsNamedAndTheOthersAreShown) {
  HangControl();
  HangWorker(1);
  EXPECT_THAT(collector_->Collect(kAll).warnings,
              ElementsAre(HasSubstr("the control thread does not answer"),
                          HasSubstr("worker 1 does not answer")));
  // Nobody waits for whom is not asked.
  EXPECT_THAT(collector_->Collect({.events = true}).warnings, IsEmpty());
  GoOn();
  while (!collector_->Collect(kAll).warnings.empty()) std::this_thread::yield();
}

// A backend's place among the workers' cells is given to another server: DROP and CREATE, or
// another address.
TEST_F(FleetCollectorTest, WhatAnEarlierServerAtTheSamePlaceDidIsNoEvidence) {
  auto& cell = const_cast<io::ActivityBoard&>(workers_[0]->activity()).At(0);
  cell.logins = 3;
  cell.last_answer_ns = cell.last_byte_ns = uv_hrtime() - 1'000'000'000;
  std::atomic<bool> made{false};
  routing::BackendSpec spec;
  spec.name = "db1";
  spec.address = {.host = "127.0.0.1", .port = 1};
  control_->operators()->Submit(CreateBackend{spec}, {},
                                {.progress = {}, .done = [&](auto) { made = true; }});
  while (!made) std::this_thread::yield();
  for (int i = 0; i < 3; ++i) {  // some ticks later
    const auto view = control_->View();
    while (control_->View() == view) std::this_thread::yield();
  }
  const auto silent = [this] {
    return collector_->Collect({.backends = true}).control.backends.at(0).silent;
  };
  EXPECT_FALSE(silent().has_value());  // it has given no sign of life
  // What comes from then on is evidence.
  cell.last_answer_ns = uv_hrtime();
  while (!silent().has_value()) std::this_thread::yield();
}

}  // namespace
}  // namespace bulkhead::control
