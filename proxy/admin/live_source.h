// The running router as the admin tables see it.
//
// Purpose: StateSource over the fleet (control::FleetCollector), the configuration, the metrics and
// the tenants' limits; what a query does not name is not collected.
// Threads: any. Limits: the collector's.
#ifndef BULKHEAD_PROXY_ADMIN_LIVE_SOURCE_H_
#define BULKHEAD_PROXY_ADMIN_LIVE_SOURCE_H_

#include <functional>
#include <memory>
#include <string>

#include "metrics/registry.h"
#include "proxy/admin/live_state.h"
#include "proxy/control/fleet_collector.h"
#include "routing/tenant_limits.h"

namespace bulkhead::admin {

class LiveSource final : public StateSource {
 public:
  struct Setup {
    const control::FleetCollector* fleet = nullptr;
    const metrics::Registry* registry = nullptr;
    const routing::TenantLimits* limits = nullptr;
    std::function<std::shared_ptr<const config::Options>()> options;
    std::string version;  // AdminVersion()
  };
  explicit LiveSource(Setup setup) : setup_(std::move(setup)) {}

  [[nodiscard]] std::shared_ptr<const LiveState> Collect(const TableSet& tables) override;
  [[nodiscard]] std::shared_ptr<const config::Options> Options() override {
    return setup_.options();
  }

 private:
  void AddVariables(LiveState* state) const;
  void AddStatus(LiveState* state) const;

  const Setup setup_;
};

// One line for each sample: metric{label="value"}. Of histograms their count and sum.
[[nodiscard]] std::vector<StatusRow> StatusRows(
    const std::vector<prometheus::MetricFamily>& families);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_LIVE_SOURCE_H_
