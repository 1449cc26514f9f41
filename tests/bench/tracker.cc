// Prints what following a response costs: nanoseconds per row of a text result set that is read in
// pieces as they come from a socket, and per response of one row.
// Usage: bench_tracker [rows [bytes per row]]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/session/response_tracker.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/result_set.h"

namespace {

using bulkhead::session::ResponseGrammar;
using bulkhead::session::ResponseTracker;
using Clock = std::chrono::steady_clock;
namespace wire = bulkhead::wire;

constexpr wire::Capabilities kCapabilities = wire::kClientProtocol41 | wire::kClientDeprecateEof;
constexpr size_t kReadSize = 64 * 1024;

std::vector<uint8_t> ResultSet(int rows, int row_bytes) {
  std::vector<uint8_t> out;
  wire::ResultSetWriter writer(&out, 1, kCapabilities, wire::kStatusAutocommit);
  writer.Begin({wire::TextColumn("a")});
  const std::string cell(static_cast<size_t>(row_bytes), 'x');
  for (int i = 0; i < rows; ++i) writer.Row({std::string_view(cell)});
  writer.End();
  return out;
}

// Nanoseconds per response.
double Measure(std::vector<uint8_t>& bytes, int responses) {
  ResponseTracker tracker;
  uint64_t rows = 0;
  const auto start = Clock::now();
  for (int i = 0; i < responses; ++i) {
    tracker.Start(ResponseGrammar::kQuery, kCapabilities);
    std::span<uint8_t> rest(bytes);
    while (!rest.empty()) {
      const auto result = tracker.Feed(rest.first(std::min(rest.size(), kReadSize)));
      rest = rest.subspan(result.consumed);
      if (result.progress == ResponseTracker::Progress::kProtocolError) std::abort();
    }
    if (!tracker.done()) std::abort();
    rows += tracker.rows();
  }
  const double nanos = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
  if (rows == 0) std::printf("no rows\n");
  return nanos / responses;
}

}  // namespace

int main(int argc, char** argv) {
  const int rows = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int row_bytes = argc > 2 ? std::atoi(argv[2]) : 100;
  std::vector<uint8_t> large = ResultSet(rows, row_bytes);
  const int responses = std::max(1, 20'000'000 / (rows + 1));
  Measure(large, responses / 10 + 1);
  const double nanos = Measure(large, responses);
  std::printf("%d rows of %d bytes: %.2f ns per row, %.1f GB/s\n", rows, row_bytes, nanos / rows,
              static_cast<double>(large.size()) / nanos);
  std::vector<uint8_t> small = ResultSet(1, row_bytes);
  std::printf("1 row: %.0f ns per response\n", Measure(small, 2'000'000));
  std::printf("tracker: %zu bytes\n", sizeof(ResponseTracker));
  return 0;
}
