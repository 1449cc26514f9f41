// The configuration as variables: name, value, where it comes from; and changing one of them.
//
// Purpose: SHOW VARIABLES, SET and RELOAD CONFIG. A variable is a key of the option list that has
// one plain value and is no secret. What an operator SETs is an override: it stands above the file
// until it is taken back, and is checked by the same code as the file.
// Thread: any; pure. Errors: kNotFound with the nearest name, kFailedPrecondition what needs a
// restart or the file, kInvalidArgument a bad value.
#ifndef BULKHEAD_PROXY_CONFIG_VARIABLES_H_
#define BULKHEAD_PROXY_CONFIG_VARIABLES_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proxy/config/options.h"

namespace bulkhead::config {

struct Variable {
  std::string_view name;
  std::string value;        // as one would write it; empty: not given
  std::string_view source;  // "default", "file", "SET"
};
// In the option list's order.
[[nodiscard]] std::vector<Variable> ListVariables(const Options& options);

using Overrides = std::map<std::string, std::string, std::less<>>;

// Whether SET may change it.
[[nodiscard]] absl::Status CheckSettable(std::string_view name);
// What the file says, with these in its place; Options::overrides says which.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const Options>> WithOverrides(
    const Options& from_file, const Overrides& overrides);

// As many of them as are possible together: `overrides` once stood above another file, or were SET
// one after the other. One that is only possible with another one is taken with it.
struct PossibleOverrides {
  std::shared_ptr<const Options> options;  // never null
  Overrides taken;
  std::map<std::string, absl::Status> left_out;  // by name, and why
};
[[nodiscard]] PossibleOverrides WithPossibleOverrides(
    const std::shared_ptr<const Options>& from_file, const Overrides& overrides);

// What a running process takes from a file that it has read again.
struct ReloadPlan {
  std::shared_ptr<const Options> options;  // the new ones, but what needs a restart as it was
  std::vector<std::string> need_restart;   // keys that differ and need one
};
// Neither has overrides. The topology stays the running one: the stored one rules.
[[nodiscard]] ReloadPlan PlanReload(const Options& running, const Options& loaded);

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_VARIABLES_H_
