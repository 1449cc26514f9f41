// Responses built by hand, and a tracker fed with them in every way.
#ifndef BULKHEAD_TESTS_SESSION_RESPONSE_SUPPORT_H_
#define BULKHEAD_TESTS_SESSION_RESPONSE_SUPPORT_H_

#include <gtest/gtest.h>

#include <initializer_list>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/session/response_tracker.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::session {

using Bytes = std::vector<uint8_t>;
using Progress = ResponseTracker::Progress;
using wire::Capabilities;

inline constexpr Capabilities kEofCaps = wire::kClientProtocol41 | wire::kClientLocalFiles;
inline constexpr Capabilities kNoEofCaps = kEofCaps | wire::kClientDeprecateEof;

// --- building responses by hand

inline Bytes Packet(uint8_t sequence, const Bytes& payload) {
  Bytes out;
  wire::PacketWriter(&out, sequence).Write(payload);
  return out;
}

inline Bytes Join(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

template <typename Encode>
inline Bytes Encoded(Encode&& encode) {
  Bytes out;
  wire::ByteWriter writer(&out);
  encode(&writer);
  return out;
}

struct OkFields {
  uint8_t header = wire::kOkHeader;
  uint64_t affected_rows = 0;
  uint64_t last_insert_id = 0;
  uint16_t status = 0;
  uint16_t warnings = 0;
  std::string_view session_state = {};
};
inline Bytes Ok(Capabilities caps, const OkFields& fields) {
  wire::OkPacket ok;
  ok.header = fields.header;
  ok.affected_rows = fields.affected_rows;
  ok.last_insert_id = fields.last_insert_id;
  ok.status = fields.status;
  ok.warnings = fields.warnings;
  ok.session_state = fields.session_state;
  return Encoded([&](wire::ByteWriter* w) { wire::EncodeOk(ok, caps, w); });
}
inline Bytes Eof(uint16_t status, uint16_t warnings = 0) {
  return Encoded(
      [&](wire::ByteWriter* w) { wire::EncodeEof({.warnings = warnings, .status = status}, w); });
}
inline Bytes Err(uint16_t code, std::string_view message = "no") {
  return Encoded([&](wire::ByteWriter* w) {
    wire::EncodeErr({.code = code, .sqlstate = "42000", .message = message}, w);
  });
}
inline Bytes Definition(std::string_view name = "a") {
  return Encoded([&](wire::ByteWriter* w) {
    wire::EncodeColumnDefinition(wire::TextColumn(name), kEofCaps, w);
  });
}
inline Bytes Row(std::string_view cell) {
  return Encoded([&](wire::ByteWriter* w) { w->WriteLenencString(cell); });
}

// Numbers payloads into packets from `first` on.
inline Bytes Sequence(const std::vector<Bytes>& payloads, uint8_t first = 1) {
  Bytes out;
  wire::PacketWriter writer(&out, first);
  for (const Bytes& payload : payloads) writer.Write(payload);
  return out;
}

// --- feeding

// All that a tracker tells at the end, as text, so that differences can be read.
inline std::string Summary(const ResponseTracker& t) {
  std::ostringstream out;
  out << "ok=" << t.ok() << " status=" << (t.status_seen() ? std::to_string(t.status()) : "none")
      << " affected=" << t.affected_rows() << " id=" << t.last_insert_id()
      << " warnings=" << t.warnings() << " rows=" << t.rows() << " results=" << t.results()
      << " cursor=" << t.cursor_opened() << " error=" << t.error_code() << "/" << t.sqlstate()
      << "/" << t.error_message() << " stmt=" << t.statement_id() << "/" << t.parameter_count()
      << "/" << t.column_count() << "/" << t.metadata_hash()
      << " state=" << t.session_state().size() << t.session_state_overflow()
      << " passed=" << t.result_passed() << " boundary=" << t.at_packet_boundary()
      << " next=" << int{t.next_sequence()} << " bytes=" << t.bytes_passed();
  return out.str();
}

struct Outcome {
  Progress progress = Progress::kMore;
  size_t consumed = 0;
  std::string summary;
  Bytes bytes;  // as they passed
};

// Feeds `bytes`, cut before each index in `cuts`. A LOCAL INFILE request is gone past.
inline Outcome FeedCut(ResponseGrammar grammar, Capabilities caps, Bytes bytes,
                       const std::vector<size_t>& cuts, std::optional<uint32_t> replace_id = {}) {
  ResponseTracker tracker;
  tracker.Start(grammar, caps);
  if (replace_id.has_value()) tracker.ReplaceStatementId(*replace_id);
  Outcome out;
  size_t begin = 0;
  for (size_t i = 0; i <= cuts.size() && out.progress == Progress::kMore; ++i) {
    const size_t end = i < cuts.size() ? cuts[i] : bytes.size();
    while (begin < end || end == bytes.size()) {
      const auto result = tracker.Feed(std::span(bytes).subspan(begin, end - begin));
      EXPECT_LE(result.consumed, end - begin);
      begin += result.consumed;
      out.progress = result.progress;
      if (result.progress != Progress::kLocalInfileRequest) break;
      out.progress = Progress::kMore;
      EXPECT_TRUE(tracker.at_packet_boundary());
      if (begin == bytes.size()) break;
    }
    if (out.progress == Progress::kMore) {
      EXPECT_EQ(begin, end);
    }
  }
  out.consumed = begin;
  out.summary = Summary(tracker);
  out.bytes = std::move(bytes);
  return out;
}

inline Outcome FeedWhole(ResponseGrammar grammar, Capabilities caps, const Bytes& bytes) {
  return FeedCut(grammar, caps, bytes, {});
}

inline Outcome FeedByteByByte(ResponseGrammar grammar, Capabilities caps, const Bytes& bytes) {
  std::vector<size_t> cuts;
  for (size_t i = 1; i < bytes.size(); ++i) cuts.push_back(i);
  return FeedCut(grammar, caps, bytes, cuts);
}

// The response is complete, in one piece and in two at every cut and byte by byte, and what follows
// it stays.
inline void ExpectComplete(ResponseGrammar grammar, Capabilities caps, const Bytes& bytes) {
  const Outcome whole = FeedWhole(grammar, caps, bytes);
  ASSERT_EQ(whole.progress, Progress::kDone) << whole.summary;
  ASSERT_EQ(whole.consumed, bytes.size());
  EXPECT_EQ(whole.bytes, bytes);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    const Outcome halves = FeedCut(grammar, caps, bytes, {cut});
    ASSERT_EQ(halves.progress, Progress::kDone) << "cut at " << cut;
    ASSERT_EQ(halves.summary, whole.summary) << "cut at " << cut;
    const Bytes prefix(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(cut));
    ASSERT_EQ(FeedWhole(grammar, caps, prefix).progress, Progress::kMore) << "only " << cut;
  }
  EXPECT_EQ(FeedByteByByte(grammar, caps, bytes).summary, whole.summary);
  Bytes longer = bytes;
  longer.push_back(0x01);
  const Outcome more = FeedWhole(grammar, caps, longer);
  EXPECT_EQ(more.progress, Progress::kDone);
  EXPECT_EQ(more.consumed, bytes.size());
  EXPECT_EQ(more.summary, whole.summary);
}

inline ResponseTracker Tracked(ResponseGrammar grammar, Capabilities caps, Bytes bytes) {
  ResponseTracker tracker;
  tracker.Start(grammar, caps);
  auto result = tracker.Feed(bytes);
  if (result.progress == Progress::kLocalInfileRequest) {
    result = tracker.Feed(std::span(bytes).subspan(result.consumed));
  }
  EXPECT_EQ(result.progress, Progress::kDone);
  return tracker;
}

inline void ExpectError(ResponseGrammar grammar, Capabilities caps, const Bytes& bytes,
                        size_t good_bytes) {
  const Outcome whole = FeedWhole(grammar, caps, bytes);
  EXPECT_EQ(whole.progress, Progress::kProtocolError) << whole.summary;
  EXPECT_EQ(whole.consumed, good_bytes);
  EXPECT_EQ(FeedByteByByte(grammar, caps, bytes).progress, Progress::kProtocolError);
}

}  // namespace bulkhead::session

#endif  // BULKHEAD_TESTS_SESSION_RESPONSE_SUPPORT_H_
