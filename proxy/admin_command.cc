#include "proxy/admin_command.h"

#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <utility>

#include "proxy/admin/admin_client.h"
#include "proxy/config/load.h"

namespace bulkhead {

namespace {

constexpr const char* kConfiguration = "/etc/bulkhead/bulkhead.yaml";
constexpr const char* kPasswordVariable = "BULKHEAD_ADMIN_PASSWORD";

constexpr const char* kFooter =
    "Without -e statements are typed, or come from standard input. A statement ends with ; or "
    "\\G.\n"
    "\n"
    "The address, the user and the password are taken from the options, else from the environment\n"
    "(BULKHEAD_ADMIN_PASSWORD), else from the configuration file, as far as you may read it; else\n"
    "the password is asked for.\n"
    "\n"
    "DRAIN, ASSIGN, SWITCHOVER and DRILL wait: what for is shown meanwhile, and Ctrl-C cancels "
    "them\n"
    "and puts everything back.\n"
    "\n"
    "Exit codes: 0 done, 1 a statement failed (the rest was not run), 2 no connection, or it was\n"
    "lost, 130 cancelled by Ctrl-C.\n"
    "\n"
    "Examples:\n"
    "  bulkhead admin\n"
    "  bulkhead admin -e 'SHOW BACKENDS'\n"
    "  bulkhead admin -e \"DRAIN BACKEND db1 TIMEOUT '60s'\" && systemctl stop mariadb\n"
    "  bulkhead admin --json -e \"SELECT name FROM backends WHERE state <> 'up'\" | jq "
    "'.rows[].name'\n"
    "  bulkhead admin -h 10.0.0.5 -u viewer --tls verify --ca ca.pem -e 'HELP'\n";

// From the terminal, unseen. Absent: there is none.
std::optional<std::string> AskPassword(const std::string& user) {
  if (isatty(STDIN_FILENO) != 1) return std::nullopt;
  std::cerr << "Password of admin user '" << user << "': " << std::flush;
  termios before{};
  const bool hidden = tcgetattr(STDIN_FILENO, &before) == 0;
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  if (hidden) tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  std::string password;
  const bool read = static_cast<bool>(std::getline(std::cin, password));
  if (hidden) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
  std::cerr << '\n';
  if (!read) return std::nullopt;
  return password;
}

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { admin::ClientRunner::OnInterrupt(); };
  sigaction(SIGINT, &action, nullptr);  // no SA_RESTART: it ends the reading of a line
  std::signal(SIGPIPE, SIG_IGN);
}

}  // namespace

AdminCommand::AdminCommand(CLI::App* app)
    : command_(app->add_subcommand("admin", "Talk to a running router's admin listener")) {
  command_->set_help_flag("--help", "Print this help message and exit");
  command_->add_option("-e,--execute", statements_,
                       "Statements to run, then end; may be given several times");
  command_->add_option("-c,--config", config_,
                       "The router's configuration file (default: /etc/bulkhead/bulkhead.yaml, if "
                       "it is there)");
  command_->add_option("-h,--host", host_, "Address of the admin listener (default: 127.0.0.1)");
  command_->add_option("-P,--port", port_, "Port of the admin listener (default: 6032)");
  command_->add_option("-S,--socket", socket_, "Unix socket of the admin listener");
  command_->add_option("-u,--user", user_, "Admin user (default: the configuration's, or admin)");
  command_->add_option("--password-file", password_file_,
                       "File with the password; never given on the command line, where others "
                       "could see it");
  command_
      ->add_option("--tls", tls_, "disabled, preferred (default), required, or verify (needs --ca)")
      ->check(CLI::IsMember({"disabled", "preferred", "required", "verify"}));
  command_->add_option("--ca", ca_, "Certificates that the listener's is checked against");
  auto* json = command_->add_flag("--json", json_, "One JSON object a statement, on one line");
  auto* vertical =
      command_->add_flag("--vertical", vertical_, "Always one line a cell, as with \\G");
  command_
      ->add_flag("--tabs", tabs_, "Cells separated by tabs; the default where nobody is looking")
      ->excludes(json)
      ->excludes(vertical);
  json->excludes(vertical);
  command_->footer(kFooter);
}

bool AdminCommand::parsed() const { return command_->parsed(); }

// Only what the options leave open.
std::string AdminCommand::FromConfiguration(admin::LinkTarget* target) const {
  const bool asked = !config_.empty();
  const std::string file = asked ? config_ : kConfiguration;
  if (!asked && (!host_.empty() || !socket_.empty())) return {};  // another router's, perhaps
  std::string why;
  const auto access = config::LoadAdminAccess(file, config::Environment::Real(), &why);
  if (!access.has_value()) return asked ? file + " can't be read: " + why : std::string();
  if (!access->listener.has_value()) return asked ? file + " has no listen.admin" : std::string();
  const routing::Address& address = access->listener->address;
  if (host_.empty() && socket_.empty()) {
    target->host = address.host == "0.0.0.0" || address.host == "::" ? "127.0.0.1" : address.host;
    target->socket = address.socket_path;
    if (!address.is_unix()) target->port = address.port;
  }
  // The first one who may change something, and whose password can be read.
  const config::AdminUser* chosen = nullptr;
  for (const config::AdminUser& user : access->users) {
    if (!user_.empty() && user.name != user_) continue;
    const bool better = chosen == nullptr || (chosen->read_only && !user.read_only);
    if (user.password.has_value() && better) chosen = &user;
  }
  if (chosen == nullptr) return {};
  target->user = chosen->name;
  target->password = *chosen->password;
  return {};
}

std::string AdminCommand::FindTarget(admin::LinkTarget* target) const {
  if (!user_.empty()) target->user = user_;
  if (std::string error = FromConfiguration(target); !error.empty()) return error;
  if (!host_.empty()) target->host = host_;
  if (port_ != 0) target->port = port_;
  if (!socket_.empty()) target->socket = socket_;
  target->ca = ca_;
  if (tls_ == "disabled") target->tls = admin::LinkTarget::Tls::kDisabled;
  if (tls_ == "required") target->tls = admin::LinkTarget::Tls::kRequired;
  if (tls_ == "verify") target->tls = admin::LinkTarget::Tls::kVerify;
  if (tls_ == "verify" && ca_.empty()) return "--tls verify needs --ca FILE";
  return FindPassword(target);
}

std::string AdminCommand::FindPassword(admin::LinkTarget* target) const {
  if (!password_file_.empty()) {
    std::ifstream in(password_file_);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (!in) return password_file_ + " can't be read";
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    target->password = config::Secret(std::move(text));
  } else if (const char* value = std::getenv(kPasswordVariable); value != nullptr) {
    target->password = config::Secret(value);
  } else if (target->password.empty()) {
    std::optional<std::string> typed = AskPassword(target->user);
    if (!typed.has_value()) {
      return "no password for admin user '" + target->user + "': --password-file FILE, or " +
             kPasswordVariable + " in the environment, or --config FILE";
    }
    target->password = config::Secret(*std::move(typed));
  }
  return {};
}

int AdminCommand::Run(std::ostream& out, std::ostream& errors) {
  admin::ClientRunner::Setup setup{.out = &out, .errors = &errors};
  if (const std::string error = FindTarget(&setup.target); !error.empty()) {
    errors << "bulkhead: " << error << '\n';
    return static_cast<int>(admin::ExitCode::kNotConnected);
  }
  const bool looking = isatty(STDOUT_FILENO) == 1;
  setup.form = looking ? admin::OutputForm::kTable : admin::OutputForm::kTabs;
  if (vertical_) setup.form = admin::OutputForm::kVertical;
  if (tabs_) setup.form = admin::OutputForm::kTabs;
  if (json_) setup.form = admin::OutputForm::kJson;
  const bool typing = statements_.empty() && isatty(STDIN_FILENO) == 1;
  setup.interactive = typing && !json_;
  CatchInterrupts();
  admin::AdminClient client(std::move(setup));
  if (!statements_.empty()) return static_cast<int>(client.RunStatements(statements_));
  return static_cast<int>(typing ? client.RunTerminal() : client.RunPipe(std::cin));
}

}  // namespace bulkhead
