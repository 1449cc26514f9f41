// Operators against a world of plain values: time moves by hand, workers answer at once, or when
// the test lets them.
#include "proxy/control/operators.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/control/fake_world.h"

namespace bulkhead::control {
namespace {

using routing::GateMode;
using routing::MonoTime;
using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::HasSubstr;

class OperatorsTest : public ::testing::Test {
 protected:
  struct Answer {
    int count = 0;
    OperatorReply reply;
    std::vector<std::string> progress;
    uint64_t ticket = 0;
  };

  std::shared_ptr<Answer> Ask(OperatorCommand command) {
    auto answer = std::make_shared<Answer>();
    answer->ticket = operators_.Submit(
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
  void RunPosted() {
    while (!world_.posted_.empty()) {
      auto message = std::move(world_.posted_.front());
      world_.posted_.pop_front();
      message();
    }
  }
  // In steps of the control loop's own.
  void After(Duration time) {
    for (Duration passed{0}; passed < time; passed += 50ms) {
      world_.now_ += 50ms;
      world_.gates()->Tick(world_.now_);
      operators_.Tick(world_.now_);
      RunPosted();
    }
  }
  std::string Did(const OperatorCommand& command) {
    auto answer = Ask(command);
    EXPECT_EQ(answer->count, 1);
    return (answer->reply.ok ? "ok: " : std::to_string(answer->reply.code) + ": ") +
           answer->reply.message;
  }
  static SliceName Shard(const char* name) { return {SliceName::Kind::kShard, name}; }
  static SliceName Tenant(const char* name) { return {SliceName::Kind::kTenant, name}; }

  FakeWorld world_;
  Operators operators_{&world_};
};

TEST_F(OperatorsTest, HoldsAndReleasesAShard) {
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(Did(HoldSlice{Shard("s1"), {}}), HasSubstr("ok: shard s1 is held"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_EQ(world_.ModeOf("s2"), GateMode::kServing);
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("ok: shard s1 is released"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("9420: shard s1 has no order"));
  EXPECT_THAT(Did(HoldSlice{Shard("s11"), {}}), HasSubstr("did you mean 's1'"));
}

TEST_F(OperatorsTest, AnOrderForAWhileEndsByItself) {
  Ask(HoldSlice{Shard("s1"), 5s});
  After(4900ms);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  After(200ms);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("has no order"));
}

TEST_F(OperatorsTest, ReleaseOfAShardThatIsDownWantsForce) {
  EXPECT_THAT(Did(MarkBackend{"db1", MarkBackend::As::kDown}), HasSubstr("ok: "));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("FORCE"));
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1"), true}), HasSubstr("ok: shard s1 is served"));
  After(70s);  // the ramp after an outage
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("9420"));  // back to what its backend says
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
}

TEST_F(OperatorsTest, ATenantsOrderMakesItsSessionsAsk) {
  routing::TenantHandle handle;
  EXPECT_TRUE(world_.limits_.Bind("acme", &handle).ok());
  EXPECT_FALSE(handle.held());
  EXPECT_THAT(Did(HoldSlice{Tenant("acme"), {}}), HasSubstr("ok: tenant acme is held"));
  world_.limits_.Refresh("acme", &handle);
  EXPECT_TRUE(handle.held());
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);  // the others of its shard don't
  Ask(ReleaseSlice{Tenant("acme")});
  EXPECT_FALSE(handle.held());
  EXPECT_THAT(Did(HoldSlice{Tenant("nobody"), {}}), HasSubstr("9421: there is no tenant"));
}

TEST_F(OperatorsTest, DrainWaitsForWhatRuns) {
  world_.busy_.running = 1;
  world_.busy_.transactions = 2;
  auto answer = Ask(DrainBackend{"db1", 60s});
  After(1s);
  EXPECT_EQ(answer->count, 0);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  EXPECT_THAT(answer->progress, Contains(HasSubstr("1 running statements and 2 open")));
  world_.busy_ = {.pinned = 3};
  After(200ms);
  ASSERT_EQ(answer->count, 1);
  EXPECT_TRUE(answer->reply.ok);
  EXPECT_THAT(answer->reply.message, HasSubstr("3 idle sessions hold state"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);  // until it is enabled
  EXPECT_THAT(Did(ReleaseSlice{Shard("s1")}), HasSubstr("ENABLE BACKEND db1"));
  EXPECT_THAT(Did(EnableBackend{"db1"}), HasSubstr("ok: "));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

TEST_F(OperatorsTest, ADrainThatIsCancelledOrTooLongPutsEverythingBack) {
  world_.busy_.transactions = 1;
  world_.busy_.sessions = {77};
  auto late = Ask(DrainBackend{"db1", 2s});
  After(2100ms);
  ASSERT_EQ(late->count, 1);
  EXPECT_FALSE(late->reply.ok);
  EXPECT_THAT(late->reply.message, HasSubstr("sessions 77"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);

  auto cancelled = Ask(DrainBackend{"db1", 60s});
  After(1s);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  operators_.CancelSubmitted(cancelled->ticket);
  RunPosted();
  ASSERT_EQ(cancelled->count, 1);
  EXPECT_THAT(cancelled->reply.message, HasSubstr("was cancelled"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);

  auto by_number = Ask(DrainBackend{"db1", 60s});
  EXPECT_THAT(Did(CancelOperation{world_.operations_.All().back().id}), HasSubstr("ok: "));
  EXPECT_EQ(by_number->count, 1);
  EXPECT_THAT(Did(CancelOperation{99}), HasSubstr("9421: no operation 99"));
  EXPECT_EQ(world_.operations_.All().back().state, Operation::State::kCancelled);
}

TEST_F(OperatorsTest, ADrainUnderWayIsNotEndedByOtherOrders) {
  world_.busy_.running = 1;
  auto drain = Ask(DrainBackend{"db1", 60s});
  After(1s);
  const std::string number = std::to_string(world_.operations_.All().back().id);
  const auto refused =
      HasSubstr("9420: operation " + number +
                " (drain of db1) is under way: wait, or CANCEL OPERATION " + number);
  EXPECT_THAT(Did(EnableBackend{"db1"}), refused);
  EXPECT_THAT(Did(DisableBackend{"db1"}), refused);
  EXPECT_THAT(Did(DrainBackend{"db1", 1s}), refused);
  EXPECT_THAT(Did(DropBackend{"db1"}), refused);
  AlterBackend alter;
  alter.name = "db1";
  EXPECT_THAT(Did(alter), refused);
  EXPECT_EQ(operators_.backend_order("db1"), Operators::BackendOrder::kDraining);
  EXPECT_THAT(Did(DisableBackend{"db2"}), HasSubstr("ok: "));  // others are not concerned
  world_.busy_ = {};
  After(200ms);
  ASSERT_EQ(drain->count, 1);
  EXPECT_TRUE(drain->reply.ok);
  EXPECT_THAT(Did(EnableBackend{"db1"}), HasSubstr("ok: "));
}

TEST_F(OperatorsTest, ATenantThatIsBeingAssignedIsNotReleasedByOtherOrders) {
  routing::TenantHandle handle;
  world_.busy_.running = 1;
  auto assign = Ask(AssignTenant{"acme", "s2", 60s});
  After(500ms);
  const auto refused = HasSubstr("(assign of acme) is under way: wait, or CANCEL OPERATION");
  EXPECT_THAT(Did(ReleaseSlice{Tenant("acme")}), refused);
  EXPECT_THAT(Did(HoldSlice{Tenant("acme"), {}}), refused);
  EXPECT_THAT(Did(RejectSlice{Tenant("acme"), {}}), refused);
  EXPECT_THAT(Did(AssignTenant{"acme", "s2"}), refused);
  EXPECT_THAT(Did(DropTenant{"acme"}), refused);
  world_.limits_.Refresh("acme", &handle);
  EXPECT_TRUE(handle.held());
  world_.busy_ = {};
  After(200ms);
  ASSERT_EQ(assign->count, 1);
  EXPECT_TRUE(assign->reply.ok) << assign->reply.message;
  EXPECT_THAT(Did(HoldSlice{Tenant("acme"), {}}), HasSubstr("ok: "));
}

TEST_F(OperatorsTest, AssignHoldsTheTenantFlipsAndReleases) {
  routing::TenantHandle handle;
  world_.busy_.running = 1;
  auto answer = Ask(AssignTenant{"acme", "s2", 10s});
  world_.limits_.Refresh("acme", &handle);
  EXPECT_TRUE(handle.held());
  After(500ms);
  EXPECT_EQ(world_.published_, 0);
  world_.busy_ = {};
  After(200ms);
  ASSERT_EQ(answer->count, 1);
  EXPECT_TRUE(answer->reply.ok) << answer->reply.message;
  EXPECT_FALSE(handle.held());
  EXPECT_EQ(world_.topology_->FindTenant("acme").shard, world_.topology_->FindShard("s2")->id);
  EXPECT_THAT(Did(AssignTenant{"acme", "s2"}), HasSubstr("9420: tenant acme is on shard s2"));
  // Too long: it stays where it is.
  world_.busy_.running = 1;
  auto late = Ask(AssignTenant{"acme", "s1", 1s});
  After(1100ms);
  EXPECT_FALSE(late->reply.ok);
  EXPECT_FALSE(handle.held());
  EXPECT_EQ(world_.topology_->FindTenant("acme").shard, world_.topology_->FindShard("s2")->id);
}

// Its data is copied while nothing of it runs: held before, it stays so until it is released.
TEST_F(OperatorsTest, AssignLeavesAnOrderOfTheTenantAsItWas) {
  const auto order = [&] { return world_.gates()->tenant_gate("acme")->order().order; };
  EXPECT_THAT(Did(HoldSlice{Tenant("acme"), {}}), HasSubstr("ok: "));
  auto moved = Ask(AssignTenant{"acme", "s2", 10s});
  After(200ms);
  ASSERT_EQ(moved->count, 1);
  EXPECT_TRUE(moved->reply.ok) << moved->reply.message;
  EXPECT_THAT(moved->reply.message,
              HasSubstr("is on shard s2 and is held by an operator as before"));
  EXPECT_EQ(world_.topology_->FindTenant("acme").shard, world_.topology_->FindShard("s2")->id);
  EXPECT_EQ(order(), routing::GateOperator::kHold);
  // One that gives up leaves it as well, and may not open it while it waits.
  EXPECT_THAT(Did(RejectSlice{Tenant("acme"), 3s}), HasSubstr("ok: "));
  world_.busy_.running = 1;
  auto late = Ask(AssignTenant{"acme", "s1", 2s});
  After(1s);
  EXPECT_EQ(order(), routing::GateOperator::kReject);
  After(1100ms);
  ASSERT_EQ(late->count, 1);
  EXPECT_FALSE(late->reply.ok);
  EXPECT_EQ(order(), routing::GateOperator::kReject);
  After(1s);
  EXPECT_EQ(world_.gates()->tenant_gate("acme"), nullptr) << "until its own time is over";
  // An order for a while never ends between the last question and the flip.
  EXPECT_THAT(Did(HoldSlice{Tenant("acme"), 1s}), HasSubstr("ok: "));
  auto slow = Ask(AssignTenant{"acme", "s1", 10s});
  After(2s);
  EXPECT_EQ(order(), routing::GateOperator::kDrain);
  world_.busy_ = {};
  After(200ms);
  ASSERT_EQ(slow->count, 1);
  EXPECT_TRUE(slow->reply.ok) << slow->reply.message;
  EXPECT_EQ(world_.gates()->tenant_gate("acme"), nullptr);
  EXPECT_THAT(Did(ReleaseSlice{Tenant("acme")}), HasSubstr("is not held"));
}

TEST_F(OperatorsTest, AnotherPrimaryIsPublishedWhileTheShardIsHeld) {
  const routing::Epoch before = world_.topology_->FindShard("s1")->epoch;
  EXPECT_THAT(
      Did(AlterShard{.name = "s1", .primary = "db3", .replicas = {}, .hold = {}, .production = {}}),
      HasSubstr("nothing was done on the servers"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db3");
  EXPECT_GT(world_.topology_->FindShard("s1")->epoch, before);
  // s1 was held, s2 was not; and every worker had seen that before.
  EXPECT_THAT(world_.modes_when_published_,
              ::testing::ElementsAre(GateMode::kAsk, GateMode::kServing));
  EXPECT_EQ(world_.counted_, 1);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
}

TEST_F(OperatorsTest, ChangesComeOneAfterTheOther) {
  std::vector<std::string> done;
  uint16_t port = 3307;
  for (const char* name : {"a", "b", "c"}) {
    routing::BackendSpec spec;
    spec.name = name;
    spec.address = {.host = "127.0.0.9", .port = port++};
    operators_.Submit(CreateBackend{spec}, {},
                      {.progress = {}, .done = [&done, name](const OperatorReply& reply) {
                         done.push_back(name + std::string(reply.ok ? "+" : "-"));
                       }});
  }
  routing::BackendSpec twice;
  twice.name = "a";
  twice.address = {.host = "127.0.0.9", .port = 3306};
  auto again = Ask(CreateBackend{twice});
  EXPECT_THAT(done, ::testing::ElementsAre("a+", "b+", "c+"));
  EXPECT_FALSE(again->reply.ok);
  EXPECT_EQ(world_.published_, 3);
  EXPECT_NE(world_.topology_->FindBackend("c"), nullptr);
}

TEST_F(OperatorsTest, CreatesAndDrops) {
  EXPECT_THAT(Did(CreateShard{{.name = "s3", .primary = "db3"}}), HasSubstr("ok: "));
  EXPECT_THAT(Did(CreateShard{{.name = "s4", .primary = "nodb"}}), HasSubstr("nodb"));
  EXPECT_THAT(Did(CreateTenant{{.name = "new", .shard = "s3"}}), HasSubstr("ok: "));
  EXPECT_THAT(Did(DropShard{"s3"}), HasSubstr("9420: "));  // a tenant is there
  EXPECT_THAT(Did(DropBackend{"db3"}), HasSubstr("9420: "));
  EXPECT_THAT(Did(DropTenant{"new"}), HasSubstr("ok: "));
  EXPECT_THAT(Did(DropShard{"s3"}), HasSubstr("ok: "));
  EXPECT_THAT(Did(DropBackend{"db3"}), HasSubstr("ok: "));
  EXPECT_EQ(world_.topology_->FindBackend("db3"), nullptr);
}

TEST_F(OperatorsTest, ADrillGoesThroughAHangAndEndsByItself) {
  auto answer = Ask(DrillHang{"s1", 10s});
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
  After(3s);
  EXPECT_THAT(world_.gates()->gate(world_.topology_->FindShard("s1")->id)->notice().text,
              HasSubstr("is down (a drill)"));
  EXPECT_EQ(world_.ModeOf("s2"), GateMode::kServing);
  After(30s);
  ASSERT_EQ(answer->count, 1);
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_GE(answer->reply.rows.size(), 10u);
  EXPECT_EQ(answer->reply.columns.size(), answer->reply.rows[0].size());
  const std::vector<Incident> incidents = world_.incidents_.Newest(2);
  ASSERT_EQ(incidents.size(), 1u);
  std::vector<std::string> moments;
  for (const IncidentMoment& moment : incidents[0].timeline) moments.push_back(moment.what);
  EXPECT_THAT(moments, ::testing::ElementsAre("suspect", "down", "recovering", "up", "over"));
  EXPECT_THAT(incidents[0].timeline[1].words, HasSubstr("a drill, nothing is wrong"));
  EXPECT_EQ(incidents[0].shards, std::vector<std::string>{"s1"});
  EXPECT_THAT(answer->reply.message, HasSubstr("kept as incident 1"));
  EXPECT_THAT(Did(DrillHang{"s2", 10s}), HasSubstr("marked as production"));
}

TEST_F(OperatorsTest, ADrillEndsWhereTheBackendIsInTroubleItself) {
  auto answer = Ask(DrillHang{"s1", 60s});
  After(3s);
  Ask(MarkBackend{"db1", MarkBackend::As::kDown});
  After(1s);
  ASSERT_EQ(answer->count, 1);
  EXPECT_THAT(answer->reply.message, HasSubstr("trouble of its own"));
  EXPECT_EQ(world_.incidents_.Newest(1)[0].over_ms, 0) << "what is really seen of it ends it";
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
}

TEST_F(OperatorsTest, WhatCantBeStoredIsNotChanged) {
  world_.stored_ = absl::UnavailableError("the disk is full");
  EXPECT_THAT(
      Did(AlterShard{.name = "s1", .primary = "db3", .replicas = {}, .hold = {}, .production = {}}),
      HasSubstr("9420: nothing was changed, since it can't be stored: the disk is full"));
  EXPECT_EQ(world_.PrimaryOf("s1"), "db1");
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kServing);
  EXPECT_EQ(world_.published_, 0);
  // What protects is done all the same, and the operator is told.
  EXPECT_THAT(Did(HoldSlice{Shard("s1"), {}}), HasSubstr("9423: shard s1 is held"));
  EXPECT_EQ(world_.ModeOf("s1"), GateMode::kAsk);
}

TEST_F(OperatorsTest, OrdersOfAnEarlierProcessGoOn) {
  Ask(HoldSlice{Shard("s1"), {}});
  Ask(MarkBackend{"db2", MarkBackend::As::kDown});
  Ask(DrainBackend{"db3", 1s});
  After(200ms);
  StoredState state;
  for (const StoreEdit& edit : world_.edits_) {
    if (const auto* order = std::get_if<PutOrder>(&edit)) state.orders.push_back(order->order);
    if (const auto* mark = std::get_if<PutMark>(&edit)) state.marks[mark->backend] = mark->mark;
    if (const auto* put = std::get_if<PutBackendState>(&edit))
      state.backend_states[put->backend] = put->state;
  }
  FakeWorld next;
  Operators operators(&next);
  operators.Restore(state);
  EXPECT_EQ(next.ModeOf("s1"), GateMode::kAsk);
  EXPECT_EQ(next.ModeOf("s2"), GateMode::kAsk);
  EXPECT_EQ(operators.backend_order("db3"), Operators::BackendOrder::kDrained);
}

TEST_F(OperatorsTest, LimitsVariablesAndShutdown) {
  EXPECT_THAT(Did(LimitTenant{"acme", routing::TenantLimit{.running = 3}}), HasSubstr("ok: "));
  EXPECT_EQ(world_.limits_.LimitOf("acme").running, 3u);
  Ask(LimitTenant{"acme", {}});
  EXPECT_EQ(world_.limits_.LimitOf("acme").running, 0u);
  Ask(Shutdown{});
  EXPECT_TRUE(world_.shut_down_);
}

TEST_F(OperatorsTest, VariablesAreStoredOnceTheyAreInForce) {
  world_.configured_ = {.message = "hold.max_wait is 5s"};
  EXPECT_EQ(Did(SetVariable{"hold.max_wait", "5s"}), "ok: hold.max_wait is 5s");
  ASSERT_EQ(world_.requests_.size(), 1u);
  EXPECT_EQ(world_.requests_[0].value, "5s");
  ASSERT_FALSE(world_.edits_.empty());
  EXPECT_EQ(std::get<PutVariable>(world_.edits_.back()).value, "5s");
  // DEFAULT takes it back.
  Ask(SetVariable{"hold.max_wait", "DEFAULT"});
  EXPECT_EQ(world_.requests_[1].value, std::nullopt);
  EXPECT_EQ(std::get<PutVariable>(world_.edits_.back()).value, "");
  // What is refused is not stored.
  const size_t stored = world_.edits_.size();
  world_.configured_ = {.status = absl::InvalidArgumentError("no duration")};
  EXPECT_THAT(Did(SetVariable{"hold.max_wait", "soon"}), HasSubstr("9422: no duration"));
  world_.configured_ = {.status = absl::NotFoundError("there is none")};
  EXPECT_THAT(Did(SetVariable{"nothing", "1"}), HasSubstr("9421: "));
  EXPECT_EQ(world_.edits_.size(), stored);
}

TEST_F(OperatorsTest, AReloadTellsWhatIsWrongWithTheFile) {
  world_.configured_ = {.message = "reloaded"};
  EXPECT_EQ(Did(ReloadConfig{}), "ok: reloaded");
  world_.configured_ = {.status = absl::InvalidArgumentError("nothing is changed: x.yaml:3:1"),
                        .notes = {"x.yaml:3:1: error", "x.yaml:9:1: error"}};
  const auto answer = Ask(ReloadConfig{});
  EXPECT_FALSE(answer->reply.ok);
  EXPECT_EQ(answer->reply.notes.size(), 2u);
}

}  // namespace
}  // namespace bulkhead::control
