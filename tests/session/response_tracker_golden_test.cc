#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "proxy/session/response_tracker.h"
#include "proxy/wire/session_state.h"
#include "tests/session/response_support.h"

namespace bulkhead::session {
namespace {

// --- golden bytes: what MariaDB 10.11.19 and MySQL 9.7.4 answered

struct Golden {
  std::string server;
  Capabilities caps = 0;
  ResponseGrammar grammar = ResponseGrammar::kNone;
  std::string name;
  Bytes bytes;
};

ResponseGrammar GrammarNamed(const std::string& name) {
  if (name == "query") return ResponseGrammar::kQuery;
  if (name == "execute") return ResponseGrammar::kExecute;
  if (name == "prepare") return ResponseGrammar::kPrepare;
  if (name == "fetch") return ResponseGrammar::kFetch;
  if (name == "fieldlist") return ResponseGrammar::kFieldList;
  if (name == "statistics") return ResponseGrammar::kStatistics;
  EXPECT_EQ(name, "simple");
  return ResponseGrammar::kSimple;
}

const std::vector<Golden>& GoldenResponses() {
  static const std::vector<Golden>* const kAll = [] {
    auto* all = new std::vector<Golden>;
    std::ifstream file(std::string(BULKHEAD_SOURCE_DIR) + "/tests/session/golden_responses.txt");
    std::string server, caps, grammar, name, hex;
    while (file >> server >> caps >> grammar >> name >> hex) {
      Golden golden{server, std::stoull(caps, nullptr, 16), GrammarNamed(grammar), name, {}};
      for (size_t i = 0; i + 1 < hex.size(); i += 2) {
        golden.bytes.push_back(static_cast<uint8_t>(std::stoi(hex.substr(i, 2), nullptr, 16)));
      }
      all->push_back(std::move(golden));
    }
    return all;
  }();
  return *kAll;
}

ResponseTracker TrackGolden(const std::string& server, const std::string& name) {
  for (const Golden& golden : GoldenResponses()) {
    if (golden.server == server && golden.name == name) {
      return Tracked(golden.grammar, golden.caps, golden.bytes);
    }
  }
  ADD_FAILURE() << "no golden response " << server << " " << name;
  return {};
}

TEST(ResponseTrackerGolden, EveryResponseEndsWhereItEndsHoweverItIsCut) {
  ASSERT_GT(GoldenResponses().size(), 600u);
  for (const Golden& golden : GoldenResponses()) {
    SCOPED_TRACE(golden.server + " " + golden.name);
    if (golden.bytes[4] == 0xFB) {
      // The prefixes of a LOCAL INFILE request have an end of their own.
      const Outcome whole = FeedWhole(golden.grammar, golden.caps, golden.bytes);
      EXPECT_EQ(whole.progress, Progress::kDone);
      EXPECT_EQ(FeedByteByByte(golden.grammar, golden.caps, golden.bytes).summary, whole.summary);
      continue;
    }
    ExpectComplete(golden.grammar, golden.caps, golden.bytes);
    if (HasFatalFailure()) return;
  }
}

TEST(ResponseTrackerGolden, TellsWhatTheServersSaid) {
  for (const std::string server : {"mariadb", "mysql"}) {
    for (const std::string caps : {"eof", "deprecate", "track", "track_eof"}) {
      SCOPED_TRACE(server + " " + caps);
      const auto track = [&](const std::string& name) {
        return TrackGolden(server, caps + "." + name);
      };
      EXPECT_EQ(track("one").rows(), 1u);
      EXPECT_EQ(track("empty").rows(), 0u);
      EXPECT_EQ(track("empty").results(), 1u);
      EXPECT_EQ(track("nulls").rows(), 4u);
      EXPECT_EQ(track("warn").warnings(), 2u);
      const ResponseTracker insert = track("insert");
      EXPECT_EQ(insert.affected_rows(), 2u);
      EXPECT_GE(insert.last_insert_id(), 5u);
      EXPECT_EQ(insert.status(), wire::kStatusAutocommit);
      const ResponseTracker syntax = track("syntax");
      EXPECT_FALSE(syntax.ok());
      EXPECT_EQ(syntax.error_code(), 1064);
      EXPECT_EQ(syntax.sqlstate(), "42000");
      EXPECT_TRUE(syntax.error_message().starts_with("You have an error in your SQL syntax"));
      EXPECT_FALSE(syntax.status_seen());
      EXPECT_FALSE(syntax.result_passed());
      EXPECT_EQ(track("multi").results(), 4u);
      const ResponseTracker multi_error = track("multi_error");
      EXPECT_EQ(multi_error.results(), 1u);
      EXPECT_EQ(multi_error.error_code(), 1054);
      EXPECT_TRUE(multi_error.result_passed());
      EXPECT_EQ(track("midrow").error_code(), 1242);
      EXPECT_EQ(track("call").results(), 3u);
      EXPECT_EQ(track("call_bad").sqlstate(), "45000");
      EXPECT_EQ(track("begin").status() & wire::kStatusInTransaction, 1);
      EXPECT_EQ(track("exec_rows").rows(), 4u);
      EXPECT_FALSE(track("exec_rows").cursor_opened());
      const ResponseTracker cursor = track("cursor");
      EXPECT_TRUE(cursor.cursor_opened());
      EXPECT_EQ(cursor.rows(), 0u);
      EXPECT_EQ(track("fetch2").rows(), 2u);
      EXPECT_EQ(track("fetch2").status() & wire::kStatusLastRowSent, 0);
      EXPECT_NE(track("fetch_rest").status() & wire::kStatusLastRowSent, 0);
      EXPECT_EQ(track("out_params").results(), 3u);
      const ResponseTracker prepared = track("prepare_2_2");
      EXPECT_EQ(prepared.parameter_count(), 2);
      EXPECT_EQ(prepared.column_count(), 2);
      EXPECT_NE(prepared.statement_id(), 0u);
      EXPECT_EQ(track("infile").affected_rows(), 2u);
    }
  }
}

TEST(ResponseTrackerGolden, KeepsSessionStateChanges) {
  for (const std::string server : {"mariadb", "mysql"}) {
    const ResponseTracker set = TrackGolden(server, "track.set");
    wire::SessionStateReader reader(set.session_state());
    wire::SessionStateChange change;
    std::vector<std::string> names;
    while (reader.Next(&change)) names.emplace_back(change.name);
    EXPECT_TRUE(reader.ok());
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"autocommit", "time_zone"})) << server;
  }
}

TEST(ResponseTrackerGolden, ProgressReportsEndNothing) {
  const ResponseTracker alter = TrackGolden("mariadb", "progress.alter");
  EXPECT_TRUE(alter.ok());
  EXPECT_EQ(alter.affected_rows(), 3000000u);
}

TEST(ResponseTrackerGolden, HashesOfDefinitionsAreEqualOnEqualStatements) {
  const auto hash = [](const std::string& server, const std::string& name) {
    return TrackGolden(server, name).metadata_hash();
  };
  EXPECT_EQ(hash("mariadb", "deprecate.prepare_0_2"), hash("mariadb", "track.prepare_0_2"));
  EXPECT_EQ(hash("mysql", "deprecate.prepare_0_2"), hash("mysql", "eof.prepare_0_2"));
  EXPECT_NE(hash("mysql", "deprecate.prepare_0_2"), hash("mysql", "deprecate.prepare_2_2"));
  EXPECT_NE(hash("mysql", "deprecate.prepare_1_0"), hash("mysql", "deprecate.prepare_0_0"));
}

}  // namespace
}  // namespace bulkhead::session
