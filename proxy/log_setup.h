// The process's log as the configuration says.
//
// Purpose: at start and at each reload; a reload opens the file again, so that a rotated one is let
// go. Thread: the main thread. Errors: in words; the log then stays as it was.
#ifndef BULKHEAD_PROXY_LOG_SETUP_H_
#define BULKHEAD_PROXY_LOG_SETUP_H_

#include <string>

#include "proxy/config/options.h"

namespace bulkhead {

// "" or what is wrong.
[[nodiscard]] std::string SetUpLog(const config::Log& log);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_LOG_SETUP_H_
