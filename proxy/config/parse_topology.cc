#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proxy/config/parts.h"
#include "proxy/config/values.h"
#include "routing/topology.h"

namespace bulkhead::config {
namespace {

constexpr std::pair<std::string_view, routing::HoldPolicy> kPolicies[] = {
    {"hold", routing::HoldPolicy::kHold},
    {"reject", routing::HoldPolicy::kReject},
    {"replica", routing::HoldPolicy::kReplica}};
constexpr std::pair<std::string_view, routing::BackendTls> kBackendTls[] = {
    {"disabled", routing::BackendTls::kDisabled},
    {"preferred", routing::BackendTls::kPreferred},
    {"required", routing::BackendTls::kRequired},
    {"verify", routing::BackendTls::kVerify}};
constexpr std::pair<std::string_view, routing::ServerFamily> kFamilies[] = {
    {"auto", routing::ServerFamily::kAuto},
    {"mysql", routing::ServerFamily::kMysql},
    {"mariadb", routing::ServerFamily::kMariadb}};

constexpr std::pair<std::string_view, routing::FailoverMode> kFailoverModes[] = {
    {"manual", routing::FailoverMode::kManual},
    {"automatic", routing::FailoverMode::kAutomatic},
    {"automatic_with_loss", routing::FailoverMode::kAutomaticWithLoss}};

// The builder's refusals go to the line of the object.
void Check(const Section& section, std::string_view key, const absl::Status& status) {
  if (!status.ok()) section.Error(section.Has(key) ? key : "", std::string(status.message()));
}

void ReadBackend(const Section& section, const Options& options,
                 routing::TopologyBuilder& builder) {
  routing::BackendSpec spec;
  std::string address;
  const bool has_name = section.RequiredText("name", &spec.name);
  bool has_address = section.RequiredText("address", &address);
  if (has_address) {
    auto parsed = routing::ParseAddress(address);
    if (parsed.ok()) {
      spec.address = *std::move(parsed);
    } else {
      section.Error("address", std::string(parsed.status().message()));
      has_address = false;
    }
  }
  section.Choice<routing::ServerFamily>("family", kFamilies, &spec.family);
  section.Choice<routing::BackendTls>("tls", kBackendTls, &spec.tls);
  if (spec.tls == routing::BackendTls::kVerify && options.backend_tls.ca.empty()) {
    section.Error("tls", "verify needs tls.backends.ca: a file, or 'system'");
  }
  section.Number("max_connections", 1, 1'000'000, &spec.max_connections);
  if (has_name && has_address) Check(section, "name", builder.AddBackend(spec));
}

template <typename T, typename Read>
void Optional(const Section& section, std::string_view key, std::optional<T>* out, Read read) {
  T value{};
  if (section.Has(key) && read(&value)) *out = value;
}

void ReadHoldOverrides(const Section& section, routing::HoldOverrides* out) {
  section.Choice<routing::HoldPolicy>("policy", kPolicies, &out->policy);
  Optional(section, "max_wait", &out->max_wait,
           [&](Duration* d) { return section.Time("max_wait", Duration(0), d); });
  Optional(section, "outage_limit", &out->outage_limit,
           [&](Duration* d) { return section.Time("outage_limit", Duration(0), d); });
  section.Number("max_statements", 0, 1'000'000, &out->max_statements);
  Optional(section, "max_bytes", &out->max_bytes,
           [&](uint64_t* size) { return section.Size("max_bytes", 0, size); });
}

void ReadShard(const Section& section, routing::TopologyBuilder& builder) {
  routing::ShardSpec spec;
  const bool has_name = section.RequiredText("name", &spec.name);
  const bool has_primary = section.RequiredText("primary", &spec.primary);
  section.EachText("replicas", [&](const std::string& text, const YAML::Mark&, const std::string&) {
    spec.replicas.push_back(text);
  });
  if (section.Has("hold")) ReadHoldOverrides(section.Map("hold"), &spec.hold);
  section.Bool("production", &spec.production);
  section.Choice<routing::FailoverMode>("failover", kFailoverModes, &spec.failover);
  if (has_name && has_primary) Check(section, "name", builder.AddShard(spec));
}

void ReadTenant(const Section& section, Options* out, routing::TopologyBuilder& builder) {
  routing::TenantSpec spec;
  const bool has_name = section.RequiredText("name", &spec.name);
  const bool has_shard = section.RequiredText("shard", &spec.shard);
  section.Choice<routing::Pooling>("pooling", PoolingChoices(), &spec.pooling);
  section.Choice<routing::HoldPolicy>("hold", kPolicies, &spec.hold);
  section.Text("physical_database", &spec.physical_database);
  if (section.Has("limits")) {
    routing::TenantLimit limit = out->tenant_limit;
    ReadTenantLimit(section.Map("limits"), &limit);
    out->tenant_limits.emplace_back(spec.name, limit);
  }
  if (has_name && has_shard) Check(section, "name", builder.AddTenant(spec));
}

void ReadSlots(const Section& section, routing::TopologyBuilder& builder) {
  std::string range;
  std::string shard;
  const bool has_range = section.RequiredText("range", &range);
  const bool has_shard = section.RequiredText("shard", &shard);
  if (!has_range || !has_shard) return;
  const size_t dash = range.find('-');
  const auto first = ParseNumber(range.substr(0, dash));
  const auto last = dash == std::string::npos ? first : ParseNumber(range.substr(dash + 1));
  if (!first || !last || *first > *last || *last >= routing::kSlots) {
    section.Error("range", "needs slots such as 0-2047, within 0-4095, not " + Quoted(range));
    return;
  }
  Check(section, "shard",
        builder.AssignSlots(static_cast<uint16_t>(*first), static_cast<uint16_t>(*last), shard));
}

void ReadUnassigned(const Section& root, routing::TopologyBuilder& builder) {
  const Section tenancy = root.Map("tenancy", /*again=*/true);
  if (!tenancy.Has("unassigned")) return;
  if (tenancy.Node("unassigned").IsMap()) {
    const Section map = tenancy.Map("unassigned");
    routing::UnassignedShard by_shard;
    if (map.RequiredText("shard", &by_shard.shard)) {
      Check(map, "shard", builder.SetUnassigned(by_shard));
    }
    return;
  }
  std::string text;
  if (!tenancy.Text("unassigned", &text)) return;
  if (text == "slots") {
    Check(tenancy, "unassigned", builder.SetUnassigned(routing::UnassignedSlots{}));
  } else if (text != "reject") {
    tenancy.Error("unassigned", "needs one of reject, slots, {shard: NAME}, not " + Quoted(text));
  }
}

std::optional<routing::NamePattern> ReadPattern(const Section& section, std::string_view key,
                                                std::string_view other) {
  std::string text;
  if (!section.Text(key, &text)) return std::nullopt;
  auto pattern = routing::NamePattern::Compile(text, other);
  if (pattern.ok()) return *std::move(pattern);
  section.Error(key, std::string(pattern.status().message()));
  return std::nullopt;
}

}  // namespace

Choices<routing::HoldPolicy> HoldPolicyChoices() { return kPolicies; }
Choices<routing::BackendTls> BackendTlsChoices() { return kBackendTls; }

void ReadTenancy(const Section& root, Options* out) {
  const Section section = root.Map("tenancy");
  routing::TenantRules& rules = out->tenancy;
  rules.username_pattern = ReadPattern(section, "username_pattern", "user");
  rules.database_pattern = ReadPattern(section, "database_pattern", "");
  rules.physical_database = ReadPattern(section, "physical_database", "database");
  if (rules.username_pattern && !rules.username_pattern->has_other()) {
    section.Error("username_pattern", "has no {user}: the router could not tell which user it is");
  }
  section.Text("logical_database", &rules.logical_database);
  if (!rules.logical_database.empty() && !section.Has("physical_database")) {
    section.Error("logical_database", "needs physical_database beside it");
  }
}

void ReadTopology(const Section& root, Options* out) {
  routing::TopologyBuilder builder;
  const Section section = root.Map("topology");
  section.EachMap("backends", [&](const Section& s) { ReadBackend(s, *out, builder); });
  section.EachMap("shards", [&](const Section& s) { ReadShard(s, builder); });
  section.EachMap("tenants", [&](const Section& s) { ReadTenant(s, out, builder); });
  if (section.Has("slots")) {
    section.EachMap("slots", [&](const Section& s) { ReadSlots(s, builder); });
  } else {
    (void)builder.SpreadSlots();  // without shards there is nothing to spread over
  }
  ReadUnassigned(root, builder);
  auto built = builder.Build();
  if (built.ok()) {
    out->topology = *std::move(built);
    return;
  }
  if (section.Has("slots")) {
    section.Error("slots", std::string(built.status().message()));
  } else {
    root.Map("tenancy", /*again=*/true)
        .Error("unassigned", "slots needs topology.shards to spread them over");
  }
  out->topology = routing::TopologyBuilder().Build().value();
}

}  // namespace bulkhead::config
