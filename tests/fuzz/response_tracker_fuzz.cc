// Any bytes in any pieces: the tracker must not crash, must not read or write outside, and must say
// the same as of the bytes in one piece.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <span>
#include <vector>

#include "proxy/session/response_tracker.h"

namespace {

using bulkhead::session::ResponseGrammar;
using bulkhead::session::ResponseTracker;
using bulkhead::wire::Capabilities;
namespace wire = bulkhead::wire;

constexpr ResponseGrammar kGrammars[] = {ResponseGrammar::kQuery,      ResponseGrammar::kExecute,
                                         ResponseGrammar::kPrepare,    ResponseGrammar::kFetch,
                                         ResponseGrammar::kFieldList,  ResponseGrammar::kSimple,
                                         ResponseGrammar::kStatistics, ResponseGrammar::kNone};

constexpr Capabilities kBits[] = {
    wire::kClientDeprecateEof,    wire::kClientSessionTrack,
    wire::kClientLocalFiles,      wire::kClientOptionalResultsetMetadata,
    wire::kMariadbClientProgress, wire::kMariadbClientCacheMetadata,
    wire::kClientCompress};

void Require(bool condition) {
  if (!condition) std::abort();
}

struct Run {
  ResponseTracker tracker;
  ResponseTracker::Progress progress = ResponseTracker::Progress::kMore;
  size_t consumed = 0;
  std::vector<uint8_t> bytes;
};

// Feeds the bytes in pieces: each byte of `sizes` says how long the next one is; empty: one piece.
void Feed(ResponseGrammar grammar, Capabilities capabilities, std::span<const uint8_t> bytes,
          std::span<const uint8_t> sizes, Run* run) {
  run->bytes.assign(bytes.begin(), bytes.end());
  run->tracker.Start(grammar, capabilities);
  if (grammar == ResponseGrammar::kPrepare) run->tracker.ReplaceStatementId(0xA1B2C3D4);
  for (size_t i = 0;; ++i) {
    size_t size = bytes.size() - run->consumed;
    if (!sizes.empty()) size = std::min<size_t>(size, sizes[i % sizes.size()] % 16 + 1);
    const auto result = run->tracker.Feed(std::span(run->bytes).subspan(run->consumed, size));
    Require(result.consumed <= size);
    run->consumed += result.consumed;
    run->progress = result.progress;
    switch (result.progress) {
      case ResponseTracker::Progress::kMore:
        Require(result.consumed == size);
        if (run->consumed == bytes.size()) return;
        break;
      case ResponseTracker::Progress::kLocalInfileRequest:
        Require(run->tracker.at_packet_boundary());
        break;
      case ResponseTracker::Progress::kDone:
        Require(run->tracker.done() && run->tracker.at_packet_boundary());
        return;
      case ResponseTracker::Progress::kProtocolError:
        return;
    }
    if (size == 0) return;
  }
}

void RequireEqual(const Run& a, const Run& b) {
  const ResponseTracker& x = a.tracker;
  const ResponseTracker& y = b.tracker;
  Require(a.progress == b.progress);
  Require(x.ok() == y.ok() && x.status_seen() == y.status_seen() && x.status() == y.status());
  Require(x.affected_rows() == y.affected_rows() && x.last_insert_id() == y.last_insert_id());
  Require(x.warnings() == y.warnings() && x.rows() == y.rows() && x.results() == y.results());
  Require(x.cursor_opened() == y.cursor_opened() && x.error_code() == y.error_code());
  Require(x.sqlstate() == y.sqlstate() && x.error_message() == y.error_message());
  Require(x.statement_id() == y.statement_id() && x.parameter_count() == y.parameter_count());
  Require(x.session_state() == y.session_state());
  // What a packet that turns out wrong leaves behind depends on how much of it had passed.
  if (a.progress == ResponseTracker::Progress::kProtocolError) return;
  Require(a.consumed == b.consumed && a.bytes == b.bytes);
  Require(x.metadata_hash() == y.metadata_hash() && x.result_passed() == y.result_passed());
  Require(x.at_packet_boundary() == y.at_packet_boundary());
  Require(x.next_sequence() == y.next_sequence());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 4) return 0;
  const ResponseGrammar grammar = kGrammars[data[0] % std::size(kGrammars)];
  Capabilities capabilities = wire::kClientProtocol41;
  for (size_t i = 0; i < std::size(kBits); ++i) {
    if ((data[1] >> i & 1) != 0) capabilities |= kBits[i];
  }
  const size_t cuts = std::min<size_t>(data[2] % 8 + 1, size - 3);
  const std::span<const uint8_t> sizes(data + 3, cuts);
  const std::span<const uint8_t> bytes(data + 3 + cuts, size - 3 - cuts);
  Run whole;
  Run pieces;
  Feed(grammar, capabilities, bytes, {}, &whole);
  Feed(grammar, capabilities, bytes, sizes, &pieces);
  RequireEqual(whole, pieces);
  return 0;
}
