#include "proxy/http_target_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>

namespace bulkhead {

namespace {

constexpr char kPasswordVariable[] = "BULKHEAD_ADMIN_PASSWORD";

}  // namespace

void HttpTargetOptions::AddTo(CLI::App* command) {
  command->add_option("--url", url_, "Where its HTTP listener is")->capture_default_str();
  command->add_option("--user", user_, "One of admin_users, where a password is asked for");
  command->add_option("--password-file", password_file_,
                      "File with the password; otherwise $BULKHEAD_ADMIN_PASSWORD");
  command->add_option("--ca", ca_, "File with the CA of the router's certificate");
  command->add_flag("--insecure", insecure_, "Do not check the router's certificate");
}

absl::StatusOr<http::Target> HttpTargetOptions::Make() const {
  absl::StatusOr<http::Target> target = http::ParseUrl(url_);
  if (!target.ok()) return target;
  target->ca_file = ca_;
  target->insecure = insecure_;
  target->user = user_;
  if (!password_file_.empty()) {
    std::ifstream in(password_file_);
    if (!in || !std::getline(in, target->password))
      return absl::InvalidArgumentError(password_file_ + " can't be read");
  } else if (const char* const password = std::getenv(kPasswordVariable)) {
    target->password = password;
  }
  if (!target->user.empty() && !target->tls && target->host != "localhost" &&
      !target->host.starts_with("127.") && target->host != "::1") {
    return absl::InvalidArgumentError(
        "a password is not sent unencrypted: use an https address with --user");
  }
  return target;
}

}  // namespace bulkhead
