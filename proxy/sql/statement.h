// What the router needs to know of one SQL text before it is sent: kind, transaction control, state
// it sets, tenant hint.
//
// Purpose: `Analyze` reads a text once, left to right, without building a tree, and says what a
//   router must know to place it: which session state it sets or may leave behind, whether it can
//   commit, whether it needs a tenant.
// Thread: any; pure functions of their arguments. No allocation for statements that set nothing and
//   name no schema. Time is linear in the text, whatever it holds.
// Limits: the text is as long as the caller gives (it routes from the first 64 KiB; `truncated`
//   says that more follows, and then the flags say what the unseen rest might do).
// Errors: none. What is not understood is `kOther`, and kOther has kCarefulFlags. What the server
//   would refuse as a syntax error may be reported as anything: it changes nothing.
// Not seen from a text: what triggers, views over stored functions and prepared texts do. A caller
//   that needs "leaves nothing behind" for certain must know its tables.
// Several statements in one text (kMultiStatement): kind, schema_name, assignments, kill and
//   prepare fields are the first one's; flags and schemas are of all of them, later_kinds says
//   which kinds follow. The tenant hint is the first found in or before the first statement; behind
//   its semicolon only if nothing but comments follows.
// Sources: MySQL 8.4 and 9 reference manuals ("Lexical structure", "Function name parsing and
//   resolution", "Statements that cause an implicit commit", "User-defined variables", "SQL
//   modes", "SET syntax for variable assignment"), MariaDB knowledge base (same topics; "Comment
//   syntax" for /*M! */), sql/sql_lex.cc, sql/lex.h and sql/item_create.cc of both servers for what
//   the manuals leave open. Compared with MariaDB 10.11 and MySQL 9.7: some hundred thousand random
//   statements each, in nine charsets and several modes (did a variable, a lock, the schema change,
//   was a stored function called, was another schema's table asked for?), each keyword and function
//   called like a function, and every byte of every charset as white space and in comments.
#ifndef BULKHEAD_PROXY_SQL_STATEMENT_H_
#define BULKHEAD_PROXY_SQL_STATEMENT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::sql {

enum class StatementKind : uint8_t {
  kEmpty,   // nothing but white space and comments
  kSelect,  // SELECT, VALUES, TABLE, WITH ... SELECT
  kDml,     // INSERT, UPDATE, DELETE, REPLACE, LOAD DATA/XML (see kLocalInfile), WITH ...
            // UPDATE/DELETE
  kDdl,     // CREATE, ALTER, DROP, TRUNCATE, RENAME, ...: implicit commit (temporary tables apart)
  kBegin,   // BEGIN [WORK], START TRANSACTION
  kCommit,
  kRollback,   // the whole transaction; ROLLBACK TO is kSavepoint
  kSavepoint,  // SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT
  kSet,        // SET in all its forms, see assignments
  kUse,        // USE schema: see schema_name
  kShow,       // SHOW, DESCRIBE, EXPLAIN, HELP, CHECKSUM ...: read only, no transaction
  kKill,       // see kill_id, kill_query_only
  kCall,
  kDo,
  kPrepareText,  // PREPARE s FROM ...
  kExecuteText,  // EXECUTE s, EXECUTE IMMEDIATE
  kDeallocateText,
  kLockTables,  // LOCK TABLES, FLUSH TABLES ... WITH READ LOCK, FLUSH TABLES ... FOR EXPORT, BACKUP
                // LOCK, LOCK INSTANCE
  kUnlockTables,
  kHandler,  // HANDLER ... OPEN keeps state
  kXa,       // all XA verbs
  kAdmin,    // GRANT, FLUSH, ANALYZE, OPTIMIZE, SHUTDOWN, CHANGE MASTER, ...: implicit commit
  kOther,    // not recognised
};

// What a statement does beyond its kind. Bits of StatementInfo::flags.
enum StatementFlag : uint32_t {
  kReadsUserVariable = 1u << 0,  // @x somewhere in an expression
  kWritesUserVariable =
      1u << 1,  // @x := ..., INTO @x, or anything not told apart from it (SET @x is in assignments)
  kUsesLockFunction =
      1u << 2,  // GET_LOCK, RELEASE_LOCK, RELEASE_ALL_LOCKS, service locks (IS_FREE_LOCK is not)
  kUnknownFunction =
      1u << 3,  // name(...) that is no built-in: a stored function, which may do anything
  kReadsLastInsertId = 1u << 4,  // LAST_INSERT_ID(), @@last_insert_id, @@identity
  kSetsLastInsertId = 1u << 5,   // LAST_INSERT_ID(expr)
  kReadsWarnings =
      1u << 6,  // SHOW WARNINGS/ERRORS, GET DIAGNOSTICS, @@warning_count, @@error_count
  kReadsFoundRows = 1u << 7,        // FOUND_ROWS()
  kReadsRowCount = 1u << 8,         // ROW_COUNT()
  kCalcFoundRows = 1u << 9,         // SQL_CALC_FOUND_ROWS
  kCreatesTempTable = 1u << 10,     // CREATE TEMPORARY TABLE / SEQUENCE
  kDropsTempTable = 1u << 11,       // DROP TEMPORARY TABLE
  kMultiStatement = 1u << 12,       // a second statement follows a semicolon
  kImplicitCommit = 1u << 13,       // ends a transaction by itself: DDL, BEGIN, SET autocommit, ...
  kLockingRead = 1u << 14,          // FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE
  kLocalInfile = 1u << 15,          // LOAD DATA LOCAL / LOAD XML LOCAL
  kReferencesTable = 1u << 16,      // FROM, INTO t, UPDATE t, ...: needs a tenant
  kReadsSystemVariable = 1u << 17,  // @@x in an expression
  kConsistentSnapshot = 1u << 18,   // START TRANSACTION WITH CONSISTENT SNAPSHOT
  kChain = 1u << 19,                // COMMIT/ROLLBACK AND CHAIN: a new transaction begins at once
  kReleaseConnection = 1u << 20,    // COMMIT/ROLLBACK RELEASE: the server closes the connection
  kReadOnlyTransaction = 1u << 21,  // START TRANSACTION READ ONLY
  kIntoOutfile = 1u << 22,        // SELECT ... INTO OUTFILE/DUMPFILE: writes, on the server's disk
  kReadsConnectionId = 1u << 23,  // CONNECTION_ID(), @@pseudo_thread_id
  kShowWarningsExactly =
      1u << 24,                // the whole statement is SHOW WARNINGS or SHOW ERRORS without LIMIT
  kHasHintComment = 1u << 25,  // executable or optimizer comment present
  kReadsSessionStatus =
      1u << 26,  // what else only the last connection knows: @@last_gtid, SHOW STATUS, SHOW PROFILE
};

// Set on all that was not understood, and on a text of which a part was not seen.
inline constexpr uint32_t kCarefulFlags = kReadsUserVariable | kWritesUserVariable |
                                          kUsesLockFunction | kUnknownFunction | kMultiStatement |
                                          kImplicitCommit | kReferencesTable;

// One assignment of a SET statement.
struct Assignment {
  enum class Target : uint8_t {
    kUserVariable,  // @x
    kSession,  // x, SESSION x, LOCAL x, @@x, @@session.x, @@local.x (a scope word holds for the
               // bare names behind it too: SET GLOBAL a=1, b=2 sets two globals)
    kNextTransaction,  // @@transaction_isolation / @@tx_read_only without scope, SET TRANSACTION
                       // ...: one shot
    kGlobal,        // GLOBAL x, @@global.x, PERSIST...: affects the server, nothing of the session
    kNames,         // SET NAMES cs [COLLATE co]: value is cs (or DEFAULT), collation in `extra`
    kCharacterSet,  // SET CHARACTER SET / CHARSET cs
    kStatementScope,  // MariaDB SET STATEMENT x=.. FOR ...: kind and flags are those of the inner
                      // statement
    kOther,           // SET PASSWORD, SET ROLE, SET DEFAULT ROLE, SET RESOURCE GROUP, ...
  };
  enum class Value : uint8_t {
    kString,  // a string, hexadecimal or bit literal as written: quotes, introducer, N, adjacent
              // strings; DecodeStringLiteral tells which of them it can read
    kNumber,  // an integer, decimal or float literal, sign included
    kIdentifier,  // one word: utf8mb4, ON, TRADITIONAL, also `x` and, with ANSI_QUOTES, "x" (quotes
                  // included). SET TRANSACTION gives READ-COMMITTED, SERIALIZABLE, ...; ON, OFF for
                  // read only
    kDefault,     // DEFAULT
    kNull,
    kParameter,   // ? (in a text that is prepared)
    kExpression,  // anything else (its text may be cut by a comment: not for sending again), e.g.
                  // CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')
  };
  Target target;
  Value value_kind;
  std::string name;  // lower case, unquoted, without @ and scope; SET TRANSACTION gives
                     // transaction_isolation / transaction_read_only; kOther its words: password,
                     // role, default role, resource group
  std::string_view value;  // as written in the text; of SET TRANSACTION a constant
  std::string_view extra;  // collation of SET NAMES
  bool operator==(const Assignment&) const = default;
};

struct StatementInfo {
  StatementKind kind = StatementKind::kEmpty;
  uint32_t flags = 0;
  uint32_t later_kinds = 0;      // of a multi-statement: 1 << kind of each statement but the first
  std::string_view tenant_hint;  // of a block comment /* tenant=acme */ or one of several key=value
                                 // pairs, quotes stripped, not URL-decoded; empty: none. Executable
                                 // and optimizer comments and line comments do not count
  std::string schema_name;       // USE, unquoted
  std::vector<std::string> schemas;  // distinct qualifiers a in a.b that can be schema names (FROM
                                     // a.b, a.b.c), unquoted, at most 16
  bool schemas_overflow = false;
  std::vector<Assignment> assignments;  // of SET; of several statements all, in their order
  uint64_t kill_id = 0;                 // KILL with a literal
  bool kill_query_only = false;
  bool kill_id_is_literal = false;
  std::string text_prepare_name;  // PREPARE/EXECUTE/DEALLOCATE name, lower case

  [[nodiscard]] bool Has(uint32_t any_of) const { return (flags & any_of) != 0; }
};

// How the server would read the bytes; follows the session's state.
struct LexerMode {
  bool ansi_quotes = false;           // "x" is an identifier
  bool no_backslash_escapes = false;  // \ is an ordinary character in strings
  bool ignore_space = false;          // name ( is a function call too
  bool mariadb = true;                // server family: /*M! */ and MariaDB-only functions
  uint32_t server_version = 101100;   // for /*!NNNNN: 5 or 6 digits; 80036, 101100
  bool oracle = false;  // sql_mode ORACLE: functions need no parentheses, BEGIN opens a block
  bool multibyte_backslash = false;  // a trail byte of the client's charset may be 0x5C or a letter
  uint8_t charset_id_hint = 0;  // CharsetLexing of charset.h; SetClientCharset fills both. With
                                // multibyte_backslash alone, high bytes are not trusted
  bool operator==(const LexerMode&) const = default;
};

// Analyzes one COM_QUERY or COM_STMT_PREPARE text. Views in the result point into `text`.
[[nodiscard]] StatementInfo Analyze(std::string_view text, const LexerMode& mode,
                                    bool truncated = false);

// Text of a string literal as written in an Assignment (quotes, escapes, doubled quotes, N'..',
// _utf8'..' , adjacent literals joined), in the client's charset. False where it is not a plain
// literal (introducers other than utf8/utf8mb3/utf8mb4/latin1/ascii/binary, hex, bit).
[[nodiscard]] bool DecodeStringLiteral(std::string_view as_written, const LexerMode& mode,
                                       std::string* out);

// `text` with every literal replaced by ?, comments dropped and white space folded; at most
// max_bytes. For logs and SHOW UNKNOWN.
[[nodiscard]] std::string Digest(std::string_view text, const LexerMode& mode,
                                 size_t max_bytes = 1024);

// Kind and flags as words, for SHOW SESSIONS, logs and test failures.
[[nodiscard]] std::string_view KindName(StatementKind kind);

}  // namespace bulkhead::sql

#endif  // BULKHEAD_PROXY_SQL_STATEMENT_H_
