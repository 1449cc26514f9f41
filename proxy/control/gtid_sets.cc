#include "proxy/control/gtid_sets.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_cat.h"

namespace bulkhead::control {

namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Takes the part up to `separator` off the front.
std::string_view TakePart(std::string_view* text, char separator) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view part = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return Trimmed(part);
}

template <typename Number>
bool ParseNumber(std::string_view text, Number* number) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), *number);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool IsUuid(std::string_view text) {
  constexpr size_t kLength = 36;
  return text.size() == kLength && std::all_of(text.begin(), text.end(), [](char c) {
           return c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
                  (c >= 'A' && c <= 'F');
         });
}

std::string Gtid(const std::pair<uint32_t, uint32_t>& source, uint64_t sequence) {
  return absl::StrCat(source.first, "-", source.second, "-", sequence);
}

}  // namespace

std::optional<GtidSet> GtidSet::Parse(std::string_view text) {
  GtidSet set;
  while (!text.empty()) {
    const std::string_view entry = TakePart(&text, ',');
    if (!entry.empty() && !set.AddEntry(entry)) return std::nullopt;
  }
  return set;
}

bool GtidSet::AddEntry(std::string_view entry) {
  const std::string_view uuid = TakePart(&entry, ':');
  if (!IsUuid(uuid) || entry.empty()) return false;
  std::string source = Lower(uuid);
  while (!entry.empty()) {
    const std::string_view part = TakePart(&entry, ':');
    if (part.empty()) return false;
    if (part.front() < '0' || part.front() > '9') {
      source = Lower(uuid) + ":" + Lower(part);  // what follows has this tag
      continue;
    }
    std::string_view rest = part;
    const std::string_view low = TakePart(&rest, '-');
    uint64_t first = 0;
    uint64_t last = 0;
    if (!ParseNumber(low, &first) || first == 0) return false;
    last = first;
    if (!rest.empty() && !ParseNumber(Trimmed(rest), &last)) return false;
    constexpr uint64_t kHighest = uint64_t{1} << 63;
    if (first >= kHighest || last >= kHighest) return false;
    if (last >= first) Insert(source, first, last);
  }
  return true;
}

void GtidSet::Insert(const std::string& source, uint64_t first, uint64_t last) {
  Intervals& intervals = intervals_[source];
  intervals.emplace_back(first, last);
  std::sort(intervals.begin(), intervals.end());
  Intervals merged;
  for (const auto& [low, high] : intervals) {
    if (!merged.empty() && low <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, high);
    } else {
      merged.emplace_back(low, high);
    }
  }
  intervals = std::move(merged);
}

void GtidSet::Add(const GtidSet& other) {
  for (const auto& [source, intervals] : other.intervals_) {
    for (const auto& [first, last] : intervals) Insert(source, first, last);
  }
}

GtidSet GtidSet::Minus(const GtidSet& other) const {
  GtidSet rest;
  for (const auto& [source, intervals] : intervals_) {
    auto it = other.intervals_.find(source);
    const Intervals none;
    const Intervals& taken = it == other.intervals_.end() ? none : it->second;
    for (auto [first, last] : intervals) {
      for (const auto& [low, high] : taken) {
        if (high < first || low > last) continue;
        if (low > first) rest.Insert(source, first, low - 1);
        first = high + 1;
        if (first > last) break;
      }
      if (first <= last) rest.Insert(source, first, last);
    }
  }
  return rest;
}

uint64_t GtidSet::count() const {
  uint64_t count = 0;
  for (const auto& [source, intervals] : intervals_) {
    for (const auto& [first, last] : intervals) count += last - first + 1;
  }
  return count;
}

std::string GtidSet::ToString() const {
  std::string text;
  for (const auto& [source, intervals] : intervals_) {
    if (!text.empty()) text += ",";
    text += source;
    for (const auto& [first, last] : intervals) {
      absl::StrAppend(&text, ":", first);
      if (last != first) absl::StrAppend(&text, "-", last);
    }
  }
  return text;
}

std::optional<MariadbGtids> ParseMariadbGtids(std::string_view text) {
  MariadbGtids gtids;
  while (!text.empty()) {
    std::string_view entry = TakePart(&text, ',');
    if (entry.empty()) continue;
    std::pair<uint32_t, uint32_t> source;
    uint64_t sequence = 0;
    if (!ParseNumber(TakePart(&entry, '-'), &source.first) ||
        !ParseNumber(TakePart(&entry, '-'), &source.second) || !ParseNumber(entry, &sequence))
      return std::nullopt;
    uint64_t& last = gtids[source];
    last = std::max(last, sequence);
  }
  return gtids;
}

std::map<uint32_t, uint64_t> DomainPositions(const MariadbGtids& gtids) {
  std::map<uint32_t, uint64_t> positions;
  for (const auto& [source, sequence] : gtids) {
    uint64_t& last = positions[source.first];
    last = std::max(last, sequence);
  }
  return positions;
}

std::vector<std::string> MissingIn(const MariadbGtids& some, const MariadbGtids& others) {
  std::vector<std::string> missing;
  for (const auto& [source, sequence] : some) {
    auto it = others.find(source);
    const uint64_t has = it == others.end() ? 0 : it->second;
    if (has >= sequence) continue;
    missing.push_back(sequence == has + 1
                          ? Gtid(source, sequence)
                          : Gtid(source, has + 1) + " to " + Gtid(source, sequence));
  }
  return missing;
}

std::vector<std::string> AheadOf(const MariadbGtids& some, const MariadbGtids& others) {
  const std::map<uint32_t, uint64_t> has = DomainPositions(others);
  std::vector<std::string> ahead;
  for (const auto& [source, sequence] : some) {
    auto it = has.find(source.first);
    const uint64_t at = it == has.end() ? 0 : it->second;
    if (sequence > at)
      ahead.push_back(
          absl::StrCat(Gtid(source, sequence), " (domain ", source.first, " is at ", at, ")"));
  }
  return ahead;
}

}  // namespace bulkhead::control
