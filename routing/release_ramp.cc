#include "routing/release_ramp.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace bulkhead::routing {
namespace {

// Above the level at which it last halved it grows by this part.
constexpr uint32_t kCarefulPart = 8;
constexpr uint32_t kEnoughSamples = 64;
// Less than this part of what fewer at once got done is past the peak; of the peak so much is
// remembered from window to window.
constexpr double kWorse = 0.85;
constexpr double kRemembered = 0.98;
// Half of them are tried after that many slow windows, and kept if they get that part done.
constexpr uint32_t kSlowWindows = 8;
constexpr double kAsMuch = 0.9;
// A queue gets shorter if it lost this part in `settle`.
constexpr size_t kShrinkPart = 8;

Duration Times(Duration d, double factor) {
  return Duration(static_cast<int64_t>(static_cast<double>(d.count()) * factor));
}

double Seconds(Duration d) { return std::chrono::duration<double>(d).count(); }

}  // namespace

void ReleaseRamp::Begin(uint32_t start, MonoTime now) {
  active_ = true;
  concurrency_ = std::clamp(start, 1u, std::max(rules_.limit, 1u));
  threshold_ = std::max(rules_.limit, 1u);
  own_ = Duration(0);
  peak_ = 0;
  peak_concurrency_ = 0;
  EndTrial();
  began_ = now;
  last_full_ = now;
  measured_ = now;
  waiting_then_ = SIZE_MAX;  // not looked at yet
  shrinks_ = true;
  at_limit_since_ = concurrency_ >= rules_.limit ? now : kMonoNever;
  OpenWindow(now);
}

uint32_t ReleaseRamp::Room() const {
  const uint32_t places_taken = running() - long_running_;
  const uint32_t by_concurrency = concurrency_ - std::min(concurrency_, places_taken);
  const uint32_t by_limit = rules_.limit - std::min(rules_.limit, running());
  return std::min(by_concurrency, by_limit);
}

void ReleaseRamp::Released(WaiterId id, MonoTime now) {
  while (!by_age_.empty() && !running_.contains(by_age_.front().second)) by_age_.pop_front();
  running_[id] = Running{now, false};
  by_age_.emplace_back(now, id);
}

bool ReleaseRamp::Erase(WaiterId id, Running* was) {
  const auto found = running_.find(id);
  if (found == running_.end()) return false;
  *was = found->second;
  running_.erase(found);
  if (was->gave_place_back) --long_running_;
  return true;
}

bool ReleaseRamp::Finished(WaiterId id, Duration latency, bool ok) {
  Running was;
  if (!Erase(id, &was)) return false;
  if (ok) ++finished_;
  if (!active_ || was.gave_place_back || was.released < window_began_) {
    return true;  // known, but no evidence of the present concurrency
  }
  if (ok) {
    samples_.push_back(latency);
  } else {
    ++failed_;
  }
  return true;
}

bool ReleaseRamp::Dropped(WaiterId id) {
  Running was;
  return Erase(id, &was);
}

void ReleaseRamp::NoticeLong(MonoTime now) {
  while (!by_age_.empty() && now - by_age_.front().first >= rules_.long_statement) {
    const auto found = running_.find(by_age_.front().second);
    by_age_.pop_front();
    if (found == running_.end()) continue;
    found->second.gave_place_back = true;
    ++long_running_;
    if (found->second.released >= window_began_) samples_.push_back(rules_.long_statement);
  }
}

bool ReleaseRamp::Advance(size_t waiting, size_t backlog, MonoTime now) {
  advanced_ = now;
  if (!active_) return false;
  NoticeLong(now);
  if (waiting > 0 && Room() == 0) last_full_ = now;
  if (WindowIsFull(now)) CloseWindow(now);
  MeasureQueue(waiting, now);
  if (concurrency_ < rules_.limit) {
    at_limit_since_ = kMonoNever;
  } else if (at_limit_since_ == kMonoNever) {
    at_limit_since_ = now;
  }
  if (!Ends(waiting, backlog, now)) return false;
  active_ = false;
  running_.clear();
  by_age_.clear();
  long_running_ = 0;
  return true;
}

bool ReleaseRamp::WindowIsFull(MonoTime now) const {
  const size_t seen = samples_.size() + failed_;
  if (now - window_began_ < rules_.min_window || seen == 0) return false;
  return now - window_began_ >= rules_.max_window ||
         seen >= std::max(rules_.min_samples, std::min(concurrency_, kEnoughSamples));
}

void ReleaseRamp::OpenWindow(MonoTime now) {
  window_began_ = now;
  samples_.clear();
  failed_ = 0;
  finished_ = 0;
}

ReleaseRamp::Judged ReleaseRamp::JudgeLatency(uint32_t least) {
  if (failed_ > samples_.size()) return Judged::kFar;
  if (samples_.empty()) return Judged::kBetween;
  const auto middle = samples_.begin() + static_cast<ptrdiff_t>(samples_.size() / 2);
  std::nth_element(samples_.begin(), middle, samples_.end());
  // At the least concurrency it is the server's own latency, whatever it was before. Above it a
  // latency above the baseline may be of our own making, one below what was seen never is.
  const bool learn = concurrency_ <= least || (baseline_ == Duration(0) && own_ == Duration(0));
  if (learn || *middle < own_) own_ = *middle;
  const Duration reference = std::max(baseline_, own_);
  const Duration usual = baseline_ > Duration(0) ? baseline_ : own_;
  slow_ = *middle > Times(usual, rules_.near_factor) + rules_.slack;
  if (*middle > Times(reference, rules_.far_factor) + rules_.slack) return Judged::kFar;
  if (*middle > Times(reference, rules_.near_factor) + rules_.slack) return Judged::kBetween;
  return Judged::kNear;
}

// True: fewer at once got more done. What was slow once need not be so now: the peak is forgotten
// bit by bit.
bool ReleaseRamp::PastPeak(double per_second) {
  peak_ *= kRemembered;
  if (per_second >= peak_) {
    peak_ = per_second;
    peak_concurrency_ = concurrency_;
    return false;
  }
  return concurrency_ > peak_concurrency_ && per_second < peak_ * kWorse;
}

// Slower than usual, for whatever reason: would half of them get as much done? True: the window was
// the trial's.
bool ReleaseRamp::Trial(double per_second, uint32_t least) {
  if (!trial_) {
    if (!slow_ || concurrency_ <= least) return false;
    if (++slow_windows_ < kSlowWindows) return false;
    trial_ = HalfTrial{concurrency_, per_second, false};
    concurrency_ = std::max(least, concurrency_ / 2);
    return true;
  }
  if (!trial_->drained) {
    trial_->drained = true;  // in this window the last of the others ended
    return true;
  }
  if (per_second < trial_->per_second * kAsMuch) {
    concurrency_ = trial_->from;
  } else {
    threshold_ = concurrency_;
    peak_ = per_second;
    peak_concurrency_ = concurrency_;
  }
  EndTrial();
  return true;
}

void ReleaseRamp::EndTrial() {
  trial_.reset();
  slow_windows_ = 0;
}

void ReleaseRamp::CloseWindow(MonoTime now) {
  const uint32_t limit = std::max(rules_.limit, 1u);
  const uint32_t least = std::clamp(rules_.initial, 1u, limit);
  const bool wanted_more = last_full_ >= window_began_;
  const double per_second = static_cast<double>(finished_) / Seconds(now - window_began_);
  const Judged latency = JudgeLatency(least);
  if (latency == Judged::kFar) {
    concurrency_ = std::max(least, concurrency_ / 2);
    threshold_ = concurrency_;
    EndTrial();
  } else if (!wanted_more) {
    EndTrial();  // nothing can be learnt
  } else if (Trial(per_second, least)) {
  } else if (PastPeak(per_second)) {
    concurrency_ = std::max(least, peak_concurrency_);
    threshold_ = concurrency_;
  } else if (latency == Judged::kNear) {
    concurrency_ = concurrency_ < threshold_
                       ? std::min(2 * concurrency_, threshold_)
                       : concurrency_ + std::max(1u, concurrency_ / kCarefulPart);
  }
  concurrency_ = std::min(concurrency_, limit);
  OpenWindow(now);
}

void ReleaseRamp::MeasureQueue(size_t waiting, MonoTime now) {
  if (now - measured_ < rules_.settle) return;
  shrinks_ = waiting + waiting_then_ / kShrinkPart < waiting_then_;
  waiting_then_ = waiting;
  measured_ = now;
}

bool ReleaseRamp::Ends(size_t waiting, size_t backlog, MonoTime now) const {
  const bool at_limit = at_limit_since_ != kMonoNever;
  if (waiting == 0) return at_limit || now - last_full_ >= rules_.settle;
  if (backlog > 0) return false;
  return (at_limit && !shrinks_ && now - at_limit_since_ >= rules_.settle) ||
         now - began_ >= rules_.max_duration;
}

MonoTime ReleaseRamp::NextDeadline() const {
  return active_ ? advanced_ + rules_.min_window : kMonoNever;
}

}  // namespace bulkhead::routing
