// `bulkhead top`: the fleet as lines of a terminal.
//
// Purpose: from the JSON of /api/v1/fleet to what is seen; the worst first. Pure: the terminal is
// top_terminal.h's. Thread: any. Limits: `width` columns, `height` lines; 0: as many as it takes.
// Errors: fields that are missing are shown as empty.
#ifndef BULKHEAD_PROXY_HTTP_TOP_VIEW_H_
#define BULKHEAD_PROXY_HTTP_TOP_VIEW_H_

#include <cstddef>
#include <string>
#include <vector>

#include "proxy/http/json.h"

namespace bulkhead::http {

struct TopShape {
  size_t width = 100;
  size_t height = 0;
  size_t first = 0;  // of the rows that scroll
  bool colour = false;
};

struct TopLines {
  std::vector<std::string> lines;
  size_t rows = 0;   // that scroll
  size_t shown = 0;  // of them
};

[[nodiscard]] TopLines RenderTop(const Json& fleet, const TopShape& shape);

// Every shard says that it is served.
[[nodiscard]] bool AllServed(const Json& fleet);

// How many columns a text takes: characters, not bytes.
[[nodiscard]] size_t Columns(std::string_view text);

}  // namespace bulkhead::http

#endif  // BULKHEAD_PROXY_HTTP_TOP_VIEW_H_
