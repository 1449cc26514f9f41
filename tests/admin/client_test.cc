// What the `bulkhead admin` client makes of typed text, and what it prints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proxy/admin/admin_client.h"
#include "proxy/admin/client_format.h"

namespace bulkhead::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Complete = StatementBuffer::Complete;

auto Is(const char* statement, bool vertical = false) {
  return AllOf(Field(&Complete::statement, statement), Field(&Complete::vertical, vertical));
}

TEST(StatementBuffer, StatementsEndWithASemicolonOrG) {
  StatementBuffer buffer;
  EXPECT_THAT(buffer.AddLine("SHOW"), IsEmpty());
  EXPECT_FALSE(buffer.empty());
  EXPECT_THAT(buffer.AddLine("SHARDS; SHOW BACKENDS;"),
              ElementsAre(Is("SHOW\nSHARDS"), Is("SHOW BACKENDS")));
  EXPECT_TRUE(buffer.empty());
  EXPECT_THAT(buffer.AddLine("SELECT ';' AS x -- ; not here"), IsEmpty());
  EXPECT_THAT(buffer.AddLine("\\G"), ElementsAre(Is("SELECT ';' AS x -- ; not here", true)));
  EXPECT_THAT(buffer.AddLine(";;"), IsEmpty());
  EXPECT_THAT(buffer.AddLine("SHOW POOLS"), IsEmpty());
  EXPECT_THAT(buffer.TakeRest(), ElementsAre(Is("SHOW POOLS")));
  EXPECT_THAT(buffer.TakeRest(), IsEmpty());
}

LinkResult Backends() {
  return {.columns = {{"name", false}, {"held", true}, {"why", false}},
          .rows = {{"db1", "7", std::nullopt},
                   {"db2", "1200", "no byte for 534 ms with 8 statements in flight"}}};
}

TEST(Format, TablesAreAsWideAsTheyMustBe) {
  EXPECT_EQ(FormatTable(Backends(), 0),
            "+------+------+------------------------------------------------+\n"
            "| name | held | why                                            |\n"
            "+------+------+------------------------------------------------+\n"
            "| db1  |    7 | NULL                                           |\n"
            "| db2  | 1200 | no byte for 534 ms with 8 statements in flight |\n"
            "+------+------+------------------------------------------------+\n");
}

TEST(Format, HelpOfOneStatementIsText) {
  LinkResult help;
  help.columns = {{"name"}, {"description"}, {"example"}};
  help.rows = {{"HELP", "Syntax:\n  HELP [<topic>]\n\nLists them.\n\n", "  HELP DRAIN"}};
  EXPECT_EQ(FormatTable(help, 80),
            "HELP\n\nSyntax:\n  HELP [<topic>]\n\nLists them.\n\nExample:\n  HELP DRAIN\n");
}

TEST(Format, LongTextsAreWrappedAndNothingIsCut) {
  EXPECT_EQ(FormatTable(Backends(), 45),
            "+------+------+-----------------------------+\n"
            "| name | held | why                         |\n"
            "+------+------+-----------------------------+\n"
            "| db1  |    7 | NULL                        |\n"
            "| db2  | 1200 | no byte for 534 ms with 8   |\n"
            "|      |      | statements in flight        |\n"
            "+------+------+-----------------------------+\n");
  EXPECT_EQ(FormatTable(Backends(), 20), FormatVertical(Backends()));
  EXPECT_EQ(FormatVertical(Backends()),
            "*** row 1 ***\n"
            "name: db1\n"
            "held: 7\n"
            " why: NULL\n"
            "*** row 2 ***\n"
            "name: db2\n"
            "held: 1200\n"
            " why: no byte for 534 ms with 8 statements in flight\n");
}

// Every width: no line is longer, and all the letters are there.
TEST(Format, FitsEveryTerminal) {
  const LinkResult result{
      .columns = {{"a", false}, {"b", false}},
      .rows = {{"grüße an alle, 漢字 auch", "waitforthislongwordthathasnospacesatall now"}}};
  for (size_t width = 1; width < 90; ++width) {
    const std::string table = FormatTable(result, width);
    if (table.starts_with("*")) continue;
    size_t begin = 0;
    while (begin < table.size()) {
      const size_t end = table.find('\n', begin);
      EXPECT_LE(DisplayWidth(table.substr(begin, end - begin)), width);
      begin = end + 1;
    }
    EXPECT_EQ(std::count(table.begin(), table.end(), 'w'), 3) << table;
  }
}

TEST(Format, TerminalsGetNoControlCharacters) {
  const LinkResult result{.columns = {{"x", false}}, .rows = {{"a\x1b[2Jb\tc"}}};
  EXPECT_THAT(FormatTable(result, 80), HasSubstr("| a [2Jb c |"));
  EXPECT_EQ(FormatTabs({.columns = {{"x", false}, {"y", true}},
                        .rows = {{"a\tb\n\\", "1"}, {std::nullopt, std::nullopt}}}),
            "x\ty\na\\tb\\n\\\\\t1\nNULL\tNULL\n");
}

TEST(Format, Json) {
  EXPECT_EQ(FormatJson(Backends(), {"worker 1 is late"}),
            R"({"rows":[{"name":"db1","held":7,"why":null},)"
            R"({"name":"db2","held":1200,"why":"no byte for 534 ms with 8 statements in flight"}],)"
            R"("warnings":["worker 1 is late"]})"
            "\n");
  EXPECT_EQ(FormatJson({.message = "a \"b\"\n"}, {}), "{\"message\":\"a \\\"b\\\"\\u000a\"}\n");
  EXPECT_EQ(FormatJsonError({1064, "42000", "no"}, {}),
            R"({"error":{"code":1064,"sqlstate":"42000","message":"no"}})"
            "\n");
}

TEST(History, KeepsNoSecrets) {
  EXPECT_TRUE(HoldsSecret("SET probe.password = 'x'"));
  EXPECT_FALSE(HoldsSecret("SHOW BACKENDS"));
}

}  // namespace
}  // namespace bulkhead::admin
