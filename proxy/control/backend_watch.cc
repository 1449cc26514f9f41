#include "proxy/control/backend_watch.h"

#include <utility>

namespace bulkhead::control {

using routing::BackendState;
using routing::HealthAction;

BackendWatch::BackendWatch(io::EventLoop* loop, const routing::Backend& backend,
                           const Options& options, BackendWatchOwner* owner)
    : loop_(loop),
      id_(backend.id),
      name_(backend.name),
      owner_(owner),
      rules_(options.rules),
      prober_account_(options.probe.account.user),
      health_(options.rules, options.role, options.seed,
              routing::MonoTimeFromNanos(static_cast<int64_t>(loop->NowNs()))),
      prober_(loop, options.probe, options.router_id, this),
      inspector_(loop, options.probe, options.killer, options.wall_seconds),
      may_commit_(options.rules.can_commit) {}

routing::MonoTime BackendWatch::Now() const {
  return routing::MonoTimeFromNanos(static_cast<int64_t>(loop_->NowNs()));
}

void BackendWatch::SetRole(const Role& role, routing::Duration usual_heartbeat) {
  const routing::Duration heartbeat = role.heartbeat.value_or(usual_heartbeat);
  if (rules_.heartbeat != heartbeat) {
    rules_.heartbeat = heartbeat;
    health_.SetRules(rules_, Now());
  }
  if (health_.role() != role.role) health_.SetRole(role.role, Now());
}

void BackendWatch::SetOptions(const Options& options) {
  routing::HealthRules rules = options.rules;
  rules.heartbeat = rules_.heartbeat;
  // With another account the canary may be writable after all.
  const bool same_account = prober_account_ == options.probe.account.user;
  may_commit_ = rules.can_commit;
  if (!same_account) commit_refused_ = false;
  if (commit_refused_) rules.can_commit = rules.can_commit && rules_.can_commit;
  rules_ = rules;
  prober_account_ = options.probe.account.user;
  prober_.SetConnection(options.probe);
  inspector_.SetConnections(options.probe, options.killer);
  health_.SetRules(rules_, Now());
}

void BackendWatch::CarryOut() {
  if (carrying_out_) return;  // the loop below takes what an action has caused
  carrying_out_ = true;
  while (true) {
    const std::vector<HealthAction> actions = health_.TakeActions();
    if (actions.empty()) break;
    for (const HealthAction& action : actions) CarryOutOne(action);
  }
  carrying_out_ = false;
}

void BackendWatch::CarryOutOne(const HealthAction& action) {
  switch (action.kind) {
    case HealthAction::Kind::kStartProbe:
      prober_.Start(action);
      return;
    case HealthAction::Kind::kAbandonProbe:
      prober_.Abandon(action.probe);
      return;
    case HealthAction::Kind::kForgetAbandoned:
      abandoned_.clear();
      return;
    case HealthAction::Kind::kStateChanged:
      owner_->OnStateChanged(this, action);
      return;
    case HealthAction::Kind::kGiveUpInFlight:
      owner_->GiveUpInFlight(this, action);
      return;
    case HealthAction::Kind::kCheckIdentity:
      if (!rules_.can_login) {
        health_.OnIdentity({}, Now());  // nobody who could ask
        return;
      }
      inspector_.CheckIdentity(position_, [this](const routing::IdentityFacts& facts) {
        health_.OnIdentity(facts, Now());
        CarryOut();
      });
      return;
    case HealthAction::Kind::kKillAbandoned:
      if (!rules_.can_login) {
        health_.OnAbandoned({.checkable = false}, Now());
        return;
      }
      inspector_.KillAbandoned(&abandoned_, [this](const routing::AbandonedReport& report) {
        health_.OnAbandoned(report, Now());
        CarryOut();
      });
      return;
    case HealthAction::Kind::kNotice:
      for (const std::string& words : action.reasons) owner_->OnNotice(this, words);
      return;
  }
}

void BackendWatch::GaveUp(const std::vector<io::AbandonedConnection>& connections) {
  Abandon(connections);
  CarryOut();
}

void BackendWatch::Abandon(const std::vector<io::AbandonedConnection>& connections) {
  for (const io::AbandonedConnection& connection : connections)
    abandoned_.push_back(connection.thread_id);
  for (const io::AbandonedConnection& connection : connections)
    inspector_.memory().NoteConnection(connection.thread_id);
  health_.OnGaveUp(static_cast<uint32_t>(connections.size()), Now());
}

void BackendWatch::OnProbe(uint64_t probe, routing::ProbeKind kind,
                           const routing::ProbeResult& result) {
  ProbeCounts& counts = result.outcome == routing::ProbeOutcome::kOk ? probes_ok_ : probes_failed_;
  ++counts[static_cast<size_t>(kind)];
  health_.OnProbe(probe, result, Now());
  if (result.outcome == routing::ProbeOutcome::kOk) AskForCommitsAgain();
  CarryOut();
}

// A GRANT is enough to have commits probed again. Until one has gone through, health takes them for
// what they were, unusable, and waits for none.
void BackendWatch::AskForCommitsAgain() {
  constexpr routing::Duration kEvery = std::chrono::minutes(1);
  if (!commit_refused_ || !may_commit_ || rules_.can_commit || Now() - refused_at_ < kEvery) return;
  rules_.can_commit = true;
  health_.SetRules(rules_, Now());
}

void BackendWatch::OnHungProbe(uint64_t probe, routing::HungEnd end) {
  health_.OnHungProbe(probe, end, Now());
  CarryOut();
}

void BackendWatch::OnProbeConnectionLost(routing::ProbeKind kind, routing::ConnectionError error) {
  health_.OnProbeConnectionLost(kind, error, Now());
  CarryOut();
}

void BackendWatch::OnCanaryRefused(const std::string& why) {
  if (!std::exchange(commit_refused_, true)) {
    owner_->OnNotice(
        this, "no commit probes: the probe account may not write bulkhead.canary (" + why + ")");
  }
  refused_at_ = Now();
  rules_.can_commit = false;
  health_.SetRules(rules_, Now());
}

void BackendWatch::OnCanaryBegun(routing::MonoTime begun) { owner_->OnCanaryBegun(this, begun); }

void BackendWatch::OnCanary(uint64_t number, routing::MonoTime begun, const std::string& gtids) {
  position_ = gtids;
  if (std::exchange(commit_refused_, false)) owner_->OnNotice(this, "commits are probed again");
  owner_->OnCanary(this, number, begun);
}

void BackendWatch::OnOtherRouters(std::vector<OtherRouter> routers) {
  other_routers_ = Followed(other_routers_, std::move(routers), Now());
}

void BackendWatch::OnEpochs(std::vector<SeenEpoch> epochs) {
  if (epochs == epochs_) return;  // the usual case
  epochs_ = std::move(epochs);
  owner_->OnEpochs(this, epochs_);
}

void BackendWatch::OnUptime(int64_t seconds) { inspector_.memory().NoteUptime(seconds); }

void BackendWatch::OnCanarySeen(uint64_t number) { owner_->OnCanarySeen(this, number); }

}  // namespace bulkhead::control
