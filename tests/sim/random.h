// Randomness of a simulation: the same numbers for the same seed on every machine and compiler.
//
// Each part of the simulated world draws from a stream of its own (Fork), so that a fault more or
// less does not change what clients want. Owner: one simulation.
#ifndef BULKHEAD_TESTS_SIM_RANDOM_H_
#define BULKHEAD_TESTS_SIM_RANDOM_H_

#include <cstdint>

namespace bulkhead::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {  // SplitMix64
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  uint64_t Below(uint64_t bound) { return bound == 0 ? 0 : Next() % bound; }
  // Both ends included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<uint64_t>(high - low + 1)));
  }
  bool Chance(uint32_t permille) { return Below(1000) < permille; }
  [[nodiscard]] Random Fork(uint64_t stream) const {
    Random child(state_ ^ (stream + 1) * 0xD1B54A32D192ED03ull);
    return Random(child.Next());
  }

 private:
  uint64_t state_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_RANDOM_H_
