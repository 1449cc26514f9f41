// Sections `health` and `hold`: when a backend counts as hung, and what new work meets then.
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/config/parts.h"
#include "proxy/config/values.h"

namespace bulkhead::config {

using namespace std::chrono_literals;

void ReadHold(const Section& section, Hold* out) {
  constexpr uint64_t kMillion = 1'000'000;
  section.Choice<routing::HoldPolicy>("policy", HoldPolicyChoices(), &out->policy);
  section.Time("replica_lag", 100ms, &out->replica_lag);
  section.Time("max_wait", 0s, &out->max_wait);
  section.Time("outage_limit", 0s, &out->outage_limit);
  section.Number("max_statements", 0, kMillion, &out->max_statements);
  section.Size("max_bytes", 0, &out->max_bytes);
  section.Number("total_statements", 0, 100 * kMillion, &out->total_statements);
  section.Size("total_bytes", 0, &out->total_bytes);
  section.Number("ramp_start", 1, kMillion, &out->ramp_start);
  section.Bool("read_retry", &out->read_retry);
  section.Number("ramp_limit", 1, kMillion, &out->ramp_limit);
  section.Number("ramp_connects", 0, kMillion, &out->ramp_connects);
  if (out->max_statements > out->total_statements) {
    section.Error(section.Has("max_statements") ? "max_statements" : "total_statements",
                  "max_statements of one shard is more than total_statements of all");
  }
  if (out->max_bytes > out->total_bytes) {
    section.Error(section.Has("max_bytes") ? "max_bytes" : "total_bytes",
                  "max_bytes of one shard is more than total_bytes of all");
  }
  if (out->ramp_start > out->ramp_limit) {
    section.Error(section.Has("ramp_start") ? "ramp_start" : "ramp_limit",
                  "ramp_start is more than ramp_limit");
  }
}

void ReadTenantLimit(const Section& section, routing::TenantLimit* out) {
  constexpr uint64_t kMillion = 1'000'000;
  section.Number("sessions", 0, kMillion, &out->sessions);
  section.Number("running", 0, kMillion, &out->running);
  section.Number("per_second", 0, 100 * kMillion, &out->per_second);
  section.Number("burst", 0, 100 * kMillion, &out->burst);
  if (out->burst != 0 && out->per_second == 0) section.Error("burst", "needs per_second beside it");
}

void ReadHealth(const Section& section, routing::HealthRules* out) {
  constexpr std::pair<std::string_view, routing::DetectionMode> kModes[] = {
      {"full", routing::DetectionMode::kFull},
      {"hold", routing::DetectionMode::kHold},
      {"observe", routing::DetectionMode::kObserve}};
  section.Choice<routing::DetectionMode>("detection", kModes, &out->detection);
  section.Time("silence_after", 1ms, &out->silence_after);
  section.Time("ping_interval", 10ms, &out->ping_interval);
  section.Time("ping_timeout", 1ms, &out->ping_timeout);
  section.Time("read_interval", 10ms, &out->read_interval);
  section.Time("read_timeout", 1ms, &out->read_timeout);
  section.Time("login_interval", 10ms, &out->login_interval);
  section.Time("login_timeout", 1ms, &out->login_timeout);
  section.Time("commit_interval", 10ms, &out->commit_interval);
  section.Time("commit_timeout", 1ms, &out->commit_timeout);
  section.Time("down_after", 1ms, &out->down_after);
  section.Time("down_after_idle", 1ms, &out->down_after_idle);
  section.Time("all_down_after", 1ms, &out->all_down_after);
  section.Time("suspect_limit", 1ms, &out->suspect_limit);
  section.Time("in_flight_grace", 0s, &out->in_flight_grace);
  section.Time("stall_limit", 0s, &out->stall_limit);
  section.Time("settle_time", 0s, &out->settle_time);
  section.Number("canaries", 1, 1000, &out->canaries);
  section.Time("flap_window", 0s, &out->flap_window);
  if (out->all_down_after < out->down_after)
    section.Error("all_down_after", "is less than down_after");
  if (out->ping_timeout_max < out->ping_timeout) out->ping_timeout_max = out->ping_timeout;
}

}  // namespace bulkhead::config
