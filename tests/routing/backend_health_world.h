// A server, its clients and the shell around BackendHealth, in virtual time, a millisecond a step.
//
// The server's faults are flags that a test switches; the world answers probes as a server with
// those faults would, lets them time out as the shell would, and checks after each step that the
// machine keeps its bounds. Owner: one test.
#ifndef BULKHEAD_TESTS_ROUTING_BACKEND_HEALTH_WORLD_H_
#define BULKHEAD_TESTS_ROUTING_BACKEND_HEALTH_WORLD_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "routing/backend_health.h"

namespace bulkhead::routing {

struct Faults {
  bool frozen = false;         // SIGSTOP: the kernel accepts and acknowledges, nobody answers
  bool dead = false;           // no process: connects are refused
  bool gone = false;           // packets are dropped
  bool disk_frozen = false;    // commits hang
  bool reads_hang = false;     // reads from InnoDB hang
  bool locked = false;         // FLUSH TABLES WITH READ LOCK: commits wait for the lock timeout
  bool full = false;           // 1040 for new connections
  bool blocked = false;        // 1129 for new connections
  bool login_refused = false;  // 1045
  bool no_greeting = false;    // new connections are accepted, and nothing more
  bool no_answer = false;      // logins pass, statements are not answered
  bool drip = false;           // a byte a second on every connection
  bool read_only = false;
  int slow_ms = 0;     // every answer takes so much longer
  int lose_pings = 0;  // the next pings are never answered
};

struct World {
  struct Change {
    int64_t at_ms;
    BackendState from;
    BackendState to;
    std::string why;
    uint32_t signals = 0;
  };
  struct Pending {
    uint64_t id;
    ProbeKind kind;
    bool fresh;
    int64_t started;
    int64_t timeout;
    int64_t progress = 0;  // ms of work done by the server
    bool hung = false;
    bool lost = false;
  };

  explicit World(HealthRules rules = {}, BackendRole role = BackendRole::kPrimary,
                 uint64_t seed = 1);

  MonoTime now() const { return MonoTimeFromNanos((now_ms + 1000) * 1'000'000); }
  void Run(int64_t ms);
  // Until `state`, for at most `limit` ms; the time it took, or -1.
  int64_t RunUntil(BackendState state, int64_t limit);
  void Settle() { ASSERT_GE(RunUntil(BackendState::kUp, 5000), 0) << Why(); }

  void Crash();  // kill -9: every connection is reset
  // SIGSTOP of this process, then SIGCONT. told_late: its timers run before it knows.
  void PauseRouter(int64_t ms, bool told_late = false);
  bool Entered(BackendState state) const;  // since the last ForgetChanges()
  void ForgetChanges() { changes.clear(); }
  std::string Why() const;    // the reasons now, joined
  std::string Story() const;  // all changes, for messages of failed tests

  BackendHealth health;
  Faults faults;
  IdentityFacts identity{.known = true, .server = "uuid-1", .started_at = 1'700'000'000};
  int64_t now_ms = 0;

  // Clients.
  uint32_t oltp = 0;          // clients that run short statements all the time
  uint32_t writers = 0;       // of those, writers
  bool long_query = false;    // one statement that runs and runs
  bool checkable = true;      // KILL and process list are possible
  int64_t gave_up_delay = 0;  // ms until the workers have reset what was given up
  uint32_t killed_per_look = 1'000'000;

  // What came out.
  std::vector<Change> changes;
  std::vector<std::string> notices;
  std::vector<HealthAction> give_ups;
  std::vector<int64_t> give_up_at;
  std::array<uint64_t, kProbeKinds> started{};
  uint64_t logins = 0;      // connections opened
  uint64_t logins_cut = 0;  // closed by us before they had logged in
  uint64_t kills = 0;
  uint64_t identity_checks = 0;
  uint32_t abandoned = 0;
  uint32_t in_flight = 0;
  size_t max_pending = 0;

 private:
  void Tick();
  void Serve();
  void RunServer();  // progress of what waits at the server
  void RunShell();   // answers, timeouts, actions, samples
  bool Works(const Pending& p) const;
  int64_t Cost(const Pending& p) const;
  bool DeliverAnswer(size_t index);
  bool DeliverTimeout(size_t index);
  void Do(const HealthAction& action);
  void TakeActions();
  void CheckBounds() const;
  TrafficSample Sample() const;

  std::vector<Pending> pending_;
  std::array<bool, kProbeKinds> connected_{};
  int64_t identity_since_ = -1;
  int64_t kill_since_ = -1;
  int64_t gave_up_at_ = -1;
  uint32_t gave_up_ = 0;
  int64_t paused_until_ = -1;
  int64_t last_byte_ = -1;
  int64_t last_answer_ = -1;
  int64_t last_commit_ = -1;
  int64_t oldest_sent_ = -1;
  int64_t long_sent_ = -1;
  int64_t write_sent_ = -1;
};

inline MonoTime AtMs(int64_t ms) { return MonoTimeFromNanos((ms + 1000) * 1'000'000); }

}  // namespace bulkhead::routing

#endif  // BULKHEAD_TESTS_ROUTING_BACKEND_HEALTH_WORLD_H_
