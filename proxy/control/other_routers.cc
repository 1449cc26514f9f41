#include "proxy/control/other_routers.h"

#include <algorithm>

namespace bulkhead::control {

std::vector<OtherRouter> Followed(const std::vector<OtherRouter>& known,
                                  std::vector<OtherRouter> read, routing::MonoTime now) {
  for (OtherRouter& router : read) {
    const auto before = std::find_if(known.begin(), known.end(),
                                     [&](const OtherRouter& o) { return o.id == router.id; });
    const bool same = before != known.end() && before->number == router.number;
    router.changed = same ? before->changed : now;
  }
  return read;
}

bool IsAlive(const OtherRouter& router, routing::MonoTime now) {
  // Three times as long as the usual pause between two canaries.
  constexpr int64_t kAliveSeconds = 30;
  return router.behind_seconds <= kAliveSeconds &&
         now - router.changed <= std::chrono::seconds(kAliveSeconds);
}

}  // namespace bulkhead::control
