// The log: one line an event, with its fields apart, as text or as JSON.
//
// Purpose: callers say what happened (an event's name), about what (fields) and in words; whoever
// reads decides on the form. Nothing here waits: lines go through a bounded queue to a thread of
// their own; if it is full, the oldest are dropped and counted.
// Threads: any, once Start has returned; before it and after Stop lines go to standard error as
// they are.
// Limits: kQueue lines wait; kMaxMessage bytes of a message, more is cut. Lines that may repeat
// (Repeat::kLimited, events.h) are held back above `max_repeats` in ten seconds for the same event
// and first field, and counted: the next one says "(repeated N times)". Errors: a line that can't
// be written is dropped and counted. Secrets: never a field, never in a message; texts of
// statements only as digests (proxy/sql). Sources: sd-daemon(3) for priority prefixes,
// systemd.exec(5) for JOURNAL_STREAM; RFC 8259.
#ifndef BULKHEAD_PROXY_LOG_LOG_H_
#define BULKHEAD_PROXY_LOG_LOG_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "proxy/log/events.h"

namespace bulkhead::log {

inline constexpr size_t kQueue = 8192;
inline constexpr size_t kMaxMessage = 8192;

enum class Level : uint8_t { kDebug, kInfo, kWarn, kError };
inline constexpr std::array<std::string_view, 4> kLevelNames = {"debug", "info", "warn", "error"};

enum class Format : uint8_t { kText, kJson };

struct Options {
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::string file{};         // empty: standard error
  uint32_t max_repeats = 10;  // in ten seconds; 0: no limit
};

// "" or what is wrong; then all is as it was. The first time the main thread's, before others are
// made; later, with other options, any thread's: the file is opened anew.
[[nodiscard]] std::string Start(const Options& options);
// Writes what waits, and ends the thread. The main thread, after others have ended.
void Stop();
// Opens the file anew (after logrotate has moved it). If that fails, the old one stays and gets a
// line that says so.
void Reopen();
void SetLevel(Level level);

struct Field {
  using Value = std::variant<std::string_view, int64_t, uint64_t, double, bool>;

  Field(std::string_view field, std::string_view text) : name(field), value(text) {}
  Field(std::string_view field, const char* text) : name(field), value(std::string_view(text)) {}
  Field(std::string_view field, const std::string& text)
      : name(field), value(std::string_view(text)) {}
  Field(std::string_view field, bool flag) : name(field), value(flag) {}
  Field(std::string_view field, double number) : name(field), value(number) {}
  template <typename Integer>
  requires std::is_integral_v<Integer> Field(std::string_view field, Integer number) : name(field) {
    if constexpr (std::is_signed_v<Integer>) {
      value = static_cast<int64_t>(number);
    } else {
      value = static_cast<uint64_t>(number);
    }
  }

  std::string_view name;  // snake_case; none of time, level, event, message, repeated
  Value value;
};
using Fields = std::initializer_list<Field>;

[[nodiscard]] bool Enabled(Level level);
void Write(Level level, const Event& event, Fields fields, std::string_view message);

inline void Debug(const Event& event, Fields fields, std::string_view message) {
  if (Enabled(Level::kDebug)) Write(Level::kDebug, event, fields, message);
}
inline void Info(const Event& event, Fields fields, std::string_view message) {
  Write(Level::kInfo, event, fields, message);
}
inline void Warn(const Event& event, Fields fields, std::string_view message) {
  Write(Level::kWarn, event, fields, message);
}
inline void Error(const Event& event, Fields fields, std::string_view message) {
  Write(Level::kError, event, fields, message);
}

// Since the start. Any thread.
struct Counts {
  std::array<uint64_t, kLevelNames.size()> lines{};  // written, by level
  uint64_t held_back = 0;                            // repeats
  uint64_t dropped = 0;                              // the queue was full, or writing failed
};
[[nodiscard]] Counts Counted();

}  // namespace bulkhead::log

#endif  // BULKHEAD_PROXY_LOG_LOG_H_
