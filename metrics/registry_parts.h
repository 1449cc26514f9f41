// What a scrape is made of: private to the registry.
//
// Purpose: registry.cc adds up what workers count, registry_views.cc what others have put together.
// Thread: the scraping one.
#ifndef BULKHEAD_METRICS_REGISTRY_PARTS_H_
#define BULKHEAD_METRICS_REGISTRY_PARTS_H_

#include "metrics/registry.h"
#include "metrics/sink.h"

namespace bulkhead::metrics {

void AddHealth(const HealthView& view, Sink* out);
void AddTopology(const TopologyView& topology, Sink* out);
void AddControl(const ControlMetrics& control, const TopologyView& topology, Sink* out);
void AddTenant(const TenantBoard::Tenant& tenant, Sink* out);
void AddProcess(const Registry::Options& options, Sink* out);

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_REGISTRY_PARTS_H_
