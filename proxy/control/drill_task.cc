#include "proxy/control/drill_task.h"

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"

namespace bulkhead::control {

namespace {

std::string SecondsText(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", std::chrono::duration<double>(duration).count());
  return text;
}

struct Sums {
  uint64_t released, refused, cancelled;
};
Sums SumsOf(const routing::GateCounters& counters) {
  const auto& r = counters.reads;
  const auto& w = counters.writes;
  return {r.released + w.released, r.all_refused() + w.all_refused(), r.cancelled + w.cancelled};
}

}  // namespace

DrillTask::DrillTask(Operators* operators, AskedPtr asked, const routing::Shard& shard,
                     Duration lasting)
    : operators_(operators),
      asked_(std::move(asked)),
      shard_(shard.id),
      primary_(shard.primary),
      name_(shard.name),
      backend_(operators->world()->topology()->backend(shard.primary)->name),
      operation_(operators->world()->operations()->Begin("drill", shard.name, asked_->origin.user)),
      began_(operators->world()->Now()),
      lasting_(lasting),
      before_(operators->world()->gates()->gate(shard.id)->counters()) {
  Enter(Phase::kSuspect, "suspect: new work is held");
}

void DrillTask::Enter(Phase phase, const std::string& words) {
  phase_ = phase;
  phase_since_ = world()->Now();
  routing::GateHealth health{.since = began_};
  switch (phase) {
    case Phase::kSuspect:
      health.effect = routing::GateEffect::kHold;
      health.words = "is suspect (a drill)";
      Tell(routing::BackendState::kSuspect, words);
      break;
    case Phase::kDown:
      health.effect = routing::GateEffect::kApplyPolicy;
      health.words = "is down (a drill)";
      Tell(routing::BackendState::kDown, words);
      break;
    case Phase::kRecovering:
      health.effect = routing::GateEffect::kHold;
      health.words = "is recovering (a drill)";
      Tell(routing::BackendState::kRecovering, words);
      break;
    case Phase::kReleased:
      // In trouble of its own it goes on being told of by what is really seen of it.
      if (WellItself()) Tell(routing::BackendState::kUp, words);
      [[fallthrough]];
    case Phase::kEnded:
      world()->gates()->SetDrill(shard_, std::nullopt, phase_since_);
      Note(words);
      return;
  }
  world()->gates()->SetDrill(shard_, health, phase_since_);
  Note(words);
}

void DrillTask::Tell(routing::BackendState to, const std::string& words) {
  IncidentLog* incidents = world()->incidents();
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  incidents->OnBackend({.backend = backend_,
                        .from = std::exchange(told_, to),
                        .to = to,
                        .words = "a drill, nothing is wrong with the server: " + words,
                        .shards = {name_}},
                       now.count());
  if (const uint64_t id = incidents->OpenOn(backend_); id != 0) incident_ = id;
}

bool DrillTask::WellItself() {
  const routing::BackendHealth* health = world()->HealthOf(primary_);
  return health != nullptr && health->effect() == routing::GateEffect::kServe;
}

// A line of the report.
void DrillTask::Note(const std::string& words) {
  const routing::MonoTime now = world()->Now();
  noted_ = now;
  const routing::ShardGate* gate = world()->gates()->gate(shard_);
  if (gate == nullptr) return;
  const Sums then = SumsOf(before_);
  const Sums sums = SumsOf(gate->counters());
  rows_.push_back({SecondsText(now - began_), words, absl::StrCat(gate->queue().size()),
                   absl::StrCat(sums.released - then.released),
                   absl::StrCat(sums.refused - then.refused),
                   absl::StrCat(sums.cancelled - then.cancelled)});
  world()->operations()->Step(operation_, words);
  asked_->Progress(
      absl::StrCat("drill on shard ", name_, ": ", words, "; held ", gate->queue().size()));
}

void DrillTask::Tick(routing::MonoTime now) {
  const routing::ShardGate* gate = world()->gates()->gate(shard_);
  if (gate == nullptr) {
    End(Operation::State::kFailed, "the shard was dropped");
    return;
  }
  if (!WellItself() && phase_ != Phase::kReleased) {
    how_ = "ended early: the backend is in trouble of its own";
    Enter(Phase::kReleased, how_);
    return;
  }
  const Duration in_phase = now - phase_since_;
  switch (phase_) {
    case Phase::kSuspect:
      if (in_phase >= std::min(kSuspectFor, lasting_ / 2))
        Enter(Phase::kDown, "down: the hold policy applies");
      break;
    case Phase::kDown:
      if (now - began_ >= lasting_) Enter(Phase::kRecovering, "recovering");
      break;
    case Phase::kRecovering:
      if (in_phase >= kRecoverFor) Enter(Phase::kReleased, "released, with the ramp");
      break;
    case Phase::kReleased:
      if (!gate->ramp().active() || in_phase >= kWatchRampFor)
        End(cancelled_ ? Operation::State::kCancelled : Operation::State::kDone, how_);
      return;
    case Phase::kEnded:
      return;
  }
  if (now - noted_ >= std::chrono::seconds(1)) Note(rows_.back()[1]);
}

void DrillTask::Cancel() {
  if (phase_ == Phase::kEnded || phase_ == Phase::kReleased) return;
  cancelled_ = true;
  how_ = "cancelled";
  Enter(Phase::kReleased, "cancelled: released, with the ramp");
}

void DrillTask::End(Operation::State state, const std::string& words) {
  Enter(Phase::kEnded, "ended");
  const std::string message = absl::StrCat(
      "drill on shard ", name_, " ", words, " after ", SecondsText(world()->Now() - began_),
      " s; nothing was done on the server; kept as incident ", incident_);
  world()->operations()->End(operation_, state, message);
  world()->events()->Add("operation", name_, message);
  asked_->Report({.ok = true,
                  .message = message,
                  .columns = {"second", "state", "held", "released", "refused", "left"},
                  .rows = std::move(rows_)});
}

}  // namespace bulkhead::control
