// SpaceSaving: the keys that occur most often in a stream, with a fixed number of places.
//
// Purpose: which tenants are busiest, out of a million, without counting a million. The algorithm
// is Space-Saving (Metwally, Agrawal, El Abbadi, "Efficient Computation of Frequent and Top-k
// Elements in Data Streams", ICDT 2005): a key without a place takes the place of the one with the
// smallest weight and inherits that weight as its possible error. So every key whose share is above
// 1/places has a place, and weight - error <= true weight <= weight.
// Halve() makes it forget: with a halving now and then "most often" means "lately".
// Pure. Owner: one thread. Cost: a hash lookup and O(log places) for Add; nothing of the heap for a
// key that is there. Limits: `places` keys; 0: none, Add must not be called.
#ifndef BULKHEAD_METRICS_SPACE_SAVING_H_
#define BULKHEAD_METRICS_SPACE_SAVING_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace bulkhead::metrics {

template <typename Payload>
class SpaceSaving {
 public:
  struct Entry {
    std::string key{};
    uint64_t weight = 0;
    uint64_t error = 0;  // of weight: what may be of keys that had the place before
    Payload payload{};   // made anew with each key
    size_t at = 0;       // in the heap
  };

  explicit SpaceSaving(size_t places) : places_(places) {
    entries_.reserve(places);
    heap_.reserve(places);
  }
  SpaceSaving(const SpaceSaving&) = delete;
  SpaceSaving& operator=(const SpaceSaving&) = delete;

  // A place that was this key's the last time, or anything: makes the lookup a comparison.
  using Hint = uint32_t;

  Entry& Add(std::string_view key, uint64_t weight, Hint* hint) {
    Entry& entry =
        *hint < entries_.size() && entries_[*hint].key == key ? entries_[*hint] : Find(key, hint);
    entry.weight += weight;
    SiftDown(entry.at);
    return entry;
  }

  // Everything that was seen until now counts half.
  void Halve() {
    for (Entry& entry : entries_) {
      entry.weight /= 2;
      entry.error /= 2;
    }
  }

  // In no particular order. Keys that were forgotten down to nothing are among them.
  [[nodiscard]] std::vector<Entry>& entries() { return entries_; }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] size_t places() const { return places_; }

 private:
  Entry& Find(std::string_view key, Hint* hint) {
    if (const auto it = index_.find(key); it != index_.end()) {
      *hint = it->second;
      return entries_[it->second];
    }
    if (entries_.size() < places_) {
      *hint = static_cast<Hint>(entries_.size());
      entries_.push_back({.key = std::string(key), .at = heap_.size()});
      heap_.push_back(*hint);
      SiftUp(heap_.size() - 1);
    } else {
      *hint = heap_.front();
      Entry& smallest = entries_[*hint];
      index_.erase(smallest.key);
      smallest.key = key;
      smallest.error = smallest.weight;
      smallest.payload = Payload{};
    }
    Entry& entry = entries_[*hint];
    index_.emplace(entry.key, *hint);  // the view lives as long as the key has the place
    return entry;
  }

  [[nodiscard]] uint64_t WeightAt(size_t at) const { return entries_[heap_[at]].weight; }
  void Swap(size_t a, size_t b) {
    std::swap(heap_[a], heap_[b]);
    entries_[heap_[a]].at = a;
    entries_[heap_[b]].at = b;
  }
  void SiftUp(size_t at) {
    while (at > 0 && WeightAt(at) < WeightAt((at - 1) / 2)) {
      Swap(at, (at - 1) / 2);
      at = (at - 1) / 2;
    }
  }
  void SiftDown(size_t at) {
    while (true) {
      size_t least = at;
      for (const size_t child : {2 * at + 1, 2 * at + 2}) {
        if (child < heap_.size() && WeightAt(child) < WeightAt(least)) least = child;
      }
      if (least == at) return;
      Swap(at, least);
      at = least;
    }
  }

  const size_t places_;
  std::vector<Entry> entries_;  // never moves: reserved whole
  std::vector<Hint> heap_;      // the smallest weight first
  std::unordered_map<std::string_view, Hint> index_;
};

}  // namespace bulkhead::metrics

#endif  // BULKHEAD_METRICS_SPACE_SAVING_H_
