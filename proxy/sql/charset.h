// How a client charset changes the way the server splits bytes into tokens.
//
// Purpose: in gbk, sjis, cp932, big5 and gb18030 the second byte of a character can be a backslash,
//   a backtick or a letter, so a lexer that reads bytes sees escapes and quotes where the server
//   sees none. In latin1 and its kin a byte above 0x7F is white space. Names of charsets, as SET
//   NAMES takes them, are mapped to what the lexer must know.
// Thread: any. Errors: a name not known here is kNotTrusted, and then texts with high bytes are
//   analyzed carefully.
// Sources: character set tables of the servers (strings/ctype-*.c, share/charsets/*.xml), checked
//   byte by byte against MariaDB 10.11 (white space, comment starts, identifier bytes); MySQL
//   manual, "The gb18030 character set".
#ifndef BULKHEAD_PROXY_SQL_CHARSET_H_
#define BULKHEAD_PROXY_SQL_CHARSET_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "proxy/sql/statement.h"

namespace bulkhead::sql {

enum class CharsetLexing : uint8_t {
  kPlain = 0,    // utf8mb4, ascii, koi8r, ujis, ...: high bytes are letters, nothing else
  kHighSpaceA0,  // latin1, latin2, greek, ...: 0xA0 is white space
  kHighSpaceFf,  // cp852, cp866, keybcs2: 0xFF is white space
  kGbk,
  kSjis,  // cp932 too
  kBig5,
  kGb18030,
  kNotTrusted,  // high bytes with unclear meaning (hp8, macroman, swe7, unknown names)
};

// Of a charset name as SET NAMES or a handshake's collation gives it, any case; a collation's name
// (latin1_swedish_ci) works too.
[[nodiscard]] CharsetLexing LexingOf(std::string_view charset);

// Fills charset_id_hint and multibyte_backslash.
void SetClientCharset(std::string_view charset, LexerMode* mode);

// Bytes of the multi-byte character at `text[at]`, 1 if there is none (as the servers' ismbchar: a
// lead byte without a valid trail byte counts as a character of its own).
[[nodiscard]] size_t CharacterLength(CharsetLexing lexing, std::string_view text, size_t at);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_CHARSET_H_
