// TenantLimits: how much of the router one tenant may use: sessions, running statements, statements
// a second.
//
// Purpose: one tenant's flood can't take what the others on its shard need. Limits hold for the
// process. A session binds to its tenant's account once and keeps the handle; a statement then
// costs two atomic operations, or one comparison where nothing is configured for its tenant (the
// handle is empty).
//
// Memory: only tenants under a limit have an account, and only while a session is bound or the rate
// still owes time; Sweep forgets the others. A million tenants without activity cost nothing.
//
// Threads: TenantLimits any (binding takes a mutex of one of 16 shards for a map access; never on a
// statement); configuration one thread; TenantHandle its session's thread. Handles may outlive
// their TenantLimits. Errors: 9405 for a statement, 1203 at login: the caller's words.
// Call TryStart for statements that begin work, not for COMMIT, ROLLBACK and the like: refusing
// these would keep locks.
#ifndef BULKHEAD_ROUTING_TENANT_LIMITS_H_
#define BULKHEAD_ROUTING_TENANT_LIMITS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "routing/mono_time.h"

namespace bulkhead::routing {

inline constexpr uint16_t kErrTenantOverLimit = 9405;

// 0: no limit.
struct TenantLimit {
  uint32_t sessions = 0;
  uint32_t running = 0;     // statements at once
  uint32_t per_second = 0;  // statements
  uint32_t burst = 0;       // at once within per_second; 0: as many as per_second
  bool any() const { return sessions != 0 || running != 0 || per_second != 0; }
  friend bool operator==(const TenantLimit&, const TenantLimit&) = default;
};

enum class LimitVerdict : uint8_t { kOk, kTooManySessions, kTooManyRunning, kTooFast };
struct LimitAnswer {
  LimitVerdict verdict = LimitVerdict::kOk;
  Duration retry_after{};  // kTooFast: when the next one may come
  bool ok() const { return verdict == LimitVerdict::kOk; }
};

namespace limits_internal {
struct Account;
}  // namespace limits_internal

// A session's part in its tenant's account. Empty: no limits. Gives everything back when destroyed.
class TenantHandle {
 public:
  TenantHandle() = default;
  ~TenantHandle() { Reset(); }
  TenantHandle(TenantHandle&& other) noexcept;
  TenantHandle& operator=(TenantHandle&& other) noexcept;
  TenantHandle(const TenantHandle&) = delete;
  TenantHandle& operator=(const TenantHandle&) = delete;

  [[nodiscard]] LimitAnswer TryStart(MonoTime now) {
    return account_ == nullptr ? LimitAnswer{} : TryStartLimited(now);
  }
  // One started statement has ended. Extra calls (started before the handle was bound) are ignored.
  void Finish() {
    if (running_ > 0) FinishLimited();
  }
  void Reset();  // what runs is given back too
  uint64_t generation() const { return generation_; }
  // An operator's order is for this tenant: its statements ask at its gate first.
  bool held() const { return order_number() != 0; }
  // Of that order, another one for each; 0: none.
  uint64_t order_number() const { return account_ == nullptr ? 0 : OrderNumber(); }

 private:
  friend class TenantLimits;
  uint64_t OrderNumber() const;
  LimitAnswer TryStartLimited(MonoTime now);
  void FinishLimited();

  std::shared_ptr<limits_internal::Account> account_;
  uint64_t generation_ = 0;
  uint32_t running_ = 0;
};

class TenantLimits {
 public:
  TenantLimits();
  ~TenantLimits();
  TenantLimits(const TenantLimits&) = delete;
  TenantLimits& operator=(const TenantLimits&) = delete;

  // Raised with each change of a limit. A session whose handle has another one calls Refresh.
  uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

  void SetDefault(const TenantLimit& limit);
  // Absent: the default again.
  void SetTenant(std::string_view tenant, std::optional<TenantLimit> limit);
  TenantLimit LimitOf(std::string_view tenant) const;
  // See TenantHandle::held.
  void SetHeld(std::string_view tenant, bool held);

  // A session of that tenant begins (login, or a change of tenant). Refused: the handle stays as it
  // was. Otherwise the handle is of that tenant; what it had before is given back.
  [[nodiscard]] LimitAnswer Bind(std::string_view tenant, TenantHandle* handle);
  // After a change of limits: never refused. What runs stays counted where the account is the same.
  void Refresh(std::string_view tenant, TenantHandle* handle);

  struct Usage {
    uint32_t sessions = 0;
    uint32_t running = 0;
    uint64_t refused = 0;  // statements and sessions since the account exists
  };
  Usage UsageOf(std::string_view tenant) const;
  size_t accounts() const;
  // Of those that have an account, the `most` that were refused most, or use most; the first is the
  // worst. Looks at all accounts: not on the data path.
  struct NamedUsage {
    std::string tenant;
    Usage usage;
  };
  std::vector<NamedUsage> MostRefused(size_t most) const;
  // Forgets accounts of nobody. Call once a second; looks at one of 16 shards a call.
  void Sweep(MonoTime now);

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    mutable std::mutex mutex;
    absl::flat_hash_map<std::string, std::shared_ptr<limits_internal::Account>> accounts;
    absl::flat_hash_map<std::string, TenantLimit> own;  // what is configured by name
    absl::flat_hash_map<std::string, uint64_t> held;    // the number of the order
  };
  Shard& ShardOf(std::string_view tenant);
  const Shard& ShardOf(std::string_view tenant) const;
  TenantLimit Default() const;
  TenantLimit LimitIn(const Shard& shard, std::string_view tenant) const;  // its mutex is held
  std::shared_ptr<limits_internal::Account> AccountOf(std::string_view tenant);
  LimitAnswer BindTo(std::string_view tenant, bool check, TenantHandle* handle);

  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> generation_{1};
  std::atomic<uint64_t> orders_{0};  // ever given
  mutable std::mutex default_mutex_;
  TenantLimit default_;
  size_t next_sweep_ = 0;
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_TENANT_LIMITS_H_
