// One line of the log: how it travels from its caller to the writing thread, and its forms.
//
// Purpose: pure. A record is packed into one text (spdlog's queue carries nothing else) and
// rendered on the writing thread: as text, as JSON, with the journal's priority in front.
// Thread: any. Limits: log.h's. Errors: bytes that are no UTF-8 become U+FFFD in JSON; control
// characters are shown as \n, \t or \xNN in text, so that nobody can forge a line.
#ifndef BULKHEAD_PROXY_LOG_LINE_H_
#define BULKHEAD_PROXY_LOG_LINE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/log/log.h"

namespace bulkhead::log {

// Packed: message, event, key of repeats, fields as the inside of a JSON object.
[[nodiscard]] std::string Pack(const Event& event, Fields fields, std::string_view message);

struct Record {
  std::string_view message{};
  std::string_view event{};   // empty: a line of somebody else's
  std::string_view key{};     // of repeats; empty: every one is wanted
  std::string_view fields{};  // JSON without braces, beginning with a comma; or empty
};
// Views into `packed`. A text that was not packed is a message and nothing else.
[[nodiscard]] Record Unpack(std::string_view packed);

struct Stamp {
  int64_t unix_ms = 0;
  Level level = Level::kInfo;
  uint64_t repeated = 0;  // lines like this one that were held back before it
};

// With its line break. `journal`: the journal has time and level of its own, given by a prefix.
[[nodiscard]] std::string RenderText(const Record& record, const Stamp& stamp, bool journal);
[[nodiscard]] std::string RenderJson(const Record& record, const Stamp& stamp, bool journal);

// "2026-11-01T06:49:12.345Z"
[[nodiscard]] std::string TimeText(int64_t unix_ms);

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_LINE_H_
