// Reading one map of the YAML tree: known keys, typed values, errors with line and key path.
//
// A Section checks its keys against the option list when it is made; getters look up the option's
// default there. Every error goes to the shared Report and reading goes on, so that all errors come
// at once. Owner: the loading thread. The only headers that include yaml-cpp are this one's users
// in proxy/config.
#ifndef BULKHEAD_PROXY_CONFIG_YAML_READER_H_
#define BULKHEAD_PROXY_CONFIG_YAML_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/config/load.h"

namespace bulkhead::config {

// Collects errors; shared by all sections of one load.
class Report {
 public:
  Report(std::string file, const Environment& environment)
      : file_(std::move(file)), environment_(environment) {}

  void Error(const YAML::Mark& mark, std::string key, std::string message);
  void Warning(const YAML::Mark& mark, std::string key, std::string message);
  bool has_errors() const { return errors_seen_ > 0; }
  const std::string& file() const { return file_; }
  const Environment& environment() const { return environment_; }
  // Relative to the folder of the configuration file.
  std::string Resolve(const std::string& path) const;
  // A key that is given, as a path.
  void NoteGiven(std::string path) { given_.insert(std::move(path)); }
  std::set<std::string, std::less<>> TakeGiven() { return std::move(given_); }
  // By line; what was too many is one last line.
  std::vector<ConfigError> Take();

 private:
  void Add(Severity severity, const YAML::Mark& mark, std::string key, std::string message);

  std::string file_;
  const Environment& environment_;
  std::vector<ConfigError> errors_;
  std::set<std::string, std::less<>> given_;
  size_t errors_seen_ = 0;
  size_t left_out_ = 0;
};

// For messages: quoted, shortened, control characters replaced.
std::string Quoted(std::string_view text);
// "a, b, c"
std::string Joined(std::span<const std::string_view> words);

template <typename T>
using Choices = std::span<const std::pair<std::string_view, T>>;

class Section {
 public:
  // `path` is for messages ("users[1]"), `pattern` for the option list ("users[]"). Not a map: an
  // error, and an empty section. `again`: its keys were checked before, don't report them twice.
  Section(Report& report, const YAML::Node& node, std::string path, std::string pattern,
          bool again = false);

  // The key is there with a value.
  bool Has(std::string_view key) const;
  // Line of the key's value; of the section where it is absent.
  YAML::Mark MarkOf(std::string_view key) const;
  YAML::Mark mark() const { return mark_; }
  std::string PathOf(std::string_view key) const;
  void Error(std::string_view key, std::string message) const;
  void Warning(std::string_view key, std::string message) const;
  Report& report() const { return report_; }

  // Each leaves *out alone and returns false if there is no valid value (an error is reported then)
  // or neither value nor default.
  bool Text(std::string_view key, std::string* out) const;
  bool RequiredText(std::string_view key, std::string* out) const;
  bool Bool(std::string_view key, bool* out) const;
  bool Number(std::string_view key, uint64_t least, uint64_t most, uint32_t* out) const;
  bool Number(std::string_view key, uint64_t least, uint64_t most,
              std::optional<uint32_t>* out) const;
  bool Time(std::string_view key, Duration least, Duration* out) const;
  bool Size(std::string_view key, uint64_t least, uint64_t* out) const;
  // A file's path, made absolute; the file must be readable. `secret`: others may not read it.
  bool File(std::string_view key, bool secret, std::string* out) const;
  template <typename T>
  bool Choice(std::string_view key, Choices<T> choices, T* out) const {
    std::string text;
    if (!Text(key, &text)) return false;
    for (const auto& [word, value] : choices) {
      if (text != word) continue;
      *out = value;
      return true;
    }
    std::vector<std::string_view> words;
    for (const auto& choice : choices) words.push_back(choice.first);
    Error(key, "needs one of " + Joined(words) + ", not " + Quoted(text));
    return false;
  }
  template <typename T>
  bool Choice(std::string_view key, Choices<T> choices, std::optional<T>* out) const {
    T value{};
    if (!Choice(key, choices, &value)) return false;
    *out = value;
    return true;
  }

  // Section below; empty if absent.
  Section Map(std::string_view key, bool again = false) const;
  // A list of maps.
  void EachMap(std::string_view key, const std::function<void(const Section&)>& visit) const;
  // A list of scalars, or one scalar.
  void EachText(std::string_view key,
                const std::function<void(const std::string& text, const YAML::Mark&,
                                         const std::string& path)>& visit) const;
  YAML::Node Node(std::string_view key) const;
  bool exists() const { return exists_; }

 private:
  void ReadEntry(const YAML::Node& key, const YAML::Node& value, bool again);
  // The value's text, or the default's.
  bool Raw(std::string_view key, std::string* out) const;

  Report& report_;
  std::vector<std::pair<std::string, YAML::Node>> entries_;
  YAML::Mark mark_ = YAML::Mark::null_mark();
  std::string path_;
  std::string pattern_;
  bool exists_ = false;
};

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_YAML_READER_H_
