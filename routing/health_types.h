// The vocabulary of one backend's health: its states, the evidence that goes in, the actions that
// come out. See routing/backend_health.h for the machine. Values, any thread. Pure: all times are
// given by the caller.
#ifndef BULKHEAD_ROUTING_HEALTH_TYPES_H_
#define BULKHEAD_ROUTING_HEALTH_TYPES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "routing/mono_time.h"

namespace bulkhead::routing {

enum class BackendState : uint8_t {
  kUnknown,       // nothing known yet; held until its probes pass
  kUp,            // serves
  kSuspect,       // perhaps hung; new work is held, nothing running is touched; reversible
  kDown,          // the verdict; the hold policy applies, what is in flight ends after a grace
  kRecovering,    // answers again: identity, abandoned connections, canaries, in this order
  kFenced,        // came back as another server, or behind; nothing reaches it until MARK UP
  kReadOnly,      // the server says read_only, and it should be a primary
  kWriteStalled,  // commits hang, pings and reads pass
  kSaturated,     // 1040 Too many connections, but what is connected is served
};

// What the state means for new work at the gate.
enum class GateEffect : uint8_t {
  kServe,
  kHold,         // hold new work whatever the policy is; nothing running is touched
  kHoldWrites,   // reads go on; the hold policy applies to writes
  kApplyPolicy,  // the hold policy applies to all new work
  kShed,         // no new connections: what finds none is refused or waits in the pool; never
                 // a reason for a failover
};

// full: all of it. hold: new work is held, nothing in flight is ever given up (no GiveUpInFlight,
// and every effect but kServe and kHoldWrites is kHold). observe: states, reasons and history only,
// the effect is always kServe. Probes and states are the same in all three.
enum class DetectionMode : uint8_t { kFull, kHold, kObserve };

// What this backend is for its shard. A replica gets no P3, and read_only is its normal state.
enum class BackendRole : uint8_t { kPrimary, kReplica };

// MARK BACKEND b DOWN | UP | AUTO.
enum class OperatorMark : uint8_t { kAuto, kUp, kDown };

enum class ProbeKind : uint8_t {
  kLogin,   // P0: new connection, login, COM_QUIT
  kPing,    // P1: COM_PING
  kRead,    // P2: a read from InnoDB
  kCommit,  // P3: @@read_only, then a commit to this router's canary row, lock timeouts of 1 s
};
inline constexpr size_t kProbeKinds = 4;

enum class ProbeOutcome : uint8_t {
  kOk,           // the whole answer came
  kTimeout,      // it did not within the probe's timeout (a byte a second is a timeout too)
  kRefused,      // connect: refused
  kReset,        // RST in mid-probe
  kClosed,       // FIN in mid-probe
  kUnreachable,  // no route, name not resolved
  kServerError,  // ERR to the statement (error_code): the server lives. P3: see ProbeResult
  kLoginFailed,  // ERR to the login (error_code 1045, 1698, ...) or TLS refused: the server lives
  kTooManyConnections,  // 1040 (also 1203, 1226 for the probe account)
  kHostBlocked,         // 1129: the server refuses this router's address
  kReadOnly,            // P3 saw @@read_only (or got 1290, 1792, 1836)
};

// How far a probe got; for the words.
enum class ProbeStage : uint8_t { kConnect, kGreeting, kLogin, kAnswer };

struct ProbeResult {
  ProbeOutcome outcome = ProbeOutcome::kOk;
  ProbeStage stage = ProbeStage::kAnswer;  // what it waited for when it ended
  uint16_t error_code = 0;                 // kServerError, kLoginFailed, ...
  // kTimeout only: TCP was established and the shell keeps the connection open, with the probe
  // still waiting on it (see OnHungProbe). false: it was closed.
  bool kept = false;
  // kTimeout only, TCP_INFO: did the peer's kernel acknowledge all we sent? true: the process
  // hangs; false: host or network; empty: not known.
  std::optional<bool> acknowledged{};
};

// What became of a probe that had timed out and was kept.
// kAnswered: all of it passed after all (a fresh one logged in AND was answered; P3: the commit's
// OK). The connection is the kind's persistent one again unless a kAbandonProbe for it follows (P0:
// the shell says COM_QUIT). kFailed: logged in and answered with an ERR, as P3 by a lock timeout:
// the server lives, the connection is closed. kClosed: it ended in any other way, also by an ERR to
// the login.
enum class HungEnd : uint8_t { kAnswered, kFailed, kClosed };

enum class ConnectionError : uint8_t { kRefused, kReset, kClosed, kUnreachable, kTimedOut };

// All data connections of this backend, all workers, as of now; sampled every sample_interval.
// Times that never happened: kNoTime.
inline constexpr MonoTime kNoTime = MonoTime::min();
struct TrafficSample {
  uint32_t in_flight = 0;              // statements (also logins) sent whose answer isn't complete
  MonoTime oldest_sent_at = kNoTime;   // last byte sent of the oldest of them
  MonoTime last_byte_at = kNoTime;     // last byte received on any connection
  MonoTime last_answer_at = kNoTime;   // last complete answer (OK, ERR, whole result)
  MonoTime last_commit_at = kNoTime;   // last OK of something that wrote and committed (as P3)
  uint32_t writes_in_flight = 0;       // statements in flight that may write or commit
  MonoTime oldest_write_at = kNoTime;  // last byte sent of the oldest of those
  uint64_t bytes = 0;                  // received since the start of the process
};

// Do the replicas still receive what this primary writes (the canary row)?
enum class ReplicaView : uint8_t { kUnknown, kReceiving, kSilent };

// Whose loop was late: control's own (probes and samples don't count), or a worker's (silence
// doesn't count).
enum class LateLoop : uint8_t { kControl, kWorker };

struct IdentityFacts {
  bool known = false;    // false: could not be read (timeout, error); asked again
  std::string server{};  // server_uuid, or what identifies it; empty: can't be told
  // Differs by more than 5 s between two processes, and not for one; 0: not known. Roughly the
  // time of its start.
  int64_t started_at = 0;
  bool is_replica = false;  // it replicates from somebody
  bool read_only = false;
  std::string behind{};  // not empty: its GTIDs are behind the last seen, in words
};

struct AbandonedReport {
  bool checkable = true;   // false: can't KILL or can't see the process list: settle_time is waited
  uint32_t remaining = 0;  // still in the process list
};

// Independent signals that a server is gone or hangs; bits of HealthAction::signals.
enum HealthSignal : uint32_t {
  kSignalSilence = 1,    // data connections fell silent when the probes began to fail
  kSignalPing = 2,       // established probe connections are unanswered
  kSignalConnect = 4,    // new connections fail
  kSignalReset = 8,      // connections were reset
  kSignalReplicas = 16,  // replicas receive nothing
  kSignalReads = 32,     // reads from InnoDB hang, whatever pings say
  kSignalCommits = 64,   // commits hang
  kSignalBlocked = 128,  // 1129, and nothing is connected: it says itself that it can't be used
};
std::string SignalWords(uint32_t signals);  // "silence, ping", empty for none

struct HealthAction {
  enum class Kind : uint8_t {
    kStartProbe,       // probe, probe_kind, fresh_connection, timeout
    kAbandonProbe,     // probe: close the connection of this hung probe, say nothing more of it
    kStateChanged,     // from, to, silent_since, reasons
    kGiveUpInFlight,   // silent_before, writes_only; answer by OnGaveUp
    kCheckIdentity,    // answer by OnIdentity; at most one asked at a time
    kKillAbandoned,    // KILL what was given up and look for it; answer by OnAbandoned
    kForgetAbandoned,  // it restarted (or the operator took it as it is): their ids mean nothing
                       // there any more, KILL of one would hit somebody else
    kNotice,           // reasons: a sentence for the event log without a change of state
  };
  Kind kind = Kind::kNotice;

  uint64_t probe = 0;  // id, never reused
  ProbeKind probe_kind = ProbeKind::kPing;
  bool fresh_connection = false;  // open and log in first (inside the timeout), keep it afterwards
                                  // (P0 never keeps it)
  Duration timeout{};             // from the action's time on

  BackendState from = BackendState::kUnknown;
  BackendState to = BackendState::kUnknown;
  // The last proof that the server lived; kNoTime: none yet. "Last byte seen" of the event line.
  MonoTime silent_since = kNoTime;
  uint32_t signals = 0;  // HealthSignal, what the verdict rests on (0 if it is fine)
  std::vector<std::string> reasons{};

  // Statements sent, and without a byte received, since before this time (all: kMonoNever).
  MonoTime silent_before = kNoTime;
  bool writes_only = false;  // only those that may write (stall_limit)
};

// One piece of evidence in words.
struct EvidenceLine {
  MonoTime at;
  std::string text;
};

std::string_view ToString(BackendState state);
std::string_view ToString(GateEffect effect);
std::string_view ToString(DetectionMode mode);
std::string_view ToString(BackendRole role);
std::string_view ToString(OperatorMark mark);
std::string_view ToString(ProbeKind kind);  // "new connection", "ping", "read", "commit"
std::string_view ToString(ProbeOutcome outcome);
std::string_view ToString(ProbeStage stage);
std::string_view ToString(ConnectionError error);
std::string_view ToString(HealthAction::Kind kind);

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HEALTH_TYPES_H_
