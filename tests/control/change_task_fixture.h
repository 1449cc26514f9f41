// What the tests of SWITCHOVER and FAILOVER as operations share: a fake world with a shard that has
// a replica, an operator who asks, and another process on the same store.
#ifndef BULKHEAD_TESTS_CONTROL_CHANGE_TASK_FIXTURE_H_
#define BULKHEAD_TESTS_CONTROL_CHANGE_TASK_FIXTURE_H_

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/change_task.h"
#include "tests/control/fake_world.h"

namespace bulkhead::control {

using namespace std::chrono_literals;

class ChangeTaskTest : public ::testing::Test {
 protected:
  struct Answer {
    int count = 0;
    OperatorReply reply;
    std::vector<std::string> progress;
    uint64_t ticket = 0;
  };

  ChangeTaskTest() {
    routing::TopologyBuilder builder(*world_.topology_);
    EXPECT_TRUE(builder.SetReplicas("s1", {"db3"}).ok());
    world_.topology_ = *builder.Build();
    world_.options_.control = config::ServiceAccount{"control", config::Secret("x")};
    world_.options_.replication = config::ServiceAccount{"replicator", config::Secret("x")};
    world_.Follow();
    routing::StepReport position;
    position.position = "0-1-12";
    world_.hands_.answers[routing::ChangeStep::kReadPosition] = position;
  }

  std::shared_ptr<Answer> Ask(OperatorCommand command) {
    auto answer = std::make_shared<Answer>();
    answer->ticket = operators_->Submit(
        std::move(command), {"dba", "local", "..."},
        {.progress = [answer](const std::string& words) { answer->progress.push_back(words); },
         .done =
             [answer](OperatorReply reply) {
               ++answer->count;
               answer->reply = std::move(reply);
             }});
    RunPosted();
    return answer;
  }
  std::string Did(const OperatorCommand& command) {
    auto answer = Ask(command);
    EXPECT_EQ(answer->count, 1);
    return (answer->reply.ok ? "ok: " : std::to_string(answer->reply.code) + ": ") +
           answer->reply.message;
  }
  void RunPosted() {
    while (!world_.posted_.empty()) {
      auto message = std::move(world_.posted_.front());
      world_.posted_.pop_front();
      message();
    }
  }
  void After(Duration time) {
    for (Duration passed{0}; passed < time; passed += 50ms) {
      world_.now_ += 50ms;
      world_.gates()->Tick(world_.now_);
      operators_->Tick(world_.now_);
      RunPosted();
    }
  }
  std::shared_ptr<Answer> Switch() { return Ask(Switchover{.shard = "s1", .to = "db3"}); }
  // What the store has of operations, as an earlier process left it.
  StoredState Stored() {
    StoredState state;
    std::map<uint64_t, StoredOperation> operations;
    for (const StoreEdit& edit : world_.edits_) {
      if (const auto* put = std::get_if<PutOperation>(&edit))
        operations[put->operation.operation.id] = put->operation;
      if (const auto* put = std::get_if<PutBackendState>(&edit))
        state.backend_states[put->backend] = put->state;
      if (const auto* put = std::get_if<PutOrder>(&edit)) state.orders.push_back(put->order);
    }
    for (const auto& [id, operation] : operations) state.operations.push_back(operation);
    return state;
  }
  // Another process with what is stored, on the same servers and topology.
  void Restart() {
    const StoredState state = Stored();
    operators_ = std::make_unique<Operators>(&world_);
    std::vector<Operation> operations;
    for (const StoredOperation& stored : state.operations) operations.push_back(stored.operation);
    world_.posted_.clear();
    operators_->Restore(state);
    RunPosted();
  }
  Operation LastOperation() { return world_.operations_.All().back(); }
  std::vector<std::string>& steps() { return world_.hands_.steps; }

  FakeWorld world_;
  std::unique_ptr<Operators> operators_ = std::make_unique<Operators>(&world_);
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_TESTS_CONTROL_CHANGE_TASK_FIXTURE_H_
