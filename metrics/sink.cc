#include "metrics/sink.h"

#include <charconv>
#include <cmath>
#include <utility>

namespace bulkhead::metrics {

namespace {

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kCounter:
      return "counter";
    case Type::kGauge:
      return "gauge";
    case Type::kHistogram:
      return "histogram";
  }
  return "";
}

prometheus::MetricType LibraryType(Type type) {
  switch (type) {
    case Type::kCounter:
      return prometheus::MetricType::Counter;
    case Type::kGauge:
      return prometheus::MetricType::Gauge;
    case Type::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

// The next of the names that `names` lists, taken off it.
std::string_view NextName(std::string_view* names) {
  const size_t comma = names->find(',');
  const std::string_view name = names->substr(0, comma);
  *names = comma == std::string_view::npos ? std::string_view() : names->substr(comma + 1);
  return name;
}

void AppendNumber(double value, std::string* out) {
  std::array<char, 32> text;
  std::to_chars_result end{};
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    end = std::to_chars(text.data(), text.data() + text.size(), static_cast<int64_t>(value));
  } else if (std::isfinite(value)) {
    end = std::to_chars(text.data(), text.data() + text.size(), value);
  } else {
    out->append(std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
    return;
  }
  out->append(text.data(), end.ptr);
}

void AppendNumber(uint64_t value, std::string* out) {
  std::array<char, 24> text;
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
  out->append(text.data(), end.ptr);
}

// Names of shards, backends and tenants are valid UTF-8 already (routing/tenant_directory.h).
void AppendEscaped(std::string_view value, std::string* out) {
  for (const char c : value) {
    if (c == '\n') {
      out->append("\\n");
      continue;
    }
    if (c == '\\' || c == '"') out->push_back('\\');
    out->push_back(c);
  }
}

// The upper bounds as Prometheus writes them: "0.00005" is the same number as "5e-05".
const std::array<std::string, kDurationBoundsNs.size()>& BoundTexts() {
  static const auto* const texts = [] {
    auto* made = new std::array<std::string, kDurationBoundsNs.size()>;
    for (size_t i = 0; i < made->size(); ++i)
      AppendNumber(static_cast<double>(kDurationBoundsNs[i]) / 1e9, &(*made)[i]);
    return made;
  }();
  return *texts;
}

}  // namespace

// --- prometheus-cpp's families
// ---------------------------------------------------------------------------

FamilySink::FamilySink() : families_(kDefinitions.size()) {
  for (size_t i = 0; i < kDefinitions.size(); ++i) {
    families_[i].name = kDefinitions[i].name;
    families_[i].help = kDefinitions[i].help;
    families_[i].type = LibraryType(kDefinitions[i].type);
  }
}

prometheus::ClientMetric& FamilySink::NewSample(Metric metric, Labels labels) {
  prometheus::ClientMetric& sample = families_[static_cast<size_t>(metric)].metric.emplace_back();
  std::string_view names = DefinitionOf(metric).labels;
  for (const std::string_view value : labels) {
    const std::string_view name = NextName(&names);
    sample.label.push_back({.name = std::string(name), .value = std::string(value)});
  }
  return sample;
}

void FamilySink::Add(Metric metric, Labels labels, double value) {
  prometheus::ClientMetric& sample = NewSample(metric, labels);
  (DefinitionOf(metric).type == Type::kCounter ? sample.counter.value : sample.gauge.value) = value;
}

void FamilySink::Add(Metric metric, Labels labels, const HistogramSum& histogram) {
  prometheus::ClientMetric& sample = NewSample(metric, labels);
  sample.histogram.sample_count = histogram.count;
  sample.histogram.sample_sum = static_cast<double>(histogram.sum_ns) / 1e9;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < kDurationBoundsNs.size(); ++i) {
    cumulative += histogram.buckets[i];
    sample.histogram.bucket.push_back(
        {.cumulative_count = cumulative,
         .upper_bound = static_cast<double>(kDurationBoundsNs[i]) / 1e9});
  }
}

// --- text
// ------------------------------------------------------------------------------------------------

void TextSink::Add(Metric metric, Labels labels, double value) {
  const Definition& definition = DefinitionOf(metric);
  std::string& out = samples_[static_cast<size_t>(metric)];
  out.append(definition.name);
  std::string_view names = definition.labels;
  char before = '{';
  for (const std::string_view label : labels) {
    out.push_back(std::exchange(before, ','));
    out.append(NextName(&names));
    out.append("=\"");
    AppendEscaped(label, &out);
    out.push_back('"');
  }
  out.append(before == '{' ? " " : "} ");
  AppendNumber(value, &out);
  out.push_back('\n');
}

void TextSink::Add(Metric metric, Labels labels, const HistogramSum& histogram) {
  const Definition& definition = DefinitionOf(metric);
  std::string& out = samples_[static_cast<size_t>(metric)];
  labels_.clear();
  std::string_view names = definition.labels;
  for (const std::string_view label : labels) {
    if (!labels_.empty()) labels_.push_back(',');
    labels_.append(NextName(&names));
    labels_.append("=\"");
    AppendEscaped(label, &labels_);
    labels_.push_back('"');
  }
  const auto part = [&](std::string_view suffix) {
    out.append(definition.name);
    out.append(suffix);
    if (!labels_.empty()) out.append("{").append(labels_).append("}");
    out.push_back(' ');
  };
  part("_count");
  AppendNumber(histogram.count, &out);
  out.push_back('\n');
  part("_sum");
  AppendNumber(static_cast<double>(histogram.sum_ns) / 1e9, &out);
  out.push_back('\n');
  const std::string_view comma = labels_.empty() ? "" : ",";
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= kDurationBoundsNs.size(); ++i) {
    const bool last = i == kDurationBoundsNs.size();
    cumulative += histogram.buckets[i];
    out.append(definition.name).append("_bucket{").append(labels_).append(comma);
    out.append("le=\"").append(last ? std::string_view("+Inf") : BoundTexts()[i]).append("\"} ");
    AppendNumber(cumulative, &out);
    out.push_back('\n');
  }
}

void TextSink::Clear() {
  for (std::string& samples : samples_) samples.clear();
}

void TextSink::WriteTo(std::string* out) const {
  std::string& text = *out;
  size_t size = 0;
  for (const std::string& samples : samples_) size += samples.size();
  text.clear();
  text.reserve(size + kDefinitions.size() * 256);
  for (size_t i = 0; i < kDefinitions.size(); ++i) {
    const Definition& definition = kDefinitions[i];
    text.append("# HELP ").append(definition.name).append(" ").append(definition.help);
    text.append("\n# TYPE ").append(definition.name).append(" ");
    text.append(TypeName(definition.type)).append("\n").append(samples_[i]);
  }
}

}  // namespace bulkhead::metrics
