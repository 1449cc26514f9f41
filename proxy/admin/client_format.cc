#include "proxy/admin/client_format.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace bulkhead::admin {

namespace {

constexpr size_t kNarrowest = 12;  // a column that is wrapped is at least that wide

// One character of UTF-8: its bytes, and how wide a terminal shows it. What is no UTF-8 is taken
// byte by byte.
struct Character {
  size_t bytes = 1;
  size_t width = 1;
};

uint32_t CodeOf(std::string_view text, size_t bytes) {
  const auto byte = [&](size_t i) {
    return static_cast<uint32_t>(static_cast<unsigned char>(text[i]));
  };
  if (bytes == 1) return byte(0);
  uint32_t code = byte(0) & (0x7Fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) code = code << 6 | (byte(i) & 0x3F);
  return code;
}

// East Asian wide characters and pictures (Unicode's EastAsianWidth.txt, in large steps), and
// combining ones.
size_t WidthOf(uint32_t code) {
  if (code >= 0x300 && code <= 0x36F) return 0;
  const bool wide = (code >= 0x1100 && code <= 0x115F) || (code >= 0x2E80 && code <= 0xA4CF) ||
                    (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
                    (code >= 0xFE30 && code <= 0xFE6F) || (code >= 0xFF00 && code <= 0xFF60) ||
                    (code >= 0x1F300 && code <= 0x1FAFF) || (code >= 0x20000 && code <= 0x3FFFD);
  return wide ? 2 : 1;
}

Character NextCharacter(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t bytes = first < 0xC0 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (bytes == 1 || text.size() < bytes) return {};
  for (size_t i = 1; i < bytes; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return {};
  }
  return {bytes, WidthOf(CodeOf(text, bytes))};
}

// A terminal obeys control characters: they are shown as spaces.
std::string Printable(std::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if ((static_cast<unsigned char>(c) < ' ' && c != '\n') || c == '\x7f') c = ' ';
  }
  return printable;
}

std::string CellText(const std::optional<std::string>& cell) {
  return cell.has_value() ? Printable(*cell) : "NULL";
}

// The lines of a text in a column of this width: broken at spaces where there are some.
std::vector<std::string> Wrapped(std::string_view text, size_t width) {
  std::vector<std::string> lines;
  while (true) {
    size_t at = 0, used = 0, space = std::string_view::npos;
    while (at < text.size() && text[at] != '\n') {
      const Character character = NextCharacter(text.substr(at));
      if (used + character.width > width) break;
      if (text[at] == ' ') space = at;
      used += character.width;
      at += character.bytes;
    }
    const bool whole = at == text.size() || text[at] == '\n';
    if (!whole && text[at] != ' ' && space != std::string_view::npos && space > 0) at = space;
    if (at == 0 && !whole) at = NextCharacter(text).bytes;  // wider than the column
    lines.emplace_back(text.substr(0, at));
    if (at == text.size()) return lines;
    text.remove_prefix(text[at] == ' ' || text[at] == '\n' ? at + 1 : at);
  }
}

size_t LongestLine(std::string_view text) {
  size_t longest = 0;
  for (const std::string& line : Wrapped(text, SIZE_MAX / 2))
    longest = std::max(longest, DisplayWidth(line));
  return longest;
}

std::vector<size_t> NaturalWidths(const LinkResult& result) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < result.columns.size(); ++i) {
    size_t width = DisplayWidth(result.columns[i].name);
    for (const auto& row : result.rows) width = std::max(width, LongestLine(CellText(row[i])));
    widths.push_back(width);
  }
  return widths;
}

// Takes the widest text column down until the table fits. False: it can't.
bool Shrink(const LinkResult& result, size_t width, std::vector<size_t>* widths) {
  const auto least = [&](size_t i) {
    return result.columns[i].is_number ? (*widths)[i]
                                       : std::max(kNarrowest, DisplayWidth(result.columns[i].name));
  };
  for (size_t i = 0; i < widths->size(); ++i) {
    if (!result.columns[i].is_number)
      (*widths)[i] = std::min((*widths)[i], std::max(width, least(i)));
  }
  size_t total = 1;
  for (const size_t one : *widths) total += one + 3;
  for (; total > width; --total) {
    size_t widest = widths->size();
    for (size_t i = 0; i < widths->size(); ++i) {
      if ((*widths)[i] <= least(i)) continue;
      if (widest == widths->size() || (*widths)[i] > (*widths)[widest]) widest = i;
    }
    if (widest == widths->size()) return false;
    --(*widths)[widest];
  }
  return true;
}

// HELP of one statement: its columns are those that the mysql client wants.
bool IsHelp(const LinkResult& result) {
  return result.rows.size() == 1 && result.columns.size() == 3 &&
         result.columns[0].name == "name" && result.columns[1].name == "description" &&
         result.columns[2].name == "example";
}
std::string FormatHelp(const std::vector<std::optional<std::string>>& row) {
  std::string text = row[0].value_or("") + "\n\n" + row[1].value_or("");
  while (text.ends_with('\n')) text.pop_back();
  return text + "\n\nExample:\n" + row[2].value_or("") + "\n";
}

class TableWriter {
 public:
  TableWriter(const LinkResult& result, std::vector<size_t> widths)
      : result_(result), widths_(std::move(widths)) {}

  std::string Write() {
    Rule();
    std::vector<std::string> names;
    for (const LinkResult::ResultColumn& column : result_.columns) names.push_back(column.name);
    Row(names, true);
    Rule();
    for (const auto& row : result_.rows) {
      std::vector<std::string> cells;
      for (const auto& cell : row) cells.push_back(CellText(cell));
      Row(cells, false);
    }
    if (!result_.rows.empty()) Rule();
    return std::move(out_);
  }

 private:
  void Rule() {
    out_ += '+';
    for (const size_t width : widths_) out_ += std::string(width + 2, '-') + '+';
    out_ += '\n';
  }
  void Row(const std::vector<std::string>& cells, bool is_head) {
    std::vector<std::vector<std::string>> lines;
    size_t height = 1;
    for (size_t i = 0; i < cells.size(); ++i) {
      lines.push_back(Wrapped(cells[i], widths_[i]));
      height = std::max(height, lines.back().size());
    }
    for (size_t line = 0; line < height; ++line) {
      out_ += '|';
      for (size_t i = 0; i < cells.size(); ++i) {
        const std::string text = line < lines[i].size() ? lines[i][line] : std::string();
        const std::string fill(widths_[i] - std::min(widths_[i], DisplayWidth(text)), ' ');
        const bool right = result_.columns[i].is_number && !is_head;
        out_ += right ? ' ' + fill + text + " |" : ' ' + text + fill + " |";
      }
      out_ += '\n';
    }
  }

  const LinkResult& result_;
  const std::vector<size_t> widths_;
  std::string out_;
};

std::string JsonText(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < ' ') {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      json += code;
    } else {
      json += c;
    }
  }
  return json + "\"";
}

std::string JsonWarnings(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return {};
  std::string json = ",\"warnings\":[";
  for (size_t i = 0; i < warnings.size(); ++i) json += (i > 0 ? "," : "") + JsonText(warnings[i]);
  return json + "]";
}

}  // namespace

size_t DisplayWidth(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) {
    const Character character = NextCharacter(text.substr(at));
    width += character.width;
    at += character.bytes;
  }
  return width;
}

std::string FormatTable(const LinkResult& result, size_t width) {
  if (result.rows.empty()) return "(no rows)\n";
  if (IsHelp(result)) return FormatHelp(result.rows.front());
  std::vector<size_t> widths = NaturalWidths(result);
  if (width > 0 && !Shrink(result, width, &widths)) return FormatVertical(result);
  return TableWriter(result, std::move(widths)).Write();
}

std::string FormatVertical(const LinkResult& result) {
  if (result.rows.empty()) return "(no rows)\n";
  size_t widest = 0;
  for (const LinkResult::ResultColumn& column : result.columns)
    widest = std::max(widest, DisplayWidth(column.name));
  std::string out;
  for (size_t row = 0; row < result.rows.size(); ++row) {
    out += "*** row " + std::to_string(row + 1) + " ***\n";
    for (size_t i = 0; i < result.columns.size(); ++i) {
      const std::string& name = result.columns[i].name;
      out += std::string(widest - DisplayWidth(name), ' ') + name + ": " +
             CellText(result.rows[row][i]) + '\n';
    }
  }
  return out;
}

std::string FormatTabs(const LinkResult& result) {
  const auto escaped = [](const std::string& text) {
    std::string out;
    for (const char c : text) {
      switch (c) {
        case '\t':
          out += "\\t";
          break;
        case '\n':
          out += "\\n";
          break;
        case '\\':
          out += "\\\\";
          break;
        case '\0':
          out += "\\0";
          break;
        default:
          out += c;
      }
    }
    return out;
  };
  std::string out;
  for (size_t i = 0; i < result.columns.size(); ++i)
    out += (i > 0 ? "\t" : "") + escaped(result.columns[i].name);
  out += '\n';
  for (const auto& row : result.rows) {
    for (size_t i = 0; i < row.size(); ++i)
      out += (i > 0 ? "\t" : "") + (row[i].has_value() ? escaped(*row[i]) : "NULL");
    out += '\n';
  }
  return out;
}

std::string FormatJson(const LinkResult& result, const std::vector<std::string>& warnings) {
  if (result.columns.empty())
    return "{\"message\":" + JsonText(result.message) + JsonWarnings(warnings) + "}\n";
  std::string json = "{\"rows\":[";
  for (size_t row = 0; row < result.rows.size(); ++row) {
    json += row > 0 ? ",{" : "{";
    for (size_t i = 0; i < result.columns.size(); ++i) {
      const std::optional<std::string>& cell = result.rows[row][i];
      json += (i > 0 ? "," : "") + JsonText(result.columns[i].name) + ":";
      if (!cell.has_value()) {
        json += "null";
      } else {
        json += result.columns[i].is_number ? *cell : JsonText(*cell);
      }
    }
    json += "}";
  }
  return json + "]" + JsonWarnings(warnings) + "}\n";
}

std::string FormatJsonError(const LinkError& error, const std::vector<std::string>& warnings) {
  return "{\"error\":{\"code\":" + std::to_string(error.code) +
         ",\"sqlstate\":" + JsonText(error.state) + ",\"message\":" + JsonText(error.message) +
         "}" + JsonWarnings(warnings) + "}\n";
}

}  // namespace bulkhead::admin
