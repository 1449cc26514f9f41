#include "proxy/config/yaml_reader.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "proxy/config/option_list.h"
#include "proxy/config/values.h"
#include "routing/abseil_view.h"

namespace bulkhead::config {
namespace {

using routing::Abs;

// Where a misplaced value may be a password.
bool HoldsSecrets(std::string_view pattern) {
  return pattern.starts_with("users") || pattern.starts_with("admin_users") ||
         pattern.starts_with("probe") || pattern.starts_with("control");
}

std::string KindOf(const YAML::Node& node, std::string_view pattern) {
  if (node.IsScalar() && HoldsSecrets(pattern)) return "a single value";
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return "nothing";
    case YAML::NodeType::Scalar:
      return Quoted(node.Scalar());
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a map";
  }
  return "?";
}

std::string Below(std::string_view path, std::string_view key) {
  return path.empty() ? std::string(key) : absl::StrCat(Abs(path), ".", Abs(key));
}

std::string TimeText(Duration d) {
  const int64_t ms = routing::ToMillis(d);
  return ms % 1000 == 0 ? absl::StrCat(ms / 1000, "s") : absl::StrCat(ms, "ms");
}

}  // namespace

std::string Quoted(std::string_view text) {
  constexpr size_t kMost = 60;
  std::string out = "'";
  for (const char c : text.substr(0, kMost)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? '?' : c;
  }
  if (text.size() > kMost) out += "...";
  return out + "'";
}

std::string Joined(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words)
    absl::StrAppend(&out, out.empty() ? "" : ", ", Abs(word));
  return out;
}

void Report::Add(Severity severity, const YAML::Mark& mark, std::string key, std::string message) {
  if (severity == Severity::kError) ++errors_seen_;
  if (errors_.size() >= kMaxErrors) {
    ++left_out_;
    return;
  }
  ConfigError error;
  error.severity = severity;
  error.file = file_;
  if (!mark.is_null()) {
    error.line = mark.line + 1;
    error.column = mark.column + 1;
  }
  error.key = std::move(key);
  error.message = std::move(message);
  errors_.push_back(std::move(error));
}

void Report::Error(const YAML::Mark& mark, std::string key, std::string message) {
  Add(Severity::kError, mark, std::move(key), std::move(message));
}

void Report::Warning(const YAML::Mark& mark, std::string key, std::string message) {
  Add(Severity::kWarning, mark, std::move(key), std::move(message));
}

std::string Report::Resolve(const std::string& path) const {
  const std::filesystem::path given(path);
  if (given.is_absolute()) return path;
  return (std::filesystem::path(file_).parent_path() / given).lexically_normal().string();
}

std::vector<ConfigError> Report::Take() {
  std::stable_sort(errors_.begin(), errors_.end(), [](const ConfigError& a, const ConfigError& b) {
    return std::pair(a.line, a.column) < std::pair(b.line, b.column);
  });
  if (left_out_ > 0) {
    ConfigError rest;
    rest.severity = has_errors() ? Severity::kError : Severity::kWarning;
    rest.file = file_;
    rest.message = absl::StrCat("and ", left_out_, " more");
    errors_.push_back(std::move(rest));
  }
  return std::move(errors_);
}

Section::Section(Report& report, const YAML::Node& node, std::string path, std::string pattern,
                 bool again)
    : report_(report), path_(std::move(path)), pattern_(std::move(pattern)) {
  if (!node.IsDefined() || node.IsNull()) return;
  mark_ = node.Mark();
  if (!node.IsMap()) {
    if (again) return;
    report_.Error(mark_, path_,
                  absl::StrCat("needs a map with the keys ", Joined(KeysBelow(pattern_)), "; not ",
                               KindOf(node, pattern_)));
    return;
  }
  exists_ = true;
  for (const auto& entry : node) ReadEntry(entry.first, entry.second, again);
}

void Section::ReadEntry(const YAML::Node& key_node, const YAML::Node& value, bool again) {
  const auto error = [&](const std::string& path, std::string message) {
    if (!again) report_.Error(key_node.Mark(), path, std::move(message));
  };
  if (!key_node.IsScalar()) return error(path_, "has a key that is no plain word");
  const std::string& key = key_node.Scalar();
  const std::vector<std::string_view> known = KeysBelow(pattern_);
  if (std::find(known.begin(), known.end(), key) == known.end()) {
    // "password:secret", with no space behind the colon, is one word: show what can be a key's name
    // only.
    const auto end = std::find_if_not(key.begin(), key.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    });
    const std::string word(key.begin(), end);
    const bool cut = word.size() < key.size();
    const std::string_view nearest = NearestKey(word, known);
    std::string message = absl::StrCat("unknown key ", Quoted(cut ? word + "..." : word));
    if (cut && nearest == word) {
      absl::StrAppend(&message, "; is a space missing after '", word, ":'?");
    } else if (!nearest.empty()) {
      absl::StrAppend(&message, "; did you mean '", Abs(nearest), "'?");
    } else {
      absl::StrAppend(&message, "; known here: ", Joined(known));
    }
    return error(path_, std::move(message));
  }
  if (Has(key)) return error(PathOf(key), "is given twice");
  if (value.IsNull()) return error(PathOf(key), "has no value; leave the key out instead");
  // Of lists only the list: nobody asks where one of its elements comes from.
  if (pattern_.find('[') == std::string::npos) report_.NoteGiven(PathOf(key));
  entries_.emplace_back(key, value);
}

YAML::Node Section::Node(std::string_view key) const {
  for (const auto& [name, node] : entries_) {
    if (name == key) return node;
  }
  return YAML::Node(YAML::NodeType::Undefined);
}

bool Section::Has(std::string_view key) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&](const auto& entry) { return entry.first == key; });
}

YAML::Mark Section::MarkOf(std::string_view key) const {
  return Has(key) ? Node(key).Mark() : mark_;
}

std::string Section::PathOf(std::string_view key) const { return Below(path_, key); }

void Section::Error(std::string_view key, std::string message) const {
  report_.Error(MarkOf(key), key.empty() ? path_ : PathOf(key), std::move(message));
}

void Section::Warning(std::string_view key, std::string message) const {
  report_.Warning(MarkOf(key), key.empty() ? path_ : PathOf(key), std::move(message));
}

bool Section::Raw(std::string_view key, std::string* out) const {
  const Option* option = FindOption(Below(pattern_, key));
  if (option == nullptr) std::abort();  // a key that the list doesn't have
  if (!Has(key)) {
    if (option->fallback.empty()) return false;
    *out = std::string(option->fallback);
    return true;
  }
  const YAML::Node node = Node(key);
  if (!node.IsScalar()) {
    Error(key, absl::StrCat("needs a single value (", Abs(option->type), "), not ",
                            KindOf(node, pattern_)));
    return false;
  }
  if (node.Scalar().find('\0') != std::string::npos) {
    Error(key, "holds a NUL byte");
    return false;
  }
  *out = node.Scalar();
  return true;
}

bool Section::Text(std::string_view key, std::string* out) const {
  std::string text;
  if (!Raw(key, &text)) return false;
  if (text.empty()) {
    Error(key, "is empty; leave the key out instead");
    return false;
  }
  *out = std::move(text);
  return true;
}

bool Section::RequiredText(std::string_view key, std::string* out) const {
  if (Has(key)) return Text(key, out);
  if (exists_) Error("", absl::StrCat("needs the key '", Abs(key), "'"));
  return false;
}

bool Section::Bool(std::string_view key, bool* out) const {
  std::string text;
  if (!Text(key, &text)) return false;
  const auto value = ParseBool(text);
  if (!value) {
    Error(key, "needs true or false, not " + Quoted(text));
    return false;
  }
  *out = *value;
  return true;
}

bool Section::Number(std::string_view key, uint64_t least, uint64_t most, uint32_t* out) const {
  std::string text;
  if (!Text(key, &text)) return false;
  const auto value = ParseNumber(text);
  if (!value || *value < least || *value > most) {
    Error(key,
          absl::StrCat("needs a whole number from ", least, " to ", most, ", not ", Quoted(text)));
    return false;
  }
  *out = static_cast<uint32_t>(*value);
  return true;
}

bool Section::Number(std::string_view key, uint64_t least, uint64_t most,
                     std::optional<uint32_t>* out) const {
  uint32_t value = 0;
  if (!Number(key, least, most, &value)) return false;
  *out = value;
  return true;
}

bool Section::Time(std::string_view key, Duration least, Duration* out) const {
  std::string text;
  if (!Text(key, &text)) return false;
  const auto value = ParseDuration(text);
  if (!value) {
    Error(key, "needs a duration such as 500ms, 10s, 5m or 1h, not " + Quoted(text));
    return false;
  }
  if (*value < least) {
    Error(key, absl::StrCat("needs at least ", TimeText(least), ", not ", Quoted(text)));
    return false;
  }
  *out = *value;
  return true;
}

bool Section::Size(std::string_view key, uint64_t least, uint64_t* out) const {
  std::string text;
  if (!Text(key, &text)) return false;
  const auto value = ParseSize(text);
  if (!value) {
    Error(key, "needs a size such as 64KiB, 16MiB or 1GiB, not " + Quoted(text));
    return false;
  }
  if (*value < least) {
    Error(key, absl::StrCat("needs at least ", least, "B, not ", Quoted(text)));
    return false;
  }
  *out = *value;
  return true;
}

bool Section::File(std::string_view key, bool secret, std::string* out) const {
  std::string path;
  if (!Text(key, &path)) return false;
  path = report_.Resolve(path);
  std::string why;
  const auto file = report_.environment().read_file(path, &why);
  if (!file) {
    Error(key, absl::StrCat("can't read ", Quoted(path), ": ", why));
    return false;
  }
  if (secret && file->others_may_read) {
    Warning(key, absl::StrCat(Quoted(path), " can be read by other users; chmod 600 it"));
  }
  *out = std::move(path);
  return true;
}

Section Section::Map(std::string_view key, bool again) const {
  return Section(report_, Node(key), PathOf(key), Below(pattern_, key), again);
}

void Section::EachMap(std::string_view key,
                      const std::function<void(const Section&)>& visit) const {
  if (!Has(key)) return;
  const YAML::Node list = Node(key);
  if (!list.IsSequence()) {
    Error(key, "needs a list, not " + KindOf(list, Below(pattern_, key)));
    return;
  }
  size_t index = 0;
  for (const YAML::Node& node : list) {
    const std::string path = absl::StrCat(PathOf(key), "[", index++, "]");
    if (!node.IsMap()) {
      report_.Error(
          node.Mark(), path,
          absl::StrCat("needs a map with the keys ", Joined(KeysBelow(Below(pattern_, key) + "[]")),
                       "; not ", KindOf(node, Below(pattern_, key))));
      continue;
    }
    visit(Section(report_, node, path, Below(pattern_, key) + "[]"));
  }
}

void Section::EachText(std::string_view key,
                       const std::function<void(const std::string&, const YAML::Mark&,
                                                const std::string&)>& visit) const {
  if (!Has(key)) return;
  const YAML::Node list = Node(key);
  if (list.IsScalar()) {
    visit(list.Scalar(), list.Mark(), PathOf(key));
    return;
  }
  if (!list.IsSequence()) {
    Error(key, "needs a list, not " + KindOf(list, Below(pattern_, key)));
    return;
  }
  size_t index = 0;
  for (const YAML::Node& node : list) {
    const std::string path = absl::StrCat(PathOf(key), "[", index++, "]");
    if (!node.IsScalar()) {
      report_.Error(node.Mark(), path, "needs a single value, not " + KindOf(node, pattern_));
      continue;
    }
    visit(node.Scalar(), node.Mark(), path);
  }
}

}  // namespace bulkhead::config
