#include "proxy/config/load.h"

#include <sys/stat.h>
#include <yaml-cpp/eventhandler.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <ostream>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/parts.h"
#include "proxy/config/yaml_reader.h"

namespace bulkhead::config {
namespace {

std::optional<Environment::File> ReadRealFile(const std::string& path, std::string* why) {
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  struct stat info;
  if (file == nullptr || fstat(fileno(file.get()), &info) != 0) {
    *why = std::strerror(errno);
    return std::nullopt;
  }
  if (S_ISDIR(info.st_mode)) {
    *why = "it is a folder";
    return std::nullopt;
  }
  Environment::File out;
  // root:bulkhead 0640 is how packages and clusters hand secrets to a process that may not change
  // them.
  const mode_t others = info.st_uid == 0 ? S_IROTH : S_IRGRP | S_IROTH;
  out.others_may_read = (info.st_mode & others) != 0;
  char buffer[65536];
  size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof(buffer), file.get())) > 0) {
    out.content.append(buffer, got);
    if (out.content.size() > kMaxFileBytes) {
      *why = "it is longer than 256 MiB";
      return std::nullopt;
    }
  }
  if (std::ferror(file.get()) != 0) {
    *why = std::strerror(errno);
    return std::nullopt;
  }
  return out;
}

// Tabs as indentation and the like: yaml-cpp's own words, with its line, but not what it quotes
// behind a colon: a verifier without its quotes is an alias, and the message holds it.
LoadResult SyntaxError(const std::string& file, const YAML::Exception& error) {
  LoadResult result;
  ConfigError out;
  out.file = file;
  if (!error.mark.is_null()) {
    out.line = error.mark.line + 1;
    out.column = error.mark.column + 1;
  }
  const size_t colon = error.msg.find(':');
  out.message = absl::StrCat("is not valid YAML: ", error.msg.substr(0, colon));
  if (error.msg.find("anchor") != std::string::npos) {
    out.message += "; a value that begins with * or & needs quotes";
  }
  result.errors.push_back(std::move(out));
  return result;
}

// Sees only where a document begins.
class DocumentCounter : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { start = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  YAML::Mark start = YAML::Mark::null_mark();
};

// Where a second document begins; the null mark if none does. (YAML::LoadAll is no way to find out:
// in yaml-cpp 0.7 it makes documents without end of a text that begins with a comma.)
YAML::Mark SecondDocument(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentCounter first;
  DocumentCounter second;
  if (!parser.HandleNextDocument(first) || !parser.HandleNextDocument(second)) {
    return YAML::Mark::null_mark();
  }
  return second.start;
}

void ReadTopologyAlone(const Section& root, Options* options) {
  ReadTenancy(root, options);
  ReadTopology(root, options);
}

void ReadAll(const Section& root, Options* options) {
  ReadTls(root, options);
  ReadListeners(root, options);
  ReadUsers(root, options);
  ReadRuntime(root, options);
  ReadLimits(root, options);
  ReadFailover(root, &options->failover);
  ReadTenancy(root, options);
  ReadTopology(root, options);
  FinishListeners(root, options);
  CheckUsers(root, *options);
}

}  // namespace

std::string ConfigError::ToString() const {
  std::string out = file;
  if (line > 0) absl::StrAppend(&out, ":", line, ":", column);
  absl::StrAppend(&out, severity == Severity::kError ? ": error: " : ": warning: ");
  if (!key.empty()) absl::StrAppend(&out, key, ": ");
  absl::StrAppend(&out, message);
  return out;
}

Environment Environment::Real() {
  Environment out;
  out.variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
  out.read_file = ReadRealFile;
  return out;
}

Environment Environment::Empty() {
  Environment out;
  out.variable = [](const std::string&) { return std::nullopt; };
  out.read_file = [](const std::string&, std::string* why) -> std::optional<File> {
    *why = "No such file or directory";
    return std::nullopt;
  };
  return out;
}

void Secret::Wipe() {
  // A plain memset of what is about to be freed may be left out by the compiler.
  volatile char* bytes = value_.data();
  for (size_t i = 0; i < value_.size(); ++i) bytes[i] = 0;
  value_.clear();
}

const User* Options::FindUser(std::string_view name) const {
  for (const User& user : users) {
    if (user.name == name) return &user;
  }
  return nullptr;
}

namespace {

LoadResult Load(std::string_view text, const std::string& file, const Environment& environment,
                void (*read)(const Section&, Options*)) {
  LoadResult result;
  auto options = std::make_shared<Options>();
  Report report(file, environment);
  try {
    const YAML::Node document = YAML::Load(std::string(text));
    if (!document.IsDefined() || document.IsNull()) {
      report.Error(YAML::Mark::null_mark(), "", "holds no keys; see deploy/bulkhead.example.yaml");
    } else if (const YAML::Mark more = SecondDocument(std::string(text)); !more.is_null()) {
      report.Error(more, "", "holds more than one YAML document, or something behind its end");
    } else {
      const Section root(report, document, "", "");
      if (root.exists()) read(root, options.get());
    }
  } catch (const YAML::Exception& error) {
    return SyntaxError(file, error);
  }
  options->given = report.TakeGiven();
  if (!report.has_errors()) result.options = std::move(options);
  result.errors = report.Take();
  return result;
}

}  // namespace

LoadResult LoadString(std::string_view text, const std::string& file,
                      const Environment& environment) {
  return Load(text, file, environment, ReadAll);
}

LoadResult LoadTopology(std::string_view text, const std::string& file) {
  return Load(text, file, Environment::Empty(), ReadTopologyAlone);
}

LoadResult LoadFile(const std::string& path, const Environment& environment) {
  std::string why;
  auto file = environment.read_file(path, &why);
  if (!file) {
    LoadResult result;
    ConfigError error;
    error.file = path;
    error.message = "can't be read: " + why;
    result.errors.push_back(std::move(error));
    return result;
  }
  LoadResult result = LoadString(file->content, path, environment);
  const bool holds_secrets = file->content.find("password:") != std::string::npos;
  if (file->others_may_read && holds_secrets) {
    ConfigError warning;
    warning.severity = Severity::kWarning;
    warning.file = path;
    warning.message = "holds passwords and can be read by other users; chmod 600 it";
    result.errors.insert(result.errors.begin(), std::move(warning));
  }
  return result;
}

std::optional<AdminAccess> LoadAdminAccess(const std::string& path, const Environment& environment,
                                           std::string* why) {
  const auto file = environment.read_file(path, why);
  if (!file) return std::nullopt;
  AdminAccess access;
  try {
    Report report(path, environment);
    const Section root(report, YAML::Load(file->content), "", "");
    Options options;
    ReadAdminListener(root, &options);
    ReadAdminUsers(root, &options);
    access.listener = std::move(options.admin);
    access.users = std::move(options.admin_users);
  } catch (const YAML::Exception&) {
    *why = "it is not valid YAML";
    return std::nullopt;
  }
  return access;
}

int Check(const std::string& path, std::ostream& out, const Environment& environment) {
  const LoadResult result = LoadFile(path, environment);
  size_t errors = 0;
  for (const ConfigError& error : result.errors) {
    errors += error.severity == Severity::kError ? 1 : 0;
    out << error.ToString() << '\n';
  }
  const size_t warnings = result.errors.size() - errors;
  if (result.ok()) {
    out << path << ": usable, " << warnings << (warnings == 1 ? " warning" : " warnings") << '\n';
    return 0;
  }
  out << path << ": not usable, " << errors << (errors == 1 ? " error, " : " errors, ") << warnings
      << (warnings == 1 ? " warning" : " warnings") << '\n';
  return 1;
}

}  // namespace bulkhead::config
