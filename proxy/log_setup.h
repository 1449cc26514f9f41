// The process's log as the configuration says: level, format, file.
//
// Purpose: at start and at each reload; a reload opens the file again, so that a rotated one is let
// go. One line an event: in JSON the message is a string with everything escaped, in text control
// characters are replaced, so that nothing that a client sent can begin a line of its own.
// Thread: the main thread. Errors: in words; the log then stays as it was.
#ifndef BULKHEAD_PROXY_LOG_SETUP_H_
#define BULKHEAD_PROXY_LOG_SETUP_H_

#include <string>
#include <string_view>

#include "proxy/config/options.h"

namespace bulkhead {

// "" or what is wrong.
[[nodiscard]] std::string SetUpLog(const config::Log& log);

// The message as it stands in a log line.
[[nodiscard]] std::string JsonEscaped(std::string_view text);
[[nodiscard]] std::string TextEscaped(std::string_view text);

}  // namespace bulkhead

#endif  // BULKHEAD_PROXY_LOG_SETUP_H_
