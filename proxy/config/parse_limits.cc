#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/config/parts.h"
#include "proxy/config/values.h"

namespace bulkhead::config {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kMillion = 1'000'000;

void ReadPools(const Section& section, Pools* out) {
  section.Number("max_connections", 1, kMillion, &out->max_connections);
  section.Number("min_idle", 0, kMillion, &out->min_idle);
  section.Number("max_waiting", 0, kMillion, &out->max_waiting);
  section.Time("idle_timeout", 0s, &out->idle_timeout);
  section.Time("max_age", 0s, &out->max_age);
  section.Time("wait_timeout_margin", 0s, &out->wait_timeout_margin);
  section.Time("acquire_timeout", 1ms, &out->acquire_timeout);
  section.Time("connect_timeout", 1ms, &out->connect_timeout);
  section.Time("handshake_timeout", 1ms, &out->handshake_timeout);
  section.Number("max_prepared_statements", 1, 65'535, &out->max_prepared_statements);
  if (out->min_idle > out->max_connections) {
    section.Error("min_idle", "is more than pools.max_connections");
  }
}

void ReadClients(const Section& section, Clients* out) {
  section.Number("max_connections", 1, 10 * kMillion, &out->max_connections);
  section.Number("max_unauthenticated", 1, 10 * kMillion, &out->max_unauthenticated);
  // Less would not hold a login with its attributes.
  section.Size("max_unauthenticated_bytes", 4096, &out->max_unauthenticated_bytes);
  section.Time("handshake_timeout", 1ms, &out->handshake_timeout);
  section.Time("idle_timeout", 1s, &out->idle_timeout);
  section.Size("max_allowed_packet", 1024, &out->max_allowed_packet);
  if (out->max_unauthenticated > out->max_connections) {
    if (section.Has("max_unauthenticated")) {
      section.Error("max_unauthenticated", "is more than clients.max_connections");
    }
    out->max_unauthenticated = out->max_connections;
  }
}

void ReadAlgorithms(const Section& section, std::string_view key,
                    std::vector<CompressionAlgorithm>* out) {
  if (!section.Has(key)) return;
  out->clear();
  section.EachText(
      key, [&](const std::string& text, const YAML::Mark& mark, const std::string& path) {
        if (text != "zlib" && text != "zstd") {
          section.report().Error(mark, path, "needs one of zlib, zstd, not " + Quoted(text));
          return;
        }
        const auto algorithm =
            text == "zlib" ? CompressionAlgorithm::kZlib : CompressionAlgorithm::kZstd;
        if (std::find(out->begin(), out->end(), algorithm) != out->end()) {
          section.report().Error(mark, path, Quoted(text) + " is named twice");
          return;
        }
        out->push_back(algorithm);
      });
}

void ReadCompression(const Section& section, Compression* out) {
  ReadAlgorithms(section, "clients", &out->clients);
  ReadAlgorithms(section, "backends", &out->backends);
  uint32_t level = 0;
  if (section.Number("zlib_level", 1, 9, &level)) out->zlib_level = static_cast<int>(level);
  if (section.Number("zstd_level", 1, 22, &level)) out->zstd_level = static_cast<int>(level);
}

void ReadLog(const Section& section, Log* out) {
  constexpr std::pair<std::string_view, LogLevel> kLevels[] = {{"debug", LogLevel::kDebug},
                                                               {"info", LogLevel::kInfo},
                                                               {"warn", LogLevel::kWarn},
                                                               {"error", LogLevel::kError}};
  constexpr std::pair<std::string_view, LogFormat> kFormats[] = {{"text", LogFormat::kText},
                                                                 {"json", LogFormat::kJson}};
  section.Choice<LogLevel>("level", kLevels, &out->level);
  section.Choice<LogFormat>("format", kFormats, &out->format);
  section.Number("max_repeats", 0, kMillion, &out->max_repeats);
  section.Time("slow_statement", 0s, &out->slow_statement);
  section.Number("slow_per_second", 1, 100'000, &out->slow_per_second);
}

void ReadHttp(const Section& section, Http* out) {
  section.Number("max_connections", 4, 1000, &out->max_connections);
  section.Number("max_streams", 0, 500, &out->max_streams);
  if (out->max_streams + 4 > out->max_connections)
    section.Error("max_streams", "leaves fewer than 4 of http.max_connections for other pages");
}

void ReadAdminLimits(const Section& section, AdminLimits* out) {
  section.Number("max_connections", 1, 10'000, &out->max_connections);
  section.Number("max_unauthenticated", 1, 10'000, &out->max_unauthenticated);
  section.Time("idle_timeout", 1s, &out->idle_timeout);
}

constexpr std::pair<std::string_view, TlsVersion> kTlsVersions[] = {{"1.2", TlsVersion::kTls12},
                                                                    {"1.3", TlsVersion::kTls13}};

// Both or none.
void ReadCertificate(const Section& section, std::string* cert, std::string* key) {
  section.File("cert", false, cert);
  section.File("key", true, key);
  if (section.Has("cert") != section.Has("key")) {
    const bool has_cert = section.Has("cert");
    section.Error(has_cert ? "cert" : "key",
                  has_cert ? "needs its private key: the key 'key' beside it"
                           : "needs its certificate: the key 'cert' beside it");
  }
}

}  // namespace

void ReadTls(const Section& root, Options* out) {
  const Section tls = root.Map("tls");
  const Section clients = tls.Map("clients");
  ReadCertificate(clients, &out->client_tls.cert, &out->client_tls.key);
  clients.File("ca", false, &out->client_tls.ca);
  clients.Choice<TlsMode>("mode", TlsModeChoices(), &out->client_tls.mode);
  clients.Choice<TlsVersion>("min_version", kTlsVersions, &out->client_tls.min_version);
  if (clients.Has("mode") && out->client_tls.mode != TlsMode::kDisabled && !clients.Has("cert")) {
    clients.Error("mode", "needs cert and key beside it");
  }
  const Section backends = tls.Map("backends");
  ReadCertificate(backends, &out->backend_tls.cert, &out->backend_tls.key);
  backends.Choice<routing::BackendTls>("mode", BackendTlsChoices(), &out->backend_tls.mode);
  backends.Choice<TlsVersion>("min_version", kTlsVersions, &out->backend_tls.min_version);
  std::string ca;
  if (backends.Text("ca", &ca)) {
    if (ca == "system") {
      out->backend_tls.ca = ca;
    } else {
      backends.File("ca", false, &out->backend_tls.ca);
    }
  }
  if (out->backend_tls.mode == routing::BackendTls::kVerify && !backends.Has("ca")) {
    backends.Error("mode", "verify needs the key 'ca' beside it: a file, or 'system'");
  }
}

void ReadRuntime(const Section& root, Options* out) {
  ReadHold(root.Map("hold"), &out->hold);
  ReadHealth(root.Map("health"), &out->health);
  ReadTenantLimit(root.Map("tenant_limits"), &out->tenant_limit);
  ReadPools(root.Map("pools"), &out->pools);
  ReadClients(root.Map("clients"), &out->clients);
  ReadAdminLimits(root.Map("admin"), &out->admin_limits);
  ReadCompression(root.Map("compression"), &out->compression);
  ReadLog(root.Map("log"), &out->log);
  const Section upgrade = root.Map("upgrade");
  upgrade.Time("start_timeout", std::chrono::seconds(1), &out->upgrade.start_timeout);
  upgrade.Time("drain_timeout", Duration(0), &out->upgrade.drain_timeout);
  root.Time("shutdown_timeout", Duration(0), &out->shutdown_timeout);
}

void ReadLimits(const Section& root, Options* out) {
  root.Map("metrics").Number("busiest_tenants", 0, 1000, &out->metrics.busiest_tenants);
  ReadHttp(root.Map("http"), &out->http_limits);
  const Section log = root.Map("log", /*again=*/true);
  if (log.Text("file", &out->log.file)) out->log.file = log.report().Resolve(out->log.file);
  std::string workers;
  if (root.Text("workers", &workers) && workers != "auto") {
    const auto number = ParseNumber(workers);
    if (!number || *number < 1 || *number > 256) {
      root.Error("workers", "needs auto or a whole number from 1 to 256, not " + Quoted(workers));
    } else {
      out->workers = static_cast<uint32_t>(*number);
    }
  }
  if (root.Text("state_dir", &out->state_dir) && out->state_dir.front() != '/') {
    root.Error("state_dir", "needs an absolute path, not " + Quoted(out->state_dir));
  }
}

}  // namespace bulkhead::config
