#include "routing/tenant_limits.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "routing/abseil_view.h"
#include "routing/tenant_directory.h"

namespace bulkhead::routing {
namespace limits_internal {

// What is used, and what may be. The limits change in place, so that a session that is bound need
// not be told. The rate is a token bucket in one number (see token_bucket.h), shared by threads.
struct Account {
  std::atomic<uint32_t> sessions{0};
  std::atomic<uint32_t> running{0};
  std::atomic<uint64_t> refused{0};
  std::atomic<int64_t> full_at{INT64_MIN / 2};  // monotonic nanoseconds
  std::atomic<uint32_t> max_sessions{0};
  std::atomic<uint32_t> max_running{0};
  std::atomic<int64_t> interval{0};   // nanoseconds a statement; 0: no rate
  std::atomic<int64_t> tolerance{0};  // nanoseconds that may be owed
  std::atomic<uint64_t> held{0};      // the number of the order; 0: none

  void Apply(const TenantLimit& limit) {
    max_sessions.store(limit.sessions);
    max_running.store(limit.running);
    const int64_t step = limit.per_second == 0 ? 0 : int64_t{1'000'000'000} / limit.per_second;
    const uint32_t burst = limit.burst == 0 ? limit.per_second : limit.burst;
    tolerance.store(step * (std::max<int64_t>(burst, 1) - 1));
    interval.store(limit.per_second == 0 ? 0 : std::max<int64_t>(step, 1));
  }

  // True: taken, and within the limit (0: none).
  static bool TakeOne(std::atomic<uint32_t>* used, uint32_t limit) {
    if (used->fetch_add(1) < limit || limit == 0) return true;
    used->fetch_sub(1);
    return false;
  }

  // Zero: a token was taken. Otherwise how long until there is one.
  Duration TakeToken(MonoTime now) {
    const int64_t step = interval.load(std::memory_order_relaxed);
    if (step == 0) return Duration(0);
    const int64_t at = ToNanos(now);
    int64_t full = full_at.load(std::memory_order_relaxed);
    for (;;) {
      const int64_t early = full - tolerance.load(std::memory_order_relaxed) - at;
      if (early > 0) return Duration(early);
      if (full_at.compare_exchange_weak(full, std::max(full, at) + step)) return Duration(0);
    }
  }
};

}  // namespace limits_internal

using limits_internal::Account;

TenantHandle::TenantHandle(TenantHandle&& other) noexcept
    : account_(std::move(other.account_)),
      generation_(std::exchange(other.generation_, 0)),
      running_(std::exchange(other.running_, 0)) {}

TenantHandle& TenantHandle::operator=(TenantHandle&& other) noexcept {
  if (this == &other) return *this;
  Reset();
  account_ = std::move(other.account_);
  generation_ = std::exchange(other.generation_, 0);
  running_ = std::exchange(other.running_, 0);
  return *this;
}

void TenantHandle::Reset() {
  if (account_ == nullptr) return;
  account_->running.fetch_sub(std::exchange(running_, 0));
  account_->sessions.fetch_sub(1);
  account_.reset();
}

LimitAnswer TenantHandle::TryStartLimited(MonoTime now) {
  Account& account = *account_;
  if (!Account::TakeOne(&account.running, account.max_running.load(std::memory_order_relaxed))) {
    account.refused.fetch_add(1, std::memory_order_relaxed);
    return {LimitVerdict::kTooManyRunning, {}};
  }
  const Duration early = account.TakeToken(now);
  if (early > Duration(0)) {
    account.running.fetch_sub(1);
    account.refused.fetch_add(1, std::memory_order_relaxed);
    return {LimitVerdict::kTooFast, early};
  }
  ++running_;
  return {};
}

uint64_t TenantHandle::OrderNumber() const {
  return account_->held.load(std::memory_order_relaxed);
}

void TenantHandle::FinishLimited() {
  --running_;
  account_->running.fetch_sub(1);
}

TenantLimits::TenantLimits() = default;
TenantLimits::~TenantLimits() = default;

TenantLimits::Shard& TenantLimits::ShardOf(std::string_view tenant) {
  return shards_[StableTenantHash(tenant) % kShards];
}

const TenantLimits::Shard& TenantLimits::ShardOf(std::string_view tenant) const {
  return shards_[StableTenantHash(tenant) % kShards];
}

TenantLimit TenantLimits::Default() const {
  const std::lock_guard lock(default_mutex_);
  return default_;
}

void TenantLimits::SetDefault(const TenantLimit& limit) {
  {
    const std::lock_guard lock(default_mutex_);
    default_ = limit;
  }
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [name, account] : shard.accounts) {
      if (!shard.own.contains(name)) account->Apply(limit);
    }
  }
  generation_.fetch_add(1, std::memory_order_release);
}

void TenantLimits::SetTenant(std::string_view tenant, std::optional<TenantLimit> limit) {
  {
    Shard& shard = ShardOf(tenant);
    const std::lock_guard lock(shard.mutex);
    if (limit) {
      shard.own[std::string(tenant)] = *limit;
    } else {
      shard.own.erase(Abs(tenant));
    }
    const auto found = shard.accounts.find(Abs(tenant));
    if (found != shard.accounts.end()) found->second->Apply(limit.value_or(Default()));
  }
  generation_.fetch_add(1, std::memory_order_release);
}

void TenantLimits::SetHeld(std::string_view tenant, bool held) {
  {
    Shard& shard = ShardOf(tenant);
    const std::lock_guard lock(shard.mutex);
    const uint64_t number = held ? orders_.fetch_add(1) + 1 : 0;
    if (held) {
      shard.held[std::string(tenant)] = number;
    } else {
      shard.held.erase(Abs(tenant));
    }
    const auto found = shard.accounts.find(Abs(tenant));
    if (found != shard.accounts.end()) found->second->held.store(number);
  }
  generation_.fetch_add(1, std::memory_order_release);
}

TenantLimit TenantLimits::LimitIn(const Shard& shard, std::string_view tenant) const {
  const auto own = shard.own.find(Abs(tenant));
  return own == shard.own.end() ? Default() : own->second;
}

TenantLimit TenantLimits::LimitOf(std::string_view tenant) const {
  const Shard& shard = ShardOf(tenant);
  const std::lock_guard lock(shard.mutex);
  return LimitIn(shard, tenant);
}

// Null: nothing is limited.
std::shared_ptr<Account> TenantLimits::AccountOf(std::string_view tenant) {
  Shard& shard = ShardOf(tenant);
  const std::lock_guard lock(shard.mutex);
  const TenantLimit limit = LimitIn(shard, tenant);
  const auto order = shard.held.find(Abs(tenant));
  const uint64_t held = order == shard.held.end() ? 0 : order->second;
  if (!limit.any() && held == 0) return nullptr;
  std::shared_ptr<Account>& account = shard.accounts[std::string(tenant)];
  if (account == nullptr) {
    account = std::make_shared<Account>();
    account->Apply(limit);
    account->held.store(held);
  }
  return account;
}

LimitAnswer TenantLimits::Bind(std::string_view tenant, TenantHandle* handle) {
  return BindTo(tenant, true, handle);
}

void TenantLimits::Refresh(std::string_view tenant, TenantHandle* handle) {
  (void)BindTo(tenant, false, handle);
}

LimitAnswer TenantLimits::BindTo(std::string_view tenant, bool check, TenantHandle* handle) {
  const uint64_t seen = generation();  // before the limit is read: a change meanwhile is seen later
  std::shared_ptr<Account> account = AccountOf(tenant);
  if (account != nullptr && account != handle->account_) {
    const uint32_t limit = check ? account->max_sessions.load() : 0;
    if (!Account::TakeOne(&account->sessions, limit)) {
      account->refused.fetch_add(1, std::memory_order_relaxed);
      return {LimitVerdict::kTooManySessions, {}};
    }
  }
  if (account != handle->account_) {
    handle->Reset();
    handle->account_ = std::move(account);
  }
  handle->generation_ = seen;
  return {};
}

TenantLimits::Usage TenantLimits::UsageOf(std::string_view tenant) const {
  const Shard& shard = ShardOf(tenant);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.accounts.find(Abs(tenant));
  if (found == shard.accounts.end()) return {};
  return {found->second->sessions.load(), found->second->running.load(),
          found->second->refused.load()};
}

std::vector<TenantLimits::NamedUsage> TenantLimits::MostRefused(size_t most) const {
  const auto worse = [](const NamedUsage& a, const NamedUsage& b) {
    return std::tuple(a.usage.refused, a.usage.running, a.usage.sessions, b.tenant) >
           std::tuple(b.usage.refused, b.usage.running, b.usage.sessions, a.tenant);
  };
  std::vector<NamedUsage> worst;  // a heap whose front is the least bad
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    for (const auto& [tenant, account] : shard.accounts) {
      worst.push_back(
          {tenant, {account->sessions.load(), account->running.load(), account->refused.load()}});
      std::push_heap(worst.begin(), worst.end(), worse);
      if (worst.size() <= most) continue;
      std::pop_heap(worst.begin(), worst.end(), worse);
      worst.pop_back();
    }
  }
  std::sort_heap(worst.begin(), worst.end(), worse);
  return worst;
}

size_t TenantLimits::accounts() const {
  size_t count = 0;
  for (const Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    count += shard.accounts.size();
  }
  return count;
}

void TenantLimits::Sweep(MonoTime now) {
  Shard& shard = shards_[next_sweep_++ % kShards];
  const std::lock_guard lock(shard.mutex);
  // New references are made from the map, under its mutex: one that is alone stays so.
  absl::erase_if(shard.accounts, [now](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->full_at.load() <= ToNanos(now);
  });
}

}  // namespace bulkhead::routing
