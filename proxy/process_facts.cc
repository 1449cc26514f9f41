#include "proxy/process_facts.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <chrono>
#include <ctime>

#include "proxy/http_setup.h"
#include "proxy/log/log.h"
#include "proxy/session/pins.h"

namespace bulkhead {

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::vector<uint64_t> DirectoryCount::Of(const TopologyPtr& topology, int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  const bool fresh = counted_ == topology->version();
  const bool soon = counted_.has_value() && now_ms - counted_ms_ < kLeastMs;
  if (fresh || soon) return counts_;
  counts_.clear();
  topology->directory().ForEach([this](std::string_view, const routing::TenantRecord& record) {
    if (counts_.size() <= record.shard.index) counts_.resize(record.shard.index + 1u);
    ++counts_[record.shard.index];
    return true;
  });
  counted_ = topology->version();
  counted_ms_ = now_ms;
  return counts_;
}

metrics::TopologyView TopologyViewOf(const routing::Topology& topology,
                                     const std::vector<uint64_t>& tenants,
                                     uint32_t default_max_connections) {
  metrics::TopologyView view;
  view.version = topology.version().value;
  for (const routing::Shard* shard : topology.shards()) {
    const size_t index = shard->id.index;
    if (view.shards.size() <= index) view.shards.resize(index + 1);
    const routing::Backend* primary = topology.backend(shard->primary);
    view.shards[index] = {.name = shard->name,
                          .primary = primary == nullptr ? "" : primary->name,
                          .epoch = shard->epoch.value,
                          .tenants = index < tenants.size() ? tenants[index] : 0};
  }
  for (const routing::Backend* backend : topology.backends()) {
    const size_t index = backend->id.index;
    if (view.backends.size() <= index) view.backends.resize(index + 1);
    view.backends[index] = {
        .name = backend->name,
        .max_connections = backend->max_connections.value_or(default_max_connections)};
  }
  return view;
}

namespace {

std::optional<int64_t> EndOf(const std::string& file) {
  FILE* const in = std::fopen(file.c_str(), "re");
  if (in == nullptr) return std::nullopt;
  X509* const certificate = PEM_read_X509(in, nullptr, nullptr, nullptr);
  std::fclose(in);
  if (certificate == nullptr) return std::nullopt;
  std::tm end{};
  const int known = ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end);
  X509_free(certificate);
  if (known != 1) return std::nullopt;
  return timegm(&end);
}

}  // namespace

std::vector<std::pair<std::string, int64_t>> CertificateEnds(const config::Options& options) {
  std::vector<std::pair<std::string, int64_t>> ends;
  const auto add = [&](const char* role, const std::string& file) {
    if (file.empty()) return;
    if (const std::optional<int64_t> end = EndOf(file)) ends.emplace_back(role, *end);
  };
  add("clients", options.client_tls.cert);
  add("backends", options.backend_tls.cert);
  return ends;
}

std::vector<std::pair<std::string, uint64_t>> RunningByKind(
    const std::vector<control::Operation>& operations) {
  std::vector<std::pair<std::string, uint64_t>> kinds = {
      {"assign", 0}, {"drain", 0}, {"drill", 0}, {"failover", 0}, {"switchover", 0}};
  for (const control::Operation& operation : operations) {
    if (operation.state != control::Operation::State::kRunning) continue;
    auto it = std::find_if(kinds.begin(), kinds.end(),
                           [&](const auto& kind) { return kind.first == operation.kind; });
    if (it == kinds.end()) it = kinds.insert(kinds.end(), {operation.kind, 0});
    ++it->second;
  }
  return kinds;
}

void ProcessFacts::SetOptions(std::shared_ptr<const config::Options> options) {
  auto certificates = CertificateEnds(*options);
  const std::lock_guard lock(mutex_);
  options_ = std::move(options);
  certificates_ = std::move(certificates);
}

std::string ProcessFacts::NotReady() const {
  switch (life.load()) {
    case Life::kStarting:
      return "starting";
    case Life::kServing:
      return "";
    case Life::kDraining:
      return "draining: no new clients";
  }
  return "";
}

metrics::Registry::Options ProcessFacts::RegistryOptions(const std::string& version) {
  metrics::Registry::Options result;
  result.version = version;
  result.start_time_seconds = static_cast<double>(std::time(nullptr));
  result.busiest_tenants = options_->metrics.busiest_tenants;
  for (std::string_view name : session::kPinNames) result.pin_reasons.emplace_back(name);
  result.health = [this]() -> std::shared_ptr<const metrics::HealthView> {
    return control == nullptr ? nullptr : control->View();
  };
  result.topology = [this] { return Topology(); };
  result.process = [this] { return View(); };
  return result;
}

metrics::TopologyView ProcessFacts::Topology() {
  std::shared_ptr<const config::Options> options;
  {
    const std::lock_guard lock(mutex_);
    options = options_;
  }
  const auto topology = control == nullptr ? options->topology : control->Snapshot();
  return TopologyViewOf(*topology, directory_count.Of(topology, SteadyMs()),
                        options->pools.max_connections);
}

metrics::ProcessView ProcessFacts::View() {
  metrics::ProcessView view;
  view.ready = NotReady().empty();
  uint32_t busiest = 0;
  {
    const std::lock_guard lock(mutex_);
    view.certificates = certificates_;
    busiest = options_->metrics.busiest_tenants;
  }
  const log::Counts logged = log::Counted();
  view.log_lines = logged.lines;
  view.log_held_back = logged.held_back;
  view.log_dropped = logged.dropped;
  if (http != nullptr) {
    const http::HttpServer::Counts counts = http->counts();
    view.http_answers = counts.answers;
    view.http_streams = counts.streams;
  }
  if (limits != nullptr) {
    for (const auto& tenant : limits->MostRefused(busiest)) {
      view.limited.push_back(
          {tenant.tenant, tenant.usage.sessions, tenant.usage.running, tenant.usage.refused});
    }
  }
  if (control != nullptr) {
    view.operations = RunningByKind(control->operation_log().All());
    view.predecessor_sessions = control->SeenPredecessors().sessions;
  }
  return view;
}

}  // namespace bulkhead
