// /api/v1/: what the status page shows, as JSON. docs/API.md describes it.
//
// Thread: pages are called on the HTTP server's threads. `source` and `sampler` outlive the server.
#ifndef BULKHEAD_PROXY_HTTP_API_PAGES_H_
#define BULKHEAD_PROXY_HTTP_API_PAGES_H_

#include "proxy/http/fleet_sampler.h"
#include "proxy/http/fleet_source.h"
#include "proxy/http/http_server.h"

namespace bulkhead::http {

void AddApiPages(const FleetSource* source, const FleetSampler* sampler, Pages* pages);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_API_PAGES_H_
