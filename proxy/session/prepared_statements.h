// Prepared statements that survive a change of backend connection.
//
// Purpose: what a client has prepared (by its own ids), what each backend connection has prepared
// (by the server's), and the rewriting of executions from the one to the other.
// Thread: one worker's.
// Units: payloads without frame headers, beginning with the command byte.
// Limits: statements and bytes of texts of a session, statements of a connection; all given by the
// caller. A connection without prepared statements pays one pointer.
// Sources: dev.mysql.com page_protocol_com_stmt_prepare, _execute, _send_long_data, _reset, _close;
// MariaDB "COM_STMT_PREPARE" (0xFFFFFFFF: the one prepared last), "COM_STMT_BULK_EXECUTE";
// parse_query_bind_params in MySQL's sql/protocol_classic.cc; setup_conversion_functions in
// MariaDB's sql/sql_prepare.cc (types are kept by the statement until others come).
#ifndef BULKHEAD_PROXY_SESSION_PREPARED_STATEMENTS_H_
#define BULKHEAD_PROXY_SESSION_PREPARED_STATEMENTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "proxy/session/interned.h"
#include "proxy/session/router_error.h"
#include "proxy/session/session_state.h"
#include "proxy/sql/statement.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

// A text as a server reads it in some mode.
struct StatementKey {
  std::string_view sql;
  sql::LexerMode mode;

  template <typename H>
  friend H AbslHashValue(H state, const StatementKey& key) {
    return H::combine(std::move(state), key.sql);
  }
};

// The text of a prepared statement and what the lexer says of it: read once, shared by all sessions
// of the worker that have prepared it.
class StatementText {
 public:
  explicit StatementText(const StatementKey& key);
  StatementText(const StatementText&) = delete;
  StatementText& operator=(const StatementText&) = delete;

  [[nodiscard]] const std::string& sql() const { return sql_; }
  bool operator==(const StatementKey& key) const;

 private:
  const std::string sql_;
  const sql::LexerMode mode_;

 public:
  const sql::StatementInfo info;  // views point into sql()
  const bool sets_tenant;         // SET @tenant = ..., alone or among others
};
using StatementTextPtr = Interned<StatementText>;

class StatementTexts {
 public:
  [[nodiscard]] StatementTextPtr Intern(std::string_view sql, const sql::LexerMode& mode) {
    return texts_.Intern(StatementKey{sql, mode});
  }
  // Distinct texts in use.
  [[nodiscard]] size_t size() const { return texts_.size(); }

 private:
  Interner<StatementText> texts_;
};

// The types of a statement's placeholders as a type section has them: two bytes each, and with
// CLIENT_QUERY_ATTRIBUTES an empty name. Empty: none bound yet, or not known.
using BoundTypes = std::vector<uint8_t>;

struct ClientStatement {
  uint32_t id = 0;  // the client's; ClientStatements::Add gives it
  uint16_t parameter_count = 0;
  uint16_t column_count = 0;
  bool long_data = false;  // COM_STMT_SEND_LONG_DATA since the last execution
  bool cursor_open = false;
  // Of a parameter's data that was not sent: COM_STMT_SEND_LONG_DATA has no answer, so it is the
  // next execution's.
  std::unique_ptr<RouterError> refused_data;
  // Has used long data or a cursor: it gets a server statement that no other client statement of
  // the session shares.
  bool wants_own = false;
  uint64_t metadata_hash = 0;  // of the columns that the client knows of
  StatementTextPtr text;
  StateVectorPtr prepared_in;  // the session's state at the time
  BoundTypes types;            // as the client bound them last

  // For ServerStatements: 0, or the client's id where it wants its own.
  [[nodiscard]] uint32_t private_id() const { return wants_own ? id : 0; }
};

// What one session has prepared.
class ClientStatements {
 public:
  static constexpr size_t kMaxStatements = 16382;  // the servers' default
  static constexpr size_t kMaxTextBytes = size_t{16} << 20;

  explicit ClientStatements(size_t max_statements = kMaxStatements,
                            size_t max_text_bytes = kMaxTextBytes)
      : max_statements_(max_statements), max_text_bytes_(max_text_bytes) {}

  // No further statement can be added: 1461, ER_MAX_PREPARED_STMT_COUNT_REACHED.
  [[nodiscard]] bool full() const {
    return statements_.size() >= max_statements_ || text_bytes_ >= max_text_bytes_;
  }
  // The id that the next Add gives: what the client is to be told in place of the server's.
  [[nodiscard]] uint32_t next_id() const { return next_id_; }
  // Must not be called while full(). The pointer holds until Remove or Clear.
  ClientStatement* Add(ClientStatement statement);
  // A preparation has failed: 0xFFFFFFFF means none until the next Add.
  void NoteFailedPrepare() { last_ = 0; }
  // nullptr: there is none (1243, ER_UNKNOWN_STMT_HANDLER). 0xFFFFFFFF is the one that was added
  // last, while it is there.
  [[nodiscard]] ClientStatement* Find(uint32_t id);
  // Takes 0xFFFFFFFF too. False: there is none.
  bool Remove(uint32_t id);
  // After a reset or a change of user; ids begin anew.
  void Clear();

  [[nodiscard]] size_t size() const { return statements_.size(); }
  [[nodiscard]] size_t text_bytes() const { return text_bytes_; }
  // Some statement has long data pending, or an open cursor. Costs a walk over those that ever had.
  [[nodiscard]] bool AnyLongData() const;
  [[nodiscard]] bool AnyCursor() const;

 private:
  [[nodiscard]] uint32_t Resolve(uint32_t id) const;

  size_t max_statements_;
  size_t max_text_bytes_;
  size_t text_bytes_ = 0;
  uint32_t next_id_ = 1;
  uint32_t last_ = 0;
  absl::flat_hash_map<uint32_t, std::unique_ptr<ClientStatement>> statements_;
};

// What one backend connection has prepared: the least recently used go first. Empty: one pointer.
class ServerStatements {
 public:
  static constexpr size_t kDefaultLimit = 256;

  struct Entry {
    uint32_t server_id = 0;
    BoundTypes types;  // bound there last
    StatementTextPtr text;
    StateVectorPtr prepared_in;
    uint32_t private_id = 0;
    uint64_t metadata_hash = 0;    // of its columns, as the server told them at the preparation
    bool resends_columns = false;  // prepared so that its next answer says them anew
  };

  ServerStatements();
  ~ServerStatements();
  ServerStatements(ServerStatements&&) noexcept;
  ServerStatements& operator=(ServerStatements&&) noexcept;

  // At least 1; holds from the next Insert on.
  void set_limit(size_t limit);
  // nullptr: it must be prepared there. A found one is the most recently used now. The pointer
  // holds until it is removed.
  [[nodiscard]] Entry* Find(const StatementTextPtr& text, const StateVectorPtr& prepared_in,
                            uint32_t private_id = 0);
  // Remembers a statement just prepared. Returns server ids to be sent in COM_STMT_CLOSE. Private
  // entries are not chosen for that: they may hold a cursor.
  [[nodiscard]] std::vector<uint32_t> Insert(const StatementTextPtr& text,
                                             const StateVectorPtr& prepared_in, uint32_t server_id,
                                             uint32_t private_id = 0, uint64_t metadata_hash = 0);
  // Forgets it, whatever the caller tells the server.
  void Remove(const StatementTextPtr& text, const StateVectorPtr& prepared_in,
              uint32_t private_id = 0);
  // The session closes its own statement, or (0) gives the connection back: returns the server ids
  // of its private entries, which are forgotten. Shared ones stay for whoever comes next.
  [[nodiscard]] std::vector<uint32_t> TakePrivate(uint32_t private_id = 0);
  // After COM_RESET_CONNECTION or COM_CHANGE_USER: servers drop all.
  void Clear();
  [[nodiscard]] size_t size() const;

 private:
  struct Lru;
  Lru& lru();

  std::unique_ptr<Lru> lru_;
};

enum class ExecuteRewrite : uint8_t {
  kInPlace,    // the payload has the server's id now and can be sent
  kRebuilt,    // *out holds what to send instead of the payload
  kNoTypes,    // no types in the packet and none bound before: 1210, ER_WRONG_ARGUMENTS
  kMalformed,  // 1835, ER_MALFORMED_PACKET
};

// Makes a COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE fit for the server's statement, and notes in
// both which types are bound from now on.
// `payload` may be the first part of a longer packet, if that holds the null bitmap and the types.
// *out is appended to; the packet is longer by as much as was appended more than `payload` has: the
// caller mends the frame header, and can't where the packet has several frames.
[[nodiscard]] ExecuteRewrite RewriteExecute(std::span<uint8_t> payload,
                                            wire::Capabilities capabilities,
                                            ClientStatement* statement,
                                            ServerStatements::Entry* entry, wire::ByteBuffer* out);

// The flags of a COM_STMT_EXECUTE ask for a cursor. False for a payload that is too short.
[[nodiscard]] bool AsksForCursor(std::span<const uint8_t> payload);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_PREPARED_STATEMENTS_H_
