#include "proxy/session/session_state.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/session/variable_rules.h"
#include "proxy/sql/charset.h"

namespace bulkhead::session {
namespace {

constexpr uint32_t kUtf8mb4GeneralCi = 45;

// A session whose SETs the server always accepts.
class SetTest : public ::testing::Test {
 protected:
  SetEffect Apply(std::string_view text) {
    const sql::LexerMode mode = LexerModeOf(*state_, family_, 0, {}, "utf8mb4");
    const sql::StatementInfo info = sql::Analyze(text, mode);
    EXPECT_EQ(info.kind, sql::StatementKind::kSet) << text;
    return ApplySet(state_, info, mode, family_, &states_);
  }
  // Expects it to be restorable and takes it over.
  void Set(std::string_view text) {
    SetEffect effect = Apply(text);
    EXPECT_EQ(effect.kind, SetEffect::Kind::kRestorable) << text << ": " << effect.reason;
    state_ = std::move(effect.state);
  }
  void ExpectPin(std::string_view text, Pin pin) {
    const SetEffect effect = Apply(text);
    EXPECT_EQ(effect.kind, SetEffect::Kind::kPin) << text;
    EXPECT_EQ(effect.pin, pin) << text;
    EXPECT_FALSE(effect.reason.empty()) << text;
  }
  // What a fresh connection, logged in alike, must be told.
  RestorePlan Plan() const { return PlanRestore(*start_, *state_, family_); }

  StateInterner states_;
  ServerFamily family_ = ServerFamily::kMariadb;
  StateVectorPtr start_ = states_.AtLogin(kUtf8mb4GeneralCi, "app", false);
  StateVectorPtr state_ = start_;
};

TEST_F(SetTest, EqualStatesAreOnePointer) {
  Set("SET sql_mode='ANSI', @a=1");
  const StateVectorPtr both = state_;
  state_ = start_;
  Set("set @A := 1");
  EXPECT_NE(state_, both);
  Set("SET SESSION sql_mode = \"ANSI\"");
  EXPECT_EQ(state_, both);
  EXPECT_EQ(states_.size(), 2u);  // the start and this one
  Set("SET @@sql_mode=DEFAULT, @a=NULL");
  EXPECT_EQ(state_, start_);
}

TEST_F(SetTest, StatesThatNobodyHasAreForgotten) {
  Set("SET sql_mode='ANSI'");
  Set("SET sql_mode='TRADITIONAL'");
  EXPECT_EQ(states_.size(), 2u);
  state_ = start_;
  EXPECT_EQ(states_.size(), 1u);
}

TEST_F(SetTest, LiteralsOfOrdinaryVariablesAreRestored) {
  Set("SET sql_mode='STRICT_ALL_TABLES', sort_buffer_size = 65536, SESSION lock_wait_timeout=5");
  Set("SET @@session.group_concat_max_len=4096, time_zone='+02:00', max_statement_time=1.5");
  EXPECT_EQ(Plan().set_sql,
            "SET @@session.group_concat_max_len=4096, @@session.lock_wait_timeout=5, "
            "@@session.max_statement_time=1.5, @@session.sort_buffer_size=65536, "
            "@@session.sql_mode='STRICT_ALL_TABLES', @@session.time_zone='+02:00'");
  EXPECT_FALSE(Plan().init_db.has_value());
  EXPECT_TRUE(Plan().set_user_sql.empty());
}

TEST_F(SetTest, WordsStayWords) {
  Set("SET sql_mode=TRADITIONAL, default_storage_engine = InnoDB");
  Set("SET time_zone = SYSTEM");
  EXPECT_EQ(Plan().set_sql,
            "SET @@session.default_storage_engine=InnoDB, @@session.sql_mode=TRADITIONAL, "
            "@@session.time_zone=SYSTEM");
}

TEST_F(SetTest, OneValueHasOneText) {
  const auto plan_of = [&](std::string_view text) {
    state_ = start_;
    Set(text);
    return Plan().set_sql;
  };
  for (const std::string_view off : {"OFF", "0", "off", "'OFF'", "FALSE", "\"off\""}) {
    EXPECT_EQ(plan_of("SET autocommit=" + std::string(off)), "SET @@session.autocommit=0") << off;
  }
  for (const std::string_view on : {"ON", "1", "on", "'ON'", "TRUE"}) {
    EXPECT_EQ(plan_of("SET foreign_key_checks=" + std::string(on)),
              "SET @@session.foreign_key_checks=1");
  }
  EXPECT_EQ(plan_of("SET sql_auto_is_null=OFF"), "SET @@session.sql_auto_is_null=0");
  EXPECT_EQ(plan_of("SET profiling=0"), "SET @@session.profiling=0");
}

// SET foreign_key_checks=DEFAULT switches it off in MySQL 9.7, whatever the global value is.
TEST_F(SetTest, ChecksAreNotTakenBackByDefault) {
  Set("SET foreign_key_checks=0, unique_checks=OFF");
  EXPECT_EQ(PlanRestore(*state_, *start_, family_).set_sql,
            "SET @@session.foreign_key_checks=@@global.foreign_key_checks, "
            "@@session.unique_checks=@@global.unique_checks");
  Set("SET foreign_key_checks=DEFAULT");
  EXPECT_EQ(Plan().set_sql, "SET @@session.foreign_key_checks=DEFAULT, @@session.unique_checks=0");
}

TEST_F(SetTest, IsolationHasManyNames) {
  const std::string mariadb = "SET @@session.tx_isolation='READ-COMMITTED'";
  for (const std::string_view text :
       {"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET SESSION TRANSACTION ISOLATION LEVEL\n  READ\tCOMMITTED",
        "SET tx_isolation='read-committed'", "SET @@session.tx_isolation=\"READ-COMMITTED\"",
        "SET SESSION transaction_isolation='READ-COMMITTED'"}) {
    state_ = start_;
    Set(text);
    EXPECT_EQ(Plan().set_sql, mariadb) << text;
    EXPECT_EQ(PlanRestore(*start_, *state_, ServerFamily::kMysql).set_sql,
              "SET @@session.transaction_isolation='READ-COMMITTED'");
  }
  state_ = start_;
  Set("SET SESSION TRANSACTION READ ONLY");
  EXPECT_EQ(Plan().set_sql, "SET @@session.tx_read_only=1");
  Set("SET SESSION TRANSACTION READ WRITE");
  EXPECT_EQ(Plan().set_sql, "SET @@session.tx_read_only=0");
  Set("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY");
  EXPECT_EQ(Plan().set_sql, "SET @@session.tx_isolation='SERIALIZABLE', @@session.tx_read_only=1");
}

TEST_F(SetTest, WhatIsForTheNextTransactionPins) {
  ExpectPin("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", Pin::kOneShot);
  ExpectPin("SET TRANSACTION READ ONLY", Pin::kOneShot);
  ExpectPin("SET @@tx_isolation='SERIALIZABLE'", Pin::kOneShot);
  ExpectPin("SET insert_id=7", Pin::kOneShot);
}

TEST_F(SetTest, WhatCannotBeRestoredPinsWithItsReason) {
  ExpectPin("SET sql_mode=CONCAT(@@sql_mode, ',ANSI')", Pin::kSessionVariable);
  ExpectPin("SET sql_mode=@old", Pin::kSessionVariable);
  ExpectPin("SET @a=@@version", Pin::kUserVariable);
  ExpectPin("SET @a=1+1", Pin::kUserVariable);
  ExpectPin("SET @a=?", Pin::kUserVariable);
  ExpectPin("SET sort_buffer_size=?", Pin::kSessionVariable);
  ExpectPin("SET ROLE admin", Pin::kSessionVariable);
  ExpectPin("SET CHARACTER SET utf8mb4", Pin::kSessionVariable);
  for (const std::string_view name :
       {"pseudo_thread_id", "pseudo_slave_mode", "gtid_next", "gtid_domain_id", "sql_log_bin",
        "server_id", "binlog_format", "rand_seed1", "wsrep_on", "skip_replication",
        "character_set_database", "optimizer_switch", "max_join_size", "log_slow_filter"}) {
    ExpectPin("SET SESSION " + std::string(name) + "=1", Pin::kSessionVariable);
  }
  ExpectPin("SET sql_auto_is_null=1", Pin::kSessionVariable);
  // A reset would leave what these have recorded to the next session.
  ExpectPin("SET SESSION debug_dbug=1", Pin::kRecords);
  ExpectPin("SET SESSION optimizer_trace='enabled=on'", Pin::kRecords);
  ExpectPin("SET profiling=ON", Pin::kRecords);
  ExpectPin("SET @x=RAND(), profiling=1", Pin::kRecords);
}

TEST_F(SetTest, APinKeepsWhatIsRestorableBesides) {
  const SetEffect effect = Apply("SET sql_mode='ANSI', @a=1+1, @b=2");
  EXPECT_EQ(effect.kind, SetEffect::Kind::kPin);
  EXPECT_EQ(effect.pin, Pin::kUserVariable);
  EXPECT_EQ(PlanRestore(*start_, *effect.state, family_).set_sql, "SET @@session.sql_mode='ANSI'");
  EXPECT_EQ(PlanRestore(*start_, *effect.state, family_).set_user_sql, "SET @`b`=2");
}

TEST_F(SetTest, WhatConcernsTheServerIsNothing) {
  for (const std::string_view text :
       {"SET GLOBAL sort_buffer_size=1", "SET @@global.max_connections=5", "SET PASSWORD='x'",
        "SET DEFAULT ROLE NONE FOR x"}) {
    const SetEffect effect = Apply(text);
    EXPECT_EQ(effect.kind, SetEffect::Kind::kNothing) << text;
    EXPECT_EQ(effect.state, state_);
  }
}

TEST_F(SetTest, TheTimestampIsRestoredUntilItIsTakenBack) {
  Set("SET timestamp=1700000000");
  EXPECT_EQ(Plan().set_sql, "SET @@session.timestamp=1700000000");
  Set("SET timestamp=0");
  EXPECT_EQ(state_, start_);
  Set("SET timestamp=5.25");
  Set("SET TIMESTAMP=DEFAULT");
  EXPECT_EQ(state_, start_);
  ExpectPin("SET timestamp=UNIX_TIMESTAMP('2020-01-01')", Pin::kSessionVariable);
}

TEST_F(SetTest, TheLastInsertIdIsTheRoutersBusiness) {
  for (const std::string_view text : {"SET last_insert_id=42", "SET @@identity=42"}) {
    const SetEffect effect = Apply(text);
    EXPECT_EQ(effect.kind, SetEffect::Kind::kRestorable);
    EXPECT_EQ(effect.last_insert_id, 42u);
    EXPECT_EQ(effect.state, start_);
  }
  ExpectPin("SET last_insert_id=@x", Pin::kSessionVariable);
}

TEST_F(SetTest, UserVariablesAreWrittenSafely) {
  Set("SET @a='it''s', @B=\"say \"\"hi\"\"\", @c=-1.5, @d=TRUE, @`e f`='x', @g='\\'q'");
  EXPECT_EQ(Plan().set_sql, "");
  EXPECT_EQ(Plan().set_user_sql,
            "SET @`a`='it''s', @`b`='say \"hi\"', @`c`=-1.5, @`d`=TRUE, @`e f`='x', @`g`='''q'");
  Set("SET @a=NULL, @b=NULL");
  const StateVectorPtr later = state_;
  EXPECT_EQ(PlanRestore(*later, *start_, family_).set_user_sql,
            "SET @`c`=NULL, @`d`=NULL, @`e f`=NULL, @`g`=NULL");
  // With backslashes there is no text that all modes read alike.
  ExpectPin("SET @a='C:\\\\x'", Pin::kUserVariable);
  ExpectPin("SET @a=_latin1'x'", Pin::kUserVariable);
  ExpectPin("SET @a=x'41'", Pin::kUserVariable);
  ExpectPin("SET @a=b", Pin::kUserVariable);
  ExpectPin("SET @`a``b`=1", Pin::kUserVariable);
}

TEST_F(SetTest, TextsFollowTheSessionsOwnMode) {
  Set("SET sql_mode='NO_BACKSLASH_ESCAPES'");
  ExpectPin("SET @a='C:\\x'", Pin::kUserVariable);
  Set("SET sql_mode='ANSI_QUOTES'");
  Set("SET time_zone=\"+01:00\"");
  EXPECT_EQ(Plan().set_sql, "SET @@session.sql_mode='ANSI_QUOTES', @@session.time_zone='+01:00'");
}

TEST_F(SetTest, NamesComeFirstAndEndWhatWasSetBefore) {
  Set("SET character_set_results=NULL");
  EXPECT_EQ(Plan().set_sql,
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@session.character_set_results=NULL");
  Set("SET NAMES 'LATIN1' COLLATE latin1_bin, sql_mode='ANSI'");
  EXPECT_EQ(Plan().set_sql, "SET NAMES latin1 COLLATE latin1_bin, @@session.sql_mode='ANSI'");
  Set("SET NAMES utf8mb4");
  EXPECT_EQ(Plan().set_sql, "SET NAMES utf8mb4, @@session.sql_mode='ANSI'");
  Set("SET NAMES DEFAULT");
  EXPECT_EQ(Plan().set_sql, "SET NAMES DEFAULT, @@session.sql_mode='ANSI'");
  Set("SET character_set_client=DEFAULT, character_set_results='binary'");
  EXPECT_EQ(Plan().set_sql,
            "SET NAMES DEFAULT, @@session.character_set_client=DEFAULT, "
            "@@session.character_set_results='binary', @@session.sql_mode='ANSI'");
  // Back to what a login gives.
  EXPECT_EQ(PlanRestore(*state_, *start_, family_).set_sql,
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@session.sql_mode=DEFAULT");
  Set("SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, sql_mode=DEFAULT");
  EXPECT_EQ(state_, start_);
}

TEST_F(SetTest, OfTheConnectionsTwoNamesTheLastOneCounts) {
  Set("SET collation_connection=utf8mb4_bin");
  Set("SET character_set_connection=latin1");
  EXPECT_EQ(Plan().set_sql,
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, "
            "@@session.character_set_connection=latin1");
  Set("SET collation_connection='latin1_bin'");
  EXPECT_EQ(Plan().set_sql,
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, "
            "@@session.collation_connection='latin1_bin'");
}

TEST_F(SetTest, OfTheServersTwoNamesTheLastOneCounts) {
  Set("SET collation_server=latin1_bin");
  const StateVectorPtr before = state_;
  Set("SET character_set_server=utf8mb4");
  EXPECT_EQ(Plan().set_sql, "SET @@session.character_set_server=utf8mb4");
  EXPECT_EQ(PlanRestore(*before, *state_, family_).set_sql,
            "SET @@session.collation_server=DEFAULT, @@session.character_set_server=utf8mb4");
  Set("SET collation_server=DEFAULT");
  EXPECT_EQ(state_, start_);
}

TEST_F(SetTest, StringsUnderAnotherCharacterSetPin) {
  Set("SET @n=5");
  Set("SET NAMES latin1");
  Set("SET @s='text'");
  Set("SET character_set_results=binary");
  Set("SET NAMES latin1");
  ExpectPin("SET NAMES utf8mb4", Pin::kUserVariable);
  ExpectPin("SET collation_connection=latin1_bin", Pin::kUserVariable);
  Set("SET @s=NULL");
  Set("SET NAMES utf8mb4");
  // All strings of a statement are read before anything is set.
  ExpectPin("SET NAMES latin1, @s='text'", Pin::kUserVariable);
  ExpectPin("SET @s='text', NAMES latin1", Pin::kUserVariable);
  Set("SET NAMES latin1, @n=6");
}

TEST_F(SetTest, TooMuchStatePins) {
  const std::string large(kMaxValueBytes + 1, 'x');
  ExpectPin("SET @a='" + large + "'", Pin::kUserVariable);
  std::string text = "SET @v0=0";
  for (size_t i = 1; i < kMaxVariables; ++i) text += ",@v" + std::to_string(i) + "=0";
  Set(text);
  ExpectPin("SET @one_more=1", Pin::kSessionVariable);
  Set("SET @v1=7");
}

TEST_F(SetTest, PlansAreEmptyForWhatIsThere) {
  Set("SET sql_mode='ANSI'");
  EXPECT_TRUE(PlanRestore(*state_, *state_, family_).empty());
  StateVector copy = *state_;
  EXPECT_TRUE(PlanRestore(copy, *state_, family_).empty());
}

TEST_F(SetTest, SchemasAndOptionsAreRestored) {
  const StateVectorPtr other = states_.WithSchema(start_, "t_acme");
  EXPECT_EQ(PlanRestore(*start_, *other, family_).init_db, "t_acme");
  EXPECT_EQ(states_.WithSchema(other, "app"), start_);
  const StateVectorPtr multi = states_.WithMultiStatements(start_, true);
  EXPECT_EQ(PlanRestore(*start_, *multi, family_).multi_statements, true);
  EXPECT_EQ(PlanRestore(*multi, *start_, family_).multi_statements, false);
  // A schema can be changed, but not left.
  const StateVectorPtr none = states_.WithSchema(start_, "");
  EXPECT_FALSE(CanRestore(*start_, *none));
  EXPECT_FALSE(PlanRestore(*start_, *none, family_).possible);
  EXPECT_FALSE(PlanRestore(*start_, *none, family_).empty());
  Set("SET autocommit=0");
  EXPECT_EQ(PlanRestore(*state_, *none, family_).set_sql, "SET @@session.autocommit=DEFAULT");
  EXPECT_EQ(PlanRestore(*state_, *none, family_).init_db, std::nullopt);
  EXPECT_TRUE(CanRestore(*none, *start_));
  EXPECT_TRUE(CanRestore(*none, *none));
}

TEST_F(SetTest, AfterAResetTheCharacterSetIsNotKnown) {
  Set("SET sql_mode='ANSI', @a=1");
  const StateVectorPtr multi = states_.WithMultiStatements(state_, true);
  const StateVectorPtr reset = states_.AfterReset(multi);
  EXPECT_EQ(reset->schema, "app");
  EXPECT_TRUE(reset->multi_statements);
  EXPECT_TRUE(reset->variables.empty());
  const RestorePlan plan = PlanRestore(*reset, *start_, family_);
  EXPECT_EQ(plan.set_sql, "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci");
  EXPECT_EQ(plan.multi_statements, false);
  EXPECT_EQ(PlanRestore(*reset, *states_.AfterReset(start_), family_).set_sql, "SET NAMES DEFAULT");
}

TEST_F(SetTest, LoginsAreReadAsEachServerWouldReadThem) {
  const StateVectorPtr reset = states_.AfterReset(start_);
  const auto names = [&](uint32_t id, ServerFamily family, uint32_t version = 0) {
    return PlanRestore(*reset, *states_.AtLogin(id, "app", false), family, version).set_sql;
  };
  const ServerFamily mysql = ServerFamily::kMysql;
  const ServerFamily mariadb = ServerFamily::kMariadb;
  EXPECT_EQ(names(45, mysql), "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci");
  EXPECT_EQ(names(255, mysql), "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci");
  EXPECT_EQ(names(255, mysql, 50744), "SET NAMES DEFAULT");
  EXPECT_EQ(names(255, mariadb), "SET NAMES DEFAULT");
  EXPECT_EQ(names(245, mariadb), "SET NAMES utf8mb4 COLLATE utf8mb4_croatian_mysql561_ci");
  EXPECT_EQ(names(0, mysql), "SET NAMES DEFAULT");
  EXPECT_EQ(names(5000, mariadb), "SET NAMES DEFAULT");
  EXPECT_EQ(names(54, mariadb), "SET NAMES DEFAULT");  // utf16 can't be a client's
  EXPECT_EQ(names(33, mysql), "SET NAMES utf8mb3 COLLATE utf8mb3_general_ci");
  EXPECT_EQ(names(33, mysql, 50744), "SET NAMES utf8 COLLATE utf8_general_ci");
  EXPECT_EQ(names(33, mariadb, 100500), "SET NAMES utf8 COLLATE utf8_general_ci");
  EXPECT_EQ(names(33, mariadb, 101113), "SET NAMES utf8mb3 COLLATE utf8mb3_general_ci");
  // What a client says itself later is the same state.
  Set("SET NAMES latin1 COLLATE latin1_swedish_ci");
  EXPECT_EQ(states_.AtLogin(8, "app", false), state_);
}

TEST_F(SetTest, TheLexersModeFollowsTheState) {
  const auto mode = [&] { return LexerModeOf(*state_, family_, 101100); };
  EXPECT_FALSE(mode().ansi_quotes);
  EXPECT_FALSE(mode().multibyte_backslash);
  Set("SET sql_mode='NO_BACKSLASH_ESCAPES,ANSI_QUOTES'");
  EXPECT_TRUE(mode().ansi_quotes);
  EXPECT_TRUE(mode().no_backslash_escapes);
  EXPECT_FALSE(mode().ignore_space);
  Set("SET NAMES gbk");
  EXPECT_TRUE(mode().multibyte_backslash);
  Set("SET character_set_client=latin1");
  EXPECT_FALSE(mode().multibyte_backslash);
  Set("SET NAMES sjis");
  EXPECT_TRUE(mode().multibyte_backslash);
  EXPECT_EQ(mode().server_version, 101100u);
  EXPECT_TRUE(mode().mariadb);
  // The server's default counts until the sql_mode is set.
  EXPECT_TRUE(LexerModeOf(*start_, family_, 0, "ANSI").ansi_quotes);
  EXPECT_TRUE(LexerModeOf(*state_, family_, 0, "IGNORE_SPACE").no_backslash_escapes);
  EXPECT_FALSE(LexerModeOf(*state_, family_, 0, "IGNORE_SPACE").ignore_space);
  const StateVectorPtr unknown = states_.AtLogin(0, "app", false);
  EXPECT_TRUE(LexerModeOf(*unknown, family_, 0, {}, "gbk").multibyte_backslash);
}

TEST_F(SetTest, WhatCapabilitiesSetAtLoginIsStateAsWell) {
  state_ = states_.AtLogin(kUtf8mb4GeneralCi, "app", false,
                           wire::kClientIgnoreSpace | wire::kClientInteractive);
  EXPECT_EQ(Plan().set_sql,
            "SET @@session.sql_mode=CONCAT(@@global.sql_mode,',IGNORE_SPACE'), "
            "@@session.wait_timeout=@@global.interactive_timeout");
  EXPECT_EQ(WaitTimeoutOf(*state_), std::nullopt);
  EXPECT_TRUE(LexerModeOf(*state_, family_, 0).ignore_space);
  EXPECT_TRUE(LexerModeOf(*state_, family_, 0, "ANSI_QUOTES").ansi_quotes);
  // DEFAULT does not bring it back, in the servers either.
  Set("SET sql_mode=DEFAULT, wait_timeout=DEFAULT");
  EXPECT_EQ(Plan().set_sql, "");
  // After a reset it may be there or not.
  EXPECT_EQ(PlanRestore(*states_.AfterReset(state_), *state_, family_).set_sql,
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@session.sql_mode=DEFAULT, "
            "@@session.wait_timeout=DEFAULT");
  EXPECT_FALSE(LexerModeOf(*state_, family_, 0).ignore_space);
}

TEST(SqlMode, NamesNumbersAndCombinations) {
  const auto bits = [](bool ansi, bool backslash, bool space, bool oracle = false) {
    return SqlModeBits{ansi, backslash, space, oracle};
  };
  EXPECT_EQ(ParseSqlMode(""), bits(false, false, false));
  EXPECT_EQ(ParseSqlMode("STRICT_TRANS_TABLES,NO_ZERO_DATE"), bits(false, false, false));
  EXPECT_EQ(ParseSqlMode("ansi_quotes"), bits(true, false, false));
  EXPECT_EQ(ParseSqlMode("IGNORE_SPACE,NO_BACKSLASH_ESCAPES"), bits(false, true, true));
  for (const std::string_view name : {"ANSI", "DB2", "MAXDB", "MSSQL", "postgresql"}) {
    EXPECT_EQ(ParseSqlMode(name), bits(true, false, true)) << name;
  }
  EXPECT_EQ(ParseSqlMode("ORACLE,STRICT_ALL_TABLES"), bits(true, false, true, true));
  EXPECT_EQ(ParseSqlMode("TRADITIONAL"), bits(false, false, false));
  EXPECT_EQ(ParseSqlMode("4"), bits(true, false, false));
  EXPECT_EQ(ParseSqlMode("8"), bits(false, false, true));
  EXPECT_EQ(ParseSqlMode("1048576"), bits(false, true, false));
  EXPECT_EQ(ParseSqlMode("262144"), bits(true, false, true));
  EXPECT_EQ(ParseSqlMode("512"), bits(true, false, true, true));
  EXPECT_EQ(ParseSqlMode("ANSI_QUOTES,"), bits(true, false, false));
}

TEST_F(SetTest, TheSessionsWaitTimeoutIsTold) {
  EXPECT_EQ(WaitTimeoutOf(*start_), std::nullopt);
  Set("SET SESSION wait_timeout = 2147483");
  EXPECT_EQ(WaitTimeoutOf(*state_), 2147483u);
  const StateVectorPtr interactive = states_.AtLogin(45, "app", false, wire::kClientInteractive);
  EXPECT_EQ(WaitTimeoutOf(*interactive, 60), 60u);
  EXPECT_EQ(WaitTimeoutOf(*interactive), std::nullopt);  // not known
}

TEST_F(SetTest, TheCharacterSetOfTextsIsFollowedHoweverItIsSet) {
  const auto lexing = [&] {
    return static_cast<sql::CharsetLexing>(LexerModeOf(*state_, family_, 101100).charset_id_hint);
  };
  Apply("SET CHARACTER SET gbk");
  for (const auto& [text, wanted] : std::vector<std::pair<std::string, sql::CharsetLexing>>{
           {"SET CHARACTER SET gbk", sql::CharsetLexing::kGbk},
           {"SET CHARSET 'sjis'", sql::CharsetLexing::kSjis},
           {"SET character_set_client = big5", sql::CharsetLexing::kBig5},
           {"SET character_set_client = 28", sql::CharsetLexing::kGbk},
           {"SET character_set_client = 65000", sql::CharsetLexing::kNotTrusted},
           {"SET NAMES cp932", sql::CharsetLexing::kSjis},
           {"SET character_set_client = @saved", sql::CharsetLexing::kNotTrusted},
           {"SET NAMES utf8mb4", sql::CharsetLexing::kPlain}}) {
    state_ = Apply(text).state;
    EXPECT_EQ(lexing(), wanted) << text;
  }
  // What is not known is never sent to a server.
  state_ = Apply("SET CHARACTER SET gbk").state;
  EXPECT_EQ(Apply("SET CHARACTER SET gbk").kind, SetEffect::Kind::kPin);
}

TEST(VariableRules, EachThatPinsSaysWhy) {
  for (const VariableEntry& entry : VariableEntries()) {
    const bool may_pin = entry.rule == VariableRule::kPin || entry.rule == VariableRule::kOneShot ||
                         entry.rule == VariableRule::kOffOnly;
    if (may_pin) {
      EXPECT_FALSE(entry.reason.empty()) << entry.name;
    }
    EXPECT_EQ(std::count(entry.name.begin(), entry.name.end(), '*'),
              entry.name.ends_with('*') ? 1 : 0);
    if (!entry.name.ends_with('*')) {
      EXPECT_EQ(&RuleFor(entry.name), &entry) << entry.name;
    }
  }
  EXPECT_EQ(RuleFor("sort_buffer_size").rule, VariableRule::kOrdinary);
  EXPECT_EQ(RuleFor("gtid_anything").rule, VariableRule::kPin);
}

TEST(VariableRules, AliasesAreFoldedPerFamily) {
  const ServerFamily mysql = ServerFamily::kMysql;
  const ServerFamily mariadb = ServerFamily::kMariadb;
  EXPECT_EQ(CanonicalName("tx_isolation", mysql), "transaction_isolation");
  EXPECT_EQ(CanonicalName("identity", mariadb), "last_insert_id");
  EXPECT_EQ(CanonicalName("log_slow_query_time", mariadb), "long_query_time");
  EXPECT_EQ(CanonicalName("log_slow_query_time", mysql), "log_slow_query_time");
  EXPECT_EQ(ServerName("transaction_read_only", mariadb), "tx_read_only");
  EXPECT_EQ(ServerName("transaction_read_only", mysql), "transaction_read_only");
}

}  // namespace
}  // namespace bulkhead::session
