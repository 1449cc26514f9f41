#include "proxy/http/top_view.h"

#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_join.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>
#include <utility>

#include "proxy/http/incident_report.h"

namespace bulkhead::http {

namespace {

struct Word {
  std::string_view state;
  std::string_view word;
  char sign;  // in front of the line: no state is told by colour alone
  int rank;
};
constexpr Word kShardWords[] = {
    {"rejected", "refusing", '!', 0},     {"held", "held", '!', 1},
    {"reads_only", "reads only", '!', 2}, {"shedding", "shedding", '~', 3},
    {"releasing", "releasing", '~', 4},   {"serving", "served", ' ', 5}};
constexpr Word kBackendWords[] = {{"down", "down", '!', 0},
                                  {"fenced", "fenced", '!', 1},
                                  {"write_stalled", "writes stall", '!', 2},
                                  {"suspect", "suspect", '~', 3},
                                  {"recovering", "recovering", '~', 4},
                                  {"read_only", "read only", '~', 5},
                                  {"saturated", "saturated", '~', 6},
                                  {"unknown", "not known", '~', 7},
                                  {"up", "up", ' ', 8}};

// A state's own word where none is known.
struct Shown {
  std::string word;
  char sign;
  int rank;
};
template <size_t kSize>
Shown WordOf(const Word (&words)[kSize], const std::string& state) {
  for (const Word& word : words) {
    if (word.state == state) return {std::string(word.word), word.sign, word.rank};
  }
  return {state, '?', 3};
}

std::string Text(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}
double Number(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<double>() : 0;
}
const Json& Part(const Json& object, const char* key) {
  static const Json nothing = Json::object();
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}
std::vector<const Json*> Rows(const Json& fleet, const char* key) {
  std::vector<const Json*> rows;
  for (const Json& row : Part(fleet, key)) {
    if (row.is_object()) rows.push_back(&row);
  }
  return rows;
}

std::string Short(double number) {
  if (number >= 1e6) return absl::StrFormat("%.1fM", number / 1e6);
  if (number >= 1e4) return absl::StrFormat("%.1fk", number / 1e3);
  if (number > 0 && number < 10 && number != std::floor(number))
    return absl::StrFormat("%.1f", number);
  return absl::StrFormat("%.0f", number);
}

std::string Milliseconds(double ms) {
  if (ms <= 0) return "-";
  return ms < 1000 ? absl::StrFormat("%.1fms", ms) : absl::StrFormat("%.1fs", ms / 1000);
}

std::string Clock(double ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return absl::StrFormat("%02d:%02d:%02dZ", utc.tm_hour, utc.tm_min, utc.tm_sec);
}

// To that many columns; with a dot at the end where something is cut off.
std::string Fit(std::string_view text, size_t width) {
  std::string fit;
  size_t columns = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if ((byte & 0xC0) != 0x80) {
      if (columns == width) break;
      ++columns;
    }
    fit.push_back(byte < 0x20 || byte == 0x7f ? ' ' : text[i]);  // no escape sequences from names
  }
  if (fit.size() < text.size() && width > 0) {
    while (!fit.empty() && (static_cast<uint8_t>(fit.back()) & 0xC0) == 0x80) fit.pop_back();
    if (!fit.empty()) fit.back() = '.';
  }
  return fit;
}

class Painter {
 public:
  explicit Painter(const TopShape& shape) : shape_(shape) {}

  std::string Paint(std::string text, char sign) const {
    if (!shape_.colour || sign == ' ') return text;
    return absl::StrCat(sign == '!'   ? "\x1b[1;31m"
                        : sign == '#' ? "\x1b[1m"
                                      : "\x1b[33m",
                        text, "\x1b[0m");
  }

 private:
  const TopShape& shape_;
};

struct Column {
  std::string_view title;
  size_t width;
  bool right = false;
  size_t from = 0;  // shown on terminals at least that wide
};

// Columns as they stand, the last one as wide as there is room.
std::string Line(const std::vector<Column>& columns, const std::vector<std::string>& cells,
                 size_t width) {
  std::string line;
  for (size_t i = 0; i < columns.size(); ++i) {
    if (width < columns[i].from) continue;
    const size_t used = Columns(line);
    const bool last = i + 1 == columns.size();
    const size_t room = last ? (width > used ? width - used : 0) : columns[i].width;
    const std::string cell = Fit(cells[i], room);
    const std::string pad(room - std::min(room, Columns(cell)), ' ');
    if (last) {
      line += cell;
    } else {
      absl::StrAppend(&line, columns[i].right ? pad + cell : cell + pad, " ");
    }
  }
  return Fit(line, width);
}

std::vector<std::string> Titles(const std::vector<Column>& columns) {
  std::vector<std::string> titles;
  for (const Column& column : columns) titles.emplace_back(column.title);
  return titles;
}

std::string Since(const Json& row, double now_ms) {
  const double since = Number(row, "since_ms");
  return since <= 0 ? "" : SpanText(static_cast<int64_t>(std::max(now_ms - since, 0.0)));
}

std::string Verdict(const Json& fleet) {
  const Json& totals = Part(fleet, "totals");
  std::vector<std::string> troubled;
  for (const Json* shard : Rows(fleet, "shards")) {
    const std::string state = Text(*shard, "state");
    if (state == "serving") continue;
    troubled.push_back(absl::StrCat(Text(*shard, "name"), " is ", WordOf(kShardWords, state).word));
  }
  const double shards = Number(totals, "shards");
  if (troubled.empty()) return absl::StrFormat("All %.0f shards are served.", shards);
  const size_t count = troubled.size();
  if (count > 3) {
    troubled.resize(3);
    troubled.push_back(absl::StrCat(count - 3, " more"));
  }
  return absl::StrFormat("%d of %.0f shards: %s. Tenants affected: %s of %s.", count, shards,
                         absl::StrJoin(troubled, ", "), Short(Number(totals, "tenants_affected")),
                         Short(Number(totals, "tenants")));
}

struct Row {
  int rank;
  char sign;
  std::string name;
  std::string text;
};

void Sort(std::vector<Row>* rows) {
  std::sort(rows->begin(), rows->end(), [](const Row& a, const Row& b) {
    return std::tie(a.rank, a.name) < std::tie(b.rank, b.name);
  });
}

const std::vector<Column> kShardColumns = {{" ", 1},
                                           {"SHARD", 14},
                                           {"STATE", 10},
                                           {"FOR", 11, true, 60},
                                           {"SERVER", 14, false, 110},
                                           {"TENANTS", 7, true, 110},
                                           {"HELD", 6, true},
                                           {"/S", 7, true, 50},
                                           {"FAIL/S", 6, true, 90},
                                           {"P99", 8, true, 70},
                                           {"WHY", 0}};
const std::vector<Column> kBackendColumns = {{" ", 1},
                                             {"SERVER", 14},
                                             {"STATE", 12},
                                             {"FOR", 11, true, 60},
                                             {"CONNS", 9, true, 90},
                                             {"PRIMARY OF", 18, false, 80},
                                             {"EVIDENCE", 0}};

std::vector<Row> ShardRows(const Json& fleet, size_t width) {
  std::vector<Row> rows;
  for (const Json* shard : Rows(fleet, "shards")) {
    const Shown word = WordOf(kShardWords, Text(*shard, "state"));
    rows.push_back(
        {word.rank, word.sign, Text(*shard, "name"),
         Line(kShardColumns,
              {std::string(1, word.sign), Text(*shard, "name"), word.word,
               Since(*shard, Number(fleet, "now_ms")), Text(*shard, "primary"),
               Short(Number(*shard, "tenants")), Short(Number(*shard, "held")),
               Short(Number(*shard, "per_second")), Short(Number(*shard, "failed_per_second")),
               Milliseconds(Number(*shard, "p99_ms")), Text(*shard, "why")},
              width)});
  }
  Sort(&rows);
  return rows;
}

std::vector<Row> BackendRows(const Json& fleet, size_t width) {
  std::vector<Row> rows;
  for (const Json* backend : Rows(fleet, "backends")) {
    const Shown word = WordOf(kBackendWords, Text(*backend, "state"));
    std::vector<std::string> primary_of;
    for (const Json& shard : Part(*backend, "primary_of")) {
      if (shard.is_string()) primary_of.push_back(shard.get<std::string>());
    }
    rows.push_back({word.rank, word.sign, Text(*backend, "name"),
                    Line(kBackendColumns,
                         {std::string(1, word.sign), Text(*backend, "name"), word.word,
                          Since(*backend, Number(fleet, "now_ms")),
                          absl::StrCat(Short(Number(*backend, "connections")), "/",
                                       Short(Number(*backend, "connection_limit"))),
                          absl::StrJoin(primary_of, ","), Text(*backend, "why")},
                         width)});
  }
  Sort(&rows);
  return rows;
}

}  // namespace

size_t Columns(std::string_view text) {
  size_t columns = 0;
  for (const char c : text) columns += (static_cast<uint8_t>(c) & 0xC0) != 0x80 ? 1 : 0;
  return columns;
}

bool AllServed(const Json& fleet) {
  const std::vector<const Json*> shards = Rows(fleet, "shards");
  return std::all_of(shards.begin(), shards.end(),
                     [](const Json* shard) { return Text(*shard, "state") == "serving"; }) &&
         fleet.contains("shards") && shards.size() == fleet.at("shards").size();
}

TopLines RenderTop(const Json& fleet, const TopShape& shape) {
  const Painter painter(shape);
  const Json& totals = Part(fleet, "totals");
  const Json& router = Part(fleet, "router");
  TopLines result;
  const auto add = [&](const std::string& text, char sign) {
    result.lines.push_back(painter.Paint(Fit(text, shape.width), sign));
  };
  add(absl::StrCat("bulkhead ", Text(router, "version"), ", router ",
                   Text(router, "id").substr(0, 8), ", ", Clock(Number(fleet, "now_ms"))),
      '#');
  const bool all_served = Number(totals, "serving") == Number(totals, "shards");
  add(Verdict(fleet), all_served ? ' ' : '!');
  add(absl::StrCat("held ", Short(Number(totals, "held")), "   outcome unknown ",
                   Short(Number(totals, "unknown")), "   ", Short(Number(totals, "per_second")),
                   "/s   failed ", Short(Number(totals, "failed_per_second")), "/s   sessions ",
                   Short(Number(totals, "sessions")), "   servers up ", Short(Number(totals, "up")),
                   " of ", Short(Number(totals, "backends"))),
      ' ');
  std::vector<std::pair<std::string, char>> rows;
  const auto table = [&](const std::vector<Column>& columns, const std::vector<Row>& some) {
    rows.emplace_back("", ' ');
    rows.emplace_back(Line(columns, Titles(columns), shape.width), '#');
    for (const Row& row : some) rows.emplace_back(row.text, row.sign);
  };
  table(kShardColumns, ShardRows(fleet, shape.width));
  table(kBackendColumns, BackendRows(fleet, shape.width));
  result.rows = rows.size();
  const size_t room = shape.height == 0                    ? rows.size()
                      : shape.height > result.lines.size() ? shape.height - result.lines.size()
                                                           : 0;
  const size_t first = std::min(shape.first, rows.size());
  for (size_t i = first; i < rows.size() && result.shown < room; ++i, ++result.shown)
    result.lines.push_back(painter.Paint(rows[i].first, rows[i].second));
  return result;
}

}  // namespace bulkhead::http
