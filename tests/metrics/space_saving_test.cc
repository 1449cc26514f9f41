#include "metrics/space_saving.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace bulkhead::metrics {
namespace {

struct Count {
  uint64_t n = 0;
};
using Sketch = SpaceSaving<Count>;

const Sketch::Entry* Find(const Sketch& sketch, const std::string& key) {
  for (const Sketch::Entry& entry : sketch.entries()) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

TEST(SpaceSavingTest, IsExactWhileThereAreEnoughPlaces) {
  Sketch sketch(3);
  Sketch::Hint hint = 0;
  for (const char* key : {"a", "b", "a", "c", "a", "b"}) ++sketch.Add(key, 1, &hint).payload.n;
  EXPECT_EQ(Find(sketch, "a")->weight, 3u);
  EXPECT_EQ(Find(sketch, "a")->payload.n, 3u);
  EXPECT_EQ(Find(sketch, "b")->weight, 2u);
  EXPECT_EQ(Find(sketch, "c")->weight, 1u);
  EXPECT_EQ(Find(sketch, "c")->error, 0u);
}

TEST(SpaceSavingTest, TheSmallestGivesItsPlaceAndItsWeightAsAnError) {
  Sketch sketch(2);
  Sketch::Hint hint = 0;
  for (int i = 0; i < 10; ++i) (void)sketch.Add("big", 1, &hint);
  for (int i = 0; i < 3; ++i) ++sketch.Add("small", 1, &hint).payload.n;
  Sketch::Entry& fresh = sketch.Add("fresh", 1, &hint);
  EXPECT_EQ(fresh.weight, 4u);
  EXPECT_EQ(fresh.error, 3u);
  EXPECT_EQ(fresh.payload.n, 0u);
  EXPECT_EQ(Find(sketch, "small"), nullptr);
  EXPECT_NE(Find(sketch, "big"), nullptr);
}

// The guarantees of the paper, on a skewed stream.
TEST(SpaceSavingTest, KeepsEveryHeavyHitterWithinItsError) {
  for (const unsigned seed : {1u, 2u, 3u}) {
    constexpr size_t kPlaces = 50;
    Sketch sketch(kPlaces);
    std::mt19937 random(seed);
    std::map<std::string, uint64_t> truth;
    uint64_t all = 0;
    std::map<std::string, Sketch::Hint> hints;  // as sessions keep theirs, often wrong
    for (int i = 0; i < 100'000; ++i) {
      // A third from ten keys, the rest from a hundred thousand.
      const uint32_t pick = random() % 3 == 0 ? random() % 10 : random() % 100'000;
      const std::string key = "t" + std::to_string(pick);
      ++truth[key];
      ++all;
      (void)sketch.Add(key, 1, &hints[key]);
    }
    ASSERT_EQ(sketch.entries().size(), kPlaces);
    for (const auto& [key, count] : truth) {
      if (count <= all / kPlaces) continue;
      EXPECT_NE(Find(sketch, key), nullptr) << key << " came " << count << " times";
    }
    uint64_t sum = 0;
    for (const Sketch::Entry& entry : sketch.entries()) {
      EXPECT_GE(entry.weight, truth[entry.key]);
      EXPECT_LE(entry.weight - entry.error, truth[entry.key]);
      sum += entry.weight;
    }
    EXPECT_EQ(sum, all);
  }
}

TEST(SpaceSavingTest, AWrongHintDoesNoHarm) {
  Sketch sketch(4);
  Sketch::Hint hint = 3'000'000;
  (void)sketch.Add("a", 1, &hint);
  Sketch::Hint other = hint;
  (void)sketch.Add("b", 1, &other);
  (void)sketch.Add("a", 1, &other);
  EXPECT_EQ(Find(sketch, "a")->weight, 2u);
  EXPECT_EQ(Find(sketch, "b")->weight, 1u);
}

TEST(SpaceSavingTest, ForgetsWhatWasBusyOnce) {
  Sketch sketch(2);
  Sketch::Hint hint = 0;
  (void)sketch.Add("once", 1'000, &hint);
  (void)sketch.Add("other", 900, &hint);
  for (int i = 0; i < 12; ++i) sketch.Halve();
  for (int i = 0; i < 5; ++i) {
    (void)sketch.Add("lately", 1, &hint);
    (void)sketch.Add("too", 1, &hint);
  }
  EXPECT_NE(Find(sketch, "lately"), nullptr);
  EXPECT_NE(Find(sketch, "too"), nullptr);
}

TEST(SpaceSavingTest, WeightsMayBeMoreThanOne) {
  Sketch sketch(3);
  Sketch::Hint hint = 0;
  std::mt19937 random(7);
  std::map<std::string, uint64_t> truth;
  for (int i = 0; i < 5'000; ++i) {
    const std::string key(1, static_cast<char>('a' + random() % 5));
    const uint64_t weight = random() % 100;
    truth[key] += weight;
    const Sketch::Entry& entry = sketch.Add(key, weight, &hint);
    EXPECT_GE(entry.weight, weight);
    const auto least =
        std::min_element(sketch.entries().begin(), sketch.entries().end(),
                         [](const auto& a, const auto& b) { return a.weight < b.weight; });
    // The heap's front is the smallest: the next new key takes this one's place.
    if (sketch.entries().size() == 3 && i % 100 == 99) {
      const uint64_t smallest = least->weight;
      const Sketch::Entry& taken = sketch.Add("new" + std::to_string(i), 0, &hint);
      EXPECT_EQ(taken.error, smallest);
    }
  }
}

}  // namespace
}  // namespace bulkhead::metrics
