// The command line: bulkhead serve --config FILE | check FILE | admin | topology ... | top |
// health | --version.

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <utility>

#include "proxy/admin_command.h"
#include "proxy/auth/secret.h"
#include "proxy/config/load.h"
#include "proxy/handover.h"
#include "proxy/health_command.h"
#include "proxy/io/thread_pool.h"
#include "proxy/log/log.h"
#include "proxy/log_setup.h"
#include "proxy/server.h"
#include "proxy/top_command.h"
#include "proxy/topology_command.h"

namespace {

namespace config = bulkhead::config;
namespace log = bulkhead::log;

// A few hundred passwords and keys: below the limit on locked memory that systems give everybody.
constexpr size_t kLockedMemory = size_t{1} << 18;

// To whoever has started this process, too.
int NotStarted(const std::string& why, bulkhead::Inheritance* inheritance) {
  std::cerr << "bulkhead: not started: " << why << '\n';
  if (inheritance != nullptr) inheritance->Failed(why);
  return 1;
}

int ServeWith(const std::shared_ptr<const config::Options>& options, const std::string& file,
              std::unique_ptr<bulkhead::Inheritance> inheritance) {
  bulkhead::Server server(options, file, BULKHEAD_VERSION, std::move(inheritance));
  if (const std::string error = server.Start(); !error.empty()) {
    std::cerr << "bulkhead: not started: " << error << '\n';
    server.Failed(error);
    return 1;
  }
  return server.Run();
}

int Serve(const std::string& file) {
  // Before the passwords of the configuration are read.
  const bool locked = bulkhead::auth::ReserveLockedMemory(kLockedMemory);
  std::unique_ptr<bulkhead::Inheritance> inheritance = bulkhead::Inheritance::FromEnvironment();
  const config::LoadResult loaded = config::LoadFile(file);
  if (!loaded.ok()) {
    for (const config::ConfigError& error : loaded.errors) std::cerr << error.ToString() << '\n';
    return NotStarted("the configuration has errors: " + file, inheritance.get());
  }
  if (const std::string error = bulkhead::SetUpLog(loaded.options->log); !error.empty())
    return NotStarted(error, inheritance.get());
  for (const config::ConfigError& warning : loaded.errors)
    log::Warn(log::event::kSetup, {{"what", "configuration"}}, warning.ToString());
  log::Info(log::event::kStarted, {{"version", BULKHEAD_VERSION}, {"config", file}},
            "bulkhead " BULKHEAD_VERSION " begins with " + file);
  if (!locked) {
    log::Warn(log::event::kSetup, {{"what", "locked memory"}},
              "passwords lie in memory that may be swapped out (see ulimit -l, LimitMEMLOCK)");
  }
  const int code = ServeWith(loaded.options, file, std::move(inheritance));
  log::Stop();
  bulkhead::io::EndThreadPool();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "bulkhead: a sharded tenant router that speaks the MySQL wire protocol\n"
      "\n"
      "Applications connect to it as if to MySQL; it maps each tenant to the backend that holds "
      "its data."};
  app.set_version_flag("--version", "bulkhead " BULKHEAD_VERSION);
  app.require_subcommand(1);
  app.failure_message(CLI::FailureMessage::help);

  std::string serve_file;
  CLI::App* serve =
      app.add_subcommand("serve", "Run the router (SIGTERM drains, a second one ends at once)");
  serve
      ->add_option("-c,--config", serve_file,
                   "Configuration file (YAML, see docs/CONFIGURATION.md)")
      ->required();

  std::string check_file;
  CLI::App* check = app.add_subcommand(
      "check", "Check a configuration file; prints every error with line and key");
  check->add_option("FILE", check_file, "Configuration file")->required();

  const bulkhead::TopologyCommand topology(&app);
  bulkhead::AdminCommand admin(&app);
  bulkhead::TopCommand top(&app);
  bulkhead::HealthCommand health(&app);

  app.footer(
      "Examples:\n  bulkhead check /etc/bulkhead/bulkhead.yaml\n"
      "  bulkhead serve --config /etc/bulkhead/bulkhead.yaml\n"
      "  bulkhead admin -e 'SHOW BACKENDS'");
  CLI11_PARSE(app, argc, argv);
  if (check->parsed()) return bulkhead::config::Check(check_file, std::cout);
  if (topology.parsed()) return topology.Run(std::cout, std::cerr);
  if (admin.parsed()) return admin.Run(std::cout, std::cerr);
  if (top.parsed()) return top.Run(std::cout, std::cerr);
  if (health.parsed()) return health.Run(std::cout, std::cerr);
  return Serve(serve_file);
}
