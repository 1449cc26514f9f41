#include "proxy/config/option_list.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "routing/abseil_view.h"

namespace bulkhead::config {
namespace {

using routing::Abs;

constexpr Option kOptions[] = {
    {"listen.mysql", "list of addresses or maps", "",
     "Where clients connect. An element is an address (`HOST:PORT`, `[IPV6]:PORT`, `unix:/PATH`) "
     "or a map with the keys below. At least one."},
    {"listen.mysql[].address", "address", "", "Address of this listener."},
    {"listen.mysql[].family", "mysql | mariadb", "",
     "The server family that the greeting shows. Default: `mysql` if every backend of the file's "
     "topology says `family: mysql`, otherwise `mariadb`."},
    {"listen.mysql[].version", "text", "",
     "The version that the greeting shows. Default: `10.11.14-MariaDB` or `8.4.6`, by family."},
    {"listen.mysql[].proxy_protocol", "true | false", "false",
     "A PROXY header (version 1 or 2) must come first on connections from `proxy_networks`."},
    {"listen.mysql[].proxy_networks", "list of CIDR networks", "",
     "Whose PROXY header is believed; connections from elsewhere may not send one. Left out: from "
     "everywhere."},
    {"listen.mysql[].tls", "disabled | preferred | required", "",
     "TLS of this listener. Default: `tls.clients.mode`."},
    {"listen.admin", "address or map", "",
     "The admin listener. Left out: none. Other than loopback needs `tls: required` and "
     "`admin_users`."},
    {"listen.admin.address", "address", "", "Address of the admin listener."},
    {"listen.admin.tls", "disabled | preferred | required", "disabled",
     "TLS of the admin listener, with the certificate of `tls.clients`."},
    {"listen.http", "address or map", "",
     "Metrics, health and status page. Left out: none. Other than loopback needs `tls: required` "
     "and `admin_users`, who log in there."},
    {"listen.http.address", "address", "", "Address of the HTTP listener."},
    {"listen.http.tls", "disabled | required", "disabled",
     "TLS of the HTTP listener, with the certificate of `tls.clients`."},

    {"workers", "auto | number", "auto",
     "Worker threads. `auto`: one per usable CPU. At most 256."},
    {"state_dir", "path", "/var/lib/bulkhead", "Folder of the topology store."},
    {"shutdown_timeout", "duration", "30s",
     "How long a SIGTERM waits for running work; a second one ends at once."},
    {"upgrade.start_timeout", "duration", "60s",
     "SIGUSR2: how long the new process may take to be there; then the old one goes on alone."},
    {"upgrade.drain_timeout", "duration", "1h",
     "How long the sessions of the process that was replaced may go on in it. It ends with the "
     "last "
     "of them; what is left then is ended as by SIGTERM."},

    {"users[].name", "text", "", "User name that clients give. Required."},
    {"users[].password", "text", "",
     "Password. Exactly one of `password`, `password_file`, `password_env` and `verifier`."},
    {"users[].password_file", "path", "",
     "File with the password; one line break at its end is ignored."},
    {"users[].password_env", "text", "", "Environment variable with the password."},
    {"users[].verifier", "text", "",
     "What a server stores instead of the password: `*` and 40 hex digits (mysql_native_password), "
     "`$A$005$...` or its bytes as `0x...` (caching_sha2_password), 43 characters of base64 "
     "(client_ed25519; needs `backend_user`)."},
    {"users[].backend_user", "text", "",
     "Log on to backends as this service account. Left out: as the user itself."},
    {"users[].backend_password", "text", "",
     "Password of `backend_user`. One of the three, or none for an empty password."},
    {"users[].backend_password_file", "path", "", "File with the password of `backend_user`."},
    {"users[].backend_password_env", "text", "",
     "Environment variable with the password of `backend_user`."},
    {"users[].tenants", "list of tenants", "", "The user may use these only. Left out: all."},
    {"users[].pooling", "transaction | session", "transaction",
     "`session`: one backend connection for the session's life."},
    {"users[].max_connections", "number", "",
     "Client connections of this user. Left out: no limit."},

    {"admin_users[].name", "text", "", "Name of someone who may use the admin and HTTP listeners."},
    {"admin_users[].password", "text", "", "As for `users`."},
    {"admin_users[].password_file", "path", "", "As for `users`."},
    {"admin_users[].password_env", "text", "", "As for `users`."},
    {"admin_users[].verifier", "text", "", "As for `users`."},
    {"admin_users[].read_only", "true | false", "false",
     "May look at everything and change nothing."},

    {"probe.user", "text", "",
     "Account on the backends for probes; needs neither SUPER nor READ ONLY ADMIN. Left out: no "
     "probes that need a login."},
    {"probe.password", "text", "", "As for `users`."},
    {"probe.password_file", "path", "", "As for `users`."},
    {"probe.password_env", "text", "", "As for `users`."},
    {"control.user", "text", "", "Account on the backends for switchover, failover and KILL."},
    {"control.password", "text", "", "As for `users`."},
    {"control.password_file", "path", "", "As for `users`."},
    {"control.password_env", "text", "", "As for `users`."},

    {"replication.user", "text", "",
     "Account with which a former primary logs on to the new one after a switchover, to replicate "
     "from it. Left out: no switchovers."},
    {"replication.password", "text", "", "As for `users`."},
    {"replication.password_file", "path", "", "As for `users`."},
    {"replication.password_env", "text", "", "As for `users`."},

    {"failover.fence_command", "list of texts", "",
     "A program (absolute path) with its arguments that makes sure that an old primary can't "
     "acknowledge writes any more, also after a reboot: exit 0 confirms it. Run without a shell; "
     "`{backend}`, `{host}`, `{port}` and `{shard}` are filled in. Left out: no fence."},
    {"failover.fence_timeout", "duration", "30s", "How long a fence command may take."},
    {"failover.automatic_after", "duration", "5s",
     "How long a primary must have been down before a shard with `failover: automatic` is failed "
     "over."},
    {"failover.fences[].backend", "backend", "", "A backend with a fence command of its own."},
    {"failover.fences[].command", "list of texts", "", "As `failover.fence_command`."},

    {"tenancy.username_pattern", "pattern", "",
     "How a login's user name holds a tenant: `{user}@{tenant}`. Left out: user names hold none."},
    {"tenancy.database_pattern", "pattern", "",
     "How a database's name holds a tenant: `tenant_{tenant}`. Left out: they hold none."},
    {"tenancy.physical_database", "pattern", "",
     "The schema on the backend that stands for the one an application names at login or by USE: "
     "`t_{tenant}`, or with `{database}` for several per tenant. Left out: names are not mapped."},
    {"tenancy.logical_database", "text", "",
     "With `physical_database`: only this name is mapped. Left out: every name but the system "
     "schemas."},
    {"tenancy.unassigned", "reject | slots | {shard: NAME}", "reject",
     "What becomes of a tenant without an entry of its own: unknown (1049), one of 4096 slots by "
     "hash, or one shard."},
    {"tenancy.unassigned.shard", "shard", "", "The shard of tenants without an entry."},

    {"hold.policy", "hold | reject | replica", "hold",
     "What new work for an unavailable shard meets."},
    {"hold.replica_lag", "duration", "5s",
     "With policy replica: plain reads go to a replica that has everything up to this long before "
     "the primary fell silent."},
    {"hold.max_wait", "duration", "10s",
     "How long a statement is held. Keep it below the read timeouts of drivers."},
    {"hold.outage_limit", "duration", "60s",
     "That long after the start of an outage new statements are refused at once."},
    {"hold.max_statements", "number", "5000", "Statements held per shard."},
    {"hold.max_bytes", "size", "64MiB", "Bytes of statements held per shard."},
    {"hold.total_statements", "number", "50000", "Statements held in all."},
    {"hold.total_bytes", "size", "512MiB", "Bytes of statements held in all."},
    {"hold.ramp_start", "number", "4",
     "After an outage, statements of a shard that run at once; doubles while they are quick."},
    {"hold.ramp_limit", "number", "128",
     "Until this many run at once and nobody waits any more, released work is paced."},
    {"hold.ramp_connects", "number", "50",
     "New connections a second to the backend of a shard whose work is paced; 0: no limit."},

    {"hold.read_retry", "true | false", "false",
     "An autocommit SELECT of tables and built-in functions whose connection was lost before any "
     "of its answer came is sent once more; otherwise its outcome is unknown (9410)."},

    {"health.detection", "full | hold | observe", "full",
     "`full`: all of it. `hold`: new work of a suspect or down backend is held, nothing in flight "
     "is given up. `observe`: states are reported, nothing is held."},
    {"health.silence_after", "duration", "250ms",
     "Statements are in flight and no byte came for this long: asks for a ping at once."},
    {"health.ping_interval", "duration", "1s", "An idle ping, at most this far apart."},
    {"health.ping_timeout", "duration", "400ms",
     "A ping unanswered for this long counts as failed."},
    {"health.read_interval", "duration", "2s", "A read from InnoDB, at most this far apart."},
    {"health.read_timeout", "duration", "500ms",
     "A read unanswered for this long counts as failed."},
    {"health.login_interval", "duration", "8s",
     "A new connection with login and COM_QUIT, at most this far apart."},
    {"health.login_timeout", "duration", "900ms",
     "A login not done after this long counts as failed."},
    {"health.commit_interval", "duration", "10s",
     "A commit to the canary table where no client's own commit was seen, at most this far apart."},
    {"health.commit_timeout", "duration", "1500ms",
     "A commit unanswered for this long counts as failed. Above the canary's lock timeouts of 1 "
     "s."},
    {"health.down_after", "duration", "2s",
     "No proof of life for this long under demand, and two independent signals: down."},
    {"health.down_after_idle", "duration", "3s", "The same where no statement is in flight."},
    {"health.all_down_after", "duration", "10s",
     "The same while every backend is bad: perhaps it is this machine."},
    {"health.suspect_limit", "duration", "10s",
     "A suspicion ends after this, one way or the other."},
    {"health.in_flight_grace", "duration", "10s",
     "Statements in flight on a backend that is down are given up after it was silent for this "
     "long."},
    {"health.stall_limit", "duration", "1m",
     "The same for writes on a backend whose commits hang and whose reads go on."},
    {"health.settle_time", "duration", "10s",
     "After an outage, where abandoned connections can't be killed and seen gone: wait this long "
     "before anything is released."},
    {"health.canaries", "number", "3", "Canary commits in a row before a backend serves again."},
    {"health.flap_window", "duration", "1m",
     "Suspicions within this time make the way back longer."},

    {"tenant_limits.sessions", "number", "0",
     "Sessions at once; more are refused at login (1203). `0`: no limit."},
    {"tenant_limits.running", "number", "0",
     "Statements running at once; more get 9405. `0`: no limit."},
    {"tenant_limits.per_second", "number", "0",
     "Statements a second; more get 9405. `0`: no limit."},
    {"tenant_limits.burst", "number", "0",
     "Of `per_second`, how many may come at once. `0`: as many as `per_second`."},

    {"pools.max_connections", "number", "200",
     "Connections to one backend, for the whole process, where the backend says nothing else."},
    {"pools.min_idle", "number", "0",
     "Idle connections that `idle_timeout` leaves, per worker, backend and account."},
    {"pools.max_waiting", "number", "10000",
     "Sessions that may wait for a connection, per worker and backend."},
    {"pools.idle_timeout", "duration", "1m", "Idle connections are closed after this. `0`: never."},
    {"pools.max_age", "duration", "1h",
     "Connections are closed at this age, less up to a tenth so that they don't go together. `0`: "
     "never."},
    {"pools.wait_timeout_margin", "duration", "5s",
     "Idle connections are closed this long before the server's wait_timeout would."},
    {"pools.acquire_timeout", "duration", "10s", "How long a session waits for a connection."},
    {"pools.connect_timeout", "duration", "2s", "TCP connect to a backend."},
    {"pools.handshake_timeout", "duration", "5s", "From connected to logged in at a backend."},
    {"pools.max_prepared_statements", "number", "256",
     "Prepared statements kept per backend connection; the least recently used go."},

    {"clients.max_connections", "number", "10000", "Client connections in all."},
    {"clients.max_unauthenticated", "number", "1000",
     "Client connections that have not logged in yet."},
    {"clients.max_unauthenticated_bytes", "size", "64KiB",
     "The longest packet of a client that has not logged in."},
    {"clients.handshake_timeout", "duration", "10s", "From accepted to logged in."},
    {"clients.idle_timeout", "duration", "8h", "A client that sends nothing is closed after this."},
    {"clients.max_allowed_packet", "size", "1GiB", "The longest statement of a client."},

    {"admin.max_connections", "number", "100",
     "Connections to the admin listener. One more takes the place of the one that has been idle "
     "longest, if that is a minute or more."},
    {"admin.max_unauthenticated", "number", "20",
     "Of them, not logged in yet. One more takes the place of the oldest."},
    {"admin.idle_timeout", "duration", "8h",
     "A connection to the admin listener that sends nothing is closed after this."},

    {"tls.clients.cert", "path", "",
     "Certificate chain (PEM) for clients. Left out, with `key`: no TLS to clients."},
    {"tls.clients.key", "path", "", "Private key (PEM) of `cert`."},
    {"tls.clients.ca", "path", "",
     "Certificates that clients' own are checked against, if they have any."},
    {"tls.clients.mode", "disabled | preferred | required", "preferred",
     "Default of the listeners. Without a certificate: disabled."},
    {"tls.clients.min_version", "1.2 | 1.3", "1.2", "Oldest TLS version."},
    {"tls.backends.mode", "disabled | preferred | required | verify", "preferred",
     "TLS to backends, where a backend says nothing else. `verify`: certificate and host name are "
     "checked."},
    {"tls.backends.ca", "path | system", "",
     "Certificates that a backend's is checked against. Required by `verify`."},
    {"tls.backends.cert", "path", "", "The router's own certificate (PEM), for servers that ask."},
    {"tls.backends.key", "path", "", "Private key (PEM) of `cert`."},
    {"tls.backends.min_version", "1.2 | 1.3", "1.2", "Oldest TLS version."},

    {"compression.clients", "list of zlib, zstd", "[zlib, zstd]", "What clients may ask for."},
    {"compression.backends", "list of zlib, zstd", "[]",
     "What is asked of backends, in this order. With session pooling also what the client uses."},
    {"compression.zlib_level", "number", "6", "1 to 9."},
    {"compression.zstd_level", "number", "3", "1 to 22."},

    {"metrics.busiest_tenants", "number", "20",
     "How many tenants get metrics of their own. At most 1000."},

    {"http.max_connections", "number", "64",
     "Connections to the HTTP listener at once; more wait. 4 to 1000."},
    {"http.max_streams", "number", "16",
     "Of them, status pages that follow the fleet live; others ask every few seconds. At most "
     "500."},

    {"log.level", "debug | info | warn | error", "info", "What is logged."},
    {"log.format", "text | json", "text", "One line an event either way."},
    {"log.file", "path", "", "Left out: standard error. Opened anew at SIGHUP, for logrotate."},
    {"log.max_repeats", "number", "10",
     "Lines of one kind that may repeat (failed logins, trouble with a listener) in ten seconds; "
     "more are counted. `0`: no limit."},
    {"log.slow_statement", "duration", "10s",
     "A statement that took longer is logged, without its literals. `0s`: none is."},
    {"log.slow_per_second", "number", "10",
     "Slow statements that are logged in a second, by each worker; more are counted."},

    {"topology.backends[].name", "name", "", "1 to 64 letters, digits, `_`, `.` or `-`. Required."},
    {"topology.backends[].address", "address", "", "`HOST:PORT` or `unix:/PATH`. Required."},
    {"topology.backends[].family", "auto | mysql | mariadb", "auto",
     "`auto`: from the backend's greeting."},
    {"topology.backends[].tls", "disabled | preferred | required | verify", "",
     "Default: `tls.backends.mode`."},
    {"topology.backends[].max_connections", "number", "", "Default: `pools.max_connections`."},
    {"topology.shards[].name", "name", "", "As for backends. Required."},
    {"topology.shards[].primary", "backend", "", "Where the shard's tenants are. Required."},
    {"topology.shards[].replicas", "list of backends", "[]", "Replicas of the primary."},
    {"topology.shards[].production", "true | false", "false", "Drills on it want `FORCE`."},
    {"topology.shards[].failover", "manual | automatic | automatic_with_loss", "manual",
     "`automatic`: the router fails the shard over by itself where a fence command confirms and "
     "nothing that was acknowledged can be lost; `automatic_with_loss`: also where the last "
     "transactions may be."},
    {"topology.shards[].hold.policy", "hold | reject | replica", "", "Default: `hold.policy`."},
    {"topology.shards[].hold.max_wait", "duration", "", "Default: `hold.max_wait`."},
    {"topology.shards[].hold.outage_limit", "duration", "", "Default: `hold.outage_limit`."},
    {"topology.shards[].hold.max_statements", "number", "", "Default: `hold.max_statements`."},
    {"topology.shards[].hold.max_bytes", "size", "", "Default: `hold.max_bytes`."},
    {"topology.tenants[].name", "tenant", "",
     "1 to 128 bytes of UTF-8 without white space, quotes and `\\ / * ; ,`. Required."},
    {"topology.tenants[].shard", "shard", "", "Where the tenant's data is. Required."},
    {"topology.tenants[].pooling", "transaction | session", "", "Default: the user's."},
    {"topology.tenants[].hold", "hold | reject | replica", "", "Default: the shard's."},
    {"topology.tenants[].limits.sessions", "number", "",
     "Sessions at once; more are refused at login (1203). `0`: no limit."},
    {"topology.tenants[].limits.running", "number", "",
     "Statements running at once; more get 9405. `0`: no limit."},
    {"topology.tenants[].limits.per_second", "number", "",
     "Statements a second; more get 9405. `0`: no limit."},
    {"topology.tenants[].limits.burst", "number", "",
     "Of `per_second`, how many may come at once. `0`: as many as `per_second`."},
    {"topology.tenants[].physical_database", "text", "", "Instead of `tenancy.physical_database`."},
    {"topology.slots[].range", "FIRST-LAST", "", "Slots 0 to 4095, such as `0-2047`. Required."},
    {"topology.slots[].shard", "shard", "",
     "Whose they are. Required. With no `slots` at all they are spread evenly over the shards."},
};

// The longest prefix decides.
constexpr std::pair<std::string_view, OptionChange> kChanges[] = {
    {"listen", OptionChange::kRestart},
    {"listen.mysql[].tls", OptionChange::kReload},
    {"listen.admin.tls", OptionChange::kReload},
    {"workers", OptionChange::kRestart},
    {"state_dir", OptionChange::kRestart},
    {"tenancy", OptionChange::kRestart},
    {"tenancy.unassigned", OptionChange::kSeed},
    {"topology", OptionChange::kSeed},
    {"users", OptionChange::kReload},
    {"admin_users", OptionChange::kReload},
    {"probe", OptionChange::kReload},
    {"control", OptionChange::kReload},
    {"replication", OptionChange::kReload},
    {"failover", OptionChange::kReload},
    {"tls", OptionChange::kReload},
    {"log.file", OptionChange::kReload},
    {"log", OptionChange::kSet},
    {"shutdown_timeout", OptionChange::kSet},
    {"upgrade", OptionChange::kSet},
    {"hold", OptionChange::kSet},
    {"health", OptionChange::kSet},
    {"tenant_limits", OptionChange::kSet},
    {"pools", OptionChange::kSet},
    {"clients", OptionChange::kSet},
    {"admin", OptionChange::kSet},
    {"compression", OptionChange::kSet},
    {"metrics", OptionChange::kRestart},
    {"http", OptionChange::kRestart},
};

std::string_view ChangeWord(OptionChange change) {
  switch (change) {
    case OptionChange::kSet:
      return "SET, reload";
    case OptionChange::kReload:
      return "reload";
    case OptionChange::kRestart:
      return "restart";
    case OptionChange::kSeed:
      return "empty store";
  }
  return "";
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

std::string_view SectionOf(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::span<const Option> OptionList() { return kOptions; }

OptionChange ChangeOf(std::string_view path) {
  OptionChange change = OptionChange::kRestart;
  size_t longest = 0;
  for (const auto& [prefix, its] : kChanges) {
    const bool covers =
        path.starts_with(prefix) &&
        (path.size() == prefix.size() || path[prefix.size()] == '.' || path[prefix.size()] == '[');
    if (!covers || prefix.size() < longest) continue;
    longest = prefix.size();
    change = its;
  }
  return change;
}

const Option* FindOption(std::string_view path) {
  const auto* it = std::find_if(std::begin(kOptions), std::end(kOptions),
                                [&](const Option& option) { return option.path == path; });
  return it == std::end(kOptions) ? nullptr : it;
}

std::vector<std::string_view> KeysBelow(std::string_view section) {
  std::vector<std::string_view> keys;
  for (const Option& option : kOptions) {
    std::string_view rest = option.path;
    if (!section.empty()) {
      if (!rest.starts_with(section) || rest.size() == section.size() ||
          rest[section.size()] != '.') {
        continue;
      }
      rest.remove_prefix(section.size() + 1);
    }
    const std::string_view key = rest.substr(0, rest.find_first_of(".["));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  return keys;
}

std::string_view NearestKey(std::string_view key, std::span<const std::string_view> known) {
  if (key.size() > 64) return {};
  std::string_view nearest;
  size_t best = key.size() <= 2 ? 2 : std::max<size_t>(2, key.size() / 3) + 1;
  for (const std::string_view candidate : known) {
    const size_t distance = EditDistance(key, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string OptionTable() {
  std::string out;
  std::string_view section = "?";
  for (const Option& option : kOptions) {
    const std::string_view its = SectionOf(option.path);
    if (its != section) {
      section = its;
      absl::StrAppend(
          &out, "\n### ", section.empty() ? "At the root" : Abs(section),
          "\n\n| key | value | default | meaning | changed by |\n|---|---|---|---|---|\n");
    }
    const std::string fallback =
        option.fallback.empty() ? "" : absl::StrCat("`", Abs(option.fallback), "`");
    absl::StrAppend(&out, "| `", Abs(option.path), "` | ", Escaped(option.type), " | ", fallback,
                    " | ", Escaped(option.help), " | ", Abs(ChangeWord(ChangeOf(option.path))),
                    " |\n");
  }
  return out;
}

}  // namespace bulkhead::config
