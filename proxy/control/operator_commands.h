// What an operator may ask for, as plain values: the seam between the admin statements and the
// control thread.
//
// Purpose: proxy/admin parses a statement into one OperatorCommand and submits it; the control
// thread checks it against the topology of that moment, stores what is to last, publishes, and
// answers. SHOW, SELECT and EXPLAIN are no commands: they only read (proxy/admin).
// Threads: values. OperatorDesk's methods from any thread, never blocking; its callbacks come on
// the control thread: post from them, do no work there.
// Units: routing::Duration. Names are as typed; whether they exist is the desk's to say.
#ifndef BULKHEAD_PROXY_CONTROL_OPERATOR_COMMANDS_H_
#define BULKHEAD_PROXY_CONTROL_OPERATOR_COMMANDS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "routing/mono_time.h"
#include "routing/tenant_limits.h"
#include "routing/topology.h"

namespace bulkhead::control {

using routing::Duration;

// A shard or a tenant.
struct SliceName {
  enum class Kind : uint8_t { kShard, kTenant };
  Kind kind = Kind::kShard;
  std::string name;
  friend bool operator==(const SliceName&, const SliceName&) = default;
};

struct HoldSlice {
  SliceName slice;
  std::optional<Duration> lasting;  // absent: until it is released
};
struct RejectSlice {
  SliceName slice;
  std::optional<Duration> lasting;
};
struct ReleaseSlice {
  SliceName slice;
  bool force = false;  // also a shard that is down
};

struct MarkBackend {
  enum class As : uint8_t { kDown, kUp, kAuto };
  std::string backend;
  As as = As::kAuto;
};
struct DrainBackend {
  std::string backend;
  Duration timeout = std::chrono::seconds(60);
};
struct DisableBackend {
  std::string backend;
};
struct EnableBackend {
  std::string backend;
};

struct Switchover {
  std::string shard;
  std::string to;
  Duration timeout = std::chrono::seconds(10);
  bool dry_run = false;
};
struct Failover {
  std::string shard;
  std::string to;
  bool dry_run = false;
  bool accept_data_loss = false;
  bool accept_split_brain = false;
  bool automatic = false;  // the router's own
};
struct CancelOperation {
  uint64_t number = 0;
};

struct CreateBackend {
  routing::BackendSpec spec;
};
// Absent members stay as they are.
struct AlterBackend {
  std::string name;
  std::optional<routing::Address> address;
  std::optional<routing::ServerFamily> family;
  std::optional<routing::BackendTls> tls;
  std::optional<uint32_t> max_connections;  // 0: the process's default again
};
struct DropBackend {
  std::string name;
};
struct CreateShard {
  routing::ShardSpec spec;
};
struct AlterShard {
  std::string name;
  std::optional<std::string> primary;  // raises the epoch; nothing is done on the servers
  std::optional<std::vector<std::string>> replicas;
  routing::HoldOverrides hold;  // those that are given
  bool reset_hold = false;      // the process's defaults again
  std::optional<bool> production;
  std::optional<routing::FailoverMode> failover{};
};
struct DropShard {
  std::string name;
};
struct CreateTenant {
  routing::TenantSpec spec;
};
struct AlterTenant {
  std::string name;
  std::optional<routing::Pooling> pooling;
  std::optional<routing::HoldPolicy> hold;
  std::optional<std::string> physical_database;
};
struct DropTenant {
  std::string name;
};
// Holds the tenant, waits for what it runs, flips, releases. Data is the operator's matter.
struct AssignTenant {
  std::string tenant;
  std::string shard;
  Duration timeout = std::chrono::seconds(10);
};
struct AssignSlots {
  uint16_t first = 0;
  uint16_t last = 0;
  std::string shard;
};

struct KillSession {
  uint64_t id = 0;
  bool query_only = false;
};
struct LimitTenant {
  std::string tenant;
  std::optional<routing::TenantLimit> limit;  // absent: the default again
};
struct SetVariable {
  std::string name;
  std::string value;
};
struct ReloadConfig {};
struct Shutdown {};
struct DrillHang {
  std::string shard;
  Duration lasting = std::chrono::seconds(30);
  bool force = false;
};

using OperatorCommand =
    std::variant<HoldSlice, RejectSlice, ReleaseSlice, MarkBackend, DrainBackend, DisableBackend,
                 EnableBackend, Switchover, Failover, CancelOperation, CreateBackend, AlterBackend,
                 DropBackend, CreateShard, AlterShard, DropShard, CreateTenant, AlterTenant,
                 DropTenant, AssignTenant, AssignSlots, KillSession, LimitTenant, SetVariable,
                 ReloadConfig, Shutdown, DrillHang>;

// Who asks: for the audit line, the event log and SHOW OPERATIONS.
struct OperatorOrigin {
  std::string user;
  std::string address;
  std::string statement;  // as typed, secrets removed
};

// How a command ended. Exactly one for each that was submitted.
struct OperatorReply {
  bool ok = false;
  uint16_t code = 0;      // of the admin's ERR packet if not ok
  std::string message{};  // ok: what was done, in a line; else what is wrong and the way out
  // A report (DRY RUN, DRILL): empty columns, none.
  std::vector<std::string> columns{};
  std::vector<std::vector<std::string>> rows{};
  // More of it than a line holds, such as every reason of a refusal: for SHOW WARNINGS.
  std::vector<std::string> notes{};
};

class OperatorDesk {
 public:
  struct Callbacks {
    // How far a command that waits is; any number of times, before `done`. May be empty.
    std::function<void(const std::string& words)> progress;
    std::function<void(OperatorReply)> done;
  };
  virtual ~OperatorDesk() = default;
  // The ticket is for CancelSubmitted.
  virtual uint64_t Submit(OperatorCommand command, OperatorOrigin origin, Callbacks callbacks) = 0;
  // The operator pressed Ctrl-C or left: what waits is given up and put back, then `done` comes.
  // Nothing happens if it has ended.
  virtual void CancelSubmitted(uint64_t ticket) = 0;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_OPERATOR_COMMANDS_H_
