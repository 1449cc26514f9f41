// What the busiest tenants do: counted by each worker, added up once a second for the process.
//
// Purpose: TenantMeter is a worker's own; it costs a comparison and a few additions for a
// statement. TenantBoard adds up what the meters of all workers give it, and knows the busiest
// tenants of the process.
// Threads: TenantMeter its worker's; TenantBoard any (a mutex that a worker only tries to take,
// once a second: what it can't give now it gives later). Limits: four places for each tenant that
// is shown, on each worker and on the board; a tenant that loses its place loses what was counted
// since it was given on last (a second's worth). Units: nanoseconds.
#ifndef BULKHEAD_METRICS_TENANT_METER_H_
#define BULKHEAD_METRICS_TENANT_METER_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/list.h"
#include "metrics/space_saving.h"

namespace bulkhead::metrics {

struct TenantCounts {
  std::array<uint64_t, kStatementOutcomeNames.size()> statements{};
  uint64_t busy_ns = 0;

  [[nodiscard]] uint64_t all() const {
    uint64_t sum = 0;
    for (const uint64_t count : statements) sum += count;
    return sum;
  }
  void Add(const TenantCounts& other) {
    for (size_t i = 0; i < statements.size(); ++i) statements[i] += other.statements[i];
    busy_ns += other.busy_ns;
  }
};

class TenantBoard {
 public:
  // Of the `shown` busiest tenants; 0: nothing is counted.
  explicit TenantBoard(uint32_t shown);

  struct Tenant {
    std::string name;
    TenantCounts counts;  // since it has its place
  };
  // The busiest lately first.
  [[nodiscard]] std::vector<Tenant> Busiest() const;
  [[nodiscard]] size_t places() const { return places_; }

 private:
  friend class TenantMeter;
  static constexpr uint32_t kHalveEvery = 60;  // gifts of each worker, which are seconds

  const uint32_t shown_;
  const size_t places_;
  mutable std::mutex mutex_;
  SpaceSaving<TenantCounts> tenants_;
  uint32_t gifts_ = 0;
  uint32_t givers_ = 0;
};

class TenantMeter {
 public:
  using Hint = SpaceSaving<TenantCounts>::Hint;

  // `board` outlives this; may be null: nothing is counted.
  explicit TenantMeter(TenantBoard* board);

  void Record(std::string_view tenant, StatementOutcome outcome, std::chrono::nanoseconds took,
              Hint* hint) {
    if (tenants_.places() == 0 || tenant.empty()) return;
    TenantCounts& counts = tenants_.Add(tenant, 1, hint).payload;
    ++counts.statements[static_cast<size_t>(outcome)];
    counts.busy_ns += static_cast<uint64_t>(took.count() > 0 ? took.count() : 0);
  }
  // Once a second.
  void GiveOn();

 private:
  static constexpr uint32_t kHalveEvery = 60;  // seconds

  TenantBoard* const board_;
  SpaceSaving<TenantCounts> tenants_;
  uint32_t seconds_ = 0;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_TENANT_METER_H_
