// The list of tables: names, columns, what they mean, which of them SHOW shows.
//
// Purpose: one list for the virtual tables, for SHOW, DESCRIBE and information_schema, and for
// docs/OPERATIONS.md, which holds TableTable() (a test compares).
// Thread: constants; any.
#ifndef BULKHEAD_PROXY_ADMIN_TABLES_H_
#define BULKHEAD_PROXY_ADMIN_TABLES_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "proxy/admin/live_state.h"

namespace bulkhead::admin {

using Value = std::variant<std::monostate, int64_t, double, std::string>;

enum class ColumnKind : uint8_t { kText, kNumber, kReal };

struct Column {
  std::string_view name;
  ColumnKind kind;
  bool shown;  // by SHOW
  std::string_view help;
  int most_shown = 0;  // characters that SHOW shows of it; 0: all. For texts that explain.
};

// Rows of one table at one moment. Lives no longer than the state.
class Rows {
 public:
  virtual ~Rows() = default;
  [[nodiscard]] virtual size_t size() const = 0;
  [[nodiscard]] virtual Value Cell(size_t row, size_t column) const = 0;
};

struct Table {
  std::string_view name;
  std::string_view help;
  std::vector<Column> columns;
  // `name`: only rows whose first column is this are wanted; more may come.
  std::function<std::unique_ptr<Rows>(const LiveState&, const std::optional<std::string>& name)>
      open;
};

[[nodiscard]] std::span<const Table> TableList();
[[nodiscard]] const Table* FindTable(std::string_view name);  // in lower case
[[nodiscard]] const std::vector<std::string_view>& TableNames();
// "name, state, held"; without `full` with long texts cut, so that a row fits 120 columns.
[[nodiscard]] std::string ShowColumns(const Table& table, bool full);
// Tables of columns for docs/OPERATIONS.md, in Markdown.
[[nodiscard]] std::string TableTable();

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_TABLES_H_
