// An incident as JSON, for the store and for whoever asks over HTTP; and read back from the store.
//
// Thread: any. Times are milliseconds since 1970. Errors: a text that is none gives nothing.
#ifndef BULKHEAD_PROXY_CONTROL_INCIDENT_JSON_H_
#define BULKHEAD_PROXY_CONTROL_INCIDENT_JSON_H_

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/control/incident_log.h"

namespace bulkhead::control {

[[nodiscard]] nlohmann::ordered_json IncidentJson(const Incident& incident);
// What is no UTF-8 becomes U+FFFD.
[[nodiscard]] std::string IncidentText(const Incident& incident);
[[nodiscard]] std::optional<Incident> ParseIncident(std::string_view text);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_INCIDENT_JSON_H_
