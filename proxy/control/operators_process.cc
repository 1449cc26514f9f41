// Operators' commands for the process itself: SET, RELOAD CONFIG; and those that change a shard's
// primary on its servers.

#include <spdlog/spdlog.h>

#include "proxy/control/operators.h"

namespace bulkhead::control {

std::string Operators::ApplyVariable(const std::string& name, const std::string& value) {
  if (name != "log_level")
    return "there is no variable '" + name + "' that can be set: see SHOW VARIABLES";
  for (const std::string_view known : {"debug", "info", "warn", "error"}) {
    if (value != known) continue;
    spdlog::set_level(spdlog::level::from_str(value));
    return {};
  }
  return "log_level is one of debug, info, warn, error";
}

void Operators::Run(const SetVariable& command, const AskedPtr& asked) {
  if (const std::string error = ApplyVariable(command.name, command.value); !error.empty()) {
    asked->Fail(kErrBadValue, error);
    return;
  }
  StoreAndAnswer(asked, {PutVariable{command.name, command.value}},
                 command.name + " is " + command.value);
}

void Operators::Run(const ReloadConfig& command, const AskedPtr& asked) {
  (void)command;
  asked->Fail(kErrNotNow, "this version reads its configuration at start only");
}

void Operators::Run(const Switchover& command, const AskedPtr& asked) {
  if (ShardOr(command.shard, asked) == nullptr || BackendOr(command.to, asked) == nullptr) return;
  asked->Fail(kErrNotNow, "this version can't switch over: use ALTER SHARD ... PRIMARY");
}

void Operators::Run(const Failover& command, const AskedPtr& asked) {
  if (ShardOr(command.shard, asked) == nullptr || BackendOr(command.to, asked) == nullptr) return;
  asked->Fail(kErrNotNow, "this version can't fail over: use ALTER SHARD ... PRIMARY");
}

}  // namespace bulkhead::control
