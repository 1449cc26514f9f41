// Where the samples of one scrape go, family by family.
//
// Purpose: the registry adds samples in the order of shards and backends; a sink keeps them by
// family. FamilySink makes prometheus-cpp's families, for whoever wants values; TextSink writes the
// exposition format at once, which is what makes a scrape of a large fleet cheap.
// Thread: one scrape's. Labels are given as values only, in the order of the definition's names.
// Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
#ifndef BULKHEAD_METRICS_SINK_H_
#define BULKHEAD_METRICS_SINK_H_

#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/cell.h"
#include "metrics/list.h"

namespace bulkhead::metrics {

struct HistogramSum {
  std::array<uint64_t, Histogram::kBuckets> buckets{};  // not cumulative
  uint64_t sum_ns = 0;
  uint64_t count = 0;

  void Add(const Histogram& histogram) {
    for (size_t i = 0; i < buckets.size(); ++i) {
      const uint64_t n = histogram.ReadBucket(i);
      buckets[i] += n;
      count += n;
    }
    sum_ns += histogram.ReadSumNs();
  }
};

class Sink {
 public:
  using Labels = std::initializer_list<std::string_view>;

  virtual ~Sink() = default;
  virtual void Add(Metric metric, Labels labels, double value) = 0;
  virtual void Add(Metric metric, Labels labels, const HistogramSum& histogram) = 0;

  void Add(Metric metric, const std::optional<double>& value) {
    if (value.has_value()) Add(metric, Labels{}, *value);
  }
};

class FamilySink final : public Sink {
 public:
  FamilySink();
  using Sink::Add;
  void Add(Metric metric, Labels labels, double value) override;
  void Add(Metric metric, Labels labels, const HistogramSum& histogram) override;
  // One family per row of kDefinitions, in that order.
  [[nodiscard]] std::vector<prometheus::MetricFamily> Take() && { return std::move(families_); }

 private:
  prometheus::ClientMetric& NewSample(Metric metric, Labels labels);

  std::vector<prometheus::MetricFamily> families_;
};

class TextSink final : public Sink {
 public:
  using Sink::Add;
  void Add(Metric metric, Labels labels, double value) override;
  void Add(Metric metric, Labels labels, const HistogramSum& histogram) override;
  // Families without a sample have their HELP and TYPE all the same.
  void WriteTo(std::string* text) const;
  // For the next scrape; keeps the memory, which costs more to get than to fill.
  void Clear();

 private:
  std::array<std::string, static_cast<size_t>(Metric::kCount)> samples_;
  std::string labels_;  // of the sample under way
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_SINK_H_
