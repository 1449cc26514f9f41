#include "proxy/admin/values.h"

#include "proxy/config/values.h"

namespace bulkhead::admin {

std::optional<routing::Duration> ParseDuration(std::string_view text) {
  std::optional<routing::Duration> duration = config::ParseDuration(text);
  if (!duration.has_value()) {
    const std::optional<uint64_t> seconds = config::ParseNumber(text);
    constexpr uint64_t kMost = uint64_t{3650} * 24 * 3600;
    if (!seconds.has_value() || *seconds > kMost) return std::nullopt;
    duration = std::chrono::seconds(*seconds);
  }
  if (*duration <= routing::Duration::zero()) return std::nullopt;
  return duration;
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  const std::optional<uint64_t> size = config::ParseSize(text);
  return size.has_value() ? size : config::ParseNumber(text);
}

std::optional<std::pair<uint16_t, uint16_t>> ParseSlots(std::string_view text) {
  const size_t dots = text.find("..");
  const std::optional<uint64_t> first = config::ParseNumber(text.substr(0, dots));
  const std::optional<uint64_t> last =
      dots == std::string_view::npos ? first : config::ParseNumber(text.substr(dots + 2));
  if (!first.has_value() || !last.has_value() || *first > *last || *last >= routing::kSlots)
    return std::nullopt;
  return std::pair(static_cast<uint16_t>(*first), static_cast<uint16_t>(*last));
}

std::optional<routing::Address> ParseAddress(std::string_view text) {
  absl::StatusOr<routing::Address> address = routing::ParseAddress(text);
  if (!address.ok()) return std::nullopt;
  return *std::move(address);
}

std::string TenantProblem(std::string_view name) {
  const std::string_view problem = routing::TenantNameProblem(name);
  return problem.empty()
             ? std::string()
             : "'" + std::string(name) + "' is no tenant's name: " + std::string(problem);
}

}  // namespace bulkhead::admin
