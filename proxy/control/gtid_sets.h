// Sets of GTIDs as both families write them: what is in one and not in another, and how many.
//
// Pure; any thread. Errors: nullopt for a text that is none.
// Sources: MySQL manual "GTID Format and Storage" ("uuid[:tag]:interval[:interval]...", entries
// separated by commas, white space allowed, tags since 8.3); MariaDB "Global Transaction ID"
// (domain-server-sequence; @@gtid_binlog_state has the last of each domain and server, the sequence
// numbers of a domain grow over all its servers).
#ifndef BULKHEAD_PROXY_CONTROL_GTID_SETS_H_
#define BULKHEAD_PROXY_CONTROL_GTID_SETS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead::control {

// MySQL's.
class GtidSet {
 public:
  static std::optional<GtidSet> Parse(std::string_view text);

  [[nodiscard]] bool empty() const { return intervals_.empty(); }
  [[nodiscard]] uint64_t count() const;
  [[nodiscard]] GtidSet Minus(const GtidSet& other) const;
  void Add(const GtidSet& other);
  [[nodiscard]] std::string ToString() const;
  friend bool operator==(const GtidSet&, const GtidSet&) = default;

 private:
  // Both ends belong to it; sorted, apart from each other.
  using Intervals = std::vector<std::pair<uint64_t, uint64_t>>;
  bool AddEntry(std::string_view entry);
  void Insert(const std::string& source, uint64_t first, uint64_t last);

  std::map<std::string, Intervals> intervals_;  // by uuid[:tag] in lower case
};

// MariaDB's: (domain, server) to sequence number.
using MariadbGtids = std::map<std::pair<uint32_t, uint32_t>, uint64_t>;
[[nodiscard]] std::optional<MariadbGtids> ParseMariadbGtids(std::string_view text);
// The highest sequence number of each domain.
[[nodiscard]] std::map<uint32_t, uint64_t> DomainPositions(const MariadbGtids& gtids);
// Of binlog states: what `some` has of a domain and server that `others` lacks, in words:
// "0-1-118 to 0-1-120" (at most these; the numbers between may be other servers'). Empty: nothing.
[[nodiscard]] std::vector<std::string> MissingIn(const MariadbGtids& some,
                                                 const MariadbGtids& others);
// Of positions: the domains in which `some` is ahead of `others`: "0-1-120 (it is at 0-1-117)".
[[nodiscard]] std::vector<std::string> AheadOf(const MariadbGtids& some,
                                               const MariadbGtids& others);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_GTID_SETS_H_
