#include "proxy/session/response_tracker.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/session/response_support.h"

namespace bulkhead::session {
namespace {

TEST(ResponseTracker, TextRowsMayBeginWithAlmostAnything) {
  for (const Capabilities caps : {kEofCaps, kNoEofCaps}) {
    const bool eofs = caps == kEofCaps;
    std::vector<Bytes> payloads = {{1}, Definition()};
    if (eofs) payloads.push_back(Eof(2));
    payloads.push_back(Row(""));                       // 0x00, but no OK
    payloads.push_back({0xFB});                        // NULL, but no LOCAL INFILE
    payloads.push_back(Row(std::string(300, 'x')));    // 0xFC
    payloads.push_back(Row(std::string(70000, 'x')));  // 0xFD
    payloads.push_back(Row("abcdef"));
    payloads.push_back(eofs ? Eof(2) : Ok(caps, {.header = 0xFE, .status = 2}));
    const Bytes bytes = Sequence(payloads);
    const Outcome whole = FeedWhole(ResponseGrammar::kQuery, caps, bytes);
    EXPECT_EQ(whole.progress, Progress::kDone);
    EXPECT_EQ(FeedByteByByte(ResponseGrammar::kQuery, caps, bytes).summary, whole.summary);
    EXPECT_EQ(Tracked(ResponseGrammar::kQuery, caps, bytes).rows(), 5u);
  }
}

TEST(ResponseTracker, RowsOverSixteenMegabytesAreOnePacket) {
  for (const Capabilities caps : {kEofCaps, kNoEofCaps}) {
    for (const size_t size : {size_t{0xFFFFFF - 9}, size_t{0xFFFFFF}, size_t{2 * 0xFFFFFF - 9}}) {
      const bool eofs = caps == kEofCaps;
      std::vector<Bytes> payloads = {{1}, Definition()};
      if (eofs) payloads.push_back(Eof(2));
      // A cell of 16 MiB and more begins with 0xFE. Inside, a frame may begin with anything.
      Bytes row = {0xFE};
      for (int i = 0; i < 8; ++i) row.push_back(static_cast<uint8_t>(size >> (8 * i)));
      row.resize(row.size() + size, 0xFF);
      payloads.push_back(row);
      payloads.push_back(Row("x"));
      payloads.push_back(eofs ? Eof(2) : Ok(caps, {.header = 0xFE, .status = 2}));
      const Bytes bytes = Sequence(payloads);
      const Outcome whole = FeedWhole(ResponseGrammar::kQuery, caps, bytes);
      EXPECT_EQ(whole.progress, Progress::kDone);
      std::vector<size_t> cuts;
      for (size_t i = 65521; i < bytes.size(); i += 65521) cuts.push_back(i);
      EXPECT_EQ(FeedCut(ResponseGrammar::kQuery, caps, bytes, cuts).summary, whole.summary);
      EXPECT_EQ(Tracked(ResponseGrammar::kQuery, caps, bytes).rows(), 2u);
    }
  }
}

TEST(ResponseTracker, AnErrorMayComeAnywhere) {
  const std::vector<Bytes> payloads = {{2}, Definition(), Definition(), Eof(2), Row("x"), Row("y")};
  for (size_t good = 0; good <= payloads.size(); ++good) {
    std::vector<Bytes> cut(payloads.begin(), payloads.begin() + static_cast<ptrdiff_t>(good));
    cut.push_back(Err(1317, "Query execution was interrupted"));
    ExpectComplete(ResponseGrammar::kQuery, kEofCaps, Sequence(cut));
    const ResponseTracker t = Tracked(ResponseGrammar::kQuery, kEofCaps, Sequence(cut));
    EXPECT_FALSE(t.ok());
    EXPECT_EQ(t.error_code(), 1317);
    EXPECT_EQ(t.error_message(), "Query execution was interrupted");
    EXPECT_EQ(t.status_seen(), good > 3);
  }
}

TEST(ResponseTracker, ErrorsWithoutSqlstateAndLongMessagesAreKeptInBounds) {
  ResponseTracker t =
      Tracked(ResponseGrammar::kSimple, kEofCaps, Packet(1, {0xFF, 0x10, 0x04, 'T', 'o', 'o'}));
  EXPECT_EQ(t.error_code(), 1040);
  EXPECT_EQ(t.sqlstate(), "HY000");
  EXPECT_EQ(t.error_message(), "Too");
  Bytes huge = {0xFF, 0x10, 0x04, '#', '0', '8', 'S', '0', '1'};
  huge.resize(200000, 'm');
  const Bytes bytes = Packet(1, huge);
  t = Tracked(ResponseGrammar::kSimple, kEofCaps, bytes);
  EXPECT_EQ(t.error_message().size(), ResponseTracker::kMessageLimit);
  EXPECT_EQ(FeedWhole(ResponseGrammar::kSimple, kEofCaps, bytes).summary,
            FeedCut(ResponseGrammar::kSimple, kEofCaps, bytes, {3, 5, 70000, 150000}).summary);
}

TEST(ResponseTracker, ProgressReportsPassOnlyWhereAgreed) {
  const Bytes report = Encoded([](wire::ByteWriter* w) {
    wire::EncodeProgressReport({.stage = 1, .max_stage = 2, .progress = 500, .info = "copy"}, w);
  });
  const Capabilities caps = kNoEofCaps | wire::kMariadbClientProgress;
  const Bytes bytes = Sequence({report, report, Ok(caps, {.affected_rows = 3, .status = 2})});
  ExpectComplete(ResponseGrammar::kQuery, caps, bytes);
  EXPECT_EQ(Tracked(ResponseGrammar::kQuery, caps, bytes).affected_rows(), 3u);
  // Without the capability it is an error like any other.
  ResponseTracker plain;
  plain.Start(ResponseGrammar::kQuery, kNoEofCaps);
  Bytes copy = bytes;
  const auto result = plain.Feed(copy);
  EXPECT_EQ(result.progress, Progress::kDone);
  EXPECT_EQ(result.consumed, report.size() + 4);
  EXPECT_EQ(plain.error_code(), 0xFFFF);
}

TEST(ResponseTracker, LocalInfileStopsBehindTheRequest) {
  Bytes request = Sequence({{0xFB, 'f'}});
  ResponseTracker t;
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  Bytes with_more = Join({request, Packet(7, Ok(kEofCaps, {.affected_rows = 9, .status = 2}))});
  const auto first = t.Feed(with_more);
  EXPECT_EQ(first.progress, Progress::kLocalInfileRequest);
  EXPECT_EQ(first.consumed, request.size());
  EXPECT_TRUE(t.at_packet_boundary());
  const auto second = t.Feed(std::span(with_more).subspan(first.consumed));
  EXPECT_EQ(second.progress, Progress::kDone);
  EXPECT_EQ(t.affected_rows(), 9u);
  // Not asked of a client that can't.
  ExpectError(ResponseGrammar::kQuery, wire::kClientProtocol41, request, 0);
}

TEST(ResponseTracker, ReplacesTheStatementIdWhereverItIsCut) {
  const Bytes payload = Encoded([](wire::ByteWriter* w) {
    wire::EncodePrepareOk({.statement_id = 0x01020304, .columns = 1, .parameters = 0}, kEofCaps, w);
  });
  const Bytes bytes = Sequence({payload, Definition(), Eof(2)});
  Bytes expected = bytes;
  const Bytes id = {0xDD, 0xCC, 0xBB, 0xAA};
  std::copy(id.begin(), id.end(), expected.begin() + 5);
  const auto check = [&](const std::vector<size_t>& cuts) {
    const Outcome out = FeedCut(ResponseGrammar::kPrepare, kEofCaps, bytes, cuts, 0xAABBCCDD);
    EXPECT_EQ(out.progress, Progress::kDone);
    EXPECT_EQ(out.bytes, expected);
    EXPECT_NE(out.summary.find("stmt=16909060/0/1/"), std::string::npos) << out.summary;
  };
  check({});
  for (size_t a = 1; a < 14; ++a) {
    check({a});
    for (size_t b = a + 1; b < 14; ++b) check({a, b});
  }
}

TEST(ResponseTracker, CachedMetadataIsLeftOut) {
  const Capabilities caps = kNoEofCaps | wire::kMariadbClientCacheMetadata;
  const Bytes row = {0x00, 0x00, 0x01};
  const Bytes end = Ok(caps, {.header = 0xFE, .status = 2});
  ExpectComplete(ResponseGrammar::kExecute, caps, Sequence({{2, 0}, row, row, end}));
  ExpectComplete(ResponseGrammar::kExecute, caps,
                 Sequence({{2, 1}, Definition(), Definition(), row, end}));
  const Capabilities with_eof = kEofCaps | wire::kMariadbClientCacheMetadata;
  ExpectComplete(ResponseGrammar::kExecute, with_eof, Sequence({{2, 0}, Eof(2), row, Eof(2)}));
  ExpectError(ResponseGrammar::kExecute, caps, Sequence({{2}}), 0);
}

TEST(ResponseTracker, AProceduresOwnCursorIsNotTheClients) {
  // As MariaDB 10.11 sends it: rows, although the flag is there.
  const uint16_t status = wire::kStatusAutocommit | wire::kStatusMoreResultsExist |
                          wire::kStatusNoIndexUsed | wire::kStatusCursorExists;
  const Bytes row = {0x00, 0x00, 0x01};
  const std::vector<Bytes> set = {{1}, Definition(), Eof(status), row, Eof(status)};
  std::vector<Bytes> all = set;
  all.insert(all.end(), set.begin(), set.end());
  all.push_back(Ok(kEofCaps, {.status = 0x22}));
  ExpectComplete(ResponseGrammar::kExecute, kEofCaps, Sequence(all));
  const ResponseTracker t = Tracked(ResponseGrammar::kExecute, kEofCaps, Sequence(all));
  EXPECT_FALSE(t.cursor_opened());
  EXPECT_EQ(t.results(), 3u);
}

TEST(ResponseTracker, SequenceIdsMustCountUp) {
  const Bytes ok = Ok(kEofCaps, {.status = wire::kStatusMoreResultsExist});
  ExpectError(ResponseGrammar::kQuery, kEofCaps, Join({Packet(1, ok), Packet(3, ok)}),
              ok.size() + 4);
  const Capabilities compressed = kEofCaps | wire::kClientCompress;
  const Bytes last = Ok(kEofCaps, {.status = 2});
  const Bytes jumping = Join({Packet(1, ok), Packet(3, last)});
  EXPECT_EQ(FeedWhole(ResponseGrammar::kQuery, compressed, jumping).progress, Progress::kDone);
  // 255 is followed by 0.
  std::vector<Bytes> many = {{1}, Definition(), Eof(2)};
  for (int i = 0; i < 600; ++i) many.push_back(Row("x"));
  many.push_back(Eof(2));
  const ResponseTracker t = Tracked(ResponseGrammar::kQuery, kEofCaps, Sequence(many));
  EXPECT_EQ(t.rows(), 600u);
  EXPECT_EQ(t.next_sequence(), static_cast<uint8_t>(many.size() + 1));
  // Among rows, in the hot loop.
  Bytes rows = Sequence(many);
  rows[rows.size() - 9 - 3 * 6 + 3] ^= 1;
  EXPECT_EQ(FeedWhole(ResponseGrammar::kQuery, kEofCaps, rows).progress, Progress::kProtocolError);
}

TEST(ResponseTracker, AnAnswerBeginsWithOne) {
  const Bytes ok = Ok(kEofCaps, {.status = 2});
  ExpectError(ResponseGrammar::kQuery, kEofCaps, Packet(2, ok), 0);
  ExpectError(ResponseGrammar::kQuery, kEofCaps, Packet(0, ok), 0);
  ExpectError(ResponseGrammar::kPrepare, kEofCaps, Packet(77, ok), 0);
  // Or with what follows a request of several frames, or a file.
  ResponseTracker t;
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  t.ExpectSequence(3);
  Bytes third = Packet(3, ok);
  EXPECT_EQ(t.Feed(third).progress, Progress::kDone);
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  t.ExpectSequence(3);
  Bytes first = Packet(1, ok);
  EXPECT_EQ(t.Feed(first).progress, Progress::kProtocolError);
  EXPECT_FALSE(t.said_before_request());
}

TEST(ResponseTracker, KnowsAGoodbyeFromBeforeTheRequest) {
  Bytes said = Packet(0, {0xFF, 0xBF, 0x0F, '#', 'H', 'Y', '0', '0', '0', 'i', 'd', 'l', 'e'});
  ResponseTracker t;
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  const ResponseTracker::Result result = t.Feed(said);
  EXPECT_EQ(result.progress, Progress::kProtocolError);
  EXPECT_EQ(result.consumed, 0u);
  EXPECT_TRUE(t.said_before_request());
  EXPECT_EQ(t.error_code(), 4031);
  EXPECT_EQ(t.error_message(), "idle");
  // The same as the second packet is only wrong.
  Bytes late = Join({Packet(1, {1}), said});
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  EXPECT_EQ(t.Feed(late).progress, Progress::kProtocolError);
  EXPECT_FALSE(t.said_before_request());
}

TEST(ResponseTracker, WhatContradictsTheGrammarIsAnError) {
  const Bytes definition = Definition();
  const auto query = [](Capabilities caps, const std::vector<Bytes>& payloads) {
    Bytes good;
    if (payloads.size() > 1) {
      good = Sequence(std::vector<Bytes>(payloads.begin(), payloads.end() - 1));
    }
    ExpectError(ResponseGrammar::kQuery, caps, Sequence(payloads), good.size());
  };
  query(kEofCaps, {{0x00}});                            // an OK of one byte
  query(kEofCaps, {{0x00, 0, 0, 2, 0, 0}});             // of six
  query(kEofCaps, {{0x00, 0xFC, 0, 2, 0, 0, 0}});       // whose numbers reach past its end
  query(kEofCaps, {{0xFF, 1}});                         // an ERR without a code
  query(kEofCaps, {{0xFF, 1, 1, '#', 'H'}});            // with half a SQLSTATE
  query(kEofCaps, {{0xFE, 0, 0, 2, 0}});                // an EOF in place of a result
  query(kEofCaps, {{0xFC, 1}});                         // a count that is cut
  query(kEofCaps, {{1, 7}});                            // and one with something behind it
  query(kEofCaps, {{0xFC, 1, 0}});                      // not in its shortest form
  query(kEofCaps, {{1}, {0x03, 'd', 'e', 'f'}});        // a definition too short
  query(kEofCaps, {{1}, Eof(2)});                       // an EOF in its place
  query(kEofCaps, {{1}, definition, Row("x")});         // no EOF behind it
  query(kEofCaps, {{1}, definition, {0xFE, 0, 0, 2}});  // an EOF of four bytes
  query(kEofCaps, {{1}, definition, Eof(2), {0xFE, 0, 0}});
  query(kNoEofCaps, {{1}, definition, Eof(2)});                     // an EOF where an OK must be
  ExpectError(ResponseGrammar::kQuery, kEofCaps, {0, 0, 0, 1}, 0);  // an empty packet
  ExpectError(ResponseGrammar::kExecute, kNoEofCaps, Sequence({{1}, definition, Row("x")}),
              Sequence({{1}, definition}).size());  // a text row among binary ones
  ExpectError(ResponseGrammar::kPrepare, kEofCaps, Sequence({Ok(kEofCaps, {.status = 2})}), 0);
  ExpectError(ResponseGrammar::kSimple, kEofCaps, Sequence({{3}}), 0);
  ExpectError(ResponseGrammar::kFieldList, kEofCaps, Sequence({{3}}), 0);
  ExpectError(ResponseGrammar::kFetch, kEofCaps, Sequence({{3, 3}}), 0);
}

TEST(ResponseTracker, StaysFailed) {
  ResponseTracker t;
  Bytes bytes = Sequence({{0x00}});
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  EXPECT_EQ(t.Feed(bytes).progress, Progress::kProtocolError);
  EXPECT_TRUE(t.at_packet_boundary());
  EXPECT_EQ(t.next_sequence(), 1);
  Bytes good = Sequence({Ok(kEofCaps, {.status = 2})});
  EXPECT_EQ(t.Feed(good).progress, Progress::kProtocolError);
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  EXPECT_EQ(t.Feed(good).progress, Progress::kDone);
}

TEST(ResponseTracker, KnowsWhereAPacketOfTheRoutersOwnMayGo) {
  Bytes bytes = Sequence({{1}, Definition(), Eof(2), Row("hello"), Row("world")});
  ResponseTracker t;
  t.Start(ResponseGrammar::kQuery, kEofCaps);
  EXPECT_TRUE(t.at_packet_boundary());
  EXPECT_EQ(t.next_sequence(), 1);
  size_t packets = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(t.Feed(std::span(bytes).subspan(i, 1)).consumed, 1u);
    if (!t.at_packet_boundary()) continue;
    ++packets;
    EXPECT_EQ(t.next_sequence(), packets + 1);
  }
  EXPECT_EQ(packets, 5u);
  EXPECT_EQ(t.rows(), 2u);
}

TEST(ResponseTracker, SessionStateIsBounded) {
  const Capabilities caps = kNoEofCaps | wire::kClientSessionTrack;
  const auto ok_with = [&](size_t size, uint16_t more) {
    const std::string state(size, 's');
    return Ok(caps, {.affected_rows = 4,
                     .status = static_cast<uint16_t>(wire::kStatusSessionStateChanged | more),
                     .session_state = state});
  };
  const uint16_t more = wire::kStatusMoreResultsExist;
  ResponseTracker t = Tracked(ResponseGrammar::kQuery, caps,
                              Sequence({ok_with(10, more), ok_with(20, more), ok_with(5, 0)}));
  EXPECT_EQ(t.session_state().size(), 35u);
  EXPECT_FALSE(t.session_state_overflow());
  for (const size_t size : {size_t{65537}, size_t{300000}}) {
    const Bytes bytes = Sequence({ok_with(10, more), ok_with(size, 0)});
    t = Tracked(ResponseGrammar::kQuery, caps, bytes);
    EXPECT_EQ(t.session_state().size(), 10u);
    EXPECT_TRUE(t.session_state_overflow());
    EXPECT_EQ(t.affected_rows(), 4u);
    EXPECT_EQ(FeedCut(ResponseGrammar::kQuery, caps, bytes, {7, 40, 41, 66000}).summary,
              FeedWhole(ResponseGrammar::kQuery, caps, bytes).summary);
  }
}

TEST(ResponseTracker, CapturesWithinItsLimit) {
  const Bytes bytes = Sequence({{1}, Definition(), Eof(2), Row("hello"), Eof(2)});
  for (const size_t limit : {bytes.size(), size_t{10}}) {
    Bytes copy = bytes;
    copy.push_back(0x77);
    Bytes captured;
    ResponseTracker t;
    t.Start(ResponseGrammar::kQuery, kEofCaps);
    t.CaptureInto(&captured, limit);
    EXPECT_EQ(t.Feed(std::span(copy).first(9)).progress, Progress::kMore);
    EXPECT_EQ(t.Feed(std::span(copy).subspan(9)).progress, Progress::kDone);
    EXPECT_EQ(captured, Bytes(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(limit)));
    EXPECT_EQ(t.capture_overflow(), limit < bytes.size());
  }
}

TEST(ResponseTracker, NoResponseIsDoneAtOnce) {
  ResponseTracker t;
  t.Start(ResponseGrammar::kNone, kEofCaps);
  Bytes bytes = Sequence({Ok(kEofCaps, {.status = 2})});
  const auto result = t.Feed(bytes);
  EXPECT_EQ(result.progress, Progress::kDone);
  EXPECT_EQ(result.consumed, 0u);
  EXPECT_TRUE(t.done());
}

TEST(ResponseTracker, TheLastInsertIdIsTheLastOneThatWasSet) {
  const uint16_t more = wire::kStatusMoreResultsExist;
  const ResponseTracker t =
      Tracked(ResponseGrammar::kQuery, kEofCaps,
              Sequence({Ok(kEofCaps, {.affected_rows = 1, .last_insert_id = 7, .status = more}),
                        Ok(kEofCaps, {.affected_rows = 2, .status = 2, .warnings = 5})}));
  EXPECT_EQ(t.last_insert_id(), 7u);
  EXPECT_EQ(t.affected_rows(), 2u);
  EXPECT_EQ(t.warnings(), 5);
  EXPECT_EQ(t.results(), 2u);
}

TEST(ResponseTracker, IsSmall) { EXPECT_LE(sizeof(ResponseTracker), 192u); }

}  // namespace
}  // namespace bulkhead::session
