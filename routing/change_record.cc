#include <array>
#include <charconv>
#include <utility>

#include "absl/strings/str_cat.h"
#include "routing/primary_change.h"

namespace bulkhead::routing {

namespace {

constexpr std::array<std::string_view, kChangeSteps> kWords = {
    "inspect",        "hold",     "drain",    "end running",    "freeze old",     "end privileged",
    "read position",  "catch up", "fence",    "stop receiving", "apply received", "detach",
    "promote",        "confirm",  "publish",  "prove",          "release",        "repoint",
    "keep semi-sync", "settle",   "thaw old", "reattach"};

constexpr std::string_view kVersion = "bulkhead change 1";

// Values are one line each: backslash and line end are escaped.
std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::optional<std::string> Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    if (++i == text.size() || (text[i] != '\\' && text[i] != 'n')) return std::nullopt;
    out += text[i] == 'n' ? '\n' : '\\';
  }
  return out;
}

struct Field {
  std::string_view name;
  std::string* text = nullptr;
  bool* flag = nullptr;
};

// In the order in which they are written.
std::array<Field, 17> FieldsOf(ChangeRecord* record, std::string* step, std::string* kind,
                               std::string* timeout, std::string* fence_timeout) {
  ChangePlan& plan = record->plan;
  return {{{"kind", kind},
           {"shard", &plan.shard},
           {"old", &plan.old_primary},
           {"candidate", &plan.candidate},
           {"timeout", timeout},
           {"fence_timeout", fence_timeout},
           {"data_loss", nullptr, &plan.accept_data_loss},
           {"split_brain", nullptr, &plan.accept_split_brain},
           {"fence", nullptr, &plan.fence_configured},
           {"step", step},
           {"server", &record->server},
           {"undoing", nullptr, &record->undoing},
           {"promoted", nullptr, &record->promoted},
           {"semi_sync", nullptr, &record->semi_sync},
           {"fenced", nullptr, &record->fenced},
           {"position", &record->position},
           {"saved", &record->saved}}};
}

bool TakeField(const Field& field, std::string_view value) {
  if (field.flag != nullptr) {
    if (value != "0" && value != "1") return false;
    *field.flag = value == "1";
    return true;
  }
  std::optional<std::string> text = Unescaped(value);
  if (!text) return false;
  *field.text = *std::move(text);
  return true;
}

bool TakeMillis(const std::string& text, Duration* out) {
  int64_t millis = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), millis);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || millis < 0 ||
      millis > int64_t{1} << 40) {
    return false;
  }
  *out = std::chrono::milliseconds(millis);
  return true;
}

}  // namespace

std::string_view ToString(ChangeStep step) { return kWords[static_cast<size_t>(step)]; }

std::optional<ChangeStep> ChangeStepOf(std::string_view word) {
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (kWords[i] == word) return static_cast<ChangeStep>(i);
  }
  return std::nullopt;
}

std::string_view ToString(ChangeKind kind) {
  return kind == ChangeKind::kSwitchover ? "switchover" : "failover";
}

std::string_view ToString(ChangeOutcome outcome) {
  switch (outcome) {
    case ChangeOutcome::kRunning:
      return "running";
    case ChangeOutcome::kFinished:
      return "finished";
    case ChangeOutcome::kRefused:
      return "refused";
    case ChangeOutcome::kDryRun:
      return "dry run";
    case ChangeOutcome::kPutBack:
      return "put back";
    case ChangeOutcome::kFrozen:
      return "frozen";
  }
  return "";
}

std::string EncodeChange(const ChangeRecord& record) {
  ChangeRecord copy = record;
  std::string step(ToString(record.step));
  std::string kind(ToString(record.plan.kind));
  std::string timeout = std::to_string(ToMillis(record.plan.timeout));
  std::string fence_timeout = std::to_string(ToMillis(record.plan.fence_timeout));
  std::string out = absl::StrCat(absl::string_view(kVersion.data(), kVersion.size()), "\n");
  for (const Field& field : FieldsOf(&copy, &step, &kind, &timeout, &fence_timeout)) {
    out.append(field.name).append("=");
    out.append(field.flag != nullptr ? (*field.flag ? "1" : "0") : Escaped(*field.text));
    out += '\n';
  }
  for (const std::string& other : record.plan.others) out += "other=" + Escaped(other) + "\n";
  return out + "why=" + Escaped(record.why) + "\n";
}

std::optional<ChangeRecord> DecodeChange(std::string_view text) {
  ChangeRecord record;
  std::string step;
  std::string kind;
  std::string timeout;
  std::string fence_timeout;
  const auto fields = FieldsOf(&record, &step, &kind, &timeout, &fence_timeout);
  size_t next = 0;
  bool begun = false;
  bool ended = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos || ended) return std::nullopt;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (!std::exchange(begun, true)) {
      if (line != kVersion) return std::nullopt;
      continue;
    }
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) return std::nullopt;
    const std::string_view name = line.substr(0, equals);
    const std::string_view value = line.substr(equals + 1);
    if (next < fields.size()) {
      if (name != fields[next].name || !TakeField(fields[next], value)) return std::nullopt;
      ++next;
    } else if (name == "other") {
      if (!TakeField({"other", &record.plan.others.emplace_back()}, value)) return std::nullopt;
    } else {
      if (name != "why" || !TakeField({"why", &record.why}, value)) return std::nullopt;
      ended = true;
    }
  }
  const std::optional<ChangeStep> at = ChangeStepOf(step);
  if (!ended || !at || !TakeMillis(timeout, &record.plan.timeout) ||
      !TakeMillis(fence_timeout, &record.plan.fence_timeout) ||
      (kind != "switchover" && kind != "failover")) {
    return std::nullopt;
  }
  record.step = *at;
  record.plan.kind = kind == "failover" ? ChangeKind::kFailover : ChangeKind::kSwitchover;
  return record;
}

}  // namespace bulkhead::routing
