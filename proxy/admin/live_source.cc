#include "proxy/admin/live_source.h"

#include <cmath>
#include <cstdio>
#include <utility>

#include "proxy/admin/sql_engine.h"
#include "proxy/config/variables.h"

namespace bulkhead::admin {

namespace {

std::string NumberText(double value) {
  constexpr double kWhole = 1e15;
  char text[64];
  if (std::trunc(value) == value && std::fabs(value) < kWhole) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.6g", value);
  }
  return text;
}

std::string SampleName(const std::string& metric, const prometheus::ClientMetric& sample,
                       const char* suffix = "") {
  std::string name = metric + suffix;
  std::string labels;
  for (const prometheus::ClientMetric::Label& label : sample.label) {
    labels += labels.empty() ? "{" : ",";
    labels += label.name + "=\"" + label.value + "\"";
  }
  return labels.empty() ? name : name + labels + "}";
}

}  // namespace

std::vector<StatusRow> StatusRows(const std::vector<prometheus::MetricFamily>& families) {
  std::vector<StatusRow> rows;
  for (const prometheus::MetricFamily& family : families) {
    for (const prometheus::ClientMetric& sample : family.metric) {
      switch (family.type) {
        case prometheus::MetricType::Counter:
          rows.push_back({SampleName(family.name, sample), NumberText(sample.counter.value)});
          break;
        case prometheus::MetricType::Histogram:
          rows.push_back({SampleName(family.name, sample, "_count"),
                          NumberText(static_cast<double>(sample.histogram.sample_count))});
          rows.push_back(
              {SampleName(family.name, sample, "_sum"), NumberText(sample.histogram.sample_sum)});
          break;
        default:
          rows.push_back({SampleName(family.name, sample), NumberText(sample.gauge.value)});
      }
    }
  }
  return rows;
}

std::shared_ptr<const LiveState> LiveSource::Collect(const TableSet& tables) {
  const auto wants = [&](std::string_view name) { return tables.contains(name); };
  control::FleetQuestion question;
  question.shards = wants("shards");
  question.backends = wants("backends");
  question.replicas = wants("replicas");
  question.holds = wants("holds");
  question.unknown = wants("unknown");
  question.operations = wants("operations");
  question.events = wants("events");
  question.sessions = wants("sessions");
  question.pools = wants("pools");
  control::FleetPicture picture = setup_.fleet->Collect(question);
  auto state = std::make_shared<LiveState>();
  state->topology = std::move(picture.topology);
  state->shards = std::move(picture.control.shards);
  state->backends = std::move(picture.control.backends);
  state->replicas = std::move(picture.control.replicas);
  state->holds = std::move(picture.control.holds);
  state->unknown = std::move(picture.unknown);
  state->operations = std::move(picture.operations);
  state->events = std::move(picture.events);
  state->sessions = std::move(picture.sessions);
  state->pools = std::move(picture.pools);
  state->warnings = std::move(picture.warnings);
  state->limits = setup_.limits;
  if (wants("variables")) AddVariables(state.get());
  if (wants("status")) AddStatus(state.get());
  return state;
}

void LiveSource::AddVariables(LiveState* state) const {
  for (config::Variable& variable : config::ListVariables(*setup_.options())) {
    state->variables.push_back(
        {std::string(variable.name), std::move(variable.value), std::string(variable.source)});
  }
  for (VariableRow& variable : ClientVariables(setup_.version))
    state->variables.push_back(std::move(variable));
}

void LiveSource::AddStatus(LiveState* state) const {
  state->status = StatusRows(setup_.registry->Collect());
}

}  // namespace bulkhead::admin
