#include "proxy/control/server_inspector.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>

namespace bulkhead::control {

namespace {

using io::QueryConnection;
using Answers = std::vector<QueryConnection::Answer>;

constexpr uint64_t kLimitMs = 2000;
constexpr size_t kKillsAtOnce = 200;
constexpr uint16_t kNoSuchThread = 1094;
constexpr uint16_t kKillDenied = 1095;

// Domain and server of each position, and how far it is.
std::map<std::string, uint64_t> Positions(std::string_view list) {
  std::map<std::string, uint64_t> positions;
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view entry = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const size_t first = entry.find('-');
    const size_t last = entry.rfind('-');
    if (first == std::string_view::npos || first == last) continue;
    uint64_t sequence = 0;
    (void)std::from_chars(entry.data() + last + 1, entry.data() + entry.size(), sequence);
    uint64_t& at = positions[std::string(entry.substr(0, first))];
    at = std::max(at, sequence);
  }
  return positions;
}

std::string Cell(const Answers& answers, size_t answer, size_t column = 0) {
  if (answer >= answers.size() || !answers[answer].ok || answers[answer].rows.empty()) return {};
  const QueryConnection::Row& row = answers[answer].rows.front();
  return column < row.size() ? row[column].value_or("") : std::string();
}

int64_t Number(const std::string& text) {
  int64_t number = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string MissingMariadbGtids(const std::string& last, const std::string& now) {
  const std::map<std::string, uint64_t> has = Positions(now);
  std::string missing;
  for (const auto& [domain, sequence] : Positions(last)) {
    auto it = has.find(domain);
    const uint64_t at = it == has.end() ? 0 : it->second;
    if (at >= sequence) continue;
    if (!missing.empty()) missing += ", ";
    missing += "domain " + domain + " is at " + std::to_string(at) + ", was seen at " +
               std::to_string(sequence);
  }
  return missing;
}

int64_t ProcessMemory::StartedAt(int64_t uptime, uint64_t id, int64_t wall_seconds) {
  constexpr int64_t kClockStep = 60;
  constexpr int64_t kApart = 10;
  const bool younger = uptime + kClockStep < uptime_;
  const bool counts_anew = id != 0 && id < highest_id_;
  if (started_at_ == 0) {
    started_at_ = wall_seconds - uptime;
  } else if (younger || counts_anew) {
    started_at_ = std::max(wall_seconds - uptime, started_at_ + kApart);
    highest_id_ = 0;
    uptime_ = 0;
  }
  NoteUptime(uptime);
  NoteConnection(id);
  return started_at_;
}

struct ServerInspector::Task {
  std::unique_ptr<QueryConnection> connection;
  std::unique_ptr<io::Timer> timer;
  bool over = false;
};

ServerInspector::ServerInspector(io::EventLoop* loop, QueryConnection::Options inspector,
                                 QueryConnection::Options killer,
                                 std::function<int64_t()> wall_seconds)
    : loop_(loop),
      inspector_(std::move(inspector)),
      killer_(std::move(killer)),
      wall_seconds_(std::move(wall_seconds)) {}

ServerInspector::~ServerInspector() {
  End(&identity_);
  End(&kill_);
}

// Its functions may be on the stack: the memory goes with the loop's next turn.
void ServerInspector::End(std::unique_ptr<Task>* task) {
  if (*task == nullptr) return;
  (*task)->over = true;
  (*task)->timer->Stop();
  (*task)->connection->Close();
  loop_->DisposeLater(std::shared_ptr<Task>(std::move(*task)));
}

std::unique_ptr<ServerInspector::Task> ServerInspector::NewTask(
    std::function<void(Task*)> on_open, std::function<void(Task*)> on_failure) {
  auto task = std::make_unique<Task>();
  Task* raw = task.get();
  const auto fail = [raw, on_failure] {
    if (!raw->over) on_failure(raw);
  };
  raw->connection = std::make_unique<QueryConnection>(
      loop_, QueryConnection::Events{
                 .on_open = [raw, on_open] { on_open(raw); },
                 .on_answers = [this, raw](Answers answers) { TakeAnswers(raw, answers); },
                 .on_end = [fail](const auto&, const std::string&) { fail(); }});
  raw->timer = std::make_unique<io::Timer>(loop_, fail);
  raw->timer->Start(kLimitMs);
  return task;
}

void ServerInspector::TakeAnswers(Task* task, const Answers& answers) {
  if (task == kill_.get()) {
    TakeKills(answers);
    return;
  }
  if (task != identity_.get()) return;
  const bool mariadb = task->connection->family() == session::ServerFamily::kMariadb;
  routing::IdentityFacts facts;
  facts.known = answers[0].ok && answers[1].ok;
  facts.server = Cell(answers, 0);
  const int64_t uptime = Number(Cell(answers, 1, 1));
  const auto id = static_cast<uint64_t>(Number(Cell(answers, 5)));
  facts.started_at = facts.known ? memory_.StartedAt(uptime, id, wall_seconds_()) : 0;
  facts.read_only = Number(Cell(answers, 2)) != 0;
  facts.is_replica = answers[3].ok && !answers[3].rows.empty();
  if (mariadb) {
    facts.behind = MissingMariadbGtids(last_position_, Cell(answers, 4));
  } else if (!last_position_.empty() && Cell(answers, 4) == "0") {
    facts.behind = "gtid_executed lacks transactions that were seen on it";
  }
  End(&identity_);
  const OnIdentity done = std::exchange(on_identity_, nullptr);
  done(facts);
}

void ServerInspector::CheckIdentity(const std::string& last_position, OnIdentity done) {
  End(&identity_);
  last_position_ = last_position;
  on_identity_ = std::move(done);
  identity_ = NewTask([this](Task* task) { Ask(task); },
                      [this](Task*) {
                        End(&identity_);
                        const OnIdentity told = std::exchange(on_identity_, nullptr);
                        if (told) told({});
                      });
  identity_->connection->Open(inspector_);
}

void ServerInspector::Ask(Task* task) {
  const bool mariadb = task->connection->family() == session::ServerFamily::kMariadb;
  // The statement was renamed in 8.0.22 and the old name is gone in 8.4.
  const bool new_words = !mariadb && task->connection->server_version() >= 80022;
  // Only letters, digits, commas, colons and hyphens are in a set of GTIDs.
  std::string position;
  for (const char c : last_position_) {
    if (c != '\'' && c != '\\') position += c;
  }
  task->connection->Run(
      {mariadb ? "SELECT CONCAT(@@server_id, ' ', @@hostname, ' ', @@port, ' ', @@datadir)"
               : "SELECT @@server_uuid",
       "SHOW GLOBAL STATUS LIKE 'Uptime'", "SELECT @@global.read_only",
       new_words ? "SHOW REPLICA STATUS" : "SHOW SLAVE STATUS",
       mariadb ? "SELECT @@global.gtid_binlog_pos"
               : "SELECT GTID_SUBSET('" + position + "', @@global.gtid_executed)",
       "SELECT CONNECTION_ID()"});
}

void ServerInspector::KillAbandoned(std::vector<uint32_t>* ids, OnAbandoned done) {
  if (kill_ != nullptr)
    return;  // it is asked again and again; the last question is under way still
  ids_ = ids;
  on_abandoned_ = std::move(done);
  kill_ = NewTask(
      [this](Task* task) {
        std::vector<std::string> kills;
        asked_.assign(ids_->begin(),
                      ids_->begin() + static_cast<ptrdiff_t>(std::min(ids_->size(), kKillsAtOnce)));
        for (const uint32_t id : asked_) kills.push_back("KILL " + std::to_string(id));
        if (kills.empty()) kills.emplace_back();  // a ping
        task->connection->Run(kills);
      },
      [this](Task*) {
        // No login, no answer: it can't be told whether they are gone.
        End(&kill_);
        const OnAbandoned told = std::exchange(on_abandoned_, nullptr);
        if (told) told({.checkable = false, .remaining = static_cast<uint32_t>(ids_->size())});
      });
  kill_->connection->Open(killer_);
}

void ServerInspector::TakeKills(const Answers& answers) {
  routing::AbandonedReport report;
  for (size_t i = 0; i < std::min(asked_.size(), answers.size()); ++i) {
    const uint16_t code = answers[i].ok ? 0 : answers[i].error_code;
    if (code == kKillDenied) report.checkable = false;
    if (code == kNoSuchThread) std::erase(*ids_, asked_[i]);
  }
  report.remaining = static_cast<uint32_t>(ids_->size());
  End(&kill_);
  const OnAbandoned done = std::exchange(on_abandoned_, nullptr);
  done(report);
}

}  // namespace bulkhead::control
