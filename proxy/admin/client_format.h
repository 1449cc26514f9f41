// What the `bulkhead admin` client prints of an answer: a table that fits the terminal, rows below
// each other, tab-separated text, or JSON.
//
// Purpose: nothing of a result is cut: where a table would be too wide, long texts are wrapped
// within their columns, and where that is not enough, each row is printed below the other. Thread:
// any; pure. Units: columns of a terminal (UTF-8; wide characters count two).
#ifndef BULKHEAD_PROXY_ADMIN_CLIENT_FORMAT_H_
#define BULKHEAD_PROXY_ADMIN_CLIENT_FORMAT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/admin/client_link.h"

namespace bulkhead::admin {

// `width`: of the terminal; 0: as wide as it gets.
[[nodiscard]] std::string FormatTable(const LinkResult& result, size_t width);
// \G: a line for each cell.
[[nodiscard]] std::string FormatVertical(const LinkResult& result);
// A header line and the rows, cells separated by tabs; tabs, line ends and backslashes in cells are
// escaped as the mysql client does.
[[nodiscard]] std::string FormatTabs(const LinkResult& result);

// One JSON object on one line: {"rows": [{...}]} or {"message": "..."}; with warnings, if any.
[[nodiscard]] std::string FormatJson(const LinkResult& result,
                                     const std::vector<std::string>& warnings);
// {"error": {"code": ..., "sqlstate": "...", "message": "..."}}
[[nodiscard]] std::string FormatJsonError(const LinkError& error,
                                          const std::vector<std::string>& warnings);

// How many columns a text takes.
[[nodiscard]] size_t DisplayWidth(std::string_view text);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_CLIENT_FORMAT_H_
