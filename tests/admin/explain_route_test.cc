// EXPLAIN ROUTE says what a session would do, for each state of a gate.

#include "proxy/admin/explain_route.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/admin/admin_session_support.h"

namespace bulkhead::admin {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() {
    auto options = std::make_shared<config::Options>();
    options->topology = source_.state.topology;
    options->tenancy.database_pattern = *routing::NamePattern::Compile("tenant_{tenant}", "");
    options_ = options;
    state_ = source_.state;
    state_.limits = &limits_;
  }

  // Lines "step: result (why)".
  std::vector<std::string> Lines(const std::string& tenant,
                                 const std::optional<std::string>& statement = std::nullopt) {
    ResultTable table;
    Explain({tenant, statement}, state_, *options_, &table);
    std::vector<std::string> lines;
    for (size_t row = 0; row < table.rows(); ++row) {
      lines.push_back(std::string(*table.Cell(row, 0)) + ": " + std::string(*table.Cell(row, 1)) +
                      " (" + std::string(*table.Cell(row, 2)) + ")");
    }
    return lines;
  }
  std::string Answer(const std::string& tenant,
                     const std::optional<std::string>& statement = std::nullopt) {
    return Lines(tenant, statement).back();
  }

  FakeSource source_;
  std::shared_ptr<config::Options> options_;
  routing::TenantLimits limits_;
  LiveState state_;
};

TEST_F(ExplainTest, GoesStepByStep) {
  const auto lines = Lines("acme", "SELECT * FROM tenant_acme.t");
  EXPECT_THAT(lines, Contains(StartsWith("statement: select (only reads, a replica would do")));
  EXPECT_THAT(lines, Contains("tenant: acme (as EXPLAIN ROUTE names it)"));
  EXPECT_THAT(lines, Contains(StartsWith("directory: shard s1 (it has an entry of its own")));
  EXPECT_THAT(lines, Contains(StartsWith("schema: tenant_acme ")));
  EXPECT_THAT(lines, Contains("backend: db1 (127.0.0.1:3306): up ()"));
  EXPECT_EQ(lines.back(), "answer: sent to backend db1 ()");
}

TEST_F(ExplainTest, RefusesAsASessionWould) {
  EXPECT_THAT(Answer("nobody"), StartsWith("answer: refused: 1049 ("));
  EXPECT_THAT(Answer("acme", "SELECT 1 /* tenant=nobody */"), StartsWith("answer: refused: 1049"));
  routing::TopologyBuilder builder(*state_.topology);
  ASSERT_TRUE(builder.AddTenant({.name = "globex", .shard = "s1"}).ok());
  state_.topology = *builder.Build();
  EXPECT_THAT(Answer("acme", "DELETE FROM tenant_globex.t"), StartsWith("answer: refused: 9406"));
  EXPECT_THAT(Lines("acme", "SELECT 1 FROM t /* tenant=globex */"),
              Contains("tenant: globex (a comment on the statement names it)"));
}

TEST_F(ExplainTest, KnowsOrdersPoliciesAndReplicas) {
  ShardRow& shard = state_.shards[0];
  shard.state = "held";
  shard.ordered = true;
  shard.why = "shard s1 is held by an operator";
  options_->hold.policy = routing::HoldPolicy::kReject;
  EXPECT_EQ(Answer("acme"), "answer: held, up to 10s (shard s1 is held by an operator)")
      << "an order is an order, whatever the policy is";
  shard.ordered = false;
  shard.policy_applies = true;
  EXPECT_EQ(Answer("acme"), "answer: refused: 9401 (the policy is reject)");
  options_->hold.policy = routing::HoldPolicy::kReplica;
  shard.reads_from = "db2";
  EXPECT_THAT(Answer("acme", "SELECT 1 FROM t"), StartsWith("answer: sent to backend db2"));
  EXPECT_EQ(Answer("acme", "INSERT INTO t VALUES (1)"),
            "answer: held, up to 10s (the policy is replica)");
  shard.outage_over_limit = true;
  EXPECT_THAT(Answer("acme", "INSERT INTO t VALUES (1)"), HasSubstr("older than outage_limit"));
  shard.state = "writes held";
  EXPECT_THAT(Answer("acme", "SELECT 1 FROM t"), StartsWith("answer: sent to backend db1"));
  HoldRow tenant;
  tenant.tenant = "acme";
  tenant.state = "rejected";
  tenant.why = "tenant acme is closed by an operator";
  state_.holds = {tenant};
  EXPECT_EQ(Answer("acme", "SELECT 1"),
            "answer: refused: 9401 (tenant acme is closed by an operator)");
}

TEST_F(ExplainTest, TellsLimits) {
  limits_.SetTenant("acme", routing::TenantLimit{.running = 3});
  EXPECT_THAT(Lines("acme"), Contains(StartsWith("limits: running 0 of 3 ")));
}

TEST_F(ExplainTest, SaysSoWhenControlIsSilent) {
  state_.shards.clear();
  EXPECT_THAT(Answer("acme"), StartsWith("answer: not known"));
}

}  // namespace
}  // namespace bulkhead::admin
