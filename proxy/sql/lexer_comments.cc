// White space and comments: what lies between tokens.
#include <algorithm>

#include "proxy/sql/char_class.h"
#include "proxy/sql/lexer.h"
#include "proxy/sql/tenant_hint.h"

namespace bulkhead::sql {
namespace {

constexpr uint32_t kFirstWithSixDigits = 80100;
// MariaDB takes version comments of this range for MySQL's own, unless they say /*M!.
constexpr uint32_t kFirstForeignVersion = 50700;
constexpr uint32_t kLastForeignVersion = 99999;

}  // namespace

Gap Lexer::SkipBlanks() {
  Gap gap = Gap::kNone;
  while (at_ < text_.size()) {
    const uint8_t bits = ClassAt(at_);
    if ((bits & kBlankStart) == 0) break;
    if ((bits & kSpaceChar) != 0) {
      ++at_;
      gap = std::max(gap, Gap::kSpace);
    } else if (SkipLineComment() || SkipBlockComment()) {
      gap = Gap::kComment;
    } else if (in_executable_ && text_[at_] == '*' && CharAt(at_ + 1) == '/') {
      in_executable_ = false;
      at_ += 2;
      gap = Gap::kComment;
    } else {
      break;
    }
  }
  return gap;
}

bool Lexer::SkipLineComment() {
  if (text_[at_] == '-') {
    if (CharAt(at_ + 1) != '-') return false;
    const auto next = static_cast<uint8_t>(CharAt(at_ + 2));
    if (((*classes_)[next] & (kSpaceChar | kControlChar)) == 0) {
      // A few charsets have control characters up there.
      if (next >= 0x80) ambiguous_ = true;
      return false;
    }
  } else if (text_[at_] != '#') {
    return false;
  }
  // A NUL ends the comment, too, and is a syntax error then.
  while (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\0') ++at_;
  return true;
}

bool Lexer::SkipBlockComment() {
  if (text_[at_] != '/' || CharAt(at_ + 1) != '*') return false;
  const size_t body = at_ + 2;
  if (CharAt(body) == '!') return EnterExecutableComment(body + 1, false);
  if (mode_->mariadb && CharAt(body) == 'M' && CharAt(body + 1) == '!') {
    return EnterExecutableComment(body + 2, true);
  }
  const size_t end = FindCommentEnd(body);
  if (end == std::string_view::npos) {
    Stop();
    return true;
  }
  const std::string_view content = text_.substr(body, end - 2 - body);
  if (!content.empty() && content.front() == '+') {
    CheckOptimizerHint(content);
  } else if (tenant_hint_.empty()) {
    tenant_hint_ = FindTenantHint(content);
  }
  at_ = end;
  return true;
}

// `body` is behind the exclamation mark. Inside, only the next */ matters: comments of this kind do
// not nest.
bool Lexer::EnterExecutableComment(size_t body, bool mariadb_mark) {
  saw_hint_comment_ = true;
  size_t digits = 0;
  while (digits < 6 && (ClassAt(body + digits) & kDigitChar) != 0) ++digits;
  if (digits < 5) {  // no version: always executed
    in_executable_ = true;
    at_ = body;
    return true;
  }
  if (digits == 6 && !mode_->mariadb &&
      (mode_->server_version < kFirstWithSixDigits || (ClassAt(body + 6) & kSpaceChar) == 0)) {
    digits = 5;
  }
  uint32_t version = 0;
  for (size_t i = 0; i < digits; ++i) {
    version = version * 10 + static_cast<uint32_t>(text_[body + i] - '0');
  }
  const bool foreign = mode_->mariadb && !mariadb_mark && version >= kFirstForeignVersion &&
                       version <= kLastForeignVersion;
  if (version <= mode_->server_version && !foreign) {
    in_executable_ = true;
    at_ = body + digits;
  } else {
    SkipUnusedComment(body);
  }
  return true;
}

// A version comment for another server: it may hold one level of ordinary comments.
void Lexer::SkipUnusedComment(size_t body) {
  size_t at = body;
  while (at < text_.size()) {
    if (text_[at] == '/' && CharAt(at + 1) == '*') {
      at = FindCommentEnd(at + 2);
      if (at == std::string_view::npos) break;
    } else if (text_[at] == '*' && CharAt(at + 1) == '/') {
      at_ = at + 2;
      return;
    } else {
      ++at;
    }
  }
  Stop();
}

// Behind the first */ from there.
size_t Lexer::FindCommentEnd(size_t from) const {
  if (from > text_.size()) return std::string_view::npos;
  const size_t end = text_.find("*/", from);
  return end == std::string_view::npos ? end : end + 2;
}

// The hint's own lexer knows quotes: */ within them would not end it.
void Lexer::CheckOptimizerHint(std::string_view body) {
  saw_hint_comment_ = true;
  for (const char quote : {'\'', '"', '`'}) {
    if (std::count(body.begin(), body.end(), quote) % 2 != 0) ambiguous_ = true;
  }
}

}  // namespace bulkhead::sql
