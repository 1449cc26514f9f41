// An incident for a post-mortem: its moments and what operators did meanwhile, as JSON and as
// Markdown.
//
// Purpose: the incident's own timeline joined with the operations on its shards and the statements
// of operators between its beginning and its end, by time. Pure. Thread: any.
#ifndef BULKHEAD_PROXY_HTTP_INCIDENT_REPORT_H_
#define BULKHEAD_PROXY_HTTP_INCIDENT_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "proxy/control/event_log.h"
#include "proxy/control/incident_log.h"
#include "proxy/http/json.h"

namespace bulkhead::http {

// The incident with the moments of operations and operators among its own.
[[nodiscard]] control::Incident WithOperators(control::Incident incident,
                                              const std::vector<control::Operation>& operations,
                                              const std::vector<control::Event>& events);

[[nodiscard]] Json IncidentReport(const control::Incident& incident);
// `router`: its id and version, for the heading.
[[nodiscard]] std::string IncidentMarkdown(const control::Incident& incident,
                                           const std::string& router);

// "3 h 12 min", "12.4 s", "350 ms"
[[nodiscard]] std::string SpanText(int64_t ms);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_INCIDENT_REPORT_H_
