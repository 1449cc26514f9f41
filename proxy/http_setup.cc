#include "proxy/http_setup.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <mutex>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/admin_login.h"
#include "proxy/auth/digest.h"
#include "proxy/http/api_pages.h"
#include "proxy/http/asset_pages.h"
#include "proxy/http/fleet_sampler.h"
#include "proxy/http/monitoring_pages.h"
#include "proxy/log/log.h"

namespace bulkhead {

namespace {

int64_t WallMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string Slurp(const std::string& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  return std::move(text).str();
}

// Tells one certificate and key from others, and nothing of them.
std::string FilesOf(const http::HttpServer::Tls& tls) {
  const auth::Sha256Digest digest =
      auth::Sha256({auth::AsBytes(tls.cert_pem), auth::AsBytes(tls.key_pem)});
  return {digest.begin(), digest.end()};
}

class LiveSource final : public http::FleetSource {
 public:
  explicit LiveSource(const HttpSide::Setup* setup) : setup_(*setup), started_ms_(WallMs()) {}

  http::RouterFacts Router() const override {
    return {setup_.router_id, setup_.version, started_ms_, setup_.not_ready()};
  }
  TopologyPtr Topology() const override { return setup_.control->Snapshot(); }
  std::shared_ptr<const metrics::HealthView> Health() const override {
    return setup_.control->View();
  }
  void ReadShards(std::vector<metrics::ShardTotals>* out) const override {
    setup_.registry->ReadShards(out);
  }
  std::vector<uint64_t> TenantCounts(const TopologyPtr& topology) const override {
    return setup_.directory_count->Of(topology, SteadyMs());
  }
  std::vector<Connections> BackendConnections(const routing::Topology& topology) const override {
    std::vector<Connections> connections;
    for (const routing::Backend* backend : topology.backends()) {
      const size_t index = backend->id.index;
      if (connections.size() <= index) connections.resize(index + 1);
      connections[index].limit =
          backend->max_connections.value_or(setup_.options->pools.max_connections);
    }
    std::vector<int64_t> open(connections.size());
    setup_.registry->ReadConnections(&open);
    for (size_t i = 0; i < open.size(); ++i) connections[i].open = open[i];
    return connections;
  }
  int64_t Sessions() const override { return setup_.registry->Sessions(); }
  std::vector<metrics::TenantBoard::Tenant> BusiestTenants() const override {
    return setup_.registry->BusiestTenants();
  }
  routing::TenantLimits::Usage UsageOf(std::string_view tenant) const override {
    return setup_.limits->UsageOf(tenant);
  }
  routing::TenantLimit LimitOf(std::string_view tenant) const override {
    return setup_.limits->LimitOf(tenant);
  }
  std::vector<control::Event> EventsAfter(uint64_t id) const override {
    return setup_.control->event_log().After(id);
  }
  std::vector<control::Operation> Operations() const override {
    return setup_.control->operation_log().All();
  }
  std::vector<control::IncidentFacts> Incidents(size_t most) const override {
    return setup_.control->incident_log().NewestFacts(most);
  }
  std::optional<control::Incident> FindIncident(uint64_t id) const override {
    return setup_.control->incident_log().Find(id);
  }
  std::vector<http::UnknownFacts> Unknown(size_t most) const override {
    const control::ControlLoop::UnknownList list = setup_.control->Unknown();
    // The loops' clock is CLOCK_MONOTONIC, as this one is.
    const int64_t offset_ms = WallMs() - SteadyMs();
    std::vector<http::UnknownFacts> facts;
    for (auto it = list.statements.rbegin(); it != list.statements.rend() && facts.size() < most;
         ++it) {
      facts.push_back({.sent_ms = offset_ms + static_cast<int64_t>(it->sent_ns / 1'000'000),
                       .tenant = it->tenant,
                       .shard = it->shard,
                       .backend = it->backend,
                       .digest = it->digest,
                       .connection = it->thread_id,
                       .session = it->session_id});
    }
    return facts;
  }

 private:
  const HttpSide::Setup& setup_;
  const int64_t started_ms_;
};

}  // namespace

struct HttpSide::Impl {
  Setup setup;
  LiveSource source;
  std::unique_ptr<http::FleetSampler> sampler;

  mutable std::mutex mutex;  // of the next two
  std::shared_ptr<const AdminLogin> admin_login;
  // Others use it with the mutex, and never keep it: its end joins its threads, and must not come
  // to one of them. Its owner destroys it without the mutex, which its threads may be waiting for.
  std::unique_ptr<http::HttpServer> server;
  std::string files;  // a hash of the certificate and key that the server has

  explicit Impl(Setup given)
      : setup(std::move(given)),
        source(&setup),
        admin_login(std::make_shared<const AdminLogin>(*setup.options)) {}

  [[nodiscard]] http::HttpServer::Options ServerOptions(const config::Options& options) const;
  [[nodiscard]] http::Pages MakePages() const;
  // The one before.
  [[nodiscard]] std::unique_ptr<http::HttpServer> Exchange(std::unique_ptr<http::HttpServer> next) {
    const std::lock_guard lock(mutex);
    return std::exchange(server, std::move(next));
  }
  void WakeStreams() const {
    const std::lock_guard lock(mutex);
    if (server != nullptr) server->WakeStreams();
  }
};

http::HttpServer::Options HttpSide::Impl::ServerOptions(const config::Options& options) const {
  const config::AdminListener& listener = *setup.options->http;  // another one wants a restart
  http::HttpServer::Options result;
  result.host = listener.address.host;
  result.port = listener.address.port;
  result.max_connections = options.http_limits.max_connections;
  result.max_streams = options.http_limits.max_streams;
  if (listener.tls == config::TlsMode::kRequired) {
    result.tls.emplace();
    result.tls->cert_pem = Slurp(options.client_tls.cert);
    result.tls->key_pem = Slurp(options.client_tls.key);
    result.tls->only_13 = options.client_tls.min_version == config::TlsVersion::kTls13;
  }
  if (!listener.address.is_local()) {
    result.check_login = [this](std::string_view user, std::string_view password) {
      std::shared_ptr<const AdminLogin> login;
      {
        const std::lock_guard lock(mutex);
        login = admin_login;
      }
      return login->Check(user, password);
    };
  }
  return result;
}

http::Pages HttpSide::Impl::MakePages() const {
  http::Pages pages = http::MonitoringPages(setup.registry, setup.not_ready);
  http::AddApiPages(&source, sampler.get(), &pages);
  http::AddAssetPages(&pages);
  return pages;
}

HttpSide::HttpSide(Setup setup) : impl_(std::make_unique<Impl>(std::move(setup))) {}

// Streams end before the sampler that feeds them.
HttpSide::~HttpSide() {
  if (impl_->sampler != nullptr) impl_->sampler->Stop();
  impl_->Exchange(nullptr).reset();
}

std::string HttpSide::Start() {
  impl_->sampler = std::make_unique<http::FleetSampler>(
      &impl_->source, [impl = impl_.get()] { impl->WakeStreams(); });
  http::HttpServer::Options options = impl_->ServerOptions(*impl_->setup.options);
  options.listen_fd = impl_->setup.listen_fd;
  const bool tls = options.tls.has_value();
  if (tls) impl_->files = FilesOf(*options.tls);
  auto started = http::HttpServer::Start(options, impl_->MakePages());
  if (!started.ok()) return "http: " + std::string(started.status().message());
  const std::string address = absl::StrCat(options.host, ":", (*started)->port());
  impl_->Exchange(*std::move(started)).reset();
  impl_->sampler->Start();
  log::Info(log::event::kListening, {{"address", address}, {"what", "http"}},
            absl::StrCat("status page and metrics on ", tls ? "https" : "http", "://", address,
                         "/ and /metrics"));
  return {};
}

void HttpSide::Replace(const std::shared_ptr<const config::Options>& options) {
  auto login = std::make_shared<const AdminLogin>(*options);
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->admin_login = std::move(login);
  }
  const http::HttpServer::Options wanted = impl_->ServerOptions(*options);
  if (impl_->server == nullptr || !wanted.tls.has_value() || FilesOf(*wanted.tls) == impl_->files)
    return;
  auto next = impl_->server->Successor(wanted, impl_->MakePages());
  if (!next.ok()) {
    log::Error(log::event::kHttp, {{"what", "certificate"}},
               absl::StrCat("http: the new certificate can't be used, the old one stays: ",
                            std::string(next.status().message())));
    return;
  }
  impl_->files = FilesOf(*wanted.tls);
  impl_->Exchange(*std::move(next)).reset();  // live pages connect anew
}

void HttpSide::StopListening() { impl_->Exchange(nullptr).reset(); }

int HttpSide::CopySocket() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->server == nullptr ? -1 : impl_->server->CopySocket();
}

http::HttpServer::Counts HttpSide::counts() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->server == nullptr ? http::HttpServer::Counts{} : impl_->server->counts();
}

}  // namespace bulkhead
