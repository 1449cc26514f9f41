// Texts of single values in admin statements. Pure; any thread. nullopt: not valid.
#ifndef BULKHEAD_PROXY_ADMIN_VALUES_H_
#define BULKHEAD_PROXY_ADMIN_VALUES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "routing/mono_time.h"
#include "routing/topology.h"

namespace bulkhead::admin {

// "30s", "500ms", "5m": a whole number with a unit; or a whole number of seconds. Above zero.
[[nodiscard]] std::optional<routing::Duration> ParseDuration(std::string_view text);
// "64MiB", or a whole number of bytes.
[[nodiscard]] std::optional<uint64_t> ParseSize(std::string_view text);
// "0..1023" or "7".
[[nodiscard]] std::optional<std::pair<uint16_t, uint16_t>> ParseSlots(std::string_view text);
[[nodiscard]] std::optional<routing::Address> ParseAddress(std::string_view text);
// "" or why this can't be a tenant's name.
[[nodiscard]] std::string TenantProblem(std::string_view name);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_VALUES_H_
