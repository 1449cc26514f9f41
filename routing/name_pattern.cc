#include <algorithm>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"
#include "routing/tenant_resolution.h"

namespace bulkhead::routing {
namespace {

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool Same(std::string_view a, std::string_view b, bool ignore_case) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) {
           return x == y || (ignore_case && Lower(x) == Lower(y));
         });
}

absl::Status Invalid(std::string_view pattern, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("pattern \"", Abs(pattern), "\" ", why));
}

}  // namespace

absl::StatusOr<NamePattern> NamePattern::Compile(std::string_view text, std::string_view other) {
  const std::string allowed =
      other.empty() ? "{tenant}" : absl::StrCat("{tenant} and {", Abs(other), "}");
  NamePattern pattern;
  pattern.text_ = std::string(text);
  std::string literals[3];
  int placeholders = 0;
  int tenant_at = -1;
  int other_at = -1;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literals[placeholders] += c;
      ++i;
      continue;
    }
    if (c == '}') return Invalid(text, "has a } without its {; a brace itself is written }}");
    if (c != '{') {
      literals[placeholders] += c;
      continue;
    }
    const size_t close = text.find('}', i);
    if (close == std::string_view::npos) {
      return Invalid(text, "has a { without its }; a brace itself is written {{");
    }
    const std::string_view name = text.substr(i + 1, close - i - 1);
    int* at = name == "tenant" ? &tenant_at : !other.empty() && name == other ? &other_at : nullptr;
    if (at == nullptr) {
      return Invalid(text, absl::StrCat("has {", Abs(name), "}, known here: ", allowed));
    }
    if (*at >= 0) return Invalid(text, absl::StrCat("has {", Abs(name), "} twice"));
    *at = placeholders++;
    i = close;
  }
  if (tenant_at < 0) return Invalid(text, "has no {tenant}");
  if (placeholders == 2 && literals[1].empty()) {
    return Invalid(text, "needs something between its two placeholders to tell them apart");
  }
  pattern.before_ = literals[0];
  pattern.between_ = placeholders == 2 ? literals[1] : std::string();
  pattern.after_ = literals[placeholders];
  pattern.other_position_ = other_at;
  return pattern;
}

std::optional<NamePattern::Match> NamePattern::Parse(std::string_view name,
                                                     bool ignore_case) const {
  if (name.size() <= before_.size() + after_.size()) return std::nullopt;
  if (!Same(name.substr(0, before_.size()), before_, ignore_case) ||
      !Same(name.substr(name.size() - after_.size()), after_, ignore_case)) {
    return std::nullopt;
  }
  const std::string_view middle =
      name.substr(before_.size(), name.size() - before_.size() - after_.size());
  if (!has_other()) return Match{middle, {}};
  // The last place of the text between, with something on both sides.
  for (size_t at = middle.size(); at-- > 1;) {
    if (at + between_.size() >= middle.size()) continue;
    if (!Same(middle.substr(at, between_.size()), between_, ignore_case)) continue;
    const std::string_view left = middle.substr(0, at);
    const std::string_view right = middle.substr(at + between_.size());
    return other_position_ == 0 ? Match{right, left} : Match{left, right};
  }
  return std::nullopt;
}

std::string NamePattern::Format(std::string_view tenant, std::string_view other) const {
  if (!has_other()) return absl::StrCat(before_, Abs(tenant), after_);
  const bool other_first = other_position_ == 0;
  return absl::StrCat(before_, Abs(other_first ? other : tenant), between_,
                      Abs(other_first ? tenant : other), after_);
}

}  // namespace bulkhead::routing
