// Other routers in front of the same servers, as their canary rows show them.
//
// Pure; any thread. Two clocks must agree that one lives: the server's own, by which its row is
// compared with the newest one, and ours, since the server's newest row stands still once nobody
// can write there any more.
#ifndef BULKHEAD_PROXY_CONTROL_OTHER_ROUTERS_H_
#define BULKHEAD_PROXY_CONTROL_OTHER_ROUTERS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "routing/mono_time.h"

namespace bulkhead::control {

struct OtherRouter {
  std::string id;
  uint64_t number = 0;          // its canary's: raised with each
  int64_t behind_seconds = 0;   // its canary, of the newest one that the server has
  routing::MonoTime changed{};  // when the number was first seen, by our clock
};

// What was read now takes the place of what was known.
[[nodiscard]] std::vector<OtherRouter> Followed(const std::vector<OtherRouter>& known,
                                                std::vector<OtherRouter> read,
                                                routing::MonoTime now);
[[nodiscard]] bool IsAlive(const OtherRouter& router, routing::MonoTime now);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_OTHER_ROUTERS_H_
