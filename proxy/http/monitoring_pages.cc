#include "proxy/http/monitoring_pages.h"

#include <utility>

namespace bulkhead::http {

Pages MonitoringPages(const metrics::Registry* registry, NotReadyReason not_ready) {
  Pages pages;
  pages["/metrics"] = [registry](const Request&) {
    return Response{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                    .shared_body = registry->SharedText()};
  };
  pages["/healthz"] = [](const Request&) { return Response{.body = "ok\n"}; };
  pages["/readyz"] = [not_ready = std::move(not_ready)](const Request&) {
    const std::string reason = not_ready ? not_ready() : "";
    if (reason.empty()) return Response{.body = "ready\n"};
    return Response{.status = 503, .body = "not ready: " + reason + "\n"};
  };
  return pages;
}

}  // namespace bulkhead::http
