#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "proxy/config/parts.h"
#include "proxy/config/values.h"

namespace bulkhead::config {
namespace {

constexpr std::string_view kDefaultMariadbVersion = "10.11.14-MariaDB";
constexpr std::string_view kDefaultMysqlVersion = "8.4.6";

constexpr std::pair<std::string_view, TlsMode> kTlsModes[] = {{"disabled", TlsMode::kDisabled},
                                                              {"preferred", TlsMode::kPreferred},
                                                              {"required", TlsMode::kRequired}};
constexpr std::pair<std::string_view, TlsMode> kHttpTlsModes[] = {{"disabled", TlsMode::kDisabled},
                                                                  {"required", TlsMode::kRequired}};
constexpr std::pair<std::string_view, routing::ServerFamily> kFamilies[] = {
    {"mysql", routing::ServerFamily::kMysql}, {"mariadb", routing::ServerFamily::kMariadb}};

bool ReadAddress(Report& report, const YAML::Mark& mark, const std::string& path,
                 const std::string& text, routing::Address* out) {
  auto address = routing::ParseAddress(text);
  if (!address.ok()) {
    report.Error(mark, path, std::string(address.status().message()));
    return false;
  }
  *out = *std::move(address);
  return true;
}

// Digits, dots: "10.11.6", then anything printable.
bool IsVersion(std::string_view text) {
  size_t dots = 0;
  size_t i = 0;
  for (; i < text.size() && (std::isdigit(static_cast<unsigned char>(text[i])) || text[i] == '.');
       ++i) {
    if (text[i] != '.') continue;
    ++dots;
    if (i == 0 || text[i - 1] == '.') return false;
  }
  return dots == 2 && i > 0 && text[i - 1] != '.' && text.size() <= 60 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

void ReadMysqlMap(const Section& section, Options* out) {
  MysqlListener listener;
  listener.family = routing::ServerFamily::kAuto;
  std::string address;
  const bool has_address = section.RequiredText("address", &address) &&
                           ReadAddress(section.report(), section.MarkOf("address"),
                                       section.PathOf("address"), address, &listener.address);
  section.Choice<routing::ServerFamily>("family", kFamilies, &listener.family);
  if (section.Text("version", &listener.version) && !IsVersion(listener.version)) {
    section.Error("version", "needs a version such as 8.4.6 or 10.11.14-MariaDB, not " +
                                 Quoted(listener.version));
  }
  section.Bool("proxy_protocol", &listener.proxy_protocol);
  section.EachText("proxy_networks", [&](const std::string& text, const YAML::Mark& mark,
                                         const std::string& path) {
    if (!IsNetwork(text)) {
      section.report().Error(mark, path, "needs a network such as 10.0.0.0/8, not " + Quoted(text));
    }
    listener.proxy_networks.push_back(text);
  });
  if (!listener.proxy_networks.empty() && !listener.proxy_protocol) {
    section.Error("proxy_networks", "needs proxy_protocol: true beside it");
  }
  listener.tls = out->client_tls.mode;
  section.Choice<TlsMode>("tls", kTlsModes, &listener.tls);
  if (has_address) out->mysql.push_back(std::move(listener));
}

void ReadMysql(const Section& listen, Options* out) {
  const YAML::Node list = listen.Node("mysql");
  if (!listen.Has("mysql")) {
    listen.Error("",
                 "needs the key 'mysql': where clients connect, for example mysql: "
                 "[\"0.0.0.0:3306\"]");
    return;
  }
  const auto one = [&](const YAML::Node& node, const std::string& path) {
    if (node.IsMap()) {
      ReadMysqlMap(Section(listen.report(), node, path, "listen.mysql[]"), out);
      return;
    }
    if (!node.IsScalar()) {
      listen.report().Error(node.Mark(), path, "needs an address or a map with one");
      return;
    }
    MysqlListener listener;
    listener.family = routing::ServerFamily::kAuto;
    listener.tls = out->client_tls.mode;
    if (ReadAddress(listen.report(), node.Mark(), path, node.Scalar(), &listener.address)) {
      out->mysql.push_back(std::move(listener));
    }
  };
  if (!list.IsSequence()) {
    one(list, "listen.mysql");
    return;
  }
  if (list.size() == 0) listen.Error("mysql", "is an empty list; name at least one address");
  size_t index = 0;
  for (const YAML::Node& node : list) one(node, absl::StrCat("listen.mysql[", index++, "]"));
}

void ReadAdmin(const Section& listen, std::string_view key, std::optional<AdminListener>* out) {
  if (!listen.Has(key)) return;
  AdminListener listener;
  const YAML::Node node = listen.Node(key);
  bool ok = false;
  if (node.IsScalar()) {
    ok = ReadAddress(listen.report(), node.Mark(), listen.PathOf(key), node.Scalar(),
                     &listener.address);
  } else {
    const Section map = listen.Map(key);
    std::string address;
    ok = map.RequiredText("address", &address) &&
         ReadAddress(listen.report(), map.MarkOf("address"), map.PathOf("address"), address,
                     &listener.address);
    map.Choice<TlsMode>("tls", key == "http" ? Choices<TlsMode>(kHttpTlsModes) : kTlsModes,
                        &listener.tls);
  }
  if (ok && key == "http" && listener.address.is_unix()) {
    listen.Error(key, "can't be a Unix socket; use a loopback address");
    ok = false;
  }
  if (ok) *out = std::move(listener);
}

// What others can reach must be encrypted and ask for a password.
void CheckReachable(const Section& listen, std::string_view key, const Options& options,
                    const std::optional<AdminListener>& listener) {
  if (!listener) return;
  const bool has_certificate = !options.client_tls.cert.empty();
  if (listener->tls != TlsMode::kDisabled && !has_certificate) {
    listen.Error(key, "has TLS but tls.clients has no cert and key");
  }
  if (listener->address.is_local()) return;
  if (listener->tls != TlsMode::kRequired) {
    listen.Error(key, absl::StrCat(listener->address.ToString(),
                                   " can be reached from other machines and needs tls: required, "
                                   "or use a loopback address"));
  }
  if (options.admin_users.empty()) {
    listen.Error(key, absl::StrCat(listener->address.ToString(),
                                   " can be reached from other machines and needs admin_users, or "
                                   "use a loopback address"));
  }
}

void FinishMysql(const Section& listen, Options* out) {
  const auto& backends = out->topology->backends();
  const bool all_mysql =
      !backends.empty() && std::all_of(backends.begin(), backends.end(), [](const auto* backend) {
        return backend->family == routing::ServerFamily::kMysql;
      });
  for (MysqlListener& listener : out->mysql) {
    const std::string where = listener.address.ToString();
    if (listener.family == routing::ServerFamily::kAuto) {
      listener.family = all_mysql ? routing::ServerFamily::kMysql : routing::ServerFamily::kMariadb;
      // A version alone says which family is meant.
      if (!listener.version.empty()) {
        listener.family = listener.version.find("MariaDB") != std::string::npos
                              ? routing::ServerFamily::kMariadb
                              : routing::ServerFamily::kMysql;
      }
    }
    const bool mariadb = listener.family == routing::ServerFamily::kMariadb;
    if (listener.version.empty()) {
      listener.version = std::string(mariadb ? kDefaultMariadbVersion : kDefaultMysqlVersion);
    }
    if (mariadb != (listener.version.find("MariaDB") != std::string::npos)) {
      listen.Error("mysql", absl::StrCat("listener ", where, " has family ",
                                         mariadb ? "mariadb, whose version must hold 'MariaDB'"
                                                 : "mysql, whose version must not hold 'MariaDB'",
                                         ", but version ", Quoted(listener.version)));
    }
    if (!out->client_tls.cert.empty()) continue;
    if (listener.tls == TlsMode::kRequired) {
      listen.Error("mysql", absl::StrCat("listener ", where,
                                         " requires TLS but tls.clients has no cert and key"));
    }
    listener.tls = TlsMode::kDisabled;
  }
}

}  // namespace

Choices<TlsMode> TlsModeChoices() { return kTlsModes; }

void ReadListeners(const Section& root, Options* out) {
  if (!root.Has("listen")) {
    root.Error("",
               "needs the key 'listen': where clients connect, for example listen: {mysql: "
               "[\"0.0.0.0:3306\"]}");
    return;
  }
  const Section listen = root.Map("listen");
  if (!listen.exists()) return;
  ReadMysql(listen, out);
  ReadAdmin(listen, "admin", &out->admin);
  ReadAdmin(listen, "http", &out->http);
}

void ReadAdminListener(const Section& root, Options* out) {
  if (root.Has("listen")) ReadAdmin(root.Map("listen", /*again=*/true), "admin", &out->admin);
}

void FinishListeners(const Section& root, Options* out) {
  const Section listen = root.Map("listen", /*again=*/true);
  if (!listen.exists()) return;
  FinishMysql(listen, out);
  CheckReachable(listen, "admin", *out, out->admin);
  CheckReachable(listen, "http", *out, out->http);
  if (out->admin && out->admin->address.is_local() && out->admin_users.empty())
    listen.Warning("admin", "there are no admin_users: nobody can log on there");
  std::vector<std::pair<std::string, std::string>> seen;
  const auto once = [&](const routing::Address& address, std::string_view key) {
    const std::string text = address.ToString();
    for (const auto& [earlier, where] : seen) {
      if (earlier == text) {
        listen.Error(key, absl::StrCat("listens on ", text, ", and so does listen.", where));
      }
    }
    seen.emplace_back(text, std::string(key));
  };
  for (const MysqlListener& listener : out->mysql) once(listener.address, "mysql");
  if (out->admin) once(out->admin->address, "admin");
  if (out->http) once(out->http->address, "http");
}

}  // namespace bulkhead::config
