// Section `failover`: how an old primary is fenced.
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "proxy/config/parts.h"
#include "proxy/config/values.h"

namespace bulkhead::config {

using namespace std::chrono_literals;

namespace {

// What is in braces must be one of the placeholders.
bool PlaceholdersKnown(std::string_view text) {
  while (true) {
    const size_t open = text.find('{');
    if (open == std::string_view::npos) return true;
    text.remove_prefix(open);
    const size_t close = text.find('}');
    if (close == std::string_view::npos) return false;
    const std::string_view name = text.substr(0, close + 1);
    if (name != "{backend}" && name != "{host}" && name != "{port}" && name != "{shard}")
      return false;
    text.remove_prefix(close + 1);
  }
}

std::vector<std::string> ReadCommand(const Section& section, std::string_view key) {
  std::vector<std::string> command;
  section.EachText(
      key, [&](const std::string& text, const YAML::Mark& mark, const std::string& path) {
        if (command.empty() && !text.starts_with('/')) {
          section.report().Error(mark, path,
                                 "needs the absolute path of a program first: no shell is used");
        }
        if (!PlaceholdersKnown(text)) {
          section.report().Error(mark, path,
                                 "has a brace that is none of {backend}, {host}, {port}, {shard}");
        }
        command.push_back(text);
      });
  return command;
}

}  // namespace

const std::vector<std::string>& Failover::FenceOf(const std::string& backend) const {
  auto it = fence_commands.find(backend);
  return it == fence_commands.end() ? fence_command : it->second;
}

void ReadFailover(const Section& root, Failover* out) {
  const Section section = root.Map("failover");
  out->fence_command = ReadCommand(section, "fence_command");
  section.Time("fence_timeout", 1s, &out->fence_timeout);
  section.Time("automatic_after", 0s, &out->automatic_after);
  section.EachMap("fences", [&](const Section& fence) {
    std::string backend;
    if (!fence.RequiredText("backend", &backend)) return;
    if (!fence.Has("command")) fence.Error("", "needs command");
    if (!out->fence_commands.emplace(backend, ReadCommand(fence, "command")).second)
      fence.Error("backend", absl::StrCat("backend ", Quoted(backend), " has a fence already"));
  });
}

}  // namespace bulkhead::config
