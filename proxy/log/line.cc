#include "proxy/log/line.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/string_view.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

namespace bulkhead::log {

namespace {

// Between the parts of a packed line; in no part, since it is replaced in messages and escaped in
// JSON.
constexpr char kSeparator = '\x1f';

absl::string_view A(std::string_view s) { return {s.data(), s.size()}; }

std::string Quoted(std::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ValueText(const Field::Value& value) {
  struct Visitor {
    std::string operator()(std::string_view text) const { return Quoted(text); }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(uint64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return nlohmann::json(number).dump(); }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
  };
  return std::visit(Visitor{}, value);
}

// Not in the middle of a character, where it is UTF-8.
std::string_view Cut(std::string_view text, size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<uint8_t>(text[max]) & 0xC0) == 0x80) --max;
  return text.substr(0, max);
}

void AppendWithoutSeparator(std::string_view text, std::string* out) {
  for (const char c : text) out->push_back(c == kSeparator ? ' ' : c);
}

// <N> of sd-daemon(3): syslog's numbers.
std::string_view Priority(Level level) {
  switch (level) {
    case Level::kDebug:
      return "<7>";
    case Level::kInfo:
      return "<6>";
    case Level::kWarn:
      return "<4>";
    case Level::kError:
      return "<3>";
  }
  return "";
}

void AppendPrintable(std::string_view text, std::string* out) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '\n') {
      out->append("\\n");
    } else if (c == '\t') {
      out->append("\\t");
    } else if (byte < 0x20 || byte == 0x7f) {
      std::array<char, 5> escaped;
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
      out->append(escaped.data());
    } else {
      out->push_back(c);
    }
  }
}

}  // namespace

std::string Pack(const Event& event, Fields fields, std::string_view message) {
  std::string packed;
  packed.reserve(message.size() + 128);
  AppendWithoutSeparator(Cut(message, kMaxMessage), &packed);
  absl::StrAppend(&packed, A({&kSeparator, 1}), A(event.name), A({&kSeparator, 1}));
  if (event.repeat == Repeat::kLimited) {
    absl::StrAppend(&packed, A(event.name), " ");
    if (fields.size() > 0) {
      if (const auto* text = std::get_if<std::string_view>(&fields.begin()->value))
        AppendWithoutSeparator(Cut(*text, 256), &packed);
    }
  }
  packed.push_back(kSeparator);
  for (const Field& field : fields) {
    packed.push_back(',');
    absl::StrAppend(&packed, Quoted(field.name), ":", ValueText(field.value));
  }
  return packed;
}

Record Unpack(std::string_view packed) {
  Record record;
  std::array<std::string_view*, 4> parts = {&record.message, &record.event, &record.key,
                                            &record.fields};
  for (std::string_view* part : parts) {
    const size_t end = part == parts.back() ? packed.size() : packed.find(kSeparator);
    *part = packed.substr(0, end);
    if (end == std::string_view::npos || end == packed.size()) return record;
    packed.remove_prefix(end + 1);
  }
  return record;
}

std::string TimeText(int64_t unix_ms) {
  const auto seconds = static_cast<std::time_t>(unix_ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::array<char, 32> text;
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &utc);
  std::array<char, 8> millis;
  std::snprintf(millis.data(), millis.size(), ".%03dZ", static_cast<int>(unix_ms % 1000));
  return std::string(text.data(), size) + millis.data();
}

std::string RenderText(const Record& record, const Stamp& stamp, bool journal) {
  std::string line;
  if (journal) {
    line = Priority(stamp.level);
  } else {
    absl::StrAppend(&line, TimeText(stamp.unix_ms), " ",
                    A(kLevelNames[static_cast<size_t>(stamp.level)]), " ");
  }
  AppendPrintable(record.message, &line);
  if (stamp.repeated > 0) absl::StrAppend(&line, " (repeated ", stamp.repeated, " times)");
  line.push_back('\n');
  return line;
}

std::string RenderJson(const Record& record, const Stamp& stamp, bool journal) {
  std::string line;
  if (journal) line = Priority(stamp.level);
  absl::StrAppend(&line, "{\"time\":\"", TimeText(stamp.unix_ms), "\",\"level\":\"",
                  A(kLevelNames[static_cast<size_t>(stamp.level)]), "\"");
  if (!record.event.empty()) absl::StrAppend(&line, ",\"event\":", Quoted(record.event));
  absl::StrAppend(&line, ",\"message\":", Quoted(record.message));
  absl::StrAppend(&line, A(record.fields));
  if (stamp.repeated > 0) absl::StrAppend(&line, ",\"repeated\":", stamp.repeated);
  absl::StrAppend(&line, "}\n");
  return line;
}

}  // namespace bulkhead::log
