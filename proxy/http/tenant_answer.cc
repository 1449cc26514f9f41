#include "proxy/http/tenant_answer.h"

#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>

#include <algorithm>
#include <vector>

namespace bulkhead::http {

namespace {

using metrics::ShardState;

std::string_view OriginName(routing::TenantOrigin origin) {
  switch (origin) {
    case routing::TenantOrigin::kUnknown:
      return "unknown";
    case routing::TenantOrigin::kDirectory:
      return "directory";
    case routing::TenantOrigin::kSlot:
      return "slot";
    case routing::TenantOrigin::kDefault:
      return "default";
  }
  return "";
}

std::string Consequence(ShardState state) {
  switch (state) {
    case ShardState::kServing:
      return "It is served.";
    case ShardState::kHeld:
      return "Its new statements are held: they wait, and run when the shard serves again or are "
             "refused when they have waited too long.";
    case ShardState::kRejected:
      return "Its new statements are refused at once, not executed.";
    case ShardState::kReadsOnly:
      return "Its reads are served; its writes are held or refused.";
    case ShardState::kReleasing:
      return "Held statements are being let go; it is served, if slower.";
    case ShardState::kShedding:
      return "The server has no connections to spare: some of its statements are refused.";
  }
  return "";
}

const metrics::ShardView* FindView(const metrics::HealthView* health, const std::string& shard) {
  if (health == nullptr) return nullptr;
  const auto it = std::find_if(health->shards.begin(), health->shards.end(),
                               [&](const metrics::ShardView& view) { return view.name == shard; });
  return it == health->shards.end() ? nullptr : &*it;
}

Json Usage(const FleetSource& source, const std::string& tenant) {
  const routing::TenantLimit limit = source.LimitOf(tenant);
  const routing::TenantLimits::Usage usage = source.UsageOf(tenant);
  if (!limit.any()) return nullptr;
  Json json;
  json["sessions"] = usage.sessions;
  json["most_sessions"] = limit.sessions;
  json["running"] = usage.running;
  json["most_running"] = limit.running;
  json["most_per_second"] = limit.per_second;
  json["refused"] = usage.refused;
  return json;
}

}  // namespace

Json TenantAnswer(const FleetSource& source, const std::string& tenant) {
  Json json;
  json["tenant"] = tenant;
  const auto topology = source.Topology();
  const std::string_view problem = routing::TenantNameProblem(tenant);
  const routing::LookupResult found =
      problem.empty() ? topology->FindTenant(tenant) : routing::LookupResult{};
  json["known"] = found.found();
  json["origin"] = OriginName(found.origin);
  const routing::Shard* shard = found.found() ? topology->shard(found.shard) : nullptr;
  if (shard == nullptr) {
    json["affected"] = false;
    json["sentence"] =
        absl::StrCat("No tenant '", tenant, "' is known here: ",
                     problem.empty() ? "it has no entry, and tenants without one are refused."
                                     : absl::StrCat("a name ", std::string(problem), "."));
    return json;
  }
  const auto health = source.Health();
  const metrics::ShardView* view = FindView(health.get(), shard->name);
  const ShardState state = view == nullptr ? ShardState::kHeld : view->state;
  const routing::Backend* primary = topology->backend(shard->primary);
  json["shard"] = shard->name;
  json["backend"] = primary == nullptr ? "" : primary->name;
  if (found.origin == routing::TenantOrigin::kSlot)
    json["slot"] = routing::StableTenantHash(tenant) >> 52;
  json["state"] = metrics::kShardStateNames[static_cast<size_t>(state)];
  json["affected"] = state != ShardState::kServing;
  json["why"] = view == nullptr ? "" : view->text;
  json["limits"] = Usage(source, tenant);
  json["sentence"] =
      absl::StrCat("Tenant ", tenant, " is on shard ", shard->name, ", backend ",
                   primary == nullptr ? "?" : primary->name, ". ", Consequence(state));
  return json;
}

Json FindTenants(const FleetSource& source, std::string_view part, const std::string& shard,
                 size_t most) {
  const auto topology = source.Topology();
  const routing::Shard* wanted = shard.empty() ? nullptr : topology->FindShard(shard);
  std::vector<std::string> names;
  bool more = false;
  size_t looked = 0;
  const std::string low = absl::AsciiStrToLower(absl::string_view(part.data(), part.size()));
  if (shard.empty() || wanted != nullptr) {
    topology->directory().ForEach([&](std::string_view name, const routing::TenantRecord& record) {
      if (++looked > kMostLooked) {
        more = true;
        return false;
      }
      if (wanted != nullptr && record.shard != wanted->id) return true;
      if (!low.empty() &&
          absl::AsciiStrToLower(absl::string_view(name.data(), name.size())).find(low) ==
              std::string::npos) {
        return true;
      }
      if (names.size() == most) {
        more = true;
        return false;
      }
      names.emplace_back(name);
      return true;
    });
  }
  std::sort(names.begin(), names.end());
  Json json;
  json["tenants"] = names;
  json["more"] = more;
  return json;
}

}  // namespace bulkhead::http
