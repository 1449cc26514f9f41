// The tokens of a text, compared with what MariaDB 10.11 and MySQL's lex_one_token do.
#include "proxy/sql/lexer.h"

#include <gtest/gtest.h>

#include "tests/sql/analysis.h"

namespace bulkhead::sql {
namespace {

// "select|1|+|`x`"; kinds are in front where the text alone does not tell: w(ord) for a word that
// no longer is a keyword, s(tring), n(umber), b(its), v(ariable).
std::string Tokens(std::string_view text, const LexerMode& mode = MariaDb()) {
  Lexer lexer(text, mode);
  std::string tokens;
  Token token;
  for (lexer.Next(&token); token.kind != TokenKind::kEnd; lexer.Next(&token)) {
    if (!tokens.empty()) tokens += '|';
    if (token.kind == TokenKind::kString) tokens += "s:";
    if (token.kind == TokenKind::kNumber) tokens += "n:";
    if (token.kind == TokenKind::kBitString) tokens += "b:";
    if (token.kind == TokenKind::kUserVariable) tokens += "v:";
    if (token.kind == TokenKind::kQuotedName) tokens += "q:";
    if (token.kind == TokenKind::kWord && token.word != nullptr) tokens += "k:";
    tokens += token.text;
  }
  if (lexer.broken()) tokens += "!";
  if (lexer.ambiguous()) tokens += "?";
  return tokens;
}

LexerMode WithCharset(std::string_view charset, LexerMode mode = MariaDb()) {
  SetClientCharset(charset, &mode);
  return mode;
}

class LexerTest : public testing::TestWithParam<Case> {};

TEST_P(LexerTest, MariaDb) { EXPECT_EQ(Tokens(GetParam().text), GetParam().summary); }

INSTANTIATE_TEST_SUITE_P(
    Words, LexerTest,
    testing::Values(Case{"", ""}, Case{"z", "z"}, Case{"SELECT", "k:SELECT"},
                    Case{"select a$b", "k:select|a$b"},
                    Case{"\xC3\xA9t\xC3\xA9", "\xC3\xA9t\xC3\xA9"}, Case{"a.b.c", "a|.|b|.|c"},
                    Case{"set.x", "set|.|x"}, Case{"x.set", "x|.|set"}, Case{"set .x", "k:set|.|x"},
                    Case{"z. set", "z|.|k:set"}, Case{"z .set", "z|.|set"},
                    Case{"`a`.set", "q:`a`|.|set"}, Case{"t.1a", "t|.|1a"}, Case{"t.1", "t|.|1"},
                    Case{"t .1", "t|n:.1"}, Case{"1a", "1a"}, Case{"1FROM", "1FROM"},
                    Case{"1_0", "1_0"}, Case{"a.", "a|."}, Case{"`a``b`", "q:`a``b`"},
                    Case{"`a", "!"}, Case{"``", "q:``"}, Case{"`\\`z`", "q:`\\`|z!"}));

INSTANTIATE_TEST_SUITE_P(
    Numbers, LexerTest,
    testing::Values(Case{"1", "n:1"}, Case{"1.5", "n:1.5"}, Case{".5", "n:.5"}, Case{"1.", "n:1."},
                    Case{"1e5", "n:1e5"}, Case{"1E+5", "n:1E+5"}, Case{"1e-5z", "n:1e-5|z"},
                    Case{"1e", "1e"}, Case{"1e+", "1e|+"}, Case{"1.5e3", "n:1.5e3"},
                    Case{"1.FROM", "n:1.|k:FROM"}, Case{"1.5FROM", "n:1.5|k:FROM"},
                    Case{"1e5FROM", "n:1e5|k:FROM"}, Case{"0x41", "b:0x41"}, Case{"0X41", "0X41"},
                    Case{"0x", "0x"}, Case{"0x41G", "0x41G"}, Case{"0xG", "0xG"},
                    Case{"0b01", "b:0b01"}, Case{"0b2", "0b2"}, Case{"x'41'", "b:x'41'"},
                    Case{"X'4'", "!"}, Case{"x'4G'", "!"}, Case{"b'01'", "b:b'01'"},
                    Case{"B'2'", "!"}, Case{"x'41", "!"}, Case{"1--1", "n:1|-|-|n:1"},
                    Case{"1..2", "n:1.|n:.2"}, Case{"-1", "-|n:1"}));

INSTANTIATE_TEST_SUITE_P(
    Strings, LexerTest,
    testing::Values(Case{"'a'", "s:'a'"}, Case{"'a''b'", "s:'a''b'"}, Case{"'a\\'b'", "s:'a\\'b'"},
                    Case{"\"a'b\"", "s:\"a'b\""}, Case{"\"a\"\"b\"", "s:\"a\"\"b\""},
                    Case{"'a' 'b'", "s:'a'|s:'b'"}, Case{"'a", "!"}, Case{"'a\\'", "!"},
                    Case{"'a\\\\'", "s:'a\\\\'"}, Case{"N'a'", "s:N'a'"},
                    Case{"n'a' z", "s:n'a'|z"}, Case{"N\"a\"", "N|s:\"a\""},
                    Case{"_utf8'a'", "_utf8|s:'a'"}, Case{"'/* x'", "s:'/* x'"},
                    Case{"'-- x'", "s:'-- x'"}, Case{"''", "s:''"}, Case{"''''", "s:''''"},
                    Case{"'''", "!"}, Case{"'\n'", "s:'\n'"}));

INSTANTIATE_TEST_SUITE_P(Variables, LexerTest,
                         testing::Values(Case{"@x", "v:@x"}, Case{"@x.y$z", "v:@x.y$z"},
                                         Case{"@`a``b`", "v:@`a``b`"},
                                         Case{"@'a\\'b'", "v:@'a\\'b'"}, Case{"@\"a\"", "v:@\"a\""},
                                         Case{"@", "v:@"}, Case{"@ z", "v:@|z"}, Case{"@'a", "!"},
                                         Case{"@x:=1", "v:@x|:=|n:1"},
                                         Case{"@x : = 1", "v:@x|:|=|n:1"}, Case{"@@z", "@@|z"},
                                         Case{"@@global.x", "@@|global|.|x"},
                                         Case{"@@`x`", "@@|q:`x`"}, Case{"'u'@'h'", "s:'u'|v:@'h'"},
                                         Case{"a@h", "a|v:@h"}, Case{"@@@x", "@@|v:@x"}));

INSTANTIATE_TEST_SUITE_P(
    Comments, LexerTest,
    testing::Values(
        Case{"1 -- x\n2", "n:1|n:2"}, Case{"1 --\t2", "n:1"}, Case{"1 --\n2", "n:1|n:2"},
        Case{"1--", "n:1"}, Case{"1 --\x01 2", "n:1"}, Case{"1 --2", "n:1|-|-|n:2"},
        Case{"1 --;", "n:1|-|-|;"}, Case{"1#2\n3", "n:1|n:3"}, Case{"1# \\\n3", "n:1|n:3"},
        Case{"1/* 2 */3", "n:1|n:3"}, Case{"1/**/3", "n:1|n:3"}, Case{"1/*/2*/3", "n:1|n:3"},
        Case{"1/* /* 2 */3", "n:1|n:3"}, Case{"1/* 2", "n:1!"}, Case{"1/*", "n:1!"},
        Case{"1*/2", "n:1|*|/|n:2"}, Case{"1/2", "n:1|/|n:2"}, Case{"1 /*+ 2 */ 3", "n:1|n:3"},
        Case{"/*!1*/", "n:1"}, Case{"/*! 1 */2", "n:1|n:2"}, Case{"/*!*/1", "n:1"},
        Case{"/*!50101 1 */", "n:1"}, Case{"/*!501011*/", ""}, Case{"/*!50101z*/", "z"},
        Case{"/*!050101 1*/", "n:1"}, Case{"/*!5010 1*/", "n:5010|n:1"},
        Case{"/*!50699 1*/", "n:1"}, Case{"/*!50700 1*/", ""}, Case{"/*!99999 1*/", ""},
        Case{"/*!100000 1*/", "n:1"}, Case{"/*!101100 1*/", "n:1"}, Case{"/*!101101 1*/", ""},
        Case{"/*M!50700 1*/", "n:1"}, Case{"/*M! 1*/", "n:1"}, Case{"/*m! 1*/", ""},
        Case{"/*M!999999 1*/", ""}, Case{"/*! 1 /* 2 */ 3 */ 4", "n:1|n:3|n:4"},
        Case{"/*! 1 /*! 2 */ 3 */ 4", "n:1|n:2|n:3|*|/|n:4"},
        Case{"/*!999999 1 /* 2 */ 3 */ 4", "n:4"}, Case{"/*!999999 1 /*! 2 */ 3 */ 4", "n:4"},
        Case{"/*!999999 '*/' */ 4", "!"}, Case{"/*! '*/' */ 4", "s:'*/'|n:4"},
        Case{"/*! 1", "n:1!"}, Case{"/*!999999 1", "!"}, Case{"/*! 'a */", "!"},
        Case{"1 /*! */ */", "n:1|*|/"}, Case{"/*! -- */\n1 */ 2", "n:1|n:2"}));

TEST(LexerTest, MySqlReadsVersionsDifferently) {
  EXPECT_EQ(Tokens("/*!80000 1*/", MySql()), "n:1");
  EXPECT_EQ(Tokens("/*!90700 1*/ /*!90701 2*/", MySql()), "n:1");
  EXPECT_EQ(Tokens("/*!080000 1*/ /*!100000 2*/", MySql()), "n:1");
  EXPECT_EQ(Tokens("/*!800001*/", MySql()), "n:1");  // five digits and a 1
  EXPECT_EQ(Tokens("/*!080000 1*/", MySql(80036)), "n:0|n:1");
  EXPECT_EQ(Tokens("/*M! 1*/", MySql()), "");
}

TEST(LexerTest, AnsiQuotes) {
  LexerMode mode;
  mode.ansi_quotes = true;
  EXPECT_EQ(Tokens("\"a\"\"b\" 'c'", mode), "q:\"a\"\"b\"|s:'c'");
  EXPECT_EQ(Tokens("\"a\\\" 1", mode), "q:\"a\\\"|n:1");
  EXPECT_EQ(Tokens("@\"a\\\" 1", mode), "v:@\"a\\\"|n:1");
}

TEST(LexerTest, NoBackslashEscapes) {
  LexerMode mode;
  mode.no_backslash_escapes = true;
  EXPECT_EQ(Tokens("'a\\' 1", mode), "s:'a\\'|n:1");
  EXPECT_EQ(Tokens("@'a\\' 1", mode), "v:@'a\\'|n:1");
}

TEST(LexerTest, TrailBytesAreNoEscapesAndNoQuotes) {
  const LexerMode gbk = WithCharset("gbk");
  EXPECT_EQ(Tokens("'\xBF\\' 1", gbk), "s:'\xBF\\'|n:1");
  EXPECT_EQ(Tokens("'\xBF\\' 1"), "!");
  // The escaping that does not know the charset: \xBF' became \xBF\'.
  EXPECT_EQ(Tokens("'\xBF\\' OR @x:=1 -- '", gbk), "s:'\xBF\\'|k:OR|v:@x|:=|n:1");
  EXPECT_EQ(Tokens("'\xBF' 1", gbk), "s:'\xBF'|n:1");  // no character: a quote is no trail byte
  EXPECT_EQ(Tokens("'\\\xBF\\' 1", gbk), "!");         // the escape takes one byte only
  EXPECT_EQ(Tokens("`\xBF`` 1", gbk), "q:`\xBF``|n:1");
  EXPECT_EQ(Tokens("\xBF\\ 1", gbk), "\xBF\\|n:1");
  EXPECT_EQ(Tokens("\xBF@x", gbk), "\xBF@x");
  EXPECT_EQ(Tokens("'\x95\\' 1", WithCharset("sjis")), "s:'\x95\\'|n:1");
  EXPECT_EQ(Tokens("'\xB1\\' 1", WithCharset("sjis")), "!");  // half-width kana: one byte
  EXPECT_EQ(Tokens("'\x95\\' 1", WithCharset("CP932")), "s:'\x95\\'|n:1");
  EXPECT_EQ(Tokens("'\xA5\\' 1", WithCharset("big5")), "s:'\xA5\\'|n:1");
  EXPECT_EQ(Tokens("'\x81\\' 1", WithCharset("big5")), "!");
  EXPECT_EQ(Tokens("'\x81\\' 1", WithCharset("gb18030", MySql())), "s:'\x81\\'|n:1");
  EXPECT_EQ(Tokens("'\x81\x30\x81\x30' 1", WithCharset("gb18030", MySql())),
            "s:'\x81\x30\x81\x30'|n:1");
  EXPECT_EQ(Tokens("'\xBF\\' 1", WithCharset("utf8mb4")), "!");
}

TEST(LexerTest, HighBytesAreSpaceInSomeCharsets) {
  EXPECT_EQ(Tokens("INTO\xA0@x", WithCharset("latin1")), "k:INTO|v:@x");
  EXPECT_EQ(Tokens("INTO\xA0@x"), "INTO\xA0|v:@x");
  EXPECT_EQ(Tokens("1 --\xA0' 2", WithCharset("latin1_swedish_ci")), "n:1");
  EXPECT_EQ(Tokens("INTO\xFF@x", WithCharset("cp866")), "k:INTO|v:@x");
  EXPECT_EQ(Tokens("1 --\x98 2", WithCharset("cp1250")), "n:1|-|-|\x98|n:2?");
}

TEST(LexerTest, UnknownCharsetsAreNotTrusted) {
  EXPECT_EQ(Tokens("'a'", WithCharset("swe7")), "s:'a'");
  EXPECT_EQ(Tokens("f[(1)", WithCharset("swe7")), "f|[|(|n:1|)?");
  EXPECT_EQ(Tokens("'\xE9'", WithCharset("nonesuch")), "s:'\xE9'?");
  LexerMode mode;
  mode.multibyte_backslash = true;
  EXPECT_EQ(Tokens("'\xE9'", mode), "s:'\xE9'?");
  mode.charset_id_hint = 200;
  EXPECT_EQ(Tokens("'\xE9'", mode), "s:'\xE9'?");
  EXPECT_EQ(Summary("SELECT '\xE9'", mode), "select: careful");
}

TEST(LexerTest, ANulEndsTheText) {
  EXPECT_EQ(Tokens(std::string_view("1 \0 2", 5)), "n:1!");
  EXPECT_EQ(Tokens(std::string_view("1 # \0 2", 7)), "n:1!");
  EXPECT_EQ(Tokens(std::string_view("'\0'", 3)), std::string_view("s:'\0'", 5));
  EXPECT_EQ(Tokens(std::string_view("/*\0*/1", 6)), "n:1");
}

TEST(LexerTest, DollarQuotes) {
  EXPECT_EQ(Tokens("$$ ; $$ 1", MySql()), "s:$$ ; $$|n:1");
  EXPECT_EQ(Tokens("$a$ $$ $a$ 1", MySql()), "s:$a$ $$ $a$|n:1");
  EXPECT_EQ(Tokens("$$", MySql()), "!");
  EXPECT_EQ(Tokens("$a", MySql()), "$a");
  EXPECT_EQ(Tokens("$$ ; $$"), "$$|;|$$");
  EXPECT_EQ(Tokens("a$$ b$$", MySql()), "a$$|b$$");
}

TEST(LexerTest, Gaps) {
  const auto gap = [](std::string_view text) {
    const LexerMode mode;
    Lexer lexer(text, mode);
    Token token;
    lexer.Next(&token);
    lexer.Next(&token);
    return token.gap;
  };
  EXPECT_EQ(gap("f("), Gap::kNone);
  EXPECT_EQ(gap("f ("), Gap::kSpace);
  EXPECT_EQ(gap("f /**/ ("), Gap::kComment);
  EXPECT_EQ(gap("f/*! */("), Gap::kComment);
  EXPECT_EQ(gap("f/*!(*/"), Gap::kComment);
  EXPECT_EQ(gap("f#\n("), Gap::kComment);
}

TEST(LexerTest, LongStringsEndWhereShortOnesDo) {
  // Each byte sequence around the length at which the lexer changes its way of searching.
  for (const std::string_view part :
       {"", "''", "\\'", "\\\\", "\\", "\"", "'", "\\''", "''\\'", "\xC3\xA9"}) {
    for (size_t filler = 0; filler < 120; ++filler) {
      for (const bool no_escapes : {false, true}) {
        LexerMode mode;
        mode.no_backslash_escapes = no_escapes;
        const std::string body = std::string(filler, 'x') + std::string(part) + "y";
        const std::string text = "'" + body + "' + 1";
        // The plain reading, byte by byte.
        size_t end = 1;
        while (end < text.size()) {
          if (text[end] == '\\' && !no_escapes) {
            end += 2;
          } else if (text[end] != '\'') {
            ++end;
          } else if (end + 1 < text.size() && text[end + 1] == '\'') {
            end += 2;
          } else {
            break;
          }
        }
        Lexer lexer(text, mode);
        Token token;
        lexer.Next(&token);
        if (end < text.size()) {
          EXPECT_EQ(token.kind, TokenKind::kString) << text;
          EXPECT_EQ(token.text.size(), end + 1) << text;
        } else {
          EXPECT_TRUE(lexer.broken()) << text;
        }
      }
    }
  }
}

TEST(LexerTest, EveryPrefixEnds) {
  const std::string_view text =
      "SELECT 'a\\'b', \"c\"\"d\", `e``f`, @`g`, @@global.h, 0x1F, x'1F', b'01', N'i', 1.5e-3, .5 "
      "/* tenant='j' */ /*!50101 k /* l */ */ /*M!100100 m */ -- n\n # o\n := $$p$$ ;";
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::string prefix(text.substr(0, size));
    for (const LexerMode& mode : {MariaDb(), MySql(), WithCharset("gbk")}) {
      Lexer lexer(prefix, mode);
      Token token;
      size_t count = 0;
      for (lexer.Next(&token); token.kind != TokenKind::kEnd; lexer.Next(&token)) {
        ASSERT_GE(token.text.data(), prefix.data());
        ASSERT_LE(token.text.data() + token.text.size(), prefix.data() + prefix.size());
        ASSERT_LE(++count, prefix.size());
      }
      lexer.Next(&token);
      EXPECT_EQ(token.kind, TokenKind::kEnd);
    }
  }
}

}  // namespace
}  // namespace bulkhead::sql
