// The one place where a std::string_view becomes an absl::string_view: Debian 12's Abseil has a
// type of its own. Pure; any thread.
#ifndef BULKHEAD_ROUTING_ABSEIL_VIEW_H_
#define BULKHEAD_ROUTING_ABSEIL_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace bulkhead::routing {

inline absl::string_view Abs(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_ABSEIL_VIEW_H_
