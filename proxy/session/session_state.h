// A session's state as far as it can be brought to another connection: which it is, what a SET does
// to it, and the commands that turn a connection with one state into one with another.
//
// Purpose: pooling that is safe. A session and a connection each point to a state vector; equal
// pointers mean that nothing needs to be restored.
// Thread: one worker's. Vectors are immutable and interned.
// Limits: a vector holds at most kMaxVariables variables and kMaxVectorBytes of names and values;
// a value at most kMaxValueBytes. What does not fit pins.
// Errors: none; whatever is not known to be restorable pins, with a reason.
// Sources: MySQL 8.4 manual "SET Syntax for Variable Assignment", "SET NAMES", "SET TRANSACTION",
// "mysql_reset_connection()", "Server SQL Modes"; the same topics of MariaDB; sql/set_var.cc and
// sql/sql_yacc.yy of both. Seen of MariaDB 10.11 and MySQL 9.7: COM_RESET_CONNECTION keeps the
// schema and COM_SET_OPTION's option; the character sets go back to the login's (MariaDB) or to the
// global ones (MySQL). A string in a SET that also says NAMES still gets the old collation.
#ifndef BULKHEAD_PROXY_SESSION_SESSION_STATE_H_
#define BULKHEAD_PROXY_SESSION_SESSION_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/session/interned.h"
#include "proxy/session/login.h"
#include "proxy/session/pins.h"
#include "proxy/session/server_defaults.h"
#include "proxy/sql/statement.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

inline constexpr size_t kMaxVariables = 128;
inline constexpr size_t kMaxVectorBytes = size_t{16} << 10;
inline constexpr size_t kMaxValueBytes = 1024;

// Name, and the text that stands behind `SET name =`. Sorted by name, names distinct.
using VariableList = std::vector<std::pair<std::string, std::string>>;

// What SET NAMES or the login said of character sets.
struct CharacterSet {
  enum class Source : uint8_t {
    kUnknown,  // of a connection only: after a reset. SET NAMES is always sent
    kLogin,    // `collation_id` of the handshake, which servers of two families may read in two
               // ways; 0 or an id that the server does not know: its default
    kNames,    // `charset`, and `collation` unless it is the server's default for that
    kDefault,  // SET NAMES DEFAULT
  };
  Source source = Source::kUnknown;
  uint16_t collation_id = 0;
  std::string charset;    // lower case
  std::string collation;  // lower case
  VariableList single;    // character_set_client and its like, set since

  bool operator==(const CharacterSet&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const CharacterSet& c) {
    return H::combine(std::move(state), c.source, c.collation_id, c.charset, c.collation, c.single);
  }
};

struct StateVector {
  std::string schema;  // as the backend names it; empty: none
  CharacterSet charset;
  VariableList variables;       // session variables; canonical names
  VariableList user_variables;  // set from literals; names without @
  bool multi_statements = false;
  // Of the login: CLIENT_IGNORE_SPACE and CLIENT_INTERACTIVE or nothing.
  wire::Capabilities login_capabilities = 0;

  bool operator==(const StateVector&) const = default;
  template <typename H>
  friend H AbslHashValue(H state, const StateVector& v) {
    return H::combine(std::move(state), v.schema, v.charset, v.variables, v.user_variables,
                      v.multi_statements, v.login_capabilities);
  }
};

using StateVectorPtr = Interned<StateVector>;

class StateInterner {
 public:
  [[nodiscard]] StateVectorPtr Intern(StateVector vector) {
    return vectors_.Intern(std::move(vector));
  }
  // A session, or a connection, that has just logged in. Two capabilities set variables that
  // servers don't set again at COM_RESET_CONNECTION (MariaDB) or at SET x=DEFAULT (both):
  // CLIENT_IGNORE_SPACE and CLIENT_INTERACTIVE.
  [[nodiscard]] StateVectorPtr AtLogin(uint32_t collation_id, std::string_view schema,
                                       bool multi_statements, wire::Capabilities capabilities = 0);
  // A connection after COM_RESET_CONNECTION: the schema and the option stay, the character sets are
  // not known.
  [[nodiscard]] StateVectorPtr AfterReset(const StateVectorPtr& before);
  [[nodiscard]] StateVectorPtr WithSchema(const StateVectorPtr& before, std::string_view schema);
  [[nodiscard]] StateVectorPtr WithMultiStatements(const StateVectorPtr& before, bool on);

  // What a session that has set nothing gets, by backend: the other half of what a vector means.
  [[nodiscard]] ServerDefaultsTable& defaults() { return defaults_; }

  // Distinct vectors in use.
  [[nodiscard]] size_t size() const { return vectors_.size(); }

 private:
  Interner<StateVector> vectors_;
  ServerDefaultsTable defaults_;
};

// What a SET statement does, if the server says OK.
struct SetEffect {
  enum class Kind : uint8_t {
    kNothing,     // of the session nothing changes: SET GLOBAL, SET PASSWORD
    kRestorable,  // `state` is the session's
    kPin,         // `pin`, for `reason`; `state` is the session's as well
  };
  Kind kind = Kind::kNothing;
  Pin pin = Pin::kSessionVariable;
  std::string_view reason;  // static text
  StateVectorPtr state;     // never null
  // SET LAST_INSERT_ID = n, SET IDENTITY = n: what LAST_INSERT_ID() says from now on.
  std::optional<uint64_t> last_insert_id;
};

// `before` is the session's state; `mode` how its texts are read; the statement is a SET.
[[nodiscard]] SetEffect ApplySet(const StateVectorPtr& before, const sql::StatementInfo& info,
                                 const sql::LexerMode& mode, ServerFamily family,
                                 StateInterner* states);

// How to get a connection from one state to another, in this order. Each text must be confirmed by
// the server before anything of a client follows.
struct RestorePlan {
  // False: the connection has a schema and the session wants none, which can't be done. The rest of
  // the plan is good.
  bool possible = true;
  std::optional<std::string> init_db;    // COM_INIT_DB
  std::optional<bool> multi_statements;  // COM_SET_OPTION
  std::string set_sql;                   // COM_QUERY, if not empty: SET NAMES and variables
  std::string set_user_sql;              // COM_QUERY, if not empty, after set_sql: user variables,
                                         // whose literals are read in the new character set

  [[nodiscard]] bool empty() const {
    return possible && !init_db && !multi_statements && set_sql.empty() && set_user_sql.empty();
  }
};
// `server_version` as in sql::LexerMode; 0: a recent one.
[[nodiscard]] RestorePlan PlanRestore(const StateVector& has, const StateVector& wanted,
                                      ServerFamily family, uint32_t server_version = 0);
// Whether PlanRestore would be possible: cheap, for choosing a connection.
[[nodiscard]] inline bool CanRestore(const StateVector& has, const StateVector& wanted) {
  return has.schema.empty() || !wanted.schema.empty();
}

// How a server of the family reads a session's texts. `server_version` as in sql::LexerMode. The
// defaults are the server's own (its global sql_mode, the character set of its greeting), for what
// the session has not set.
[[nodiscard]] sql::LexerMode LexerModeOf(const StateVector& state, ServerFamily family,
                                         uint32_t server_version,
                                         std::string_view default_sql_mode = {},
                                         std::string_view default_charset = {});

// The lexer's part of an sql_mode: names in any case separated by commas, combinations such as ANSI
// and ORACLE, or a number.
struct SqlModeBits {
  bool ansi_quotes = false;
  bool no_backslash_escapes = false;
  bool ignore_space = false;
  bool oracle = false;
  bool operator==(const SqlModeBits&) const = default;
};
[[nodiscard]] SqlModeBits ParseSqlMode(std::string_view sql_mode);

// The character set that the client's texts are in, lower case; empty: the server's default.
[[nodiscard]] std::string ClientCharset(const StateVector& state, ServerFamily family);

// The session's own wait_timeout, seconds: a connection that was brought into this state is closed
// by its server after that time. Nothing: the server's default. `interactive_timeout` is the
// server's, for logins with CLIENT_INTERACTIVE.
[[nodiscard]] std::optional<uint64_t> WaitTimeoutOf(const StateVector& state,
                                                    uint64_t interactive_timeout = 0);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_SESSION_STATE_H_
