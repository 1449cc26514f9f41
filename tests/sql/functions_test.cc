// Which calls are built in.
#include <gtest/gtest.h>

#include <set>

#include "proxy/sql/builtin_functions.h"
#include "proxy/sql/words.h"
#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

bool Unknown(std::string_view expression, const LexerMode& mode = MariaDb()) {
  return Analyze("SELECT " + std::string(expression), mode).Has(kUnknownFunction);
}

// INFORMATION_SCHEMA.SQL_FUNCTIONS of MariaDB 10.11.
constexpr std::string_view kMariaDbFunctions =
    "ADDDATE BIT_AND BIT_OR BIT_XOR CAST COUNT CUME_DIST CURDATE CURTIME DATE_ADD DATE_SUB "
    "DENSE_RANK EXTRACT FIRST_VALUE GROUP_CONCAT JSON_ARRAYAGG JSON_OBJECTAGG LAG LEAD MAX MEDIAN "
    "MID MIN NOW NTH_VALUE NTILE POSITION PERCENT_RANK PERCENTILE_CONT PERCENTILE_DISC RANK "
    "SESSION_USER STD STDDEV STDDEV_POP STDDEV_SAMP SUBDATE SUBSTR SUBSTRING SUM SYSTEM_USER TRIM "
    "TRIM_ORACLE VARIANCE VAR_POP VAR_SAMP ABS ACOS ADDTIME ADD_MONTHS AES_DECRYPT AES_ENCRYPT "
    "ASIN "
    "ATAN ATAN2 BENCHMARK BIN BINLOG_GTID_POS BIT_COUNT BIT_LENGTH CEIL CEILING CHARACTER_LENGTH "
    "CHAR_LENGTH CHR COALESCE COERCIBILITY COLLATION COLUMN_CHECK COLUMN_EXISTS COLUMN_LIST "
    "COLUMN_JSON COMPRESS CONCAT CONCAT_OPERATOR_ORACLE CONCAT_WS CONNECTION_ID CONV CONVERT_TZ "
    "COS "
    "COT CRC32 CRC32C DATABASE DATEDIFF DATE_FORMAT DAYNAME DAYOFMONTH DAYOFWEEK DAYOFYEAR DECODE "
    "DEGREES DECODE_HISTOGRAM DECODE_ORACLE DES_DECRYPT DES_ENCRYPT ELT ENCODE ENCRYPT EXP "
    "EXPORT_SET EXTRACTVALUE FIELD FIND_IN_SET FLOOR FORMAT FOUND_ROWS FROM_BASE64 FROM_DAYS "
    "FROM_UNIXTIME GET_LOCK GREATEST HEX IFNULL INSTR ISNULL IS_FREE_LOCK IS_USED_LOCK JSON_ARRAY "
    "JSON_ARRAY_APPEND JSON_ARRAY_INSERT JSON_COMPACT JSON_CONTAINS JSON_CONTAINS_PATH JSON_DEPTH "
    "JSON_DETAILED JSON_PRETTY JSON_EQUALS JSON_EXISTS JSON_EXTRACT JSON_INSERT JSON_KEYS "
    "JSON_LENGTH JSON_LOOSE JSON_MERGE JSON_MERGE_PATCH JSON_MERGE_PRESERVE JSON_NORMALIZE "
    "JSON_QUERY JSON_QUOTE JSON_OBJECT JSON_OVERLAPS JSON_REMOVE JSON_REPLACE JSON_SET JSON_SEARCH "
    "JSON_TYPE JSON_UNQUOTE JSON_VALID JSON_VALUE LAST_DAY LAST_INSERT_ID LCASE LEAST LENGTH "
    "LENGTHB LN LOAD_FILE LOCATE LOG LOG10 LOG2 LOWER LPAD LPAD_ORACLE LTRIM LTRIM_ORACLE MAKEDATE "
    "MAKETIME MAKE_SET MASTER_GTID_WAIT MASTER_POS_WAIT MD5 MICROSECOND MOD MONTHNAME NAME_CONST "
    "NATURAL_SORT_KEY NVL NVL2 NULLIF OCT OCTET_LENGTH OLD_PASSWORD ORD PASSWORD PERIOD_ADD "
    "PERIOD_DIFF PI POW POWER QUARTER QUOTE RANDOM_BYTES REGEXP_INSTR REGEXP_REPLACE REGEXP_SUBSTR "
    "RADIANS RAND RELEASE_ALL_LOCKS RELEASE_LOCK REPLACE_ORACLE REVERSE ROUND ROW_COUNT RPAD "
    "RPAD_ORACLE RTRIM RTRIM_ORACLE SEC_TO_TIME SFORMAT SCHEMA SHA SHA1 SHA2 SIGN SIN SLEEP "
    "SOUNDEX "
    "SPACE SQRT STRCMP STR_TO_DATE SUBSTR_ORACLE SUBSTRING_INDEX SUBTIME SYS_GUID TAN TIMEDIFF "
    "TIME_FORMAT TIME_TO_SEC TO_BASE64 TO_CHAR TO_DAYS TO_SECONDS UCASE UNCOMPRESS "
    "UNCOMPRESSED_LENGTH UNHEX UNIX_TIMESTAMP UPDATEXML UPPER UUID_SHORT VERSION WEEK WEEKDAY "
    "WEEKOFYEAR WSREP_LAST_WRITTEN_GTID WSREP_LAST_SEEN_GTID WSREP_SYNC_WAIT_UPTO_GTID YEARWEEK "
    "INET6_NTOA IS_IPV6 INET_ATON IS_IPV4_MAPPED INET_NTOA IS_IPV4 IS_IPV4_COMPAT UUID INET6_ATON";

TEST(FunctionsTest, TableHasNoDuplicatesAndFindsAll) {
  std::set<std::string_view> seen;
  for (const WordGroup& group : kWordGroups) {
    std::string_view rest = group.words;
    while (!rest.empty()) {
      const std::string_view name = rest.substr(0, rest.find(' '));
      rest.remove_prefix(std::min(rest.size(), name.size() + 1));
      EXPECT_TRUE(seen.insert(name).second) << name;
      const Word* word = FindWord(name);
      ASSERT_NE(word, nullptr) << name;
      EXPECT_EQ(word->form, group.form) << name;
      EXPECT_EQ(word->keyword, Keyword::kNone) << name;
      EXPECT_LE(name.size(), kMaxWordLength);
      std::string lower(name);
      for (char& c : lower) c = static_cast<char>(std::tolower(c));
      EXPECT_EQ(FindWord(lower), word) << name;
      EXPECT_NE(FindWord(lower + "x"), word) << name;
      EXPECT_NE(FindWord(lower.substr(1)), word) << name;
    }
  }
  EXPECT_GT(seen.size(), 500u);
}

TEST(FunctionsTest, OtherWordsAreNotFound) {
  for (const std::string_view word : {"", "c", "sbtest1", "ident", "selec", "selects",
                                      "sel\xC3\xA9"
                                      "ct",
                                      "GET-LOCK", "a_word_that_is_longer_than_thirty_two_bytes"}) {
    EXPECT_EQ(FindWord(word), nullptr) << word;
  }
  ASSERT_NE(FindWord("SeLeCt"), nullptr);
  EXPECT_EQ(FindWord("SeLeCt")->keyword, Keyword::kSelect);
}

TEST(FunctionsTest, AllOfMariaDb) {
  std::string_view rest = kMariaDbFunctions;
  while (!rest.empty()) {
    const std::string_view name = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    EXPECT_FALSE(Unknown(std::string(name) + "(1)")) << name;
    EXPECT_TRUE(Unknown("`" + std::string(name) + "`(1)")) << name;
    EXPECT_TRUE(Unknown("d." + std::string(name) + "(1)")) << name;
  }
}

TEST(FunctionsTest, CommonExpressions) {
  for (const std::string_view expression :
       {"IF(1,2,3), LEFT('a',1), RIGHT('a',1), REPLACE('a','b','c'), INSERT('a',1,1,'b')",
        "VALUES(a) FROM t",
        "SCHEMA(), DATABASE(), USER(), CURRENT_USER(), VERSION()",
        "MATCH(a, b) AGAINST('x' IN BOOLEAN MODE) FROM t",
        "MATCH (a) AGAINST ('x')",
        "CONVERT('a' USING utf8), CONVERT(1, DECIMAL(10,2)), CONVERT('x', DATETIME(6))",
        "CAST(1 AS CHAR(10)), CAST(1 AS DECIMAL (10,2)), CAST('x' AS TIME(3))",
        "a IN (1,2), a NOT IN (1), (a) = (1), NOT (1), EXISTS (SELECT 1), 1 = ANY (SELECT 1)",
        "SUM(a) OVER (PARTITION BY b ORDER BY c), ROW_NUMBER() OVER w FROM t WINDOW w AS (ORDER BY "
        "a)",
        "LAG(a) OVER (ORDER BY a), PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY a) OVER ()",
        "a FROM t USE INDEX (i) WHERE b",
        "a FROM t FORCE INDEX FOR JOIN (i)",
        "a FROM t JOIN u USING (a)",
        "a FROM t PARTITION (p0, p1)",
        "JSON_VALUE('{}', '$.a'), JSON_EXTRACT(a, '$') FROM t",
        "GROUP_CONCAT(DISTINCT a ORDER BY a SEPARATOR ',') FROM t",
        "DATE_ADD(NOW(), INTERVAL (1) DAY), TIMESTAMPDIFF(DAY, a, b), INTERVAL(1, 2)",
        "CASE WHEN (1) THEN (2) ELSE (3) END, 1 BETWEEN (1) AND (2), 1 DIV (2), 1 XOR (2)",
        "'a' LIKE ('b') ESCAPE ('|'), 'a' REGEXP ('b'), 'a' RLIKE ('b'), 'a' SOUNDS LIKE ('b')",
        "CHAR(65), DATE('x'), TIME('x'), TIMESTAMP('x'), YEAR('x'), MOD(5,2), BINARY('a')",
        "UTC_TIMESTAMP(), LOCALTIME(), CURRENT_TIMESTAMP(6), SYSDATE(6), ROW(1,2) = ROW(1,2)",
        "POINT(1,2), ST_AsText(POINT(1,1)), TRUNCATE(1.5,1), REPEAT('a',2), POSITION('a' IN 'b')",
        "abs (1), concat ('a'), left ('a',1), if (1,2,3), coalesce (1)",
        "a, count(*) FROM t GROUP BY (a) HAVING (b) ORDER BY (a) LIMIT 1",
        "a FROM (SELECT 1) x WHERE (a) UNION (SELECT 2) UNION ALL (SELECT 3) EXCEPT (SELECT 4)",
        "DEFAULT(a), SLEEP(0), BENCHMARK(1, 1), LOAD_FILE('x'), RAND(5), UUID()"}) {
    EXPECT_FALSE(Unknown(expression)) << expression;
  }
}

// MariaDB 10.11 calls a stored function for each of these.
TEST(FunctionsTest, WordsThatAreNotReserved) {
  for (const std::string_view word :
       {"STATUS", "DATA",      "EVENT",       "LEVEL",        "NEXT",    "QUERY",      "SHARE",
        "TABLES", "TEMPORARY", "WORK",        "XML",          "CHAIN",   "CONNECTION", "JSON_TABLE",
        "LESS",   "PROFILE",   "TRANSACTION", "WARNINGS",     "LATERAL", "ID",         "ROLE",
        "ONLY",   "SEQUENCE",  "STATEMENT",   "AFTER",        "AGAINST", "COLUMNS",    "ESCAPE",
        "HASH",   "LIST",      "OF",          "SQL_NO_CACHE", "THAN",    "UNTIL"}) {
    EXPECT_TRUE(Unknown("1+" + std::string(word) + "(1)")) << word;
  }
  EXPECT_FALSE(Unknown("1 FROM JSON_TABLE('[1]', '$[*]' COLUMNS (a INT PATH '$')) x"));
}

// MariaDB 10.11 calls stored functions `point` and `linestring` with these arguments.
TEST(FunctionsTest, DependOnTheNumberOfArguments) {
  EXPECT_FALSE(Unknown("POINT(1,2), POINT((1),ABS(2)), POINT (POINT(1,2), MOD(3,4))"));
  EXPECT_TRUE(Unknown("POINT(1)"));
  EXPECT_TRUE(Unknown("POINT()"));
  EXPECT_TRUE(Unknown("POINT(1,2,3)"));
  EXPECT_TRUE(Unknown("POINT(MOD(1,2))"));
  EXPECT_TRUE(Unknown("POINT((1,2))"));
  EXPECT_FALSE(Unknown("LINESTRING(POINT(1,2),POINT(3,4))"));
  EXPECT_TRUE(Unknown("LINESTRING()"));
}

TEST(FunctionsTest, DependOnTheServer) {
  EXPECT_FALSE(Unknown("MD5('x'), SHA1('x'), SHA('x')"));
  EXPECT_FALSE(Unknown("MD5('x'), SHA1('x'), SHA('x')", MySql(80036)));
  EXPECT_TRUE(Unknown("MD5('x')", MySql(90600)));
  EXPECT_FALSE(Unknown("REGEXP_LIKE('a','b')", MySql()));
  EXPECT_TRUE(Unknown("REGEXP_LIKE('a','b')", MySql(50744)));
  EXPECT_TRUE(Unknown("REGEXP_LIKE('a','b')"));
  EXPECT_TRUE(Unknown("NVL(1,2)", MySql()));
  EXPECT_TRUE(Unknown("PASSWORD('x')", MySql()));
  EXPECT_FALSE(Unknown("PASSWORD('x')"));
  EXPECT_TRUE(Unknown("RANK(1)", MySql(50744)));
  EXPECT_TRUE(Unknown("OVER(1)", MySql(50744)));
  EXPECT_FALSE(Unknown("ST_SWAPXY(a)", MySql(80036)));
  EXPECT_FALSE(Unknown("STRING_TO_VECTOR('x')", MySql()));
  EXPECT_TRUE(Unknown("STRING_TO_VECTOR('x')", MySql(80036)));
  LexerMode old;
  old.server_version = 100500;
  EXPECT_TRUE(Unknown("SFORMAT('x')", old));
  EXPECT_FALSE(Unknown("SFORMAT('x')"));
}

TEST(FunctionsTest, NamesThatAreNoCalls) {
  for (const std::string_view text :
       {"CREATE TABLE f (a INT, g VARCHAR(10), INDEX h (a), CONSTRAINT c CHECK (a > 0))",
        "CREATE TABLE t (a INT) PARTITION BY HASH (a) PARTITIONS 4",
        "INSERT INTO d.f (a) VALUES (1)", "REPLACE f (a) VALUES (1)",
        "LOAD DATA INFILE 'x' INTO TABLE f (a)", "WITH f (a) AS (SELECT 1) SELECT * FROM f",
        "WITH f (a) AS (SELECT 1), g (b) AS (SELECT 2) SELECT * FROM g",
        "ALTER TABLE t ADD INDEX f (a), ADD COLUMN g INT(11)", "CREATE INDEX f ON g (a)",
        "CREATE VIEW f (a) AS SELECT 1", "CREATE FUNCTION f (a INT) RETURNS INT RETURN a"}) {
    EXPECT_FALSE(Analyze(text, MariaDb()).Has(kUnknownFunction)) << text;
  }
}

}  // namespace
}  // namespace bulkhead::sql
