// Runs the command that makes sure that an old primary can't acknowledge writes any more.
//
// Purpose: an argument vector, no shell; exit 0 within the limit means: confirmed, and it survives
// a reboot of the server. Anything else confirms nothing.
// Threads: any, but not the control loop's: it blocks. Limits: the time; then the command's process
// group is killed. Of its output (both streams) the last kMostOutput bytes are kept.
// The command runs as this process's user, with its environment, an empty standard input, in a
// process group of its own, without this process's descriptors (posix_spawn(3)).
#ifndef BULKHEAD_PROXY_CONTROL_FENCE_COMMAND_H_
#define BULKHEAD_PROXY_CONTROL_FENCE_COMMAND_H_

#include <cstddef>
#include <string>
#include <vector>

#include "routing/mono_time.h"
#include "routing/topology.h"

namespace bulkhead::control {

inline constexpr size_t kMostFenceOutput = 4096;

struct FenceResult {
  bool confirmed = false;
  std::string why{};     // not confirmed: "exit code 3", "killed after 30 s"
  std::string output{};  // printable, one line
};
[[nodiscard]] FenceResult RunFence(const std::vector<std::string>& command,
                                   routing::Duration limit);

// With {backend}, {host}, {port} and {shard} filled in.
[[nodiscard]] std::vector<std::string> FilledIn(const std::vector<std::string>& command,
                                                const std::string& backend,
                                                const routing::Address& address,
                                                const std::string& shard);

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_FENCE_COMMAND_H_
