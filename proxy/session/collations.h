// Collation ids of handshakes, and what is special about some character sets.
//
// Purpose: turn the collation id that a client logged in with into `SET NAMES cs COLLATE co` for a
// connection that was opened with another one.
// Thread: any; constants and pure functions. Limits: ids 1 to 255, all that fit into a handshake.
// Sources: information_schema.COLLATIONS of MariaDB 10.11; of MySQL the list in mysys
// (charset-def.cc) and strings/ctype-*.cc of 8.4 and 9; escape_with_backslash_is_dangerous in
// strings/ctype-*.cc; "Impermissible Client Character Sets" of both manuals.
#ifndef BULKHEAD_PROXY_SESSION_COLLATIONS_H_
#define BULKHEAD_PROXY_SESSION_COLLATIONS_H_

#include <cstdint>
#include <string_view>

#include "proxy/session/login.h"

namespace bulkhead::session {

struct Collation {
  uint16_t id = 0;
  std::string_view charset;
  std::string_view name;
  bool is_default = false;  // of its character set
};

// nullptr: the family's servers do not know the id.
[[nodiscard]] const Collation* FindCollation(ServerFamily family, uint32_t id);
// By name, lower case. nullptr: not known.
[[nodiscard]] const Collation* FindCollation(ServerFamily family, std::string_view name);

// ucs2, utf16, utf16le and utf32 can't be a client's: servers then use their default or refuse.
[[nodiscard]] bool UsableAsClientCharset(std::string_view charset);

// A character's last byte may be 0x5C, a backslash: big5, cp932, gb18030, gbk, sjis. Lower case.
[[nodiscard]] bool DangerousMultibyte(std::string_view charset);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_COLLATIONS_H_
