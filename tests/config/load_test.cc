#include "proxy/config/load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

#include "proxy/config/option_list.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class LoadTest : public ::testing::Test {
 protected:
  LoadTest() {
    environment_.variable = [this](const std::string& name) -> std::optional<std::string> {
      const auto it = variables_.find(name);
      if (it == variables_.end()) return std::nullopt;
      return it->second;
    };
    environment_.read_file = [this](const std::string& path,
                                    std::string* why) -> std::optional<Environment::File> {
      const auto it = files_.find(path);
      if (it != files_.end()) return it->second;
      *why = "No such file or directory";
      return std::nullopt;
    };
  }
  LoadResult Load(const std::string& text) {
    return LoadString(text, "/etc/b/b.yaml", environment_);
  }
  // The messages without the file's name.
  std::vector<std::string> Errors(const std::string& text) {
    std::vector<std::string> out;
    for (const ConfigError& error : Load(text).errors) {
      out.push_back(error.ToString().substr(std::string("/etc/b/b.yaml:").size()));
    }
    return out;
  }
  std::shared_ptr<const Options> Good(const std::string& text) {
    const LoadResult result = Load(text);
    for (const ConfigError& error : result.errors) ADD_FAILURE() << error.ToString();
    EXPECT_TRUE(result.ok());
    return result.ok() ? result.options : std::make_shared<const Options>();
  }

  std::map<std::string, std::string> variables_;
  std::map<std::string, Environment::File> files_;
  Environment environment_;
};

constexpr char kListen[] = "listen: {mysql: [\"0.0.0.0:3306\"]}\n";
constexpr char kUsers[] = "users: [{name: app, password: secret}]\n";

TEST_F(LoadTest, TheSmallestUsefulFormOfTheProductPage) {
  files_["/etc/bulkhead/app.password"] = {"app-secret\n", false};
  files_["/etc/bulkhead/probe.password"] = {"probe-secret", false};
  files_["/etc/bulkhead/control.password"] = {"control-secret\r\n", false};
  variables_["BULKHEAD_ADMIN_PASSWORD"] = "admin-secret";
  const auto o = Good(R"(
listen: {mysql: ["0.0.0.0:3306"], admin: "127.0.0.1:6032", http: "127.0.0.1:9306"}
workers: auto
state_dir: /var/lib/bulkhead
users:
  - {name: app, password_file: /etc/bulkhead/app.password}
admin_users:
  - {name: admin, password_env: BULKHEAD_ADMIN_PASSWORD}
probe: {user: bulkhead_probe, password_file: /etc/bulkhead/probe.password}
control: {user: bulkhead, password_file: /etc/bulkhead/control.password}
tenancy: {username_pattern: "{user}@{tenant}", database_pattern: "tenant_{tenant}",
          unassigned: reject}
hold: {policy: hold, max_wait: 10s, outage_limit: 60s, max_statements: 5000, max_bytes: 64MiB}
topology:
  backends: [{name: db1, address: "10.0.0.1:3306"}, {name: db2, address: "10.0.0.2:3306"}]
  shards: [{name: s1, primary: db1}, {name: s2, primary: db2, hold: {max_wait: 30s}}]
  tenants: [{name: acme, shard: s1}, {name: globex, shard: s2}]
)");
  ASSERT_EQ(o->mysql.size(), 1u);
  EXPECT_EQ(o->mysql[0].address.ToString(), "0.0.0.0:3306");
  EXPECT_EQ(o->mysql[0].version, "10.11.14-MariaDB");
  EXPECT_EQ(o->mysql[0].tls, TlsMode::kDisabled);  // no certificate
  EXPECT_EQ(o->admin->address.port, 6032);
  EXPECT_EQ(o->http->address.port, 9306);
  EXPECT_EQ(o->workers, 0u);
  EXPECT_EQ(o->FindUser("app")->password->reveal(), "app-secret");
  EXPECT_EQ(o->FindUser("nobody"), nullptr);
  EXPECT_EQ(o->admin_users[0].password->reveal(), "admin-secret");
  EXPECT_EQ(o->probe->password.reveal(), "probe-secret");
  EXPECT_EQ(o->control->password.reveal(), "control-secret");
  EXPECT_EQ(o->tenancy.username_pattern->text(), "{user}@{tenant}");
  EXPECT_EQ(o->hold.max_bytes, 64u << 20);
  EXPECT_EQ(o->topology->FindShard("s2")->hold.max_wait, 30s);
  EXPECT_EQ(o->topology->backend(o->topology->FindTenant("globex").backend)->name, "db2");
}

TEST_F(LoadTest, DefaultsOfTheListAndOfTheStructAreTheSame) {
  const auto o = Good(std::string(kListen) + kUsers);
  const Options d;
  EXPECT_EQ(o->hold.max_wait, d.hold.max_wait);
  EXPECT_EQ(o->hold.outage_limit, d.hold.outage_limit);
  EXPECT_EQ(o->hold.max_statements, d.hold.max_statements);
  EXPECT_EQ(o->hold.max_bytes, d.hold.max_bytes);
  EXPECT_EQ(o->hold.total_statements, d.hold.total_statements);
  EXPECT_EQ(o->hold.total_bytes, d.hold.total_bytes);
  EXPECT_EQ(o->pools.max_connections, d.pools.max_connections);
  EXPECT_EQ(o->pools.min_idle, d.pools.min_idle);
  EXPECT_EQ(o->pools.max_waiting, d.pools.max_waiting);
  EXPECT_EQ(o->pools.idle_timeout, d.pools.idle_timeout);
  EXPECT_EQ(o->pools.max_age, d.pools.max_age);
  EXPECT_EQ(o->pools.wait_timeout_margin, d.pools.wait_timeout_margin);
  EXPECT_EQ(o->pools.acquire_timeout, d.pools.acquire_timeout);
  EXPECT_EQ(o->pools.connect_timeout, d.pools.connect_timeout);
  EXPECT_EQ(o->pools.handshake_timeout, d.pools.handshake_timeout);
  EXPECT_EQ(o->pools.max_prepared_statements, d.pools.max_prepared_statements);
  EXPECT_EQ(o->clients.max_connections, d.clients.max_connections);
  EXPECT_EQ(o->clients.max_unauthenticated, d.clients.max_unauthenticated);
  EXPECT_EQ(o->clients.max_unauthenticated_bytes, d.clients.max_unauthenticated_bytes);
  EXPECT_EQ(o->clients.handshake_timeout, d.clients.handshake_timeout);
  EXPECT_EQ(o->clients.idle_timeout, d.clients.idle_timeout);
  EXPECT_EQ(o->clients.max_allowed_packet, d.clients.max_allowed_packet);
  EXPECT_EQ(o->client_tls.mode, d.client_tls.mode);
  EXPECT_EQ(o->client_tls.min_version, d.client_tls.min_version);
  EXPECT_EQ(o->backend_tls.mode, d.backend_tls.mode);
  EXPECT_EQ(o->compression.clients, d.compression.clients);
  EXPECT_EQ(o->compression.backends, d.compression.backends);
  EXPECT_EQ(o->compression.zlib_level, d.compression.zlib_level);
  EXPECT_EQ(o->compression.zstd_level, d.compression.zstd_level);
  EXPECT_EQ(o->metrics.busiest_tenants, d.metrics.busiest_tenants);
  EXPECT_EQ(o->log.level, d.log.level);
  EXPECT_EQ(o->log.format, d.log.format);
  EXPECT_EQ(o->shutdown_timeout, d.shutdown_timeout);
  EXPECT_EQ(o->state_dir, "/var/lib/bulkhead");
  EXPECT_EQ(o->users[0].pooling, d.users.empty() ? User{}.pooling : d.users[0].pooling);
}

TEST_F(LoadTest, EveryOption) {
  files_["/etc/b/cert.pem"] = {"", true};
  files_["/etc/b/key.pem"] = {"", false};
  files_["/etc/b/ca.pem"] = {"", true};
  const LoadResult result = Load(R"(
listen:
  mysql:
    - unix:/run/b.sock
    - {address: "[::]:3307", family: mysql, version: 9.1.0, tls: required, proxy_protocol: true,
       proxy_networks: [10.0.0.0/8, "fd00::/8"]}
  admin: {address: "0.0.0.0:6032", tls: required}
  http: {address: "0.0.0.0:9306", tls: required}
workers: 3
shutdown_timeout: 5s
users:
  - {name: a, password: "", backend_user: svc, backend_password: "p w", tenants: [globex, acme],
     pooling: session, max_connections: 7}
  - {name: b, verifier: "*94BDCEBE19083CE2A1F959FD02F964C7AF4CFC29"}
admin_users: [{name: root, password: x, read_only: yes}]
tenancy: {physical_database: "t_{tenant}", logical_database: app, unassigned: {shard: s1}}
hold: {policy: reject}
pools: {max_connections: 9, min_idle: 1, max_waiting: 2, idle_timeout: 0, max_age: 1d,
        wait_timeout_margin: 1s, acquire_timeout: 300ms, connect_timeout: 1s, handshake_timeout: 2s,
        max_prepared_statements: 5}
clients: {max_connections: 50, max_unauthenticated: 5, max_unauthenticated_bytes: 8KiB,
          handshake_timeout: 3s, idle_timeout: 1h, max_allowed_packet: 16MiB}
tls:
  clients: {cert: cert.pem, key: key.pem, ca: ca.pem, mode: required, min_version: 1.3}
  backends: {mode: verify, ca: system, cert: cert.pem, key: key.pem, min_version: 1.3}
compression: {clients: [zstd], backends: [zstd, zlib], zlib_level: 1, zstd_level: 19}
metrics: {busiest_tenants: 0}
log: {level: debug, format: json, file: b.log}
topology:
  backends:
    - {name: db1, address: "unix:/run/db1.sock", family: mysql, tls: disabled, max_connections: 4}
    - {name: db2, address: "db2:3306"}
  shards:
    - {name: s1, primary: db1, replicas: [db2], hold: {policy: reject, max_wait: 1s,
       outage_limit: 2s, max_statements: 3, max_bytes: 4KiB}}
    - {name: s2, primary: db2}
  tenants:
    - {name: acme, shard: s2, pooling: session, hold: reject, physical_database: acme_db}
  slots: [{range: 0-4094, shard: s1}, {range: 4095, shard: s2}]
)");
  ASSERT_TRUE(result.ok()) << result.errors[0].ToString();
  // Only warnings: an empty password, and a native verifier towards MySQL.
  ASSERT_EQ(result.errors.size(), 2u);
  EXPECT_THAT(result.errors[0].ToString(), HasSubstr("users[0].password: is empty"));
  EXPECT_THAT(result.errors[1].ToString(), HasSubstr("mysql_native_password only"));
  const Options& o = *result.options;
  EXPECT_TRUE(o.mysql[0].address.is_unix());
  EXPECT_EQ(o.mysql[0].family, routing::ServerFamily::kMariadb);
  EXPECT_EQ(o.mysql[0].tls, TlsMode::kRequired);  // tls.clients.mode
  EXPECT_EQ(o.mysql[1].family, routing::ServerFamily::kMysql);
  EXPECT_EQ(o.mysql[1].version, "9.1.0");
  EXPECT_TRUE(o.mysql[1].proxy_protocol);
  EXPECT_THAT(o.mysql[1].proxy_networks, ElementsAre("10.0.0.0/8", "fd00::/8"));
  EXPECT_EQ(o.admin->tls, TlsMode::kRequired);
  EXPECT_EQ(o.http->tls, TlsMode::kRequired);
  EXPECT_EQ(o.workers, 3u);
  EXPECT_EQ(o.shutdown_timeout, 5s);
  EXPECT_EQ(o.users[0].backend->user, "svc");
  EXPECT_EQ(o.users[0].backend->password.reveal(), "p w");
  EXPECT_THAT(o.users[0].tenants, ElementsAre("acme", "globex"));
  EXPECT_EQ(o.users[0].pooling, routing::Pooling::kSession);
  EXPECT_EQ(o.users[0].max_connections, 7u);
  EXPECT_EQ(o.users[1].verifier->kind, VerifierKind::kNative);
  EXPECT_FALSE(o.users[1].password);
  EXPECT_TRUE(o.admin_users[0].read_only);
  EXPECT_EQ(o.tenancy.logical_database, "app");
  EXPECT_EQ(o.hold.policy, routing::HoldPolicy::kReject);
  EXPECT_EQ(o.pools.max_connections, 9u);
  EXPECT_EQ(o.pools.idle_timeout, 0s);
  EXPECT_EQ(o.pools.max_age, 24h);
  EXPECT_EQ(o.pools.acquire_timeout, 300ms);
  EXPECT_EQ(o.pools.max_prepared_statements, 5u);
  EXPECT_EQ(o.clients.max_unauthenticated_bytes, 8192u);
  EXPECT_EQ(o.clients.max_allowed_packet, 16u << 20);
  EXPECT_EQ(o.client_tls.cert, "/etc/b/cert.pem");
  EXPECT_EQ(o.client_tls.min_version, TlsVersion::kTls13);
  EXPECT_EQ(o.backend_tls.mode, routing::BackendTls::kVerify);
  EXPECT_EQ(o.backend_tls.ca, "system");
  EXPECT_THAT(o.compression.clients, ElementsAre(CompressionAlgorithm::kZstd));
  EXPECT_THAT(o.compression.backends,
              ElementsAre(CompressionAlgorithm::kZstd, CompressionAlgorithm::kZlib));
  EXPECT_EQ(o.compression.zstd_level, 19);
  EXPECT_EQ(o.metrics.busiest_tenants, 0u);
  EXPECT_EQ(o.log.level, LogLevel::kDebug);
  EXPECT_EQ(o.log.format, LogFormat::kJson);
  EXPECT_EQ(o.log.file, "/etc/b/b.log");
  const routing::Topology& t = *o.topology;
  EXPECT_EQ(t.FindBackend("db1")->tls, routing::BackendTls::kDisabled);
  EXPECT_EQ(t.FindBackend("db1")->max_connections, 4u);
  EXPECT_EQ(t.FindShard("s1")->replicas.size(), 1u);
  EXPECT_EQ(t.FindShard("s1")->hold.max_bytes, 4096u);
  EXPECT_EQ(t.FindTenant("acme").pooling, routing::Pooling::kSession);
  EXPECT_EQ(t.FindTenant("acme").hold, routing::HoldPolicy::kReject);
  EXPECT_EQ(t.FindTenant("acme").physical_database, "acme_db");
  EXPECT_EQ(t.FindTenant("other").origin, routing::TenantOrigin::kDefault);
  EXPECT_EQ(t.slots()[4095], t.FindShard("s2")->id);
  EXPECT_EQ(t.slots()[4094], t.FindShard("s1")->id);
}

TEST_F(LoadTest, OneDocumentOnly) {
  const std::string one = std::string(kListen) + kUsers;
  EXPECT_TRUE(Load("---\n" + one + "...\n").ok());
  EXPECT_THAT(Errors(one + "---\n" + one),
              ElementsAre("3:1: error: holds more than one YAML document, or something behind its "
                          "end"));
}

}  // namespace
}  // namespace bulkhead::config
