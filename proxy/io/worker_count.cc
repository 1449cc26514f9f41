// What a worker counts and logs of its clients' statements and logins.

#include <array>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "proxy/io/worker.h"
#include "proxy/log/log.h"
#include "proxy/session/pins.h"
#include "routing/abseil_view.h"

namespace bulkhead::io {

namespace {

using routing::Abs;

metrics::StatementKind KindOf(sql::StatementKind kind) {
  using sql::StatementKind;
  switch (kind) {
    case StatementKind::kSelect:
    case StatementKind::kShow:
    case StatementKind::kDo:
      return metrics::StatementKind::kRead;
    case StatementKind::kDml:
      return metrics::StatementKind::kWrite;
    case StatementKind::kDdl:
    case StatementKind::kAdmin:
      return metrics::StatementKind::kDdl;
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kXa:
      return metrics::StatementKind::kTransaction;
    case StatementKind::kCall:
      return metrics::StatementKind::kCall;
    case StatementKind::kEmpty:
    case StatementKind::kSet:
    case StatementKind::kUse:
    case StatementKind::kKill:
    case StatementKind::kPrepareText:
    case StatementKind::kExecuteText:
    case StatementKind::kDeallocateText:
    case StatementKind::kLockTables:
    case StatementKind::kUnlockTables:
    case StatementKind::kHandler:
    case StatementKind::kOther:
      return metrics::StatementKind::kOther;
  }
  return metrics::StatementKind::kOther;
}

metrics::StatementOutcome OutcomeOf(session::Outcome outcome) {
  switch (outcome) {
    case session::Outcome::kOk:
      return metrics::StatementOutcome::kOk;
    case session::Outcome::kServerError:
      return metrics::StatementOutcome::kError;
    case session::Outcome::kRefused:
      return metrics::StatementOutcome::kRefused;
    case session::Outcome::kRolledBack:
      return metrics::StatementOutcome::kRolledBack;
    case session::Outcome::kUnknown:
      return metrics::StatementOutcome::kUnknown;
    case session::Outcome::kStateLost:
      return metrics::StatementOutcome::kStateLost;
  }
  return metrics::StatementOutcome::kOk;
}

}  // namespace

void Worker::LogLoginEnd(std::string_view host, std::string_view user, std::string_view why) {
  log::Info(log::event::kLogin, {{"address", host}, {"user", user}},
            absl::StrCat("login of '", Abs(user), "' from ", Abs(host), " ended: ", Abs(why)));
}

void Worker::CountStatement(SessionRunner* runner, metrics::TenantMeter::Hint* tenant_hint,
                            routing::ShardId shard, sql::StatementKind kind,
                            session::Outcome outcome, uint64_t duration_ns) {
  metrics::ShardMetrics& counters =
      shard.valid() ? setup_.metrics->shard(shard.index) : setup_.metrics->unrouted;
  const std::chrono::nanoseconds took(duration_ns);
  counters.Record(KindOf(kind), OutcomeOf(outcome), took);
  session::Session* session = runner->session();
  if (session == nullptr) return;
  setup_.metrics->tenants.Record(session->tenant_of_command(), OutcomeOf(outcome), took,
                                 tenant_hint);
  if (!slow_log_.IsSlow(duration_ns)) return;
  // What waited at a gate was not slow there, and what was refused has not run.
  const bool ran = outcome == session::Outcome::kOk || outcome == session::Outcome::kServerError;
  const uint64_t ran_ns = loop_.NowNs() - session->begun_ns();
  if (!ran || !slow_log_.IsSlow(ran_ns)) return;
  counters.slow.Add();
  if (slow_log_.Admit()) LogSlow(runner, shard, KindOf(kind), OutcomeOf(outcome), ran_ns);
}

void Worker::LogSlow(SessionRunner* runner, routing::ShardId shard, metrics::StatementKind kind,
                     metrics::StatementOutcome outcome, uint64_t ran_ns) {
  session::Session* session = runner->session();
  const routing::Topology& topology = *context()->topology;
  const routing::Shard* found = shard.valid() ? topology.shard(shard) : nullptr;
  const routing::Backend* backend =
      session->link() == nullptr ? nullptr : topology.backend(session->link()->backend);
  const std::string shard_name = found == nullptr ? "" : found->name;
  const std::string backend_name = backend == nullptr ? "" : backend->name;
  const std::string digest = session->DigestOfLast();
  const std::string tenant(session->tenant_of_command());
  log::Info(log::event::kSlow,
            {{"tenant", tenant},
             {"shard", shard_name},
             {"backend", backend_name},
             {"session", runner->id()},
             {"kind", metrics::kStatementKindNames[static_cast<size_t>(kind)]},
             {"outcome", metrics::kStatementOutcomeNames[static_cast<size_t>(outcome)]},
             {"duration_ms", ran_ns / 1'000'000},
             {"digest", digest}},
            absl::StrCat("slow statement: ",
                         absl::StrFormat("%.1f s", static_cast<double>(ran_ns) / 1e9), ", tenant ",
                         tenant, ", shard ", shard_name, ", backend ", backend_name, ": ", digest));
}

// Once a second.
void Worker::EndSecondOfCounts() {
  CountPins();
  setup_.metrics->tenants.GiveOn();
  if (const uint64_t left_out = slow_log_.EndSecond(); left_out > 0) {
    log::Info(log::event::kSlowLeftOut, {{"count", left_out}},
              absl::StrCat(left_out, " more slow statements in a second were not logged"));
  }
}

// Pins come and go with every statement; a look at all sessions once a second is cheaper than
// counting each.
void Worker::CountPins() {
  std::array<int64_t, static_cast<size_t>(session::Pin::kCount)> counts{};
  for (const auto& [id, runner] : runners_) {
    if (!runner->logged_in() || runner->session()->pins().empty()) continue;
    for (size_t pin = 0; pin < counts.size(); ++pin) {
      if (runner->session()->pins().Has(static_cast<session::Pin>(pin))) ++counts[pin];
    }
  }
  for (size_t pin = 0; pin < counts.size(); ++pin)
    setup_.metrics->pinned_sessions[pin].Set(counts[pin]);
}

}  // namespace bulkhead::io
