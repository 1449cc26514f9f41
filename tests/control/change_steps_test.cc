// Steps against a script of answers: what is asked in which family's words, and what follows.
#include "proxy/control/change_steps.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "tests/control/scripted_session.h"

namespace bulkhead::control {
namespace {

using routing::ChangeStep;
using routing::StepReport;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;
using Result = StepReport::Result;

constexpr char kMariadb[] = "10.11.19-MariaDB-log";
constexpr char kMysql[] = "9.7.4";

StepContext ContextFor(ChangeStep step, const std::string& server) {
  StepContext context;
  context.action.step = step;
  context.action.server = server;
  context.action.timeout = 2s;
  context.action.record.plan.old_primary = "db1";
  context.action.record.plan.candidate = "db2";
  context.candidate = {.host = "10.0.0.2", .port = 3306};
  context.replication_user = "replicator";
  context.replication_password = "it's";
  context.own_users = {"control", "probe"};
  return context;
}

SqlAnswer Replica(const std::string& host, const std::string& running,
                  const std::string& error = "") {
  return Rows({"Connection_name", "Master_Host", "Master_Port", "Slave_IO_Running",
               "Slave_SQL_Running", "Using_Gtid", "Gtid_IO_Pos", "Last_SQL_Error"},
              {{"", host, "3306", running, running, "Slave_Pos", "0-1-7", error}});
}
SqlAnswer NoReplica() { return Rows({"Connection_name"}); }

TEST(FreezeOld, WaitsForLocksNoLongerThanItsTime) {
  ScriptedSession session(kMariadb);
  StepContext context = ContextFor(ChangeStep::kFreezeOld, "db1");
  context.action.timeout = 5s;
  context.saved.scheduler_was_on = true;
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked,
              ElementsAre("SET SESSION lock_wait_timeout = 3", "SET GLOBAL event_scheduler = OFF",
                          "SET GLOBAL read_only = 1"));
  session.On("read_only = 1", ErrorAnswer(1205, "Lock wait timeout exceeded"));
  const StepReport locked = RunStep(context, &session);
  EXPECT_EQ(locked.result, Result::kFailed);
  EXPECT_TRUE(locked.locked);
  session.On("read_only = 1", LostAnswer());
  EXPECT_EQ(RunStep(context, &session).result, Result::kUnknown);

  ScriptedSession mysql(kMysql);
  context.saved.scheduler_was_on = false;
  EXPECT_EQ(RunStep(context, &mysql).result, Result::kOk);
  EXPECT_THAT(mysql.asked, Contains("SET GLOBAL super_read_only = 1"));
}

TEST(FreezeOld, WithoutAConnectionNothingWasDone) {
  ScriptedSession session(kMariadb);
  session.open = ErrorAnswer(2003, "Can't connect");
  const StepReport report = RunStep(ContextFor(ChangeStep::kFreezeOld, "db1"), &session);
  EXPECT_EQ(report.result, Result::kFailed);
  EXPECT_THAT(report.why, HasSubstr("Can't connect"));
  session.open = LostAnswer();
  EXPECT_EQ(RunStep(ContextFor(ChangeStep::kFreezeOld, "db1"), &session).result, Result::kUnknown);
}

SqlAnswer ProcessList(const char* admin = "5") {
  return Rows({"Id", "User", "Host", "db", "Command", "Time", "State", "Info"},
              {{"1", "system user", "", "", "Slave_IO", "5", "", ""},
               {"2", "replicator", "h:1", "", "Binlog Dump", "5", "", ""},
               {"3", "app", "h:2", "d", "Sleep", "5", "", ""},
               {"4", "app", "h:3", "d", "Query", "5", "", ""},
               {admin, "admin", "h:4", "d", "Sleep", "5", "", ""},
               {"6", "control", "h:5", "", "Query", "0", "", ""},
               {"7", "probe", "h:6", "", "Query", "0", "", ""},
               {"8", "app", "h:7", "d", "Sleep", "5", "", ""},
               {"9", "event_scheduler", "localhost", "", "Daemon", "5", "", ""}});
}

TEST(EndPrivileged, KillsWhoPassesReadOnlyOnMariadbAndNobodyElse) {
  ScriptedSession session(kMariadb);
  session.On("mysql.global_priv", Rows({"name"}, {{"root"}, {"admin"}, {"control"}}));
  // It takes a moment to go; one that came meanwhile is not waited for.
  session.On("PROCESSLIST", {ProcessList(), ProcessList(), ProcessList("55")});
  session.On("CONNECTION_ID", One("6"));
  const StepReport report = RunStep(ContextFor(ChangeStep::kEndPrivileged, "db1"), &session);
  EXPECT_EQ(report.result, Result::kOk) << report.why;
  EXPECT_EQ(std::count(session.asked.begin(), session.asked.end(), "SHOW PROCESSLIST"), 3);
  EXPECT_THAT(session.asked, Contains("KILL 5"));
  for (const char* other : {"KILL 1", "KILL 2", "KILL 3", "KILL 4", "KILL 6", "KILL 7"})
    EXPECT_THAT(session.asked, Not(Contains(other)));
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("5 (admin)")));
  session.On("PROCESSLIST", ProcessList());
  const StepReport stays = RunStep(ContextFor(ChangeStep::kEndPrivileged, "db1"), &session);
  EXPECT_EQ(stays.result, Result::kFailed);
  EXPECT_THAT(stays.why, HasSubstr("connection 5 (admin) was killed and does not end"));
  ScriptedSession mysql(kMysql);
  EXPECT_EQ(RunStep(ContextFor(ChangeStep::kEndPrivileged, "db1"), &mysql).result, Result::kOk);
  EXPECT_TRUE(mysql.asked.empty());  // super_read_only stops them too
}

TEST(EndRunning, KillsWhatRunsOrHasATransaction) {
  ScriptedSession session(kMariadb);
  session.On("PROCESSLIST", ProcessList());
  session.On("CONNECTION_ID", One("6"));
  session.On("innodb_trx", Rows({"id"}, {{"8"}}));
  session.On("KILL 8", ErrorAnswer(1094, "Unknown thread id: 8"));  // gone by itself
  StepContext context = ContextFor(ChangeStep::kEndRunning, "db1");
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Contains("KILL 4"));
  EXPECT_THAT(session.asked, Contains("KILL 8"));
  EXPECT_THAT(session.asked, Not(Contains("KILL 3")));
  // Somebody holds a lock, and it is not known who.
  context.end_all = true;
  session.asked.clear();
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Contains("KILL 3"));
  session.On("KILL 3", ErrorAnswer(1095, "You are not owner of thread 3"));
  EXPECT_EQ(RunStep(context, &session).result, Result::kFailed);
}

TEST(ReadPosition, IsStableIfItIsTheSameTwice) {
  ScriptedSession session(kMysql);
  session.On("gtid_executed", One("a:1-5,\nb:1"));
  session.On("read_only", One("1"));
  StepReport report = RunStep(ContextFor(ChangeStep::kReadPosition, "db1"), &session);
  EXPECT_TRUE(report.stable);
  EXPECT_EQ(report.position, "a:1-5,b:1");
  session.On("gtid_executed", {One("a:1-5"), One("a:1-6")});
  EXPECT_FALSE(RunStep(ContextFor(ChangeStep::kReadPosition, "db1"), &session).stable);
  session.On("gtid_executed", One("a:1-6"));
  session.On("XA RECOVER", Rows({"data"}, {{"x"}}));
  EXPECT_THAT(RunStep(ContextFor(ChangeStep::kReadPosition, "db1"), &session).why,
              HasSubstr("prepared XA"));
  session.On("read_only", One("0"));
  EXPECT_THAT(RunStep(ContextFor(ChangeStep::kReadPosition, "db1"), &session).why,
              HasSubstr("writable again"));
}

TEST(CatchUp, WaitsInSlicesAndEndsWithTheError) {
  ScriptedSession session(kMariadb);
  StepContext context = ContextFor(ChangeStep::kCatchUp, "db2");
  context.action.record.position = "0-1-12";
  session.On("MASTER_GTID_WAIT", {One("-1"), One("0")});
  session.On("SHOW ALL SLAVES", Replica("10.0.0.1", "Yes"));
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked[0], HasSubstr("MASTER_GTID_WAIT('0-1-12', 1)"));
  session.On("MASTER_GTID_WAIT", One("-1"));
  session.On("SHOW ALL SLAVES", Replica("10.0.0.1", "No", "Duplicate entry"));
  EXPECT_THAT(RunStep(context, &session).why, HasSubstr("Duplicate entry"));
}

TEST(CatchUp, AsksAgainWhereAWaitWasLost) {
  ScriptedSession session(kMariadb);
  StepContext context = ContextFor(ChangeStep::kCatchUp, "db2");
  context.action.record.position = "0-1-12";
  session.On("MASTER_GTID_WAIT", {LostAnswer(), LostAnswer(), One("0")});
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  session.On("MASTER_GTID_WAIT", LostAnswer());
  EXPECT_EQ(RunStep(context, &session).result, Result::kUnknown);
}

TEST(ThawOld, IsDoneOnceItIsWritable) {
  ScriptedSession session(kMariadb);
  StepContext context = ContextFor(ChangeStep::kThawOld, "db1");
  context.saved.scheduler_was_on = true;
  session.On("event_scheduler", ErrorAnswer(1290, "the scheduler is disabled"));
  const StepReport report = RunStep(context, &session);
  EXPECT_EQ(report.result, Result::kOk);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("the scheduler is disabled")));
  session.On("read_only = 0", ErrorAnswer(1227, "you need"));
  EXPECT_EQ(RunStep(context, &session).result, Result::kFailed);
}

TEST(ThawOld, IsNotDoneWhereItHasBecomeAReplica) {
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES", Replica("10.0.0.9", "Yes"));
  const StepReport report = RunStep(ContextFor(ChangeStep::kThawOld, "db1"), &session);
  EXPECT_EQ(report.result, Result::kFailed);
  EXPECT_THAT(report.why, HasSubstr("replicates from 10.0.0.9:"));
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("read_only = 0"))));
}

TEST(Promote, IsOneStatementWhoseAnswerIsAllThereIs) {
  ScriptedSession session(kMysql);
  EXPECT_EQ(RunStep(ContextFor(ChangeStep::kPromote, "db2"), &session).result, Result::kOk);
  EXPECT_THAT(session.asked, ElementsAre("SET GLOBAL read_only = 0"));
  session.On("read_only", LostAnswer());
  EXPECT_EQ(RunStep(ContextFor(ChangeStep::kPromote, "db2"), &session).result, Result::kUnknown);
  session.On("read_only", One("0"));
  EXPECT_TRUE(RunStep(ContextFor(ChangeStep::kConfirm, "db2"), &session).writable);
  session.On("read_only", One("1"));
  EXPECT_FALSE(RunStep(ContextFor(ChangeStep::kConfirm, "db2"), &session).writable);
}

TEST(StopReceiving, IsSeenToHaveStopped) {
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES", Replica("10.0.0.1", "No"));
  EXPECT_TRUE(RunStep(ContextFor(ChangeStep::kStopReceiving, "db2"), &session).semi_sync_fence);
  EXPECT_THAT(session.asked, ElementsAre("STOP SLAVE IO_THREAD", "SHOW ALL SLAVES STATUS"));
  session.On("SHOW ALL SLAVES", Replica("10.0.0.1", "Yes"));
  const StepReport report = RunStep(ContextFor(ChangeStep::kStopReceiving, "db2"), &session);
  EXPECT_EQ(report.result, Result::kFailed);
  EXPECT_FALSE(report.semi_sync_fence);
}

TEST(Repoint, TurnsAFormerPrimaryIntoAReplica) {
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES",
             {NoReplica(), Replica("10.0.0.2", "Connecting"), Replica("10.0.0.2", "Yes")});
  StepContext context = ContextFor(ChangeStep::kRepoint, "db1");
  context.saved.follow = {{"CONNECT_RETRY", "1"}, {"SSL", "1"}};
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked,
              Contains("CHANGE MASTER TO MASTER_HOST = '10.0.0.2', MASTER_PORT = 3306, MASTER_USER "
                       "= 'replicator', MASTER_PASSWORD = 'it''s', MASTER_USE_GTID = slave_pos, "
                       "MASTER_DEMOTE_TO_SLAVE = 1, MASTER_CONNECT_RETRY = 1, MASTER_SSL = 1"));
  EXPECT_THAT(session.asked, Contains("START SLAVE"));

  ScriptedSession old(kMariadb);
  ScriptedSession older("10.6.4-MariaDB");
  older.On("SHOW ALL SLAVES", {NoReplica(), Replica("10.0.0.2", "Yes")});
  EXPECT_EQ(RunStep(context, &older).result, Result::kOk);
  EXPECT_THAT(older.asked, Contains("SET GLOBAL gtid_slave_pos = @@global.gtid_binlog_pos"));
  EXPECT_THAT(older.asked, Not(Contains(HasSubstr("DEMOTE"))));
}

TEST(Repoint, OfOneThatFollowsAlreadyChangesNothing) {
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES", Replica("10.0.0.2", "Yes"));
  EXPECT_EQ(RunStep(ContextFor(ChangeStep::kRepoint, "db3"), &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("CHANGE MASTER"))));
  EXPECT_THAT(session.asked, Not(Contains("STOP SLAVE")));
}

TEST(Repoint, LeavesAloneWhoDoesNotFollowTheOldPrimary) {
  StepContext context = ContextFor(ChangeStep::kRepoint, "db3");
  context.saved.source_host = "10.0.0.1";
  context.saved.source_port = "3306";
  for (const SqlAnswer& status : {Replica("10.9.9.9", "Yes"), NoReplica()}) {
    ScriptedSession session(kMariadb);
    session.On("SHOW ALL SLAVES", status);
    const StepReport report = RunStep(context, &session);
    EXPECT_EQ(report.result, Result::kOk);
    EXPECT_THAT(report.notes, ElementsAre(HasSubstr("db3 is left alone")));
    EXPECT_THAT(session.asked, ElementsAre("SHOW ALL SLAVES STATUS"));
  }
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES", {Replica("10.0.0.1", "Connecting"), Replica("10.0.0.2", "Yes")});
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Contains(HasSubstr("CHANGE MASTER TO MASTER_HOST = '10.0.0.2'")));
}

TEST(Repoint, FailsWithTheReplicasError) {
  ScriptedSession session(kMysql);
  session.On("SHOW REPLICA STATUS",
             Rows({"Channel_Name", "Source_Host", "Source_Port", "Replica_IO_Running",
                   "Replica_SQL_Running", "Auto_Position", "Last_IO_Error"},
                  {{"", "10.0.0.1", "3306", "Connecting", "Yes", "1", "Access denied"}}));
  StepContext context = ContextFor(ChangeStep::kRepoint, "db3");
  const StepReport report = RunStep(context, &session);
  EXPECT_EQ(report.result, Result::kFailed);
  EXPECT_THAT(report.why, HasSubstr("Access denied"));
  session.On("CHANGE REPLICATION SOURCE", ErrorAnswer(1227, "you need REPLICATION_SLAVE_ADMIN"));
  const StepReport refused = RunStep(context, &session);
  EXPECT_THAT(refused.why, HasSubstr("REPLICATION_SLAVE_ADMIN"));
  EXPECT_THAT(refused.why, Not(HasSubstr("it's")));
}

TEST(Reattach, ThrowsNothingAwayThatWasReceived) {
  ScriptedSession session(kMariadb);
  const StepContext context = ContextFor(ChangeStep::kReattach, "db2");
  const auto status = [](const char* receives, const char* applies) {
    SqlAnswer answer = Replica("10.0.0.1", receives);
    answer.rows[0][4] = applies;
    return answer;
  };
  session.On("SHOW ALL SLAVES", status("No", "Yes"));
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked.back(), "START SLAVE IO_THREAD");
  session.On("SHOW ALL SLAVES", status("No", "No"));
  session.On("MASTER_GTID_WAIT('0-1-7'", One("0"));
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked.back(), "START SLAVE");
  session.asked.clear();
  session.On("MASTER_GTID_WAIT('0-1-7'", One("-1"));
  EXPECT_THAT(RunStep(context, &session).why, HasSubstr("left stopped"));
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("START SLAVE"))));
  session.On("SHOW ALL SLAVES", status("Yes", "Yes"));
  session.asked.clear();
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, ElementsAre("SHOW ALL SLAVES STATUS"));
}

TEST(Settle, EnablesWhatWasEnabledOnTheOldPrimary) {
  ScriptedSession session(kMariadb);
  session.On("SHOW ALL SLAVES", Replica("10.0.0.1", "No"));
  session.On("information_schema.events",
             Rows({"s", "n", "d", "c", "l"},
                  {{"shop", "nightly", "boss@%", "utf8mb4", "utf8mb4_general_ci"},
                   {"shop", "off", "boss@%", "utf8mb4", "utf8mb4_general_ci"}}));
  session.On("@@global.event_scheduler", One("OFF"));
  StepContext context = ContextFor(ChangeStep::kSettle, "db2");
  context.saved.events_known = true;
  context.saved.scheduler_was_on = true;
  context.saved.events = {{.schema = "shop", .name = "nightly", .enabled = true}};
  const StepReport report = RunStep(context, &session);
  EXPECT_EQ(report.result, Result::kOk) << report.why;
  EXPECT_THAT(session.asked, Contains("RESET SLAVE ALL"));
  EXPECT_THAT(session.asked, Contains("ALTER DEFINER = `boss`@`%` EVENT `shop`.`nightly` ENABLE"));
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("`off`"))));
  EXPECT_THAT(session.asked, Contains("SET GLOBAL event_scheduler = ON"));
  // After a failover nobody knows which they were.
  context.saved.events_known = false;
  EXPECT_THAT(RunStep(context, &session).notes, ElementsAre(HasSubstr("is not known")));
  EXPECT_THAT(session.asked, Contains(HasSubstr("`off`")));
}

TEST(Prove, MakesTheTableOnceAndNeverLowersAnEpoch) {
  ScriptedSession session(kMysql);
  session.On("INSERT INTO bulkhead.epoch", {ErrorAnswer(1146, "no such table"), SqlAnswer{}});
  StepContext context = ContextFor(ChangeStep::kProve, "db2");
  context.epochs = {{"s1", 7}, {"s2", 8}};
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Contains(HasSubstr("CREATE TABLE IF NOT EXISTS bulkhead.epoch")));
  EXPECT_THAT(session.asked.back(), HasSubstr("('s1', 7, 'db2'), ('s2', 8, 'db2')"));
  EXPECT_THAT(session.asked.back(), HasSubstr("GREATEST(epoch, VALUES(epoch))"));
  session.On("INSERT INTO bulkhead.epoch", ErrorAnswer(1142, "INSERT command denied"));
  EXPECT_THAT(RunStep(context, &session).why, HasSubstr("denied"));
}

TEST(SemiSync, IsKeptByThePluginsWords) {
  ScriptedSession session(kMysql);
  StepContext context = ContextFor(ChangeStep::kKeepSemiSync, "db2");
  context.saved.semi_sync = {{"rpl_semi_sync_source_timeout", "1000"},
                             {"rpl_semi_sync_source_wait_point", "AFTER_SYNC"}};
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, ElementsAre("SET GLOBAL rpl_semi_sync_source_timeout = 1000",
                                         "SET GLOBAL rpl_semi_sync_source_wait_point = AFTER_SYNC",
                                         "SET GLOBAL rpl_semi_sync_source_enabled = 1",
                                         "SET GLOBAL rpl_semi_sync_replica_enabled = 0"));
  session.asked.clear();
  context.saved.semi_sync.clear();
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_TRUE(session.asked.empty());
}

TEST(SemiSync, AfterAFailoverIsOffWhereNobodyAcknowledges) {
  ScriptedSession session(kMysql);
  StepContext context = ContextFor(ChangeStep::kKeepSemiSync, "db2");
  context.action.record.plan.kind = routing::ChangeKind::kFailover;
  session.On("SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'",
             Rows({"n", "v"}, {{"rpl_semi_sync_source_enabled", "ON"},
                               {"rpl_semi_sync_source_wait_for_replica_count", "2"}}));
  session.On("rpl_semi_sync_source_clients",
             {Rows({"n", "v"}, {{"c", "0"}}), Rows({"n", "v"}, {{"c", "2"}})});
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("enabled = 0"))));
  session.On("rpl_semi_sync_source_clients", Rows({"n", "v"}, {{"c", "1"}}));
  const StepReport report = RunStep(context, &session);
  EXPECT_EQ(report.result, Result::kOk);
  EXPECT_THAT(session.asked, Contains("SET GLOBAL rpl_semi_sync_source_enabled = 0"));
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("is switched off on db2")));
}

TEST(SemiSync, AfterAFailoverIsAsOnTheOldPrimaryOnceReplicasAcknowledge) {
  ScriptedSession session(kMysql);
  StepContext context = ContextFor(ChangeStep::kKeepSemiSync, "db2");
  context.action.record.plan.kind = routing::ChangeKind::kFailover;
  context.action.record.plan.old_primary = "db1";
  context.saved.semi_sync = {{"rpl_semi_sync_source_timeout", "1000"},
                             {"rpl_semi_sync_source_wait_for_replica_count", "2"}};
  const std::string ask = "SHOW GLOBAL VARIABLES LIKE 'rpl_semi_sync%'";
  session.On(ask, Rows({"n", "v"}, {{"rpl_semi_sync_source_enabled", "OFF"},
                                    {"rpl_semi_sync_source_wait_for_replica_count", "1"}}));
  session.On("rpl_semi_sync_source_clients",
             {Rows({"n", "v"}, {{"c", "1"}}), Rows({"n", "v"}, {{"c", "2"}})});
  EXPECT_EQ(RunStep(context, &session).result, Result::kOk);
  std::vector<std::string> set;
  std::copy_if(session.asked.begin(), session.asked.end(), std::back_inserter(set),
               [](const std::string& sql) { return sql.starts_with("SET GLOBAL"); });
  EXPECT_THAT(set, ElementsAre("SET GLOBAL rpl_semi_sync_source_timeout = 1000",
                               "SET GLOBAL rpl_semi_sync_source_wait_for_replica_count = 2",
                               "SET GLOBAL rpl_semi_sync_source_enabled = 1",
                               "SET GLOBAL rpl_semi_sync_replica_enabled = 0"));
  // Too few: never switched on, not even for a moment.
  session.asked.clear();
  session.On("rpl_semi_sync_source_clients", Rows({"n", "v"}, {{"c", "1"}}));
  StepReport report = RunStep(context, &session);
  EXPECT_EQ(report.result, Result::kOk);
  EXPECT_THAT(session.asked, Contains("SET GLOBAL rpl_semi_sync_source_timeout = 1000"));
  EXPECT_THAT(session.asked, Not(Contains(HasSubstr("enabled"))));
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("too few replicas acknowledge")));
  // Another plugin, whose words differ, and none at all.
  session.On(ask, Rows({"n", "v"}, {{"rpl_semi_sync_master_enabled", "OFF"}}));
  report = RunStep(context, &session);
  EXPECT_THAT(report.notes,
              ElementsAre(HasSubstr("was on on db1 and is not on db2, which has another")));
  // That one waits by itself: nobody acknowledges, so it must not.
  session.On(ask, Rows({"n", "v"}, {{"rpl_semi_sync_master_enabled", "ON"}}));
  session.On("rpl_semi_sync_master_clients", Rows({"n", "v"}, {{"c", "0"}}));
  report = RunStep(context, &session);
  EXPECT_THAT(session.asked, Contains("SET GLOBAL rpl_semi_sync_master_enabled = 0"));
  // What replicas have, and not what primaries have.
  session.On(ask, Rows({"n", "v"}, {{"rpl_semi_sync_replica_enabled", "ON"}}));
  report = RunStep(context, &session);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("which has no plugin for it")));
  session.On(ask, Rows({"n", "v"}, {}));
  report = RunStep(context, &session);
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("which has no plugin for it")));
  EXPECT_EQ(report.result, Result::kOk);
}

}  // namespace
}  // namespace bulkhead::control
