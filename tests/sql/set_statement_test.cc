// Assignments of SET. Forms, scopes and errors were tried on MariaDB 10.11; MySQL's by its manual.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

std::string Words(const Assignment& assignment) {
  static constexpr std::string_view kTargets[] = {"user",  "session", "next",      "global",
                                                  "names", "charset", "statement", "other"};
  static constexpr std::string_view kValues[] = {"string", "number",    "word", "default",
                                                 "null",   "parameter", "expr"};
  std::string words(kTargets[static_cast<size_t>(assignment.target)]);
  words += ' ' + assignment.name + '=';
  words += kValues[static_cast<size_t>(assignment.value_kind)];
  words += '<' + std::string(assignment.value) + '>';
  if (!assignment.extra.empty()) words += " extra<" + std::string(assignment.extra) + '>';
  return words;
}

// "set: flags | user x=number<1> | ..."
std::string SetSummary(std::string_view text, const LexerMode& mode = MariaDb()) {
  const StatementInfo info = Analyze(text, mode);
  std::string summary = Summary(info);
  for (const Assignment& assignment : info.assignments) summary += " | " + Words(assignment);
  return summary;
}

class SetTest : public testing::TestWithParam<Case> {};

TEST_P(SetTest, MariaDb) { EXPECT_EQ(SetSummary(GetParam().text), GetParam().summary); }

INSTANTIATE_TEST_SUITE_P(
    UserVariables, SetTest,
    testing::Values(
        Case{"SET @x=1", "set | user x=number<1>"},
        Case{"set @X := 'a'", "set | user x=string<'a'>"},
        Case{"SET @tenant = 'acme'", "set | user tenant=string<'acme'>"},
        Case{"SET @`a``B`=1, @'c\\'D'=2, @\"e\"\"f\"=3",
             "set | user a`b=number<1> | user c'd=number<2> | user e\"f=number<3>"},
        Case{"SET @x.y=1, @$=2", "set | user x.y=number<1> | user $=number<2>"},
        Case{
            "SET @x=-1, @y=+1, @z=1e5, @w=.5",
            "set | user x=number<-1> | user y=number<+1> | user z=number<1e5> | user w=number<.5>"},
        Case{"SET @x=- 1", "set | user x=expr<- 1>"}, Case{"SET @x=--1", "set | user x=expr<--1>"},
        Case{"SET @v=0x41, @u=b'1', @t=N'x', @s=_latin1'x', @q=_binary 0x41",
             "set | user v=string<0x41> | user u=string<b'1'> | user t=string<N'x'> | "
             "user s=string<_latin1'x'> | user q=string<_binary 0x41>"},
        Case{"SET @x='a' 'b' \"c\"", "set | user x=string<'a' 'b' \"c\">"},
        Case{"SET @x='a' /* b */ 'b'", "set | user x=expr<'a' /* b */ 'b'>"},
        Case{"SET @x=true, @y=NULL, @z=?",
             "set | user x=word<true> | user y=null<NULL> | user z=parameter<?>"},
        Case{"SET @x=CURRENT_USER", "set | user x=expr<CURRENT_USER>"},
        Case{"SET @x='a' COLLATE utf8mb4_bin", "set | user x=expr<'a' COLLATE utf8mb4_bin>"},
        Case{"SET @x=DATE '2020-01-01'", "set | user x=expr<DATE '2020-01-01'>"},
        Case{"SET @x=1+1", "set | user x=expr<1+1>"}, Case{"SET @x=(1)", "set | user x=expr<(1)>"},
        Case{"SET @x=CONCAT('a', 'b'), @y=2",
             "set | user x=expr<CONCAT('a', 'b')> | user y=number<2>"},
        Case{"SET @x=f(1)", "set: unknown table | user x=expr<f(1)>"},
        Case{"SET @x=GET_LOCK('a',1)", "set: lock | user x=expr<GET_LOCK('a',1)>"},
        Case{"SET @x=@y", "set: reads_var | user x=expr<@y>"},
        Case{"SET @x=@y := 6", "set: reads_var writes_var | user x=expr<@y := 6>"},
        Case{"SET @x=@@sql_mode", "set: sysvar | user x=expr<@@sql_mode>"},
        Case{"SET @x=(SELECT a FROM t), @y=1",
             "set: table | user x=expr<(SELECT a FROM t)> | user y=number<1>"},
        Case{"SET @x=LAST_INSERT_ID()", "set: last_id | user x=expr<LAST_INSERT_ID()>"},
        Case{"SET @x='a;b'", "set | user x=string<'a;b'>"},
        Case{"SET @x=1; SET @y=2", "set: multi | user x=number<1> | user y=number<2>"},
        // What is not understood takes nothing of the other statements' away.
        Case{"BEGIN; SET @x=1; SET @y=; SET @z=2",
             "begin: careful | user x=number<1> | user z=number<2>"}));

INSTANTIATE_TEST_SUITE_P(
    SystemVariables, SetTest,
    testing::Values(
        Case{"SET autocommit=0", "set: commits | session autocommit=number<0>"},
        Case{"SET @@autocommit := ON", "set: commits | session autocommit=word<ON>"},
        Case{"SET SESSION sql_mode=''", "set | session sql_mode=string<''>"},
        Case{"SET LOCAL Sql_Mode='ANSI'", "set | session sql_mode=string<'ANSI'>"},
        Case{"SET @@session.sql_mode := ''", "set | session sql_mode=string<''>"},
        Case{"SET @@local . sql_mode = ''", "set | session sql_mode=string<''>"},
        Case{"SET `sql_mode`='', @@`sql_mode`=DEFAULT",
             "set | session sql_mode=string<''> | session sql_mode=default<DEFAULT>"},
        Case{"SET sql_mode=CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')",
             "set: sysvar | session sql_mode=expr<CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')>"},
        Case{"SET character_set_results = NULL", "set | session character_set_results=null<NULL>"},
        Case{"SET character_set_results=binary",
             "set | session character_set_results=word<binary>"},
        Case{"SET timestamp=1700000000.5", "set | session timestamp=number<1700000000.5>"},
        Case{"SET insert_id=5", "set | session insert_id=number<5>"},
        Case{"SET GLOBAL max_connections=5", "set | global max_connections=number<5>"},
        Case{"SET @@global.max_connections=5", "set | global max_connections=number<5>"},
        Case{"SET PERSIST max_connections=5, PERSIST_ONLY x=1",
             "set | global max_connections=number<5> | global x=number<1>"},
        Case{"SET @@persist.x=1, @@persist_only.y=2",
             "set | global x=number<1> | global y=number<2>"},
        // A scope word holds for the bare names behind it, @@ and @ names stand for themselves.
        Case{"SET GLOBAL a=1, b=2, @c=3, d=4, @@e=5, SESSION f=6, g=7",
             "set | global a=number<1> | global b=number<2> | user c=number<3> | global "
             "d=number<4> | "
             "session e=number<5> | session f=number<6> | session g=number<7>"},
        Case{"SET @@global.a=1, b=2", "set | global a=number<1> | session b=number<2>"},
        Case{"SET default.key_buffer_size=1", "set | session default.key_buffer_size=number<1>"},
        Case{"SET @@mysqlx.x=1", "set | session mysqlx.x=number<1>"},
        Case{"SET global=1", "set | session global=number<1>"},
        Case{"SET names=1", "set | session names=number<1>"},
        Case{"SET autocommit=0, @x=1, NAMES utf8",
             "set: commits | session autocommit=number<0> | user x=number<1> | names =word<utf8>"},
        Case{"SET GLOBAL autocommit=1", "set | global autocommit=number<1>"},
        Case{"SET tx_isolation='READ-COMMITTED'",
             "set | session tx_isolation=string<'READ-COMMITTED'>"},
        Case{"SET @@tx_isolation='READ-COMMITTED'",
             "set | next tx_isolation=string<'READ-COMMITTED'>"},
        Case{"SET @@transaction_read_only=1", "set | next transaction_read_only=number<1>"},
        Case{"SET @@session.tx_read_only=1", "set | session tx_read_only=number<1>"},
        Case{"SET x = 1 -- done", "set | session x=number<1>"}));

INSTANTIATE_TEST_SUITE_P(
    SpecialForms, SetTest,
    testing::Values(
        Case{"SET NAMES utf8mb4", "set | names =word<utf8mb4>"},
        Case{"SET NAMES 'utf8' COLLATE 'utf8_general_ci'",
             "set | names =string<'utf8'> extra<'utf8_general_ci'>"},
        Case{"SET NAMES utf8 COLLATE DEFAULT", "set | names =word<utf8> extra<DEFAULT>"},
        Case{"SET NAMES DEFAULT, @x=1", "set | names =default<DEFAULT> | user x=number<1>"},
        Case{"SET NAMES binary", "set | names =word<binary>"},
        Case{"SET CHARACTER SET utf8", "set | charset =word<utf8>"},
        Case{"SET CHARSET 'utf8'", "set | charset =string<'utf8'>"},
        Case{"SET CHAR SET DEFAULT", "set | charset =default<DEFAULT>"},
        Case{"SET TRANSACTION READ ONLY", "set | next transaction_read_only=word<ON>"},
        Case{"SET TRANSACTION READ WRITE", "set | next transaction_read_only=word<OFF>"},
        Case{"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY",
             "set | next transaction_isolation=word<SERIALIZABLE> | next "
             "transaction_read_only=word<ON>"},
        Case{"SET SESSION TRANSACTION ISOLATION LEVEL READ  COMMITTED",
             "set | session transaction_isolation=word<READ-COMMITTED>"},
        Case{"SET LOCAL TRANSACTION ISOLATION LEVEL READ/**/UNCOMMITTED",
             "set | session transaction_isolation=word<READ-UNCOMMITTED>"},
        Case{"SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ",
             "set | global transaction_isolation=word<REPEATABLE-READ>"},
        Case{"SET PASSWORD = 'x'", "set: commits | other password=expr<= 'x'>"},
        Case{"SET PASSWORD FOR u@h = 'x'", "set: commits | other password=expr<FOR u@h = 'x'>"},
        Case{"SET ROLE admin", "set | other role=expr<admin>"},
        Case{"SET ROLE NONE, autocommit=1",
             "set: commits | other role=expr<NONE> | session autocommit=number<1>"},
        Case{"SET DEFAULT ROLE r FOR u", "set: commits | other default role=expr<r FOR u>"},
        Case{"SET STATEMENT max_statement_time=1 FOR SELECT a FROM t",
             "select: table | statement max_statement_time=number<1>"},
        Case{"SET STATEMENT a=1, b='x' FOR SET @x=3",
             "set | statement a=number<1> | statement b=string<'x'> | user x=number<3>"},
        Case{"SET STATEMENT a=1 FOR SET STATEMENT b=2 FOR SELECT f(1)",
             "select: unknown table | statement a=number<1> | statement b=number<2>"},
        Case{"SET STATEMENT a=1 FOR BEGIN", "begin: commits | statement a=number<1>"},
        Case{"SET STATEMENT a=(SELECT 1) FOR (SELECT 2)", "select | statement a=expr<(SELECT 1)>"},
        Case{"SET STATEMENT a=1 FOR UPDATE t SET b=f(1)",
             "dml: unknown table | statement a=number<1>"},
        Case{"/*!40101 SET NAMES utf8 */", "set: hint | names =word<utf8>"},
        Case{"/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;",
             "set: sysvar hint | user old_character_set_client=expr<@@CHARACTER_SET_CLIENT>"}));

INSTANTIATE_TEST_SUITE_P(
    NotUnderstood, SetTest,
    testing::Values(Case{"SET", "other: careful"}, Case{"SET x", "other: careful"},
                    Case{"SET x=", "other: careful"}, Case{"SET x=1,", "other: careful"},
                    Case{"SET x=1,,y=2", "other: careful"}, Case{"SET @x", "other: careful"},
                    Case{"SET 1=1", "other: careful"}, Case{"SET OPTION x=1", "other: careful"},
                    Case{"SET TRANSACTION", "other: careful"},
                    Case{"SET TRANSACTION READ", "other: careful"},
                    Case{"SET TRANSACTION READ ONLY, autocommit=1", "other: careful"},
                    Case{"SET SESSION NAMES utf8", "other: careful"},
                    Case{"SET SESSION @x=1", "other: careful"},
                    Case{"SET STATEMENT a=1 SELECT 1", "other: careful"},
                    Case{"SET STATEMENT a=1 FOR", "other: careful"},
                    Case{"SET @x = 1 FOR SELECT 1", "set | user x=expr<1 FOR SELECT 1>"}));

TEST(SetTest, MySqlHasListsOfRoles) {
  EXPECT_EQ(SetSummary("SET ROLE 'a', 'b'@'h'", MySql()), "set | other role=expr<'a', 'b'@'h'>");
  EXPECT_EQ(SetSummary("SET DEFAULT ROLE a TO u@h, v@h", MySql()),
            "set: commits | other default role=expr<a TO u@h, v@h>");
  EXPECT_EQ(SetSummary("SET RESOURCE GROUP g", MySql()),
            "set | other resource group=expr<GROUP g>");
}

TEST(SetTest, AnsiQuotesMakeWords) {
  LexerMode mode;
  mode.ansi_quotes = true;
  EXPECT_EQ(SetSummary("SET @tenant=\"acme\"", mode), "set | user tenant=word<\"acme\">");
  EXPECT_EQ(SetSummary("SET @\"a\"=1", mode), "set | user a=number<1>");
}

TEST(SetTest, NestingIsBounded) {
  std::string text;
  for (int i = 0; i < 9; ++i) text += "SET STATEMENT a=1 FOR ";
  EXPECT_EQ(Summary(text + "SELECT 1"), "other: careful");
  EXPECT_EQ(Summary(text.substr(text.size() / 9) + "SELECT 1"), "select");
}

TEST(SetTest, ViewsLieInTheText) {
  const std::string text = "SET NAMES utf8 COLLATE utf8_bin, @x='abc'";
  const StatementInfo info = Analyze(text, MariaDb());
  ASSERT_EQ(info.assignments.size(), 2u);
  EXPECT_EQ(info.assignments[0].value.data(), text.data() + 10);
  EXPECT_EQ(info.assignments[0].extra.data(), text.data() + 23);
  EXPECT_EQ(info.assignments[1].value.data(), text.data() + 36);
}

}  // namespace
}  // namespace bulkhead::sql
