// The pages a monitoring system asks for: /metrics, /healthz, /readyz.
//
//   /metrics   Prometheus text format 0.0.4
//   /healthz   200 while the process can answer at all
//   /readyz    200 when clients can be served; otherwise 503 and the reason
//
// Thread: `ready` is called on the HTTP server's threads.
#ifndef BULKHEAD_PROXY_HTTP_MONITORING_PAGES_H_
#define BULKHEAD_PROXY_HTTP_MONITORING_PAGES_H_

#include <functional>
#include <string>

#include "metrics/registry.h"
#include "proxy/http/http_server.h"

namespace bulkhead::http {

// Why the process is not ready, in words for an operator ("draining", "listener not open yet").
// Empty: ready.
using NotReadyReason = std::function<std::string()>;

// `registry` must outlive the server that serves these pages.
[[nodiscard]] Pages MonitoringPages(const metrics::Registry* registry, NotReadyReason not_ready);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_MONITORING_PAGES_H_
