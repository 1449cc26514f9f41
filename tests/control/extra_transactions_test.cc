#include "proxy/control/extra_transactions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/control/scripted_session.h"

namespace bulkhead::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

constexpr char kUuid[] = "a39f169e-ec1b-11f1-a414-02fc00000001";

ServerFacts With(const char* variable, const std::string& value) {
  ServerFacts facts;
  facts.variables[variable] = value;
  return facts;
}
SqlAnswer Events(std::vector<std::vector<std::string>> typed) {
  SqlAnswer answer = Rows({"Log_name", "Pos", "Event_type", "Server_id", "End_log_pos", "Info"});
  for (const auto& event : typed) {
    SqlAnswer::Row& row = answer.rows.emplace_back();
    for (const std::string& cell : {std::string("log"), std::string("4"), event[0],
                                    std::string("1"), std::string("99"), event[1]})
      row.emplace_back(cell);
  }
  return answer;
}
SqlAnswer Logs(std::vector<std::vector<std::string>> names) {
  return Rows({"Log_name"}, std::move(names));
}

TEST(ExtraTransactions, AreReadFromMariadbsLog) {
  ScriptedSession session("10.11.19-MariaDB");
  session.On("gtid_binlog_state", One("0-2-100,0-1-120"));
  session.On("SHOW BINARY LOGS", Logs({{"b.1"}, {"b.2"}}));
  session.On("'b.2'", Events({{"Format_desc", "..."},
                              {"Gtid_list", "[0-1-117]"},
                              {"Gtid", "BEGIN GTID 0-1-117"},
                              {"Table_map", "table_id: 1 (old.t)"},
                              {"Gtid", "BEGIN GTID 0-1-119 cid=3"},
                              {"Table_map", "table_id: 9 (tenant_acme.orders)"},
                              {"Write_rows_v1", "table_id: 9"},
                              {"Xid", "COMMIT"},
                              {"Gtid", "GTID 0-1-120"},
                              {"Query", "use `d`; CREATE TABLE x (i INT)"}}));
  const ExtraFound found = FindExtra(&session, With("gtid_binlog_state", "0-1-118,0-2-300"), 1s);
  ASSERT_TRUE(found.known) << found.why;
  EXPECT_EQ(found.count, 2u);
  EXPECT_TRUE(found.complete);
  ASSERT_THAT(found.listed, SizeIs(2));
  EXPECT_EQ(WordsOf(found, "db2"),
            "has 2 transactions that db2 lacks: 0-1-119 (tenant_acme.orders), 0-1-120 (use `d`; "
            "CREATE TABLE x (i INT))");
  // The two have the same in the newest file already, so the older one is not read.
  EXPECT_THAT(session.asked, ::testing::Not(::testing::Contains(HasSubstr("'b.1'"))));
}

TEST(ExtraTransactions, GoOnInOlderFiles) {
  ScriptedSession session("10.11.19-MariaDB");
  session.On("gtid_binlog_state", One("0-1-4"));
  session.On("SHOW BINARY LOGS", Logs({{"b.1"}, {"b.2"}}));
  session.On("'b.2'", Events({{"Gtid", "BEGIN GTID 0-1-4"}}));
  session.On("'b.1'", Events({{"Gtid", "BEGIN GTID 0-1-2"}, {"Gtid", "BEGIN GTID 0-1-3"}}));
  const ExtraFound found = FindExtra(&session, With("gtid_binlog_state", "0-1-2"), 1s);
  EXPECT_EQ(WordsOf(found, "db2"), "has 2 transactions that db2 lacks: 0-1-3, 0-1-4");
}

TEST(ExtraTransactions, OfMysqlAreASet) {
  const std::string uuid = kUuid;
  ScriptedSession session("9.7.4");
  session.On("GTID_SUBTRACT", One(uuid + ":10-11"));
  session.On("SHOW BINARY LOGS", Logs({{"b.1"}}));
  session.On("SHOW BINLOG EVENTS",
             Events({{"Gtid", "SET @@SESSION.GTID_NEXT= '" + uuid + ":9'"},
                     {"Gtid", "SET @@SESSION.GTID_NEXT= '" + uuid + ":10'"},
                     {"Table_map", "table_id: 93 (tenant_acme.orders)"},
                     {"Gtid", "SET @@SESSION.GTID_NEXT= '" + uuid + ":11'"}}));
  const ExtraFound found = FindExtra(&session, With("gtid_executed", uuid + ":1-9"), 1s);
  EXPECT_EQ(found.count, 2u);
  EXPECT_THAT(WordsOf(found, "db2"), HasSubstr(uuid + ":10 (tenant_acme.orders), " + uuid + ":11"));
  EXPECT_THAT(session.asked[0], HasSubstr("GTID_SUBTRACT(@@global.gtid_executed, '" + uuid));
  // Without the privilege for the log the set is known all the same.
  session.On("SHOW BINARY LOGS", ErrorAnswer(1227, "you need REPLICATION CLIENT"));
  EXPECT_THAT(WordsOf(FindExtra(&session, With("gtid_executed", ""), 1s), "db2"),
              HasSubstr("has 2 transactions that db2 lacks: " + uuid + ":10-11"));
  session.On("GTID_SUBTRACT", One(""));
  EXPECT_EQ(WordsOf(FindExtra(&session, With("gtid_executed", ""), 1s), "db2"), "");
}

TEST(ExtraTransactions, ThatCantBeToldAreNotGuessed) {
  ScriptedSession session("10.11.19-MariaDB");
  session.open = ErrorAnswer(1045, "Access denied");
  EXPECT_THAT(WordsOf(FindExtra(&session, {}, 1s), "db2"),
              HasSubstr("can't be told: Access denied"));
  session.open = {};
  session.On("gtid_binlog_state", One("0-1-120"));
  session.On("SHOW BINARY LOGS", ErrorAnswer(1227, "you need BINLOG MONITOR"));
  const ExtraFound found = FindExtra(&session, With("gtid_binlog_state", "0-1-118"), 1s);
  EXPECT_EQ(WordsOf(found, "db2"),
            "has at least 2 transactions that db2 lacks: 0-1-119 to 0-1-120");
}

TEST(GtidOfInfo, OfBothFamilies) {
  EXPECT_EQ(GtidOfInfo("BEGIN GTID 0-1-3"), "0-1-3");
  EXPECT_EQ(GtidOfInfo("GTID 0-1-3 cid=9"), "0-1-3");
  EXPECT_EQ(GtidOfInfo("SET @@SESSION.GTID_NEXT= 'u:t:3'"), "u:t:3");
  EXPECT_EQ(GtidOfInfo("anything"), "");
  EXPECT_EQ(GtidOfInfo(""), "");
}

}  // namespace
}  // namespace bulkhead::control
