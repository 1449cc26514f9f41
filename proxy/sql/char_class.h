// What a byte can be in SQL text, as bits in a table: one look-up instead of chains of comparisons.
// Sources: strings/ctype.c and sql/sql_lex.cc of both servers (lex state maps).
#ifndef BULKHEAD_PROXY_SQL_CHAR_CLASS_H_
#define BULKHEAD_PROXY_SQL_CHAR_CLASS_H_

#include <array>
#include <cstdint>

#include "proxy/sql/charset.h"

namespace bulkhead::sql {

enum CharClass : uint8_t {
  kSpaceChar = 1,    // white space between tokens
  kControlChar = 2,  // with kSpaceChar: what makes -- a comment
  kIdentChar = 4,
  kDigitChar = 8,
  kHexChar = 16,
  kHostChar = 32,     // may follow @
  kInString = 64,     // neither a quote nor a backslash nor a byte above 0x7F
  kBlankStart = 128,  // space, or may begin a comment, or end an executable one
};

constexpr std::array<uint8_t, 256> BuildCharClasses(int high_space) {
  std::array<uint8_t, 256> classes = {};
  for (int c = 0; c < 256; ++c) {
    uint8_t bits = 0;
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool digit = c >= '0' && c <= '9';
    const bool high = c >= 0x80 && c != high_space;
    if ((c >= 9 && c <= 13) || c == ' ' || c == high_space) bits |= kSpaceChar;
    if (c < 32 || c == 127 || c == high_space) bits |= kControlChar;
    if (letter || digit || c == '_' || c == '$' || high) bits |= kIdentChar;
    if (digit) bits |= kDigitChar;
    if (digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) bits |= kHexChar;
    if (letter || digit || c == '_' || c == '$' || c == '.' || high) bits |= kHostChar;
    if (c != '\'' && c != '"' && c != '`' && c != '\\' && c < 0x80) bits |= kInString;
    if ((bits & kSpaceChar) != 0 || c == '#' || c == '-' || c == '/' || c == '*') {
      bits |= kBlankStart;
    }
    classes[static_cast<size_t>(c)] = bits;
  }
  return classes;
}

inline constexpr std::array<uint8_t, 256> kPlainClasses = BuildCharClasses(-1);
inline constexpr std::array<uint8_t, 256> kHighSpaceA0Classes = BuildCharClasses(0xA0);
inline constexpr std::array<uint8_t, 256> kHighSpaceFfClasses = BuildCharClasses(0xFF);

constexpr const std::array<uint8_t, 256>& CharClassesOf(CharsetLexing lexing) {
  if (lexing == CharsetLexing::kHighSpaceA0) return kHighSpaceA0Classes;
  if (lexing == CharsetLexing::kHighSpaceFf) return kHighSpaceFfClasses;
  return kPlainClasses;
}

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_CHAR_CLASS_H_
