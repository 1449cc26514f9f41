// SQL over the live state: what operators ask, what clients ask before they show anything, and what
// is refused.

#include "proxy/admin/sql_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proxy/admin/sql_text.h"
#include "proxy/admin/statement.h"

namespace bulkhead::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

std::shared_ptr<const routing::Topology> MakeTopology() {
  routing::TopologyBuilder builder;
  for (const char* name : {"db1", "db2"}) {
    routing::BackendSpec backend;
    backend.name = name;
    backend.address.host = name;
    backend.address.port = 3306;
    EXPECT_TRUE(builder.AddBackend(backend).ok());
  }
  routing::ShardSpec shard;
  shard.name = "s1";
  shard.primary = "db1";
  EXPECT_TRUE(builder.AddShard(shard).ok());
  for (const char* name : {"acme", "Acme", "globex"}) {
    routing::TenantSpec tenant;
    tenant.name = name;
    tenant.shard = "s1";
    EXPECT_TRUE(builder.AddTenant(tenant).ok());
  }
  return *builder.Build();
}

class SqlTest : public testing::Test {
 protected:
  SqlTest() : engine_({.user = "root", .address = "::1", .connection_id = 7, .version = "10.11"}) {
    state_.topology = MakeTopology();
    state_.limits = &limits_;
    for (const char* name : {"db1", "db2", "db3"}) {
      BackendRow row;
      row.name = name;
      row.state = row.name == "db1" ? "up" : "down";
      row.held = row.name == "db2" ? 3 : 40;
      row.since = 1.5;
      state_.backends.push_back(row);
    }
    io::SessionRow session;
    session.id = 1073741888;
    session.user = "app";
    session.shard = state_.topology->FindShard("s1")->id;
    session.backend = state_.topology->FindBackend("db2")->id;
    session.idle_ns = 2'500'000'000;
    session.state = "idle";
    session.pins = "transaction,lock";
    state_.sessions.push_back(session);
  }

  // Rows as text, cells separated by |; or the error.
  std::vector<std::string> Rows(std::string_view statement) {
    const ParsedStatement parsed = ParseStatement(statement);
    const auto* query = std::get_if<ReadQuery>(&parsed.meaning);
    if (const auto* error = std::get_if<StatementError>(&parsed.meaning)) return {Text(*error)};
    if (query == nullptr) return {"no query"};
    if (auto error = engine_.Prepare(query->sql); error.has_value()) return {Text(*error)};
    result_ = ResultTable();
    if (auto error = engine_.Run(state_, &result_); error.has_value()) return {Text(*error)};
    std::vector<std::string> rows;
    for (size_t row = 0; row < result_.rows(); ++row) {
      std::string text;
      for (size_t i = 0; i < result_.columns.size(); ++i)
        text += (i > 0 ? "|" : "") + std::string(result_.Cell(row, i).value_or("NULL"));
      rows.push_back(text);
    }
    return rows;
  }
  static std::string Text(const StatementError& error) {
    return std::to_string(error.code) + " " + error.message;
  }
  std::string Error(std::string_view statement) {
    const std::vector<std::string> rows = Rows(statement);
    return rows.size() == 1 ? rows[0] : "";
  }

  routing::TenantLimits limits_;
  LiveState state_;
  SqlEngine engine_;
  ResultTable result_;
};

TEST_F(SqlTest, TheQueryOfTheProductPage) {
  EXPECT_THAT(Rows("SELECT name, state, held FROM backends WHERE state <> 'up' ORDER BY held DESC"),
              ElementsAre("db3|down|40", "db2|down|3"));
  EXPECT_EQ(engine_.tables(), TableSet({"backends"}));
  EXPECT_EQ(result_.columns[2].kind, ColumnKind::kNumber);
  EXPECT_EQ(result_.columns[0].kind, ColumnKind::kText);
}

TEST_F(SqlTest, JoinsAndCountsAndBothSpellingsOfNames) {
  EXPECT_THAT(Rows("select count(*) from SESSIONS s join backends b on b.name = s.backend where "
                   "b.state = 'DOWN'"),
              ElementsAre("1"));
  EXPECT_EQ(engine_.tables(), TableSet({"backends", "sessions"}));
  EXPECT_THAT(Rows("SELECT `pin`, idle, running FROM bulkhead.sessions"),
              ElementsAre("transaction,lock|2.5|NULL"));
  EXPECT_THAT(Rows("SELECT \"text\" AS x # comment\n, 'it''s', 'a\\'b' -- more"),
              ElementsAre("text|it's|a'b"));
}

TEST_F(SqlTest, ShowIsAQuery) {
  EXPECT_THAT(Rows("SHOW BACKENDS LIKE 'DB_' WHERE held > 3"), testing::SizeIs(2));
  EXPECT_THAT(Rows("SHOW BACKENDS LIKE 'db\\_'"), testing::IsEmpty());
  EXPECT_THAT(Rows("SHOW BACKENDS LIKE '%2'"), testing::SizeIs(1));
  EXPECT_THAT(Rows("SHOW SHARDS"), testing::IsEmpty());
  EXPECT_EQ(engine_.tables(), TableSet({"shards"}));
}

TEST_F(SqlTest, ShowCutsLongTextsAndFullDoesNot) {
  state_.events.push_back({.id = 1,
                           .time = "2026-11-29 06:49:12",
                           .kind = "backend",
                           .object = "db2",
                           .text = std::string(42, 'x') + "äöü and more"});
  state_.events.push_back({.id = 2, .object = "db2", .text = std::string(42, 'x') + "äöüß"});
  EXPECT_THAT(Rows("SHOW EVENTS WHERE id = 1"),
              ElementsAre("1|2026-11-29 06:49:12|backend|db2|" + std::string(42, 'x') + "äöü…"));
  EXPECT_EQ(result_.columns[4].name, "text");
  EXPECT_EQ(result_.columns[4].kind, ColumnKind::kText);
  EXPECT_THAT(Rows("SHOW EVENTS WHERE id = 2"), ElementsAre(HasSubstr("äöüß")));
  EXPECT_THAT(Rows("SHOW FULL EVENTS WHERE text LIKE '%more'"), ElementsAre(HasSubstr("and more")));
}

TEST_F(SqlTest, TenantsComeFromTheDirectoryAndAreExact) {
  EXPECT_THAT(Rows("SELECT name, shard FROM tenants WHERE name = 'acme'"), ElementsAre("acme|s1"));
  EXPECT_THAT(Rows("SELECT name FROM tenants ORDER BY name"),
              ElementsAre("Acme", "acme", "globex"));
  EXPECT_THAT(Rows("SELECT name FROM tenants WHERE name IN ('globex', 'nobody')"),
              ElementsAre("globex"));
  limits_.SetTenant("acme", routing::TenantLimit{.sessions = 5, .per_second = 100});
  EXPECT_THAT(Rows("SELECT sessions, max_sessions, max_running, max_per_second FROM tenants WHERE "
                   "name = 'acme'"),
              ElementsAre("0|5|NULL|100"));
}

TEST_F(SqlTest, WhatClientsAskAtConnect) {
  EXPECT_THAT(Rows("select @@version_comment limit 1"), ElementsAre("Bulkhead admin"));
  EXPECT_EQ(result_.columns[0].name, "@@version_comment");
  EXPECT_THAT(Rows("SELECT DATABASE(), USER(), CURRENT_USER, CONNECTION_ID(), VERSION()"),
              ElementsAre("bulkhead|root@::1|root@::1|7|10.11"));
  EXPECT_THAT(Rows("/* mysql-connector-j */SELECT @@session.auto_increment_increment AS "
                   "auto_increment_increment, @@character_set_client AS cs, @@sql_mode AS m, "
                   "@@transaction_isolation AS i, @@autocommit, @@lower_case_table_names"),
              ElementsAre("1|utf8mb4||REPEATABLE-READ|1|0"));
  EXPECT_EQ(result_.columns[4].name, "@@autocommit");
  EXPECT_EQ(result_.columns[0].kind, ColumnKind::kNumber);
  EXPECT_THAT(Rows("SELECT @user_variable"), ElementsAre("NULL"));
  EXPECT_THAT(Rows("SHOW DATABASES"), ElementsAre("bulkhead", "information_schema"));
  EXPECT_THAT(Rows("SHOW FULL TABLES FROM `bulkhead` LIKE 'back%'"),
              ElementsAre("backends|BASE TABLE"));
  EXPECT_THAT(Rows("SHOW TABLES"), testing::SizeIs(TableList().size()));
  EXPECT_THAT(Rows("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = "
                   "'BULKHEAD' AND table_name LIKE 'p%'"),
              ElementsAre("pools"));
  EXPECT_THAT(Rows("SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'backends'"),
              ElementsAre(std::to_string(FindTable("backends")->columns.size())));
  EXPECT_THAT(Rows("SHOW FULL COLUMNS FROM `bulkhead`.`pools`"),
              testing::SizeIs(FindTable("pools")->columns.size()));
  EXPECT_THAT(Rows("DESC pools"), testing::SizeIs(FindTable("pools")->columns.size()));
  const ParsedStatement wrong = ParseStatement("DESC pool");
  ASSERT_TRUE(std::holds_alternative<StatementError>(wrong.meaning));
  EXPECT_EQ(std::get<StatementError>(wrong.meaning).position, 5U);
  EXPECT_THAT(Rows("SHOW /*!50002 FULL */ PROCESSLIST"), testing::SizeIs(1));
  for (const char* text :
       {"SHOW ENGINES", "SHOW COLLATION", "SHOW CHARACTER SET", "SHOW PLUGINS", "SHOW TABLE STATUS",
        "SHOW TRIGGERS", "SHOW INDEX FROM pools", "SHOW GRANTS", "SHOW PROCEDURE STATUS",
        "SHOW SESSION VARIABLES", "SHOW GLOBAL STATUS LIKE 'x'", "SHOW VARIABLES LIKE 'sql_mode'"})
    EXPECT_THAT(Error(text), testing::Not(HasSubstr("error"))) << text;
}

TEST_F(SqlTest, ErrorsNameTheNearest) {
  EXPECT_EQ(Error("SELECT * FROM backend"),
            "1146 there is no table 'backend'; did you mean backends?");
  EXPECT_EQ(Error("SELECT stat FROM backends"),
            "1054 there is no column 'stat'; did you mean state?");
  EXPECT_THAT(Error("SELECT frob(1)"), HasSubstr("1305 no such function: frob"));
  EXPECT_THAT(Error("SELECT @@nothing"), HasSubstr("1193 unknown system variable 'nothing'"));
  EXPECT_THAT(Error("SELECT $$"), HasSubstr("1064 syntax error near '$$' at character 8"));
  EXPECT_THAT(Error("SELECT 1; SELECT 2"), HasSubstr("one statement at a time"));
  EXPECT_THAT(Error("SELECT ?"), HasSubstr("no parameters"));
  EXPECT_THAT(Error("SELECT 1 FROM"), HasSubstr("1064"));
  EXPECT_THAT(Error("SELECT 'x"), HasSubstr("not closed"));
}

TEST_F(SqlTest, NothingCanBeChangedOrReached) {
  for (const char* text :
       {"WITH x AS (SELECT 1) DELETE FROM information_schema.tables",
        "WITH x AS (SELECT 1) INSERT INTO information_schema.tables (TABLE_NAME) VALUES ('x')",
        "SELECT * FROM pragma_database_list", "SELECT load_extension('x')"})
    EXPECT_THAT(Error(text),
                testing::AnyOf(HasSubstr("1142"), HasSubstr("1064"), HasSubstr("1305")))
        << text;
  // Not even reached by the parser: these begin no statement.
  for (const char* text : {"ATTACH 'x' AS y", "PRAGMA database_list",
                           "INSERT INTO backends VALUES (1)", "DELETE FROM backends", "VACUUM"})
    EXPECT_THAT(Error(text), HasSubstr("1064 syntax error")) << text;
}

TEST_F(SqlTest, HasLimits) {
  EXPECT_THAT(
      Error("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) "
            "FROM n"),
      HasSubstr("3024 the query was ended: it took more time"));
  EXPECT_THAT(Error("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT "
                    "zeroblob(1000000) FROM n"),
              testing::AnyOf(HasSubstr("1235"), HasSubstr("3024")));
  EXPECT_THAT(Error("SELECT zeroblob(100000000)"), HasSubstr("too big"));
  // And goes on.
  EXPECT_THAT(Rows("SELECT 1"), ElementsAre("1"));
}

TEST_F(SqlTest, AHundredThousandTenants) {
  routing::TopologyBuilder builder(*state_.topology);
  for (int i = 0; i < 100'000; ++i) {
    routing::TenantSpec tenant;
    tenant.name = "t" + std::to_string(i);
    tenant.shard = "s1";
    ASSERT_TRUE(builder.AddTenant(tenant).ok());
  }
  state_.topology = *builder.Build();
  EXPECT_THAT(Rows("SELECT count(*) FROM tenants"), ElementsAre("100003"));
  EXPECT_THAT(Rows("SELECT name FROM tenants WHERE name = 't77777'"), ElementsAre("t77777"));
  EXPECT_THAT(Rows("SELECT name FROM tenants WHERE name LIKE 't7777_'"), testing::SizeIs(10));
}

TEST(Rewriting, KeepsWhatSqliteReadsTheSame) {
  EXPECT_EQ(MysqlToSqlite("SELECT a.b, `c``d`, 1.5 FROM t WHERE x >= 2").sql,
            "SELECT a.b, `c``d`, 1.5 FROM t WHERE x >= 2");
  EXPECT_EQ(MysqlToSqlite("SELECT 'a\\\\b', \"c'd\", 'e\\nf'").sql,
            "SELECT 'a\\b', 'c''d', 'e\nf'");
  EXPECT_EQ(MysqlToSqlite("SELECT /*!40001 SQL_NO_CACHE */ 1 /* x */ ;  ").sql,
            "SELECT   SQL_NO_CACHE  1     ");
  for (const char* text :
       {"SELECT '", "SELECT `", "SELECT /*", "SELECT @", "SELECT @@ ", "'\\", "SELECT '\\'"})
    EXPECT_TRUE(MysqlToSqlite(text).error.has_value()) << text;
}

TEST_F(SqlTest, FunctionsOfGraphicalClients) {
  EXPECT_THAT(Rows("SELECT UCASE('a'), LCASE('B'), LOCATE('(', 'int(11)'), LEFT('abc', 2), "
                   "RIGHT('abc', 2), CONCAT_WS(',', 'a', NULL, 'b'), LEAST(3, 1, 2), "
                   "GREATEST(3, 10, 2), ISNULL(NULL), CONVERT('12', UNSIGNED INTEGER) + 1, "
                   "CONVERT('x' USING utf8mb4), CAST('7' AS SIGNED INTEGER), "
                   "CONVERT('1.5', DECIMAL(10,2))"),
              ElementsAre("A|b|4|ab|bc|a,b|1|10|1|13|x|7|1.5"));
  EXPECT_THAT(Rows("SELECT name FROM backends LEFT JOIN shards USING (name) WHERE name = 'db1'"),
              ElementsAre("db1"));
  EXPECT_THAT(Rows("SELECT CONVERT(CASE WHEN 1 THEN (2 + 3) END, SIGNED) AS x"), ElementsAre("5"));
  EXPECT_THAT(Rows("SELECT CONVERT(1, "), ElementsAre(HasSubstr("1064")));
}

}  // namespace
}  // namespace bulkhead::admin
