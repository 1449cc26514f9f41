// ShardGate: what happens to new work for one shard: served, held, refused, released with a ramp.
//
// Purpose: the one place where held statements of all workers are counted, ordered and let go. In
// good times nothing comes here: workers look at GateBoard and send. Where it says to ask, a worker
// enqueues the statement and waits for the action.
//
// Owner: the control thread; pure, time is an argument. Each call appends what follows from it to
// `actions`, in order; the caller carries them out and then publishes notice() if its version has
// changed. Call Tick at NextDeadline().
//
// Health's effect (GateEffect), and what becomes of new work:
//   kServe       sent; through the ramp after a hold
//   kHold        (unknown, suspect, recovering) held. No outage by itself, and `outage_limit` does
//                not apply: it ends in a moment, one way or the other
//   kApplyPolicy (down, fenced) hold: held until max_wait (9403); once the outage is older than
//                outage_limit, new work is refused at once (9401); what waits keeps its window.
//                reject: refused at once, what waits too (9401)
//   kHoldWrites  (write_stalled, read_only) reads are served; for the rest as kApplyPolicy
//   kShed        (saturated: 1040) at most `concurrency` run at once, others are refused at once
//                (9401); what waits keeps its place
// An outage starts at its first kApplyPolicy or kHoldWrites, with the time given there (when the
// backend fell silent, not when that was noticed), and ends when the shard serves again.
//
// Operators: kHold and kDrain hold whatever health says, without outage_limit (a drained one that
// waited too long gets 9404); open transactions go on, as health says. kReject refuses all (9401),
// what waits too; kServe serves whatever health says. (transactions_too: they don't go on.)
//
// With the policy kReplica, plain reads go to the replica set by SetReplica (kReleaseToReplica)
// while the policy applies or a recovery holds; without a replica they are treated like the rest.
//
// Identity, at every moment: enqueued == released + refused (all codes) + cancelled + waiting.
// A waiter gets exactly one action, unless it is cancelled first. Limits: HoldQueue's.
#ifndef BULKHEAD_ROUTING_SHARD_GATE_H_
#define BULKHEAD_ROUTING_SHARD_GATE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/gate_board.h"
#include "routing/health_types.h"
#include "routing/hold_queue.h"
#include "routing/ids.h"
#include "routing/mono_time.h"
#include "routing/release_ramp.h"
#include "routing/topology.h"

namespace bulkhead::routing {

inline constexpr uint16_t kErrHoldQueueFull = 9402;
inline constexpr uint16_t kErrHeldTooLong = 9403;
inline constexpr uint16_t kErrTenantMoving = 9404;

struct GateRules {
  HoldPolicy policy = HoldPolicy::kHold;
  Duration max_wait = std::chrono::seconds(10);
  Duration outage_limit = std::chrono::seconds(60);
  uint32_t max_statements = 5000;
  uint64_t max_bytes = uint64_t{64} << 20;
  uint64_t max_statement_bytes = uint64_t{64} << 10;  // a longer one is not held (9402)
  // Absent: three quarters of max_wait, beyond which hardly anybody would be served in time.
  std::optional<Duration> sojourn_limit{};
  // retry_after_ms is spread over [retry_after, 2 * retry_after).
  Duration retry_after = std::chrono::milliseconds(1000);
  RampRules ramp{};
  std::string_view noun = "shard";  // what `name` is, for the words; lives for ever

  // `defaults` with a shard's own values in their place.
  static GateRules With(const GateRules& defaults, const HoldOverrides& overrides);
};

struct GateHealth {
  GateEffect effect = GateEffect::kHold;
  MonoTime since{};          // when it fell silent, or the state began
  std::string words{};       // after "shard s2 ": "is down since 06:49:12Z"
  uint32_t concurrency = 0;  // kShed: connections that are there
};

enum class GateOperator : uint8_t { kNone, kHold, kReject, kDrain, kServe };
struct GateOrder {
  GateOperator order = GateOperator::kNone;
  MonoTime until = kMonoNever;  // then kNone again
  std::string words{};          // "is held by an operator"
  // kHold, kDrain: open transactions are held too; their server is not to be written to any more.
  bool transactions_too = false;
};

struct GateRequest {
  WaiterId waiter = 0;
  uint32_t worker = 0;
  std::string_view tenant{};
  uint64_t bytes = 0;
  bool is_read = false;
  // In an open transaction on a connection of its own: released first and without a place in the
  // ramp, since others wait for its locks. (What becomes of it when the backend is down is
  // outcome's.)
  bool continues_transaction = false;
  bool plain_read = false;  // alone, and of nothing but tables: a replica will do, by the policy
  std::optional<HoldPolicy> policy{};  // the tenant's own
  MonoTime since{};  // when it began to wait, at most now: earlier waits count. MonoTime{}: now
};

struct GateAction {
  enum class Kind : uint8_t { kRelease, kReleaseToReplica, kRefuse };
  Kind kind = Kind::kRefuse;
  bool report =
      false;          // kRelease: say Finished (or Cancel) when it has ended, the ramp waits for it
  uint16_t code = 0;  // kRefuse: 9401 to 9404
  WaiterId waiter = 0;
  uint32_t worker = 0;
  uint32_t retry_after_ms = 0;  // kRefuse
  BackendId replica{};          // kReleaseToReplica
  Duration waited{};
  std::string reason{};  // kRefuse: "shard s2 is down since 06:49:12Z", for RefusalText
};

// What the workers are told. connects_per_second: 0 is no limit; over all workers.
struct GateNotice {
  uint64_t version = 0;  // raised with each change
  GateMode mode = GateMode::kServing;
  bool serves = false;  // some kind of statement, if through the ramp
  double connects_per_second = 0;
  std::string text{};  // empty if plainly serving: for SHOW SHARDS and the event log
};

struct GateCounters {
  struct Kind {
    uint64_t enqueued = 0;
    uint64_t released = 0;  // to a replica too
    uint64_t to_replica = 0;
    std::array<uint64_t, 4> refused{};  // by code, from 9401
    uint64_t cancelled = 0;
    uint64_t all_refused() const { return refused[0] + refused[1] + refused[2] + refused[3]; }
  };
  Kind reads, writes;
  uint64_t waited = 0;  // of those enqueued: had to wait, not answered at once
};

class ShardGate {
 public:
  using Actions = std::vector<GateAction>;

  // Starts as kHold ("unknown"). `totals` may be null (none) and outlives this.
  ShardGate(ShardId id, std::string name, const GateRules& rules, HoldTotals* totals, MonoTime now);
  ShardGate(const ShardGate&) = delete;
  ShardGate& operator=(const ShardGate&) = delete;

  ShardId id() const { return id_; }
  const std::string& name() const { return name_; }
  const GateRules& rules() const { return rules_; }
  // Deadlines of those who already wait stay.
  void SetRules(const GateRules& rules, MonoTime now, Actions* actions);
  void SetHealth(const GateHealth& health, MonoTime now, Actions* actions);
  void SetOrder(const GateOrder& order, MonoTime now, Actions* actions);
  // A replica whose lag is within bounds; invalid id: none.
  void SetReplica(BackendId replica, MonoTime now, Actions* actions);
  // The usual latency of a statement; zero: not known.
  void SetBaseline(Duration latency) { ramp_.SetBaseline(latency); }

  void Enqueue(const GateRequest& request, MonoTime now, Actions* actions);
  // Its client is gone (or killed it), before or after the release. False if it is not known here.
  bool Cancel(WaiterId waiter, MonoTime now, Actions* actions);
  // A released one has ended. `ok`: the server answered. Unknown ids are ignored.
  void Finished(WaiterId waiter, Duration latency, bool ok, MonoTime now, Actions* actions);
  void Tick(MonoTime now, Actions* actions);
  MonoTime NextDeadline() const;
  // The shard is dropped: everything that waits is refused (9401).
  void Close(MonoTime now, Actions* actions);

  const GateNotice& notice() const { return notice_; }
  const GateCounters& counters() const { return counters_; }
  const HoldQueue& queue() const { return queue_; }
  const ReleaseRamp& ramp() const { return ramp_; }
  const GateHealth& health() const { return health_; }
  const GateOrder& order() const { return order_; }
  BackendId replica() const { return replica_; }
  // When the current outage began; absent: there is none.
  std::optional<MonoTime> outage_since() const { return outage_since_; }

 private:
  // What happens to a statement of one kind.
  enum class Treatment : uint8_t { kServe, kHold, kPolicy, kShed, kRefuse };
  Treatment TreatmentOf(bool is_read) const;
  Treatment TreatmentByHealth(bool is_read) const;
  bool PassesOrder(const HeldWaiter& waiter) const;
  void ReleaseThosePastOrder(MonoTime now, Actions* actions);
  std::optional<HoldQueue::Kinds> Served() const;
  size_t Waiting(HoldQueue::Kinds kinds) const;
  bool ToReplica(const HeldWaiter& waiter) const;
  void Changed(MonoTime now, Actions* actions);  // health, order or rules
  void Settle(MonoTime now, Actions* actions);   // after each event: expire, release, publish
  void RefuseByPolicy(MonoTime now, Actions* actions);
  void ReleaseToReplica(MonoTime now, Actions* actions);
  void UpdateRamp(MonoTime now);
  void ExpireWaiters(MonoTime now, Actions* actions);
  void RefuseExpired(const HeldWaiter& waiter, MonoTime now, Actions* actions);
  void ReleaseWaiters(MonoTime now, Actions* actions);
  bool AnswerAtOnce(const HeldWaiter& waiter, MonoTime now, Actions* actions);
  void Hold(const HeldWaiter& waiter, std::string_view tenant, MonoTime now, Actions* actions);
  // `replica` invalid: to the primary.
  void Release(const HeldWaiter& waiter, BackendId replica, MonoTime now, Actions* actions);
  void Refuse(const HeldWaiter& waiter, uint16_t code, std::string reason, Actions* actions,
              MonoTime now);
  std::string Reason() const;
  void Publish();
  GateCounters::Kind& CountersOf(const HeldWaiter& waiter);

  ShardId id_;
  std::string name_;
  GateRules rules_;
  GateHealth health_;
  GateOrder order_;
  BackendId replica_{};
  std::optional<MonoTime> outage_since_;
  std::optional<HoldQueue::Kinds> served_;  // absent: nothing
  bool after_outage_ = false;               // the next ramp starts small
  HoldQueue queue_;
  ReleaseRamp ramp_;
  GateNotice notice_;
  GateCounters counters_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_SHARD_GATE_H_
