// Prepared statements that survive a change of backend connection.
//
// Purpose: what a client has prepared (by its own ids), what each backend connection has prepared
// (by the server's), and the rewriting of executions from the one to the other.
// Thread: one worker's.
// Units: payloads without frame headers, beginning with the command byte.
// Limits: statements of a session and of a connection, both given by the caller. A session or a
// connection without prepared statements pays one pointer.
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

#include "absl/hash/hash.h"
#include "proxy/session/interned.h"
#include "proxy/session/session_state.h"
#include "proxy/wire/byte_writer.h"
#include "proxy/wire/capabilities.h"

namespace bulkhead::session {

// The text of a prepared statement, shared by all sessions of the worker that have prepared it.
class StatementText {
 public:
  explicit StatementText(std::string_view sql) : sql_(sql) {}
  [[nodiscard]] const std::string& sql() const { return sql_; }
  bool operator==(std::string_view sql) const { return sql_ == sql; }

 private:
  std::string sql_;
};
using StatementTextPtr = Interned<StatementText>;

class StatementTexts {
 public:
  [[nodiscard]] StatementTextPtr Intern(std::string_view sql) { return texts_.Intern(sql); }
  // Distinct texts in use.
  [[nodiscard]] size_t size() const { return texts_.size(); }

 private:
  Interner<StatementText> texts_;
};

// The types of a statement's placeholders: the type byte and the unsigned flag (0x8000), as on the
// wire. Empty: none bound yet.
using BoundTypes = std::vector<uint16_t>;

struct ClientStatement {
  uint32_t id = 0;  // the client's
  uint16_t parameter_count = 0;
  uint16_t column_count = 0;
  uint64_t metadata_hash = 0;
  StatementTextPtr text;
  StateVectorPtr prepared_in;      // the session's state at the time
  BoundTypes types;                // as the client bound them last
  bool long_data_pending = false;  // COM_STMT_SEND_LONG_DATA since the last execution
  bool cursor_open = false;
  // Has used long data or a cursor: it gets a server statement that no other client statement of
  // the session shares.
  bool wants_own = false;

  // For ServerStatements: 0, or the client's id where it wants its own.
  [[nodiscard]] uint32_t private_id() const { return wants_own ? id : 0; }
};

// What one session has prepared. Empty: one pointer.
class ClientStatements {
 public:
  ClientStatements();
  ~ClientStatements();
  ClientStatements(ClientStatements&&) noexcept;
  ClientStatements& operator=(ClientStatements&&) noexcept;

  // The id that the next Add gives: what a client is told in place of the server's.
  [[nodiscard]] uint32_t next_id() const;
  // A new statement with next_id(). The pointer holds until Remove or Clear. nullptr: there are
  // `limit` of them (1461, ER_MAX_PREPARED_STMT_COUNT_REACHED).
  ClientStatement* Add(StatementTextPtr text, StateVectorPtr prepared_in, size_t limit);
  // nullptr: there is none (1243, ER_UNKNOWN_STMT_HANDLER). 0xFFFFFFFF is the one that was added
  // last, while it is there.
  [[nodiscard]] ClientStatement* Find(uint32_t id);
  // A preparation has failed: 0xFFFFFFFF means none until the next Add.
  void ForgetLast();
  // Takes 0xFFFFFFFF too. False: there is none.
  bool Remove(uint32_t id);
  // After a reset or a change of user; ids begin anew.
  void Clear();
  [[nodiscard]] size_t size() const;
  // Some statement has long data pending, or an open cursor.
  [[nodiscard]] bool AnyLongData() const;
  [[nodiscard]] bool AnyCursor() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One statement on one backend connection.
struct ServerStatement {
  uint32_t id = 0;  // the server's
  StatementTextPtr text;
  StateVectorPtr prepared_in;
  uint32_t private_id = 0;  // see ClientStatement
  BoundTypes types;         // bound there last; empty: none, or not known
};

// What one backend connection has prepared: the least recently used go first. Empty: one pointer.
class ServerStatements {
 public:
  ServerStatements();
  ~ServerStatements();
  ServerStatements(ServerStatements&&) noexcept;
  ServerStatements& operator=(ServerStatements&&) noexcept;

  // nullptr: it must be prepared there. A found one is the most recently used now.
  [[nodiscard]] ServerStatement* Find(const StatementTextPtr& text,
                                      const StateVectorPtr& prepared_in, uint32_t private_id = 0);
  // Remembers a statement just prepared. The ids appended to *to_close are to be sent in
  // COM_STMT_CLOSE. Private ones (which may have cursors) are not chosen for that. The pointer
  // holds until the next Add, Remove, ClosePrivate or Clear.
  ServerStatement* Add(uint32_t server_id, StatementTextPtr text, StateVectorPtr prepared_in,
                       uint32_t private_id, size_t limit, std::vector<uint32_t>* to_close);
  // The client has closed its own: *to_close gets the id of the private server statement, if there
  // is one. Shared ones stay for whoever comes next.
  void ClosePrivate(uint32_t private_id, std::vector<uint32_t>* to_close);
  // The session gives the connection back: all private ones.
  void CloseAllPrivate(std::vector<uint32_t>* to_close);
  // The server no longer takes this id, or describes the statement otherwise.
  void Remove(uint32_t server_id);
  // After COM_RESET_CONNECTION or COM_CHANGE_USER: servers drop all.
  void Clear();
  [[nodiscard]] size_t size() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

enum class ExecuteRewrite : uint8_t {
  kInPlace,    // the payload has the server's id now and can be sent
  kRebuilt,    // *out holds what to send instead of the payload
  kNoTypes,    // no types in the packet and none bound before: 1210, ER_WRONG_ARGUMENTS
  kMalformed,  // 1835, ER_MALFORMED_PACKET
};

// Makes a COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE fit for the server's statement. Notes in both
// statements which types are bound from now on.
// `payload` may be the first part of a longer packet, if that holds at least the null bitmap and
// the types; *out then replaces that part, and the packet is longer by as much as *out is: the
// caller mends the frame header, and can't where the packet has several frames.
[[nodiscard]] ExecuteRewrite RewriteExecute(std::span<uint8_t> payload,
                                            wire::Capabilities capabilities,
                                            ClientStatement* statement, ServerStatement* server,
                                            wire::ByteBuffer* out);

// An error came: whether the server took the types is not known.
inline void ForgetBoundTypes(ServerStatement* server) { server->types.clear(); }

// The flags byte of a COM_STMT_EXECUTE asks for a cursor. False for a payload that is too short.
[[nodiscard]] bool AsksForCursor(std::span<const uint8_t> payload);

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_PREPARED_STATEMENTS_H_
