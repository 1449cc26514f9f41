#include "proxy/log_setup.h"

#include "proxy/log/log.h"

namespace bulkhead {

std::string SetUpLog(const config::Log& log) {
  log::Options options;
  switch (log.level) {
    case config::LogLevel::kDebug:
      options.level = log::Level::kDebug;
      break;
    case config::LogLevel::kInfo:
      options.level = log::Level::kInfo;
      break;
    case config::LogLevel::kWarn:
      options.level = log::Level::kWarn;
      break;
    case config::LogLevel::kError:
      options.level = log::Level::kError;
      break;
  }
  options.format = log.format == config::LogFormat::kJson ? log::Format::kJson : log::Format::kText;
  options.file = log.file;
  options.max_repeats = log.max_repeats;
  const std::string error = log::Start(options);
  return error.empty() ? "" : "log: " + error;
}

}  // namespace bulkhead
