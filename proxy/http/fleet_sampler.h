// FleetSampler: takes a picture of the fleet once a second, and keeps fifteen minutes of each
// shard.
//
// Purpose: everybody who looks (pages, streams, `bulkhead top`) gets the same picture, made once;
// nothing is asked of the data path for it. A change of some state is pictured within kLook.
// Threads: its own takes the pictures; all methods from any thread.
// Memory: a ShardHistory (2.9 KB) and about 2 KB of picture and counters a shard: 5 MB for 1,000.
// Units: milliseconds since 1970.
#ifndef BULKHEAD_PROXY_HTTP_FLEET_SAMPLER_H_
#define BULKHEAD_PROXY_HTTP_FLEET_SAMPLER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/http/fleet_picture.h"
#include "proxy/http/fleet_source.h"
#include "proxy/http/history.h"
#include "proxy/http/latency.h"

namespace bulkhead::http {

class FleetSampler {
 public:
  static constexpr std::chrono::milliseconds kLook{250};
  static constexpr int kLooksPerSample = 4;

  // `source` outlives this. `changed` is called on the sampler's thread after each new picture; may
  // be empty.
  FleetSampler(const FleetSource* source, std::function<void()> changed);
  ~FleetSampler();
  FleetSampler(const FleetSampler&) = delete;
  FleetSampler& operator=(const FleetSampler&) = delete;

  void Start();  // its thread
  void Stop();

  [[nodiscard]] std::shared_ptr<const FleetPicture> Picture() const;
  // The samples of these shards as JSON (docs/API.md); names that do not exist are left out.
  [[nodiscard]] std::string HistoryJson(const std::vector<std::string>& shards) const;

  // For tests, and for Start's thread: what is due at this time.
  // `steady_ms`: the same moment by the clock that does not go back, which rates are of.
  void Look(int64_t now_ms, int64_t steady_ms);

 private:
  struct Followed {
    metrics::ShardTotals before{};       // a second ago
    metrics::ShardTotals step_before{};  // at the last sample of the history
    uint32_t most_held = 0;              // since then
    routing::ShardId id{};               // whose counters these are
    ShardHistory history;
  };

  void Run();
  void Count(const routing::Topology& topology, const std::vector<metrics::ShardTotals>& totals,
             const metrics::HealthView* health, int64_t steady_ms);
  void EndStep(int64_t now_ms, int64_t steady_ms);
  [[nodiscard]] static uint64_t StatesOf(const metrics::HealthView* health);
  void TakePicture(const FleetSource::TopologyPtr& topology,
                   const std::shared_ptr<const metrics::HealthView>& health, int64_t now_ms);

  const FleetSource* const source_;
  const std::function<void()> changed_;
  std::thread thread_;

  // The sampling thread's.
  int looks_ = 0;
  int64_t counted_ms_ = 0;  // steady: when Count was last called
  int64_t step_ms_ = 0;     // steady: when the last sample of the history ended
  uint64_t states_ = 0;
  uint64_t number_ = 0;
  uint64_t last_event_ = 0;
  std::vector<metrics::ShardTotals> totals_;
  std::vector<ShardRates> rates_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::shared_ptr<const FleetPicture> picture_;
  absl::flat_hash_map<std::string, Followed> shards_;  // by name
  int64_t history_end_ms_ = 0;
};

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_FLEET_SAMPLER_H_
