// What the configuration file says, checked and with every default filled in.
//
// Purpose: the one struct that servers, workers and listeners read. Made by LoadFile / LoadString
// (load.h); docs/CONFIGURATION.md describes each key, in the same order, from the list in
// option_list.h. Immutable once loaded: shared between threads as std::shared_ptr<const Options>.
// Units: durations are routing::Duration (nanoseconds), sizes are bytes. Secrets: class Secret has
// no way into a stream, a log or a format string; call reveal() where it is used.
#ifndef BULKHEAD_PROXY_CONFIG_OPTIONS_H_
#define BULKHEAD_PROXY_CONFIG_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "routing/health_rules.h"
#include "routing/ids.h"
#include "routing/mono_time.h"
#include "routing/tenant_limits.h"
#include "routing/tenant_resolution.h"
#include "routing/topology.h"

namespace bulkhead::config {

using routing::Duration;

// A password or key. Overwritten when it goes.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.Wipe(); }
  Secret& operator=(const Secret& other) {
    if (this != &other) {
      Wipe();
      value_ = other.value_;
    }
    return *this;
  }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      Wipe();
      value_ = std::move(other.value_);
      other.Wipe();
    }
    return *this;
  }
  ~Secret() { Wipe(); }

  const std::string& reveal() const { return value_; }
  bool empty() const { return value_.empty(); }
  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  void Wipe();
  std::string value_;
};

enum class TlsMode : uint8_t { kDisabled, kPreferred, kRequired };
enum class TlsVersion : uint8_t { kTls12, kTls13 };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };
enum class CompressionAlgorithm : uint8_t { kZlib, kZstd };
// What is stored of a user instead of a password.
enum class VerifierKind : uint8_t {
  kNative,   // "*" and 40 hex digits: SHA1(SHA1(password)), mysql_native_password
  kSha2,     // "$A$005$" salt digest: caching_sha2_password
  kEd25519,  // 43 characters of base64: the public key, client_ed25519
};

struct MysqlListener {
  routing::Address address;
  routing::ServerFamily family = routing::ServerFamily::kMariadb;  // never kAuto
  std::string version;          // of the greeting, without MariaDB's "5.5.5-" in front
  bool proxy_protocol = false;  // a PROXY header v1 or v2 must come first from proxy_networks
  std::vector<std::string> proxy_networks;  // CIDR; empty with proxy_protocol: everywhere
  TlsMode tls =
      TlsMode::kPreferred;  // what clients may and must do; kDisabled without a certificate
};

struct AdminListener {
  routing::Address address;
  TlsMode tls = TlsMode::kDisabled;
};

struct ServiceAccount {
  std::string user;
  Secret password;
};

struct Verifier {
  VerifierKind kind = VerifierKind::kNative;
  std::string text;  // as in the file
};

struct User {
  std::string name;
  // Exactly one of password and verifier. An empty password is possible and said in a warning.
  std::optional<Secret> password;
  std::optional<Verifier> verifier;
  std::optional<ServiceAccount> backend;  // log on to backends as this account, not as the client
  std::vector<std::string> tenants;       // sorted; empty: all
  routing::Pooling pooling = routing::Pooling::kTransaction;
  std::optional<uint32_t> max_connections;  // of clients with this user name
};

struct AdminUser {
  std::string name;
  std::optional<Secret> password;
  std::optional<Verifier> verifier;
  bool read_only = false;
};

struct Hold {  // used by the gate of each shard; parsed and checked
  routing::HoldPolicy policy = routing::HoldPolicy::kHold;
  Duration replica_lag = std::chrono::seconds(5);  // for policy kReplica
  Duration max_wait = std::chrono::seconds(10);
  Duration outage_limit = std::chrono::seconds(60);
  uint32_t max_statements = 5000;
  uint64_t max_bytes = 64ull << 20;
  uint32_t total_statements = 50'000;
  uint64_t total_bytes = 512ull << 20;
  uint32_t ramp_start = 4;  // statements of a shard that run at once after an outage
  uint32_t ramp_limit = 128;
  uint32_t ramp_connects = 50;  // a second
  bool read_retry = false;      // a plain SELECT whose connection was lost is sent once more
};

struct Failover {
  // Programs with their arguments, run without a shell; {backend}, {host}, {port} and {shard} are
  // filled in. Exit 0: the server can't acknowledge a write any more, and not after a reboot.
  std::vector<std::string> fence_command;                          // empty: none
  std::map<std::string, std::vector<std::string>> fence_commands;  // by backend
  Duration fence_timeout = std::chrono::seconds(30);
  Duration automatic_after = std::chrono::seconds(5);  // since the verdict

  [[nodiscard]] const std::vector<std::string>& FenceOf(const std::string& backend) const;
};

struct Pools {
  uint32_t max_connections = 200;  // per backend, for the whole process
  uint32_t min_idle = 0;           // per worker, backend and user
  uint32_t max_waiting = 10'000;   // sessions per worker and backend
  Duration idle_timeout = std::chrono::minutes(1);
  Duration max_age = std::chrono::hours(1);
  Duration wait_timeout_margin = std::chrono::seconds(5);
  Duration acquire_timeout =
      std::chrono::seconds(10);  // a session waits that long for a connection
  Duration connect_timeout = std::chrono::seconds(2);
  Duration handshake_timeout = std::chrono::seconds(5);  // from connected to logged in
  uint32_t max_prepared_statements = 256;  // per backend connection, least recently used go
};

struct Clients {
  uint32_t max_connections = 10'000;
  uint32_t max_unauthenticated = 1'000;
  uint64_t max_unauthenticated_bytes = 64ull
                                       << 10;  // one packet of a client that has not logged in
  Duration handshake_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::hours(8);  // @@wait_timeout's default
  uint64_t max_allowed_packet = 1ull << 30;       // of a statement
};

// Of the admin listener. Times of login and the size of a login's packets are `clients`'.
struct AdminLimits {
  uint32_t max_connections = 100;
  uint32_t max_unauthenticated = 20;
  Duration idle_timeout = std::chrono::hours(8);
};

struct ClientTls {
  std::string cert, key, ca;           // files; cert and key empty: no TLS to clients
  TlsMode mode = TlsMode::kPreferred;  // default of the listeners
  TlsVersion min_version = TlsVersion::kTls12;
};

struct BackendTlsOptions {
  routing::BackendTls mode = routing::BackendTls::kPreferred;
  std::string ca, cert, key;  // files; cert and key: the router's own certificate, if servers ask
  TlsVersion min_version = TlsVersion::kTls12;
};

struct Compression {
  std::vector<CompressionAlgorithm> clients{CompressionAlgorithm::kZlib,
                                            CompressionAlgorithm::kZstd};
  std::vector<CompressionAlgorithm> backends;  // empty: not compressed
  int zlib_level = 6;
  int zstd_level = 3;
};

struct Metrics {
  uint32_t busiest_tenants = 20;  // how many tenants get series of their own
};

struct Http {
  uint32_t max_connections = 64;
  uint32_t max_streams = 16;
};

struct Log {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;
  std::string file;           // empty: standard error
  uint32_t max_repeats = 10;  // lines of a kind in ten seconds; 0: no limit
  Duration slow_statement = std::chrono::seconds(10);  // 0: none is logged
  uint32_t slow_per_second = 10;                       // of each worker
};

struct Options {
  std::vector<MysqlListener> mysql;
  std::optional<AdminListener> admin;
  std::optional<AdminListener> http;
  uint32_t workers = 0;  // 0: auto, one per usable CPU
  std::string state_dir;
  std::vector<User> users;
  std::vector<AdminUser> admin_users;
  std::optional<ServiceAccount> probe;
  std::optional<ServiceAccount> control;
  std::optional<ServiceAccount> replication;  // with which replicas log on to a new primary
  Failover failover;
  routing::TenantRules tenancy;
  Hold hold;
  routing::HealthRules health;
  routing::TenantLimit tenant_limit;  // of tenants without one of their own
  std::vector<std::pair<std::string, routing::TenantLimit>> tenant_limits;
  Pools pools;
  Clients clients;
  AdminLimits admin_limits;
  ClientTls client_tls;
  BackendTlsOptions backend_tls;
  Compression compression;
  Metrics metrics;
  Http http_limits;
  Log log;
  struct Upgrade {
    Duration start_timeout = std::chrono::seconds(60);  // SIGUSR2: the new process must be there
    Duration drain_timeout = std::chrono::hours(1);     // how long sessions stay in the old one
  } upgrade;
  Duration shutdown_timeout = std::chrono::seconds(30);  // SIGTERM: wait that long for running work
  std::shared_ptr<const routing::Topology> topology;     // the seed, built and checked; never null

  // Where values come from (variables.h): keys that the file gives, and what operators have SET.
  std::set<std::string, std::less<>> given;
  std::map<std::string, std::string, std::less<>> overrides;

  const User* FindUser(std::string_view name) const;
};

}  // namespace bulkhead::config

#endif  // BULKHEAD_PROXY_CONFIG_OPTIONS_H_
