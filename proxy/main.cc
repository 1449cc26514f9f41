// The command line: bulkhead serve --config FILE | check FILE | topology ... | --version.

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <iostream>

#include "proxy/auth/secret.h"
#include "proxy/config/load.h"
#include "proxy/server.h"
#include "proxy/topology_command.h"

namespace {

bool StartLog(const bulkhead::config::Log& log) {
  spdlog::level::level_enum level = spdlog::level::info;
  switch (log.level) {
    case bulkhead::config::LogLevel::kDebug:
      level = spdlog::level::debug;
      break;
    case bulkhead::config::LogLevel::kInfo:
      break;
    case bulkhead::config::LogLevel::kWarn:
      level = spdlog::level::warn;
      break;
    case bulkhead::config::LogLevel::kError:
      level = spdlog::level::err;
      break;
  }
  try {
    auto logger = log.file.empty() ? spdlog::stderr_logger_mt("bulkhead")
                                   : spdlog::basic_logger_mt("bulkhead", log.file);
    logger->set_level(level);
    logger->flush_on(spdlog::level::info);
    if (log.format == bulkhead::config::LogFormat::kJson) {
      logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":"%v"})",
                          spdlog::pattern_time_type::utc);
    } else {
      logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    }
    spdlog::set_default_logger(logger);
  } catch (const spdlog::spdlog_ex& error) {
    std::cerr << "bulkhead: log: " << error.what() << '\n';
    return false;
  }
  return true;
}

// A few hundred passwords and keys: below the limit on locked memory that systems give everybody.
constexpr size_t kLockedMemory = size_t{1} << 18;

int Serve(const std::string& file) {
  // Before the passwords of the configuration are read.
  const bool locked = bulkhead::auth::ReserveLockedMemory(kLockedMemory);
  const bulkhead::config::LoadResult loaded = bulkhead::config::LoadFile(file);
  for (const bulkhead::config::ConfigError& error : loaded.errors)
    std::cerr << error.ToString() << '\n';
  if (!loaded.ok()) {
    std::cerr << "bulkhead: not started: the configuration has errors\n";
    return 1;
  }
  if (!StartLog(loaded.options->log)) return 1;
  if (!locked)
    spdlog::warn("passwords lie in memory that may be swapped out (see ulimit -l, LimitMEMLOCK)");
  bulkhead::Server server(loaded.options, BULKHEAD_VERSION);
  if (const std::string error = server.Start(); !error.empty()) {
    std::cerr << "bulkhead: not started: " << error << '\n';
    return 1;
  }
  return server.Run();
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

  app.footer(
      "Examples:\n  bulkhead check /etc/bulkhead/bulkhead.yaml\n"
      "  bulkhead serve --config /etc/bulkhead/bulkhead.yaml");
  CLI11_PARSE(app, argc, argv);
  if (check->parsed()) return bulkhead::config::Check(check_file, std::cout);
  if (topology.parsed()) return topology.Run(std::cout, std::cerr);
  return Serve(serve_file);
}
