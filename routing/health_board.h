// ProbeBoard: what is known of the four kinds of probes: outstanding, hung, failures in a row.
//
// Bookkeeping without verdicts. A failure is "unrefuted" while there was no proof of life since the
// failed probe began; `life` is given by the owner. Owner: one BackendHealth.
#ifndef BULKHEAD_ROUTING_HEALTH_BOARD_H_
#define BULKHEAD_ROUTING_HEALTH_BOARD_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "routing/health_late.h"
#include "routing/health_rules.h"
#include "routing/health_types.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

struct ProbeTrack {
  // The outstanding probe; id 0: none.
  uint64_t id = 0;
  bool fresh = false;
  MonoTime started = kNoTime;  // of the last one, whether it is still outstanding or not
  Duration timeout{};
  uint32_t spread = 1024;  // of the interval to the next one, in 1/1024
  bool connected = false;  // a persistent connection is there and waits for nothing
  bool at_once = true;     // start the next one without waiting for the interval

  // Answers. An ERR to the statement is an answer.
  MonoTime answered_at = kNoTime;
  MonoTime answered_start = kNoTime;  // when that probe began
  uint32_t good = 0;                  // in a row
  Duration usual{};                   // smoothed duration

  // Failures in a row of this kind, whatever else proved life.
  uint32_t row = 0;
  MonoTime row_since = kNoTime;  // start of the first of them
  bool row_logged_in = false;    // one of them was on a new connection that had logged in
  ProbeResult last_failure{};
  bool last_failure_fresh = false;
  MonoTime last_failure_start = kNoTime;

  // Failures that began after the last proof of life.
  uint32_t unrefuted = 0;
  MonoTime established_failure = kNoTime;  // start of the last on an established connection
  MonoTime fresh_failure = kNoTime;        // and on a new one
};

// Timed out, kept open, still waiting.
struct HungProbe {
  uint64_t id = 0;
  ProbeKind kind = ProbeKind::kPing;
  bool fresh = false;
  bool logged_in = false;
  bool counted = true;  // false: this process was late; it is a failure only once it is overdue
  MonoTime started = kNoTime;
  Duration timeout{};
  ProbeResult result{};
};

class ProbeBoard {
 public:
  ProbeTrack& track(ProbeKind kind) { return tracks_[static_cast<size_t>(kind)]; }
  const ProbeTrack& track(ProbeKind kind) const { return tracks_[static_cast<size_t>(kind)]; }
  std::optional<ProbeKind> FindOutstanding(uint64_t id) const;

  bool login_outstanding() const;  // one that opens a connection
  // A fresh connection for this kind stays within the bounds; `replace`: after this hung one ended.
  bool MayOpen(ProbeKind kind, const HealthRules& rules, MonoTime life, MonoTime now,
               uint64_t* replace) const;

  void Failed(ProbeKind kind, bool fresh, MonoTime started, const ProbeResult& result,
              MonoTime life);
  void Answered(ProbeKind kind, MonoTime started, MonoTime now);

  // Failures of this kind that began after `life`; a hung one counts again after each further
  // timeout, once.
  uint32_t Unrefuted(ProbeKind kind, MonoTime life, const LateLog& late, MonoTime now) const;
  // The same for failures in a row of this kind alone.
  uint32_t Row(ProbeKind kind, const LateLog& late, MonoTime now) const;
  // A ping or read on an established connection is unanswered: it began after the last proof of
  // life, or it waits, and life was not seen for twice its timeout.
  bool EstablishedHangs(ProbeKind kind, MonoTime life, const LateLog& late, MonoTime now) const;
  bool FreshFails(ProbeKind kind, MonoTime life) const { return track(kind).fresh_failure > life; }

  std::vector<HungProbe>& hung() { return hung_; }
  const std::vector<HungProbe>& hung() const { return hung_; }
  const HungProbe* OldestHung(ProbeKind kind) const;

 private:
  std::array<ProbeTrack, kProbeKinds> tracks_{};
  std::vector<HungProbe> hung_;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_HEALTH_BOARD_H_
