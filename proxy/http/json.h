// JSON as the pages write it.
//
// Purpose: nlohmann's, with keys in the order in which they are put. Thread: any. Errors: none:
// bytes that are no UTF-8 become U+FFFD, a number that is none becomes null.
#ifndef BULKHEAD_PROXY_HTTP_JSON_H_
#define BULKHEAD_PROXY_HTTP_JSON_H_

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace bulkhead::http {

using Json = nlohmann::ordered_json;

[[nodiscard]] inline std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Three significant digits are enough for a plot, and make short texts.
[[nodiscard]] inline Json Rounded(double value) {
  if (!std::isfinite(value)) return nullptr;
  if (value == 0) return 0;
  const double scale = std::pow(10, std::floor(std::log10(std::abs(value))) - 2);
  const double rounded = scale < 1 ? std::round(value / scale) / std::round(1 / scale)
                                   : std::round(value / scale) * scale;
  if (rounded == std::floor(rounded) && std::abs(rounded) < 1e15)
    return static_cast<int64_t>(rounded);
  return rounded;
}

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_JSON_H_
