// What a client of the admin listener gets for what it sends: each command, several statements,
// commands that wait, and what is refused.

#include "proxy/admin/admin_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/admin/admin_session_support.h"

namespace bulkhead::admin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;
using wire::Command;

std::string Only(const std::vector<std::string>& lines) {
  EXPECT_THAT(lines, SizeIs(1));
  return lines.empty() ? "" : lines.front();
}

class EachClient : public testing::TestWithParam<wire::Capabilities> {};

INSTANTIATE_TEST_SUITE_P(AdminSession, EachClient,
                         testing::Values(kPlainClient, kModernClient, kMariadbClient));

TEST_P(EachClient, GetsRows) {
  SessionHarness h(GetParam());
  EXPECT_THAT(h.Query("SELECT name, held, since, why FROM backends WHERE name = 'db1'"),
              ElementsAre("columns name held since why", "row db1|0|0.0|NULL", "end"));
  EXPECT_THAT(h.source.asked, ElementsAre("backends"));
  EXPECT_THAT(h.shell.audits, ElementsAre(HasSubstr("SELECT name, held")));
  EXPECT_THAT(h.shell.audits[0], HasSubstr("-> 1 row"));
}

TEST_P(EachClient, GetsErrorsWithTheirState) {
  SessionHarness h(GetParam());
  EXPECT_THAT(Only(h.Query("SELECT nix FROM backends")),
              StartsWith("error 1054 42S22 there is no column 'nix'"));
  EXPECT_THAT(Only(h.Query("DRAIN")), StartsWith("error 1064 42000 syntax error"));
  // What the mysql client of MySQL 9 sends at its start, and counts on.
  EXPECT_THAT(Only(h.Query("SELECT $$")), StartsWith("error 1064 42000 "));
  EXPECT_THAT(
      h.Query("SHOW WARNINGS"),
      ElementsAre("columns Level Code Message", StartsWith("row Error|1064|syntax error"), "end"));
}

TEST_P(EachClient, GetsSmallAnswers) {
  SessionHarness h(GetParam());
  EXPECT_EQ(Only(h.Ask(Command::kPing)), "ok");
  EXPECT_EQ(Only(h.Ask(Command::kInitDb, "bulkhead")), "ok");
  EXPECT_THAT(Only(h.Ask(Command::kInitDb, "mysql")), StartsWith("error 1049 42000 "));
  EXPECT_EQ(Only(h.Ask(Command::kStatistics, {}, Awaits::kText)), "Uptime: 1");
  EXPECT_EQ(Only(h.Ask(Command::kSetOption, std::string_view("\0\0", 2))), "end");
  EXPECT_EQ(Only(h.Ask(Command::kResetConnection)), "ok");
  EXPECT_THAT(Only(h.Ask(Command::kFieldList, std::string_view("holds\0", 6), Awaits::kFields)),
              StartsWith("fields shard tenant kind held"));
  EXPECT_THAT(Only(h.Ask(Command::kFieldList, std::string_view("nothing\0", 8), Awaits::kFields)),
              StartsWith("error 1146 42S02 "));
  EXPECT_THAT(Only(h.Ask(Command::kRefresh, "\x01")),
              StartsWith("error 1047 HY000 the admin listener does not know this command: "
                         "COM_REFRESH"));
  EXPECT_EQ(Only(h.Query("SET NAMES utf8mb4")), "ok");
  EXPECT_EQ(Only(h.Query("USE information_schema")), "ok");
  EXPECT_THAT(Only(h.Query("USE test")), StartsWith("error 1049 "));
  EXPECT_THAT(Only(h.Query("")), StartsWith("error 1065 42000 "));
}

TEST_P(EachClient, GetsPreparedStatements) {
  SessionHarness h(GetParam());
  EXPECT_EQ(
      Only(h.Ask(Command::kStmtPrepare,
                 "SELECT name, held FROM backends WHERE name = ? OR held > ?", Awaits::kPrepare)),
      "prepared 1 parameters 2 columns name held");
  // Statement 1, no cursor, once; no NULL; types string and long; values.
  const std::string execute("\1\0\0\0\0\1\0\0\0\0\1\xFE\0\x03\0\3db2\5\0\0\0", 23);
  EXPECT_THAT(h.Ask(Command::kStmtExecute, execute, Awaits::kBinary),
              ElementsAre("columns name held", "row db2|0", "end"));
  // The types stay bound.
  const std::string again("\1\0\0\0\0\1\0\0\0\0\0\3db1\5\0\0\0", 19);
  EXPECT_THAT(h.Ask(Command::kStmtExecute, again, Awaits::kBinary),
              ElementsAre("columns name held", "row db1|0", "end"));
  EXPECT_THAT(h.shell.audits[0], HasSubstr("name = 'db2' OR held > 5"));
  EXPECT_EQ(Only(h.Ask(Command::kStmtReset, std::string_view("\1\0\0\0", 4))), "ok");
  EXPECT_THAT(h.Ask(Command::kStmtClose, std::string_view("\1\0\0\0", 4)), IsEmpty());
  EXPECT_THAT(Only(h.Ask(Command::kStmtExecute, again)),
              StartsWith("error 1243 HY000 there is no prepared statement 1"));
  EXPECT_THAT(Only(h.Ask(Command::kStmtFetch, std::string_view("\1\0\0\0\1\0\0\0", 8))),
              StartsWith("error 1421 "));
}

TEST(AdminSession, PreparesCommandsAndSaysWhatIsWrongAtOnce) {
  SessionHarness h;
  EXPECT_EQ(Only(h.Ask(Command::kStmtPrepare, "DRAIN BACKEND ? TIMEOUT ?", Awaits::kPrepare)),
            "prepared 1 parameters 2 columns");
  EXPECT_THAT(Only(h.Ask(Command::kStmtPrepare, "SELECT 1 FROM nowhere", Awaits::kPrepare)),
              StartsWith("error 1146 "));
  EXPECT_THAT(Only(h.Ask(Command::kStmtPrepare, "DRIAN BACKEND db1", Awaits::kPrepare)),
              StartsWith("error 1064 "));
  h.Start(Command::kStmtExecute, std::string("\1\0\0\0\0\1\0\0\0\0\1\xFE\0\xFE\0\3db1\003"
                                             "30s",
                                             23));
  ASSERT_THAT(h.shell.commands, SizeIs(1));
  EXPECT_EQ(std::get<control::DrainBackend>(h.shell.commands[0]).timeout, std::chrono::seconds(30));
  h.Reply(true, 0, "drained");
  EXPECT_EQ(Only(h.Read()), "ok drained");
}

TEST(AdminSession, LongDataIsJoinedAndBounded) {
  SessionHarness h;
  h.Ask(Command::kStmtPrepare, "SELECT ? AS x", Awaits::kPrepare);
  h.Ask(Command::kStmtSendLongData, std::string("\1\0\0\0\0\0ab", 8));
  h.Ask(Command::kStmtSendLongData, std::string("\1\0\0\0\0\0cd", 8));
  const std::string execute("\1\0\0\0\0\1\0\0\0\0\1\xFC\0", 13);
  EXPECT_THAT(h.Ask(Command::kStmtExecute, execute, Awaits::kBinary),
              ElementsAre("columns x", "row abcd", "end"));
  for (int i = 0; i < 3; ++i) {
    h.Ask(Command::kStmtSendLongData,
          std::string("\1\0\0\0\0\0", 6) + std::string(AdminSession::kMostLongData / 2, 'x'));
  }
  EXPECT_THAT(Only(h.Ask(Command::kStmtExecute, execute)), StartsWith("error 1153 "));
  for (size_t i = 0; i < AdminSession::kMostPrepared; ++i)
    h.Ask(Command::kStmtPrepare, "KILL 1", Awaits::kPrepare);
  EXPECT_THAT(Only(h.Ask(Command::kStmtPrepare, "KILL 1", Awaits::kPrepare)),
              StartsWith("error 1461 42000 "));
}

TEST(AdminSession, SeveralStatementsUpToTheFirstThatFails) {
  SessionHarness h;
  EXPECT_THAT(h.Query("SELECT 1 AS a; SELECT ';' AS b; -- nothing\n"),
              ElementsAre("columns a", "row 1", "end more", "columns b", "row ;", "end"));
  EXPECT_THAT(h.Query("SET NAMES utf8; SELECT x; SELECT 3"),
              ElementsAre("ok more", StartsWith("error 1054 ")));
  EXPECT_THAT(h.shell.audits, SizeIs(4));
  // Unless the client has not asked for it, or takes it back.
  EXPECT_EQ(Only(h.Ask(Command::kSetOption, std::string_view("\1\0", 2))), "end");
  EXPECT_THAT(Only(h.Query("SELECT 1; SELECT 2")), HasSubstr("one statement at a time"));
  EXPECT_THAT(h.Query("SELECT 1 AS a ;"), ElementsAre("columns a", "row 1", "end"));
}

TEST(AdminSession, CommandsAreAnsweredByTheDesk) {
  SessionHarness h;
  h.Start(Command::kQuery, "HOLD SHARD s1 FOR '30s'; SHOW SHARDS");
  ASSERT_THAT(h.shell.commands, SizeIs(1));
  EXPECT_EQ(h.shell.submitted[0].statement, "HOLD SHARD s1 FOR '30s'");
  EXPECT_EQ(h.shell.submitted[0].user, "admin");
  EXPECT_THAT(h.Read(), IsEmpty());
  h.Reply(true, 0, "shard s1 is held");
  h.DoWork();
  const std::vector<std::string> lines = h.Read();
  ASSERT_THAT(lines, SizeIs(4));
  EXPECT_EQ(lines[0], "ok shard s1 is held more");
  EXPECT_THAT(lines[2], StartsWith("row s1|serving|db1"));
  // What the desk refuses ends the text; its reasons are warnings.
  h.Start(Command::kQuery, "RELOAD CONFIG; SHOW SHARDS");
  control::OperatorReply refused;
  refused.code = 9420;
  refused.message = "no";
  refused.notes = {"line 3", "line 9"};
  h.session.OnReply(refused);
  EXPECT_THAT(h.Read(), ElementsAre("error 9420 HY000 no"));
  EXPECT_THAT(h.Query("SHOW WARNINGS"),
              ElementsAre("columns Level Code Message", "row Note|9420|line 3",
                          "row Note|9420|line 9", "row Error|9420|no", "end"));
}

TEST(AdminSession, ReportsAreTables) {
  SessionHarness h;
  h.Start(Command::kQuery, "DRILL HANG SHARD s1 FOR '5s'");
  control::OperatorReply report;
  report.ok = true;
  report.message = "over";
  report.columns = {"second", "state"};
  report.rows = {{"0.0", "suspect"}, {"2.0", "down"}};
  h.session.OnReply(report);
  EXPECT_THAT(h.Read(), ElementsAre("columns second state", "row 0.0|suspect", "row 2.0|down",
                                    "end warnings=1"));
  EXPECT_THAT(h.Query("SHOW WARNINGS"),
              ElementsAre("columns Level Code Message", "row Note|0|over", "end"));
}

TEST(AdminSession, ProgressIsForThoseWhoAskForIt) {
  SessionHarness h(kMariadbClient);
  h.Start(Command::kQuery, "DRAIN BACKEND db1 TIMEOUT '10s'");
  h.shell.now_ns += 2'500'000'000;
  h.session.OnProgress("waiting for 2 statements");
  h.shell.now_ns += 60'000'000'000;
  h.session.OnProgress("still waiting");
  h.Reply(true, 0, "drained");
  EXPECT_THAT(h.Read(), ElementsAre("progress 24999 waiting for 2 statements",
                                    "progress 99999 still waiting", "ok drained"));
  SessionHarness other(kModernClient);
  other.Start(Command::kQuery, "DRAIN BACKEND db1");
  other.session.OnProgress("waiting");
  EXPECT_THAT(other.Read(), IsEmpty());
}

TEST(AdminSession, ReadOnlyUsersOnlyRead) {
  SessionHarness h(kModernClient, true);
  EXPECT_THAT(Only(h.Query("DRAIN BACKEND db1")),
              StartsWith("error 1227 42000 user 'admin' is read_only"));
  EXPECT_THAT(h.shell.commands, IsEmpty());
  EXPECT_THAT(h.Query("SELECT 1 AS a"), SizeIs(3));
  // Ctrl-C of a client is a KILL.
  EXPECT_THAT(Only(h.Query("KILL QUERY 9")), StartsWith("ok"));
  h.shell.kill_answer = AdminShell::KillAnswer::kNotAllowed;
  EXPECT_THAT(Only(h.Query("KILL 9")), StartsWith("error 1095 "));
  EXPECT_THAT(h.shell.audits, SizeIs(4)) << "refusals are audited too";
}

TEST(AdminSession, KillFindsConnectionsOfThisListener) {
  SessionHarness h;
  EXPECT_THAT(Only(h.Query("KILL QUERY 9")), StartsWith("ok"));
  EXPECT_THAT(Only(h.Ask(Command::kProcessKill, std::string_view("\x0A\0\0\0", 4))),
              StartsWith("ok"));
  EXPECT_THAT(h.shell.kills, ElementsAre(std::pair(9, true), std::pair(10, false)));
  h.shell.kill_answer = AdminShell::KillAnswer::kNotFound;
  EXPECT_THAT(Only(h.Query("KILL 1073741888")), HasSubstr("KILL SESSION 1073741888"));
  EXPECT_THAT(Only(h.Query("KILL QUERY 7")), StartsWith("error 1317 70100 "));
  EXPECT_FALSE(h.shell.closed);
  EXPECT_THAT(Only(h.Query("KILL 7")), StartsWith("error 1317 "));
  EXPECT_TRUE(h.shell.closed);
}

TEST(AdminSession, BeingKilledEndsWhatRuns) {
  SessionHarness h;
  EXPECT_FALSE(h.session.BeKilled(true)) << "nothing runs";
  h.Start(Command::kQuery, "DRAIN BACKEND db1");
  EXPECT_FALSE(h.session.BeKilled(true));
  EXPECT_EQ(h.shell.cancels, 1);
  h.Reply(false, 9420, "drain was cancelled");
  EXPECT_THAT(h.Read(), ElementsAre("error 9420 HY000 drain was cancelled"));
  h.Start(Command::kQuery, "SELECT 1");
  EXPECT_FALSE(h.session.BeKilled(true));
  EXPECT_EQ(h.shell.interrupts, 1);
  h.runner.Interrupt();
  h.runner.Do(h.shell.work.get());
  h.session.OnWorkDone(*h.shell.work);
  EXPECT_THAT(Only(h.Read()), StartsWith("error 1317 70100 "));
  EXPECT_TRUE(h.session.BeKilled(false)) << "the connection is to be closed";
}

TEST(AdminSession, AClientThatLeavesTakesItsCommandBack) {
  SessionHarness h;
  h.Start(Command::kQuery, "DRAIN BACKEND db1");
  h.session.OnClientGone();
  EXPECT_EQ(h.shell.cancels, 1);
  h.Reply(false, 9420, "late");
  EXPECT_THAT(h.Read(), IsEmpty());
  SessionHarness other;
  other.Start(Command::kQuery, "SELECT 1");
  other.session.OnClientGone();
  EXPECT_EQ(other.shell.interrupts, 1);
  EXPECT_THAT(other.shell.audits, ElementsAre("SELECT 1 -> the client left"));
  other.DoWork();
  EXPECT_THAT(other.Read(), IsEmpty());
}

TEST(AdminSession, WhatIsSentAheadWaitsItsTurn) {
  SessionHarness h;
  h.Start(Command::kQuery, "DRAIN BACKEND db1");
  h.Start(Command::kPing, "");
  h.Start(Command::kQuery, "SET NAMES utf8");
  EXPECT_THAT(h.Read(), IsEmpty());
  EXPECT_TRUE(h.session.wants_bytes());
  h.session.OnBytes(std::vector<uint8_t>(AdminSession::kMostAhead));
  EXPECT_FALSE(h.session.wants_bytes()) << "no more is read while it waits";
  h.Reply(true, 0, "drained");
  const std::vector<std::string> lines = h.Read();
  ASSERT_GE(lines.size(), 3u);
  EXPECT_EQ(lines[0], "ok drained");
}

TEST(AdminSession, RowsAreWrittenAsTheClientTakesThem) {
  SessionHarness h;
  h.shell.full_at = 1;
  h.Start(Command::kQuery,
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
          "SELECT i, 'some text to make it longer, and longer still' FROM n; SELECT 2");
  h.DoWork();
  size_t pieces = 0;
  size_t most = 0;
  std::vector<uint8_t> all;
  while (!h.shell.sent.empty()) {
    most = std::max(most, h.shell.sent.size());
    all.insert(all.end(), h.shell.sent.begin(), h.shell.sent.end());
    h.shell.sent.clear();
    ++pieces;
    h.shell.full = false;
    h.session.OnWritable();
    h.DoWork();
  }
  EXPECT_GT(pieces, 3u);
  EXPECT_LT(most, 300'000u);
  h.shell.sent = std::move(all);
  EXPECT_THAT(h.Read(), SizeIs(20'000 + 2 + 3));
}

TEST(AdminSession, PacketsThatAreNoneEndIt) {
  SessionHarness large;
  std::vector<uint8_t> header = {0xFF, 0xFF, 0xFE, 0};
  large.session.OnBytes(header);
  EXPECT_THAT(Only(large.Read()), StartsWith("error 1153 08P01 "));
  EXPECT_TRUE(large.shell.closed);
  SessionHarness disordered;
  const uint8_t ping[] = {0x0E};
  disordered.SendPacket(ping, 3);
  EXPECT_TRUE(disordered.shell.closed);
  SessionHarness empty;
  empty.SendPacket({});
  EXPECT_THAT(Only(empty.Read()), StartsWith("error 1835 "));
  EXPECT_FALSE(empty.shell.closed);
  EXPECT_EQ(Only(empty.Ask(Command::kPing)), "ok");
}

TEST(AdminSession, AChangeOfUserIsTheLoginsMatter) {
  SessionHarness h;
  h.Ask(Command::kStmtPrepare, "KILL 1", Awaits::kPrepare);
  h.Start(Command::kChangeUser, "viewer");
  EXPECT_EQ(h.shell.change_user.size(), 7u);
  EXPECT_EQ(h.shell.change_user_sequence, 0);
  EXPECT_TRUE(h.session.busy());
  h.session.OnUserChanged({.connection_id = 7,
                           .capabilities = kModernClient,
                           .user = "viewer",
                           .address = "127.0.0.1",
                           .read_only = true});
  EXPECT_THAT(Only(h.Query("DRAIN BACKEND db1")), HasSubstr("'viewer' is read_only"));
  EXPECT_THAT(Only(h.Ask(Command::kStmtExecute, std::string_view("\1\0\0\0\0\1\0\0\0", 9))),
              StartsWith("error 1243 "));
}

TEST(AdminSession, SecretsAreNotAudited) {
  SessionHarness h;
  h.Query("CREATE USER x IDENTIFIED BY 'hunter2'");
  h.Query("SET probe.password = 'hunter2'");
  ASSERT_THAT(h.shell.audits, SizeIs(1));
  EXPECT_THAT(h.shell.audits[0], testing::Not(HasSubstr("hunter2")));
  ASSERT_THAT(h.shell.submitted, SizeIs(1));
  EXPECT_THAT(h.shell.submitted[0].statement, testing::Not(HasSubstr("hunter2")));
}

TEST(AdminSession, WarningsAreCounted) {
  SessionHarness h;
  h.source.state.warnings = {"worker 1 does not answer"};
  EXPECT_THAT(h.Query("SELECT count(*) AS n FROM sessions"),
              ElementsAre("columns n", "row 0", "end warnings=1"));
  EXPECT_THAT(h.Query("SHOW WARNINGS"),
              ElementsAre("columns Level Code Message", "row Warning|1105|worker 1 does not answer",
                          "end"));
}

// Each command of these, cut at every byte, and with every byte changed: it is answered or the
// connection ends, and nothing else happens.
TEST(AdminSession, MalformedCommandsHarmNobody) {
  const std::string commands[] = {
      std::string("\x03SELECT 1", 9),
      std::string("\x02"
                  "bulkhead",
                  9),
      std::string("\x04"
                  "holds\0%",
                  8),
      std::string("\x0C\x01\0\0\0", 5),
      std::string("\x1B\0\0", 3),
      std::string("\x16SELECT ?, ?", 12),
      std::string("\x17\1\0\0\0\0\1\0\0\0\0\1\xFE\0\x03\0\3db2\5\0\0\0", 24),
      std::string("\x17\1\0\0\0\0\1\0\0\0\0\1\x07\0\x0B\0\4\xE8\7\1\1\x08\0\0\0\0\0\1\2\3", 31),
      std::string("\x18\1\0\0\0\0\0"
                  "abc",
                  10),
      std::string("\x19\1\0\0\0", 5),
      std::string("\x1A\1\0\0\0", 5),
      std::string("\x1C\1\0\0\0\1\0\0\0", 9),
      std::string("\xFA\1\0\0\0\0\0", 7),
  };
  const auto feed = [](std::string command) {
    SessionHarness h;
    h.Ask(Command::kStmtPrepare, "SELECT ?, ?", Awaits::kPrepare);
    h.SendPacket(wire::AsBytes(command));
    h.DoWork();
    (void)h.Read();
    if (h.shell.closed) return;
    if (h.session.busy()) {  // it is a command for the desk, or a change of user
      h.session.OnClientGone();
      return;
    }
    EXPECT_EQ(Only(h.Ask(Command::kPing)), "ok") << command;
  };
  for (const std::string& command : commands) {
    for (size_t size = 0; size <= command.size(); ++size) feed(command.substr(0, size));
    for (size_t at = 0; at < command.size(); ++at) {
      for (const char byte : {'\0', '\1', '\x7F', '\xFB', '\xFF'}) {
        std::string changed = command;
        changed[at] = byte;
        feed(changed);
      }
    }
  }
}

}  // namespace
}  // namespace bulkhead::admin
