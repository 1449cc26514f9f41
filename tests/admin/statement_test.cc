// Each statement of the list: its example is understood, its mistake is explained, its help is
// there; and what commands are made of.

#include "proxy/admin/statement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "proxy/admin/help.h"
#include "proxy/admin/sql_engine.h"
#include "proxy/admin/statement_list.h"

namespace bulkhead::admin {

void PrintTo(const Statement& statement, std::ostream* out) { *out << statement.name; }

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ErrorOf(std::string_view text) {
  ParsedStatement parsed = ParseStatement(text);
  if (const auto* error = std::get_if<StatementError>(&parsed.meaning)) return error->message;
  if (const auto* query = std::get_if<ReadQuery>(&parsed.meaning)) {
    SqlEngine engine({});
    const std::optional<StatementError> error = engine.Prepare(query->sql);
    return error.has_value() ? error->message : "";
  }
  if (const auto* help = std::get_if<GetHelp>(&parsed.meaning)) {
    const HelpAnswer answer = Help(help->topic);
    return answer.error.has_value() ? answer.error->message : "";
  }
  return "";
}

template <typename Command>
Command CommandOf(std::string_view text) {
  ParsedStatement parsed = ParseStatement(text);
  const auto* command = std::get_if<control::OperatorCommand>(&parsed.meaning);
  EXPECT_NE(command, nullptr) << text << ": " << ErrorOf(text);
  if (command == nullptr || !std::holds_alternative<Command>(*command)) {
    ADD_FAILURE() << text << " is another command";
    return {};
  }
  return std::get<Command>(*command);
}

class EachStatement : public testing::TestWithParam<Statement> {};

TEST_P(EachStatement, ItsExampleIsUnderstood) {
  EXPECT_EQ(ErrorOf(GetParam().example), "");
  // Also in small letters, with comments and an end.
  EXPECT_EQ(ErrorOf("/* x */ " + std::string(GetParam().example) + " ; -- y"), "");
}

TEST_P(EachStatement, ItsExampleIsThatStatement) {
  const TokenList tokens = Tokenize(GetParam().example);
  const MatchResult match = MatchStatement(GetParam().example, tokens);
  ASSERT_NE(match.statement, nullptr) << match.error.message;
  EXPECT_EQ(match.statement->verb, GetParam().verb);
}

TEST_P(EachStatement, ItsMistakeIsExplained) {
  EXPECT_THAT(ErrorOf(GetParam().mistake), HasSubstr(std::string(GetParam().complaint)));
}

TEST_P(EachStatement, HelpKnowsIt) {
  const HelpAnswer answer = Help(GetParam().name);
  ASSERT_FALSE(answer.error.has_value());
  std::string all;
  for (const auto& row : answer.rows) {
    for (const auto& cell : row) all += cell + "\n";
  }
  EXPECT_THAT(all, HasSubstr(std::string(GetParam().name)));
  EXPECT_FALSE(GetParam().help.empty());
  EXPECT_EQ(GetParam().help.back(), '.');
}

TEST_P(EachStatement, OnlyReadingIsForReadOnlyUsers) {
  EXPECT_EQ(ParseStatement(GetParam().example).changes, GetParam().changes);
}

// Cut anywhere, it is an error or a shorter statement, never a crash; and so is any single wrong
// byte in it.
TEST_P(EachStatement, SurvivesDamage) {
  const std::string example(GetParam().example);
  for (size_t i = 0; i <= example.size(); ++i) {
    (void)ErrorOf(example.substr(0, i));
    for (const char c : {'\'', '`', '(', '\0', '\xff', '@'}) {
      std::string damaged = example;
      damaged.insert(i, 1, c);
      (void)ErrorOf(damaged);
    }
  }
  EXPECT_NE(ErrorOf(example + " 'more'"), GetParam().verb == Verb::kSelect ? "x" : "");
}

INSTANTIATE_TEST_SUITE_P(List, EachStatement,
                         testing::ValuesIn(StatementList().begin(), StatementList().end()),
                         [](const auto& info) {
                           std::string name;
                           for (const char c : info.param.name) {
                             if (c != ' ') name += c;
                           }
                           return name;
                         });

TEST(Statements, HoldAndReject) {
  EXPECT_EQ(CommandOf<control::HoldSlice>("HOLD SHARD s1 FOR '30s'").lasting, seconds(30));
  EXPECT_EQ(CommandOf<control::HoldSlice>("hold shard s1 for 500ms").lasting, milliseconds(500));
  EXPECT_EQ(CommandOf<control::HoldSlice>("HOLD SHARD s1 FOR 7").lasting, seconds(7));
  EXPECT_EQ(CommandOf<control::HoldSlice>("HOLD SHARD s1").lasting, std::nullopt);
  const auto reject = CommandOf<control::RejectSlice>("REJECT TENANT `a-b.c` FOR 1m");
  EXPECT_EQ(reject.slice.kind, control::SliceName::Kind::kTenant);
  EXPECT_EQ(reject.slice.name, "a-b.c");
  EXPECT_TRUE(CommandOf<control::ReleaseSlice>("RELEASE SHARD s1 FORCE").force);
  EXPECT_THAT(ErrorOf("HOLD SHARD s1 FOR 0"), HasSubstr("no duration"));
}

TEST(Statements, KeywordsAreNamesWhereQuoted) {
  EXPECT_EQ(CommandOf<control::HoldSlice>("HOLD SHARD `for` FOR 1").slice.name, "for");
  EXPECT_THAT(ErrorOf("HOLD SHARD for FOR 1"), HasSubstr("near 'for FOR 1' at character 12"));
  EXPECT_EQ(CommandOf<control::DropTenant>("DROP TENANT \"force\"").name, "force");
  EXPECT_EQ(CommandOf<control::DropTenant>("DROP TENANT force").name, "force");
}

TEST(Statements, OptionsComeInAnyOrderAndOnce) {
  const auto first = CommandOf<control::Failover>(
      "FAILOVER SHARD s1 TO db2 ACCEPT SPLIT BRAIN ACCEPT DATA LOSS DRY RUN");
  EXPECT_TRUE(first.accept_data_loss && first.accept_split_brain && first.dry_run);
  const auto switchover =
      CommandOf<control::Switchover>("SWITCHOVER SHARD s TO b DRY RUN TIMEOUT 3");
  EXPECT_TRUE(switchover.dry_run);
  EXPECT_EQ(switchover.timeout, seconds(3));
  EXPECT_THAT(ErrorOf("SWITCHOVER SHARD s TO b DRY RUN DRY RUN"), HasSubstr("near 'DRY RUN'"));
  EXPECT_FALSE(CommandOf<control::Failover>("FAILOVER SHARD s1 TO db2").accept_data_loss);
}

TEST(Statements, Backends) {
  const auto made =
      CommandOf<control::CreateBackend>(
          "CREATE BACKEND db9 ADDRESS 10.0.0.9:3307 TLS VERIFY MAX_CONNECTIONS 9 FAMILY MYSQL")
          .spec;
  EXPECT_EQ(made.name, "db9");
  EXPECT_EQ(made.address.ToString(), "10.0.0.9:3307");
  EXPECT_EQ(made.tls, routing::BackendTls::kVerify);
  EXPECT_EQ(made.family, routing::ServerFamily::kMysql);
  EXPECT_EQ(made.max_connections, 9u);
  const auto altered = CommandOf<control::AlterBackend>("ALTER BACKEND db9 TLS DISABLED");
  EXPECT_EQ(altered.tls, routing::BackendTls::kDisabled);
  EXPECT_FALSE(altered.address.has_value() || altered.family.has_value() ||
               altered.max_connections.has_value());
  EXPECT_EQ(CommandOf<control::MarkBackend>("MARK BACKEND b AUTO").as,
            control::MarkBackend::As::kAuto);
  EXPECT_EQ(CommandOf<control::MarkBackend>("MARK BACKEND b UP").as, control::MarkBackend::As::kUp);
}

TEST(Statements, Shards) {
  const auto made =
      CommandOf<control::CreateShard>(
          "CREATE SHARD s3 PRIMARY db3 REPLICAS db4, 'db5' MAX_WAIT '30s' MAX_BYTES 64MiB POLICY "
          "REPLICA")
          .spec;
  EXPECT_THAT(made.replicas, testing::ElementsAre("db4", "db5"));
  EXPECT_EQ(made.hold.max_wait, seconds(30));
  EXPECT_EQ(made.hold.max_bytes, 64u << 20);
  EXPECT_EQ(made.hold.policy, routing::HoldPolicy::kReplica);
  const auto none = CommandOf<control::AlterShard>("ALTER SHARD s3 REPLICAS NONE HOLD DEFAULT");
  ASSERT_TRUE(none.replicas.has_value());
  EXPECT_TRUE(none.replicas->empty());
  EXPECT_TRUE(none.reset_hold);
  const auto primary = CommandOf<control::AlterShard>("ALTER SHARD s3 PRIMARY db4");
  EXPECT_EQ(primary.primary, "db4");
  EXPECT_FALSE(primary.replicas.has_value());
  EXPECT_FALSE(primary.reset_hold);
  EXPECT_THAT(ErrorOf("CREATE SHARD s3 PRIMARY db3 REPLICAS (db4, db5"), HasSubstr("expected )"));
}

TEST(Statements, TenantsSlotsAndLimits) {
  const auto made =
      CommandOf<control::CreateTenant>("CREATE TENANT a SHARD s DATABASE t_a POOLING SESSION").spec;
  EXPECT_EQ(made.physical_database, "t_a");
  EXPECT_EQ(made.pooling, routing::Pooling::kSession);
  const auto slots = CommandOf<control::AssignSlots>("ASSIGN SLOTS 0..1023 TO SHARD s1");
  EXPECT_EQ(slots.first, 0);
  EXPECT_EQ(slots.last, 1023);
  EXPECT_EQ(CommandOf<control::AssignSlots>("ASSIGN SLOTS 7 TO SHARD s1").last, 7);
  const auto limit = CommandOf<control::LimitTenant>("LIMIT TENANT a RATE 5 RUNNING 2");
  ASSERT_TRUE(limit.limit.has_value());
  EXPECT_EQ(limit.limit->per_second, 5u);
  EXPECT_EQ(limit.limit->running, 2u);
  EXPECT_EQ(limit.limit->sessions, 0u);
  EXPECT_FALSE(CommandOf<control::LimitTenant>("LIMIT TENANT a DEFAULT").limit.has_value());
  EXPECT_THAT(ErrorOf("LIMIT TENANT a DEFAULT RATE 1"), HasSubstr("stands alone"));
  EXPECT_THAT(ErrorOf("LIMIT TENANT a BURST 1"), HasSubstr("BURST goes with RATE"));
}

TEST(Statements, KillOfSessionsAndOfAdminConnections) {
  const auto session = CommandOf<control::KillSession>("KILL QUERY SESSION 5");
  EXPECT_EQ(session.id, 5u);
  EXPECT_TRUE(session.query_only);
  EXPECT_FALSE(CommandOf<control::KillSession>("KILL SESSION 5").query_only);
  for (const char* text : {"KILL QUERY 3", "KILL 3", "KILL CONNECTION 3"}) {
    const ParsedStatement parsed = ParseStatement(text);
    const auto* kill = std::get_if<KillConnection>(&parsed.meaning);
    ASSERT_NE(kill, nullptr) << text;
    EXPECT_EQ(kill->id, 3u);
    EXPECT_FALSE(parsed.changes) << text;
  }
}

TEST(Statements, SetOfClientsMeansNothingAndOfTheRouterIsACommand) {
  for (const char* text :
       {"SET NAMES utf8mb4", "SET autocommit=0", "set session sql_mode='x'", "SET @@x = 1",
        "/*!40101 SET NAMES utf8 */", "SET character_set_results = NULL", "BEGIN", "COMMIT",
        "START TRANSACTION", "SET @a = 1"})
    EXPECT_TRUE(std::holds_alternative<Accepted>(ParseStatement(text).meaning)) << text;
  const auto set = CommandOf<control::SetVariable>("SET hold.max_wait = '5s'");
  EXPECT_EQ(set.name, "hold.max_wait");
  EXPECT_EQ(set.value, "5s");
}

TEST(Statements, ErrorsPointAtTheWord) {
  EXPECT_EQ(
      ErrorOf("DRAIN BACKND db1"),
      "syntax error near 'BACKND db1' at character 7: expected BACKEND; did you mean BACKEND?");
  EXPECT_THAT(ErrorOf("DRAIN BACKEND"),
              HasSubstr("at the end of the statement: expected <backend>"));
  EXPECT_THAT(ErrorOf("FROBNICATE"), HasSubstr("no statement begins so; HELP lists"));
  EXPECT_THAT(ErrorOf("HOLD SHARD 's1"), HasSubstr("the string is not closed"));
  EXPECT_THAT(ErrorOf("HOLD /* SHARD s1"), HasSubstr("the comment is not closed"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("empty"));
  EXPECT_THAT(ErrorOf(std::string(70'000, 'x')), HasSubstr("longer than 64 KiB"));
  std::string many = "HOLD";
  for (int i = 0; i < 5000; ++i) many += " x";
  EXPECT_THAT(ErrorOf(many), HasSubstr("too many words"));
}

TEST(Statements, LogsHoldNoSecrets) {
  EXPECT_EQ(ForLog("SET control.password = 'geheim'"), "SET control.password = '***'");
  EXPECT_EQ(ForLog("CREATE USER x IDENTIFIED BY 'geheim'"), "CREATE USER x IDENTIFIED BY '***'");
  EXPECT_THAT(ForLog("SET password = 'geheim"), Not(HasSubstr("geheim")));
  EXPECT_EQ(ForLog("EXPLAIN ROUTE TENANT a FOR 'CREATE USER x IDENTIFIED BY ''geheim'''"),
            "EXPLAIN ROUTE TENANT a FOR '***'");
  EXPECT_THAT(ForLog("EXPLAIN ROUTE TENANT a FOR 'SET PASSWORD = \"geheim'"),
              Not(HasSubstr("geheim")));
  EXPECT_EQ(ForLog("EXPLAIN ROUTE TENANT a FOR 'SELECT 1'"),
            "EXPLAIN ROUTE TENANT a FOR 'SELECT 1'");
  EXPECT_EQ(ForLog("CREATE TENANT 'token-corp' SHARD s1"), "CREATE TENANT 'token-corp' SHARD s1");
  EXPECT_EQ(ForLog("HOLD\nSHARD\t s1"), "HOLD SHARD s1");
  EXPECT_EQ(ForLog(std::string(5000, 'y')).size(), 1027u);
  EXPECT_EQ(ForLog("SELECT 'a' FROM x"), "SELECT 'a' FROM x");
}

// BULKHEAD_UPDATE_DOCS=1 in the environment writes the lists instead of comparing them.
TEST(Documentation, HoldsTheLists) {
  const std::string path = std::string(BULKHEAD_SOURCE_DIR) + "/docs/OPERATIONS.md";
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  std::string document = text.str();
  const auto compare = [&](const std::string& name, const std::string& wanted) {
    const std::string begin = "<!-- " + name + " begin -->\n", end = "<!-- " + name + " end -->";
    const size_t from = document.find(begin) + begin.size(), to = document.find(end);
    ASSERT_NE(to, std::string::npos) << name;
    if (std::getenv("BULKHEAD_UPDATE_DOCS") != nullptr) document.replace(from, to - from, wanted);
    EXPECT_EQ(document.substr(from, document.find(end) - from), wanted)
        << "run this test with BULKHEAD_UPDATE_DOCS=1";
  };
  compare("statements", StatementTable());
  compare("tables", TableTable());
  if (document != text.str()) std::ofstream(path) << document;
}

}  // namespace
}  // namespace bulkhead::admin
