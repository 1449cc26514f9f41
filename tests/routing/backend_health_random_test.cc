// Random faults, pauses, crashes and marks: first what must never be, then heal and it must come
// back. One seed is one run.
#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <random>

#include "tests/routing/backend_health_world.h"

namespace bulkhead::routing {
namespace {

using S = BackendState;

bool Allowed(S from, S to) {
  if (from == to) return false;
  switch (from) {
    case S::kUnknown:
      return to != S::kSuspect && to != S::kRecovering;
    case S::kDown:
      return to == S::kRecovering || to == S::kUp;  // kUp: the operator's mark
    case S::kFenced:
      return to == S::kUp || to == S::kDown;  // the operator's mark
    case S::kUp:
    case S::kSuspect:
    case S::kRecovering:
    case S::kReadOnly:
    case S::kWriteStalled:
    case S::kSaturated:
      return to != S::kUnknown;
  }
  return false;
}

class RandomRun {
 public:
  explicit RandomRun(uint64_t seed) : random_(seed), w_(Rules(seed), BackendRole::kPrimary, seed) {}

  std::string Run() {
    w_.oltp = Pick(3) == 0 ? 0 : 16;
    w_.writers = w_.oltp == 0 ? 0 : 4;
    for (int i = 0; i < 60; ++i) {
      Change();
      Steps(50 + Pick(3000));
    }
    Heal();
    return w_.Story();
  }

 private:
  static HealthRules Rules(uint64_t seed) {
    HealthRules rules;
    if (seed % 5 == 0) rules.can_commit = false;
    if (seed % 7 == 0) rules.detection = DetectionMode::kHold;
    return rules;
  }
  int64_t Pick(int64_t below) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(below));
  }

  void Change() {
    Faults& f = w_.faults;
    switch (Pick(16)) {
      case 0:
        f.frozen = !f.frozen;
        break;
      case 1:
        f.gone = !f.gone;
        break;
      case 2:
        f.disk_frozen = !f.disk_frozen;
        break;
      case 3:
        f.reads_hang = !f.reads_hang;
        break;
      case 4:
        f.locked = !f.locked;
        break;
      case 5:
        f.full = !f.full;
        break;
      case 6:
        f.no_greeting = !f.no_greeting;
        break;
      case 7:
        f.no_answer = !f.no_answer;
        break;
      case 8:
        f.drip = !f.drip;
        break;
      case 9:
        f.slow_ms = static_cast<int>(Pick(1500));
        break;
      case 10:
        f.lose_pings = static_cast<int>(Pick(4));
        break;
      case 11:
        w_.long_query = !w_.long_query;
        break;
      case 12:
        w_.PauseRouter(1 + Pick(3000));
        break;
      case 13:
        if (f.dead) {
          f.dead = false;
          w_.identity.started_at += 60;
        } else {
          w_.Crash();
        }
        break;
      case 14:
        all_bad_ = !all_bad_;
        w_.health.OnFleet(all_bad_, w_.now());
        break;
      case 15:
        f = Faults{.dead = f.dead};
        break;
    }
  }

  void Steps(int64_t ms) {
    for (int64_t i = 0; i < ms; i += 10) {
      w_.Run(10);
      Check();
    }
  }

  void Check() {
    for (; seen_ < w_.changes.size(); ++seen_) {
      const World::Change& c = w_.changes[seen_];
      EXPECT_TRUE(Allowed(c.from, c.to)) << ToString(c.from) << " -> " << ToString(c.to);
      const uint32_t signals = c.signals;
      if (c.to == S::kDown) {
        // Or a suspicion that nothing refuted: no proof of life in half of its limit.
        const bool refuted_by_nothing = c.from == S::kSuspect && c.at_ms - entered_ms_ >= 5'000;
        EXPECT_TRUE(std::popcount(signals) >= 2 || (signals & kSignalBlocked) != 0 ||
                    refuted_by_nothing)
            << SignalWords(signals) << "\n"
            << w_.Story();
      }
      if (c.from == S::kRecovering && (c.to == S::kUp || c.to == S::kWriteStalled)) {
        EXPECT_EQ(w_.abandoned, 0u) << w_.Story();
      }
      entered_ms_ = c.at_ms;
    }
    if (w_.health.state() == S::kSuspect && !all_bad_ && !::testing::Test::HasFailure()) {
      EXPECT_LE(w_.now_ms - entered_ms_, 30'000) << w_.Why();
    }
    const bool full = w_.health.rules().detection == DetectionMode::kFull;
    EXPECT_TRUE(full || w_.give_ups.empty());
  }

  void Heal() {
    w_.faults = Faults{.dead = w_.faults.dead};
    if (w_.faults.dead) w_.identity.started_at += 60;
    w_.faults.dead = false;
    w_.long_query = false;
    w_.health.OnFleet(false, w_.now());
    all_bad_ = false;
    // Two logins that nobody will ever answer are replaced after hung_replace (30 s).
    for (int i = 0; i < 4500 && w_.health.state() != S::kUp; ++i) Steps(10);
    EXPECT_EQ(w_.health.state(), S::kUp) << w_.Why() << "\n" << w_.Story();
    EXPECT_EQ(w_.abandoned, 0u);
    Steps(10'000);  // what could not be read of its identity is asked for again
    w_.ForgetChanges();
    seen_ = 0;
    Steps(30'000);
    EXPECT_TRUE(w_.changes.empty()) << w_.Story();
    EXPECT_LE(w_.health.History().size(), 64u);
  }

  std::mt19937_64 random_;
  World w_;
  bool all_bad_ = false;
  size_t seen_ = 0;
  int64_t entered_ms_ = 0;
};

// More on request: BULKHEAD_HEALTH_SEEDS=10000.
uint64_t Seeds() {
  const char* seeds = std::getenv("BULKHEAD_HEALTH_SEEDS");
  return seeds == nullptr ? 100 : std::strtoull(seeds, nullptr, 10);
}

TEST(BackendHealthRandom, NeverWhatMustNotBeAndBackWhenHealed) {
  for (uint64_t seed = 1; seed <= Seeds(); ++seed) {
    SCOPED_TRACE(seed);
    RandomRun(seed).Run();
    if (HasFailure()) break;
  }
}

TEST(BackendHealthRandom, OneSeedIsOneRun) {
  const std::string story = RandomRun(42).Run();
  EXPECT_EQ(story, RandomRun(42).Run());
}

}  // namespace
}  // namespace bulkhead::routing
