// The preflight against servers that are almost as they should be.
#include "proxy/control/change_checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/control/change_saved.h"
#include "tests/control/scripted_session.h"

namespace bulkhead::control {
namespace {

using routing::StepReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

ServerFacts Server(bool mariadb, const char* id) {
  ServerFacts facts;
  facts.answered = true;
  facts.version = ParseServerVersion(mariadb ? "10.11.19-MariaDB" : "9.7.4");
  facts.variables = {{"server_id", id},
                     {"log_bin", "ON"},
                     {"log_slave_updates", "ON"},
                     {"read_only", "OFF"},
                     {"gtid_mode", "ON"},
                     {"enforce_gtid_consistency", "ON"},
                     {"gtid_executed", "a39f169e-ec1b-11f1-a414-02fc00000001:1-9"},
                     {"gtid_binlog_pos", "0-1-9"},
                     {"gtid_binlog_state", "0-1-9"},
                     {"event_scheduler", "OFF"},
                     {"basedir", "/usr/"}};
  facts.privileges = {"ALL PRIVILEGES"};
  return facts;
}

ChangeScene Scene(bool mariadb) {
  ChangeScene scene;
  scene.plan.shard = "s1";
  scene.plan.old_primary = "db1";
  scene.plan.candidate = "db2";
  scene.plan.timeout = 10s;
  scene.shards = {"s1"};
  scene.has_replication_account = true;
  scene.max_wait = 60s;
  scene.old_primary = {"db1", {.host = "h1", .port = 3306}, Server(mariadb, "1")};
  scene.candidate = {"db2", {.host = "h2", .port = 3306}, Server(mariadb, "2")};
  scene.candidate.facts.variables["read_only"] = "ON";
  ReplicaStatus source;
  source.source_host = "h1";
  source.source_port = 3306;
  source.source_server_id = "1";
  source.receives = source.receiver_runs = source.applies = source.by_gtid = true;
  source.received = mariadb ? "0-1-9" : "a39f169e-ec1b-11f1-a414-02fc00000001:5-9";
  source.seconds_behind = 0;
  scene.candidate.facts.sources = {source};
  return scene;
}

class ChangeChecks : public ::testing::TestWithParam<bool> {
 protected:
  ChangeScene scene = Scene(GetParam());
  std::vector<std::string> Reasons() { return JudgeSwitchover(scene).reasons; }
  ReplicaStatus& source() { return scene.candidate.facts.sources.front(); }
  std::string& OldVariable(const char* name) { return scene.old_primary.facts.variables[name]; }
  std::string& NewVariable(const char* name) { return scene.candidate.facts.variables[name]; }
};
INSTANTIATE_TEST_SUITE_P(Families, ChangeChecks, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "mariadb" : "mysql"; });

TEST_P(ChangeChecks, NothingStandsAgainstAHealthyPair) {
  const StepReport report = JudgeSwitchover(scene);
  EXPECT_THAT(report.reasons, IsEmpty());
  EXPECT_GT(report.rows.size(), 20u);
  EXPECT_TRUE(DecodeSaved(report.saved).has_value());
  EXPECT_FALSE(report.semi_sync);
}

TEST_P(ChangeChecks, EveryReasonAtOnce) {
  OldVariable("log_bin") = "OFF";
  source().filters = {"Replicate_Do_DB = shop"};
  source().delay = 3600;
  scene.old_primary.facts.prepared = {"x"};
  scene.other_routers = {"router abc"};
  scene.has_replication_account = false;
  const std::vector<std::string> reasons = Reasons();
  EXPECT_THAT(reasons, SizeIs(6));
  EXPECT_THAT(reasons, Contains(HasSubstr("db1: log_bin is OFF")));
  EXPECT_THAT(reasons, Contains(HasSubstr("db2: leaves things out: Replicate_Do_DB = shop")));
  EXPECT_THAT(reasons, Contains(HasSubstr("db2: is kept 3600 s behind")));
  EXPECT_THAT(reasons, Contains(HasSubstr("db1: has 1 prepared XA")));
  EXPECT_THAT(reasons, Contains(HasSubstr("router abc")));
  EXPECT_THAT(reasons, Contains(HasSubstr("replication account")));
}

TEST_P(ChangeChecks, OfReplication) {
  source().receives = false;
  source().error = "could not connect";
  EXPECT_THAT(Reasons(), ElementsAre("db2: does not receive: could not connect"));
  source() = Scene(GetParam()).candidate.facts.sources.front();
  source().by_gtid = false;
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("not by GTID")));
  source().by_gtid = true;
  source().seconds_behind = 11;
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("is 11 s behind, which is more than TIMEOUT")));
  source().seconds_behind = 3;
  EXPECT_THAT(JudgeSwitchover(scene).notes, ElementsAre(HasSubstr("3 s behind, and is waited")));
  source().source_server_id = "77";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("db2: replicates from h1:3306, not from db1")));
  scene.candidate.facts.sources.clear();
  EXPECT_THAT(Reasons(), ElementsAre("db2: is no replica of db1"));
}

TEST_P(ChangeChecks, OfFiltersOfBinaryLogs) {
  scene.old_primary.facts.log_filters = {"Binlog_Do_DB = shop"};
  scene.candidate.facts.log_filters = {"Binlog_Ignore_DB = tmp"};
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("db1: its binary log leaves things out (Binlog_Do"),
                                     HasSubstr("db2: its binary log leaves things out (Binlog_I")));
}

TEST_P(ChangeChecks, OfRoles) {
  OldVariable("read_only") = "ON";
  NewVariable("read_only") = "OFF";
  NewVariable("server_id") = "1";
  const std::vector<std::string> reasons = Reasons();
  EXPECT_THAT(reasons, Contains(HasSubstr("db1: is read_only")));
  EXPECT_THAT(reasons, Contains(HasSubstr("db2: is writable")));
  EXPECT_THAT(reasons, Contains(HasSubstr("same server_id")));
}

TEST_P(ChangeChecks, OfTransactionsThatOnlyTheCandidateHas) {
  NewVariable("gtid_executed") += ",ec4b7e1c-ec1c-11f1-ad81-02fc00000001:1";
  NewVariable("gtid_binlog_state") += ",0-2-10";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("db2: has transactions that db1 lacks: ")));
  // What it has once had as a primary, and others have too, is fine.
  OldVariable("gtid_executed") = NewVariable("gtid_executed");
  OldVariable("gtid_binlog_state") = "0-2-10,0-1-12";
  EXPECT_THAT(Reasons(), IsEmpty());
}

TEST_P(ChangeChecks, OfLongTransactions) {
  scene.old_primary.facts.transactions = {
      {.connection = 7, .seconds = 60, .wrote = true, .user = "app"},
      {.connection = 8, .seconds = 60, .wrote = false, .user = "dump"},
      {.connection = 9, .seconds = 3, .wrote = true, .user = "app"}};
  const StepReport report = JudgeSwitchover(scene);
  EXPECT_THAT(report.reasons, ElementsAre(HasSubstr("connection 7 (user app, 60 s)")));
  EXPECT_THAT(report.notes, Contains(HasSubstr("connection 8")));
  scene.plan.timeout = 100s;
  EXPECT_THAT(JudgeSwitchover(scene).reasons, IsEmpty());
  EXPECT_THAT(JudgeSwitchover(scene).notes, Contains(HasSubstr("hold.max_wait (60 s)")));
}

TEST_P(ChangeChecks, OfServersWhereItCant) {
  NewVariable("basedir") = "/rdsdbbin/mysql-8.0.36/";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("Amazon RDS: ALTER SHARD ... PRIMARY follows")));
  NewVariable("aurora_version") = "3.05.2";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("Aurora")));
  scene = Scene(GetParam());
  OldVariable("wsrep_on") = "ON";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("db1: it is a node of a Galera cluster")));
  scene = Scene(GetParam());
  OldVariable("group_replication_group_name") = "aaaa";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("Group Replication")));
  scene = Scene(GetParam());
  scene.candidate.facts.version = ParseServerVersion("8.0.31-google");
  scene.old_primary.facts.version = scene.candidate.facts.version;
  EXPECT_THAT(Reasons(), Contains(HasSubstr("Google Cloud SQL")));
  scene.candidate.facts.version = ParseServerVersion("8.0.25");
  scene.old_primary.facts.version = scene.candidate.facts.version;
  EXPECT_THAT(Reasons(), Contains(HasSubstr("db2: it is MySQL 8.0.25, and this needs 8.0.26")));
}

TEST_P(ChangeChecks, OfServersThatCantBeAsked) {
  scene.candidate.facts = {};
  scene.candidate.facts.why = "connection refused";
  EXPECT_THAT(Reasons(), ElementsAre("db2: can't be asked: connection refused"));
  // Another replica that is away stays behind, and is no reason.
  scene = Scene(GetParam());
  scene.others = {{"db3", {.host = "h3", .port = 3306}, {}}};
  scene.others[0].facts.why = "connection refused";
  const StepReport report = JudgeSwitchover(scene);
  EXPECT_THAT(report.reasons, IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("db3: can't be asked (connection refused)")));
}

TEST_P(ChangeChecks, OfPrivileges) {
  ServerFacts& facts = scene.candidate.facts;
  facts.privileges.clear();
  ParseGrant(
      "GRANT SELECT, PROCESS, CONNECTION ADMIN, CONNECTION_ADMIN ON *.* TO `c`@`%` IDENTIFIED BY "
      "PASSWORD '*AB'",
      &facts);
  ParseGrant("GRANT SELECT, INSERT, CREATE ON `bulkhead`.* TO `c`@`%`", &facts);
  const std::vector<std::string> reasons = Reasons();
  ASSERT_THAT(reasons, SizeIs(1));
  EXPECT_THAT(reasons[0], HasSubstr("db2: the control account lacks"));
  EXPECT_THAT(reasons[0], HasSubstr(GetParam() ? "READ_ONLY ADMIN" : "SYSTEM_VARIABLES_ADMIN"));
  EXPECT_THAT(reasons[0], HasSubstr("UPDATE on bulkhead.*"));
  EXPECT_THAT(reasons[0], ::testing::Not(HasSubstr("PROCESS")));
  ParseGrant("GRANT `operator`@`%` TO `c`@`%`", &facts);
  EXPECT_THAT(JudgeSwitchover(scene).notes, Contains(HasSubstr("it has roles")));
  facts.refused = {"its replication: Access denied; you need SLAVE MONITOR"};
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("SLAVE MONITOR")));
}

TEST_P(ChangeChecks, SemiSyncIsKept) {
  const std::string prefix = GetParam() ? "rpl_semi_sync_master_" : "rpl_semi_sync_source_";
  OldVariable((prefix + "enabled").c_str()) = "ON";
  OldVariable((prefix + "timeout").c_str()) = "2592000000";
  OldVariable((prefix + "wait_point").c_str()) = "AFTER_SYNC";
  EXPECT_THAT(Reasons(), ElementsAre(HasSubstr("has no plugin for it, and db1 uses it")));
  NewVariable((prefix + "enabled").c_str()) = "OFF";
  const StepReport report = JudgeSwitchover(scene);
  EXPECT_TRUE(report.semi_sync);
  const std::optional<SavedForChange> saved = DecodeSaved(report.saved);
  ASSERT_TRUE(saved.has_value());
  EXPECT_EQ(saved->semi_sync.at(prefix + "wait_point"), "AFTER_SYNC");
  EXPECT_EQ(saved->semi_sync_old_words, GetParam());
}

class FailoverChecks : public ChangeChecks {
 protected:
  FailoverChecks() {
    scene.plan.kind = routing::ChangeKind::kFailover;
    scene.old_primary.facts = {};
    scene.old_state = "down";
  }
};
INSTANTIATE_TEST_SUITE_P(Families, FailoverChecks, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "mariadb" : "mysql"; });

TEST_P(FailoverChecks, ADeadPrimaryWithAHealthyReplica) {
  const StepReport report = JudgeFailover(scene);
  EXPECT_THAT(report.reasons, IsEmpty());
  EXPECT_THAT(report.lost, IsEmpty());
  EXPECT_FALSE(report.semi_sync_fence);
  EXPECT_FALSE(report.lossless);
}

TEST_P(FailoverChecks, NotWhereItAnswersOrIsHeard) {
  scene.old_state = "up";
  scene.old_answers = true;
  scene.lives_elsewhere = true;
  EXPECT_THAT(JudgeFailover(scene).reasons,
              ElementsAre(HasSubstr("db1: is up: SWITCHOVER loses nothing"),
                          HasSubstr("db1: is still heard by others")));
  scene.old_answers = false;
  scene.plan.fence_configured = true;
  EXPECT_THAT(JudgeFailover(scene).reasons, IsEmpty());
}

TEST_P(FailoverChecks, WhatOthersHaveReceivedWouldBeLost) {
  scene.others = {scene.candidate};
  scene.others[0].name = "db3";
  EXPECT_THAT(JudgeFailover(scene).lost, IsEmpty());
  scene.others[0].facts.sources[0].received =
      GetParam() ? "0-1-12" : "a39f169e-ec1b-11f1-a414-02fc00000001:5-12";
  EXPECT_THAT(
      JudgeFailover(scene).lost,
      ElementsAre(HasSubstr(GetParam() ? "db3 has 0-1-12 (domain 0 is at 9)"
                                       : "db3 has a39f169e-ec1b-11f1-a414-02fc00000001:10-12")));
  // The other way round nothing is lost.
  std::swap(scene.others[0].facts, scene.candidate.facts);
  EXPECT_THAT(JudgeFailover(scene).lost, IsEmpty());
  scene.last_position = GetParam() ? "0-1-20" : "a39f169e-ec1b-11f1-a414-02fc00000001:1-20";
  EXPECT_THAT(JudgeFailover(scene).lost, ElementsAre(HasSubstr("db1 was seen with ")));
}

TEST_P(FailoverChecks, SemiSyncCountsOnlyWithoutALimitAndWithAllWhoAcknowledge) {
  const std::string enabled =
      GetParam() ? "rpl_semi_sync_slave_enabled" : "rpl_semi_sync_replica_enabled";
  NewVariable(enabled.c_str()) = "ON";
  scene.semi_sync = {.known = true,
                     .waits = true,
                     .for_ever = true,
                     .wait_no_replica = true,
                     .acknowledgers = 1,
                     .wait_count = 1};
  EXPECT_TRUE(JudgeFailover(scene).semi_sync_fence);
  EXPECT_TRUE(JudgeFailover(scene).lossless);
  for (bool SemiSyncSeen::*member : {&SemiSyncSeen::known, &SemiSyncSeen::waits,
                                     &SemiSyncSeen::for_ever, &SemiSyncSeen::wait_no_replica}) {
    SemiSyncSeen before = scene.semi_sync;
    scene.semi_sync.*member = false;
    EXPECT_FALSE(JudgeFailover(scene).semi_sync_fence);
    scene.semi_sync = before;
  }
  scene.semi_sync.acknowledgers = 2;  // one more than is known here
  EXPECT_FALSE(JudgeFailover(scene).semi_sync_fence);
  scene.others = {scene.candidate};
  EXPECT_TRUE(JudgeFailover(scene).semi_sync_fence);
  // Whoever does not acknowledge is not the one that did.
  scene.others[0].facts.variables[enabled] = "OFF";
  EXPECT_FALSE(JudgeFailover(scene).semi_sync_fence);
  EXPECT_FALSE(JudgeFailover(scene).lossless);
  scene.others[0]
      .facts.status[GetParam() ? "rpl_semi_sync_slave_status" : "rpl_semi_sync_replica_status"] =
      "ON";
  EXPECT_TRUE(JudgeFailover(scene).semi_sync_fence);
  scene.others[0].facts = {};
  EXPECT_FALSE(JudgeFailover(scene).semi_sync_fence);
}

TEST_P(FailoverChecks, SemiSyncOfTheOldPrimaryIsRemembered) {
  const std::string prefix = GetParam() ? "rpl_semi_sync_master_" : "rpl_semi_sync_source_";
  ServerFacts before;
  before.version.mariadb = GetParam();
  before.variables = {{prefix + "enabled", "OFF"}, {prefix + "timeout", "1000"}};
  scene.semi_sync = SemiSyncOf(before);
  EXPECT_THAT(DecodeSaved(JudgeFailover(scene).saved)->semi_sync, IsEmpty());
  before.variables[prefix + "enabled"] = "ON";
  scene.semi_sync = SemiSyncOf(before);
  const StepReport report = JudgeFailover(scene);
  const std::optional<SavedForChange> saved = DecodeSaved(report.saved);
  EXPECT_EQ(saved->semi_sync.at(prefix + "timeout"), "1000");
  EXPECT_EQ(saved->semi_sync_old_words, GetParam());
  EXPECT_FALSE(report.semi_sync);  // it may give up waiting: nobody is kept waiting for it
  scene.semi_sync.waits = scene.semi_sync.for_ever = scene.semi_sync.wait_no_replica = true;
  scene.semi_sync.acknowledgers = scene.semi_sync.wait_count = 1;
  EXPECT_TRUE(JudgeFailover(scene).semi_sync);
}

TEST_P(FailoverChecks, OtherRoutersAreANoteOnceASplitBrainIsAccepted) {
  scene.other_routers = {"router abc"};
  EXPECT_THAT(JudgeFailover(scene).reasons, ElementsAre(HasSubstr("router abc")));
  scene.plan.accept_split_brain = true;
  EXPECT_THAT(JudgeFailover(scene).reasons, IsEmpty());
  EXPECT_THAT(JudgeFailover(scene).notes, ElementsAre(HasSubstr("router abc")));
}

TEST_P(FailoverChecks, ACandidateThatWaitsForAcknowledgementsIsKnown) {
  EXPECT_FALSE(JudgeFailover(scene).semi_sync);
  NewVariable(GetParam() ? "rpl_semi_sync_master_enabled" : "rpl_semi_sync_source_enabled") = "ON";
  EXPECT_TRUE(JudgeFailover(scene).semi_sync);
}

TEST_P(FailoverChecks, TheCandidateMustApply) {
  source().applies = false;
  source().error = "Duplicate entry";
  source().receives = source().receiver_runs = false;  // of a dead primary: nothing to receive
  EXPECT_THAT(JudgeFailover(scene).reasons,
              ElementsAre("db2: does not apply what it has received: Duplicate entry"));
  NewVariable("read_only") = "OFF";
  EXPECT_THAT(JudgeFailover(scene).reasons, Contains(HasSubstr("is writable already")));
}

TEST(SemiSyncOf, ReadsThePrimarysOwnWords) {
  ServerFacts facts = Server(true, "1");
  EXPECT_FALSE(SemiSyncOf(facts).known);
  facts.variables["rpl_semi_sync_master_enabled"] = "ON";
  facts.variables["rpl_semi_sync_master_timeout"] = "10000";
  facts.variables["rpl_semi_sync_master_wait_no_slave"] = "ON";
  facts.status = {{"rpl_semi_sync_master_status", "ON"}, {"rpl_semi_sync_master_clients", "2"}};
  SemiSyncSeen seen = SemiSyncOf(facts);
  EXPECT_TRUE(seen.known && seen.waits && seen.wait_no_replica);
  EXPECT_FALSE(seen.for_ever);
  EXPECT_EQ(seen.acknowledgers, 2u);
  facts.variables["rpl_semi_sync_master_timeout"] = "18446744073709551615";
  EXPECT_TRUE(SemiSyncOf(facts).for_ever);
}

TEST(SavedForChange, ComesBackAsItWas) {
  SavedForChange saved;
  saved.scheduler_was_on = saved.events_known = saved.semi_sync_old_words = true;
  saved.events = {{.schema = "a\tb",
                   .name = "line\nend",
                   .definer = "x@%",
                   .charset = "utf8mb4",
                   .collation = "c\\",
                   .enabled = true}};
  saved.follow = {{"SSL_CA", "'/etc/ca.pem'"}, {"CONNECT_RETRY", "1"}};
  saved.semi_sync = {{"rpl_semi_sync_master_timeout", "1000"}};
  const std::string text = EncodeSaved(saved);
  const std::optional<SavedForChange> back = DecodeSaved(text);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, saved);
  EXPECT_EQ(back->events[0].name, "line\nend");
  EXPECT_FALSE(DecodeSaved("").has_value());
  EXPECT_FALSE(DecodeSaved("saved 2\n").has_value());
  EXPECT_FALSE(DecodeSaved(text.substr(0, text.size() - 1)).has_value());
  EXPECT_FALSE(DecodeSaved("saved 1\nevent\ta\n").has_value());
  EXPECT_FALSE(DecodeSaved("saved 1\nfollow\ta\\x\tb\n").has_value());
}

TEST(ServerFacts, AreReadInBothFamiliesWords) {
  ScriptedSession session("9.7.4");
  session.On("SHOW GLOBAL VARIABLES",
             Rows({"Variable_name", "Value"}, {{"read_only", "ON"}, {"GTID_MODE", "ON"}}));
  session.On("SHOW REPLICA STATUS",
             Rows({"Source_Host", "Source_Port", "Source_Server_Id", "Replica_IO_Running",
                   "Replica_SQL_Running", "Auto_Position", "Retrieved_Gtid_Set", "SQL_Delay",
                   "Seconds_Behind_Source", "Connect_Retry", "Source_SSL_Allowed",
                   "Get_Source_public_key", "Replicate_Do_DB", "Channel_Name"},
                  {{"h1", "3306", "1", "Connecting", "Yes", "1", "x:1-3", "5", "7", "60", "Yes",
                    "1", "shop", ""}}));
  session.On("SHOW BINARY LOG STATUS",
             Rows({"File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB"}, {{"b", "4", "", "x"}}));
  session.On("innodb_trx", ErrorAnswer(1227, "you need PROCESS"));
  session.On("events", Rows({"s", "n", "d", "c", "l", "status"},
                            {{"shop", "e", "u@%", "c", "l", "REPLICA_SIDE_DISABLED"},
                             {"shop", "f", "u@%", "c", "l", "ENABLED"}}));
  session.On("SHOW GRANTS", Rows({"g"}, {{"GRANT RELOAD ON *.* TO `c`@`%`"}}));
  const ServerFacts facts = ReadFacts(&session, 1s);
  EXPECT_TRUE(facts.answered);
  EXPECT_TRUE(facts.IsOn("read_only") && facts.IsOn("gtid_mode"));
  ASSERT_THAT(facts.sources, SizeIs(1));
  const ReplicaStatus& source = facts.sources[0];
  EXPECT_TRUE(!source.receives && source.receiver_runs && source.applies && source.by_gtid);
  EXPECT_THAT(facts.log_filters, ElementsAre("Binlog_Ignore_DB = x"));
  EXPECT_EQ(source.delay, 5);
  EXPECT_EQ(source.seconds_behind, 7);
  EXPECT_THAT(source.filters, ElementsAre("Replicate_Do_DB = shop"));
  EXPECT_THAT(source.options, Contains(std::pair<std::string, std::string>("GET_PUBLIC_KEY", "1")));
  EXPECT_THAT(facts.refused, ElementsAre(HasSubstr("open transactions: you need PROCESS")));
  EXPECT_TRUE(facts.events[0].replica_side_disabled && facts.events[1].enabled);
  EXPECT_TRUE(facts.Has("RELOAD"));
  session.open = ErrorAnswer(1045, "Access denied");
  const ServerFacts denied = ReadFacts(&session, 1s);
  EXPECT_FALSE(denied.answered);
  EXPECT_EQ(denied.why, "Access denied");
}

}  // namespace
}  // namespace bulkhead::control
