#include "proxy/http/incident_report.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "proxy/control/incident_json.h"
#include "proxy/log/line.h"

namespace bulkhead::http {

namespace {

using control::Incident;
using control::IncidentMoment;

bool Concerns(const Incident& incident, const std::string& object) {
  const auto& shards = incident.shards;
  return object == incident.backend ||
         std::find(shards.begin(), shards.end(), object) != shards.end();
}

bool During(const Incident& incident, int64_t at_ms) {
  return at_ms >= incident.began_ms && (incident.over_ms == 0 || at_ms <= incident.over_ms);
}

// "given_up" is "given up".
std::string Spaced(std::string text) {
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

// In a table's cell.
std::string Cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    if (c == '|' || c == '\\' || c == '`' || c == '<' || c == '*' || c == '_') cell.push_back('\\');
    cell.push_back(c == '\n' || c == '\r' ? ' ' : c);
  }
  return cell;
}

struct Milestone {
  const char* words;
  int64_t Incident::*at;
};
constexpr Milestone kMilestones[] = {{"last byte seen", &Incident::last_byte_ms},
                                     {"detected", &Incident::began_ms},
                                     {"new work held", &Incident::held_ms},
                                     {"verdict: down", &Incident::verdict_ms},
                                     {"in-flight statements given up", &Incident::given_up_ms},
                                     {"answers again", &Incident::answered_ms},
                                     {"held work released", &Incident::released_ms},
                                     {"over", &Incident::over_ms}};

std::string TimeOrNever(int64_t ms) { return ms == 0 ? "-" : log::TimeText(ms); }

}  // namespace

std::string SpanText(int64_t ms) {
  if (ms < 1000) return absl::StrCat(ms, " ms");
  if (ms < 100'000) return absl::StrFormat("%.1f s", static_cast<double>(ms) / 1000);
  const int64_t minutes = ms / 60'000;
  if (minutes < 60) return absl::StrCat(minutes, " min ", ms / 1000 % 60, " s");
  return absl::StrCat(minutes / 60, " h ", minutes % 60, " min");
}

Incident WithOperators(Incident incident, const std::vector<control::Operation>& operations,
                       const std::vector<control::Event>& events) {
  std::vector<IncidentMoment> more;
  for (const control::Operation& operation : operations) {
    if (!Concerns(incident, operation.object)) continue;
    if (During(incident, operation.begun_ms)) {
      more.push_back({operation.begun_ms, operation.kind, operation.object,
                      absl::StrCat("operation ", operation.id, " begun by ", operation.user)});
    }
    if (operation.ended_ms == 0 || !During(incident, operation.ended_ms)) continue;
    const std::string_view state = control::ToString(operation.state);
    more.push_back({operation.ended_ms, operation.kind, operation.object,
                    absl::StrCat("operation ", operation.id, " ", std::string(state), ": ",
                                 operation.detail)});
  }
  for (const control::Event& event : events) {
    if (event.kind == "operator" && During(incident, event.at_ms))
      more.push_back({event.at_ms, "operator", event.object, event.text});
  }
  auto& timeline = incident.timeline;
  timeline.insert(timeline.end(), std::make_move_iterator(more.begin()),
                  std::make_move_iterator(more.end()));
  std::stable_sort(
      timeline.begin(), timeline.end(),
      [](const IncidentMoment& a, const IncidentMoment& b) { return a.at_ms < b.at_ms; });
  return incident;
}

Json IncidentReport(const Incident& incident) { return control::IncidentJson(incident); }

std::string IncidentMarkdown(const Incident& incident, const std::string& router) {
  std::string text = absl::StrCat("# Incident ", incident.id, ": backend ", Cell(incident.backend),
                                  " was ", Spaced(incident.worst), "\n\n");
  const int64_t from = incident.last_byte_ms != 0 ? incident.last_byte_ms : incident.began_ms;
  const std::string shards =
      incident.shards.empty() ? "none" : Cell(absl::StrJoin(incident.shards, ", "));
  absl::StrAppend(&text, "Shards: ", shards, ". Recorded by ", router, ". All times are UTC.\n\n",
                  incident.over_ms == 0
                      ? std::string("Not over yet.")
                      : absl::StrCat("It took ", SpanText(incident.over_ms - from),
                                     " from the first to the last moment."),
                  "\n\n| milestone | time | after the last byte |\n|---|---|---|\n");
  for (const Milestone& milestone : kMilestones) {
    const int64_t at = incident.*milestone.at;
    absl::StrAppend(&text, "| ", milestone.words, " | ", TimeOrNever(at), " | ",
                    at == 0 || at < from ? "-" : SpanText(at - from), " |\n");
  }
  const control::IncidentNumbers& numbers = incident.numbers;
  absl::StrAppend(
      &text, "\n| statements | |\n|---|---|\n| held at once, at most | ", numbers.most_held,
      " |\n| came while the shards did not plainly serve | ", numbers.asked, " |\n| released | ",
      numbers.released, " |\n| refused, not executed | ", numbers.refused,
      " |\n| left by their clients | ", numbers.cancelled, " |\n| outcome unknown | ",
      numbers.unknown, " |\n| connections reset under a statement | ", numbers.reset, " |\n");
  absl::StrAppend(&text, "\n| time | about | what | in words |\n|---|---|---|---|\n");
  for (const IncidentMoment& moment : incident.timeline) {
    absl::StrAppend(&text, "| ", log::TimeText(moment.at_ms), " | ", Cell(moment.object), " | ",
                    Cell(Spaced(moment.what)), " | ", Cell(moment.words), " |\n");
  }
  if (incident.left_out > 0)
    absl::StrAppend(&text, "\n", incident.left_out, " further moments were not kept.\n");
  return text;
}

}  // namespace bulkhead::http
