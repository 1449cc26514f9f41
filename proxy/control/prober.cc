#include "proxy/control/prober.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"

namespace bulkhead::control {

namespace {

using io::QueryConnection;
using routing::ProbeKind;
using routing::ProbeOutcome;
using routing::ProbeResult;
using routing::ProbeStage;
using Failure = io::BackendConnection::Failure;

constexpr uint16_t kNoSuchTable = 1146;
constexpr uint16_t kUnknownSchema = 1049;
constexpr uint32_t kLookAgain = 8;  // reads

ProbeStage StageOf(QueryConnection::Stage stage) {
  switch (stage) {
    case QueryConnection::Stage::kConnect:
      return ProbeStage::kConnect;
    case QueryConnection::Stage::kGreeting:
      return ProbeStage::kGreeting;
    case QueryConnection::Stage::kLogin:
      return ProbeStage::kLogin;
    case QueryConnection::Stage::kReady:
    case QueryConnection::Stage::kEnded:
      return ProbeStage::kAnswer;
  }
  return ProbeStage::kAnswer;
}

ProbeOutcome OutcomeOfCode(uint16_t code) {
  switch (code) {
    case 1040:
    case 1203:
    case 1226:
      return ProbeOutcome::kTooManyConnections;
    case 1129:
      return ProbeOutcome::kHostBlocked;
    default:
      return ProbeOutcome::kLoginFailed;
  }
}

ProbeResult ResultOf(const Failure& failure) {
  ProbeResult result;
  result.stage = ProbeStage::kLogin;
  result.error_code = failure.server_code;
  switch (failure.kind) {
    case Failure::Kind::kRefused:
      result.outcome = ProbeOutcome::kRefused;
      result.stage = ProbeStage::kConnect;
      break;
    case Failure::Kind::kName:
    case Failure::Kind::kUnreachable:
      result.outcome = ProbeOutcome::kUnreachable;
      result.stage = ProbeStage::kConnect;
      break;
    case Failure::Kind::kNoConnect:
    case Failure::Kind::kNoGreeting:
    case Failure::Kind::kNoLogin:
      result.outcome = ProbeOutcome::kTimeout;
      break;
    case Failure::Kind::kServer:
      result.outcome = OutcomeOfCode(failure.server_code);
      break;
    case Failure::Kind::kReset:
      result.outcome = ProbeOutcome::kReset;
      break;
    case Failure::Kind::kNone:
    case Failure::Kind::kProtocol:
      result.outcome = ProbeOutcome::kClosed;
      break;
  }
  return result;
}

std::string TextOf(const QueryConnection::Answer& answer) {
  return answer.rows.empty() ? std::string() : answer.rows[0][0].value_or("");
}

uint64_t NumberOf(const std::string& text) {
  uint64_t number = 0;
  return absl::SimpleAtoi(text, &number) ? number : 0;
}
uint64_t NumberOf(const QueryConnection::Answer& answer) { return NumberOf(TextOf(answer)); }

// All routers' canaries, each with its age by the newest: a server that stopped has a newest too.
constexpr char kCanariesSql[] =
    "SELECT router, n, TIMESTAMPDIFF(SECOND, at, (SELECT MAX(at) FROM bulkhead.canary)) FROM "
    "bulkhead.canary LIMIT 1000";
constexpr char kEpochsSql[] = "SELECT shard, epoch, primary_backend FROM bulkhead.epoch LIMIT 1000";
constexpr size_t kCommitAnswers = 3;  // the canary, the position, the canary's number

bool IsReadOnlyError(uint16_t code) { return code == 1290 || code == 1792 || code == 1836; }

}  // namespace

Prober::Prober(io::EventLoop* loop, QueryConnection::Options connection, std::string router_id,
               ProberOwner* owner)
    : loop_(loop),
      options_(std::move(connection)),
      router_id_(std::move(router_id)),
      owner_(owner) {
  // The machine times its probes; what it lets stand must not end by itself.
  options_.open_timeout_ms = 600'000;
}

Prober::~Prober() {
  for (std::unique_ptr<Attempt>& lane : lanes_) {
    if (lane != nullptr) Drop(std::move(lane), /*abort=*/false);
  }
  for (std::unique_ptr<Attempt>& attempt : hung_) Drop(std::move(attempt), /*abort=*/true);
}

Prober::Attempt* Prober::NewAttempt(ProbeKind kind) {
  auto attempt = std::make_unique<Attempt>();
  Attempt* raw = attempt.get();
  raw->kind = kind;
  raw->connection = std::make_unique<QueryConnection>(
      loop_,
      QueryConnection::Events{.on_open = [this, raw] { OnOpen(raw); },
                              .on_answers =
                                  [this, raw](std::vector<QueryConnection::Answer> answers) {
                                    OnAnswers(raw, answers);
                                  },
                              .on_end = [this, raw](const Failure& failure,
                                                    const std::string&) { OnEnd(raw, failure); }});
  raw->timer = std::make_unique<io::Timer>(loop_, [this, raw] { OnTimeout(raw); });
  std::unique_ptr<Attempt>& lane = Lane(kind);
  if (lane != nullptr) Drop(std::move(lane), /*abort=*/false);
  lane = std::move(attempt);
  return raw;
}

void Prober::Start(const routing::HealthAction& action) {
  Attempt* attempt = Lane(action.probe_kind).get();
  const bool open_new = action.fresh_connection || action.probe_kind == ProbeKind::kLogin ||
                        attempt == nullptr || !attempt->connection->ready();
  if (open_new) attempt = NewAttempt(action.probe_kind);
  attempt->probe = action.probe;
  attempt->timer->Start(static_cast<uint64_t>(routing::ToMillis(action.timeout)));
  if (open_new) {
    attempt->connection->Open(options_);
  } else {
    RunProbe(attempt);
  }
}

void Prober::OnOpen(Attempt* attempt) {
  switch (attempt->kind) {
    case ProbeKind::kLogin:
      Finish(attempt, {.outcome = ProbeOutcome::kOk});
      return;
    case ProbeKind::kPing:
      RunProbe(attempt);
      return;
    case ProbeKind::kRead:
    case ProbeKind::kCommit:
      attempt->step = Attempt::Step::kSetUp;
      attempt->connection->Run(
          {"SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1, autocommit = 1"});
      return;
  }
}

std::string Prober::CanaryNumberSql() const {
  return "SELECT n FROM bulkhead.canary WHERE router = '" + router_id_ + "'";
}

routing::MonoTime Prober::Now() const {
  return routing::MonoTimeFromNanos(static_cast<int64_t>(loop_->NowNs()));
}

void Prober::RunProbe(Attempt* attempt) {
  attempt->step = Attempt::Step::kProbe;
  switch (attempt->kind) {
    case ProbeKind::kLogin:
      return;
    case ProbeKind::kPing:
      attempt->connection->Run({""});
      return;
    case ProbeKind::kRead:
      // A replica gets the table some time after its primary.
      if (!canary_readable_ && ++reads_without_canary_ % kLookAgain == 0) canary_readable_ = true;
      // A promotion makes it, years after the start perhaps.
      if (!epochs_readable_ && ++reads_without_epochs_ % kLookAgain == 0) epochs_readable_ = true;
      attempt->connection->Run(
          epochs_readable_
              ? std::vector<std::string>{canary_readable_ ? kCanariesSql : "SELECT 1", kEpochsSql}
              : std::vector<std::string>{canary_readable_ ? kCanariesSql : "SELECT 1"});
      return;
    case ProbeKind::kCommit:
      attempt->connection->Run({"SELECT @@global.read_only", "SHOW GLOBAL STATUS LIKE 'Uptime'"});
      return;
  }
}

void Prober::RunCommit(Attempt* attempt) {
  attempt->step = Attempt::Step::kCommit;
  attempt->begun = Now();
  owner_->OnCanaryBegun(attempt->begun);
  const char* position = attempt->connection->family() == session::ServerFamily::kMariadb
                             ? "SELECT @@global.gtid_binlog_pos"
                             : "SELECT @@global.gtid_executed";
  attempt->connection->Run({"INSERT INTO bulkhead.canary (router, n, at) VALUES ('" + router_id_ +
                                "', 1, UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE n = n + 1, at = "
                                "UTC_TIMESTAMP(6)",
                            position, CanaryNumberSql()});
}

void Prober::OnAnswers(Attempt* attempt, const std::vector<QueryConnection::Answer>& answers) {
  if (attempt->probe == 0) return;
  const QueryConnection::Answer& first = answers.front();
  if (attempt->step == Attempt::Step::kSetUp) {
    RunProbe(attempt);
    return;
  }
  if (attempt->kind == ProbeKind::kCommit) {
    OnCommitAnswers(attempt, answers);
    return;
  }
  if (attempt->kind == ProbeKind::kRead) {
    OnReadAnswers(attempt, answers);
    return;
  }
  Finish(attempt, {.outcome = first.ok ? ProbeOutcome::kOk : ProbeOutcome::kServerError,
                   .error_code = first.error_code});
}

void Prober::OnReadAnswers(Attempt* attempt, const std::vector<QueryConnection::Answer>& answers) {
  const QueryConnection::Answer& first = answers.front();
  if (!first.ok && canary_readable_) {
    canary_readable_ = false;  // until a commit probe has made it
    RunProbe(attempt);
    return;
  }
  if (first.ok && canary_readable_ && !attempt->hung) TakeCanaries(first);
  if (answers.size() > 1 && !attempt->hung) {
    const QueryConnection::Answer& epochs = answers.back();
    epochs_readable_ = epochs.ok;
    std::vector<SeenEpoch> seen;
    for (const QueryConnection::Row& row : epochs.rows) {
      if (row.size() == 3)
        seen.push_back({row[0].value_or(""), NumberOf(row[1].value_or("")), row[2].value_or("")});
    }
    if (epochs.ok) owner_->OnEpochs(std::move(seen));
  }
  Finish(attempt, {.outcome = first.ok ? ProbeOutcome::kOk : ProbeOutcome::kServerError,
                   .error_code = first.error_code});
}

void Prober::TakeCanaries(const QueryConnection::Answer& answer) {
  std::vector<OtherRouter> others;
  uint64_t own = 0;
  for (const QueryConnection::Row& row : answer.rows) {
    if (row.size() != 3) continue;
    const std::string id = row[0].value_or("");
    if (id == router_id_) {
      own = NumberOf(row[1].value_or(""));
    } else {
      others.push_back({.id = id,
                        .number = NumberOf(row[1].value_or("")),
                        .behind_seconds = static_cast<int64_t>(NumberOf(row[2].value_or("")))});
    }
  }
  owner_->OnCanarySeen(own);
  owner_->OnOtherRouters(std::move(others));
}

void Prober::OnCommitAnswers(Attempt* attempt,
                             const std::vector<QueryConnection::Answer>& answers) {
  const QueryConnection::Answer& first = answers.front();
  const bool missing = first.error_code == kNoSuchTable || first.error_code == kUnknownSchema;
  if (attempt->step == Attempt::Step::kProbe && first.ok) {
    const auto& uptime = answers.back().rows;
    int64_t seconds = 0;
    if (!uptime.empty() && uptime[0].size() > 1 &&
        absl::SimpleAtoi(uptime[0][1].value_or(""), &seconds)) {
      owner_->OnUptime(seconds);
    }
    const bool read_only = !first.rows.empty() && first.rows[0][0].value_or("0") != "0";
    if (read_only) {
      Finish(attempt, {.outcome = ProbeOutcome::kReadOnly});
    } else {
      RunCommit(attempt);
    }
    return;
  }
  if (attempt->step == Attempt::Step::kCommit && missing) {
    attempt->step = Attempt::Step::kCreate;
    attempt->connection->Run(
        {"CREATE DATABASE IF NOT EXISTS bulkhead",
         "CREATE TABLE IF NOT EXISTS bulkhead.canary (router VARCHAR(64) CHARACTER SET ascii "
         "PRIMARY KEY, n BIGINT UNSIGNED NOT NULL, at DATETIME(6) NOT NULL) ENGINE=InnoDB"});
    return;
  }
  if (attempt->step == Attempt::Step::kCreate) {
    if (answers.back().ok) {
      RunCommit(attempt);
      return;
    }
    owner_->OnCanaryRefused(answers.back().message);
  }
  if (first.ok && answers.back().ok) {
    canary_readable_ = true;
    if (answers.size() == kCommitAnswers) {
      owner_->OnCanary(NumberOf(answers[2]), attempt->begun, TextOf(answers[1]));
    }
  }
  const bool read_only = !first.ok && IsReadOnlyError(first.error_code);
  const bool denied =
      !first.ok && !missing && !read_only && attempt->step == Attempt::Step::kCommit;
  if (denied && (first.error_code == 1142 || first.error_code == 1044))
    owner_->OnCanaryRefused(first.message);
  const bool ok = first.ok && (attempt->step != Attempt::Step::kCreate || answers.back().ok);
  Finish(attempt, {.outcome = ok          ? ProbeOutcome::kOk
                              : read_only ? ProbeOutcome::kReadOnly
                                          : ProbeOutcome::kServerError,
                   .error_code = ok || !first.ok ? first.error_code : answers.back().error_code});
}

void Prober::OnEnd(Attempt* attempt, const Failure& failure) {
  if (attempt->hung) {
    FinishHung(attempt, routing::HungEnd::kClosed);
    return;
  }
  const routing::ProbeKind kind = attempt->kind;
  ProbeResult result = ResultOf(failure);
  if (attempt->step != Attempt::Step::kOpen) result.stage = ProbeStage::kAnswer;
  if (attempt->probe != 0) {
    Finish(attempt, result);
    return;
  }
  Drop(std::move(Lane(kind)), /*abort=*/false);
  owner_->OnProbeConnectionLost(kind, result.outcome == ProbeOutcome::kReset
                                          ? routing::ConnectionError::kReset
                                          : routing::ConnectionError::kClosed);
}

void Prober::OnTimeout(Attempt* attempt) {
  if (attempt->probe == 0 || attempt->hung) return;
  const QueryConnection::Stage stage = attempt->connection->stage();
  const uint64_t probe = attempt->probe;
  const ProbeKind kind = attempt->kind;
  ProbeResult result;
  result.outcome = ProbeOutcome::kTimeout;
  result.stage = StageOf(stage);
  result.kept = stage != QueryConnection::Stage::kConnect;
  result.acknowledged = attempt->connection->Acknowledged();
  std::unique_ptr<Attempt>& lane = Lane(attempt->kind);
  if (result.kept) {
    attempt->hung = true;
    hung_.push_back(std::move(lane));
  } else {
    Drop(std::move(lane), /*abort=*/true);
  }
  owner_->OnProbe(probe, kind, result);
}

void Prober::Finish(Attempt* attempt, const ProbeResult& result) {
  if (attempt->hung) {
    // Late: the machine was told that it timed out.
    FinishHung(attempt, result.outcome == ProbeOutcome::kOk ? routing::HungEnd::kAnswered
                                                            : routing::HungEnd::kFailed);
    return;
  }
  const uint64_t probe = std::exchange(attempt->probe, 0);
  const ProbeKind kind = attempt->kind;
  attempt->timer->Stop();
  const bool over = attempt->kind == ProbeKind::kLogin || !attempt->connection->ready();
  if (over) Drop(std::move(Lane(attempt->kind)), /*abort=*/false);
  owner_->OnProbe(probe, kind, result);
}

void Prober::FinishHung(Attempt* attempt, routing::HungEnd end) {
  const uint64_t probe = attempt->probe;
  auto it = std::find_if(hung_.begin(), hung_.end(),
                         [attempt](const auto& hung) { return hung.get() == attempt; });
  if (it == hung_.end()) return;
  std::unique_ptr<Attempt> late = std::move(*it);
  hung_.erase(it);
  std::unique_ptr<Attempt>& lane = Lane(late->kind);
  const bool useful = late->kind != ProbeKind::kLogin && lane == nullptr &&
                      end != routing::HungEnd::kClosed && late->connection->ready();
  if (useful) {
    late->hung = false;
    late->probe = 0;
    lane = std::move(late);
  } else {
    Drop(std::move(late), /*abort=*/false);
  }
  owner_->OnHungProbe(probe, end);
}

void Prober::Abandon(uint64_t probe) {
  auto it = std::find_if(hung_.begin(), hung_.end(),
                         [probe](const auto& hung) { return hung->probe == probe; });
  if (it == hung_.end()) return;
  std::unique_ptr<Attempt> gone = std::move(*it);
  hung_.erase(it);
  Drop(std::move(gone), /*abort=*/true);
}

void Prober::Drop(std::unique_ptr<Attempt> attempt, bool abort) {
  if (attempt == nullptr) return;
  attempt->timer->Stop();
  attempt->connection->Close(abort);
  loop_->DisposeLater(std::shared_ptr<Attempt>(std::move(attempt)));
}

}  // namespace bulkhead::control
