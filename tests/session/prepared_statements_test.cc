#include "proxy/session/prepared_statements.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/wire/commands.h"
#include "proxy/wire/execute_messages.h"

namespace bulkhead::session {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Bytes = std::vector<uint8_t>;

constexpr wire::Capabilities kPlain = wire::kClientProtocol41;
constexpr wire::Capabilities kNamed = kPlain | wire::kClientQueryAttributes;

class PreparedTest : public ::testing::Test {
 protected:
  StatementTextPtr Text(std::string_view sql) { return texts_.Intern(sql, {}); }
  StateVectorPtr State(std::string_view schema) { return states_.AtLogin(45, schema, false); }
  ClientStatement Statement(std::string_view sql, uint16_t parameters = 0) {
    ClientStatement statement;
    statement.text = Text(sql);
    statement.prepared_in = State("a");
    statement.parameter_count = parameters;
    return statement;
  }

  StatementTexts texts_;
  StateInterner states_;
};

TEST_F(PreparedTest, TextsAreSharedCountedAndReadOnce) {
  StatementTextPtr a = Text("SET @tenant = ?");
  const StatementTextPtr b = Text("SET @tenant = ?");
  EXPECT_EQ(a, b);
  EXPECT_EQ(&a->sql(), &b->sql());
  EXPECT_TRUE(a->sets_tenant);
  EXPECT_EQ(a->info.kind, sql::StatementKind::kSet);
  ASSERT_EQ(a->info.assignments.size(), 1u);
  EXPECT_GE(a->info.assignments[0].value.data(), a->sql().data());
  EXPECT_LT(a->info.assignments[0].value.data(), a->sql().data() + a->sql().size());
  const StatementTextPtr other = Text("SELECT ?");
  EXPECT_FALSE(other->sets_tenant);
  EXPECT_EQ(texts_.size(), 2u);
  // Another mode reads it in another way.
  const StatementTextPtr ansi = texts_.Intern("SELECT ?", {.ansi_quotes = true});
  EXPECT_NE(ansi, other);
  EXPECT_EQ(texts_.size(), 3u);
}

TEST_F(PreparedTest, TextsThatNobodyHasAreForgotten) {
  {
    ClientStatements statements;
    for (int i = 0; i < 100; ++i) {
      statements.Add(Statement("SELECT " + std::to_string(i)));
    }
    EXPECT_EQ(texts_.size(), 100u);
    EXPECT_EQ(statements.text_bytes(), 10 * 8u + 90 * 9u);
    statements.Remove(1);
    EXPECT_EQ(texts_.size(), 99u);
  }
  EXPECT_EQ(texts_.size(), 0u);
}

TEST_F(PreparedTest, PointersMayOutliveTheirInterner) {
  StatementTextPtr text;
  {
    StatementTexts texts;
    text = texts.Intern("SELECT 1", {});
  }
  EXPECT_EQ(text->sql(), "SELECT 1");
  const StatementTextPtr copy = text;
  text.reset();
  EXPECT_EQ(copy->sql(), "SELECT 1");
}

TEST_F(PreparedTest, ClientIdsCountFromOne) {
  ClientStatements statements;
  EXPECT_EQ(statements.next_id(), 1u);
  ClientStatement* first = statements.Add(Statement("SELECT 1"));
  EXPECT_EQ(first->id, 1u);
  EXPECT_EQ(statements.Add(Statement("SELECT 2"))->id, 2u);
  EXPECT_EQ(statements.Find(1), first);
  EXPECT_EQ(statements.Find(3), nullptr);
  EXPECT_EQ(statements.Find(0), nullptr);
  EXPECT_TRUE(statements.Remove(1));
  EXPECT_FALSE(statements.Remove(1));
  EXPECT_EQ(statements.next_id(), 3u);  // ids are not given twice
  statements.Clear();
  EXPECT_EQ(statements.size(), 0u);
  EXPECT_EQ(statements.text_bytes(), 0u);
  EXPECT_EQ(statements.next_id(), 1u);
}

TEST_F(PreparedTest, TheLastOneHasAnIdOfItsOwn) {
  constexpr uint32_t kLast = wire::kLastPreparedStatement;
  ClientStatements statements;
  EXPECT_EQ(statements.Find(kLast), nullptr);
  statements.Add(Statement("SELECT 1"));
  ClientStatement* second = statements.Add(Statement("SELECT 2"));
  EXPECT_EQ(statements.Find(kLast), second);
  EXPECT_TRUE(statements.Remove(1));
  EXPECT_EQ(statements.Find(kLast), second);
  EXPECT_TRUE(statements.Remove(kLast));
  EXPECT_EQ(statements.Find(kLast), nullptr);
  EXPECT_EQ(statements.Find(2), nullptr);
  statements.Add(Statement("SELECT 3"));
  statements.NoteFailedPrepare();
  EXPECT_EQ(statements.Find(kLast), nullptr);
  EXPECT_NE(statements.Find(3), nullptr);
}

TEST_F(PreparedTest, ASessionsStatementsAreLimited) {
  ClientStatements few(2);
  few.Add(Statement("SELECT 1"));
  EXPECT_FALSE(few.full());
  few.Add(Statement("SELECT 2"));
  EXPECT_TRUE(few.full());
  few.Remove(1);
  EXPECT_FALSE(few.full());
  ClientStatements short_ones(100, 16);
  short_ones.Add(Statement("SELECT 1"));
  EXPECT_FALSE(short_ones.full());
  short_ones.Add(Statement("SELECT 2"));
  EXPECT_TRUE(short_ones.full());
}

TEST_F(PreparedTest, LongDataAndCursorsAreFound) {
  ClientStatements statements;
  ClientStatement* a = statements.Add(Statement("SELECT ?", 1));
  ClientStatement* b = statements.Add(Statement("SELECT 2"));
  EXPECT_FALSE(statements.AnyLongData());
  EXPECT_FALSE(statements.AnyCursor());
  EXPECT_EQ(a->private_id(), 0u);
  a->long_data = a->wants_own = true;
  b->cursor_open = b->wants_own = true;
  EXPECT_TRUE(statements.AnyLongData());
  EXPECT_TRUE(statements.AnyCursor());
  EXPECT_EQ(a->private_id(), 1u);
  EXPECT_EQ(b->private_id(), 2u);
}

TEST_F(PreparedTest, AnUnusedConnectionPaysOnePointer) {
  EXPECT_EQ(sizeof(ServerStatements), sizeof(void*));
  ServerStatements server;
  EXPECT_EQ(server.Find(Text("SELECT 1"), State("a")), nullptr);
  EXPECT_EQ(server.size(), 0u);
  EXPECT_THAT(server.TakePrivate(), IsEmpty());
  server.Clear();
  server.Remove(Text("SELECT 1"), State("a"));
}

TEST_F(PreparedTest, AStatementIsItsTextAndTheStateItWasPreparedIn) {
  ServerStatements server;
  EXPECT_THAT(server.Insert(Text("SELECT 1"), State("a"), 11), IsEmpty());
  EXPECT_THAT(server.Insert(Text("SELECT 1"), State("b"), 12), IsEmpty());
  EXPECT_THAT(server.Insert(Text("SELECT 2"), State("a"), 13), IsEmpty());
  EXPECT_EQ(server.Find(Text("SELECT 1"), State("a"))->server_id, 11u);
  EXPECT_EQ(server.Find(Text("SELECT 1"), State("b"))->server_id, 12u);
  EXPECT_EQ(server.Find(Text("SELECT 2"), State("b")), nullptr);
  EXPECT_EQ(server.Find(Text("SELECT 1"), State("a"), 5), nullptr);
  // Prepared again: the old one is of no use.
  EXPECT_THAT(server.Insert(Text("SELECT 1"), State("a"), 14), ElementsAre(11u));
  EXPECT_EQ(server.size(), 3u);
  server.Remove(Text("SELECT 1"), State("a"));
  EXPECT_EQ(server.Find(Text("SELECT 1"), State("a")), nullptr);
  server.Clear();
  EXPECT_EQ(server.size(), 0u);
  EXPECT_EQ(texts_.size(), 0u);
}

TEST_F(PreparedTest, TheLeastRecentlyUsedGoFirst) {
  ServerStatements server;
  server.set_limit(3);
  const StateVectorPtr state = State("a");
  for (uint32_t i = 1; i <= 3; ++i) {
    EXPECT_THAT(server.Insert(Text("SELECT " + std::to_string(i)), state, i), IsEmpty());
  }
  ServerStatements::Entry* first = server.Find(Text("SELECT 1"), state);
  EXPECT_THAT(server.Insert(Text("SELECT 4"), state, 4), ElementsAre(2u));
  EXPECT_EQ(server.Find(Text("SELECT 1"), state), first);
  EXPECT_THAT(server.Insert(Text("SELECT 5"), state, 5), ElementsAre(3u));
  server.set_limit(1);
  EXPECT_THAT(server.Insert(Text("SELECT 6"), state, 6), UnorderedElementsAre(1u, 4u, 5u));
  EXPECT_EQ(server.size(), 1u);
}

TEST_F(PreparedTest, WhatMayHoldACursorIsNotEvicted) {
  ServerStatements server;
  server.set_limit(2);
  const StateVectorPtr state = State("a");
  EXPECT_THAT(server.Insert(Text("SELECT 1"), state, 1, 7), IsEmpty());
  EXPECT_THAT(server.Insert(Text("SELECT 1"), state, 2, 8), IsEmpty());
  EXPECT_THAT(server.Insert(Text("SELECT 1"), state, 3), IsEmpty());
  EXPECT_THAT(server.Insert(Text("SELECT 2"), state, 4), ElementsAre(3u));
  EXPECT_EQ(server.Find(Text("SELECT 1"), state, 7)->server_id, 1u);
  EXPECT_THAT(server.TakePrivate(8), ElementsAre(2u));
  EXPECT_THAT(server.TakePrivate(8), IsEmpty());
  EXPECT_THAT(server.TakePrivate(), ElementsAre(1u));
  EXPECT_EQ(server.size(), 1u);
}

TEST_F(PreparedTest, RandomUseKeepsListAndMapTogether) {
  ServerStatements server;
  server.set_limit(16);
  const StateVectorPtr state = State("a");
  uint32_t random = 1;
  uint32_t next_server_id = 1;
  size_t closed = 0;
  size_t inserted = 0;
  for (int i = 0; i < 5000; ++i) {
    random = random * 1664525 + 1013904223;
    const StatementTextPtr text = Text("SELECT " + std::to_string(random >> 16 & 31));
    if (server.Find(text, state) == nullptr) {
      closed += server.Insert(text, state, next_server_id++).size();
      ++inserted;
    } else if ((random >> 24) % 8 == 0) {
      server.Remove(text, state);
      ++closed;
    }
    ASSERT_LE(server.size(), 16u);
    ASSERT_EQ(inserted - closed, server.size());
  }
}

// --- executions

Bytes Execute(uint32_t id, const std::vector<Bytes>& types, bool send_types, const Bytes& values,
              wire::Capabilities caps, size_t count) {
  Bytes out;
  wire::ByteWriter w(&out);
  w.WriteU8(static_cast<uint8_t>(wire::Command::kStmtExecute));
  w.WriteU32(id);
  w.WriteU8((caps & wire::kClientQueryAttributes) != 0 ? wire::kParameterCountAvailable : 0);
  w.WriteU32(1);
  if (count == 0) return out;
  if ((caps & wire::kClientQueryAttributes) != 0) w.WriteLenencInt(count);
  w.WriteZeros((count + 7) / 8);
  w.WriteU8(send_types ? 1 : 0);
  if (send_types) {
    for (const Bytes& type : types) w.WriteBytes(type);
  }
  w.WriteBytes(values);
  return out;
}

class ExecuteTest : public PreparedTest {
 protected:
  ExecuteTest() : client_(Statement("SELECT ?, ?", 2)) {
    client_.id = 1;
    entry_.server_id = 0x01020304;
  }
  ExecuteRewrite Rewrite(Bytes* payload, wire::Capabilities caps) {
    rebuilt_.clear();
    return RewriteExecute(*payload, caps, &client_, &entry_, &rebuilt_);
  }
  static Bytes WithId(Bytes payload, uint32_t id) {
    wire::PatchStatementId(payload, id);
    return payload;
  }

  ClientStatement client_;
  ServerStatements::Entry entry_;
  Bytes rebuilt_;
  const Bytes values_ = {7, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 'b'};
  const std::vector<Bytes> types_ = {{8, 0x80}, {253, 0}};
  const std::vector<Bytes> named_types_ = {{8, 0x80, 1, 'x'}, {253, 0, 0}};
};

TEST_F(ExecuteTest, TypesThatComeAlongAreKept) {
  Bytes payload = Execute(1, types_, true, values_, kPlain, 2);
  const Bytes expected = WithId(payload, entry_.server_id);
  EXPECT_EQ(Rewrite(&payload, kPlain), ExecuteRewrite::kInPlace);
  EXPECT_EQ(payload, expected);
  EXPECT_EQ(client_.types, (Bytes{8, 0x80, 253, 0}));
  EXPECT_EQ(entry_.types, client_.types);
  // The next one needs none here ...
  Bytes second = Execute(1, {}, false, values_, kPlain, 2);
  EXPECT_EQ(Rewrite(&second, kPlain), ExecuteRewrite::kInPlace);
  EXPECT_EQ(second, WithId(Execute(1, {}, false, values_, kPlain, 2), entry_.server_id));
  // ... but on a connection that has not seen them, or has seen others.
  for (const Bytes& there : {Bytes{}, Bytes{3, 0, 3, 0}}) {
    entry_.types = there;
    Bytes third = Execute(1, {}, false, values_, kPlain, 2);
    EXPECT_EQ(Rewrite(&third, kPlain), ExecuteRewrite::kRebuilt);
    EXPECT_EQ(rebuilt_, expected);
    EXPECT_EQ(entry_.types, client_.types);
  }
}

TEST_F(ExecuteTest, NamesAreLeftOutAndWrittenAsTheLayoutAsks) {
  Bytes payload = Execute(1, named_types_, true, values_, kNamed, 2);
  EXPECT_EQ(Rewrite(&payload, kNamed), ExecuteRewrite::kInPlace);
  EXPECT_EQ(client_.types, (Bytes{8, 0x80, 0, 253, 0, 0}));
  entry_.types.clear();
  Bytes second = Execute(1, {}, false, values_, kNamed, 2);
  EXPECT_EQ(Rewrite(&second, kNamed), ExecuteRewrite::kRebuilt);
  EXPECT_EQ(rebuilt_, WithId(Execute(1, {{8, 0x80, 0}, {253, 0, 0}}, true, values_, kNamed, 2),
                             entry_.server_id));
}

TEST_F(ExecuteTest, AttributesAreOfOneExecutionOnly) {
  const std::vector<Bytes> with_attribute = {{8, 0x80, 0}, {253, 0, 0}, {253, 0, 1, 'q'}};
  Bytes values = values_;
  values.insert(values.end(), {1, 'z'});
  Bytes payload = Execute(1, with_attribute, true, values, kNamed, 3);
  const Bytes expected = WithId(payload, entry_.server_id);
  EXPECT_EQ(Rewrite(&payload, kNamed), ExecuteRewrite::kInPlace);
  EXPECT_EQ(payload, expected);
  EXPECT_EQ(client_.types, (Bytes{8, 0x80, 0, 253, 0, 0}));
  entry_.types.clear();
  Bytes second = Execute(1, {}, false, values, kNamed, 3);
  EXPECT_EQ(Rewrite(&second, kNamed), ExecuteRewrite::kMalformed);
}

TEST_F(ExecuteTest, WithoutAnyTypesNothingIsSent) {
  // The server's statement has types of another session.
  entry_.types = {8, 0, 8, 0};
  Bytes payload = Execute(1, {}, false, values_, kPlain, 2);
  EXPECT_EQ(Rewrite(&payload, kPlain), ExecuteRewrite::kNoTypes);
  EXPECT_EQ(entry_.types, (Bytes{8, 0, 8, 0}));
}

TEST_F(ExecuteTest, WithoutParametersOnlyTheIdChanges) {
  client_.parameter_count = 0;
  for (const wire::Capabilities caps : {kPlain, kNamed}) {
    Bytes payload = Execute(1, {}, false, {}, kPlain, 0);
    EXPECT_EQ(Rewrite(&payload, caps), ExecuteRewrite::kInPlace);
    EXPECT_EQ(payload, WithId(Execute(1, {}, false, {}, kPlain, 0), entry_.server_id));
  }
}

TEST_F(ExecuteTest, TheFrontOfALongPacketIsEnough) {
  client_.types = {8, 0x80, 253, 0};
  const Bytes whole = Execute(1, {}, false, values_, kPlain, 2);
  Bytes front(whole.begin(), whole.end() - 3);
  EXPECT_EQ(Rewrite(&front, kPlain), ExecuteRewrite::kRebuilt);
  const Bytes all = WithId(Execute(1, types_, true, values_, kPlain, 2), entry_.server_id);
  EXPECT_EQ(rebuilt_, Bytes(all.begin(), all.end() - 3));
}

TEST_F(ExecuteTest, WhatIsCutIsMalformed) {
  const Bytes whole = Execute(1, named_types_, true, {}, kNamed, 2);
  for (size_t size = 0; size < whole.size(); ++size) {
    Bytes cut(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(Rewrite(&cut, kNamed), ExecuteRewrite::kMalformed) << size;
    EXPECT_EQ(cut, Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)));
  }
}

TEST_F(ExecuteTest, BulksAreRewrittenTheSameWay) {
  const auto bulk = [](uint32_t id, uint16_t flags, const Bytes& types) {
    Bytes out;
    wire::ByteWriter w(&out);
    w.WriteU8(static_cast<uint8_t>(wire::Command::kMariadbStmtBulkExecute));
    w.WriteU32(id);
    w.WriteU16(flags);
    w.WriteBytes(types);
    w.WriteBytes(Bytes{0, 1, 0, 2, 'x', 'y'});
    return out;
  };
  const Bytes types = {8, 0x80, 253, 0};
  Bytes untyped = bulk(1, wire::kBulkSendUnitResults, {});
  EXPECT_EQ(Rewrite(&untyped, kPlain), ExecuteRewrite::kNoTypes);
  Bytes typed = bulk(1, wire::kBulkSendTypes, types);
  EXPECT_EQ(Rewrite(&typed, kPlain), ExecuteRewrite::kInPlace);
  EXPECT_EQ(typed, bulk(entry_.server_id, wire::kBulkSendTypes, types));
  EXPECT_EQ(client_.types, types);
  Bytes again = bulk(1, wire::kBulkSendUnitResults, {});
  EXPECT_EQ(Rewrite(&again, kPlain), ExecuteRewrite::kInPlace);
  EXPECT_EQ(again, bulk(entry_.server_id, wire::kBulkSendUnitResults, {}));
  entry_.types.clear();
  again = bulk(1, wire::kBulkSendUnitResults, {});
  EXPECT_EQ(Rewrite(&again, kPlain), ExecuteRewrite::kRebuilt);
  EXPECT_EQ(rebuilt_,
            bulk(entry_.server_id, wire::kBulkSendUnitResults | wire::kBulkSendTypes, types));
}

TEST(AsksForCursor, LooksAtTheFlags) {
  EXPECT_FALSE(AsksForCursor(Bytes{}));
  EXPECT_FALSE(AsksForCursor(Bytes{0x17, 1, 0, 0, 0}));
  EXPECT_FALSE(AsksForCursor(Bytes{0x17, 1, 0, 0, 0, 0}));
  EXPECT_FALSE(AsksForCursor(Bytes{0x17, 1, 0, 0, 0, wire::kParameterCountAvailable}));
  EXPECT_TRUE(AsksForCursor(Bytes{0x17, 1, 0, 0, 0, wire::kCursorReadOnly}));
}

}  // namespace
}  // namespace bulkhead::session
