#include "proxy/control/auto_failover.h"

#include <algorithm>

namespace bulkhead::control {

namespace {

std::string Against(const AutoFailoverView& view) {
  if (!view.fence_configured)
    return "no fence command is configured for " + view.primary +
           ", and an automatic failover never goes without";
  if (view.all_bad)
    return "every backend is bad at once: perhaps it is this machine or its network";
  if (view.heard_elsewhere)
    return view.primary + " is still heard by others: it is not dead, or not for everybody";
  return {};
}

}  // namespace

std::optional<std::string> AutoFailover::Choose(const AutoFailoverView& view,
                                                routing::Duration after, routing::MonoTime now,
                                                std::string* why_not) {
  why_not->clear();
  if (view.mode == routing::FailoverMode::kManual || !view.primary_down) {
    outages_.erase(view.shard);
    return std::nullopt;
  }
  Outage& outage = outages_[view.shard];
  if (outage.since != view.down_since) outage = {.since = view.down_since};
  if (now - view.down_since < after || view.under_way) return std::nullopt;
  const auto tell = [&](const std::string& why) {
    if (outage.told.insert(why).second) *why_not = why;
  };
  if (const std::string against = Against(view); !against.empty()) {
    tell(against);
    return std::nullopt;
  }
  std::vector<AutoFailoverView::Replica> replicas = view.replicas;
  std::erase_if(replicas, [&](const auto& replica) {
    return !replica.up || outage.tried.contains(replica.name);
  });
  if (replicas.empty()) {
    tell(outage.tried.empty() ? "no replica of it is up"
                              : "every replica that is up was tried: FAILOVER it by hand");
    return std::nullopt;
  }
  const auto best =
      std::max_element(replicas.begin(), replicas.end(),
                       [](const auto& a, const auto& b) { return a.received < b.received; });
  outage.tried.insert(best->name);
  return best->name;
}

}  // namespace bulkhead::control
