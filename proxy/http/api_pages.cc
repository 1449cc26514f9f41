#include "proxy/http/api_pages.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_split.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "proxy/http/fleet_stream.h"
#include "proxy/http/incident_report.h"
#include "proxy/http/json.h"
#include "proxy/http/tenant_answer.h"

namespace bulkhead::http {

namespace {

constexpr size_t kMostHistories = 100;  // of one request
constexpr size_t kMostRows = 1000;

absl::string_view A(std::string_view text) { return {text.data(), text.size()}; }

Response JsonAnswer(std::string text, int status = 200) {
  return {.status = status, .content_type = "application/json", .body = std::move(text)};
}

Response JsonError(int status, const std::string& words) {
  return JsonAnswer(Dump({{"error", words}}), status);
}

// A number of the query, at most `most`; `fallback` where it is not given or none.
uint64_t Number(const Request& request, std::string_view key, uint64_t fallback, uint64_t most) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(A(request.Query(key)), &number)) return fallback;
  return std::min(number, most);
}

Response Index(const Request&) {
  Json json;
  json["api"] = 1;
  json["paths"] = {"/api/v1/fleet",     "/api/v1/stream",       "/api/v1/history?shards=A,B",
                   "/api/v1/incidents", "/api/v1/incidents/N",  "/api/v1/incidents/N.md",
                   "/api/v1/events",    "/api/v1/operations",   "/api/v1/unknown",
                   "/api/v1/tenants",   "/api/v1/tenant?name=X"};
  return JsonAnswer(Dump(json));
}

Response Events(const FleetSource& source, const Request& request) {
  std::vector<control::Event> events = source.EventsAfter(Number(request, "after", 0, UINT64_MAX));
  const size_t most = Number(request, "limit", 200, kMostRows);
  Json rows = Json::array();
  const size_t first = events.size() > most ? events.size() - most : 0;
  for (size_t i = events.size(); i > first; --i) {
    const control::Event& event = events[i - 1];
    Json row;
    row["id"] = event.id;
    row["at_ms"] = event.at_ms;
    row["kind"] = event.kind;
    row["object"] = event.object;
    row["text"] = event.text;
    rows.push_back(std::move(row));
  }
  return JsonAnswer(Dump({{"events", std::move(rows)}}));
}

Response Operations(const FleetSource& source, const Request&) {
  const std::vector<control::Operation> operations = source.Operations();
  Json rows = Json::array();
  for (auto it = operations.rbegin(); it != operations.rend(); ++it) {
    Json row;
    row["id"] = it->id;
    row["kind"] = it->kind;
    row["object"] = it->object;
    row["state"] = control::ToString(it->state);
    row["step"] = it->step;
    row["detail"] = it->detail;
    row["user"] = it->user;
    row["begun_ms"] = it->begun_ms;
    row["ended_ms"] = it->ended_ms;
    rows.push_back(std::move(row));
  }
  return JsonAnswer(Dump({{"operations", std::move(rows)}}));
}

Response Unknown(const FleetSource& source, const Request& request) {
  Json rows = Json::array();
  for (const UnknownFacts& unknown : source.Unknown(Number(request, "limit", 100, kMostRows))) {
    Json row;
    row["sent_ms"] = unknown.sent_ms;
    row["tenant"] = unknown.tenant;
    row["shard"] = unknown.shard;
    row["backend"] = unknown.backend;
    row["connection"] = unknown.connection;
    row["session"] = unknown.session;
    row["digest"] = unknown.digest;
    rows.push_back(std::move(row));
  }
  return JsonAnswer(Dump({{"unknown", std::move(rows)}}));
}

Response Incidents(const FleetSource& source, const Request& request) {
  Json rows = Json::array();
  for (const control::IncidentFacts& incident : source.Incidents(Number(request, "limit", 50, 200)))
    rows.push_back(IncidentSummary(incident));
  return JsonAnswer(Dump({{"incidents", std::move(rows)}}));
}

// "12" or "12.md".
Response OneIncident(const FleetSource& source, const Request& request) {
  std::string_view name = request.rest;
  const bool markdown = name.ends_with(".md");
  if (markdown) name.remove_suffix(3);
  uint64_t id = 0;
  std::optional<control::Incident> incident;
  if (absl::SimpleAtoi(A(name), &id)) incident = source.FindIncident(id);
  if (!incident.has_value())
    return JsonError(404, "there is no such incident: see /api/v1/incidents");
  const control::Incident whole =
      WithOperators(*std::move(incident), source.Operations(), source.EventsAfter(0));
  if (!markdown) return JsonAnswer(Dump(IncidentReport(whole)));
  const RouterFacts router = source.Router();
  return {.content_type = "text/markdown; charset=utf-8",
          .body = IncidentMarkdown(
              whole, absl::StrCat("router ", router.id, " (bulkhead ", router.version, ")")),
          .headers = {
              {"Content-Disposition", absl::StrCat("inline; filename=\"incident-", id, ".md\"")}}};
}

Response History(const FleetSampler& sampler, const Request& request) {
  std::vector<std::string> shards;
  for (absl::string_view name :
       absl::StrSplit(A(request.Query("shards")), ',', absl::SkipEmpty())) {
    if (shards.size() == kMostHistories)
      return JsonError(400, absl::StrCat("at most ", kMostHistories, " shards at once"));
    shards.emplace_back(name);
  }
  if (shards.empty()) return JsonError(400, "say which: ?shards=s1,s2");
  return JsonAnswer(sampler.HistoryJson(shards));
}

Response Tenant(const FleetSource& source, const Request& request) {
  const std::string name(request.Query("name"));
  if (name.empty()) return JsonError(400, "say which: ?name=acme");
  return JsonAnswer(Dump(TenantAnswer(source, name)));
}

Response Tenants(const FleetSource& source, const Request& request) {
  Json json = FindTenants(source, request.Query("part"), std::string(request.Query("shard")),
                          Number(request, "limit", 50, kMostRows));
  Json busiest = Json::array();
  for (const metrics::TenantBoard::Tenant& tenant : source.BusiestTenants()) {
    busiest.push_back(
        {{"tenant", tenant.name},
         {"statements", tenant.counts.all()},
         {"busy_seconds", Rounded(static_cast<double>(tenant.counts.busy_ns) / 1e9)}});
  }
  json["busiest"] = std::move(busiest);
  return JsonAnswer(Dump(json));
}

}  // namespace

void AddApiPages(const FleetSource* source, const FleetSampler* sampler, Pages* pages) {
  const auto add = [&](const char* path, Response (*page)(const FleetSource&, const Request&)) {
    (*pages)[path] = [source, page](const Request& request) { return page(*source, request); };
  };
  (*pages)["/api/v1/"] = Index;
  (*pages)["/api/v1"] = Index;
  (*pages)["/api/v1/fleet"] = [sampler](const Request&) {
    return JsonAnswer(sampler->Picture()->Whole());
  };
  (*pages)["/api/v1/stream"] = [sampler](const Request&) {
    return Response{.content_type = "text/event-stream",
                    .stream = std::make_unique<FleetStream>(sampler)};
  };
  (*pages)["/api/v1/history"] = [sampler](const Request& request) {
    return History(*sampler, request);
  };
  add("/api/v1/events", Events);
  add("/api/v1/operations", Operations);
  add("/api/v1/unknown", Unknown);
  add("/api/v1/incidents", Incidents);
  add("/api/v1/incidents/*", OneIncident);
  add("/api/v1/tenants", Tenants);
  add("/api/v1/tenant", Tenant);
}

}  // namespace bulkhead::http
