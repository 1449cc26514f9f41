#include "routing/shard_gate.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/tenant_resolution.h"

namespace bulkhead::routing {
namespace {

using Kinds = HoldQueue::Kinds;

HoldQueueRules QueueRules(const GateRules& rules) {
  HoldQueueRules queue;
  queue.max_statements = rules.max_statements;
  queue.max_bytes = rules.max_bytes;
  queue.sojourn_limit = rules.sojourn_limit.value_or(rules.max_wait * 3 / 4);
  queue.sojourn_interval = rules.max_wait / 5;
  return queue;
}

// Spread, so that those who were refused together don't come back together.
uint32_t RetryAfterMs(Duration least, WaiterId waiter) {
  const auto least_ms = static_cast<uint64_t>(std::max<int64_t>(ToMillis(least), 1));
  const uint64_t spread = (waiter * 0x9E3779B97F4A7C15ull) >> 32;
  return static_cast<uint32_t>(least_ms + spread % least_ms);
}

std::string_view DefaultWords(GateOperator order) {
  switch (order) {
    case GateOperator::kNone:
    case GateOperator::kServe:
      return "";
    case GateOperator::kHold:
      return "is held by an operator";
    case GateOperator::kReject:
      return "is closed by an operator";
    case GateOperator::kDrain:
      return "is being drained";
  }
  return "";
}

}  // namespace

GateRules GateRules::With(const GateRules& defaults, const HoldOverrides& overrides) {
  GateRules rules = defaults;
  rules.policy = overrides.policy.value_or(rules.policy);
  rules.max_wait = overrides.max_wait.value_or(rules.max_wait);
  rules.outage_limit = overrides.outage_limit.value_or(rules.outage_limit);
  rules.max_statements = overrides.max_statements.value_or(rules.max_statements);
  rules.max_bytes = overrides.max_bytes.value_or(rules.max_bytes);
  return rules;
}

ShardGate::ShardGate(ShardId id, std::string name, const GateRules& rules, HoldTotals* totals,
                     MonoTime now)
    : id_(id),
      name_(std::move(name)),
      rules_(rules),
      queue_(QueueRules(rules), totals),
      ramp_(rules.ramp) {
  health_.since = now;
  health_.words = "is not known yet";
  Publish();
}

void ShardGate::SetRules(const GateRules& rules, MonoTime now, Actions* actions) {
  rules_ = rules;
  queue_.SetRules(QueueRules(rules));
  ramp_.SetRules(rules.ramp);
  Changed(now, actions);
}

void ShardGate::SetHealth(const GateHealth& health, MonoTime now, Actions* actions) {
  health_ = health;
  const bool outage =
      health.effect == GateEffect::kApplyPolicy || health.effect == GateEffect::kHoldWrites;
  if (outage && !outage_since_) outage_since_ = std::min(health.since, now);
  if (outage) after_outage_ = true;
  // A hold that follows an outage (recovering) belongs to it.
  if (health.effect == GateEffect::kServe) outage_since_.reset();
  Changed(now, actions);
}

void ShardGate::SetOrder(const GateOrder& order, MonoTime now, Actions* actions) {
  order_ = order;
  Changed(now, actions);
}

void ShardGate::SetReplica(BackendId replica, MonoTime now, Actions* actions) {
  replica_ = replica;
  ReleaseToReplica(now, actions);
  Settle(now, actions);
}

ShardGate::Treatment ShardGate::TreatmentOf(bool is_read) const {
  switch (order_.order) {
    case GateOperator::kReject:
      return Treatment::kRefuse;
    case GateOperator::kHold:
    case GateOperator::kDrain:
      return Treatment::kHold;
    case GateOperator::kServe:
      return Treatment::kServe;
    case GateOperator::kNone:
      break;
  }
  return TreatmentByHealth(is_read);
}

ShardGate::Treatment ShardGate::TreatmentByHealth(bool is_read) const {
  switch (health_.effect) {
    case GateEffect::kServe:
      return Treatment::kServe;
    case GateEffect::kHold:
      return Treatment::kHold;
    case GateEffect::kApplyPolicy:
      return Treatment::kPolicy;
    case GateEffect::kHoldWrites:
      return is_read ? Treatment::kServe : Treatment::kPolicy;
    case GateEffect::kShed:
      return Treatment::kShed;
  }
  return Treatment::kHold;
}

// What was begun before the operator's order may end: holding it would keep its locks.
bool ShardGate::PassesOrder(const HeldWaiter& waiter) const {
  const bool waits_for_ends =
      order_.order == GateOperator::kHold || order_.order == GateOperator::kDrain;
  return waits_for_ends && !order_.transactions_too && waiter.continues &&
         TreatmentByHealth(waiter.is_read) == Treatment::kServe;
}

void ShardGate::ReleaseThosePastOrder(MonoTime now, Actions* actions) {
  for (const HeldWaiter& waiter :
       queue_.RemoveIf([this](const HeldWaiter& w) { return PassesOrder(w); })) {
    Release(waiter, {}, now, actions);
  }
}

bool ShardGate::ToReplica(const HeldWaiter& waiter) const {
  if (!replica_.valid() || !waiter.replica_ok || order_.order != GateOperator::kNone) return false;
  const Treatment treatment = TreatmentOf(waiter.is_read);
  return treatment == Treatment::kPolicy ||
         (treatment == Treatment::kHold && outage_since_.has_value());
}

void ShardGate::Enqueue(const GateRequest& request, MonoTime now, Actions* actions) {
  if (request.waiter == 0) std::abort();
  HeldWaiter waiter;
  waiter.id = request.waiter;
  waiter.worker = request.worker;
  waiter.bytes = request.bytes;
  waiter.since = request.since == MonoTime{} ? now : std::min(request.since, now);
  waiter.deadline = waiter.since + rules_.max_wait;
  waiter.is_read = request.is_read;
  waiter.continues = request.continues_transaction;
  const HoldPolicy policy = request.policy.value_or(rules_.policy);
  waiter.rejects = policy == HoldPolicy::kReject;
  waiter.replica_ok =
      policy == HoldPolicy::kReplica && request.plain_read && !request.continues_transaction;
  ++CountersOf(waiter).enqueued;
  if (!AnswerAtOnce(waiter, now, actions)) Hold(waiter, request.tenant, now, actions);
  Settle(now, actions);
}

// False: it has to wait, or to be refused for want of a place.
bool ShardGate::AnswerAtOnce(const HeldWaiter& waiter, MonoTime now, Actions* actions) {
  if (ToReplica(waiter)) {
    Release(waiter, replica_, now, actions);
    return true;
  }
  if (PassesOrder(waiter)) {
    Release(waiter, {}, now, actions);
    return true;
  }
  switch (TreatmentOf(waiter.is_read)) {
    case Treatment::kServe:
      // One that can't be held passes the others by, within the ramp's limit.
      if (!ramp_.active() || waiter.continues || (ramp_.Room() > 0 && Waiting(*served_) == 0) ||
          (waiter.bytes > rules_.max_statement_bytes && ramp_.running() < rules_.ramp.limit)) {
        Release(waiter, {}, now, actions);
        return true;
      }
      return false;
    case Treatment::kShed:
      if (waiter.continues || (queue_.empty() && ramp_.running() < health_.concurrency)) {
        Release(waiter, {}, now, actions);
      } else {
        Refuse(waiter, kErrShardUnavailable, Reason(), actions, now);
      }
      return true;
    case Treatment::kPolicy:
      if (!waiter.rejects && now - *outage_since_ <= rules_.outage_limit) return false;
      Refuse(waiter, kErrShardUnavailable, Reason(), actions, now);
      return true;
    case Treatment::kRefuse:
      Refuse(waiter, kErrShardUnavailable, Reason(), actions, now);
      return true;
    case Treatment::kHold:
      return false;
  }
  return false;
}

void ShardGate::Hold(const HeldWaiter& waiter, std::string_view tenant, MonoTime now,
                     Actions* actions) {
  if (waiter.bytes > rules_.max_statement_bytes) {
    Refuse(waiter, kErrHoldQueueFull,
           absl::StrCat(Reason(), " and the statement is too long to be held"), actions, now);
    return;
  }
  if (waiter.deadline <= now) {
    RefuseExpired(waiter, now, actions);
    return;
  }
  std::vector<HeldWaiter> evicted;
  const bool placed = queue_.Push(waiter, tenant, &evicted);
  if (!evicted.empty()) {
    const std::string why =
        absl::StrCat(Reason(), " and the tenant's share of its hold queue is used up");
    for (const HeldWaiter& gone : evicted) Refuse(gone, kErrHoldQueueFull, why, actions, now);
  }
  if (placed) {
    ++counters_.waited;
  } else {
    Refuse(waiter, kErrHoldQueueFull, absl::StrCat(Reason(), " and its hold queue is full"),
           actions, now);
  }
}

bool ShardGate::Cancel(WaiterId id, MonoTime now, Actions* actions) {
  const std::optional<HeldWaiter> waiter = queue_.Remove(id);
  if (waiter) ++CountersOf(*waiter).cancelled;
  const bool known = waiter.has_value() || ramp_.Dropped(id);
  if (known) Settle(now, actions);
  return known;
}

void ShardGate::Finished(WaiterId id, Duration latency, bool ok, MonoTime now, Actions* actions) {
  if (ramp_.Finished(id, latency, ok)) Settle(now, actions);
}

void ShardGate::Tick(MonoTime now, Actions* actions) {
  if (order_.until <= now) {
    order_ = {};
    Changed(now, actions);
    return;
  }
  Settle(now, actions);
}

MonoTime ShardGate::NextDeadline() const {
  return std::min({queue_.next_deadline(), ramp_.NextDeadline(), order_.until});
}

void ShardGate::Close(MonoTime now, Actions* actions) {
  const std::string why = absl::StrCat(Abs(rules_.noun), " ", name_, " no longer exists");
  for (const HeldWaiter& waiter : queue_.RemoveIf([](const HeldWaiter&) { return true; })) {
    Refuse(waiter, kErrShardUnavailable, why, actions, now);
  }
}

void ShardGate::Changed(MonoTime now, Actions* actions) {
  ReleaseToReplica(now, actions);
  ReleaseThosePastOrder(now, actions);
  RefuseByPolicy(now, actions);
  UpdateRamp(now);
  Settle(now, actions);
}

void ShardGate::ReleaseToReplica(MonoTime now, Actions* actions) {
  if (!replica_.valid()) return;
  for (const HeldWaiter& waiter :
       queue_.RemoveIf([this](const HeldWaiter& w) { return ToReplica(w); })) {
    Release(waiter, replica_, now, actions);
  }
}

void ShardGate::RefuseByPolicy(MonoTime now, Actions* actions) {
  const auto refused = [this](const HeldWaiter& waiter) {
    const Treatment treatment = TreatmentOf(waiter.is_read);
    return treatment == Treatment::kRefuse || (treatment == Treatment::kPolicy && waiter.rejects);
  };
  const std::string why = Reason();
  for (const HeldWaiter& waiter : queue_.RemoveIf(refused)) {
    Refuse(waiter, kErrShardUnavailable, why, actions, now);
  }
}

std::optional<Kinds> ShardGate::Served() const {
  if (TreatmentOf(false) == Treatment::kServe) return Kinds::kAll;
  if (TreatmentOf(true) == Treatment::kServe) return Kinds::kReads;
  return std::nullopt;
}

// A ramp begins where more is served than before, and something waits for it.
void ShardGate::UpdateRamp(MonoTime now) {
  const std::optional<Kinds> served = Served();
  const std::optional<Kinds> before = std::exchange(served_, served);
  if (served == before) return;
  if (!served) {
    ramp_.Stop();
    return;
  }
  if (before == Kinds::kAll) return;  // fewer
  queue_.BeginPopping();
  queue_.MarkBacklog();
  // After a mere suspicion nothing is cold: what fits at once goes at once.
  const uint32_t start =
      after_outage_ ? rules_.ramp.initial : std::max(rules_.ramp.initial, rules_.ramp.limit / 2);
  if (after_outage_ || Waiting(*served) > start) ramp_.Begin(start, now);
}

size_t ShardGate::Waiting(Kinds kinds) const {
  return kinds == Kinds::kAll ? queue_.size() : queue_.reads();
}

void ShardGate::Settle(MonoTime now, Actions* actions) {
  ExpireWaiters(now, actions);
  ReleaseWaiters(now, actions);
  while (served_ && ramp_.active()) {
    const bool ended = ramp_.Advance(Waiting(*served_), queue_.backlog(), now);
    if (ended && served_ == Kinds::kAll) after_outage_ = false;
    if (!ended && (ramp_.Room() == 0 || Waiting(*served_) == 0)) break;
    ReleaseWaiters(now, actions);
  }
  Publish();
}

void ShardGate::ExpireWaiters(MonoTime now, Actions* actions) {
  while (const std::optional<HeldWaiter> waiter = queue_.PopExpired(now)) {
    RefuseExpired(*waiter, now, actions);
  }
}

void ShardGate::RefuseExpired(const HeldWaiter& waiter, MonoTime now, Actions* actions) {
  const uint16_t code = order_.order == GateOperator::kDrain ? kErrTenantMoving : kErrHeldTooLong;
  Refuse(waiter, code, absl::StrCat(Reason(), "; held for ", ToMillis(now - waiter.since), " ms"),
         actions, now);
}

void ShardGate::ReleaseWaiters(MonoTime now, Actions* actions) {
  const bool shed = TreatmentOf(false) == Treatment::kShed;
  if (!served_ && !shed) return;
  const Kinds kinds = served_.value_or(Kinds::kAll);
  for (;;) {
    const bool room = shed             ? ramp_.running() < health_.concurrency
                      : ramp_.active() ? ramp_.Room() > 0
                                       : true;
    if (!room && !queue_.continuing(kinds)) return;
    const std::optional<HeldWaiter> waiter = queue_.Pop(kinds, now);
    if (!waiter) return;
    Release(*waiter, {}, now, actions);
  }
}

void ShardGate::Release(const HeldWaiter& waiter, BackendId replica, MonoTime now,
                        Actions* actions) {
  GateAction action;
  const bool elsewhere = replica.valid();
  action.kind = elsewhere ? GateAction::Kind::kReleaseToReplica : GateAction::Kind::kRelease;
  action.replica = replica;
  action.waiter = waiter.id;
  action.worker = waiter.worker;
  action.waited = now - waiter.since;
  const bool paced = ramp_.active() || TreatmentOf(waiter.is_read) == Treatment::kShed;
  if (paced && !elsewhere && !waiter.continues) {
    action.report = true;
    ramp_.Released(waiter.id, now);
  }
  ++CountersOf(waiter).released;
  if (elsewhere) ++CountersOf(waiter).to_replica;
  actions->push_back(std::move(action));
}

void ShardGate::Refuse(const HeldWaiter& waiter, uint16_t code, std::string reason,
                       Actions* actions, MonoTime now) {
  GateCounters::Kind& counters = CountersOf(waiter);
  ++counters.refused[code - kErrShardUnavailable];
  GateAction action;
  action.kind = GateAction::Kind::kRefuse;
  action.code = code;
  action.waiter = waiter.id;
  action.worker = waiter.worker;
  action.retry_after_ms = RetryAfterMs(rules_.retry_after, waiter.id);
  action.waited = now - waiter.since;
  action.reason = std::move(reason);
  actions->push_back(std::move(action));
}

std::string ShardGate::Reason() const {
  const std::string_view by_order = DefaultWords(order_.order);
  if (!by_order.empty()) {
    return absl::StrCat(Abs(rules_.noun), " ", name_, " ",
                        order_.words.empty() ? std::string(by_order) : order_.words);
  }
  if (served_ == Kinds::kAll)
    return absl::StrCat(Abs(rules_.noun), " ", name_, " has answered again and is being released");
  return absl::StrCat(Abs(rules_.noun), " ", name_, " ",
                      health_.words.empty() ? "is unavailable" : health_.words);
}

void ShardGate::Publish() {
  GateNotice next;
  next.version = notice_.version;
  if (!served_ || ramp_.active()) {
    next.mode = GateMode::kAsk;
  } else {
    next.mode = served_ == Kinds::kAll ? GateMode::kServing : GateMode::kAskWrites;
  }
  const bool shed = TreatmentOf(false) == Treatment::kShed;
  next.serves = served_.has_value() || shed;
  if (ramp_.active() || shed) next.connects_per_second = rules_.ramp.connects_per_second;
  if (next.mode != GateMode::kServing) next.text = Reason();
  if (next.mode == notice_.mode && next.serves == notice_.serves && next.text == notice_.text &&
      next.connects_per_second == notice_.connects_per_second && notice_.version != 0) {
    return;
  }
  ++next.version;
  notice_ = std::move(next);
}

GateCounters::Kind& ShardGate::CountersOf(const HeldWaiter& waiter) {
  return waiter.is_read ? counters_.reads : counters_.writes;
}

}  // namespace bulkhead::routing
