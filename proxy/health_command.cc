#include "proxy/health_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace bulkhead {

HealthCommand::HealthCommand(CLI::App* app)
    : command_(
          app->add_subcommand("health", "Ask a running router whether it is well, for scripts")) {
  target_.AddTo(command_);
  command_->add_flag("--ready", ready_, "Whether clients can be served, not only that it answers");
  command_->footer("Exit codes: 0 it is, 1 it is not or does not answer.");
}

bool HealthCommand::parsed() const { return command_->parsed(); }

int HealthCommand::Run(std::ostream& out, std::ostream& errors) const {
  const absl::StatusOr<http::Target> target = target_.Make();
  if (!target.ok()) {
    errors << "bulkhead health: " << target.status().message() << '\n';
    return 1;
  }
  const absl::StatusOr<std::string> answer = http::Get(*target, ready_ ? "/readyz" : "/healthz");
  if (!answer.ok()) {
    errors << "bulkhead health: " << answer.status().message() << '\n';
    return 1;
  }
  out << *answer;
  return 0;
}

}  // namespace bulkhead
