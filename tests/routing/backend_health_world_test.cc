// The world of backend_health_world.h, and that it is a fair one.
#include "tests/routing/backend_health_world.h"

#include <algorithm>
#include <set>
#include <utility>

namespace bulkhead::routing {

World::World(HealthRules rules, BackendRole role, uint64_t seed)
    : health(rules, role, seed, AtMs(0)) {}

void World::Run(int64_t ms) {
  for (int64_t i = 0; i < ms; ++i) Tick();
}

int64_t World::RunUntil(BackendState state, int64_t limit) {
  const int64_t start = now_ms;
  while (now_ms - start <= limit) {
    if (health.state() == state) return now_ms - start;
    Tick();
  }
  return -1;
}

void World::Tick() {
  ++now_ms;
  RunServer();
  if (now_ms < paused_until_) return;
  if (paused_until_ == now_ms) paused_until_ = -1;
  RunShell();
}

bool World::Works(const Pending& p) const {
  if (faults.frozen || faults.dead || faults.gone || faults.drip || p.lost) return false;
  if (p.fresh && faults.no_greeting) return false;
  const bool refused = p.fresh && (faults.full || faults.blocked || faults.login_refused);
  if (refused || p.kind == ProbeKind::kLogin) return true;
  if (faults.no_answer) return false;
  const bool reads = p.kind == ProbeKind::kRead || p.kind == ProbeKind::kCommit;
  if (reads && faults.reads_hang) return false;
  return p.kind != ProbeKind::kCommit || !faults.disk_frozen || faults.read_only;
}

int64_t World::Cost(const Pending& p) const {
  int64_t cost = 1 + faults.slow_ms + (p.fresh ? 4 + faults.slow_ms : 0);
  if (p.kind == ProbeKind::kCommit) cost += faults.locked ? 1000 : 3;
  return cost;
}

void World::RunServer() {
  for (Pending& p : pending_) {
    if (Works(p)) ++p.progress;
  }
  const bool serving = !faults.frozen && !faults.dead && !faults.gone && !faults.no_answer;
  if (faults.drip && in_flight != 0 && now_ms % 1000 < 2) last_byte_ = now_ms;
  if (!serving || faults.drip || now_ms < paused_until_) return;
  Serve();
}

// Short statements take a few milliseconds; a closed gate lets none in.
void World::Serve() {
  const GateEffect effect = health.effect();
  const bool open = effect == GateEffect::kServe || effect == GateEffect::kShed;
  const bool reads = open || effect == GateEffect::kHoldWrites;
  const bool writes_hang = faults.disk_frozen || faults.locked || faults.reads_hang;
  const uint32_t readers = oltp - writers;
  const bool reads_served = readers != 0 && reads && !faults.reads_hang;
  const bool reads_answered = readers != 0 && !faults.reads_hang && in_flight != 0;
  if (reads_served || reads_answered) last_byte_ = last_answer_ = now_ms;
  const bool writes_run = writers != 0 && !writes_hang && (open || write_sent_ >= 0);
  if (writes_run) last_byte_ = last_answer_ = last_commit_ = now_ms;
  if (writers != 0 && open && (!writes_hang || write_sent_ < 0)) write_sent_ = now_ms;
  if (!open && !writes_hang) write_sent_ = -1;
  in_flight = (reads ? readers : 0) + (write_sent_ >= 0 ? writers : 0) + (long_query ? 1 : 0);
  if (faults.reads_hang) in_flight = oltp + (long_query ? 1 : 0);
  if (!faults.reads_hang && reads_served) oldest_sent_ = now_ms - 2 - faults.slow_ms;
  if (writes_run && open) oldest_sent_ = now_ms - 2 - faults.slow_ms;
  if (writes_hang && write_sent_ >= 0) oldest_sent_ = write_sent_;
  if (long_query && long_sent_ < 0) long_sent_ = now_ms;
  if (!long_query) long_sent_ = -1;
}

TrafficSample World::Sample() const {
  const auto at = [](int64_t ms) { return ms < 0 ? kNoTime : AtMs(ms); };
  TrafficSample s;
  s.in_flight = in_flight;
  s.oldest_sent_at = at(long_sent_ >= 0 ? long_sent_ : oldest_sent_);
  s.last_byte_at = at(last_byte_);
  s.last_answer_at = at(last_answer_);
  s.last_commit_at = at(last_commit_);
  s.writes_in_flight = write_sent_ >= 0 ? writers : 0;
  s.oldest_write_at = at(write_sent_);
  s.bytes = static_cast<uint64_t>(std::max<int64_t>(last_byte_, 0)) * in_flight;
  return s;
}

bool World::DeliverAnswer(size_t index) {
  const Pending p = pending_[index];
  if (p.progress < Cost(p)) return false;
  pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(index));
  ProbeResult r;
  if (p.fresh && faults.full) {
    r = {.outcome = ProbeOutcome::kTooManyConnections, .error_code = 1040};
  } else if (p.fresh && faults.blocked) {
    r = {.outcome = ProbeOutcome::kHostBlocked, .error_code = 1129};
  } else if (p.fresh && faults.login_refused) {
    r = {.outcome = ProbeOutcome::kLoginFailed, .error_code = 1045};
  } else if (p.kind == ProbeKind::kCommit && faults.read_only) {
    r = {.outcome = ProbeOutcome::kReadOnly};
  } else if (p.kind == ProbeKind::kCommit && faults.locked) {
    r = {.outcome = ProbeOutcome::kServerError, .error_code = 1205};
  }
  if (p.hung) {
    // Its connection is the kind's again, or the machine has another one and abandons it.
    if (p.kind != ProbeKind::kLogin && r.outcome == ProbeOutcome::kOk) {
      connected_[static_cast<size_t>(p.kind)] = true;
    }
    health.OnHungProbe(p.id, r.outcome == ProbeOutcome::kOk ? HungEnd::kAnswered : HungEnd::kClosed,
                       now());
  } else {
    connected_[static_cast<size_t>(p.kind)] = p.kind != ProbeKind::kLogin;
    health.OnProbe(p.id, r, now());
  }
  return true;
}

bool World::DeliverTimeout(size_t index) {
  Pending& p = pending_[index];
  const auto kind = static_cast<size_t>(p.kind);
  if (p.fresh && faults.dead && !p.hung) {
    const uint64_t id = p.id;
    pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(index));
    health.OnProbe(id, {.outcome = ProbeOutcome::kRefused, .stage = ProbeStage::kConnect}, now());
    return true;
  }
  if (!p.fresh && faults.dead && !p.hung) {  // asked before the machine heard of the loss
    const uint64_t id = p.id;
    pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(index));
    health.OnProbe(id, {.outcome = ProbeOutcome::kReset}, now());
    return true;
  }
  if (p.hung || now_ms - p.started < p.timeout) return false;
  connected_[kind] = false;
  const bool established = !p.fresh || !faults.gone;
  ProbeResult r{.outcome = ProbeOutcome::kTimeout, .kept = established};
  r.acknowledged = !faults.gone;
  if (p.fresh) {
    r.stage = !established ? ProbeStage::kConnect
                           : (faults.no_answer ? ProbeStage::kAnswer : ProbeStage::kGreeting);
    if (faults.reads_hang && p.kind != ProbeKind::kLogin) r.stage = ProbeStage::kAnswer;
  }
  const uint64_t id = p.id;
  p.hung = true;
  if (!established) pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(index));
  health.OnProbe(id, r, now());
  return true;
}

void World::RunShell() {
  // Timeouts before answers, as a loop that comes late would see them.
  for (size_t i = 0; i < pending_.size();) i = DeliverTimeout(i) ? 0 : i + 1;
  for (size_t i = 0; i < pending_.size();) i = DeliverAnswer(i) ? 0 : i + 1;
  const bool mute = faults.frozen || faults.gone || faults.no_answer || faults.drip;
  if (identity_since_ >= 0 && !mute && !faults.dead && now_ms - identity_since_ >= 3) {
    identity_since_ = -1;
    health.OnIdentity(identity, now());
  } else if (identity_since_ >= 0 && now_ms - identity_since_ >= 1000) {
    identity_since_ = -1;
    health.OnIdentity({}, now());
  }
  if (kill_since_ >= 0 && !mute && now_ms - kill_since_ >= 3) {
    kill_since_ = -1;
    abandoned -= std::min(abandoned, killed_per_look);
    health.OnAbandoned({.checkable = checkable, .remaining = abandoned}, now());
  }
  if (gave_up_at_ >= 0 && now_ms >= gave_up_at_) {
    gave_up_at_ = -1;
    abandoned += gave_up_;
    health.OnGaveUp(std::exchange(gave_up_, 0), now());
  }
  if (now_ms % 50 == 0) health.OnTraffic(Sample(), now());
  if (now() >= health.next_wake()) {
    health.Step(now());
    ASSERT_GT(health.next_wake(), now()) << "would spin";
  }
  TakeActions();
  CheckBounds();
}

void World::TakeActions() {
  for (const HealthAction& action : health.TakeActions()) Do(action);
}

void World::Do(const HealthAction& action) {
  switch (action.kind) {
    case HealthAction::Kind::kStartProbe: {
      ++started[static_cast<size_t>(action.probe_kind)];
      if (action.fresh_connection) ++logins;
      Pending p{action.probe, action.probe_kind, action.fresh_connection, now_ms,
                ToMillis(action.timeout)};
      if (p.kind == ProbeKind::kPing && faults.lose_pings > 0) {
        --faults.lose_pings;
        p.lost = true;
      }
      EXPECT_TRUE(action.fresh_connection || faults.dead || connected_[static_cast<size_t>(p.kind)])
          << "a probe on a connection that is not there";
      pending_.push_back(p);
      break;
    }
    case HealthAction::Kind::kAbandonProbe:
      for (const Pending& p : pending_) logins_cut += p.id == action.probe && p.fresh;
      std::erase_if(pending_, [&](const Pending& p) { return p.id == action.probe; });
      break;
    case HealthAction::Kind::kStateChanged: {
      std::string why;
      for (const std::string& r : action.reasons) why += (why.empty() ? "" : "; ") + r;
      EXPECT_FALSE(why.empty()) << ToString(action.to);
      changes.push_back({now_ms, action.from, action.to, why, action.signals});
      break;
    }
    case HealthAction::Kind::kGiveUpInFlight:
      give_ups.push_back(action);
      give_up_at.push_back(now_ms);
      gave_up_ += action.writes_only ? writers : in_flight;
      if (gave_up_at_ < 0) gave_up_at_ = now_ms + gave_up_delay;
      in_flight = 0;
      write_sent_ = -1;
      break;
    case HealthAction::Kind::kCheckIdentity:
      EXPECT_LT(identity_since_, 0) << "asked twice";
      ++identity_checks;
      identity_since_ = now_ms;
      break;
    case HealthAction::Kind::kKillAbandoned:
      ++kills;
      kill_since_ = now_ms;
      break;
    case HealthAction::Kind::kForgetAbandoned:
      abandoned = 0;
      break;
    case HealthAction::Kind::kNotice:
      for (const std::string& r : action.reasons) notices.push_back(r);
      break;
  }
}

void World::CheckBounds() const {
  std::set<ProbeKind> outstanding;
  uint32_t opening = 0;
  uint32_t hung_logins = 0;
  for (const Pending& p : pending_) {
    if (p.hung) {
      hung_logins += p.fresh && !faults.no_answer && !faults.reads_hang && !faults.disk_frozen;
      continue;
    }
    EXPECT_TRUE(outstanding.insert(p.kind).second) << "two of a kind: " << ToString(p.kind);
    opening += p.fresh;
  }
  EXPECT_LE(opening, 1u);
  EXPECT_LE(pending_.size(), 16u);
  (void)hung_logins;
}

void World::Crash() {
  faults.dead = true;
  const bool had_clients = in_flight != 0;
  in_flight = 0;
  write_sent_ = long_sent_ = -1;
  const std::vector<Pending> waiting = std::exchange(pending_, {});
  for (const Pending& p : waiting) {
    if (p.hung) {
      health.OnHungProbe(p.id, HungEnd::kClosed, now());
    } else {
      health.OnProbe(p.id, {.outcome = ProbeOutcome::kReset}, now());
    }
    connected_[static_cast<size_t>(p.kind)] = false;
  }
  for (size_t i = 0; i < kProbeKinds; ++i) {
    if (!connected_[i]) continue;
    connected_[i] = false;
    health.OnProbeConnectionLost(static_cast<ProbeKind>(i), ConnectionError::kReset, now());
  }
  if (had_clients) health.OnConnectionError(ConnectionError::kReset, now());
  TakeActions();
}

void World::PauseRouter(int64_t ms, bool told_late) {
  const int64_t from = now_ms;
  paused_until_ = now_ms + ms;
  while (now_ms + 1 < paused_until_) Tick();
  const int64_t to = now_ms + 1;
  if (told_late) {
    Tick();
    health.OnLoopLate(LateLoop::kControl, AtMs(from), AtMs(to));
  } else {
    health.OnLoopLate(LateLoop::kControl, AtMs(from), AtMs(to));
    Tick();
  }
}

bool World::Entered(BackendState state) const {
  return std::any_of(changes.begin(), changes.end(),
                     [&](const Change& c) { return c.to == state; });
}

std::string World::Why() const {
  std::string why(ToString(health.state()));
  for (const std::string& r : health.Reasons(now())) why += "; " + r;
  return why;
}

std::string World::Story() const {
  std::string story;
  for (const Change& c : changes) {
    story += std::to_string(c.at_ms) + " " + std::string(ToString(c.from)) + " -> " +
             std::string(ToString(c.to)) + ": " + c.why + "\n";
  }
  return story;
}

namespace {

TEST(BackendHealthWorld, AHealthyServerComesUpAndStaysUp) {
  World w;
  w.oltp = 16;
  w.writers = 4;
  EXPECT_EQ(w.health.effect(), GateEffect::kHold);
  w.Settle();
  EXPECT_LT(w.now_ms, 500) << w.Story();
  w.ForgetChanges();
  w.Run(60'000);
  EXPECT_TRUE(w.changes.empty()) << w.Story();
  EXPECT_EQ(w.health.effect(), GateEffect::kServe);
  EXPECT_EQ(w.Why(), "up; its probes are answered");
  // A minute of probes: about 80 pings, 40 reads, 10 logins, and with commits of clients no canary.
  EXPECT_NEAR(static_cast<double>(w.started[1]), 80, 25);
  EXPECT_NEAR(static_cast<double>(w.started[2]), 40, 15);
  EXPECT_NEAR(static_cast<double>(w.started[0]), 10, 4);
  EXPECT_LE(w.started[3], 3u);
}

TEST(BackendHealthWorld, AnIdleServerIsProbedAndCommittedTo) {
  World w;
  w.Settle();
  w.Run(60'000);
  EXPECT_EQ(w.health.state(), BackendState::kUp) << w.Story();
  EXPECT_NEAR(static_cast<double>(w.started[3]), 8, 4);
}

}  // namespace
}  // namespace bulkhead::routing
