// What a SET statement does to a session's state.

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "proxy/session/session_state.h"
#include "proxy/session/state_text.h"
#include "proxy/session/variable_rules.h"

namespace bulkhead::session {
namespace {

using sql::Assignment;
using Target = Assignment::Target;
using Value = Assignment::Value;

// The only one of its kind that says nothing of how literals are read.
constexpr std::string_view kCharacterSetResults = "character_set_results";

constexpr std::string_view kNoLiteral = "set from an expression, not from a literal";
constexpr std::string_view kOddValue = "its value can't be written the same way for every server";
constexpr std::string_view kOddName = "its name can't be written the same way for every server";
constexpr std::string_view kTooMuch = "more state than is kept for a session";
constexpr std::string_view kOtherCharset = "strings were set under another character set";
constexpr std::string_view kCharacterSet = "SET CHARACTER SET follows the current schema";
constexpr std::string_view kOneShot = "SET TRANSACTION is for the next transaction only";
constexpr std::string_view kRole = "roles and resource groups belong to the connection";

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$';
}
bool IsWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsWordByte);
}
// A system variable may be of a component: `a.b`.
bool IsVariableName(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return IsWordByte(c) || c == '.'; });
}
bool IsNumber(std::string_view text) {
  return !text.empty() && text.find_first_of("0123456789") != std::string_view::npos &&
         text.find_first_not_of("0123456789.eE+-") == std::string_view::npos;
}
bool IsPlainAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
}
bool IsQuote(char c) { return c == '"' || c == '`' || c == '\''; }

// Of a charset's or collation's name, quoted or not: lower case, no quotes. Empty: none.
std::string NameOf(std::string_view text) {
  text = Trim(text);
  if (text.size() >= 2 && IsQuote(text.front()) && text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return Lower(text);
}

// "READ COMMITTED", 'read-committed' -> READ-COMMITTED; empty for anything else.
std::string IsolationOf(std::string_view text) {
  constexpr std::array<std::string_view, 4> kLevels = {"READ-UNCOMMITTED", "READ-COMMITTED",
                                                       "REPEATABLE-READ", "SERIALIZABLE"};
  std::string level;
  for (const char c : Trim(text)) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter) {
      level += UpperOf(c);
    } else if (!level.empty() && level.back() != '-' && !IsQuote(c)) {
      level += '-';
    }
  }
  return std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end() ? std::string() : level;
}

// "1", "0", or empty for what is no boolean.
std::string BooleanOf(std::string_view text) {
  const std::string name = NameOf(text);
  if (name == "on" || name == "true" || name == "1" || name == "read only") return "1";
  if (name == "off" || name == "false" || name == "0" || name == "read write") return "0";
  return {};
}

class SetReader {
 public:
  SetReader(const StateVector& before, const sql::LexerMode& mode, ServerFamily family)
      : mode_(mode), family_(family), next_(before) {}

  void Take(const Assignment& assignment);
  [[nodiscard]] SetEffect Finish(const StateVectorPtr& before, StateInterner* states);

 private:
  void TakeUserVariable(const Assignment& assignment);
  void TakeSessionVariable(const Assignment& assignment);
  void TakeOrdinary(const VariableEntry& entry, const std::string& name,
                    const Assignment& assignment);
  void TakeCharsetVariable(const std::string& name, const Assignment& assignment);
  void TakeLastInsertId(const Assignment& assignment);
  void TakeNames(const Assignment& assignment);
  void TakeCharacterSet(const Assignment& assignment);
  void TakeOther(const Assignment& assignment);
  void CharsetHasChanged();
  // The text to put behind `SET name =`; nothing: pinned.
  [[nodiscard]] std::optional<std::string> LiteralText(const Assignment& assignment,
                                                       bool user_variable, Pin pin);
  [[nodiscard]] std::optional<std::string> WordText(std::string_view word, bool user_variable,
                                                    Pin pin);
  [[nodiscard]] bool TooLarge() const;
  void AddPin(Pin pin, std::string_view reason) {
    // Of several the first; but what outlasts a reset must be known.
    if (pin_.has_value() && pin != Pin::kRecords) return;
    pin_ = pin;
    reason_ = reason;
  }

  const sql::LexerMode& mode_;
  const ServerFamily family_;
  StateVector next_;
  bool concerns_session_ = false;
  bool charset_changed_ = false;
  std::optional<Pin> pin_;
  std::string_view reason_;
  std::optional<uint64_t> last_insert_id_;
};

void SetReader::Take(const Assignment& assignment) {
  if (assignment.target != Target::kGlobal && assignment.target != Target::kOther) {
    concerns_session_ = true;
  }
  switch (assignment.target) {
    case Target::kUserVariable:
      TakeUserVariable(assignment);
      return;
    case Target::kSession:
      TakeSessionVariable(assignment);
      return;
    case Target::kNextTransaction:
      AddPin(Pin::kOneShot, kOneShot);
      return;
    case Target::kGlobal:
      return;
    case Target::kNames:
      TakeNames(assignment);
      return;
    case Target::kCharacterSet:
      TakeCharacterSet(assignment);
      return;
    case Target::kStatementScope:
      // The server takes it back by itself.
      return;
    case Target::kOther:
      TakeOther(assignment);
      return;
  }
}

SetEffect SetReader::Finish(const StateVectorPtr& before, StateInterner* states) {
  SetEffect effect;
  if (TooLarge()) {
    AddPin(Pin::kSessionVariable, kTooMuch);
    next_ = *before;
  }
  effect.state = next_ == *before ? before : states->Intern(std::move(next_));
  effect.last_insert_id = last_insert_id_;
  if (pin_.has_value()) {
    effect.kind = SetEffect::Kind::kPin;
    effect.pin = *pin_;
    effect.reason = reason_;
  } else if (concerns_session_) {
    effect.kind = SetEffect::Kind::kRestorable;
  }
  return effect;
}

void SetReader::TakeUserVariable(const Assignment& assignment) {
  const std::string name = Lower(assignment.name);
  if (assignment.value_kind == Value::kNull) {
    EraseEntry(&next_.user_variables, name);
    return;
  }
  if (name.empty() || !IsPlainAscii(name) || name.find('`') != std::string::npos) {
    AddPin(Pin::kUserVariable, kOddName);
    return;
  }
  std::optional<std::string> text = LiteralText(assignment, true, Pin::kUserVariable);
  // The server reads all strings of the statement before it sets anything.
  if (charset_changed_ && text.has_value() && text->starts_with('\'')) {
    AddPin(Pin::kUserVariable, kOtherCharset);
  }
  if (text.has_value()) {
    SetEntry(&next_.user_variables, name, std::move(*text));
  } else {
    EraseEntry(&next_.user_variables, name);
  }
}

void SetReader::TakeSessionVariable(const Assignment& assignment) {
  const std::string name(CanonicalName(Lower(assignment.name), family_));
  if (!IsVariableName(name)) {
    AddPin(Pin::kSessionVariable, kOddName);
    return;
  }
  const VariableEntry& entry = RuleFor(name);
  switch (entry.rule) {
    case VariableRule::kOrdinary:
    case VariableRule::kBoolean:
    case VariableRule::kCheck:
    case VariableRule::kIsolation:
    case VariableRule::kPair:
    case VariableRule::kTimestamp:
    case VariableRule::kOffOnly:
      TakeOrdinary(entry, name, assignment);
      return;
    case VariableRule::kCharset:
      TakeCharsetVariable(name, assignment);
      return;
    case VariableRule::kLastInsertId:
      TakeLastInsertId(assignment);
      return;
    case VariableRule::kOneShot:
      AddPin(Pin::kOneShot, entry.reason);
      return;
    case VariableRule::kPin:
      AddPin(entry.pin, entry.reason);
      return;
  }
}

void SetReader::TakeOrdinary(const VariableEntry& entry, const std::string& name,
                             const Assignment& assignment) {
  if (entry.rule == VariableRule::kPair) EraseEntry(&next_.variables, PartnerOf(name));
  if (assignment.value_kind == Value::kDefault) {
    if (entry.rule == VariableRule::kCheck) {
      SetEntry(&next_.variables, name, "DEFAULT");
    } else {
      EraseEntry(&next_.variables, name);
    }
    return;
  }
  const bool literal = assignment.value_kind == Value::kString ||
                       assignment.value_kind == Value::kNumber ||
                       assignment.value_kind == Value::kIdentifier;
  const std::string boolean = literal ? BooleanOf(assignment.value) : std::string();
  const bool is_boolean = entry.rule == VariableRule::kBoolean ||
                          entry.rule == VariableRule::kCheck ||
                          entry.rule == VariableRule::kOffOnly;
  const std::string isolation = literal && entry.rule == VariableRule::kIsolation
                                    ? IsolationOf(assignment.value)
                                    : std::string();
  std::optional<std::string> text;
  if (is_boolean && !boolean.empty()) {
    text = boolean;
  } else if (!isolation.empty()) {
    text = Quoted(isolation);
  } else {
    text = LiteralText(assignment, false, Pin::kSessionVariable);
  }
  if (entry.rule == VariableRule::kOffOnly && text != "0") {
    AddPin(entry.pin, entry.reason);
    text.reset();
  }
  if (!text.has_value() || (entry.rule == VariableRule::kTimestamp && text == "0")) {
    EraseEntry(&next_.variables, name);
  } else {
    SetEntry(&next_.variables, name, std::move(*text));
  }
}

void SetReader::TakeCharsetVariable(const std::string& name, const Assignment& assignment) {
  std::optional<std::string> text;
  if (assignment.value_kind == Value::kDefault) {
    text = "DEFAULT";  // the server's, which need not be the login's
  } else {
    text = LiteralText(assignment, false, Pin::kSessionVariable);
  }
  VariableList& single = next_.charset.single;
  if (!text.has_value()) {
    // Pinned, so never restored; but the lexer must not go on in the old one.
    if (name == kCharacterSetClient) SetEntry(&single, name, std::string(kNotKnown));
    return;
  }
  // Either of these two sets both: only the last one counts.
  if (name == "character_set_connection") EraseEntry(&single, "collation_connection");
  if (name == "collation_connection") EraseEntry(&single, "character_set_connection");
  const std::string* old = FindEntry(single, name);
  const bool changes = old == nullptr || *old != *text;
  SetEntry(&single, name, std::move(*text));
  if (changes && name != kCharacterSetResults) CharsetHasChanged();
}

void SetReader::TakeLastInsertId(const Assignment& assignment) {
  uint64_t id = 0;
  const std::string text = assignment.value_kind == Value::kString
                               ? NameOf(assignment.value)
                               : std::string(Trim(assignment.value));
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    AddPin(Pin::kSessionVariable, kNoLiteral);
    return;
  }
  last_insert_id_ = id;
}

void SetReader::TakeNames(const Assignment& assignment) {
  CharacterSet charset;
  const std::string name = NameOf(assignment.value);
  std::string collation = NameOf(assignment.extra);
  if (collation == "default") collation.clear();
  if (assignment.value_kind == Value::kDefault || name == "default") {
    charset.source = CharacterSet::Source::kDefault;
  } else if (IsWord(name) && (collation.empty() || IsWord(collation))) {
    charset.source = CharacterSet::Source::kNames;
    charset.charset = name;
    charset.collation = std::move(collation);
  } else {
    AddPin(Pin::kSessionVariable, kOddValue);
    return;
  }
  CharacterSet before = std::exchange(next_.charset, std::move(charset));
  EraseEntry(&before.single, kCharacterSetResults);
  if (next_.charset != before) CharsetHasChanged();
}

// Pinned, so this is never restored: it only says how the session's texts are read.
void SetReader::TakeCharacterSet(const Assignment& assignment) {
  AddPin(Pin::kSessionVariable, kCharacterSet);
  const std::string name = NameOf(assignment.value);
  const bool is_default = assignment.value_kind == Value::kDefault || name == "default";
  std::string text(kNotKnown);
  if (is_default) {
    text = "DEFAULT";
  } else if (IsWord(name)) {
    text = name;
  }
  SetEntry(&next_.charset.single, kCharacterSetClient, std::move(text));
}

// A string that was set before keeps its character set and collation in the server; set again
// elsewhere, it would get the new ones.
void SetReader::CharsetHasChanged() {
  charset_changed_ = true;
  const bool any_string =
      std::any_of(next_.user_variables.begin(), next_.user_variables.end(),
                  [](const auto& entry) { return entry.second.starts_with('\''); });
  if (any_string) AddPin(Pin::kUserVariable, kOtherCharset);
}

void SetReader::TakeOther(const Assignment& assignment) {
  // A password and a user's default roles are in the server's tables, not in the session.
  if (assignment.name == "password" || assignment.name == "default role" ||
      assignment.name == "default_role") {
    return;
  }
  AddPin(Pin::kSessionVariable, kRole);
}

std::optional<std::string> SetReader::LiteralText(const Assignment& assignment, bool user_variable,
                                                  Pin pin) {
  const std::string_view value = Trim(assignment.value);
  switch (assignment.value_kind) {
    case Value::kString: {
      if (value.empty()) break;
      std::string text;
      // An introducer (_latin1'..', N'..') is the value's own character set.
      const bool introduced = user_variable && !IsQuote(value.front());
      if (introduced || value.size() > 2 * kMaxValueBytes ||
          !sql::DecodeStringLiteral(value, mode_, &text) || text.size() > kMaxValueBytes ||
          text.find('\\') != std::string::npos || (!user_variable && !IsPlainAscii(text))) {
        AddPin(pin, kOddValue);
        return std::nullopt;
      }
      return Quoted(text);
    }
    case Value::kNumber:
      if (value.size() <= kMaxValueBytes && IsNumber(value)) return std::string(value);
      AddPin(pin, kOddValue);
      return std::nullopt;
    case Value::kIdentifier:
      return WordText(value, user_variable, pin);
    case Value::kNull:
      return "NULL";
    case Value::kDefault:
    case Value::kParameter:
    case Value::kExpression:
      break;
  }
  AddPin(pin, kNoLiteral);
  return std::nullopt;
}

std::optional<std::string> SetReader::WordText(std::string_view word, bool user_variable, Pin pin) {
  const bool truth = Lower(word) == "true" || Lower(word) == "false";
  if (truth || (!user_variable && word.size() <= kMaxValueBytes && IsWord(word))) {
    return std::string(word);
  }
  // `ANSI` and, with ANSI_QUOTES, "ANSI" are words as well.
  if (!user_variable && word.size() >= 2 && word.size() <= kMaxValueBytes &&
      IsQuote(word.front()) && word.back() == word.front()) {
    const std::string_view inner = word.substr(1, word.size() - 2);
    if (IsPlainAscii(inner) && inner.find(word.front()) == std::string_view::npos) {
      return Quoted(inner);
    }
  }
  AddPin(pin, user_variable ? kNoLiteral : kOddValue);
  return std::nullopt;
}

bool SetReader::TooLarge() const {
  size_t bytes = 0;
  size_t count = 0;
  for (const VariableList* list :
       {&next_.variables, &next_.user_variables, &next_.charset.single}) {
    count += list->size();
    for (const auto& [name, value] : *list) bytes += name.size() + value.size();
  }
  return count > kMaxVariables || bytes > kMaxVectorBytes;
}

}  // namespace

SetEffect ApplySet(const StateVectorPtr& before, const sql::StatementInfo& info,
                   const sql::LexerMode& mode, ServerFamily family, StateInterner* states) {
  SetReader reader(*before, mode, family);
  for (const Assignment& assignment : info.assignments) reader.Take(assignment);
  return reader.Finish(before, states);
}

}  // namespace bulkhead::session
