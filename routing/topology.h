// The topology: an immutable snapshot of backends, shards, directory, slots and epochs.
//
// Topology is shared as std::shared_ptr<const Topology>; a handler uses one snapshot from start to
// finish. A TopologyBuilder makes the next one: from nothing, or from a snapshot, whose directory
// and slots are shared until they are changed (one changed tenant costs microseconds, not a copy).
//
// Threads: Topology any; TopologyBuilder one. Errors: absl::Status with a sentence that names the
// object (kInvalidArgument, kNotFound, kAlreadyExists, kFailedPrecondition); a failed call changes
// nothing. Limits: 65,535 shards and backends; names of shards and backends are 1..64 of
// [A-Za-z0-9_.-].
#ifndef BULKHEAD_ROUTING_TOPOLOGY_H_
#define BULKHEAD_ROUTING_TOPOLOGY_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "routing/ids.h"
#include "routing/mono_time.h"
#include "routing/tenant_directory.h"

namespace bulkhead::routing {

inline constexpr size_t kSlots = 4096;

// Slot 0..4095 of a tenant without an entry of its own (the top 12 bits of StableTenantHash).
inline uint16_t SlotOfHash(uint64_t hash) { return static_cast<uint16_t>(hash >> 52); }
inline uint16_t SlotOf(std::string_view tenant) { return SlotOfHash(StableTenantHash(tenant)); }

// host:port, [v6]:port, or unix:/path. A name is resolved anew on each connect, not here.
struct Address {
  std::string host{};         // empty for a Unix socket; no brackets around IPv6
  uint16_t port = 0;          // 0 for a Unix socket
  std::string socket_path{};  // empty for TCP

  bool is_unix() const { return !socket_path.empty(); }
  std::string ToString() const;
  // Loopback address or "localhost" or Unix socket: not reachable from other machines.
  bool is_local() const;
  friend bool operator==(const Address&, const Address&) = default;
};
// default_port 0: a port is required.
absl::StatusOr<Address> ParseAddress(std::string_view text, uint16_t default_port = 0);

struct BackendSpec {
  std::string name{};
  Address address{};
  ServerFamily family = ServerFamily::kAuto;
  std::optional<BackendTls> tls{};  // absent: the process's default
  std::optional<uint32_t>
      max_connections{};  // absent: the process's default; of this whole process
  friend bool operator==(const BackendSpec&, const BackendSpec&) = default;
};
struct Backend : BackendSpec {
  BackendId id;
};

// Absent: the process's default. Parsed and kept now, obeyed by the gate.
struct HoldOverrides {
  std::optional<HoldPolicy> policy{};
  std::optional<Duration> max_wait{};
  std::optional<Duration> outage_limit{};
  std::optional<uint32_t> max_statements{};
  std::optional<uint64_t> max_bytes{};
  friend bool operator==(const HoldOverrides&, const HoldOverrides&) = default;
};

struct ShardSpec {
  std::string name{};
  std::string primary{};  // backend names
  std::vector<std::string> replicas{};
  HoldOverrides hold{};
  bool production = false;  // drills on it want FORCE
  FailoverMode failover = FailoverMode::kManual;
};
struct Shard {
  ShardId id;
  std::string name;
  BackendId primary;
  std::vector<BackendId> replicas;
  HoldOverrides hold;
  bool production = false;
  FailoverMode failover = FailoverMode::kManual;
  Epoch epoch;  // raised when the primary changes
};

struct TenantSpec {
  std::string name{};
  std::string shard{};
  std::optional<Pooling> pooling{};
  std::optional<HoldPolicy> hold{};
  std::string physical_database{};  // empty: by the pattern
};

// What becomes of a tenant without an entry of its own.
struct UnassignedReject {
  friend bool operator==(UnassignedReject, UnassignedReject) = default;
};
struct UnassignedSlots {
  friend bool operator==(UnassignedSlots, UnassignedSlots) = default;
};
struct UnassignedShard {
  std::string shard;
  friend bool operator==(const UnassignedShard&, const UnassignedShard&) = default;
};
using Unassigned = std::variant<UnassignedReject, UnassignedSlots, UnassignedShard>;

// Where the answer came from. kUnknown: no entry, and `unassigned` gives none.
enum class TenantOrigin : uint8_t { kUnknown, kDirectory, kSlot, kDefault };

struct LookupResult {
  TenantOrigin origin = TenantOrigin::kUnknown;
  ShardId shard;
  BackendId backend;  // the shard's primary
  Epoch epoch;        // the shard's
  std::optional<Pooling> pooling;
  std::optional<HoldPolicy> hold;
  std::string_view physical_database;  // lives as long as the snapshot

  bool found() const { return origin != TenantOrigin::kUnknown; }
};

class Topology {
 public:
  using SlotTable = std::array<ShardId, kSlots>;

  // One lookup for everything a statement needs; no allocation.
  LookupResult FindTenant(std::string_view tenant) const;
  // The tenant whose entry overrides its physical schema with `schema`; empty if none. Where
  // several tenants (on different shards) share one name, one of them.
  std::string_view TenantOfPhysicalOverride(std::string_view schema) const;

  // nullptr if the id is of another generation or was dropped.
  const Shard* shard(ShardId id) const;
  const Backend* backend(BackendId id) const;
  const Shard* FindShard(std::string_view name) const;
  const Backend* FindBackend(std::string_view name) const;
  // In the order of their index. Live ones only.
  const std::vector<const Shard*>& shards() const { return tables_->live_shards; }
  const std::vector<const Backend*>& backends() const { return tables_->live_backends; }
  // A live backend for what needs no tenant (the first shard's primary); invalid id if there is
  // none.
  BackendId any_backend() const;

  const TenantDirectory& directory() const { return directory_; }
  const SlotTable& slots() const { return *slots_; }
  const Unassigned& unassigned() const { return unassigned_; }
  Epoch version() const { return version_; }

 private:
  friend class TopologyBuilder;
  enum class Rest : uint8_t { kReject, kSlots, kShard };  // unassigned_, for the lookup

  template <typename T>
  struct Slot {
    std::shared_ptr<const T> object;  // null once dropped
    uint16_t generation = 0;          // of the object, or of the last one
  };
  // Shards and backends: shared between snapshots until one of them changes.
  struct Tables {
    std::vector<Slot<Shard>> shards;  // by index
    std::vector<Slot<Backend>> backends;
    std::vector<const Shard*> live_shards;
    std::vector<const Backend*> live_backends;
    absl::flat_hash_map<std::string, uint16_t> shard_index;
    absl::flat_hash_map<std::string, uint16_t> backend_index;
  };

  Topology();
  bool Fill(ShardId id, TenantOrigin origin, LookupResult* result) const;

  std::shared_ptr<const Tables> tables_;
  TenantDirectory directory_;
  TenantDirectory overrides_;  // physical schema name -> tenant (in physical_database)
  std::shared_ptr<const SlotTable> slots_;
  Unassigned unassigned_;
  Rest rest_ = Rest::kReject;
  ShardId default_shard_;
  Epoch version_;
};

class TopologyBuilder {
 public:
  TopologyBuilder();                                   // empty, version 1 once built
  explicit TopologyBuilder(const Topology& previous);  // built version is previous + 1

  absl::Status AddBackend(const BackendSpec& spec);
  absl::Status AlterBackend(const BackendSpec& spec);  // a changed address gives a new generation
  absl::Status DropBackend(std::string_view name);     // refused while a shard names it
  absl::Status AddShard(const ShardSpec& spec);
  absl::Status SetPrimary(std::string_view shard,
                          std::string_view backend);  // raises the shard's epoch
  absl::Status SetReplicas(std::string_view shard, const std::vector<std::string>& backends);
  absl::Status SetHold(std::string_view shard, const HoldOverrides& hold);
  absl::Status SetProduction(std::string_view shard, bool production);
  absl::Status SetFailover(std::string_view shard, FailoverMode mode);
  absl::Status DropShard(
      std::string_view name);  // refused while tenants, slots or the default name it
  absl::Status AddTenant(const TenantSpec& spec);     // refused if there
  absl::Status AssignTenant(const TenantSpec& spec);  // adds or replaces
  absl::Status DropTenant(std::string_view name);
  // Slots first..last (inclusive) belong to `shard`; "" takes the assignment away.
  absl::Status AssignSlots(uint16_t first, uint16_t last, std::string_view shard);
  // All slots evenly over the live shards in their order, in contiguous ranges.
  absl::Status SpreadSlots();
  absl::Status SetUnassigned(const Unassigned& unassigned);

  // From a store: a shard's epoch as it was, and the version that Build gives the snapshot.
  absl::Status RestoreEpoch(std::string_view shard, Epoch epoch);
  // At least this, for what another router has written down.
  absl::Status RaiseEpoch(std::string_view shard, Epoch least);
  void RestoreVersion(Epoch version);

  // Checks the whole (slots in use but unassigned, ...) and publishes. The builder goes on from the
  // built version.
  absl::StatusOr<std::shared_ptr<const Topology>> Build();

 private:
  absl::Status ResolveReplicas(std::string_view shard, const std::vector<std::string>& names,
                               BackendId primary, std::vector<BackendId>* out) const;
  absl::Status PutTenant(const TenantSpec& spec, bool replace);
  void ForgetOverride(std::string_view tenant, const TenantRecord& record);
  // The next version's own tables and slots, copied from the shared ones at the first change.
  Topology::Tables& tables();
  Topology::SlotTable& slots();
  void ReplaceShard(const Shard& shard);
  Epoch EpochAfter(Epoch old) const;
  Epoch next_version() const { return Epoch{next_.version_.value + 1}; }

  Topology next_;
  Topology::Tables* own_tables_ = nullptr;  // what next_.tables_ points to, if it is ours to change
  Topology::SlotTable* own_slots_ = nullptr;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TOPOLOGY_H_
