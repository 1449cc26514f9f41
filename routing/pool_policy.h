// Which backend connection a session gets: the policy of one worker's pool towards one backend, all
// users of it.
//
// Pure bookkeeping: the shell opens, resets, restores and closes; this says which, in what order,
// and who waits. Owner: the worker's thread. Time is an argument. Two backends have two policies;
// they share nothing but the process's ConnectionBudget of their backend.
//
// A connection's life here: Acquire -> kOpen (budget taken) -> Opened (or Closed) -> in use ->
// Release (clean, dirty or lingering) -> idle -> Acquire by somebody -> ... -> Closed (budget given
// back).
//
// Order of choice for a session: its own last connection if it is still idle (whatever its state);
// a clean one with the same state key; any clean one (restore its state); a dirty one (reset it
// first); a new one if the limits allow; one that lingers for another session (fetch its
// diagnostics first); an idle one of another user is closed for a new one; else wait.
//
// Who waits: first in, first out within a user. Between users, a connection that comes free stays
// with its user unless another waiting user holds at least two fewer: a flood of one user can't
// keep another out, and two busy users don't log on in each other's place all the time. Between
// workers: while others wait, a worker above its fair share gives up what is released, and
// everybody gives up what is idle (Expire).
//
// Invariant: while a session waits, nothing here is idle. Limits: max_waiting waiters; the look for
// an equal key goes kScanLimit deep. Cost: constant per call, but for Expire.
#ifndef BULKHEAD_ROUTING_POOL_POLICY_H_
#define BULKHEAD_ROUTING_POOL_POLICY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "routing/limits.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

using PoolConnection = uint64_t;  // given out here, never reused; 0: none
using PoolSession = uint64_t;     // the caller's; 0: none
using PoolUser = uint32_t;        // the caller's number of a backend account
using StateKey = uint64_t;  // hash of all restorable session state; equal = nothing to restore

struct PoolLimits {
  uint32_t max_waiting = 10'000;                    // sessions that may wait here
  Duration idle_timeout = std::chrono::minutes(1);  // 0: none
  Duration max_age = std::chrono::hours(1);  // each connection's own is drawn from [0.9, 1.0] of it
  // Retire idle ones this long before the server's wait_timeout would close them.
  Duration wait_timeout_margin = std::chrono::seconds(5);
  uint32_t min_idle = 0;  // per user; idle_timeout leaves that many
};

// How a connection comes back.
enum class Returned : uint8_t {
  kClean,      // state known and equal to its state key; anybody may have it
  kLingering,  // clean, but its last session may still ask for diagnostics (warnings,
               // LAST_INSERT_ID())
  kDirty,      // must be reset before another session gets it
};

enum class AcquireAction : uint8_t {
  kUse,           // state equal: send at once
  kRestore,       // clean, other state: restore the session's state
  kFetchRestore,  // lingering for `previous`: fetch its diagnostics, then restore
  kReset,         // dirty: COM_RESET_CONNECTION, then restore
  kOpen,  // open a new one under the id `connection`; budget is taken. `evict` != 0: close that one
          // first (its budget is handed over: don't call Closed for it)
  kWait,  // queued; a later event names this session
  kFull,  // max_waiting reached: refuse
};

struct AcquireRequest {
  PoolSession session = 0;
  PoolUser user = 0;
  PoolConnection last = 0;  // what this session had last
  StateKey key = 0;
};

struct Acquired {
  AcquireAction action = AcquireAction::kWait;
  PoolSession session = 0;
  PoolConnection connection = 0;
  PoolConnection evict = 0;
  PoolSession previous = 0;  // whose state the connection has; 0 none
};

class PoolPolicy {
 public:
  static constexpr int kScanLimit = 16;

  // `budget` outlives this.
  PoolPolicy(PoolLimits limits, ConnectionBudget* budget);
  // From now on; what is open is judged by them when it is looked at next.
  void SetLimits(const PoolLimits& limits);
  ~PoolPolicy();
  PoolPolicy(const PoolPolicy&) = delete;
  PoolPolicy& operator=(const PoolPolicy&) = delete;

  Acquired Acquire(const AcquireRequest& request, MonoTime now);
  // The session goes on with the idle connection that was its last, however old: it is in use
  // again.
  void Resume(PoolConnection connection);
  // The session in whose use it is gives it up for good: what it leaves behind is nobody's own, not
  // even of a later session with the same id.
  void Disown(PoolConnection connection);
  // The session doesn't wait any more (answered, timed out, gone). False if it didn't.
  bool CancelWait(PoolSession session);

  // The login of a connection that kOpen asked for ended; it is in use by that session now.
  // `server_wait_timeout`: what the server said, zero if unknown. `random`: 64 evenly distributed
  // bits, for max_age.
  void Opened(PoolConnection connection, Duration server_wait_timeout, uint64_t random,
              MonoTime now);

  // The server closes this connection after so long without a statement (zero: not known): what
  // Opened was told, or what a session has set for itself on it.
  void SetServerTimeout(PoolConnection connection, Duration server_wait_timeout);

  // A session is done with it (it may go to a waiter, or become idle, or be too old and wanted
  // closed).
  struct Released {
    bool close = false;            // close it, then call Closed
    std::optional<Acquired> next;  // hand on: carry out for that waiter
  };
  Released Release(PoolConnection connection, Returned how, StateKey key, MonoTime now);

  // It is closed, or failed to open: its budget is given back. Returns what a waiter is to be given
  // for it. `wake_others`: set if requests of other workers may go on.
  std::optional<Acquired> Closed(PoolConnection connection, MonoTime now, bool* wake_others);

  // A connect failed, for what the backend is: for `pause` no other one is tried, then one, and so
  // on until one is Opened. Call before Closed.
  void ConnectFailed(MonoTime now, Duration pause);
  // Nothing is opened now, for that reason.
  bool pausing(MonoTime now) const;

  // Another worker gave budget back: waiters of ours may open. Call until nothing is returned; also
  // once a second, since the one for whom a connection was given up may have gone away.
  std::optional<Acquired> Retry(MonoTime now);
  // When Retry may open one that only time keeps from being opened (the pace, or a failed connect);
  // kMonoNever: it is something else, or nobody waits.
  MonoTime NextOpen() const;

  // More sessions of other workers wait than connections are free: see Expire.
  bool others_want() const;
  // Idle connections to close now (idle_timeout, max_age, wait_timeout, or wanted by other workers:
  // oldest first). The caller closes each and calls Closed. Call once a second or so, and when the
  // budget is wanted.
  std::vector<PoolConnection> Expire(MonoTime now);
  // Everything idle: at shutdown, or when the backend's topology entry is gone.
  std::vector<PoolConnection> TakeAllIdle();

  // A session ends: its lingering connection becomes clean for everybody.
  void SessionGone(PoolSession session, PoolConnection last);

  struct Counts {
    uint32_t opening = 0, in_use = 0, idle = 0, lingering = 0, dirty = 0, waiting = 0;
  };
  Counts counts() const;
  Counts counts(PoolUser user) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_POOL_POLICY_H_
