// Which schema names the analyzer sees.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/sql/charset.h"
#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Schemas(std::string_view text, const LexerMode& mode = MariaDb()) {
  return Analyze(text, mode).schemas;
}

TEST(SchemaNamesTest, OfTables) {
  EXPECT_THAT(Schemas("SELECT * FROM a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT * FROM a . t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT * FROM `a``b`.t, c.`t`"), ElementsAre("a`b", "c"));
  EXPECT_THAT(Schemas("SELECT * FROM t JOIN a.u ON t.x=u.y, b.v"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("SELECT * FROM t STRAIGHT_JOIN a.u"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT * FROM (a.t, b.u)"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("SELECT * FROM (SELECT 1 FROM a.t) x, b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("SELECT * FROM t1 FORCE INDEX FOR ORDER BY (i), a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT * FROM t1 JOIN t2 ON REPLACE(x,'a','b')=1, a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT * FROM t WHERE x IN (SELECT y FROM a.u)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("INSERT INTO a.t (x) SELECT y FROM b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("INSERT a.t VALUES (1)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("REPLACE DELAYED INTO a.t VALUES (1)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("UPDATE a.t, b.u SET t.x=u.y"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("DELETE FROM a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("DELETE a.t, u.* FROM a.t JOIN b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("DELETE FROM t USING a.t JOIN b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("LOAD DATA INFILE 'x' INTO TABLE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("TABLE a.t", MySql()), ElementsAre("a"));
  EXPECT_THAT(Schemas("WITH x AS (SELECT 1 FROM a.t) SELECT * FROM x, b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("SELECT NEXTVAL(a.s)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT NEXT VALUE FOR a.s"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT 1 /*! FROM a.t */"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT 1; SELECT 2 FROM a.t; USE b"), ElementsAre("a", "b"));
}

TEST(SchemaNamesTest, OfColumnsAndFunctions) {
  EXPECT_THAT(Schemas("SELECT a.t.x, a.t.* FROM t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SELECT a.f(1)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("CALL a.p(1)"), ElementsAre("a"));
}

TEST(SchemaNamesTest, NotOfAliases) {
  EXPECT_THAT(Schemas("SELECT t.x, t.* FROM u AS t WHERE t.y=1 GROUP BY t.z, t.w"), IsEmpty());
  EXPECT_THAT(Schemas("INSERT INTO t (t.x) VALUES (1) ON DUPLICATE KEY UPDATE t.x=1, t.y=2"),
              IsEmpty());
  EXPECT_THAT(Schemas("UPDATE t JOIN u USING (x) SET t.y=1, u.z=2"), IsEmpty());
  EXPECT_THAT(Schemas("DELETE t.*, u.* FROM t JOIN u ON t.x=u.x"), IsEmpty());
  EXPECT_THAT(Schemas("SELECT STRAIGHT_JOIN t.x FROM t"), IsEmpty());
  EXPECT_THAT(Schemas("SELECT 1.5, .5, 1e5, t.1x FROM t"), IsEmpty());
  EXPECT_THAT(Schemas("SELECT * FROM t FOR UPDATE"), IsEmpty());
  EXPECT_THAT(Schemas("CREATE TABLE t AS SELECT u.x FROM u"), IsEmpty());
  EXPECT_THAT(Schemas("GRANT USAGE ON *.* TO u@h.example.com"), IsEmpty());
  EXPECT_THAT(Schemas("SELECT 'FROM a.t', `FROM a.t`, /* FROM a.t */ 1"), IsEmpty());
  EXPECT_THAT(Schemas("SELECT @a.b, @@session.sql_mode"), IsEmpty());
}

TEST(SchemaNamesTest, OfDefinitionsAndAdministration) {
  EXPECT_THAT(Schemas("CREATE TABLE a.t (x INT REFERENCES b.u (y))"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("CREATE TABLE t LIKE a.u"), ElementsAre("a"));
  EXPECT_THAT(Schemas("RENAME TABLE a.t TO b.t"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("TRUNCATE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("TRUNCATE data . t"), ElementsAre("data"));
  EXPECT_THAT(Schemas("DROP TABLE IF EXISTS a.t, b.u"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("CREATE DATABASE IF NOT EXISTS a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("CREATE OR REPLACE DATABASE a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("DROP SCHEMA `a`"), ElementsAre("a"));
  EXPECT_THAT(Schemas("ALTER DATABASE COLLATE utf8_bin"), IsEmpty());
  EXPECT_THAT(Schemas("ALTER DATABASE a COLLATE utf8_bin"), ElementsAre("a"));
  EXPECT_THAT(Schemas("GRANT SELECT ON a.* TO u"), ElementsAre("a"));
  EXPECT_THAT(Schemas("GRANT INSERT (x), UPDATE ON `a`.t TO u"), ElementsAre("a"));
  EXPECT_THAT(Schemas("LOCK TABLES a.t READ, b.u WRITE"), ElementsAre("a", "b"));
  EXPECT_THAT(Schemas("HANDLER a.t OPEN"), ElementsAre("a"));
  EXPECT_THAT(Schemas("ANALYZE TABLE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("OPTIMIZE TABLE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("CHECKSUM TABLE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("USE a"), ElementsAre("a"));
}

TEST(SchemaNamesTest, OfWhatIsNotUnderstood) {
  EXPECT_THAT(Schemas("BEGIN NOT ATOMIC SELECT x FROM a.t; END"), ElementsAre("a"));
  EXPECT_THAT(Schemas("FROBNICATE SELECT ON a.*"), ElementsAre("a"));
}

TEST(SchemaNamesTest, OfShow) {
  EXPECT_THAT(Schemas("SHOW TABLES FROM a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW TABLES IN `a` LIKE 'x'"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW TABLE STATUS FROM a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW FULL COLUMNS FROM t FROM a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW COLUMNS IN a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW INDEX FROM t"), IsEmpty());
  EXPECT_THAT(Schemas("SHOW CREATE TABLE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW CREATE DATABASE IF NOT EXISTS a"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW TABLES WHERE x IN (SELECT y FROM a.t)"), ElementsAre("a"));
  EXPECT_THAT(Schemas("SHOW VARIABLES LIKE 'x'"), IsEmpty());
  EXPECT_THAT(Schemas("DESCRIBE a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("EXPLAIN SELECT t.x FROM a.t"), ElementsAre("a"));
  EXPECT_THAT(Schemas("EXPLAIN FOR SCHEMA a SELECT 1", MySql()), ElementsAre("a"));
}

TEST(SchemaNamesTest, AreDistinctAndBounded) {
  EXPECT_THAT(Schemas("SELECT * FROM a.t, a.u, b.v, a.w"), ElementsAre("a", "b"));
  std::string text = "SELECT * FROM s0.t";
  for (int i = 1; i < 16; ++i) text += ", s" + std::to_string(i) + ".t";
  StatementInfo info = Analyze(text, MariaDb());
  EXPECT_EQ(info.schemas.size(), 16u);
  EXPECT_FALSE(info.schemas_overflow);
  text += ", s16.t";
  info = Analyze(text, MariaDb());
  EXPECT_EQ(info.schemas.size(), 16u);
  EXPECT_TRUE(info.schemas_overflow);
}

TEST(SchemaNamesTest, FollowQuotesAndCharset) {
  LexerMode ansi;
  ansi.ansi_quotes = true;
  EXPECT_THAT(Schemas("SELECT * FROM \"a\"\"b\".t", ansi), ElementsAre("a\"b"));
  LexerMode gbk;
  SetClientCharset("gbk", &gbk);
  // 0xBF60 is one character, not the end of the name.
  EXPECT_THAT(Schemas("SELECT * FROM `\xBF`x`.t", gbk), ElementsAre("\xBF`x"));
}

}  // namespace
}  // namespace bulkhead::sql
