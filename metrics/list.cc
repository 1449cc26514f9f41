#include "metrics/list.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>

namespace bulkhead::metrics {
namespace {

absl::string_view A(std::string_view s) { return {s.data(), s.size()}; }

absl::string_view TypeName(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "";
}

}  // namespace

std::string RenderMarkdownTable() {
  std::string out = "| metric | type | labels | meaning | counted |\n|---|---|---|---|---|\n";
  for (const Definition& row : kDefinitions) {
    std::string labels;
    for (absl::string_view label : absl::StrSplit(A(row.labels), ',', absl::SkipEmpty())) {
      absl::StrAppend(&labels, labels.empty() ? "" : ", ", "`", label, "`");
    }
    absl::StrAppend(&out, "| `", A(row.name), "` | ", TypeName(row.type), " | ", labels, " | ",
                    A(row.help), " | ", A(row.counted), " |\n");
  }
  return out;
}

}  // namespace bulkhead::metrics
