#include "proxy/sql/charset.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>

#include <array>

namespace bulkhead::sql {
namespace {

struct NamedLexing {
  std::string_view name;
  CharsetLexing lexing;
};

// ucs2, utf16, utf16le and utf32 are missing: the servers refuse them as a client's charset.
constexpr std::array kCharsets = {
    NamedLexing{"armscii8", CharsetLexing::kHighSpaceA0},
    NamedLexing{"ascii", CharsetLexing::kPlain},
    NamedLexing{"big5", CharsetLexing::kBig5},
    NamedLexing{"binary", CharsetLexing::kPlain},
    NamedLexing{"cp1250", CharsetLexing::kHighSpaceA0},
    NamedLexing{"cp1251", CharsetLexing::kPlain},
    NamedLexing{"cp1256", CharsetLexing::kPlain},
    NamedLexing{"cp1257", CharsetLexing::kPlain},
    NamedLexing{"cp850", CharsetLexing::kPlain},
    NamedLexing{"cp852", CharsetLexing::kHighSpaceFf},
    NamedLexing{"cp866", CharsetLexing::kHighSpaceFf},
    NamedLexing{"cp932", CharsetLexing::kSjis},
    NamedLexing{"dec8", CharsetLexing::kHighSpaceA0},
    NamedLexing{"eucjpms", CharsetLexing::kPlain},
    NamedLexing{"euckr", CharsetLexing::kPlain},
    NamedLexing{"gb18030", CharsetLexing::kGb18030},
    NamedLexing{"gb2312", CharsetLexing::kPlain},
    NamedLexing{"gbk", CharsetLexing::kGbk},
    NamedLexing{"geostd8", CharsetLexing::kHighSpaceA0},
    NamedLexing{"greek", CharsetLexing::kHighSpaceA0},
    NamedLexing{"hebrew", CharsetLexing::kHighSpaceA0},
    NamedLexing{"hp8", CharsetLexing::kPlain},
    NamedLexing{"keybcs2", CharsetLexing::kHighSpaceFf},
    NamedLexing{"koi8r", CharsetLexing::kPlain},
    NamedLexing{"koi8u", CharsetLexing::kPlain},
    NamedLexing{"latin1", CharsetLexing::kHighSpaceA0},
    NamedLexing{"latin2", CharsetLexing::kHighSpaceA0},
    NamedLexing{"latin5", CharsetLexing::kHighSpaceA0},
    NamedLexing{"latin7", CharsetLexing::kHighSpaceA0},
    NamedLexing{"macce", CharsetLexing::kPlain},
    NamedLexing{"macroman", CharsetLexing::kPlain},
    NamedLexing{"sjis", CharsetLexing::kSjis},
    NamedLexing{"tis620", CharsetLexing::kPlain},
    NamedLexing{"ujis", CharsetLexing::kPlain},
    NamedLexing{"utf8", CharsetLexing::kPlain},
    NamedLexing{"utf8mb3", CharsetLexing::kPlain},
    NamedLexing{"utf8mb4", CharsetLexing::kPlain},
};

bool In(uint8_t byte, uint8_t first, uint8_t last) { return byte >= first && byte <= last; }

bool IsGbkTrail(uint8_t byte) { return In(byte, 0x40, 0x7E) || In(byte, 0x80, 0xFE); }

size_t Gb18030Length(std::string_view text, size_t at, uint8_t second) {
  if (IsGbkTrail(second)) return 2;
  if (!In(second, 0x30, 0x39) || at + 3 >= text.size()) return 1;
  const bool four = In(static_cast<uint8_t>(text[at + 2]), 0x81, 0xFE) &&
                    In(static_cast<uint8_t>(text[at + 3]), 0x30, 0x39);
  return four ? 4 : 1;
}

}  // namespace

CharsetLexing LexingOf(std::string_view charset) {
  const std::string_view base = charset.substr(0, charset.find('_'));
  for (const NamedLexing& known : kCharsets) {
    if (absl::EqualsIgnoreCase({base.data(), base.size()},
                               {known.name.data(), known.name.size()})) {
      return known.lexing;
    }
  }
  return CharsetLexing::kNotTrusted;
}

void SetClientCharset(std::string_view charset, LexerMode* mode) {
  const CharsetLexing lexing = LexingOf(charset);
  mode->charset_id_hint = static_cast<uint8_t>(lexing);
  mode->multibyte_backslash = lexing == CharsetLexing::kGbk || lexing == CharsetLexing::kSjis ||
                              lexing == CharsetLexing::kBig5 || lexing == CharsetLexing::kGb18030;
}

size_t CharacterLength(CharsetLexing lexing, std::string_view text, size_t at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80 || at + 1 >= text.size()) return 1;
  const auto trail = static_cast<uint8_t>(text[at + 1]);
  switch (lexing) {
    case CharsetLexing::kPlain:
    case CharsetLexing::kHighSpaceA0:
    case CharsetLexing::kHighSpaceFf:
    case CharsetLexing::kNotTrusted:
      return 1;
    case CharsetLexing::kGbk:
      return In(lead, 0x81, 0xFE) && IsGbkTrail(trail) ? 2 : 1;
    case CharsetLexing::kSjis:
      return (In(lead, 0x81, 0x9F) || In(lead, 0xE0, 0xFC)) &&
                     (In(trail, 0x40, 0x7E) || In(trail, 0x80, 0xFC))
                 ? 2
                 : 1;
    case CharsetLexing::kBig5:
      return In(lead, 0xA1, 0xF9) && (In(trail, 0x40, 0x7E) || In(trail, 0xA1, 0xFE)) ? 2 : 1;
    case CharsetLexing::kGb18030:
      return In(lead, 0x81, 0xFE) ? Gb18030Length(text, at, trail) : 1;
  }
  return 1;
}

}  // namespace bulkhead::sql
