// Signs of an SQL text that are neither in quotes nor in comments: where a statement ends, and
// where its placeholders are.
//
// Purpose: several statements in one text, and prepared statements. Quotes and comments end where
// the lexer (tokens.h) ends them; what is left open takes the rest of the text.
// Thread: any; pure. Units: byte offsets. Limits: linear in the text.
// Source: MySQL 8.0 Reference Manual, "String Literals", "Comments".
#ifndef BULKHEAD_PROXY_ADMIN_TEXT_SCAN_H_
#define BULKHEAD_PROXY_ADMIN_TEXT_SCAN_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::admin {

// Offset of the first semicolon at or after `from`; the text's size if there is none.
[[nodiscard]] size_t EndOfStatement(std::string_view text, size_t from);
// Nothing but white space, comments and semicolons.
[[nodiscard]] bool IsBlank(std::string_view text);

// Offsets of the question marks.
[[nodiscard]] std::vector<size_t> FindPlaceholders(std::string_view text);
// The text with the placeholders replaced, each by its literal. As many as there are placeholders.
[[nodiscard]] std::string FillPlaceholders(std::string_view text,
                                           const std::vector<size_t>& placeholders,
                                           const std::vector<std::string>& literals);

}  // namespace bulkhead::admin

#endif  // BULKHEAD_PROXY_ADMIN_TEXT_SCAN_H_
