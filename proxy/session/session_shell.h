// What a session asks of the world around it, and the plain values that pass between the two.
//
// Purpose: the seam between decisions (Session) and I/O (io::SessionRunner, io::BackendPool; in
// tests a recording fake). Thread: the worker's.
#ifndef BULKHEAD_PROXY_SESSION_SESSION_SHELL_H_
#define BULKHEAD_PROXY_SESSION_SESSION_SHELL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "proxy/auth/user.h"
#include "proxy/session/backend_link.h"
#include "proxy/session/login.h"
#include "proxy/session/prepared_statements.h"
#include "proxy/session/router_error.h"
#include "proxy/session/session_state.h"
#include "proxy/sql/statement.h"
#include "proxy/wire/client_errors.h"
#include "routing/ids.h"
#include "routing/tenant_limits.h"
#include "routing/tenant_resolution.h"
#include "routing/topology.h"
#include "routing/transactional_tables.h"

namespace bulkhead::session {

// Where a command goes.
struct RouteTarget {
  routing::ShardId shard{};
  routing::BackendId backend{};
  bool any_backend = false;  // needs no tenant's data: whichever backend answers
  bool operator==(const RouteTarget&) const = default;
};

// "[bulkhead 9401] shard is ...": an error of the router's own with its standard text, or with a
// better one.
[[nodiscard]] RouterError MakeRouterError(wire::ClientError code, std::string_view detail,
                                          std::string_view tenant);

// Who logged in, and what was agreed with them.
struct SessionLogin {
  uint32_t connection_id = 0;
  uint64_t capabilities = 0;
  uint32_t collation = 0;
  std::shared_ptr<const auth::UserRecord> user;
  std::string user_as_given;
  std::string schema;            // as the client named it
  std::string tenant_from_user;  // the source "user name"
  std::string tenant_from_attribute;
  std::string client_host;
  std::shared_ptr<const auth::LoginSecret> secret;  // for logging on to backends
  bool session_pooling = false;
  // With session pooling: the client's connection attributes, for the backend to see.
  std::shared_ptr<const Attributes> attributes;
  // The pool's number for this user's account with these capabilities.
  uint32_t pool_account = 0;
};

// Diagnostics fetched from a connection before another session got it.
struct SavedDiagnostics {
  std::vector<uint8_t>
      warnings;  // the server's whole answer to SHOW WARNINGS, packets with sequence ids from 1
  uint64_t warning_count = 0;
  std::optional<uint64_t> last_insert_id;
};

// How a statement ended, for counters. Each command ends as exactly one.
enum class Outcome : uint8_t {
  kOk,
  kServerError,
  kRefused,  // the router's error; not executed
  kRolledBack,
  kUnknown,
  kStateLost,
};

enum class ReleaseHow : uint8_t {
  kFree,   // clean: anyone may have it
  kReset,  // COM_RESET_CONNECTION first
  kClose,  // in the middle of something, or in a state that is not known
};

class Session;

struct LinkRequest {
  RouteTarget target;
  const SessionLogin* login = nullptr;
  const StateVectorPtr* state = nullptr;
  // Where none can be opened because the backend can't be reached: wait, and try again now and
  // then. The gate will close, or the backend be there again.
  bool waits_out = false;
};

// A command that was not sent asks its shard's gate to be let through.
struct GateRequest {
  routing::ShardId shard{};
  std::string_view tenant;
  uint64_t bytes = 0;     // what holding it costs
  uint64_t since_ns = 0;  // when its first byte came
  bool is_read = false;
  bool plain_read = false;                    // a replica will do, where the policy says so
  bool continues_transaction = false;         // on a connection that it holds
  std::optional<routing::HoldPolicy> policy;  // the tenant's own
};

// A statement whose outcome can't be known, for SHOW UNKNOWN.
struct UnknownOutcome {
  RouteTarget target;
  std::string_view tenant;
  std::string digest;
  uint32_t thread_id = 0;  // of the connection it was sent on
  uint64_t sent_ns = 0;
};

class SessionShell {
 public:
  virtual ~SessionShell() = default;
  [[nodiscard]] virtual uint64_t NowNs() const = 0;
  virtual void SendToClient(std::span<const uint8_t> bytes) = 0;
  // After what was sent has been delivered, or at once.
  virtual void CloseClient() = 0;
  // The session takes client bytes again although its last command is not finished: LOCAL INFILE.
  virtual void ClientBytesWanted() = 0;

  // A connection at once, or nullptr: then OnLink or OnLinkFailed follows, never from within this
  // call. *error is set where none can be had.
  [[nodiscard]] virtual BackendLink* Acquire(const LinkRequest& request,
                                             std::optional<RouterError>* error) = 0;
  virtual void CancelAcquire() = 0;
  // The session has no use for it now, but would like to find it again: kLent -> kKept, and back.
  virtual void Keep(BackendLink* link) = 0;
  // False: the server has closed it meanwhile; it is gone, and nothing was sent on it.
  [[nodiscard]] virtual bool Retake(BackendLink* link) = 0;
  virtual void Release(BackendLink* link, ReleaseHow how) = 0;

  // Whether a command for this shard may be sent now. Two loads.
  [[nodiscard]] virtual bool GateOpen(routing::ShardId shard, bool is_read) = 0;
  // Whether this backend answers: statements that need no tenant's data go elsewhere if not.
  [[nodiscard]] virtual bool BackendAnswers(routing::BackendId backend) = 0;
  // OnGateReleased or OnGateRefused follows, never from within this call.
  virtual void WaitAtGate(const GateRequest& request) = 0;
  virtual void LeaveGate() = 0;
  // A command that was let through has ended.
  virtual void GateDone(routing::ShardId shard, uint64_t took_ns, bool ok) = 0;
  virtual void NoteUnknown(const UnknownOutcome& outcome) = 0;
  // A statement is about to be sent that may make a table of another kind.
  virtual void NoteDdl(routing::BackendId backend) = 0;

  // KILL with an id that a client of this process was given, or with an id of the tenant's backend
  // that serves one: of the same user, and of the same tenant where both have one. OnKillDone
  // follows.
  virtual void Kill(uint64_t id, bool query_only) = 0;
  // COM_CHANGE_USER: the login machine takes the input over; OnUserChanged or OnChangeUserRefused
  // follows.
  virtual void ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) = 0;

  virtual void CountStatement(routing::ShardId shard, sql::StatementKind kind, Outcome outcome,
                              uint64_t duration_ns) = 0;
  virtual void CountRestore() = 0;
};

// What all sessions of a worker share.
struct SessionContext {
  StateInterner* states = nullptr;
  StatementTexts* texts = nullptr;
  std::shared_ptr<const routing::Topology>
      topology;  // replaced by the worker when a new one is published
  const routing::TenantRules* rules = nullptr;
  size_t max_prepared_statements =
      16382;  // a session; what servers allow all sessions together by default
  size_t max_server_statements = 256;                   // a backend connection
  uint64_t max_packet = 1ull << 30;                     // bytes of a command
  ServerFamily server_family = ServerFamily::kMariadb;  // of the listener
  uint32_t server_version = 0;                          // of the listener's greeting, as a number
  // Where a transaction that was lost with its server was rolled back for certain; null: nowhere.
  std::shared_ptr<const routing::TransactionalTables> tables;
  routing::TenantLimits* limits = nullptr;  // of the process; may be null: none
  uint64_t max_wait_ns = 0;  // how long a statement is held, where its shard says nothing else
  routing::HoldPolicy hold = routing::HoldPolicy::kHold;  // where neither tenant nor shard says it
  bool gates_close = true;       // soon: not where there are no probes, or only to be observed
  bool read_retry = false;       // a plain SELECT whose connection was lost is sent once more
  std::vector<uint8_t> scratch;  // for building packets; valid until the next use
};

}  // namespace bulkhead::session

#endif  // BULKHEAD_PROXY_SESSION_SESSION_SHELL_H_
