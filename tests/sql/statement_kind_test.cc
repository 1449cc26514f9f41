// Which statement is taken for what, and with which flags. Statements that MariaDB 10.11 or MySQL
// accept unless said otherwise.
#include <gtest/gtest.h>

#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

class KindTest : public testing::TestWithParam<Case> {};

TEST_P(KindTest, MariaDb) { EXPECT_EQ(Summary(GetParam().text), GetParam().summary); }

INSTANTIATE_TEST_SUITE_P(
    Queries, KindTest,
    testing::Values(
        Case{"", "empty"}, Case{" \t\n", "empty"}, Case{"/* x */", "empty"}, Case{"-- x", "empty"},
        Case{"# x\n", "empty"}, Case{";", "empty"}, Case{";;", "empty"}, Case{"SELECT 1", "select"},
        Case{"select 1;", "select"}, Case{"SELECT 1; ;", "select"}, Case{"(SELECT 1)", "select"},
        Case{"((select 1))", "select"}, Case{"(SELECT 1) UNION (SELECT 2)", "select"},
        Case{"SELECT c FROM sbtest1 WHERE id=12345", "select: table"},
        Case{"SELECT @@version_comment LIMIT 1", "select: sysvar"},
        Case{"SELECT DATABASE()", "select"}, Case{"SELECT $$", "select"},
        Case{"SELECT 1 FROM DUAL", "select"}, Case{"SELECT 1 FROM dual, t", "select: table"},
        Case{"SELECT 1 FROM (SELECT 2) x", "select"},
        Case{"SELECT 1 FROM (SELECT 2) x, t", "select: table"},
        Case{"SELECT 1 FROM (SELECT 2 FROM t) x", "select: table"},
        Case{"SELECT * FROM (t1, t2)", "select: table"},
        Case{"SELECT * FROM {OJ t1 LEFT OUTER JOIN t2 ON t1.a=t2.a}", "select: table"},
        Case{"SELECT * FROM .t", "select: table"},
        Case{"SELECT EXTRACT(DAY FROM NOW()), TRIM('a' FROM 'b'), SUBSTRING('abc' FROM 2)",
             "select"},
        Case{"SELECT TRIM('a' FROM (SELECT a FROM t))", "select: table"},
        Case{"SELECT * FROM information_schema.tables", "select: table"},
        Case{"SELECT a FROM t FOR UPDATE", "select: locking table"},
        Case{"SELECT a FROM t LOCK IN SHARE MODE", "select: locking table"},
        Case{"SELECT a FROM t FOR SHARE", "select: locking table"},
        Case{"SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1", "select: calc table"},
        Case{"SELECT FOUND_ROWS()", "select: found_rows"},
        Case{"SELECT ROW_COUNT()", "select: row_count"},
        Case{"SELECT CONNECTION_ID()", "select: connection_id"},
        Case{"SELECT LAST_INSERT_ID()", "select: last_id"},
        Case{"SELECT LAST_INSERT_ID( /* none */ )", "select: last_id"},
        Case{"SELECT LAST_INSERT_ID(5)", "select: last_id sets_last_id"},
        Case{"SELECT @@last_insert_id", "select: last_id sysvar"},
        Case{"SELECT @@session.identity", "select: last_id sysvar"},
        Case{"SELECT @@warning_count", "select: warnings sysvar"},
        Case{"SELECT @@local . `error_count`", "select: warnings sysvar"},
        Case{"SELECT @@pseudo_thread_id", "select: sysvar connection_id"},
        Case{"SELECT @@last_gtid", "select: sysvar status"},
        Case{"SELECT 1 INTO OUTFILE '/tmp/x'", "select: outfile"},
        Case{"SELECT a FROM t INTO DUMPFILE '/tmp/x'", "select: table outfile"},
        Case{"VALUES (1)", "select"}, Case{"VALUES (1), (2)", "select"},
        Case{"WITH x AS (SELECT 1) SELECT * FROM x", "select: table"},
        Case{"WITH RECURSIVE x (n) AS (SELECT 1), y (a, b) AS (SELECT 1, 2) SELECT * FROM x, y",
             "select: table"},
        Case{"WITH x AS (SELECT 1) (SELECT * FROM x)", "select: table"},
        Case{"WITH x AS (SELECT 1) DELETE FROM t", "dml: table"},
        Case{"WITH x AS (SELECT 1) UPDATE t SET a=1", "dml: table"},
        Case{"WITH x AS (SELECT a FROM t FOR UPDATE) SELECT 1", "select: locking table"},
        Case{"WITH x AS (SELECT 1)", "other: careful"}));

INSTANTIATE_TEST_SUITE_P(
    NotPlainSelects, KindTest,
    testing::Values(
        Case{"SELECT 5 INTO @x", "select: reads_var writes_var"},
        Case{"SELECT a, b FROM t LIMIT 1 INTO @a, @b", "select: reads_var writes_var table"},
        Case{"SELECT 5 INTO/**/@x", "select: reads_var writes_var"},
        Case{"SELECT @a:=1", "select: reads_var writes_var"},
        Case{"SELECT @a := @a + 1 FROM t", "select: reads_var writes_var table"},
        Case{"SELECT @`a b`", "select: reads_var"},
        Case{"SELECT @'a', @\"b\"", "select: reads_var"},
        Case{"SELECT f(1)", "select: unknown table"},
        Case{"SELECT sys.fn()", "select: unknown table"},
        Case{"SELECT `f`(1)", "select: unknown table"},
        Case{"SELECT `count`(1)", "select: unknown table"},
        Case{"SELECT count (1)", "select: unknown table"},
        Case{"SELECT count/**/(1)", "select: unknown table"},
        Case{"SELECT t.abs(1)", "select: unknown table"},
        Case{"SELECT t . abs (1)", "select: unknown table"},
        Case{"SELECT 1; SET @x=2", "select: multi"},
        Case{"SELECT 1; SELECT f(2)", "select: unknown multi table"},
        Case{"/*!40101 SET @x=1 */", "set: hint"}, Case{"/*!40101 SET*/ @x=1", "set: hint"},
        Case{"SELECT 1 /*! INTO @x */", "select: reads_var writes_var hint"},
        Case{"SELECT 1 /*M!100100 INTO @x */", "select: reads_var writes_var hint"},
        Case{"SELECT 1 /*!50701 INTO @x */", "select: hint"},
        Case{"SELECT GET_LOCK('a', 1)", "select: lock"},
        Case{"SELECT RELEASE_LOCK('a')", "select: lock"},
        Case{"SELECT `get_lock`('a', 1)", "select: lock unknown table"},
        Case{"SELECT `last_insert_id`(1)", "select: unknown last_id sets_last_id table"},
        Case{"SELECT RELEASE_ALL_LOCKS()", "select: lock"},
        Case{"SELECT IS_FREE_LOCK('a'), IS_USED_LOCK('a')", "select"},
        Case{"DO GET_LOCK('a', 1)", "do: lock"}, Case{"DO SLEEP(1), 2", "do"},
        Case{"SELECT NEXTVAL(s)", "select: unknown table"},
        Case{"SELECT LASTVAL(s)", "select: unknown table"},
        Case{"SELECT SETVAL(s, 5)", "select: unknown table"},
        Case{"SELECT NEXT VALUE FOR s", "select: unknown table"},
        Case{"SELECT PREVIOUS VALUE FOR s", "select: unknown table"},
        Case{"SELECT 1 PROCEDURE ANALYSE()", "select: unknown table"},
        Case{"SELECT BENCHMARK(1, f())", "select: unknown table"},
        Case{"SELECT (((f(1))))", "select: unknown table"},
        Case{"SELECT 1 FROM t JOIN u ON f(t.a), v", "select: unknown table"},
        Case{"SELECT 1 FROM t, f(1)", "select: unknown table"},
        Case{"SELECT 1 FROM t WHERE a IN (1, f(2))", "select: unknown table"},
        Case{"SELECT 1 FROM t ORDER BY a, f(b)", "select: unknown table"},
        Case{"SELECT 1 FROM t GROUP BY a, f(b) WITH ROLLUP", "select: unknown table"},
        Case{"SELECT 1 FROM t LIMIT 1, 2", "select: table"},
        Case{"(WITH x AS (TABLE t) TABLE x) UNION (SELECT 1, f(2))", "select: unknown table"},
        Case{"WITH x AS (SELECT 1) SELECT 1, f(2)", "select: unknown table"},
        Case{"WITH x AS (SELECT f(1)) SELECT 1", "select: unknown table"},
        Case{"INSERT INTO t VALUES (1), (f(2))", "dml: unknown table"},
        Case{"INSERT INTO t SELECT a FROM u ON DUPLICATE KEY UPDATE a=1, b=f(2)",
             "dml: unknown table"},
        Case{"SELECT {fn f(1)}", "select: unknown table"},
        Case{"SELECT {fn NOW()}, {d '2020-01-01'}", "select"}));

INSTANTIATE_TEST_SUITE_P(
    Changes, KindTest,
    testing::Values(Case{"INSERT INTO t (a) VALUES (1)", "dml: table"},
                    Case{"INSERT INTO t(a) VALUE (1)", "dml: table"},
                    Case{"INSERT t () VALUES ()", "dml: table"},
                    Case{"INSERT LOW_PRIORITY IGNORE INTO t (a) SELECT 1", "dml: table"},
                    Case{"INSERT INTO t SET a=1", "dml: table"},
                    Case{"INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE a=VALUES(a)",
                         "dml: table"},
                    Case{"INSERT INTO t PARTITION (p0) (a) VALUES (1)", "dml: table"},
                    Case{"INSERT INTO t (a) VALUES (1) RETURNING a", "dml: table"},
                    Case{"REPLACE INTO t (a) VALUES (1)", "dml: table"},
                    Case{"REPLACE t VALUES (1)", "dml: table"},
                    Case{"UPDATE t SET a=a+1 WHERE id=1", "dml: table"},
                    Case{"UPDATE t, u SET t.a=u.a", "dml: table"},
                    Case{"UPDATE LOW_PRIORITY IGNORE t SET a=1", "dml: table"},
                    Case{"UPDATE t SET a=(@x := a)", "dml: reads_var writes_var table"},
                    Case{"DELETE FROM t WHERE a=1", "dml: table"},
                    Case{"DELETE t FROM t JOIN u", "dml: table"},
                    Case{"DELETE QUICK FROM t USING t JOIN u", "dml: table"},
                    Case{"LOAD DATA INFILE 'x' INTO TABLE t (a, b)", "dml: table"},
                    Case{"LOAD DATA LOCAL INFILE 'x' INTO TABLE t", "dml: local table"},
                    Case{"LOAD DATA CONCURRENT LOCAL INFILE 'x' INTO TABLE t (a, @b) SET c=@b",
                         "dml: reads_var writes_var local table"},
                    Case{"LOAD XML LOCAL INFILE 'x' INTO TABLE t", "dml: local table"},
                    Case{"LOAD INDEX INTO CACHE t", "admin: commits table"},
                    Case{"CALL p()", "call: unknown table"},
                    Case{"CALL d.p(@x)", "call: reads_var writes_var unknown table"}));

INSTANTIATE_TEST_SUITE_P(
    Definitions, KindTest,
    testing::Values(
        Case{"CREATE TABLE t (a INT, b DECIMAL(10,2), c ENUM('x'), KEY i (a), PRIMARY KEY (b))",
             "ddl: commits table"},
        Case{"CREATE TABLE t LIKE u", "ddl: commits table"},
        Case{"CREATE TABLE t (a INT) AS SELECT f(1)", "ddl: unknown commits table"},
        Case{"CREATE TABLE t (a INT) PARTITION BY RANGE (a) (PARTITION p0 VALUES LESS THAN (5), "
             "PARTITION p1 VALUES IN (g(1)))",
             "ddl: commits table"},
        Case{"CREATE TEMPORARY TABLE t (a INT)", "ddl: temp table"},
        Case{"CREATE OR REPLACE TEMPORARY TABLE t (a INT)", "ddl: temp table"},
        Case{"CREATE /*!50000 TEMPORARY */ TABLE t (a INT)", "ddl: temp table hint"},
        Case{"CREATE TEMPORARY SEQUENCE s", "ddl: temp table"},
        Case{"CREATE TEMPORARY TABLE t SELECT @x:=1", "ddl: reads_var writes_var temp table"},
        Case{"DROP TEMPORARY TABLE t", "ddl: drops_temp table"},
        Case{"DROP TABLE IF EXISTS t", "ddl: commits table"},
        Case{"ALTER TABLE t ADD COLUMN b VARCHAR(10)", "ddl: commits table"},
        Case{"CREATE INDEX i ON t (a)", "ddl: commits table"},
        Case{"TRUNCATE t", "ddl: commits table"}, Case{"TRUNCATE TABLE t", "ddl: commits table"},
        Case{"RENAME TABLE a TO b", "ddl: commits table"},
        Case{"CREATE DATABASE d", "ddl: commits table"},
        Case{"CREATE USER 'a'@'h' IDENTIFIED BY 'p'", "ddl: commits table"},
        Case{"CREATE DEFINER=root@localhost VIEW v (a) AS SELECT 1", "ddl: commits table"},
        Case{"CREATE DEFINER=`root`@`%` TRIGGER g BEFORE UPDATE ON t FOR EACH ROW SET NEW.a=1",
             "ddl: commits table"},
        Case{"CREATE EVENT e ON SCHEDULE AT f(1) DO DELETE FROM t", "ddl: unknown commits table"},
        Case{"CREATE PROCEDURE p() SELECT 1", "ddl: commits table"},
        // Where the body ends is not known without a parser: what follows counts as statements.
        Case{"CREATE PROCEDURE p() BEGIN SELECT 1; END", "ddl: careful"}));

INSTANTIATE_TEST_SUITE_P(
    Transactions, KindTest,
    testing::Values(
        Case{"BEGIN", "begin: commits"}, Case{"begin work;", "begin: commits"},
        Case{"BEGIN;;", "begin: commits"}, Case{"BEGIN NOT ATOMIC SET @a=1; END", "other: careful"},
        Case{"BEGIN SELECT 1; END", "other: careful"}, Case{"START TRANSACTION", "begin: commits"},
        Case{"START TRANSACTION READ ONLY", "begin: commits read_only"},
        Case{"START TRANSACTION READ WRITE", "begin: commits"},
        Case{"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
             "begin: commits snapshot read_only"},
        Case{"START TRANSACTION READ", "other: careful"},
        Case{"START TRANSACTION READ ONLY,", "other: careful read_only"},
        Case{"START SLAVE", "admin: commits table"},
        Case{"START ALL SLAVES", "admin: commits table"}, Case{"COMMIT", "commit"},
        Case{"COMMIT WORK", "commit"}, Case{"COMMIT AND CHAIN", "commit: chain"},
        Case{"COMMIT WORK AND NO CHAIN NO RELEASE", "commit"},
        Case{"COMMIT RELEASE", "commit: release"},
        Case{"ROLLBACK AND CHAIN NO RELEASE", "rollback: chain"}, Case{"ROLLBACK", "rollback"},
        Case{"COMMIT x", "other: careful"}, Case{"COMMIT NO", "other: careful"},
        Case{"ROLLBACK TO s", "savepoint"}, Case{"ROLLBACK WORK TO SAVEPOINT s", "savepoint"},
        Case{"SAVEPOINT s", "savepoint"}, Case{"RELEASE SAVEPOINT s", "savepoint"},
        Case{"RELEASE x", "other: careful"}, Case{"XA START 'x'", "xa"},
        Case{"XA COMMIT 'x'", "xa"}, Case{"XA RECOVER", "xa"}));

INSTANTIATE_TEST_SUITE_P(
    Locks, KindTest,
    testing::Values(Case{"LOCK TABLES t READ", "lock_tables: commits table"},
                    Case{"LOCK TABLE t WRITE, u READ LOCAL", "lock_tables: commits table"},
                    Case{"LOCK INSTANCE FOR BACKUP", "lock_tables: table"},
                    Case{"UNLOCK TABLES", "unlock_tables: commits"},
                    Case{"UNLOCK INSTANCE", "unlock_tables"},
                    Case{"FLUSH TABLES", "admin: commits table"},
                    Case{"FLUSH TABLES WITH READ LOCK", "lock_tables: commits table"},
                    Case{"FLUSH LOCAL TABLES a, b WITH READ LOCK", "lock_tables: commits table"},
                    Case{"FLUSH TABLES t FOR EXPORT", "lock_tables: commits table"},
                    Case{"FLUSH PRIVILEGES", "admin: commits table"},
                    Case{"BACKUP STAGE START", "lock_tables: commits table"},
                    Case{"BACKUP STAGE END", "unlock_tables: commits table"},
                    Case{"BACKUP LOCK t", "lock_tables: commits table"},
                    Case{"BACKUP UNLOCK", "unlock_tables: commits table"},
                    Case{"HANDLER t OPEN", "handler: table"},
                    Case{"HANDLER t READ FIRST", "handler: table"}));

INSTANTIATE_TEST_SUITE_P(
    Texts, KindTest,
    testing::Values(Case{"PREPARE s FROM 'SELECT 1'", "prepare: unknown table"},
                    Case{"PREPARE s FROM @x", "prepare: reads_var unknown table"},
                    Case{"EXECUTE s", "execute: unknown table"},
                    Case{"EXECUTE s USING @a", "execute: reads_var writes_var unknown table"},
                    Case{"EXECUTE IMMEDIATE 'SET @x=1'", "execute: unknown table"},
                    Case{"DEALLOCATE PREPARE s", "deallocate"},
                    Case{"DROP PREPARE s", "deallocate"}));

INSTANTIATE_TEST_SUITE_P(
    Shows, KindTest,
    testing::Values(Case{"SHOW VARIABLES", "show"}, Case{"SHOW GLOBAL VARIABLES LIKE 'x%'", "show"},
                    Case{"SHOW STATUS", "show: status"},
                    Case{"SHOW SESSION STATUS", "show: status"}, Case{"SHOW GLOBAL STATUS", "show"},
                    Case{"SHOW TABLES", "show: table"}, Case{"SHOW DATABASES", "show: table"},
                    Case{"SHOW FULL COLUMNS FROM t", "show: table"},
                    Case{"SHOW CREATE TABLE t", "show: table"}, Case{"SHOW PROCESSLIST", "show"},
                    Case{"SHOW WARNINGS", "show: warnings exactly"},
                    Case{"SHOW ERRORS;", "show: warnings exactly"},
                    Case{"SHOW WARNINGS LIMIT 1", "show: warnings"},
                    Case{"SHOW COUNT(*) WARNINGS", "show: warnings"},
                    Case{"SHOW WARNINGS; SELECT 1", "show: warnings multi"},
                    Case{"SHOW ENGINE INNODB STATUS", "show"},
                    Case{"SHOW TABLE STATUS", "show: table"}, Case{"SHOW GRANTS FOR u@h", "show"},
                    Case{"SHOW GRANTS FOR 'u'@'h'", "show"}, Case{"SHOW PROFILES", "show: status"},
                    Case{"SHOW TABLES WHERE f(1)", "show: unknown table"},
                    Case{"SHOW VARIABLES WHERE @x := 1", "show: reads_var writes_var"},
                    Case{"DESCRIBE t", "show: table"}, Case{"DESC t a", "show: table"},
                    Case{"EXPLAIN t", "show: table"}, Case{"EXPLAIN SELECT 1", "show"},
                    Case{"EXPLAIN EXTENDED SELECT a FROM t", "show: table"},
                    Case{"EXPLAIN FORMAT=JSON UPDATE t SET a=1", "show: table"},
                    Case{"EXPLAIN format", "show: table"}, Case{"EXPLAIN (SELECT 1)", "show"},
                    Case{"EXPLAIN WITH x AS (SELECT 1) SELECT 1", "show"},
                    Case{"EXPLAIN SELECT f(1)", "show: unknown table"},
                    Case{"EXPLAIN FOR CONNECTION 5", "show"},
                    Case{"SHOW EXPLAIN FOR 1", "show: table"}, Case{"ANALYZE SELECT 1", "select"},
                    Case{"ANALYZE FORMAT=JSON SELECT a FROM t", "select: table"},
                    Case{"ANALYZE UPDATE t SET a=1", "dml: table"},
                    Case{"ANALYZE TABLE t", "admin: commits table"},
                    Case{"ANALYZE LOCAL TABLE t", "admin: commits table"}, Case{"HELP 'x'", "show"},
                    Case{"CHECKSUM TABLE t", "show: table"}));

INSTANTIATE_TEST_SUITE_P(
    Others, KindTest,
    testing::Values(Case{"GRANT SELECT (a) ON d.t TO u@h", "admin: commits table"},
                    Case{"OPTIMIZE TABLE t", "admin: commits table"},
                    Case{"INSTALL PLUGIN p SONAME 'x'", "admin: commits table"},
                    Case{"SHUTDOWN", "admin: commits table"},
                    Case{"CHANGE MASTER TO MASTER_HOST='x'", "admin: commits table"},
                    Case{"IMPORT TABLE FROM 'x'", "admin: commits table"},
                    Case{"CLONE LOCAL DATA DIRECTORY = 'x'", "admin: commits table"},
                    Case{"SIGNAL SQLSTATE '45000'", "other: careful"},
                    Case{"RESIGNAL", "other: careful"},
                    Case{"GET DIAGNOSTICS @a = NUMBER", "other: careful warnings"},
                    Case{"BINLOG 'x'", "other: careful"},
                    Case{"IF 1 THEN SELECT 1; END IF", "other: careful"},
                    Case{"FOR i IN 1..2 DO SELECT 1; END FOR", "other: careful"},
                    Case{"x: BEGIN NOT ATOMIC SELECT 1; END", "other: careful"},
                    Case{"LOOP SELECT 1; END LOOP", "other: careful"},
                    Case{"FROBNICATE", "other: careful"}, Case{"1", "other: careful"},
                    Case{"'x'", "other: careful"}, Case{"(BEGIN)", "other: careful"},
                    Case{"{call p()}", "other: careful"}, Case{"@x := 1", "other: careful"}));

class MySqlKindTest : public testing::TestWithParam<Case> {};

TEST_P(MySqlKindTest, MySql9) { EXPECT_EQ(Summary(GetParam().text, MySql()), GetParam().summary); }

INSTANTIATE_TEST_SUITE_P(
    MySql, MySqlKindTest,
    testing::Values(Case{"TABLE t", "select: table"}, Case{"TABLE d.t ORDER BY a", "select: table"},
                    Case{"VALUES ROW(1), ROW(2)", "select"}, Case{"SELECT $$", "select"},
                    Case{"SELECT $$a$$", "select"}, Case{"SELECT $x$ ; SET @a=1 $x$", "select"},
                    Case{"SELECT 1 AS $a; SET @x=1", "select: multi"},
                    Case{"EXPLAIN ANALYZE SELECT a FROM t", "select: table"},
                    Case{"EXPLAIN ANALYZE FORMAT=TREE UPDATE t SET a=1", "dml: table"},
                    Case{"EXPLAIN ANALYZE t", "other: careful"},
                    Case{"EXPLAIN FORMAT=JSON INTO @x SELECT 1", "show: writes_var"},
                    Case{"EXPLAIN FOR SCHEMA d SELECT 1", "show"},
                    Case{"SELECT * FROM t, LATERAL (SELECT 1) x (a)", "select: table"},
                    Case{"SELECT * FROM (SELECT 1, 2) AS x (a, b)", "select"},
                    Case{"SELECT * FROM (SELECT 1, 2) x (a, b)", "select"},
                    Case{"SELECT * FROM (VALUES ROW(1, 2), ROW(3, 4)) AS v (a, b)", "select"},
                    Case{"SELECT * FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) AS j",
                         "select"},
                    Case{"INSERT INTO t (a) VALUES (1) AS new (a) ON DUPLICATE KEY UPDATE a=new.a",
                         "dml: table"},
                    Case{"SELECT 1 MEMBER OF ('[1]')", "select"},
                    Case{"SELECT 1 EXCEPT (SELECT 2)", "select"},
                    Case{"SELECT ROW_NUMBER() OVER (ORDER BY a) FROM t WINDOW w AS (ORDER BY a)",
                         "select: table"},
                    Case{"SELECT NEXTVAL(s)", "select: unknown table"},
                    Case{"SELECT 1 /*M! INTO @x */", "select"},
                    Case{"SELECT 1 /*!50701 INTO @x */", "select: reads_var writes_var hint"},
                    Case{"SELECT 1 /*!100000 INTO @x */", "select: hint"},
                    Case{"SELECT /*+ SET_VAR(sort_buffer_size=1) */ 1", "select: hint"},
                    Case{"SELECT /*+ QB_NAME(`a*/`) */ 1", "select: careful hint"},
                    Case{"START GROUP_REPLICATION", "admin: commits table"},
                    Case{"RESTART", "admin: commits table"},
                    Case{"SET STATEMENT max_statement_time=1 FOR SELECT 1", "other: careful"},
                    Case{"DELETE HISTORY FROM t", "dml: table"}));

TEST(KindTest, DollarQuotesOfUncertainVersionsAreCareful) {
  EXPECT_EQ(Summary("SELECT $$", MySql(80036)), "select");
  EXPECT_EQ(Summary("SELECT $$ + $$", MySql(80036)), "select: careful");
  EXPECT_EQ(Summary("SELECT $$ + $$", MySql(50744)), "select");
}

TEST(KindTest, OracleModeTrustsNothing) {
  LexerMode mode;
  mode.oracle = true;
  EXPECT_EQ(Summary("SELECT f FROM t", mode), "select: unknown table");
  EXPECT_EQ(Summary("BEGIN", mode), "other: careful");
}

TEST(KindTest, IgnoreSpaceMakesFunctions) {
  LexerMode mode;
  mode.ignore_space = true;
  EXPECT_EQ(Summary("SELECT COUNT (*)", mode), "select");
  EXPECT_EQ(Summary("SELECT COUNT /**/ (*)", mode), "select: unknown table");
}

TEST(KindTest, AnUnseenRestMayDoAnything) {
  EXPECT_EQ(Summary(Analyze("INSERT INTO t VALUES ('abc", MariaDb(), true)), "dml: careful");
  EXPECT_EQ(Summary(Analyze("SELECT 1", MariaDb(), true)), "select: careful");
  EXPECT_EQ(Summary(Analyze("COMMIT", MariaDb(), true)), "other: careful");
  const StatementInfo set = Analyze("SET @a=1", MariaDb(), true);
  EXPECT_EQ(Summary(set), "other: careful");
  EXPECT_TRUE(set.assignments.empty());
}

TEST(KindTest, SeveralStatements) {
  const StatementInfo info = Analyze("USE a; SET @x=1; KILL 5; SELECT * FROM b.t", MariaDb());
  EXPECT_EQ(Summary(info), "use: multi table");
  EXPECT_EQ(info.schema_name, "a");
  EXPECT_EQ(info.schemas, (std::vector<std::string>{"a", "b"}));
  ASSERT_EQ(info.assignments.size(), 1u);
  EXPECT_EQ(info.assignments[0].name, "x");
  EXPECT_FALSE(info.kill_id_is_literal);
  EXPECT_EQ(info.later_kinds, 1u << static_cast<int>(StatementKind::kSet) |
                                  1u << static_cast<int>(StatementKind::kKill) |
                                  1u << static_cast<int>(StatementKind::kSelect));
}

TEST(KindTest, Kill) {
  const auto kill = [](std::string_view text) { return Analyze(text, MariaDb()); };
  EXPECT_EQ(kill("KILL 12").kill_id, 12u);
  EXPECT_TRUE(kill("KILL 12;").kill_id_is_literal);
  EXPECT_FALSE(kill("KILL 12").kill_query_only);
  EXPECT_TRUE(kill("kill query 12").kill_query_only);
  EXPECT_EQ(kill("kill hard query 12").kill_id, 12u);
  EXPECT_EQ(kill("KILL SOFT CONNECTION 18446744073709551615").kill_id, UINT64_MAX);
  for (const std::string_view text :
       {"KILL 18446744073709551616", "KILL 1+1", "KILL @x", "KILL QUERY ID 5", "KILL USER x",
        "KILL (SELECT 1)", "KILL 1.5", "KILL -1", "KILL 0x5", "KILL '5'", "KILL"}) {
    EXPECT_EQ(kill(text).kind, StatementKind::kKill) << text;
    EXPECT_FALSE(kill(text).kill_id_is_literal) << text;
  }
  EXPECT_TRUE(kill("KILL f(1)").Has(kUnknownFunction));
}

TEST(KindTest, PreparedNames) {
  EXPECT_EQ(Analyze("PREPARE `S``1` FROM 'x'", MariaDb()).text_prepare_name, "s`1");
  EXPECT_EQ(Analyze("EXECUTE Stmt", MariaDb()).text_prepare_name, "stmt");
  EXPECT_EQ(Analyze("DROP PREPARE Stmt", MariaDb()).text_prepare_name, "stmt");
  EXPECT_EQ(Analyze("EXECUTE IMMEDIATE 'x'", MariaDb()).text_prepare_name, "");
}

TEST(KindTest, Use) {
  EXPECT_EQ(Analyze("USE `a``b`", MariaDb()).schema_name, "a`b");
  EXPECT_EQ(Analyze("use mysql;", MariaDb()).schema_name, "mysql");
  EXPECT_EQ(Summary("USE"), "other: careful");
  EXPECT_EQ(Summary("USE a b"), "other: careful");
}

TEST(KindTest, EveryKindHasAName) {
  for (int kind = 0; kind <= static_cast<int>(StatementKind::kOther); ++kind) {
    EXPECT_NE(KindName(static_cast<StatementKind>(kind)), "unknown");
  }
}

}  // namespace
}  // namespace bulkhead::sql
