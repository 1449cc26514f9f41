#include "proxy/control/extra_transactions.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proxy/control/gtid_sets.h"

namespace bulkhead::control {

namespace {

using routing::Duration;

constexpr size_t kEventsAtOnce = 5000;
constexpr size_t kNamed = 10;  // in words

ExtraFound NotKnown(std::string why) { return {.known = false, .why = std::move(why)}; }

// Reads the logs, newest first, until the two servers have the same.
class LogReader {
 public:
  LogReader(SqlSession* session, Duration limit, BinlogEvents::Wanted wanted)
      : session_(session), limit_(limit), wanted_(std::move(wanted)) {}

  // False: the log could not be read; why() says it.
  bool Read() {
    const SqlAnswer logs = session_->Run("SHOW BINARY LOGS", limit_);
    if (!logs.ok()) {
      why_ = logs.message;
      return false;
    }
    for (size_t i = logs.rows.size(); i > 0; --i) {
      if (!ReadFile(logs.Cell(i - 1, size_t{0}))) return false;
      complete_ = events_ < kMostEvents && found_.size() < kMostListed;
      if (saw_others_ || !complete_) break;
    }
    return true;
  }
  [[nodiscard]] std::vector<ExtraTransaction>& found() { return found_; }
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  bool ReadFile(const std::string& file) {
    BinlogEvents events(wanted_);
    std::string from = "4";
    while (events_ < kMostEvents) {
      const SqlAnswer answer = session_->Run(absl::StrCat("SHOW BINLOG EVENTS IN ", SqlQuoted(file),
                                                          " FROM ", from, " LIMIT ", kEventsAtOnce),
                                             limit_);
      if (!answer.ok()) {
        why_ = answer.message;
        return false;
      }
      for (size_t row = 0; row < answer.rows.size(); ++row)
        events.Take(answer.Cell(row, "Event_type"), answer.Cell(row, "Info"));
      events_ += answer.rows.size();
      if (answer.rows.size() < kEventsAtOnce) break;
      from = answer.Cell(answer.rows.size() - 1, "End_log_pos");
    }
    saw_others_ = events.saw_others();
    // Older files come later, and go before.
    found_.insert(found_.begin(), events.found().begin(), events.found().end());
    return true;
  }

  SqlSession* const session_;
  const Duration limit_;
  const BinlogEvents::Wanted wanted_;
  std::vector<ExtraTransaction> found_;
  size_t events_ = 0;
  bool complete_ = true;
  bool saw_others_ = false;
  std::string why_;
};

void TakeFound(LogReader* log, ExtraFound* extra) {
  extra->listed = std::move(log->found());
  extra->complete = extra->complete && log->complete();
}

ExtraFound FindOnMysql(SqlSession* former, const ServerFacts& present, Duration limit) {
  const SqlAnswer answer =
      former->Run(absl::StrCat("SELECT GTID_SUBTRACT(@@global.gtid_executed, ",
                               SqlQuoted(present.Variable("gtid_executed")), ")"),
                  limit);
  if (!answer.ok()) return NotKnown(answer.message);
  const std::optional<GtidSet> missing = GtidSet::Parse(answer.Cell(0, size_t{0}));
  if (!missing.has_value()) return NotKnown("its GTIDs can't be read");
  ExtraFound extra{.known = true, .count = missing->count()};
  if (missing->empty()) return extra;
  LogReader log(former, limit, [&](const std::string& gtid) {
    const std::optional<GtidSet> one = GtidSet::Parse(gtid);
    return one.has_value() && !one->empty() && one->Minus(*missing).empty();
  });
  if (log.Read()) TakeFound(&log, &extra);
  // The set is exact; only the tables may be unknown.
  if (extra.listed.size() < extra.count) extra.listed = {{.gtid = missing->ToString()}};
  extra.complete = true;
  return extra;
}

ExtraFound FindOnMariadb(SqlSession* former, const ServerFacts& present, Duration limit) {
  const SqlAnswer answer = former->Run("SELECT @@global.gtid_binlog_state", limit);
  if (!answer.ok()) return NotKnown(answer.message);
  const auto has = ParseMariadbGtids(answer.Cell(0, size_t{0}));
  const auto theirs = ParseMariadbGtids(present.Variable("gtid_binlog_state"));
  if (!has || !theirs) return NotKnown("its GTIDs can't be read");
  ExtraFound extra{.known = true};
  uint64_t most = 0;  // numbers between may belong to other servers
  for (const auto& [source, sequence] : *has) {
    auto it = theirs->find(source);
    const uint64_t at = it == theirs->end() ? 0 : it->second;
    if (sequence > at) most += sequence - at;
  }
  if (most == 0) return extra;
  LogReader log(former, limit, [&](const std::string& text) {
    const auto one = ParseMariadbGtids(text);
    if (!one || one->size() != 1) return false;
    auto it = theirs->find(one->begin()->first);
    return one->begin()->second > (it == theirs->end() ? 0 : it->second);
  });
  if (!log.Read()) {
    extra.complete = false;
    extra.count = most;
    for (const std::string& range : MissingIn(*has, *theirs))
      extra.listed.push_back({.gtid = range});
    return extra;
  }
  TakeFound(&log, &extra);
  extra.count = extra.listed.size();
  return extra;
}

}  // namespace

std::string GtidOfInfo(std::string_view info) {
  constexpr std::string_view kNext = "GTID_NEXT= '";
  if (const size_t at = info.find(kNext); at != std::string_view::npos) {
    info.remove_prefix(at + kNext.size());
    return std::string(info.substr(0, info.find('\'')));
  }
  constexpr std::string_view kGtid = "GTID ";
  const size_t at = info.find(kGtid);
  if (at == std::string_view::npos) return {};
  info.remove_prefix(at + kGtid.size());
  return std::string(info.substr(0, info.find(' ')));
}

void BinlogEvents::Take(std::string_view type, std::string_view info) {
  constexpr size_t kMostText = 120;
  if (type.starts_with("Gtid") && type != "Gtid_list") {
    std::string gtid = GtidOfInfo(info);
    const bool wanted = !gtid.empty() && wanted_(gtid);
    if (!wanted) saw_others_ = true;
    inside_ = wanted && found_.size() < kMostListed;
    if (inside_) found_.push_back({.gtid = std::move(gtid)});
    return;
  }
  if (!inside_) return;
  if (type == "Table_map") {
    const size_t open = info.find('(');
    const size_t close = info.rfind(')');
    if (open != std::string_view::npos && close != std::string_view::npos && close > open)
      found_.back().tables.emplace(info.substr(open + 1, close - open - 1));
  } else if (type == "Query" && info != "BEGIN" && info != "COMMIT") {
    found_.back().tables.emplace(info.substr(0, kMostText));
  }
}

ExtraFound FindExtra(SqlSession* former, const ServerFacts& present, Duration limit) {
  if (const SqlAnswer open = former->Open(limit); !open.ok()) return NotKnown(open.message);
  return former->version().mariadb ? FindOnMariadb(former, present, limit)
                                   : FindOnMysql(former, present, limit);
}

std::string WordsOf(const ExtraFound& found, const std::string& present) {
  if (!found.known)
    return "whether it has transactions that " + present + " lacks can't be told: " + found.why;
  if (found.count == 0) return {};
  std::string text = absl::StrCat("has ", found.complete ? "" : "at least ", found.count,
                                  " transactions that ", present, " lacks: ");
  for (size_t i = 0; i < found.listed.size() && i < kNamed; ++i) {
    const ExtraTransaction& one = found.listed[i];
    absl::StrAppend(&text, i == 0 ? "" : ", ", one.gtid);
    if (!one.tables.empty()) absl::StrAppend(&text, " (", absl::StrJoin(one.tables, ", "), ")");
  }
  if (found.listed.size() > kNamed) absl::StrAppend(&text, ", ...");
  return text;
}

}  // namespace bulkhead::control
