#include "proxy/config/variables.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "proxy/config/option_list.h"
#include "proxy/config/parts.h"
#include "proxy/config/values.h"
#include "proxy/config/yaml_reader.h"
#include "routing/abseil_view.h"

namespace bulkhead::config {
namespace {

using routing::Abs;

std::string Text(Duration value) { return DurationText(value); }
std::string Text(uint32_t value) { return absl::StrCat(value); }
std::string Text(int value) { return absl::StrCat(value); }
std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(const std::string& value) { return value; }
std::string Text(routing::HoldPolicy value) { return std::string(ToString(value)); }
std::string Text(routing::BackendTls value) { return std::string(ToString(value)); }
std::string Text(routing::DetectionMode value) { return std::string(ToString(value)); }
std::string Text(TlsMode value) {
  return value == TlsMode::kDisabled    ? "disabled"
         : value == TlsMode::kPreferred ? "preferred"
                                        : "required";
}
std::string Text(TlsVersion value) { return value == TlsVersion::kTls12 ? "1.2" : "1.3"; }
std::string Text(LogFormat value) { return value == LogFormat::kText ? "text" : "json"; }
std::string Text(LogLevel value) {
  switch (value) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "";
}
std::string Text(const std::vector<CompressionAlgorithm>& value) {
  return absl::StrCat(
      "[",
      absl::StrJoin(value, ", ",
                    [](std::string* out, CompressionAlgorithm algorithm) {
                      out->append(algorithm == CompressionAlgorithm::kZlib ? "zlib" : "zstd");
                    }),
      "]");
}
std::string Text(const std::optional<routing::NamePattern>& value) {
  return value.has_value() ? value->text() : std::string();
}
std::string Text(const std::optional<ServiceAccount>& value) {
  return value.has_value() ? value->user : std::string();
}
std::string AddressText(const std::optional<AdminListener>& listener) {
  return listener.has_value() ? listener->address.ToString() : std::string();
}
std::string TlsText(const std::optional<AdminListener>& listener) {
  return listener.has_value() ? Text(listener->tls) : std::string();
}
std::string AddressesText(const std::vector<MysqlListener>& listeners) {
  return absl::StrJoin(listeners, ", ", [](std::string* out, const MysqlListener& listener) {
    out->append(listener.address.ToString());
  });
}
std::string Text(const routing::Unassigned& value) {
  if (std::holds_alternative<routing::UnassignedReject>(value)) return "reject";
  if (std::holds_alternative<routing::UnassignedSlots>(value)) return "slots";
  return "{shard: " + std::get<routing::UnassignedShard>(value).shard + "}";
}

struct Getter {
  std::string_view name;
  std::string (*text)(const Options&);
};

constexpr Getter kGetters[] = {
    {"listen.mysql", [](const Options& o) { return AddressesText(o.mysql); }},
    {"listen.admin", [](const Options& o) { return AddressText(o.admin); }},
    {"listen.admin.tls", [](const Options& o) { return TlsText(o.admin); }},
    {"listen.http", [](const Options& o) { return AddressText(o.http); }},
    {"listen.http.tls", [](const Options& o) { return TlsText(o.http); }},
    {"workers",
     [](const Options& o) { return o.workers == 0 ? std::string("auto") : Text(o.workers); }},
    {"state_dir", [](const Options& o) { return Text(o.state_dir); }},
    {"shutdown_timeout", [](const Options& o) { return Text(o.shutdown_timeout); }},
    {"upgrade.start_timeout", [](const Options& o) { return Text(o.upgrade.start_timeout); }},
    {"upgrade.drain_timeout", [](const Options& o) { return Text(o.upgrade.drain_timeout); }},
    {"probe.user", [](const Options& o) { return Text(o.probe); }},
    {"control.user", [](const Options& o) { return Text(o.control); }},
    {"replication.user", [](const Options& o) { return Text(o.replication); }},
    {"failover.fence_command",  // its arguments may be secrets
     [](const Options& o) {
       const std::vector<std::string>& words = o.failover.fence_command;
       return words.empty() ? "" : words.front() + (words.size() > 1 ? " ..." : "");
     }},
    {"failover.fence_timeout", [](const Options& o) { return Text(o.failover.fence_timeout); }},
    {"failover.automatic_after", [](const Options& o) { return Text(o.failover.automatic_after); }},
    {"tenancy.username_pattern", [](const Options& o) { return Text(o.tenancy.username_pattern); }},
    {"tenancy.database_pattern", [](const Options& o) { return Text(o.tenancy.database_pattern); }},
    {"tenancy.physical_database",
     [](const Options& o) { return Text(o.tenancy.physical_database); }},
    {"tenancy.logical_database", [](const Options& o) { return Text(o.tenancy.logical_database); }},
    {"tenancy.unassigned", [](const Options& o) { return Text(o.topology->unassigned()); }},
    {"hold.policy", [](const Options& o) { return Text(o.hold.policy); }},
    {"hold.replica_lag", [](const Options& o) { return Text(o.hold.replica_lag); }},
    {"hold.max_wait", [](const Options& o) { return Text(o.hold.max_wait); }},
    {"hold.outage_limit", [](const Options& o) { return Text(o.hold.outage_limit); }},
    {"hold.max_statements", [](const Options& o) { return Text(o.hold.max_statements); }},
    {"hold.max_bytes", [](const Options& o) { return SizeText(o.hold.max_bytes); }},
    {"hold.total_statements", [](const Options& o) { return Text(o.hold.total_statements); }},
    {"hold.total_bytes", [](const Options& o) { return SizeText(o.hold.total_bytes); }},
    {"hold.ramp_start", [](const Options& o) { return Text(o.hold.ramp_start); }},
    {"hold.ramp_limit", [](const Options& o) { return Text(o.hold.ramp_limit); }},
    {"hold.ramp_connects", [](const Options& o) { return Text(o.hold.ramp_connects); }},
    {"hold.read_retry", [](const Options& o) { return Text(o.hold.read_retry); }},
    {"health.detection", [](const Options& o) { return Text(o.health.detection); }},
    {"health.silence_after", [](const Options& o) { return Text(o.health.silence_after); }},
    {"health.ping_interval", [](const Options& o) { return Text(o.health.ping_interval); }},
    {"health.ping_timeout", [](const Options& o) { return Text(o.health.ping_timeout); }},
    {"health.read_interval", [](const Options& o) { return Text(o.health.read_interval); }},
    {"health.read_timeout", [](const Options& o) { return Text(o.health.read_timeout); }},
    {"health.login_interval", [](const Options& o) { return Text(o.health.login_interval); }},
    {"health.login_timeout", [](const Options& o) { return Text(o.health.login_timeout); }},
    {"health.commit_interval", [](const Options& o) { return Text(o.health.commit_interval); }},
    {"health.commit_timeout", [](const Options& o) { return Text(o.health.commit_timeout); }},
    {"health.down_after", [](const Options& o) { return Text(o.health.down_after); }},
    {"health.down_after_idle", [](const Options& o) { return Text(o.health.down_after_idle); }},
    {"health.all_down_after", [](const Options& o) { return Text(o.health.all_down_after); }},
    {"health.suspect_limit", [](const Options& o) { return Text(o.health.suspect_limit); }},
    {"health.in_flight_grace", [](const Options& o) { return Text(o.health.in_flight_grace); }},
    {"health.stall_limit", [](const Options& o) { return Text(o.health.stall_limit); }},
    {"health.settle_time", [](const Options& o) { return Text(o.health.settle_time); }},
    {"health.canaries", [](const Options& o) { return Text(o.health.canaries); }},
    {"health.flap_window", [](const Options& o) { return Text(o.health.flap_window); }},
    {"tenant_limits.sessions", [](const Options& o) { return Text(o.tenant_limit.sessions); }},
    {"tenant_limits.running", [](const Options& o) { return Text(o.tenant_limit.running); }},
    {"tenant_limits.per_second", [](const Options& o) { return Text(o.tenant_limit.per_second); }},
    {"tenant_limits.burst", [](const Options& o) { return Text(o.tenant_limit.burst); }},
    {"pools.max_connections", [](const Options& o) { return Text(o.pools.max_connections); }},
    {"pools.min_idle", [](const Options& o) { return Text(o.pools.min_idle); }},
    {"pools.max_waiting", [](const Options& o) { return Text(o.pools.max_waiting); }},
    {"pools.idle_timeout", [](const Options& o) { return Text(o.pools.idle_timeout); }},
    {"pools.max_age", [](const Options& o) { return Text(o.pools.max_age); }},
    {"pools.wait_timeout_margin",
     [](const Options& o) { return Text(o.pools.wait_timeout_margin); }},
    {"pools.acquire_timeout", [](const Options& o) { return Text(o.pools.acquire_timeout); }},
    {"pools.connect_timeout", [](const Options& o) { return Text(o.pools.connect_timeout); }},
    {"pools.handshake_timeout", [](const Options& o) { return Text(o.pools.handshake_timeout); }},
    {"pools.max_prepared_statements",
     [](const Options& o) { return Text(o.pools.max_prepared_statements); }},
    {"clients.max_connections", [](const Options& o) { return Text(o.clients.max_connections); }},
    {"clients.max_unauthenticated",
     [](const Options& o) { return Text(o.clients.max_unauthenticated); }},
    {"clients.max_unauthenticated_bytes",
     [](const Options& o) { return SizeText(o.clients.max_unauthenticated_bytes); }},
    {"clients.handshake_timeout",
     [](const Options& o) { return Text(o.clients.handshake_timeout); }},
    {"clients.idle_timeout", [](const Options& o) { return Text(o.clients.idle_timeout); }},
    {"clients.max_allowed_packet",
     [](const Options& o) { return SizeText(o.clients.max_allowed_packet); }},
    {"admin.max_connections",
     [](const Options& o) { return Text(o.admin_limits.max_connections); }},
    {"admin.max_unauthenticated",
     [](const Options& o) { return Text(o.admin_limits.max_unauthenticated); }},
    {"admin.idle_timeout", [](const Options& o) { return Text(o.admin_limits.idle_timeout); }},
    {"tls.clients.cert", [](const Options& o) { return Text(o.client_tls.cert); }},
    {"tls.clients.key", [](const Options& o) { return Text(o.client_tls.key); }},
    {"tls.clients.ca", [](const Options& o) { return Text(o.client_tls.ca); }},
    {"tls.clients.mode", [](const Options& o) { return Text(o.client_tls.mode); }},
    {"tls.clients.min_version", [](const Options& o) { return Text(o.client_tls.min_version); }},
    {"tls.backends.mode", [](const Options& o) { return Text(o.backend_tls.mode); }},
    {"tls.backends.ca", [](const Options& o) { return Text(o.backend_tls.ca); }},
    {"tls.backends.cert", [](const Options& o) { return Text(o.backend_tls.cert); }},
    {"tls.backends.key", [](const Options& o) { return Text(o.backend_tls.key); }},
    {"tls.backends.min_version", [](const Options& o) { return Text(o.backend_tls.min_version); }},
    {"compression.clients", [](const Options& o) { return Text(o.compression.clients); }},
    {"compression.backends", [](const Options& o) { return Text(o.compression.backends); }},
    {"compression.zlib_level", [](const Options& o) { return Text(o.compression.zlib_level); }},
    {"compression.zstd_level", [](const Options& o) { return Text(o.compression.zstd_level); }},
    {"metrics.busiest_tenants", [](const Options& o) { return Text(o.metrics.busiest_tenants); }},
    {"http.max_connections", [](const Options& o) { return Text(o.http_limits.max_connections); }},
    {"http.max_streams", [](const Options& o) { return Text(o.http_limits.max_streams); }},
    {"log.level", [](const Options& o) { return Text(o.log.level); }},
    {"log.format", [](const Options& o) { return Text(o.log.format); }},
    {"log.file", [](const Options& o) { return Text(o.log.file); }},
    {"log.max_repeats", [](const Options& o) { return Text(o.log.max_repeats); }},
    {"log.slow_statement", [](const Options& o) { return Text(o.log.slow_statement); }},
    {"log.slow_per_second", [](const Options& o) { return Text(o.log.slow_per_second); }},
};

const Getter* FindGetter(std::string_view name) {
  const auto* it = std::find_if(std::begin(kGetters), std::end(kGetters),
                                [&](const Getter& getter) { return getter.name == name; });
  return it == std::end(kGetters) ? nullptr : it;
}

std::vector<std::string_view> Names() {
  std::vector<std::string_view> names;
  for (const Getter& getter : kGetters) names.push_back(getter.name);
  return names;
}

// The tree of the sections that may change, as a file would have it.
YAML::Node TreeOf(const Options& options, const Overrides& overrides) {
  YAML::Node root(YAML::NodeType::Map);
  for (const Getter& getter : kGetters) {
    if (ChangeOf(getter.name) != OptionChange::kSet) continue;
    auto override = overrides.find(getter.name);
    const std::string value = override == overrides.end() ? getter.text(options) : override->second;
    const size_t dot = getter.name.find('.');
    const std::string section(getter.name.substr(0, dot));
    YAML::Node node;
    if (value.size() >= 2 && value.front() == '[' && value.back() == ']') {
      node = YAML::Node(YAML::NodeType::Sequence);
      for (absl::string_view word :
           absl::StrSplit(absl::string_view(value).substr(1, value.size() - 2),
                          absl::ByAnyChar(", "), absl::SkipEmpty()))
        node.push_back(std::string(word));
    } else {
      node = value;
    }
    if (dot == std::string_view::npos) {
      root[section] = node;
    } else {
      root[section][std::string(getter.name.substr(dot + 1))] = node;
    }
  }
  return root;
}

}  // namespace

std::vector<Variable> ListVariables(const Options& options) {
  std::vector<Variable> variables;
  for (const Option& option : OptionList()) {
    const Getter* getter = FindGetter(option.path);
    if (getter == nullptr) continue;
    std::string_view source = options.given.contains(option.path) ? "file" : "default";
    if (options.overrides.contains(option.path)) source = "SET";
    variables.push_back({getter->name, getter->text(options), source});
  }
  return variables;
}

absl::Status CheckSettable(std::string_view name) {
  const Getter* getter = FindGetter(name);
  if (getter == nullptr) {
    const std::string_view nearest = NearestKey(name, Names());
    return absl::NotFoundError(
        absl::StrCat("there is no variable ", Quoted(name),
                     nearest.empty() ? std::string("; SHOW VARIABLES lists them")
                                     : absl::StrCat("; did you mean ", Abs(nearest), "?")));
  }
  switch (ChangeOf(name)) {
    case OptionChange::kSet:
      return absl::OkStatus();
    case OptionChange::kReload:
      return absl::FailedPreconditionError(absl::StrCat(
          Abs(name), " is the configuration file's: change it there, then RELOAD CONFIG"));
    case OptionChange::kRestart:
    case OptionChange::kSeed:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      Abs(name), " can't change while the router runs: change the file, then restart it"));
}

absl::StatusOr<std::shared_ptr<const Options>> WithOverrides(const Options& from_file,
                                                             const Overrides& overrides) {
  for (const auto& [name, value] : overrides) {
    if (absl::Status status = CheckSettable(name); !status.ok()) return status;
  }
  auto options = std::make_shared<Options>(from_file);
  options->overrides = overrides;
  const Environment environment = Environment::Empty();
  Report report("", environment);
  const Section root(report, TreeOf(from_file, overrides), "", "");
  ReadRuntime(root, options.get());
  options->given = from_file.given;
  for (const ConfigError& error : report.Take()) {
    if (error.severity == Severity::kError)
      return absl::InvalidArgumentError(absl::StrCat(error.key, ": ", error.message));
  }
  return options;
}

namespace {

bool SameSockets(const std::vector<MysqlListener>& a, const std::vector<MysqlListener>& b) {
  return std::equal(
      a.begin(), a.end(), b.begin(), b.end(), [](const MysqlListener& x, const MysqlListener& y) {
        return x.address == y.address && x.family == y.family && x.version == y.version &&
               x.proxy_protocol == y.proxy_protocol && x.proxy_networks == y.proxy_networks;
      });
}

// The running one, with the TLS mode that the file says.
std::optional<AdminListener> WithTlsOf(std::optional<AdminListener> running,
                                       const std::optional<AdminListener>& loaded) {
  if (running.has_value() && loaded.has_value() && running->address == loaded->address)
    running->tls = loaded->tls;
  return running;
}

}  // namespace

PossibleOverrides WithPossibleOverrides(const std::shared_ptr<const Options>& from_file,
                                        const Overrides& overrides) {
  if (auto all = WithOverrides(*from_file, overrides); all.ok())
    return {.options = *std::move(all), .taken = overrides, .left_out = {}};
  PossibleOverrides possible{.options = from_file, .taken = {}, .left_out = {}};
  // One may be possible only once another one is taken: until a round takes none.
  for (bool more = true; more;) {
    more = false;
    possible.left_out.clear();
    for (const auto& [name, value] : overrides) {
      if (possible.taken.contains(name)) continue;
      Overrides with_one = possible.taken;
      with_one[name] = value;
      auto changed = WithOverrides(*from_file, with_one);
      if (!changed.ok()) {
        possible.left_out[name] = changed.status();
        continue;
      }
      possible.taken = std::move(with_one);
      possible.options = *std::move(changed);
      more = true;
    }
  }
  return possible;
}

ReloadPlan PlanReload(const Options& running, const Options& loaded) {
  ReloadPlan plan;
  for (const Getter& getter : kGetters) {
    if (ChangeOf(getter.name) == OptionChange::kRestart &&
        getter.text(running) != getter.text(loaded))
      plan.need_restart.emplace_back(getter.name);
  }
  const bool same_sockets = SameSockets(running.mysql, loaded.mysql);
  if (!same_sockets && AddressesText(running.mysql) == AddressesText(loaded.mysql))
    plan.need_restart.emplace_back("listen.mysql");
  auto options = std::make_shared<Options>(loaded);
  options->mysql = running.mysql;
  if (same_sockets) {
    for (size_t i = 0; i < loaded.mysql.size(); ++i) options->mysql[i].tls = loaded.mysql[i].tls;
  }
  options->admin = WithTlsOf(running.admin, loaded.admin);
  options->http = running.http;
  options->workers = running.workers;
  options->state_dir = running.state_dir;
  options->tenancy = running.tenancy;
  options->http_limits = running.http_limits;
  options->metrics = running.metrics;
  options->topology = running.topology;
  plan.options = std::move(options);
  return plan;
}

}  // namespace bulkhead::config
