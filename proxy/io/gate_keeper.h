// What a worker asks of whoever keeps the gates, and what it is told: the seam between the data
// path and the control thread.
//
// Purpose: only where a shard is not plainly serving (routing/gate_board.h) does a statement come
// here; the keeper holds the places, the order and the limits of all workers together.
// Threads: GateKeeper from any worker's thread, never blocking; GateClient's methods are called on
// that worker's own thread.
// Units: monotonic nanoseconds, bytes.
#ifndef BULKHEAD_PROXY_IO_GATE_KEEPER_H_
#define BULKHEAD_PROXY_IO_GATE_KEEPER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "routing/ids.h"

namespace bulkhead::io {

// A statement that was not sent and asks to be let through.
struct HeldStatement {
  uint64_t ticket = 0;  // the session's id above, the number of its wait below
  uint32_t worker = 0;
  routing::ShardId shard;
  std::string tenant;
  uint64_t bytes = 0;
  uint64_t since_ns = 0;  // when its first byte came: earlier waits count
  bool is_read = false;
  bool plain_read = false;                    // a replica will do, where the policy says so
  bool continues_transaction = false;         // on a connection of its own
  std::optional<routing::HoldPolicy> policy;  // the tenant's own
};

// A statement whose outcome is not known: what SHOW UNKNOWN lists.
struct UnknownStatement {
  std::string tenant;
  std::string shard;
  std::string backend;
  std::string digest;
  uint32_t thread_id = 0;   // of the backend connection
  uint32_t session_id = 0;  // the client's
  uint64_t sent_ns = 0;
};

// A connection that was reset while something of it may still run on the server.
struct AbandonedConnection {
  uint32_t thread_id = 0;
};

// The gate's yes.
struct GateRelease {
  uint64_t ticket = 0;
  routing::BackendId replica;  // invalid: to the primary
};

// The gate's no, not executed.
struct GateRefusal {
  uint64_t ticket = 0;
  uint16_t code = 0;  // 9401 to 9404
  uint32_t retry_after_ms = 0;
  std::string reason;  // "shard s2 is down since 06:49:12Z"
};

class GateKeeper {
 public:
  virtual ~GateKeeper() = default;
  // GateClient::OnReleased or OnRefused follows, unless Cancel comes first (they may cross).
  virtual void Enqueue(HeldStatement statement) = 0;
  virtual void Cancel(routing::ShardId shard, uint64_t ticket) = 0;
  // A released statement has ended: the ramp goes by it.
  virtual void Finished(routing::ShardId shard, uint64_t ticket, uint64_t took_ns, bool ok) = 0;
  // A statement that may make another kind of table is on its way to this backend.
  virtual void NoteDdl(routing::BackendId backend) = 0;
  virtual void NoteUnknown(UnknownStatement statement) = 0;
  // A connection was closed under a statement that may still run on the server: its client left, or
  // it broke.
  virtual void NoteLeft(routing::BackendId backend, AbandonedConnection connection) = 0;
  // The answer to Worker::PostGiveUp: connections that were reset under something that may still
  // run on the server.
  virtual void NoteAbandoned(routing::BackendId backend,
                             std::vector<AbandonedConnection> connections) = 0;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_GATE_KEEPER_H_
