// An OperatorWorld of plain values: time moves by hand, workers answer at once, or when the test
// lets them; servers are FakeHands.
#ifndef BULKHEAD_TESTS_CONTROL_FAKE_WORLD_H_
#define BULKHEAD_TESTS_CONTROL_FAKE_WORLD_H_

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/operators.h"

namespace bulkhead::control {

// Answers each step at once, or never. Owned by the operation; what it did stays with the world.
struct HandsLog {
  std::vector<std::string> steps;                              // "freeze old db1"
  std::map<routing::ChangeStep, routing::StepReport> answers;  // OK where there is none
  std::vector<routing::ChangeStep> silent;                     // these get no answer
  std::function<void(const routing::ChangeAction&)> on_step;
  HandsContext last_context;
  int aborted = 0;
};
class FakeHands final : public ChangeHands {
 public:
  FakeHands(HandsLog* log, std::function<void(std::function<void()>)> post)
      : log_(log), post_(std::move(post)) {}
  void Run(const routing::ChangeAction& action, const HandsContext& context, Done done) override {
    log_->steps.push_back(std::string(routing::ToString(action.step)) + " " + action.server);
    log_->last_context = context;
    if (log_->on_step) log_->on_step(action);
    for (const routing::ChangeStep silent : log_->silent) {
      if (silent == action.step) return;
    }
    post_([done = std::move(done), report = log_->answers[action.step]] { done(report); });
  }
  void Abort() override { ++log_->aborted; }
  void Tick(routing::MonoTime) override {}

 private:
  HandsLog* const log_;
  const std::function<void(std::function<void()>)> post_;
};

class FakeWorld final : public OperatorWorld {
 public:
  FakeWorld() {
    routing::TopologyBuilder builder;
    for (const char* name : {"db1", "db2", "db3"}) {
      routing::BackendSpec backend;
      backend.name = name;
      backend.address = {.host = std::string("127.0.0.") + name[2], .port = 3306};
      EXPECT_TRUE(builder.AddBackend(backend).ok());
    }
    EXPECT_TRUE(builder.AddShard({.name = "s1", .primary = "db1"}).ok());
    EXPECT_TRUE(builder.AddShard({.name = "s2", .primary = "db2", .production = true}).ok());
    EXPECT_TRUE(builder.AddTenant({.name = "acme", .shard = "s1"}).ok());
    topology_ = *builder.Build();
    desk_ = std::make_unique<GateDesk>(options_.hold, 100, &workers_, &board_, &limits_,
                                       [](routing::BackendId, double) {});
    Follow();
  }

  void Post(std::function<void()> message) override { posted_.push_back(std::move(message)); }
  routing::MonoTime Now() override { return now_; }
  const config::Options& options() const override { return options_; }
  const TopologyPtr& topology() const override { return topology_; }
  void Publish(TopologyPtr topology, const std::vector<StoreEdit>&,
               std::function<void()> done) override {
    topology_ = std::move(topology);
    Follow();
    ++published_;
    for (const routing::Shard* shard : topology_->shards())
      modes_when_published_.push_back(board_.shard(shard->id));
    Post(std::move(done));
  }
  void CountBusy(io::BusyFilter, std::function<void(const io::BusyCount&)> done) override {
    ++counted_;
    Post([this, done] { done(busy_); });
  }
  routing::BackendHealth* HealthOf(routing::BackendId backend) override {
    auto it = healths_.find(backend);
    return it == healths_.end() ? nullptr : it->second.get();
  }
  void CarryOut(routing::BackendId backend) override {
    desk_->SetHealth(backend, {.effect = HealthOf(backend)->effect(), .since = now_}, now_);
  }
  void Persist(std::vector<StoreEdit> edits,
               std::function<void(const absl::Status&)> done) override {
    if (stored_.ok()) edits_.insert(edits_.end(), edits.begin(), edits.end());
    Post([done = std::move(done), status = stored_] { done(status); });
  }
  void GiveUp(routing::BackendId backend, std::function<void()> done) override {
    given_up_.push_back(topology_->backend(backend)->name);
    Post(std::move(done));
  }
  void ExpectReadOnly(routing::BackendId backend, bool expected) override {
    const std::string& name = topology_->backend(backend)->name;
    if (expected) {
      expected_read_only_.insert(name);
    } else {
      expected_read_only_.erase(name);
    }
  }
  void AddKnown(ChangeScene* scene) override { scene->other_routers = other_routers_; }
  std::vector<std::string> OtherRoutersOn(const std::vector<routing::BackendId>&) const override {
    return other_routers_;
  }
  std::unique_ptr<ChangeHands> MakeHands(const ChangeScene&) override {
    return std::make_unique<FakeHands>(
        &hands_, [this](std::function<void()> message) { Post(std::move(message)); });
  }
  const std::string& router_id() const override { return router_id_; }
  GateDesk* gates() override { return desk_.get(); }
  const std::vector<io::Worker*>& workers() const override { return workers_; }
  routing::TenantLimits* limits() override { return &limits_; }
  EventLog* events() override { return &events_; }
  OperationLog* operations() override { return &operations_; }
  IncidentLog* incidents() override { return &incidents_; }
  void Configure(ConfigRequest request, std::function<void(ConfigAnswer)> done) override {
    requests_.push_back(request);
    Post([done = std::move(done), answer = configured_] { done(answer); });
  }
  std::string FollowerTrouble() override { return follower_trouble_; }
  void ShutDown() override { shut_down_ = true; }

  void Follow() {
    desk_->SetTopology(*topology_, now_);
    for (const routing::Backend* backend : topology_->backends()) {
      std::unique_ptr<routing::BackendHealth>& health = healths_[backend->id];
      if (health == nullptr) {
        health = std::make_unique<routing::BackendHealth>(routing::HealthRules{},
                                                          routing::BackendRole::kPrimary, 1, now_);
        health->SetMark(routing::OperatorMark::kUp, now_);  // nobody probes here
      }
      CarryOut(backend->id);
    }
  }
  routing::GateMode ModeOf(const char* shard) {
    return board_.shard(topology_->FindShard(shard)->id);
  }
  std::string PrimaryOf(const char* shard) {
    return topology_->backend(topology_->FindShard(shard)->primary)->name;
  }

  routing::MonoTime now_ = routing::MonoTime(std::chrono::seconds(1000));
  config::Options options_;
  std::vector<io::Worker*> workers_;
  routing::GateBoard board_;
  routing::TenantLimits limits_;
  TopologyPtr topology_;
  std::unique_ptr<GateDesk> desk_;
  absl::flat_hash_map<routing::BackendId, std::unique_ptr<routing::BackendHealth>> healths_;
  EventLog events_;
  OperationLog operations_;
  IncidentLog incidents_;
  std::deque<std::function<void()>> posted_;
  io::BusyCount busy_;
  std::vector<routing::GateMode> modes_when_published_;
  absl::Status stored_;  // what the store says
  std::vector<StoreEdit> edits_;
  std::vector<ConfigRequest> requests_;
  ConfigAnswer configured_;  // what Configure answers
  std::vector<std::string> given_up_;
  std::vector<std::string> other_routers_;
  std::set<std::string> expected_read_only_;
  HandsLog hands_;
  std::string router_id_ = "0123456789abcdef";
  int counted_ = 0;
  int published_ = 0;
  bool shut_down_ = false;
  std::string follower_trouble_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_TESTS_CONTROL_FAKE_WORLD_H_
