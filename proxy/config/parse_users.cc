#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/config/parts.h"
#include "proxy/config/values.h"
#include "routing/abseil_view.h"

namespace bulkhead::config {
namespace {

using routing::Abs;

constexpr std::pair<std::string_view, routing::Pooling> kPooling[] = {
    {"transaction", routing::Pooling::kTransaction}, {"session", routing::Pooling::kSession}};

std::string Key(std::string_view prefix, std::string_view rest) {
  return absl::StrCat(Abs(prefix), Abs(rest));
}

// One of PREFIXpassword, PREFIXpassword_file, PREFIXpassword_env. False: none given, or none that
// can be used (reported).
bool ReadPassword(const Section& section, std::string_view prefix, std::optional<Secret>* out) {
  const std::string literal = Key(prefix, "password");
  const std::string file = Key(prefix, "password_file");
  const std::string variable = Key(prefix, "password_env");
  std::vector<std::string_view> given;
  for (const std::string& key : {literal, file, variable}) {
    if (section.Has(key)) given.push_back(key == literal ? literal : key == file ? file : variable);
  }
  if (given.size() > 1) {
    section.Error(given[1], absl::StrCat("is given beside ", Abs(given[0]), "; one is enough"));
    return false;
  }
  std::string text;
  const Environment& environment = section.report().environment();
  if (section.Has(literal)) {
    const YAML::Node node = section.Node(literal);
    if (!node.IsScalar()) {
      section.Error(literal, "needs a single value");  // not shown: it may hold the secret
      return false;
    }
    text = node.Scalar();
  } else if (section.Has(file)) {
    std::string path;
    if (!section.File(file, true, &path)) return false;
    std::string why;
    text = environment.read_file(path, &why).value_or(Environment::File{}).content;
    if (text.ends_with('\n')) text.pop_back();
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) {
      section.Error(file, "is an empty file");
      return false;
    }
  } else if (section.Has(variable)) {
    std::string name;
    if (!section.Text(variable, &name)) return false;
    auto value = environment.variable(name);
    if (!value || value->empty()) {
      section.Error(variable, absl::StrCat("environment variable ", Quoted(name), " is ",
                                           value ? "empty" : "not set"));
      return false;
    }
    text = *std::move(value);
  } else {
    return false;
  }
  if (text.find('\0') != std::string::npos || text.size() > 255) {
    section.Error(given[0], text.size() > 255 ? "is longer than 255 bytes" : "holds a NUL byte");
    return false;
  }
  *out = Secret(std::move(text));
  return true;
}

bool HasPassword(const Section& section, std::string_view prefix) {
  return section.Has(Key(prefix, "password")) || section.Has(Key(prefix, "password_file")) ||
         section.Has(Key(prefix, "password_env"));
}

// Password or verifier of someone who logs in here.
void ReadCredentials(const Section& section, std::optional<Secret>* password,
                     std::optional<Verifier>* verifier) {
  const bool has_password = HasPassword(section, "");
  if (!has_password && !section.Has("verifier")) {
    section.Error("", "needs one of password, password_file, password_env, verifier");
    return;
  }
  if (has_password && section.Has("verifier")) {
    section.Error("verifier", "is given beside a password; one is enough");
    return;
  }
  if (has_password) {
    if (ReadPassword(section, "", password) && (*password)->empty()) {
      section.Warning("password", "is empty: anybody may log in under this name");
    }
    return;
  }
  const YAML::Node node = section.Node("verifier");
  *verifier = node.IsScalar() ? ParseVerifier(node.Scalar()) : std::nullopt;
  if (!*verifier) {  // not shown: it is a secret too
    section.Error("verifier",
                  "needs '*' and 40 hex digits, '$A$005$' with salt and digest (or its bytes as "
                  "0x...), or the 43 base64 characters of an ed25519 key");
  }
}

void ReadName(const Section& section, std::string_view what, std::string* out) {
  if (!section.RequiredText("name", out)) return;
  if (out->size() > 128)
    section.Error("name", absl::StrCat("is a ", Abs(what), " name longer than 128 bytes"));
}

void ReadUser(const Section& section, Options* out) {
  User user;
  ReadName(section, "user", &user.name);
  ReadCredentials(section, &user.password, &user.verifier);
  ServiceAccount account;
  if (section.Text("backend_user", &account.user)) {
    std::optional<Secret> secret;
    ReadPassword(section, "backend_", &secret);
    if (secret) account.password = *std::move(secret);
    user.backend = std::move(account);
  } else if (HasPassword(section, "backend_")) {
    section.Error("", "has a password for the backends but no backend_user");
  }
  section.EachText(
      "tenants", [&](const std::string& text, const YAML::Mark& mark, const std::string& path) {
        if (const auto problem = routing::TenantNameProblem(text); !problem.empty()) {
          section.report().Error(mark, path,
                                 absl::StrCat("tenant name ", Quoted(text), " ", Abs(problem)));
        }
        user.tenants.push_back(text);
      });
  if (section.Has("tenants") && user.tenants.empty()) {
    section.Error("tenants",
                  "is an empty list: the user could do nothing; leave the key out to "
                  "allow all");
  }
  std::sort(user.tenants.begin(), user.tenants.end());
  section.Choice<routing::Pooling>("pooling", kPooling, &user.pooling);
  section.Number("max_connections", 1, 1'000'000, &user.max_connections);
  if (std::any_of(out->users.begin(), out->users.end(),
                  [&](const User& other) { return other.name == user.name; }) &&
      !user.name.empty()) {
    section.Error("name", absl::StrCat("user ", Quoted(user.name), " is given twice"));
  }
  out->users.push_back(std::move(user));
}

void ReadAccount(const Section& root, std::string_view key, std::optional<ServiceAccount>* out) {
  if (!root.Has(key)) return;
  const Section section = root.Map(key);
  if (!section.exists()) return;
  ServiceAccount account;
  section.RequiredText("user", &account.user);
  std::optional<Secret> secret;
  if (!HasPassword(section, "")) {
    section.Error("", "needs one of password, password_file, password_env");
  } else if (ReadPassword(section, "", &secret)) {
    account.password = *std::move(secret);
  }
  *out = std::move(account);
}

// What can be logged on to backends with what is stored of the user.
void CheckVerifier(const Section& section, const User& user, const Options& options) {
  if (!user.verifier || user.backend) return;
  switch (user.verifier->kind) {
    case VerifierKind::kEd25519:
      section.Error("verifier",
                    "an ed25519 key can check a client but can't log on to a backend; add "
                    "backend_user");
      break;
    case VerifierKind::kSha2:
      section.Warning("verifier",
                      "logs on to backends only after this user's first full authentication since "
                      "the start; add backend_user to avoid that");
      break;
    case VerifierKind::kNative: {
      const auto& backends = options.topology->backends();
      const bool mysql = std::any_of(backends.begin(), backends.end(), [](const auto* backend) {
        return backend->family == routing::ServerFamily::kMysql;
      });
      if (mysql) {
        section.Warning("verifier",
                        "logs on to backends by mysql_native_password only, which MySQL has not "
                        "had since 9.0 and 8.4 only if switched on; add backend_user");
      }
      break;
    }
  }
}

}  // namespace

Choices<routing::Pooling> PoolingChoices() { return kPooling; }

void ReadUsers(const Section& root, Options* out) {
  root.EachMap("users", [&](const Section& section) { ReadUser(section, out); });
  ReadAdminUsers(root, out);
  ReadAccount(root, "probe", &out->probe);
  ReadAccount(root, "control", &out->control);
  ReadAccount(root, "replication", &out->replication);
}

void ReadAdminUsers(const Section& root, Options* out) {
  root.EachMap("admin_users", [&](const Section& section) {
    AdminUser user;
    ReadName(section, "user", &user.name);
    ReadCredentials(section, &user.password, &user.verifier);
    section.Bool("read_only", &user.read_only);
    if (std::any_of(out->admin_users.begin(), out->admin_users.end(),
                    [&](const AdminUser& other) { return other.name == user.name; }) &&
        !user.name.empty()) {
      section.Error("name", absl::StrCat("admin user ", Quoted(user.name), " is given twice"));
    }
    out->admin_users.push_back(std::move(user));
  });
}

void CheckUsers(const Section& root, const Options& options) {
  if (!root.Has("users")) {
    root.Warning("", "has no users: nobody can log in");
    return;
  }
  if (!root.Node("users").IsSequence()) return;
  size_t index = 0;
  size_t user_index = 0;
  for (const YAML::Node& node : root.Node("users")) {
    const std::string path = absl::StrCat("users[", index++, "]");
    if (!node.IsMap()) continue;  // said already
    const Section section(root.report(), node, path, "users[]", /*again=*/true);
    const User& user = options.users[user_index++];
    CheckVerifier(section, user, options);
    const routing::LoginName split = routing::SplitLoginName(options.tenancy, user.name);
    if (split.user != user.name) {
      section.Error("name", absl::StrCat("tenancy.username_pattern splits ", Quoted(user.name),
                                         " into user ", Quoted(split.user), " and tenant ",
                                         Quoted(split.tenant), "; give the user's part only"));
    }
    for (const std::string& tenant : user.tenants) {
      if (routing::TenantNameProblem(tenant).empty() &&
          !options.topology->FindTenant(tenant).found() && !options.topology->directory().empty()) {
        section.Warning("tenants",
                        absl::StrCat("tenant ", Quoted(tenant), " is not in the file's topology"));
      }
    }
  }
}

}  // namespace bulkhead::config
