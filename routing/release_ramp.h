// ReleaseRamp: how many released statements may run at once after a recovery.
//
// Purpose: no second outage. Thousands of held statements at once hit a server with cold caches;
// so concurrency starts small, doubles after each window whose median latency is near the baseline,
// halves after one that is far above, and grows by an eighth above the level at which it last
// halved (slow start and congestion avoidance, RFC 5681). Where more at once gets clearly less done
// than fewer did, it goes back to these; where it stays slower than usual, it tries half. Only the
// latency of statements released within the window counts for it.
//
// Baseline: what the caller measured in good times (or the canary's latency), but never below what
// the server shows at the least concurrency: one that is slower than it was isn't throttled for
// ever. Without a baseline it is the ramp's best window. A statement that runs longer than
// `long_statement` gives its place back (a report of a minute among four must not block the rest)
// but goes on counting against `limit`.
//
// End: the queue is empty and either the limit is reached or nothing had to wait for `settle`; or
// nobody is left who waited before the ramp and it has been at the limit for `settle` without the
// queue getting shorter (clients that always have the next statement ready never let it become
// empty), or `max_duration` is over. What then waits is let go at once: it waits in the workers'
// pools for one of the backend's connections, as it would without a gate.
//
// Owner: one thread. Time is an argument; running statements are known by id.
#ifndef BULKHEAD_ROUTING_RELEASE_RAMP_H_
#define BULKHEAD_ROUTING_RELEASE_RAMP_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "routing/hold_queue.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

struct RampRules {
  uint32_t initial = 4;  // after an outage
  uint32_t limit = 128;  // what the backend bears: its connections, at most
  double near_factor = 2.0;
  double far_factor = 4.0;
  Duration slack = std::chrono::milliseconds(2);        // added to both: noise of short statements
  Duration min_window = std::chrono::milliseconds(50);  // a step takes at least that
  Duration max_window = std::chrono::milliseconds(500);
  uint32_t min_samples = 4;
  Duration long_statement = std::chrono::seconds(1);
  Duration settle = std::chrono::seconds(1);
  Duration max_duration = std::chrono::seconds(60);
  // New backend connections of this shard while the ramp runs, over all workers; 0: no limit.
  double connects_per_second = 50;
};

class ReleaseRamp {
 public:
  explicit ReleaseRamp(const RampRules& rules) : rules_(rules) {}

  void SetRules(const RampRules& rules) { rules_ = rules; }
  // Latency in good times; zero: not known, learnt from the ramp's own best window.
  void SetBaseline(Duration baseline) { baseline_ = baseline; }

  // `start`: what it begins with, at most the limit. Statements that already run go on counting.
  void Begin(uint32_t start, MonoTime now);
  // The shard is not serving any more. Statements that run go on counting.
  void Stop() { active_ = false; }
  bool active() const { return active_; }

  // How many may be released now.
  uint32_t Room() const;
  void Released(WaiterId id, MonoTime now);
  // `ok`: the server answered (an error of the statement's own is an answer). False: not known.
  bool Finished(WaiterId id, Duration latency, bool ok);
  // Its client is gone, or it was never sent: no evidence.
  bool Dropped(WaiterId id);

  // Closes windows, notices long statements. `waiting`: statements that wait; `backlog`: those of
  // them that waited before the ramp. Call after each batch of events and at NextDeadline.
  // True: the ramp ended here, and what still runs is forgotten.
  [[nodiscard]] bool Advance(size_t waiting, size_t backlog, MonoTime now);
  MonoTime NextDeadline() const;

  uint32_t concurrency() const { return concurrency_; }
  uint32_t running() const { return static_cast<uint32_t>(running_.size()); }
  Duration baseline() const { return baseline_; }

 private:
  struct Running {
    MonoTime released;
    bool gave_place_back = false;
  };
  enum class Judged : uint8_t { kNear, kBetween, kFar };
  Judged JudgeLatency(uint32_t least);
  bool PastPeak(double per_second);
  bool Trial(double per_second, uint32_t least);
  void EndTrial();
  void OpenWindow(MonoTime now);
  void CloseWindow(MonoTime now);
  void NoticeLong(MonoTime now);
  bool WindowIsFull(MonoTime now) const;
  void MeasureQueue(size_t waiting, MonoTime now);
  bool Ends(size_t waiting, size_t backlog, MonoTime now) const;
  bool Erase(WaiterId id, Running* was);

  RampRules rules_;
  Duration baseline_{0};
  bool active_ = false;
  uint32_t concurrency_ = 0;
  uint32_t threshold_ = 0;  // above it growth is careful
  Duration own_{0};         // the server's own latency, as it is now; zero: not seen yet
  MonoTime began_{};
  MonoTime window_began_{};
  MonoTime at_limit_since_ = kMonoNever;
  MonoTime last_full_{};  // when something last had to wait
  MonoTime advanced_{};
  MonoTime measured_{};      // when the queue's length was looked at
  size_t waiting_then_ = 0;  // and what it was
  bool shrinks_ = true;
  uint32_t failed_ = 0;    // in this window
  uint32_t finished_ = 0;  // in this window, whenever they were released
  double peak_ = 0;        // most that were finished in a second
  uint32_t peak_concurrency_ = 0;
  struct HalfTrial {
    uint32_t from;
    double per_second;
    bool drained;
  };
  std::optional<HalfTrial> trial_;
  bool slow_ = false;  // the last window, against good times
  uint32_t slow_windows_ = 0;
  std::vector<Duration> samples_;
  uint32_t long_running_ = 0;
  absl::flat_hash_map<WaiterId, Running> running_;
  std::deque<std::pair<MonoTime, WaiterId>> by_age_;  // may name some that ended
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_RELEASE_RAMP_H_
