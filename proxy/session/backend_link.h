// What the router knows of one logged-on backend connection, whoever uses it at the moment.
//
// Purpose: the bookkeeping that makes a connection safe to share: the session state it has, its
// prepared statements, what
//   its last user has not read yet, and who may use it. The shell derives from it and moves the
//   bytes.
// Thread: the worker's that owns the connection.
#ifndef BULKHEAD_PROXY_SESSION_BACKEND_LINK_H_
#define BULKHEAD_PROXY_SESSION_BACKEND_LINK_H_

#include <cstdint>
#include <span>
#include <string>

#include "proxy/session/prepared_statements.h"
#include "proxy/session/session_state.h"
#include "routing/ids.h"

namespace bulkhead::session {

class Session;

// Diagnostics of the last statement that a later one of the same session may ask for.
struct UnreadDiagnostics {
  bool warnings = false;  // the warnings list is not empty, or the statement ended in an error
  bool last_insert_id =
      false;  // LAST_INSERT_ID() may have changed and its value is only known to the server
  bool status = false;  // an error carries no status flags: the server may be in a transaction
  [[nodiscard]] bool any() const { return warnings || last_insert_id || status; }
};

class BackendLink {
 public:
  enum class Use : uint8_t {
    kFree,    // idle, nobody's
    kKept,    // idle, but its last session would like to find it again
    kLent,    // a session is using it
    kErrand,  // the router itself is using it: reset, diagnostics, ping
    kGone,    // closed
  };

  virtual ~BackendLink() = default;
  BackendLink() = default;
  BackendLink(const BackendLink&) = delete;
  BackendLink& operator=(const BackendLink&) = delete;

  // Sends to the backend; the shell keeps what the socket does not take.
  virtual void Send(std::span<const uint8_t> bytes) = 0;
  // A request is whole and its answer is awaited; and it has ended. Between the two the shell
  // watches for silence. `committed`: a client's own write is durable, which proves the server's
  // disk.
  virtual void BeginExchange(bool /*may_write*/) {}
  virtual void EndExchange(bool /*committed*/) {}
  // The server refused a write because it is read_only.
  virtual void NoteReadOnly() {}
  // Whether something that was sent has not left this process.
  [[nodiscard]] virtual bool HasUnsent() const { return false; }

  Use use = Use::kFree;
  Session* owner = nullptr;  // of kKept and kLent
  routing::BackendId backend{};
  uint32_t thread_id = 0;     // the server's
  uint64_t capabilities = 0;  // agreed with the server
  uint16_t status = 0;        // of the last OK or EOF
  ServerFamily family = ServerFamily::kMariadb;
  uint32_t server_version = 0;        // 101113, 90700
  bool dirty = false;                 // must be reset before another session gets it
  bool has_foreign_warnings = false;  // the warnings list is another session's
  bool needs_ping = false;      // was idle while the backend was down: asked before it is used
  UnreadDiagnostics unread;     // of the owner's
  std::string last_text;        // the beginning of the text that was sent last
  uint64_t last_insert_id = 0;  // what LAST_INSERT_ID() says, while unread.last_insert_id is false
  StateVectorPtr state;
  ServerStatements statements;
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_BACKEND_LINK_H_
