#include "proxy/session/session_state.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "proxy/session/collations.h"
#include "proxy/session/state_text.h"
#include "proxy/session/variable_rules.h"
#include "proxy/sql/charset.h"

namespace bulkhead::session {
namespace {

constexpr std::string_view kSqlMode = "sql_mode";
constexpr std::string_view kWaitTimeout = "wait_timeout";
// What the two capabilities do at login, as texts.
constexpr std::string_view kIgnoreSpaceMode = "CONCAT(@@global.sql_mode,',IGNORE_SPACE')";
constexpr std::string_view kInteractiveTimeout = "@@global.interactive_timeout";

// Bits of a numeric sql_mode (sql/sql_class.h of MariaDB, sql/system_variables.h of MySQL).
constexpr uint64_t kModeAnsiQuotes = 1u << 2;
constexpr uint64_t kModeIgnoreSpace = 1u << 3;
constexpr uint64_t kModeAnsi = 1u << 18;
constexpr uint64_t kModeOracle = 1u << 9;
constexpr uint64_t kModeOtherDialects = 0x1Fu << 8;  // POSTGRESQL, ORACLE, MSSQL, DB2, MAXDB
constexpr uint64_t kModeNoBackslashEscapes = 1u << 20;

CharacterSet CharacterSetOfLogin(uint32_t collation_id) {
  const Collation* mariadb = FindCollation(ServerFamily::kMariadb, collation_id);
  const Collation* mysql = FindCollation(ServerFamily::kMysql, collation_id);
  CharacterSet out;
  if (mariadb == nullptr && mysql == nullptr) {
    out.source = CharacterSet::Source::kDefault;
  } else if (mariadb != nullptr && mysql != nullptr && mariadb->name == mysql->name) {
    out.source = CharacterSet::Source::kNames;
    out.charset = mysql->charset;
    out.collation = mysql->name;
  } else {
    out.source = CharacterSet::Source::kLogin;
    out.collation_id = static_cast<uint16_t>(collation_id);
  }
  return out;
}

// --- plans

class SetText {
 public:
  void Add(std::string_view item) {
    text_ += text_.empty() ? "SET " : ", ";
    text_ += item;
  }
  void AddSession(std::string_view name, std::string_view value, ServerFamily family) {
    std::string item("@@session.");
    item += ServerName(name, family);
    item += '=';
    item += value;
    Add(item);
  }
  void AddUser(std::string_view name, std::string_view value) {
    std::string item("@`");
    item += name;
    item += "`=";
    item += value;
    Add(item);
  }
  [[nodiscard]] std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// Calls `set(name, value)` for what must change from one list to the other; `absent(name)` is the
// value of what the second list has not.
template <typename Absent, typename Set>
void Difference(const VariableList& has, const VariableList& wanted, Absent&& absent, Set&& set) {
  // First what goes: taking back one of a pair takes back both.
  for (const auto& [name, value] : has) {
    if (FindEntry(wanted, name) == nullptr) set(name, absent(name));
  }
  for (const auto& [name, value] : wanted) {
    const std::string* old = FindEntry(has, name);
    if (old == nullptr || *old != value) set(name, value);
  }
}

// What gives a variable back the value it has on a fresh connection.
std::string FreshValue(std::string_view name) {
  if (RuleFor(name).rule == VariableRule::kCheck) return "@@global." + std::string(name);
  return "DEFAULT";
}

// Servers before MySQL 8.0.30 and MariaDB 10.6 call it utf8, and its collations utf8_...
bool CallsItUtf8(ServerFamily family, uint32_t version) {
  if (version == 0) return false;
  return version < (family == ServerFamily::kMariadb ? 100600u : 80030u);
}

std::string NamesText(const CharacterSet& charset, ServerFamily family, uint32_t version) {
  constexpr std::string_view kUtf8mb3 = "utf8mb3";
  std::string cs = charset.charset;
  std::string collation = charset.collation;
  if (charset.source == CharacterSet::Source::kLogin) {
    const Collation* found = FindCollation(family, charset.collation_id);
    // MySQL 5.7 has none of the ids that the two families read in different ways.
    if (found != nullptr && !(family == ServerFamily::kMysql && version != 0 && version < 80000)) {
      cs = found->charset;
      collation = found->name;
    }
  }
  if (cs.empty() || !UsableAsClientCharset(cs)) return "NAMES DEFAULT";
  if (cs == kUtf8mb3 && CallsItUtf8(family, version)) {
    cs = "utf8";
    if (collation.starts_with(kUtf8mb3)) collation.replace(0, kUtf8mb3.size(), "utf8");
  }
  std::string text = "NAMES " + cs;
  if (!collation.empty()) text += " COLLATE " + collation;
  return text;
}

}  // namespace

// --- StateInterner

StateVectorPtr StateInterner::AtLogin(uint32_t collation_id, std::string_view schema,
                                      bool multi_statements, wire::Capabilities capabilities) {
  StateVector vector;
  vector.schema = schema;
  vector.charset = CharacterSetOfLogin(collation_id);
  vector.multi_statements = multi_statements;
  vector.login_capabilities = capabilities & (wire::kClientIgnoreSpace | wire::kClientInteractive);
  if ((capabilities & wire::kClientIgnoreSpace) != 0) {
    SetEntry(&vector.variables, kSqlMode, std::string(kIgnoreSpaceMode));
  }
  if ((capabilities & wire::kClientInteractive) != 0) {
    SetEntry(&vector.variables, kWaitTimeout, std::string(kInteractiveTimeout));
  }
  return Intern(std::move(vector));
}

StateVectorPtr StateInterner::AfterReset(const StateVectorPtr& before) {
  StateVector vector;
  vector.schema = before->schema;
  vector.multi_statements = before->multi_statements;
  vector.login_capabilities = before->login_capabilities;
  // What the capabilities set at login is set again by MySQL and not by MariaDB.
  if ((vector.login_capabilities & wire::kClientIgnoreSpace) != 0) {
    SetEntry(&vector.variables, kSqlMode, std::string(kNotKnown));
  }
  if ((vector.login_capabilities & wire::kClientInteractive) != 0) {
    SetEntry(&vector.variables, kWaitTimeout, std::string(kNotKnown));
  }
  return Intern(std::move(vector));
}

StateVectorPtr StateInterner::WithSchema(const StateVectorPtr& before, std::string_view schema) {
  if (before->schema == schema) return before;
  StateVector vector = *before;
  vector.schema = schema;
  return Intern(std::move(vector));
}

StateVectorPtr StateInterner::WithMultiStatements(const StateVectorPtr& before, bool on) {
  if (before->multi_statements == on) return before;
  StateVector vector = *before;
  vector.multi_statements = on;
  return Intern(std::move(vector));
}

RestorePlan PlanRestore(const StateVector& has, const StateVector& wanted, ServerFamily family,
                        uint32_t server_version) {
  RestorePlan plan;
  if (&has == &wanted) return plan;
  plan.possible = CanRestore(has, wanted);
  if (plan.possible && has.schema != wanted.schema) plan.init_db = wanted.schema;
  if (has.multi_statements != wanted.multi_statements) {
    plan.multi_statements = wanted.multi_statements;
  }
  SetText session;
  if (has.charset.source == CharacterSet::Source::kUnknown || has.charset != wanted.charset) {
    session.Add(NamesText(wanted.charset, family, server_version));
    for (const auto& [name, value] : wanted.charset.single) {
      session.AddSession(name, value, family);
    }
  }
  Difference(has.variables, wanted.variables, FreshValue,
             [&](std::string_view name, std::string_view value) {
               session.AddSession(name, value, family);
             });
  SetText user;
  Difference(
      has.user_variables, wanted.user_variables, [](std::string_view) { return "NULL"; },
      [&](std::string_view name, std::string_view value) { user.AddUser(name, value); });
  plan.set_sql = session.Take();
  plan.set_user_sql = user.Take();
  return plan;
}

// --- what a vector means

namespace {

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

uint64_t SqlModeBitOf(std::string_view name) {
  if (name == "ANSI_QUOTES") return kModeAnsiQuotes;
  if (name == "IGNORE_SPACE") return kModeIgnoreSpace;
  if (name == "ANSI") return kModeAnsi;
  if (name == "NO_BACKSLASH_ESCAPES") return kModeNoBackslashEscapes;
  if (name == "ORACLE") return kModeOracle;
  // Of MariaDB and MySQL 5.7, as ORACLE is; all of them quote identifiers like ANSI.
  constexpr std::array<std::string_view, 4> kDialects = {"POSTGRESQL", "MSSQL", "DB2", "MAXDB"};
  const bool dialect = std::find(kDialects.begin(), kDialects.end(), name) != kDialects.end();
  return dialect ? kModeOtherDialects & ~kModeOracle : 0;
}

}  // namespace

SqlModeBits ParseSqlMode(std::string_view sql_mode) {
  uint64_t bits = 0;
  if (const std::optional<uint64_t> number = ParseNumber(Trim(sql_mode)); number.has_value()) {
    bits = *number;
  } else {
    while (!sql_mode.empty()) {
      const size_t comma = std::min(sql_mode.find(','), sql_mode.size());
      bits |= SqlModeBitOf(Upper(Trim(sql_mode.substr(0, comma))));
      sql_mode.remove_prefix(std::min(comma + 1, sql_mode.size()));
    }
  }
  const bool dialect = (bits & (kModeAnsi | kModeOtherDialects)) != 0;
  return {.ansi_quotes = dialect || (bits & kModeAnsiQuotes) != 0,
          .no_backslash_escapes = (bits & kModeNoBackslashEscapes) != 0,
          .ignore_space = dialect || (bits & kModeIgnoreSpace) != 0,
          .oracle = (bits & kModeOracle) != 0};
}

std::string ClientCharset(const StateVector& state, ServerFamily family) {
  const CharacterSet& charset = state.charset;
  if (const std::string* single = FindEntry(charset.single, kCharacterSetClient);
      single != nullptr) {
    const std::string name = Lower(Unquoted(*single));
    // Servers take a collation's number as well.
    const std::optional<uint64_t> id = ParseNumber(name);
    if (id.has_value() && *id <= UINT32_MAX) {
      const Collation* found = FindCollation(family, static_cast<uint32_t>(*id));
      return found == nullptr ? std::string(kNotKnown) : std::string(found->charset);
    }
    return name == "default" ? std::string() : name;
  }
  if (charset.source == CharacterSet::Source::kNames) return charset.charset;
  if (charset.source != CharacterSet::Source::kLogin) return {};
  const Collation* found = FindCollation(family, charset.collation_id);
  return found == nullptr ? std::string() : std::string(found->charset);
}

sql::LexerMode LexerModeOf(const StateVector& state, ServerFamily family, uint32_t server_version,
                           std::string_view default_sql_mode, std::string_view default_charset) {
  sql::LexerMode mode;
  mode.mariadb = family == ServerFamily::kMariadb;
  mode.server_version = server_version;
  const std::string* set = FindEntry(state.variables, kSqlMode);
  const bool of_login = set != nullptr && *set == kIgnoreSpaceMode;
  const SqlModeBits bits =
      ParseSqlMode(set == nullptr || of_login ? std::string(default_sql_mode) : Unquoted(*set));
  mode.ansi_quotes = bits.ansi_quotes;
  mode.no_backslash_escapes = bits.no_backslash_escapes;
  mode.ignore_space = bits.ignore_space || of_login;
  mode.oracle = mode.mariadb && bits.oracle;
  const std::string charset = ClientCharset(state, family);
  sql::SetClientCharset(charset.empty() ? default_charset : std::string_view(charset), &mode);
  return mode;
}

std::optional<uint64_t> WaitTimeoutOf(const StateVector& state, uint64_t interactive_timeout) {
  const std::string* set = FindEntry(state.variables, kWaitTimeout);
  if (set == nullptr) return std::nullopt;
  if (*set == kInteractiveTimeout || *set == kNotKnown) {
    return interactive_timeout == 0 ? std::nullopt : std::optional(interactive_timeout);
  }
  return ParseNumber(Unquoted(*set));
}

}  // namespace bulkhead::session
