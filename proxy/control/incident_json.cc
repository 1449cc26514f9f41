#include "proxy/control/incident_json.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace bulkhead::control {

namespace {

using Json = nlohmann::ordered_json;

struct TimeField {
  const char* name;
  int64_t Incident::*member;
};
constexpr TimeField kTimes[] = {
    {"last_byte_ms", &Incident::last_byte_ms}, {"began_ms", &Incident::began_ms},
    {"held_ms", &Incident::held_ms},           {"verdict_ms", &Incident::verdict_ms},
    {"given_up_ms", &Incident::given_up_ms},   {"answered_ms", &Incident::answered_ms},
    {"released_ms", &Incident::released_ms},   {"over_ms", &Incident::over_ms}};

struct NumberField {
  const char* name;
  uint64_t IncidentNumbers::*member;
};
constexpr NumberField kNumbers[] = {
    {"most_held", &IncidentNumbers::most_held}, {"asked", &IncidentNumbers::asked},
    {"released", &IncidentNumbers::released},   {"refused", &IncidentNumbers::refused},
    {"cancelled", &IncidentNumbers::cancelled}, {"unknown", &IncidentNumbers::unknown},
    {"reset", &IncidentNumbers::reset}};

template <typename Number>
Number NumberOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<Number>() : Number{};
}

std::string TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

IncidentMoment MomentOf(const Json& object) {
  return {NumberOf<int64_t>(object, "at_ms"), TextOf(object, "what"), TextOf(object, "object"),
          TextOf(object, "words")};
}

}  // namespace

Json IncidentJson(const Incident& incident) {
  Json json;
  json["id"] = incident.id;
  json["backend"] = incident.backend;
  json["shards"] = incident.shards;
  json["worst"] = incident.worst;
  for (const TimeField& field : kTimes) json[field.name] = incident.*field.member;
  Json numbers;
  for (const NumberField& field : kNumbers) numbers[field.name] = incident.numbers.*field.member;
  json["numbers"] = std::move(numbers);
  Json timeline = Json::array();
  for (const IncidentMoment& moment : incident.timeline) {
    Json one;
    one["at_ms"] = moment.at_ms;
    one["what"] = moment.what;
    one["object"] = moment.object;
    one["words"] = moment.words;
    timeline.push_back(std::move(one));
  }
  json["timeline"] = std::move(timeline);
  json["left_out"] = incident.left_out;
  return json;
}

std::string IncidentText(const Incident& incident) {
  return IncidentJson(incident).dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Incident> ParseIncident(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  Incident incident;
  incident.id = NumberOf<uint64_t>(json, "id");
  incident.backend = TextOf(json, "backend");
  incident.worst = TextOf(json, "worst");
  incident.left_out = NumberOf<uint64_t>(json, "left_out");
  for (const TimeField& field : kTimes)
    incident.*field.member = NumberOf<int64_t>(json, field.name);
  if (const auto it = json.find("numbers"); it != json.end()) {
    for (const NumberField& field : kNumbers)
      incident.numbers.*field.member = NumberOf<uint64_t>(*it, field.name);
  }
  if (const auto it = json.find("shards"); it != json.end() && it->is_array()) {
    for (const Json& shard : *it) {
      if (shard.is_string()) incident.shards.push_back(shard.get<std::string>());
    }
  }
  if (const auto it = json.find("timeline"); it != json.end() && it->is_array()) {
    for (const Json& moment : *it) incident.timeline.push_back(MomentOf(moment));
  }
  if (incident.id == 0 || incident.backend.empty()) return std::nullopt;
  return incident;
}

}  // namespace bulkhead::control
