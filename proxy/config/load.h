// Configuration file -> Options, or every error in it.
//
// LoadFile reads the YAML, checks all of it (unknown keys too, with the nearest known one),
// resolves password files and environment variables, compiles patterns, builds the seed topology.
// All errors come at once; with an error the options are absent. Warnings (severity kWarning) don't
// prevent a start. No message holds a secret. Threads: any; reads files, no other side effects. No
// exceptions leave (yaml-cpp's are caught here). Limits: kMaxFileBytes, kMaxErrors errors are
// reported, nesting as deep as the known keys are.
#ifndef BULKHEAD_PROXY_CONFIG_LOAD_H_
#define BULKHEAD_PROXY_CONFIG_LOAD_H_

#include <cstddef>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config/options.h"

namespace bulkhead::config {

inline constexpr size_t kMaxFileBytes = 256u << 20;
inline constexpr size_t kMaxErrors = 200;

enum class Severity : uint8_t { kError, kWarning };

struct ConfigError {
  Severity severity = Severity::kError;
  std::string file;
  int line = 0;  // from 1; 0: the file as a whole
  int column = 0;
  std::string key;      // "users[1].tenants[0]"; "" for the file
  std::string message;  // what is wrong and what would be right

  // FILE:LINE:COL: error: key.path: message
  std::string ToString() const;
};

// The outside world as the loader sees it, so that tests and the fuzzer need no files.
struct Environment {
  std::function<std::optional<std::string>(const std::string& name)> variable;
  struct File {
    std::string content;
    bool others_may_read = false;  // group (unless root's) or world: said in a warning
  };
  // Relative paths are already joined to the folder of the configuration file. nullopt: unreadable,
  // `why` says it.
  std::function<std::optional<File>(const std::string& path, std::string* why)> read_file;

  static Environment Real();
  // No variables, no files.
  static Environment Empty();
};

struct LoadResult {
  std::shared_ptr<const Options> options;  // null if there is an error
  std::vector<ConfigError> errors;         // errors and warnings, by line

  bool ok() const { return options != nullptr; }
};

[[nodiscard]] LoadResult LoadFile(const std::string& path,
                                  const Environment& environment = Environment::Real());
// `file` is the name in messages; relative paths in the text are relative to its folder.
[[nodiscard]] LoadResult LoadString(std::string_view text, const std::string& file,
                                    const Environment& environment);

// A file that holds only `topology:` and `tenancy: {unassigned: ...}`: what
// `bulkhead topology import` reads. Of the options nothing else is filled in but tenant_limits.
[[nodiscard]] LoadResult LoadTopology(std::string_view text, const std::string& file);

// What the admin client needs of a router's configuration: where it listens and who may log in, as
// far as this process can read it (a password that it can't read is absent). nullopt: the file
// can't be read, *why says it. Other errors are nobody's business here.
struct AdminAccess {
  std::optional<AdminListener> listener;
  std::vector<AdminUser> users;
};
[[nodiscard]] std::optional<AdminAccess> LoadAdminAccess(const std::string& path,
                                                         const Environment& environment,
                                                         std::string* why);

// `bulkhead check FILE`: all errors and warnings to `out` in compiler style, then one line of
// summary. Returns the exit code: 0 usable (warnings or not), 1 errors.
int Check(const std::string& path, std::ostream& out,
          const Environment& environment = Environment::Real());

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_LOAD_H_
