// What makes the gate's tests' world go round; see gate_world.h. No tests of its own.
#include "tests/routing/gate_world.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace bulkhead::routing {

using namespace std::chrono_literals;

GateWorld::GateWorld(const WorldOptions& options, HoldTotals* totals)
    : options_(options),
      random_(options.seed),
      totals_(totals),
      gate_(ShardId{1, 0}, "s1", options.rules, totals, now_),
      due_(options.arrivals_per_second.size()),
      done_of_(options.arrivals_per_second.size()),
      refused_of_(options.arrivals_per_second.size()) {
  health_.since = now_;
}

void GateWorld::Complain(const std::string& what) {
  if (complaints_.size() < 10) {
    complaints_.push_back(std::to_string(ToMillis(now_.time_since_epoch())) + " ms: " + what);
  }
}

void GateWorld::Health(GateEffect effect, uint32_t concurrency) {
  health_ = {effect, now_, "is of effect " + std::to_string(static_cast<int>(effect)), concurrency};
  most_shed_ = std::max(most_shed_, concurrency);
  // Turns are compared between statements that could go at the same time.
  for (auto& [tenant, view] : views_) view.waits_since = releases_;
  gate_.SetHealth(health_, now_, &actions_);
  Obey();
}

void GateWorld::Order(GateOperator order, MonoTime until) {
  order_ = {order, until, ""};
  for (auto& [tenant, view] : views_) view.waits_since = releases_;
  gate_.SetOrder(order_, now_, &actions_);
  Obey();
}

void GateWorld::Replica(BackendId replica) {
  replica_ = replica;
  gate_.SetReplica(replica, now_, &actions_);
  Obey();
}

bool GateWorld::MayServe(bool is_read) const {
  switch (order_.order) {
    case GateOperator::kHold:
    case GateOperator::kReject:
    case GateOperator::kDrain:
      return false;
    case GateOperator::kServe:
      return true;
    case GateOperator::kNone:
      break;
  }
  return MayServeByHealth(is_read);
}

bool GateWorld::MayServe(const Statement& statement) const {
  const bool waits_for_ends =
      order_.order == GateOperator::kHold || order_.order == GateOperator::kDrain;
  if (waits_for_ends && statement.continues && health_.effect != GateEffect::kShed)
    return MayServeByHealth(statement.is_read);
  return MayServe(statement.is_read);
}

bool GateWorld::MayServeByHealth(bool is_read) const {
  switch (health_.effect) {
    case GateEffect::kServe:
    case GateEffect::kShed:
      return true;
    case GateEffect::kHoldWrites:
      return is_read;
    case GateEffect::kHold:
    case GateEffect::kApplyPolicy:
      return false;
  }
  return false;
}

void GateWorld::Step() {
  now_ += 1ms;
  if (order_.until <= now_) {
    order_ = {};
    for (auto& [tenant, view] : views_) view.waits_since = releases_;
  }
  if (gate_.NextDeadline() <= now_) {
    gate_.Tick(now_, &actions_);
    Obey();
  }
  for (size_t tenant = 0; tenant < due_.size(); ++tenant) {
    due_[tenant] += options_.arrivals_per_second[tenant] / 1000 *
                    std::uniform_real_distribution<double>(0, 2)(random_);
    for (; due_[tenant] >= 1; due_[tenant] -= 1) Arrive(tenant);
  }
  if (options_.leaving > 0) Leave();
  if (!frozen_) Serve();
  CheckLimits();
}

void GateWorld::Arrive(size_t tenant) {
  const WaiterId id = ++last_id_;
  Statement& s = statements_[id];
  s.tenant = tenant;
  s.is_read = Chance(options_.reads);
  s.continues = Chance(options_.continuing);
  s.arrived = s.since = now_;
  if (Chance(options_.earlier)) s.since = now_ - random(3000) * 1ms;
  s.bytes = 1 + random(options_.max_bytes);
  s.work_left = options_.work_ms * std::uniform_real_distribution<double>(0.5, 1.5)(random_);
  const GateMode mode = gate_.notice().mode;
  if (mode == GateMode::kServing || (mode == GateMode::kAskWrites && s.is_read)) {
    Send(id, &s);
    return;
  }
  ++asked_;
  TenantView& view = views_[tenant];
  if (!s.continues) {
    if (view.waiting.empty()) view.waits_since = releases_;
    view.waiting.emplace(std::pair(s.since, id), s.is_read);
  }
  GateRequest request;
  request.waiter = id;
  const std::string name = "t" + std::to_string(tenant);
  request.tenant = name;
  request.bytes = s.bytes;
  request.is_read = s.is_read;
  request.continues_transaction = s.continues;
  request.plain_read = s.is_read && Chance(options_.replica_ok);
  if (Chance(options_.rejecting)) request.policy = HoldPolicy::kReject;
  request.since = s.since;
  gate_.Enqueue(request, now_, &actions_);
  Obey();
}

void GateWorld::Send(WaiterId id, Statement* statement) {
  statement->at = At::kRunning;
  statement->released = now_;
  pooled_.push_back(id);
}

// Processor sharing: each has a core of its own while there are enough.
void GateWorld::Serve() {
  for (; running_.size() < options_.connections && !pooled_.empty(); pooled_.pop_front()) {
    if (statements_.contains(pooled_.front())) running_.push_back(pooled_.front());
  }
  if (running_.empty()) return;
  const double n = static_cast<double>(running_.size());
  double speed = std::min(1.0, options_.cores / n) / slowness_;
  if (n > options_.thrash_above) speed *= std::pow(options_.thrash_above / n, 1.5);
  std::vector<WaiterId> ended;
  for (const WaiterId id : running_) {
    if ((statements_[id].work_left -= speed) <= 0) ended.push_back(id);
  }
  for (const WaiterId id : ended) End(id);
}

void GateWorld::End(WaiterId id) {
  std::erase(running_, id);
  const Statement s = statements_[id];
  statements_.erase(id);
  ++done_;
  ++done_of_[s.tenant];
  if (!s.report) return;
  --reported_;
  gate_.Finished(id, now_ - s.released, true, now_, &actions_);
  Obey();
}

void GateWorld::KillRunning() {
  for (const auto& [id, s] : std::map<WaiterId, Statement>(statements_)) {
    if (s.at != At::kRunning) continue;
    statements_.erase(id);
    if (!s.report) continue;
    --reported_;
    gate_.Finished(id, now_ - s.released, false, now_, &actions_);
  }
  running_.clear();
  pooled_.clear();
  Obey();
}

void GateWorld::Leave() {
  if (statements_.empty() || !Chance(options_.leaving)) return;
  auto it = statements_.lower_bound(statements_.begin()->first +
                                    random(last_id_ - statements_.begin()->first + 1));
  if (it == statements_.end()) return;
  const auto [id, s] = *it;
  statements_.erase(it);
  if (s.at == At::kRunning) {
    std::erase(running_, id);
    if (s.report) {
      --reported_;
      // A ramp that has ended meanwhile has forgotten it, also where another one began since.
      const bool same_ramp = gate_.ramp().active() && s.released > no_ramp_at_;
      if (!gate_.Cancel(id, now_, &actions_) && same_ramp) {
        Complain("a reported statement was not known");
      }
    }
  } else {
    NotWaiting(id, s);
    ++cancelled_;
    if (!gate_.Cancel(id, now_, &actions_)) Complain("a waiting statement was not known");
  }
  Obey();
}

void GateWorld::Obey() {
  if (!gate_.ramp().active()) no_ramp_at_ = now_;
  // What is obeyed may make the gate act again.
  for (size_t i = 0; i < actions_.size(); ++i) {
    const GateAction action = actions_[i];
    const auto found = statements_.find(action.waiter);
    if (found == statements_.end() || found->second.at != At::kWaiting) {
      Complain("an action for a statement that doesn't wait");
      continue;
    }
    ++answered_;
    if (action.waited != now_ - found->second.since) Complain("waited is wrong");
    if (action.kind == GateAction::Kind::kRefuse) {
      ObeyRefusal(action, found->second);
      NotWaiting(action.waiter, found->second);
      statements_.erase(found);
      continue;
    }
    if (action.kind == GateAction::Kind::kReleaseToReplica) {
      if (action.replica != replica_ || !found->second.is_read) Complain("wrong replica");
      NotWaiting(action.waiter, found->second);
      statements_.erase(found);
      continue;
    }
    ObeyRelease(action, &found->second);
  }
  actions_.clear();
  const GateCounters& c = gate_.counters();
  const auto sum = [](const GateCounters::Kind& k) {
    return k.released + k.all_refused() + k.cancelled;
  };
  if (c.reads.enqueued + c.writes.enqueued != sum(c.reads) + sum(c.writes) + gate_.queue().size()) {
    Complain("the gate's identity doesn't hold");
  }
  if (asked_ != answered_ + cancelled_ + gate_.queue().size()) Complain("a statement was lost");
}

void GateWorld::ObeyRelease(const GateAction& action, Statement* statement) {
  if (!MayServe(*statement)) Complain("released while its shard doesn't serve");
  if (action.waited > options_.rules.max_wait + 1ms && statement->arrived != now_) {
    Complain("released after its window");
  }
  const bool may_pass_by =
      statement->continues || statement->bytes > options_.rules.max_statement_bytes;
  if (!may_pass_by) CheckTurn(action, *statement);
  NotWaiting(action.waiter, *statement);
  Send(action.waiter, statement);
  statement->report = action.report;
  if (!action.report) return;
  most_reported_ = std::max(most_reported_, ++reported_);
}

void GateWorld::ObeyRefusal(const GateAction& action, const Statement& statement) {
  ++refused_[action.code - 9401];
  ++refused_of_[statement.tenant];
  const Duration waited = now_ - statement.since;
  if (action.code == 9403 || action.code == 9404) {
    if (waited < options_.rules.max_wait) Complain("gave up too early");
    if (waited > options_.rules.max_wait + 1ms && statement.arrived != now_) {
      Complain("held past its window");
    }
  }
  if (action.reason.empty() || action.retry_after_ms == 0) Complain("refused without a word");
  if (action.code == 9401 && health_.effect == GateEffect::kServe &&
      order_.order != GateOperator::kReject) {
    Complain("refused by a shard that serves");
  }
}

// Oldest first within its tenant unless that one is beyond the limit; tenants in turn.
void GateWorld::CheckTurn(const GateAction& action, const Statement& statement) {
  ++releases_;
  const bool all = MayServe(false);
  TenantView& view = views_[statement.tenant];
  const auto candidate = [all](const auto& entry) { return all || entry.second; };
  const auto oldest = std::find_if(view.waiting.begin(), view.waiting.end(), candidate);
  if (oldest->first != std::pair(statement.since, action.waiter)) {
    // Equal times go by arrival, which the id is.
    const Duration limit = options_.rules.sojourn_limit.value_or(options_.rules.max_wait * 3 / 4);
    ++newest_first_;
    if (now_ - oldest->first.first <= limit) Complain("the newest first, below the limit");
  }
  const uint64_t before = std::exchange(view.last_release, releases_);
  if (!all || before == 0) return;
  for (const auto& [tenant, other] : views_) {
    const bool waited_all_along = tenant != statement.tenant && !other.waiting.empty() &&
                                  other.waits_since < before && view.waits_since < before;
    if (waited_all_along && other.last_release < before) {
      Complain("tenant " + std::to_string(statement.tenant) + " had two turns before tenant " +
               std::to_string(tenant) + " had one");
    }
  }
}

void GateWorld::NotWaiting(WaiterId id, const Statement& statement) {
  if (statement.continues) return;
  TenantView& view = views_[statement.tenant];
  view.waiting.erase({statement.since, id});
  if (view.waiting.empty()) view.waits_since = UINT64_MAX;
}

void GateWorld::CheckLimits() {
  const GateRules& rules = options_.rules;
  if (gate_.queue().size() > rules.max_statements) Complain("too many are held");
  if (gate_.queue().bytes() > rules.max_bytes) Complain("too many bytes are held");
  const uint32_t most = std::max(rules.ramp.limit, most_shed_);
  if (gate_.ramp().running() > most) Complain("too many run");
  if (totals_ == nullptr) return;
  if (totals_->statements() > totals_->max_statements()) Complain("too many are held in total");
  if (totals_->bytes() > totals_->max_bytes()) Complain("too many bytes are held in total");
}

}  // namespace bulkhead::routing
