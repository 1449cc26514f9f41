// BackendHealth: the health of ONE backend. Evidence and time in; state, reasons and actions out.
//
// Pure: no clock, no I/O; jitter comes from the seed. Owner: the control thread. Cost: each call is
// a few dozen comparisons, words are made only when a state changes or somebody asks. Memory: about
// 8 KiB (a ring of 64 pieces of evidence).
//
// Use: call an On...() whenever there is evidence and Step() no later than next_wake() (and each
// sample_interval with OnTraffic, which steps by itself); after each call do what TakeActions()
// hands out, in order. Times must not go back.
//
// PROBES. The machine is the scheduler; it asks, the shell probes. At most one of a kind is
// outstanding, and at most one that logs in (P0, or any with fresh_connection). Each kind has a
// persistent connection of its own (but P0, which opens one, logs in and says COM_QUIT), so that a
// read that hangs delays no ping. Every StartProbe gets exactly one OnProbe, kTimeout at the
// latest: the shell runs the timer from the start of the probe. (A probe on a persistent connection
// that was lost in this very moment: kReset.)
// A probe that timed out on an established connection is KEPT (result.kept): the connection stays
// open, the probe goes on waiting (with TCP keepalive of about 5 s, so that a host that is gone
// ends it) until OnHungProbe or kAbandonProbe. Why: closing one that has not logged in counts as
// an error at the server and leads to 1129 after max_connect_errors; and the first answer of a
// frozen server comes on it. Their number is bounded (max_hung_logins; persistent ones: one each).
// A kind whose connection is hung or lost is started with fresh_connection. A ping on a fresh
// connection is a P0 that stays: when it passes, both pass; when it fails, it is evidence on new
// connections only; what the hung persistent connection said stands until a ping passes.
//
// VERDICTS. Proof of life: any answer to a P1, P2 or P3, a statement answered completely, or 16 KiB
// received within a second. (Not a P0: a server may let in and never answer.) A probe's failure
// counts if there was no proof of life since the probe began.
//   suspect: (silence or reset connections) and a failed probe; or two failed probes, of which one
//            is P1 or P2; or reads hang twice though pings pass, and no statement is answered; or
//            connections were closed and it is not yet known whether it is the same server.
//   down:    no proof of life for down_after (down_after_idle without traffic), two failures in a
//            row, and two independent signals of {silence that began with the failures, established
//            connections unanswered, new connections fail, connections reset, replicas receive
//            nothing}; at once: refused twice and connections reset; whatever pings say: P2 and P3
//            both hang (P2 twice on old and new connections where there is no P3).
//            or a suspicion without any proof of life for half of suspect_limit.
//   P0 alone gives none. 1129 with nothing connected: down, with the advice in the reason.
//   1040 while what is connected passes: saturated. P3 hangs twice, P1 and P2 pass: write_stalled.
//   The machine without a probe account says so, starts as up, and uses what remains: silence and
//   failed logins of the pool (OnLogin) are the two signals; back after settle_time.
//
// IDENTITY is asked at the start, in recovery, and whenever a lost ping connection was opened anew.
// The first answer is the baseline unless SetBaseline() gave one; a restart of the same server is
// accepted (then its old connections are gone by themselves).
#ifndef BULKHEAD_ROUTING_BACKEND_HEALTH_H_
#define BULKHEAD_ROUTING_BACKEND_HEALTH_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "routing/health_rules.h"
#include "routing/health_types.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

class BackendHealth {
 public:
  BackendHealth(const HealthRules& rules, BackendRole role, uint64_t seed, MonoTime now);
  ~BackendHealth();
  BackendHealth(BackendHealth&&) noexcept;
  BackendHealth& operator=(BackendHealth&&) noexcept;

  // Evidence. OnLoopLate comes first in a loop's turn, before the samples and timeouts of it. (A
  // kTimeout that comes 50 ms too late, or after four sample_intervals without any call, is taken
  // for lateness by itself.)
  void OnLoopLate(LateLoop loop, MonoTime from, MonoTime to);
  void OnTraffic(const TrafficSample& sample, MonoTime now);
  // Probes: `probe` is the action's. Answers to ids that are not outstanding are ignored.
  void OnProbe(uint64_t probe, const ProbeResult& result, MonoTime now);
  void OnHungProbe(uint64_t probe, HungEnd end, MonoTime now);
  // The persistent connection of a kind ended while no probe was outstanding on it.
  void OnProbeConnectionLost(ProbeKind kind, ConnectionError error, MonoTime now);
  // A data connection ended that should not have (also: while idle in the pool, but kClosed within
  // its wait_timeout only), or the pool could not open one.
  void OnConnectionError(ConnectionError error, MonoTime now);
  // The pool logged in, or was answered with an ERR (outcome and code as for a P0).
  void OnLogin(const ProbeResult& result, MonoTime now);
  void OnClientCommit(MonoTime now);  // counts as a P3; TrafficSample::last_commit_at does too
  // A statement of a client was answered with 1290, 1792 or 1836: asks P3 at once.
  void OnReadOnlyAnswer(MonoTime now);
  void OnReplicaView(ReplicaView view, MonoTime now);
  // Every backend (of at least two) is suspect or down: the verdict waits for all_down_after.
  void OnFleet(bool all_bad, MonoTime now);

  // Answers to actions.
  void OnIdentity(const IdentityFacts& facts, MonoTime now);
  // Connections reset with a statement that may still run; 0 is an answer too. Until it came (for
  // at most 5 s) nothing is released.
  void OnGaveUp(uint32_t connections, MonoTime now);
  void OnAbandoned(const AbandonedReport& report, MonoTime now);

  // Operator and configuration. MARK UP also lifts a fence and takes the server as it is.
  void SetMark(OperatorMark mark, MonoTime now);
  void SetRole(BackendRole role, MonoTime now);
  // Whatever it says of itself when it answers, nothing reaches it until MARK UP.
  void Fence(std::string why, MonoTime now);
  void SetRules(const HealthRules& rules, MonoTime now);
  void SetBaseline(const IdentityFacts& facts);

  void Step(MonoTime now);
  // kMonoNever: nothing is due by time alone.
  MonoTime next_wake() const;
  std::vector<HealthAction> TakeActions();

  BackendState state() const;
  GateEffect effect() const;  // by state, mark and detection mode
  MonoTime since() const;     // of the state
  OperatorMark mark() const;
  BackendRole role() const;
  // The last proof that the server lived; kNoTime: none yet.
  MonoTime last_life() const;
  // Somebody still hears it (it answers 1040 or 1129, or its replicas receive): a failover would
  // split the brain.
  bool lives_elsewhere() const;
  const HealthRules& rules() const;

  // Why it is in this state, as of now; the most important first.
  std::vector<std::string> Reasons(MonoTime now) const;
  // The last pieces of evidence, oldest first; at most 64.
  std::vector<EvidenceLine> History() const;

  class Impl;  // routing/backend_health_impl.h

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_BACKEND_HEALTH_H_
