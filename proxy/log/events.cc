#include "proxy/log/events.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>

namespace bulkhead::log {

std::string RenderEventTable() {
  const auto view = [](std::string_view text) {
    return absl::string_view(text.data(), text.size());
  };
  std::string out = "| event | fields | meaning |\n|---|---|---|\n";
  for (const Event* event : kEvents) {
    std::string fields;
    for (absl::string_view field : absl::StrSplit(view(event->fields), ',', absl::SkipEmpty()))
      absl::StrAppend(&fields, fields.empty() ? "" : ", ", "`", field, "`");
    absl::StrAppend(&out, "| `", view(event->name), "` | ", fields, " | ", view(event->meaning),
                    event->repeat == Repeat::kLimited ? " Repeats are held back." : "", " |\n");
  }
  return out;
}

}  // namespace bulkhead::log
