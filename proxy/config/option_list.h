// The list of all configuration keys: what the parser accepts, what their defaults are, what the
// documentation says.
//
// The parser looks defaults and known keys up here, docs/CONFIGURATION.md holds OptionTable() and a
// test compares them. A path names a key from the root; "[]" stands for each element of a list
// ("users[].name"). Immutable; any thread.
#ifndef BULKHEAD_PROXY_CONFIG_OPTION_LIST_H_
#define BULKHEAD_PROXY_CONFIG_OPTION_LIST_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

// How a changed value takes effect.
enum class OptionChange : uint8_t {
  kSet,      // SET, or the file and RELOAD CONFIG
  kReload,   // the file and RELOAD CONFIG
  kRestart,  // the file and a restart
  kSeed,     // it seeds an empty store; admin statements change the stored topology
};

struct Option {
  std::string_view path;
  std::string_view type;      // for people: "duration", "size", "a | b"
  std::string_view fallback;  // the default as one would write it; "" none or said in `help`
  std::string_view help;
};

std::span<const Option> OptionList();
[[nodiscard]] OptionChange ChangeOf(std::string_view path);
// nullptr if there is no such key.
const Option* FindOption(std::string_view path);
// The keys right below `section` ("" the root), in the list's order: "pools" for "", "max_age" for
// "pools".
std::vector<std::string_view> KeysBelow(std::string_view section);
// The nearest of `known` to a mistyped `key`; "" if none is near.
std::string_view NearestKey(std::string_view key, std::span<const std::string_view> known);
// Markdown tables, one per section.
std::string OptionTable();

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_OPTION_LIST_H_
