#include "proxy/sql/lexer.h"

#include "proxy/sql/char_class.h"

namespace bulkhead::sql {
namespace {

constexpr size_t kNowhere = std::string_view::npos;
constexpr size_t kShortString = 48;  // up to here a plain loop is faster than searching
constexpr uint32_t kFirstWithDollarQuotes = 90000;
constexpr uint32_t kFirstWithoutDollarQuotes = 80000;  // from here to 9.0 it is not certain

bool IsMultibyte(CharsetLexing charset) {
  return charset == CharsetLexing::kGbk || charset == CharsetLexing::kSjis ||
         charset == CharsetLexing::kBig5 || charset == CharsetLexing::kGb18030;
}

CharsetLexing CharsetOf(const LexerMode& mode) {
  if (mode.charset_id_hint > static_cast<uint8_t>(CharsetLexing::kNotTrusted) ||
      (mode.multibyte_backslash && mode.charset_id_hint == 0)) {
    return CharsetLexing::kNotTrusted;
  }
  return static_cast<CharsetLexing>(mode.charset_id_hint);
}

// In swe7 these are letters, in an unknown charset high bytes can be anything.
bool IsPlainAscii(std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x7B || (byte >= 0x5B && byte <= 0x5E)) return false;
  }
  return true;
}

}  // namespace

Lexer::Lexer(std::string_view text, const LexerMode& mode)
    : text_(text),
      mode_(&mode),
      classes_(&CharClassesOf(CharsetOf(mode))),
      charset_(CharsetOf(mode)),
      ambiguous_(charset_ == CharsetLexing::kNotTrusted && !IsPlainAscii(text)) {}

void Lexer::Next(Token* token) {
  token->gap = Gap::kNone;
  token->word = nullptr;
  if (name_expected_) return ReadAfterDot(token);
  if ((ClassAt(at_) & kBlankStart) != 0) token->gap = SkipBlanks();
  if (at_ >= text_.size()) {
    if (in_executable_) broken_ = true;
    token->kind = TokenKind::kEnd;
    token->text = text_.substr(text_.size());
    return;
  }
  const uint8_t bits = ClassAt(at_);
  if ((bits & kDigitChar) != 0) return ReadNumber(token);
  if ((bits & kIdentChar) != 0) return ReadWord(token);
  return ReadSymbol(token);
}

// The server stops here with a syntax error: nothing behind this is executed.
void Lexer::Stop() {
  broken_ = true;
  in_executable_ = false;
  at_ = text_.size();
}

void Lexer::Break(Token* token) {
  Stop();
  token->kind = TokenKind::kEnd;
  token->text = text_.substr(at_);
}

size_t Lexer::EndOfIdentifier(size_t from) const {
  size_t at = from;
  if (!IsMultibyte(charset_)) {
    while ((ClassAt(at) & kIdentChar) != 0) ++at;
    return at;
  }
  while ((ClassAt(at) & kIdentChar) != 0) at += CharacterLength(charset_, text_, at);
  return at;
}

size_t Lexer::EndOfDigits(size_t from) const {
  size_t at = from;
  while ((ClassAt(at) & kDigitChar) != 0) ++at;
  return at;
}

size_t Lexer::EndOfQuoted(size_t quote_at, bool with_escapes) const {
  const char quote = text_[quote_at];
  const bool multibyte = IsMultibyte(charset_);
  const size_t near = quote_at + kShortString;
  size_t at = quote_at + 1;
  while (at < text_.size()) {
    const char c = text_[at];
    if ((ClassAt(at) & kInString) != 0) {
      ++at;
      if (at == near && !multibyte) return EndOfLongQuoted(at, quote, with_escapes);
    } else if (c == quote) {
      if (CharAt(at + 1) != quote) return at + 1;
      at += 2;
    } else if (c == '\\' && with_escapes) {
      at += 2;  // one byte, even where it leads a multi-byte character: so do the servers
    } else {
      at += multibyte ? CharacterLength(charset_, text_, at) : 1;
    }
  }
  return kNowhere;
}

// The same with searches that are faster on long texts. A backslash is only looked for up to the
// next quote, so no byte is searched more than twice.
size_t Lexer::EndOfLongQuoted(size_t from, char quote, bool with_escapes) const {
  size_t at = from;
  size_t end = text_.find(quote, at);
  while (end != kNowhere) {
    if (with_escapes) {
      const size_t escape = text_.substr(at, end - at).find('\\');
      if (escape != kNowhere) {
        at += escape + 2;
        if (at > end) end = text_.find(quote, at);
        continue;
      }
    }
    if (CharAt(end + 1) != quote) return end + 1;
    at = end + 2;
    end = text_.find(quote, at);
  }
  return kNowhere;
}

void Lexer::ReadWord(Token* token) {
  const char first = text_[at_];
  if (CharAt(at_ + 1) == '\'') {
    if (first == 'N' || first == 'n') return ReadString(token, at_ + 1);
    if (first == 'x' || first == 'X' || first == 'b' || first == 'B') {
      return ReadQuotedDigits(token);
    }
  }
  if (first == '$' && !mode_->mariadb && mode_->server_version >= kFirstWithoutDollarQuotes) {
    return ReadDollarQuoted(token);
  }
  Give(token, TokenKind::kWord, EndOfIdentifier(at_));
  if (CharAt(at_) == '.' && (ClassAt(at_ + 1) & kIdentChar) != 0) {
    dot_at_ = at_;  // a qualifier is no keyword
  } else {
    token->word = FindWord(token->text);
  }
}

void Lexer::ReadAfterDot(Token* token) {
  name_expected_ = false;
  Give(token, TokenKind::kWord, EndOfIdentifier(at_));
  if (CharAt(at_) == '.' && (ClassAt(at_ + 1) & kIdentChar) != 0) dot_at_ = at_;
}

// 12, 1.5, .5, 1e5; but 1x is an identifier, and so are 1e, 0xZ and 0x1G.
void Lexer::ReadNumber(Token* token) {
  const char second = CharAt(at_ + 1);
  if (text_[at_] == '0' && (second == 'x' || second == 'b')) {
    return ReadPrefixedNumber(token, second == 'x');
  }
  size_t end = EndOfDigits(at_);
  const char next = CharAt(end);
  if (next == '.') {
    end = EndOfDigits(end + 1);
  } else if ((ClassAt(end) & kIdentChar) == 0) {
    return Give(token, TokenKind::kNumber, end);
  }
  if (CharAt(end) == 'e' || CharAt(end) == 'E') {
    const char sign = CharAt(end + 1);
    const size_t digits = end + (sign == '+' || sign == '-' ? 2 : 1);
    if ((ClassAt(digits) & kDigitChar) != 0) {
      return Give(token, TokenKind::kNumber, EndOfDigits(digits));
    }
  }
  if (next == '.') return Give(token, TokenKind::kNumber, end);
  return ReadAfterDot(token);  // an identifier that begins with a digit; never a keyword
}

void Lexer::ReadPrefixedNumber(Token* token, bool hexadecimal) {
  size_t end = at_ + 2;
  while (hexadecimal ? (ClassAt(end) & kHexChar) != 0 : CharAt(end) == '0' || CharAt(end) == '1') {
    ++end;
  }
  if (end > at_ + 2 && (ClassAt(end) & kIdentChar) == 0) {
    return Give(token, TokenKind::kBitString, end);
  }
  return ReadAfterDot(token);
}

// x'1F' and b'01'; anything else in the quotes is a syntax error.
void Lexer::ReadQuotedDigits(Token* token) {
  const bool hexadecimal = (text_[at_] | 0x20) == 'x';
  size_t end = at_ + 2;
  while (hexadecimal ? (ClassAt(end) & kHexChar) != 0 : CharAt(end) == '0' || CharAt(end) == '1') {
    ++end;
  }
  if (CharAt(end) != '\'' || (hexadecimal && (end - at_) % 2 != 0)) return Break(token);
  return Give(token, TokenKind::kBitString, end + 1);
}

void Lexer::ReadString(Token* token, size_t quote_at) {
  const size_t end = EndOfQuoted(quote_at, !mode_->no_backslash_escapes);
  return end == kNowhere ? Break(token) : Give(token, TokenKind::kString, end);
}

void Lexer::ReadQuotedName(Token* token) {
  const size_t end = EndOfQuoted(at_, false);
  return end == kNowhere ? Break(token) : Give(token, TokenKind::kQuotedName, end);
}

void Lexer::ReadUserVariable(Token* token) {
  const char next = CharAt(at_ + 1);
  if (next == '`' || (next == '"' && mode_->ansi_quotes)) {
    const size_t end = EndOfQuoted(at_ + 1, false);
    return end == kNowhere ? Break(token) : Give(token, TokenKind::kUserVariable, end);
  }
  if (next == '\'' || next == '"') {
    const size_t end = EndOfQuoted(at_ + 1, !mode_->no_backslash_escapes);
    return end == kNowhere ? Break(token) : Give(token, TokenKind::kUserVariable, end);
  }
  size_t end = at_ + 1;
  while ((ClassAt(end) & kHostChar) != 0) ++end;
  return Give(token, TokenKind::kUserVariable, end);
}

// $$text$$ and $tag$text$tag$ of MySQL 9. Where the version leaves it open whether the server knows
// them, a text that reads differently in the two ways is ambiguous.
void Lexer::ReadDollarQuoted(Token* token) {
  size_t tag_end = at_ + 1;
  while ((ClassAt(tag_end) & kIdentChar) != 0 && text_[tag_end] != '$') ++tag_end;
  if (CharAt(tag_end) != '$') {
    return ReadAfterDot(token);
  }
  const bool certain = mode_->server_version >= kFirstWithDollarQuotes;
  if (!certain && dollar_seen_) ambiguous_ = true;  // one search a text keeps this linear
  const std::string_view tag = text_.substr(at_, tag_end + 1 - at_);
  const size_t close = !certain && dollar_seen_ ? kNowhere : text_.find(tag, tag_end + 1);
  dollar_seen_ = true;
  if (certain) {
    return close == kNowhere ? Break(token) : Give(token, TokenKind::kString, close + tag.size());
  }
  if (close != kNowhere) ambiguous_ = true;
  return ReadAfterDot(token);
}

void Lexer::ReadSymbol(Token* token) {
  const char c = text_[at_];
  switch (c) {
    case '\'':
      return ReadString(token, at_);
    case '"':
      return mode_->ansi_quotes ? ReadQuotedName(token) : ReadString(token, at_);
    case '`':
      return ReadQuotedName(token);
    case '@':
      if (CharAt(at_ + 1) == '@') return Give(token, TokenKind::kSystemVariable, at_ + 2);
      return ReadUserVariable(token);
    case ':':
      if (CharAt(at_ + 1) == '=') return Give(token, TokenKind::kAssign, at_ + 2);
      break;
    case '.':
      if (at_ != dot_at_ && (ClassAt(at_ + 1) & kDigitChar) != 0) return ReadNumber(token);
      name_expected_ = (ClassAt(at_ + 1) & kIdentChar) != 0;
      break;
    case '\0':
      return Break(token);
    default:
      break;
  }
  token->symbol = c;
  return Give(token, TokenKind::kSymbol, at_ + 1);
}

}  // namespace bulkhead::sql
