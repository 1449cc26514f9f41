// All thresholds of a backend's health machine. Values. The defaults reach what is promised: new
// work held within 1.0 s and the verdict within 3.0 s of a freeze under load, the verdict
// within 4 s of a freeze without any traffic.
//
// Why they add up: freeze under load: silence_after 250 ms + one sample 50 ms + ping_timeout_max
// 600 ms = 0.9 s to suspect at the worst; down_after 2.0 s + one sample to down. Freeze of an idle
// backend: ping_interval 1.0 s + doubt_after + read_timeout = 1.65 s to suspect at the worst;
// down_after_idle 3.0 s to down. Pings slower than ping_timeout are no failure for long: what is
// kept waiting answers late, and that refutes it.
#ifndef BULKHEAD_ROUTING_HEALTH_RULES_H_
#define BULKHEAD_ROUTING_HEALTH_RULES_H_

#include <cstdint>

#include "routing/health_types.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

struct HealthRules {
  DetectionMode detection = DetectionMode::kFull;

  // What can be used. No probe account: no P0 to P3, traffic and connection errors remain.
  bool can_login = true;
  bool can_commit = true;  // the canary schema is there and writable

  // Traffic.
  Duration sample_interval = std::chrono::milliseconds(50);  // OnTraffic this often
  Duration silence_after = std::chrono::milliseconds(250);   // asks for a ping at once
  Duration write_silence_after = std::chrono::seconds(1);    // asks for a commit at once

  // Probes. Intervals are drawn from [1/2, 1] of these; timeouts run from the start, login
  // included when the connection is fresh.
  Duration ping_interval = std::chrono::milliseconds(1000);
  Duration read_interval = std::chrono::milliseconds(2000);
  Duration login_interval = std::chrono::milliseconds(8000);
  Duration commit_interval = std::chrono::milliseconds(10000);
  // At least this often even where clients commit: replicas are judged by it. Zero: only when idle.
  Duration heartbeat = Duration::zero();
  Duration ping_timeout = std::chrono::milliseconds(400);
  Duration ping_timeout_max = std::chrono::milliseconds(600);  // on servers whose pings are slow
  Duration read_timeout = std::chrono::milliseconds(500);
  Duration login_timeout = std::chrono::milliseconds(900);    // P0, and any on a fresh connection
  Duration commit_timeout = std::chrono::milliseconds(1500);  // above the lock timeouts of 1 s
  Duration fast_interval = std::chrono::milliseconds(200);    // ping and read under suspicion
  Duration fast_login_interval = std::chrono::milliseconds(500);
  Duration fast_commit_interval = std::chrono::milliseconds(1000);
  Duration down_interval = std::chrono::milliseconds(1000);  // each kind while down
  // A probe unanswered this long asks for the other kinds, before its own timeout.
  Duration doubt_after = std::chrono::milliseconds(150);
  // Connections without an answer that are kept waiting, at most; then one is replaced this often.
  uint32_t max_hung_logins = 2;
  Duration hung_replace = std::chrono::seconds(30);

  // Verdicts.
  Duration down_after = std::chrono::seconds(2);       // without any proof of life
  Duration down_after_idle = std::chrono::seconds(3);  // the same where no traffic is silent
  Duration all_down_after = std::chrono::seconds(10);  // the same when every backend is bad
  Duration suspect_limit = std::chrono::seconds(10);   // suspicion ends one way or the other
  Duration reset_memory = std::chrono::seconds(5);     // a reset connection is evidence this long
  uint32_t stall_failures = 2;                         // commits in a row that hang: write_stalled
  Duration late_margin = std::chrono::milliseconds(200);  // after a late loop, to read what came

  // In flight.
  Duration in_flight_grace = std::chrono::seconds(10);
  Duration stall_limit = std::chrono::seconds(60);

  // Back again.
  Duration settle_time = std::chrono::seconds(10);
  uint32_t canaries = 3;
  Duration canary_interval = std::chrono::milliseconds(50);
  Duration kill_interval = std::chrono::milliseconds(500);  // KILL and look again this often

  // Damping: each suspicion within the window asks for one more good probe in a row and twice the
  // calm before `up`, both bounded.
  Duration flap_window = std::chrono::seconds(60);
  Duration flap_calm = std::chrono::milliseconds(500);  // after the second; none after the first
  Duration flap_calm_max = std::chrono::seconds(8);
  uint32_t flap_probes_max = 5;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HEALTH_RULES_H_
