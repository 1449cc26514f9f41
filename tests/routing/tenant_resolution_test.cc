#include "routing/tenant_resolution.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "routing/route_decision.h"

namespace bulkhead::routing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::shared_ptr<const Topology> Sample(const Unassigned& unassigned = UnassignedReject{}) {
  TopologyBuilder b;
  EXPECT_TRUE(b.AddBackend({.name = "db1", .address = ParseAddress("h:1").value()}).ok());
  EXPECT_TRUE(b.AddShard({.name = "s1", .primary = "db1"}).ok());
  for (const char* name : {"acme", "globex", "hint", "variable", "attribute", "user", "database"}) {
    EXPECT_TRUE(b.AddTenant({.name = name, .shard = "s1"}).ok());
  }
  EXPECT_TRUE(b.AddTenant({.name = "big", .shard = "s1", .physical_database = "BigData"}).ok());
  EXPECT_TRUE(b.SpreadSlots().ok());
  EXPECT_TRUE(b.SetUnassigned(unassigned).ok());
  return b.Build().value();
}

TenantRules Rules() {
  TenantRules rules;
  rules.username_pattern = NamePattern::Compile("{user}@{tenant}", "user").value();
  rules.database_pattern = NamePattern::Compile("tenant_{tenant}", "").value();
  return rules;
}

TEST(NamePattern, SplitsAndFormats) {
  const auto p = NamePattern::Compile("{user}@{tenant}", "user").value();
  ASSERT_TRUE(p.Parse("app@acme"));
  EXPECT_EQ(p.Parse("app@acme")->tenant, "acme");
  EXPECT_EQ(p.Parse("app@acme")->other, "app");
  EXPECT_EQ(p.Parse("a@b@c")->other, "a@b");  // the left one takes as much as it can
  EXPECT_EQ(p.Parse("a@@b")->other, "a@");
  for (const char* no : {"", "@", "app", "app@", "@acme"}) EXPECT_FALSE(p.Parse(no)) << no;
  EXPECT_EQ(p.Format("acme", "app"), "app@acme");

  const auto reversed = NamePattern::Compile("x{tenant}--{user}y", "user").value();
  EXPECT_EQ(reversed.Parse("xacme--appy")->tenant, "acme");
  EXPECT_EQ(reversed.Parse("xacme--appy")->other, "app");
  EXPECT_FALSE(reversed.Parse("xacme--app"));
  EXPECT_FALSE(reversed.Parse("x--y"));
  EXPECT_EQ(reversed.Format("acme", "app"), "xacme--appy");

  const auto one = NamePattern::Compile("tenant_{tenant}", "").value();
  EXPECT_EQ(one.Parse("tenant_acme")->tenant, "acme");
  EXPECT_FALSE(one.Parse("tenant_"));
  EXPECT_FALSE(one.Parse("TENANT_acme"));
  EXPECT_EQ(one.Parse("TENANT_acme", true)->tenant, "acme");
  EXPECT_EQ(NamePattern::Compile("{{{tenant}}}", "").value().Format("a"), "{a}");
  EXPECT_EQ(NamePattern::Compile("{tenant}", "").value().Parse("x")->tenant, "x");
}

TEST(NamePattern, SaysWhatIsWrong) {
  const auto error = [](std::string_view text, std::string_view other) {
    return std::string(NamePattern::Compile(text, other).status().message());
  };
  EXPECT_EQ(error("{user}", "user"), "pattern \"{user}\" has no {tenant}");
  EXPECT_EQ(error("", ""), "pattern \"\" has no {tenant}");
  EXPECT_EQ(error("{tenant}{user}", "user"),
            "pattern \"{tenant}{user}\" needs something between its two placeholders to tell them "
            "apart");
  EXPECT_EQ(error("{tenant}_{tenant}", ""), "pattern \"{tenant}_{tenant}\" has {tenant} twice");
  EXPECT_EQ(error("{tenat}", "user"),
            "pattern \"{tenat}\" has {tenat}, known here: {tenant} and {user}");
  EXPECT_EQ(error("{user}.{tenant}", ""),
            "pattern \"{user}.{tenant}\" has {user}, known here: {tenant}");
  EXPECT_THAT(error("{tenant", ""), HasSubstr("has a { without its }"));
  EXPECT_THAT(error("tenant}", ""), HasSubstr("has a } without its {"));
}

TEST(ResolveTenant, TheFirstGivenSourceWins) {
  const auto t = Sample();
  TenantInputs inputs{.hint = "hint",
                      .variable = "variable",
                      .attribute = "attribute",
                      .user_name = "user",
                      .database = "tenant_database"};
  const auto check = [&](std::string_view tenant, TenantSource source) {
    const TenantResult r = ResolveTenant(Rules(), *t, {}, inputs);
    EXPECT_TRUE(r.found());
    EXPECT_EQ(r.tenant, tenant);
    EXPECT_EQ(r.source, source);
    EXPECT_TRUE(r.where.found());
  };
  check("hint", TenantSource::kHint);
  inputs.hint = "";
  check("variable", TenantSource::kVariable);
  inputs.variable = "";
  check("attribute", TenantSource::kAttribute);
  inputs.attribute = "";
  check("user", TenantSource::kUserName);
  inputs.user_name = "";
  check("database", TenantSource::kDatabase);
  inputs.database = "shop";  // not by the pattern
  const TenantResult none = ResolveTenant(Rules(), *t, {}, inputs);
  EXPECT_EQ(none.status, TenantStatus::kNone);
  EXPECT_EQ(none.code, 1049);
  EXPECT_EQ(SqlStateOf(none.code), "42000");
  EXPECT_EQ(
      none.reason,
      "[bulkhead 1049] no tenant given; ways to give one: a comment /* tenant=NAME */ before "
      "the statement, SET @tenant = 'NAME', the connection attribute tenant=NAME, a user name "
      "like USER@NAME, a database like tenant_NAME; executed=no");
  EXPECT_THAT(ResolveTenant({}, *t, {}, inputs).reason, Not(HasSubstr("a user name like")));
}

TEST(ResolveTenant, UnknownAndForbidden) {
  const auto t = Sample();
  TenantResult r = ResolveTenant(Rules(), *t, {}, {.variable = "initech"});
  EXPECT_EQ(r.status, TenantStatus::kUnknown);
  EXPECT_EQ(r.code, 1049);
  EXPECT_EQ(r.reason, "[bulkhead 1049] unknown tenant 'initech' (from the variable); executed=no");
  // A name from a client never spoils a log line or a message.
  r = ResolveTenant(Rules(), *t, {}, {.variable = "x'; drop\n"});
  EXPECT_EQ(r.reason,
            "[bulkhead 1049] unknown tenant (not a valid name) (from the variable); executed=no");

  const std::vector<std::string> allowed{"acme", "nobody"};
  EXPECT_TRUE(ResolveTenant(Rules(), *t, allowed, {.hint = "acme"}).found());
  r = ResolveTenant(Rules(), *t, allowed, {.hint = "globex"});
  EXPECT_EQ(r.status, TenantStatus::kForbidden);
  EXPECT_EQ(r.code, 1044);
  EXPECT_EQ(SqlStateOf(1044), "42000");
  EXPECT_EQ(r.reason, "[bulkhead 1044] this user may not use tenant 'globex'; executed=no");
  // The same answer whether the tenant exists or not.
  EXPECT_EQ(ResolveTenant(Rules(), *t, allowed, {.hint = "initech"}).code, 1044);
  EXPECT_EQ(ResolveTenant(Rules(), *t, allowed, {.hint = "nobody"}).code, 1049);
}

TEST(ResolveTenant, SystemSchemasAreNoTenants) {
  TenantRules rules;
  rules.database_pattern = NamePattern::Compile("{tenant}", "").value();
  const auto t = Sample(UnassignedShard{"s1"});
  for (const char* name : {"mysql", "sys", "INFORMATION_SCHEMA", "performance_schema"}) {
    EXPECT_EQ(ResolveTenant(rules, *t, {}, {.database = name}).status, TenantStatus::kNone) << name;
  }
  EXPECT_TRUE(ResolveTenant(rules, *t, {}, {.database = "anything"}).found());
}

TEST(SplitLoginName, ByPattern) {
  EXPECT_EQ(SplitLoginName(Rules(), "app@acme").user, "app");
  EXPECT_EQ(SplitLoginName(Rules(), "app@acme").tenant, "acme");
  EXPECT_EQ(SplitLoginName(Rules(), "app").user, "app");
  EXPECT_EQ(SplitLoginName(Rules(), "app").tenant, "");
  EXPECT_EQ(SplitLoginName({}, "app@acme").user, "app@acme");
}

TEST(CheckTenantChange, NotInsideATransaction) {
  EXPECT_TRUE(CheckTenantChange("acme", "globex", false).found());
  EXPECT_TRUE(CheckTenantChange("acme", "acme", true).found());
  EXPECT_TRUE(CheckTenantChange("", "acme", true).found());
  const TenantResult r = CheckTenantChange("acme", "globex", true);
  EXPECT_EQ(r.status, TenantStatus::kRefused);
  EXPECT_EQ(r.code, 9406);
  EXPECT_EQ(SqlStateOf(9406), "HY000");
  EXPECT_EQ(r.reason,
            "[bulkhead 9406] the tenant can't change from 'acme' to 'globex' inside a transaction; "
            "executed=no");
  EXPECT_EQ(CheckTenantChange("acme", "", true).code, 9406);
  EXPECT_EQ(RefuseTenantExpression().code, 9406);
}

TEST(PhysicalDatabase, OneSchemaPerTenant) {
  const auto t = Sample();
  TenantRules rules;
  rules.physical_database = NamePattern::Compile("t_{tenant}", "database").value();
  const LookupResult acme = t->FindTenant("acme");
  EXPECT_EQ(PhysicalDatabase(rules, "acme", acme, "app").name, "t_acme");
  EXPECT_TRUE(PhysicalDatabase(rules, "acme", acme, "app").mapped);
  EXPECT_FALSE(PhysicalDatabase(rules, "acme", acme, "t_acme").mapped);
  EXPECT_FALSE(PhysicalDatabase(rules, "acme", acme, "mysql").mapped);
  EXPECT_FALSE(PhysicalDatabase(rules, "", {}, "app").mapped);
  EXPECT_EQ(LogicalDatabase(rules, "acme", acme, "t_acme", "app"), "app");
  EXPECT_EQ(LogicalDatabase(rules, "acme", acme, "other", "app"), "other");
  const LookupResult big = t->FindTenant("big");
  EXPECT_EQ(PhysicalDatabase(rules, "big", big, "app").name, "BigData");
  EXPECT_EQ(LogicalDatabase(rules, "big", big, "BigData", "app"), "app");
  rules.logical_database = "app";
  EXPECT_EQ(PhysicalDatabase(rules, "acme", acme, "app").name, "t_acme");
  EXPECT_EQ(PhysicalDatabase(rules, "acme", acme, "shared").name, "shared");
  EXPECT_FALSE(PhysicalDatabase({}, "acme", acme, "app").mapped);
}

TEST(PhysicalDatabase, SeveralSchemasPerTenant) {
  const auto t = Sample();
  TenantRules rules;
  rules.physical_database = NamePattern::Compile("{tenant}_{database}", "database").value();
  const LookupResult acme = t->FindTenant("acme");
  EXPECT_EQ(PhysicalDatabase(rules, "acme", acme, "crm").name, "acme_crm");
  EXPECT_EQ(PhysicalDatabase(rules, "acme", acme, "acme_crm").name, "acme_crm");
  EXPECT_EQ(LogicalDatabase(rules, "acme", acme, "acme_crm", ""), "crm");
  EXPECT_EQ(LogicalDatabase(rules, "acme", acme, "globex_crm", ""), "globex_crm");
}

TEST(CheckSchema, AnotherTenantsSchemaIsRefused) {
  const auto t = Sample();
  TenantRules rules = Rules();
  rules.physical_database = NamePattern::Compile("t_{tenant}", "database").value();
  const LookupResult acme = t->FindTenant("acme");
  const auto code = [&](std::string_view schema) {
    return CheckSchema(rules, *t, "acme", acme, schema).code;
  };
  for (const char* fine :
       {"", "tenant_acme", "t_acme", "shared", "tenant_initech", "mysql", "T_ACME", "tenant_"}) {
    EXPECT_EQ(code(fine), 0) << fine;
  }
  for (const char* refused :
       {"tenant_globex", "t_globex", "T_GLOBEX", "Tenant_Globex", "BigData", "t_big"}) {
    EXPECT_EQ(code(refused), 9406) << refused;
  }
  EXPECT_EQ(
      CheckSchema(rules, *t, "acme", acme, "t_globex").reason,
      "[bulkhead 9406] the statement names another tenant's schema; tenant acme; executed=no");
  EXPECT_TRUE(CheckSchema(rules, *t, "big", t->FindTenant("big"), "BigData").found());
}

TEST(CheckSchema, WithSlotsEveryNameIsATenant) {
  const auto t = Sample(UnassignedSlots{});
  const LookupResult acme = t->FindTenant("acme");
  EXPECT_EQ(CheckSchema(Rules(), *t, "acme", acme, "tenant_initech").code, 9406);
  EXPECT_EQ(CheckSchema(Rules(), *t, "acme", acme, "tenant_acme").code, 0);
  EXPECT_EQ(CheckSchema(Rules(), *t, "acme", acme, "shared").code, 0);
}

TEST(DecideRoute, RouteLocalReject) {
  const auto t = Sample();
  const TenantResult acme = ResolveTenant(Rules(), *t, {}, {.hint = "acme"});
  RouteDecision d = DecideRoute(*t, acme, {});
  EXPECT_EQ(d.action, RouteAction::kRoute);
  EXPECT_EQ(d.backend, t->FindBackend("db1")->id);
  EXPECT_EQ(d.shard, t->FindShard("s1")->id);
  EXPECT_EQ(d.epoch, Epoch{1});

  const TenantResult none = ResolveTenant(Rules(), *t, {}, {});
  EXPECT_EQ(DecideRoute(*t, none, {.need = TenantNeed::kNone}).action, RouteAction::kLocal);
  d = DecideRoute(*t, none, {.need = TenantNeed::kNeeded});
  EXPECT_EQ(d.action, RouteAction::kReject);
  EXPECT_EQ(d.code, 1049);
  // A wrong tenant is wrong even where none is needed.
  const TenantResult unknown = ResolveTenant(Rules(), *t, {}, {.hint = "x"});
  EXPECT_EQ(DecideRoute(*t, unknown, {.need = TenantNeed::kNone}).code, 1049);
}

TEST(DecideRoute, ObeysTheGate) {
  const auto t = Sample();
  const TenantResult acme = ResolveTenant(Rules(), *t, {}, {.hint = "acme"});
  EXPECT_EQ(DecideRoute(*t, acme, {.gate = GateState::kHolding}).action, RouteAction::kHold);
  EXPECT_EQ(DecideRoute(*t, acme, {.gate = GateState::kDraining}).action, RouteAction::kHold);
  RouteDecision d = DecideRoute(*t, acme, {.gate = GateState::kRejecting});
  EXPECT_EQ(d.action, RouteAction::kReject);
  EXPECT_EQ(d.code, 9401);
  EXPECT_EQ(d.reason, "[bulkhead 9401] shard s1 is unavailable; tenant acme; executed=no");
  d = DecideRoute(*t, acme, {.gate = GateState::kRejecting, .gate_reason = "shard s1 is down"});
  EXPECT_EQ(d.reason, "[bulkhead 9401] shard s1 is down; tenant acme; executed=no");
}

TEST(DecideRoute, AResolutionOfAnotherSnapshotIsNoRoute) {
  const auto t = Sample();
  const TenantResult acme = ResolveTenant(Rules(), *t, {}, {.hint = "acme"});
  TopologyBuilder empty;
  EXPECT_EQ(DecideRoute(*empty.Build().value(), acme, {}).code, 9401);
}

}  // namespace
}  // namespace bulkhead::routing
