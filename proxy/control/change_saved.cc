#include "proxy/control/change_saved.h"

#include <algorithm>

#include "absl/strings/str_split.h"
#include "routing/abseil_view.h"

namespace bulkhead::control {

namespace {

// A line a fact, its parts separated by tabs; tab, line end and backslash are escaped.
constexpr std::string_view kVersion = "saved 1";

void AddLine(const std::vector<std::string>& parts, std::string* out) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) *out += '\t';
    for (const char c : parts[i]) {
      switch (c) {
        case '\t':
          *out += "\\t";
          break;
        case '\n':
          *out += "\\n";
          break;
        case '\\':
          *out += "\\\\";
          break;
        default:
          *out += c;
      }
    }
  }
  *out += '\n';
}

std::optional<std::string> Unescaped(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '\\') {
      out += part[i];
      continue;
    }
    if (++i == part.size()) return std::nullopt;
    switch (part[i]) {
      case 't':
        out += '\t';
        break;
      case 'n':
        out += '\n';
        break;
      case '\\':
        out += '\\';
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

bool TakeLine(const std::vector<std::string>& parts, SavedForChange* saved) {
  const std::string& kind = parts[0];
  if (kind == "flags" && parts.size() == 4) {
    saved->scheduler_was_on = parts[1] == "1";
    saved->events_known = parts[2] == "1";
    saved->semi_sync_old_words = parts[3] == "1";
    return true;
  }
  if (kind == "event" && parts.size() == 6) {
    saved->events.push_back({.schema = parts[1],
                             .name = parts[2],
                             .definer = parts[3],
                             .charset = parts[4],
                             .collation = parts[5],
                             .enabled = true});
    return true;
  }
  if (kind == "follow" && parts.size() == 3) {
    saved->follow.emplace_back(parts[1], parts[2]);
    return true;
  }
  if (kind == "source" && parts.size() == 4) {
    saved->source_host = parts[1];
    saved->source_port = parts[2];
    saved->source_server_id = parts[3];
    return true;
  }
  if (kind == "semi" && parts.size() == 3)
    return saved->semi_sync.emplace(parts[1], parts[2]).second;
  return false;
}

std::string Flag(bool flag) { return flag ? "1" : "0"; }

}  // namespace

bool operator==(const SavedForChange& a, const SavedForChange& b) {
  return EncodeSaved(a) == EncodeSaved(b);
}

std::string EncodeSaved(const SavedForChange& saved) {
  std::string out;
  AddLine({std::string(kVersion)}, &out);
  AddLine({"flags", Flag(saved.scheduler_was_on), Flag(saved.events_known),
           Flag(saved.semi_sync_old_words)},
          &out);
  for (const ServerEvent& event : saved.events) {
    AddLine({"event", event.schema, event.name, event.definer, event.charset, event.collation},
            &out);
  }
  for (const auto& [name, value] : saved.follow) AddLine({"follow", name, value}, &out);
  if (!saved.source_host.empty())
    AddLine({"source", saved.source_host, saved.source_port, saved.source_server_id}, &out);
  for (const auto& [name, value] : saved.semi_sync) AddLine({"semi", name, value}, &out);
  return out;
}

std::optional<SavedForChange> DecodeSaved(std::string_view text) {
  SavedForChange saved;
  bool begun = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!std::exchange(begun, true)) {
      if (line != kVersion) return std::nullopt;
      continue;
    }
    std::vector<std::string> parts;
    for (absl::string_view part : absl::StrSplit(routing::Abs(line), '\t')) {
      std::optional<std::string> value = Unescaped({part.data(), part.size()});
      if (!value.has_value()) return std::nullopt;
      parts.push_back(*std::move(value));
    }
    if (!TakeLine(parts, &saved)) return std::nullopt;
  }
  if (!begun) return std::nullopt;
  return saved;
}

}  // namespace bulkhead::control
