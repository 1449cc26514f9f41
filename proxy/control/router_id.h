// The name of this router in the canary table: 16 hexadecimal digits, kept in `state_dir` so that a
// restart goes on with the same row. Thread: the main thread at start. Where the folder can't be
// written, a new one each time.
#ifndef BULKHEAD_PROXY_CONTROL_ROUTER_ID_H_
#define BULKHEAD_PROXY_CONTROL_ROUTER_ID_H_

#include <string>

namespace bulkhead::control {

[[nodiscard]] std::string RouterId(const std::string& state_dir);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_ROUTER_ID_H_
