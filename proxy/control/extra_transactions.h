// What a former primary has and the present one lacks: transactions that nobody will ever see
// again, unless somebody looks for them.
//
// Purpose: after a failover, when the old server answers again: which GTIDs, how many, and which
// tables they wrote, from its binary log.
// Threads: that of the session; blocking. Limits: kMostEvents events of the newest log files are
// read, kMostListed transactions are listed; what is cut is said (complete).
// Sources: MySQL "GTID_SUBTRACT"; "SHOW BINLOG EVENTS" of both (event types Gtid, Table_map and
// Query, and their Info, as seen on MariaDB 10.11 and MySQL 9.7); MariaDB has no function that
// subtracts: @@gtid_binlog_state has the last of each domain and server, and the log has which.
#ifndef BULKHEAD_PROXY_CONTROL_EXTRA_TRANSACTIONS_H_
#define BULKHEAD_PROXY_CONTROL_EXTRA_TRANSACTIONS_H_

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/control/server_facts.h"
#include "proxy/control/sql_session.h"

namespace bulkhead::control {

struct ExtraTransaction {
  std::string gtid{};
  std::set<std::string> tables{};  // schema.table; of DDL its text
};

struct ExtraFound {
  bool known = false;
  std::string why{};   // not known
  uint64_t count = 0;  // what is listed, if not complete: at least
  bool complete = true;
  std::vector<ExtraTransaction> listed{};
};

// Takes rows of SHOW BINLOG EVENTS in order; keeps transactions whose GTID is wanted.
class BinlogEvents {
 public:
  using Wanted = std::function<bool(const std::string& gtid)>;
  explicit BinlogEvents(Wanted wanted) : wanted_(std::move(wanted)) {}
  void Take(std::string_view type, std::string_view info);
  [[nodiscard]] const std::vector<ExtraTransaction>& found() const { return found_; }
  // There were others: what is older than them is in the past of both servers.
  [[nodiscard]] bool saw_others() const { return saw_others_; }

 private:
  const Wanted wanted_;
  std::vector<ExtraTransaction> found_;
  bool inside_ = false;  // of the last one found
  bool saw_others_ = false;
};
// "0-1-118" of MariaDB's "BEGIN GTID 0-1-118", "uuid:7" of MySQL's "SET ... GTID_NEXT= 'uuid:7'".
[[nodiscard]] std::string GtidOfInfo(std::string_view info);

inline constexpr size_t kMostEvents = 200'000;
inline constexpr size_t kMostListed = 1000;

// `present`: positions of the present primary (ReadVariables "gtid%"), read before.
[[nodiscard]] ExtraFound FindExtra(SqlSession* former, const ServerFacts& present,
                                   routing::Duration limit);

// "has 3 transactions that db2 lacks: 0-1-118 (tenant_acme.orders), ...". Empty: none.
[[nodiscard]] std::string WordsOf(const ExtraFound& found, const std::string& present);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_EXTRA_TRANSACTIONS_H_
