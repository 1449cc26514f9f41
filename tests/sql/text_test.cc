// Tenant hints, string literals, digests, charsets, and how long all of it takes.
#include <gtest/gtest.h>

#include <chrono>
#include <ctime>

#include "proxy/sql/charset.h"
#include "proxy/sql/tenant_hint.h"
#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

std::string_view Hint(std::string_view text) { return Analyze(text, MariaDb()).tenant_hint; }

TEST(TenantHintTest, IsFoundAnywhereInTheStatement) {
  EXPECT_EQ(Hint("/* tenant=acme */ SELECT 1"), "acme");
  EXPECT_EQ(Hint("/*tenant='acme'*/SELECT 1"), "acme");
  EXPECT_EQ(Hint("SELECT /* tenant=\"acme\" */ 1"), "acme");
  EXPECT_EQ(Hint("SELECT 1 /* tenant = acme */"), "acme");
  EXPECT_EQ(Hint("SELECT 1; /* tenant=acme */"), "acme");
  EXPECT_EQ(Hint("/* tenant=acme */"), "acme");
  EXPECT_EQ(Hint("SELECT 1 /*controller='x',tenant='acme'*/"), "acme");
  EXPECT_EQ(Hint("SELECT 1 /*tenant='acme',traceparent='00-5bd6'*/"), "acme");
  EXPECT_EQ(Hint("/* app=shop tenant=acme x=y */ SELECT 1"), "acme");
  EXPECT_EQ(Hint("/* the shop's query, tenant=acme; more */ SELECT 1"), "acme");
  EXPECT_EQ(Hint("/* tenant=acme corp */ SELECT 1"), "acme");
  EXPECT_EQ(Hint("/* tenant='acme corp' */ SELECT 1"), "acme corp");
  EXPECT_EQ(Hint("SELECT 1 /*! /* tenant=acme */ +1 */"), "acme");
}

TEST(TenantHintTest, FirstOneCounts) {
  EXPECT_EQ(Hint("/* tenant=a */ SELECT /* tenant=b */ 1"), "a");
  EXPECT_EQ(Hint("/* tenant= */ SELECT /* tenant=b */ 1"), "b");
  EXPECT_EQ(Hint("/* tenant=a, tenant=b */ SELECT 1"), "a");
}

TEST(TenantHintTest, OfAnotherStatementDoesNotCount) {
  EXPECT_EQ(Hint("SELECT 1; /* tenant=b */ SELECT 2"), "");
  EXPECT_EQ(Hint("/* tenant=a */ SELECT 1; /* tenant=b */ SELECT 2"), "a");
}

TEST(TenantHintTest, OnlyBlockComments) {
  EXPECT_EQ(Hint("-- tenant=acme\nSELECT 1"), "");
  EXPECT_EQ(Hint("# tenant=acme\nSELECT 1"), "");
  EXPECT_EQ(Hint("SELECT '/* tenant=acme */'"), "");
  EXPECT_EQ(Hint("SELECT `/* tenant=acme */`"), "");
  EXPECT_EQ(Hint("/*!999999 tenant=acme */ SELECT 1"), "");
  EXPECT_EQ(Hint("SELECT /*+ tenant=acme */ 1"), "");
  EXPECT_EQ(Hint("SELECT 1 /* tenant=acme"), "");
}

TEST(TenantHintTest, OnlyTheKey) {
  EXPECT_EQ(FindTenantHint("xtenant=acme"), "");
  EXPECT_EQ(FindTenantHint("tenant_id=acme"), "");
  EXPECT_EQ(FindTenantHint("Tenant=acme"), "");
  EXPECT_EQ(FindTenantHint("tenant acme"), "");
  EXPECT_EQ(FindTenantHint("route='x,tenant=evil'"), "");
  EXPECT_EQ(FindTenantHint("route='x\\',tenant=evil'"), "");
  EXPECT_EQ(FindTenantHint("route='x',tenant=good"), "good");
  EXPECT_EQ(FindTenantHint("route='x, tenant=evil"), "");
  EXPECT_EQ(FindTenantHint("tenant='evil"), "");
  EXPECT_EQ(FindTenantHint("tenant=''"), "");
  EXPECT_EQ(FindTenantHint("tenant"), "");
  EXPECT_EQ(FindTenantHint("tenant="), "");
  EXPECT_EQ(FindTenantHint("=tenant=x"), "");
  EXPECT_EQ(FindTenantHint("tenant=a%20b"), "a%20b");
}

std::string Decoded(std::string_view written, const LexerMode& mode = MariaDb()) {
  std::string out;
  return DecodeStringLiteral(written, mode, &out) ? out : "(no)";
}

TEST(DecodeStringLiteralTest, Plain) {
  EXPECT_EQ(Decoded("'acme'"), "acme");
  EXPECT_EQ(Decoded("\"acme\""), "acme");
  EXPECT_EQ(Decoded("''"), "");
  EXPECT_EQ(Decoded("'a''b'"), "a'b");
  EXPECT_EQ(Decoded("'a\"\"b'"), "a\"\"b");
  EXPECT_EQ(Decoded("\"a\"\"b'c\""), "a\"b'c");
  EXPECT_EQ(Decoded("'a\\'b\\\"c\\\\d'"), "a'b\"c\\d");
  EXPECT_EQ(Decoded("'\\n\\t\\r\\b\\0\\Z\\%\\_\\q'"), std::string("\n\t\r\b\0\x1A\\%\\_q", 11));
  EXPECT_EQ(Decoded("'a' 'b'\n\"c\""), "abc");
  EXPECT_EQ(Decoded("N'a'"), "a");
  EXPECT_EQ(Decoded("_utf8'a' 'b'"), "ab");
  EXPECT_EQ(Decoded("_UTF8MB4 'a'"), "a");
}

TEST(DecodeStringLiteralTest, FollowsTheMode) {
  LexerMode mode;
  mode.no_backslash_escapes = true;
  EXPECT_EQ(Decoded("'a\\nb'", mode), "a\\nb");
  LexerMode ansi;
  ansi.ansi_quotes = true;
  EXPECT_EQ(Decoded("\"a\"", ansi), "(no)");
  LexerMode gbk;
  SetClientCharset("gbk", &gbk);
  EXPECT_EQ(Decoded("'\xBF\\n'", gbk), "\xBF\\n");
  EXPECT_EQ(Decoded("$$a'b$$", MySql()), "a'b");
}

TEST(DecodeStringLiteralTest, Refuses) {
  for (const std::string_view written :
       {"", "a", "1", "'a", "'a' b", "'a' COLLATE x", "_gbk'a'", "0x41", "x'41'", "b'1'",
        "_binary 0x41", "NULL", "@x", "CONCAT('a')", "('a')", "'a' + 1"}) {
    EXPECT_EQ(Decoded(written), "(no)") << written;
  }
}

TEST(DigestTest, ReplacesLiterals) {
  const LexerMode mode;
  EXPECT_EQ(Digest("SELECT c FROM t WHERE id=12345 AND x = 'a'", mode),
            "SELECT c FROM t WHERE id=? AND x = ?");
  EXPECT_EQ(Digest("  SELECT\n\t1,/* x */2 -- y", mode), "SELECT ?, ?");
  EXPECT_EQ(Digest("SELECT -1, 0x41, x'41', N'a', .5, `a b`, @x, \"s\"", mode),
            "SELECT -?, ?, ?, ?, ?, `a b`, @x, ?");
  EXPECT_EQ(Digest("SELECT 1 /*!50101 + 2 */ /*!999999 + 3 */", mode), "SELECT ? + ?");
  EXPECT_EQ(Digest("SELECT 'secret", mode), "SELECT ?");
  EXPECT_EQ(Digest("'secret", mode), "?");
  EXPECT_EQ(Digest("CREATE USER u IDENTIFIED BY 'p'", mode), "CREATE USER u IDENTIFIED BY ?");
  EXPECT_EQ(Digest("", mode), "");
}

TEST(DigestTest, IsBoundedAndKeepsCharactersWhole) {
  const LexerMode mode;
  const std::string text = "SELECT `\xC3\xA9\xC3\xA9`";
  for (size_t limit = 0; limit < 20; ++limit) {
    const std::string digest = Digest(text, mode, limit);
    EXPECT_LE(digest.size(), limit);
    EXPECT_EQ(text.substr(0, digest.size()), digest);
    // Cut between characters: what follows is no continuation byte.
    EXPECT_NE(static_cast<uint8_t>(text[digest.size()]) & 0xC0, 0x80) << limit;
  }
}

TEST(CharsetTest, Names) {
  EXPECT_EQ(LexingOf("utf8mb4"), CharsetLexing::kPlain);
  EXPECT_EQ(LexingOf("UTF8"), CharsetLexing::kPlain);
  EXPECT_EQ(LexingOf("utf8mb4_general_ci"), CharsetLexing::kPlain);
  EXPECT_EQ(LexingOf("gbk_chinese_ci"), CharsetLexing::kGbk);
  EXPECT_EQ(LexingOf("Latin1"), CharsetLexing::kHighSpaceA0);
  EXPECT_EQ(LexingOf("cp932"), CharsetLexing::kSjis);
  EXPECT_EQ(LexingOf("ucs2"), CharsetLexing::kNotTrusted);
  EXPECT_EQ(LexingOf(""), CharsetLexing::kNotTrusted);
  LexerMode mode;
  SetClientCharset("big5", &mode);
  EXPECT_TRUE(mode.multibyte_backslash);
  SetClientCharset("latin1", &mode);
  EXPECT_FALSE(mode.multibyte_backslash);
}

TEST(CharsetTest, CharacterLengths) {
  EXPECT_EQ(CharacterLength(CharsetLexing::kGbk, "\xBF\x5C", 0), 2u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGbk, "\xBF\x27", 0), 1u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGbk, "\xBF", 0), 1u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGbk, "\x80\x40", 0), 1u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGb18030, "\x81\x30\x81\x30", 0), 4u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGb18030, "\x81\x30\x81", 0), 1u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kGb18030, "\x81\x30\x27\x30", 0), 1u);
  EXPECT_EQ(CharacterLength(CharsetLexing::kPlain, "\xC3\xA9", 0), 1u);
}

double CpuSeconds() {
  timespec now = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string Repeat(std::string_view part, size_t size) {
  std::string text;
  while (text.size() < size) text += part;
  return text;
}

// A text eight times as long may take about eight times as long, not sixty-four times.
TEST(TimeTest, IsLinearWhateverTheTextHolds) {
  for (const std::string_view part : {"(",
                                      ")",
                                      "'",
                                      "''",
                                      "\"",
                                      "`",
                                      "``",
                                      "\\",
                                      "/*",
                                      "/**/",
                                      "*/",
                                      "/*!",
                                      "/*!99999 ",
                                      "/* tenant",
                                      "/* tenant= */",
                                      "/*+ ` */",
                                      "-",
                                      "-- \n",
                                      "#\n",
                                      "@",
                                      "@@",
                                      "@`a`",
                                      ":=",
                                      ";",
                                      "; ;",
                                      "SELECT(",
                                      "SELECT 1 FROM(",
                                      "a.b,",
                                      "a,",
                                      ",",
                                      ".",
                                      "a.",
                                      "1.",
                                      "0x",
                                      "$$",
                                      "$a$ ",
                                      "$",
                                      "f(",
                                      "WITH a AS(",
                                      "SET @a=",
                                      "SET @a=1,",
                                      "SET STATEMENT a=1 FOR ",
                                      "EXPLAIN ",
                                      "ANALYZE ",
                                      "INTO @a,",
                                      "{",
                                      "x'",
                                      "N'",
                                      "_utf8 'a' ",
                                      "'a' ",
                                      "\xBF\\",
                                      "\xA0",
                                      "SELECT * FROM a.b, c.d,",
                                      "/*!50101 /* x */ */",
                                      "/*!99999 /* x */",
                                      "tenant=",
                                      "GET_LOCK(",
                                      "EXTRACT("}) {
    for (const std::string_view prefix : {"", "SELECT ", "SET @x=", "/* "}) {
      const auto measure = [&](size_t size) {
        const std::string text = std::string(prefix) + Repeat(part, size);
        LexerMode gbk;
        SetClientCharset("gbk", &gbk);
        double best = 1e9;
        for (int run = 0; run < 3; ++run) {
          const double begin = CpuSeconds();
          (void)Analyze(text, MariaDb());
          (void)Analyze(text, MySql(80036), true);
          (void)Analyze(text, gbk);
          (void)Digest(text, MySql());
          best = std::min(best, CpuSeconds() - begin);
        }
        return best;
      };
      const double small = measure(8 * 1024);
      const double large = measure(64 * 1024);
      EXPECT_LT(large, small * 8 * 3 + 0.002) << prefix << part;
    }
  }
}

}  // namespace
}  // namespace bulkhead::sql
