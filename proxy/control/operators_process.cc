// Operators' commands for the process itself: SET, RELOAD CONFIG.

#include <string_view>
#include <utility>

#include "proxy/control/operators.h"

namespace bulkhead::control {

namespace {

uint16_t CodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      return kErrNoSuchObject;
    case absl::StatusCode::kInvalidArgument:
      return kErrBadValue;
    default:
      return kErrNotNow;
  }
}

bool IsDefault(std::string_view value) {
  return value == "DEFAULT" || value == "default" || value == "Default";
}

}  // namespace

void Operators::Run(const SetVariable& command, const AskedPtr& asked) {
  ConfigRequest request{.kind = ConfigRequest::Kind::kSet, .name = command.name};
  if (!IsDefault(command.value)) request.value = command.value;
  const std::string stored = request.value.value_or("");
  world_->Configure(std::move(request),
                    [this, asked, name = command.name, stored](const ConfigAnswer& answer) {
                      if (!answer.status.ok()) {
                        asked->Fail(CodeOf(answer.status), std::string(answer.status.message()));
                        return;
                      }
                      world_->events()->Add("operator", name, answer.message);
                      StoreAndAnswer(asked, {PutVariable{name, stored}}, answer.message);
                    });
}

void Operators::Run(const ReloadConfig& command, const AskedPtr& asked) {
  (void)command;
  world_->Configure({.kind = ConfigRequest::Kind::kReload}, [this, asked](ConfigAnswer answer) {
    OperatorReply reply{.ok = answer.status.ok(),
                        .code = CodeOf(answer.status),
                        .message = answer.status.ok() ? std::move(answer.message)
                                                      : std::string(answer.status.message()),
                        .notes = std::move(answer.notes)};
    if (reply.ok) reply.code = 0;
    world_->events()->Add("operator", "configuration", reply.message);
    asked->Report(std::move(reply));
  });
}

}  // namespace bulkhead::control
