// The books of PoolPolicy: connections, idle lists, waiters, and the steps of its order of choice.
// Internal to routing's pool_policy*.cc; owner and time as there.
#ifndef BULKHEAD_ROUTING_POOL_POLICY_IMPL_H_
#define BULKHEAD_ROUTING_POOL_POLICY_IMPL_H_

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "routing/pool_policy.h"

namespace bulkhead::routing {

namespace pool_internal {

inline constexpr Duration kRecallAfter = std::chrono::milliseconds(100);

enum class State : uint8_t { kOpening, kInUse, kClean, kLingering, kDirty, kClosing };

inline bool IsIdle(State state) {
  return state == State::kClean || state == State::kLingering || state == State::kDirty;
}

struct Connection {
  PoolConnection id = 0;
  PoolUser user = 0;
  State state = State::kOpening;
  PoolSession session = 0;  // who has it, or had it last; 0: that session is gone
  StateKey key = 0;
  MonoTime born{};
  MonoTime idle_since{};
  Duration max_age{0};     // 0: none
  Duration idle_limit{0};  // what the server's wait_timeout leaves; 0: unknown
  Connection* newer = nullptr;
  Connection* older = nullptr;
};

// Idle connections of one kind, the newest first. Intrusive: a statement costs no allocation.
struct IdleList {
  Connection* newest = nullptr;
  Connection* oldest = nullptr;
  uint32_t size = 0;

  void Push(Connection& c) {
    c.newer = nullptr;
    c.older = newest;
    (newest != nullptr ? newest->newer : oldest) = &c;
    newest = &c;
    ++size;
  }
  void Remove(Connection& c) {
    (c.newer != nullptr ? c.newer->older : newest) = c.older;
    (c.older != nullptr ? c.older->newer : oldest) = c.newer;
    c.newer = c.older = nullptr;
    --size;
  }
};

struct Waiter {
  AcquireRequest request;
  MonoTime since;
};

struct User {
  IdleList clean, lingering, dirty;
  std::list<Waiter> waiters;
  uint32_t held = 0;  // connections in any state
  uint32_t opening = 0, in_use = 0;

  IdleList& ListOf(State state) {
    if (state == State::kLingering) return lingering;
    return state == State::kDirty ? dirty : clean;
  }
  uint32_t idle() const { return clean.size + lingering.size + dirty.size; }
};

}  // namespace pool_internal

struct PoolPolicy::Impl {
  using Connection = pool_internal::Connection;
  using State = pool_internal::State;
  using User = pool_internal::User;
  using Waiter = pool_internal::Waiter;

  PoolLimits limits;
  ConnectionBudget* budget;
  PoolConnection last_id = 0;
  uint32_t held = 0;
  uint32_t waiting = 0;
  uint32_t idle = 0;
  Duration pause{0};  // after a connect that failed; 0: the last one did not
  MonoTime paused_until{};
  absl::flat_hash_map<PoolConnection, std::unique_ptr<Connection>> connections;
  absl::flat_hash_map<PoolUser, std::unique_ptr<User>> users;  // as many as there are accounts
  absl::flat_hash_map<PoolSession, std::pair<PoolUser, std::list<Waiter>::iterator>> waiters;

  User& UserOf(PoolUser id) {
    std::unique_ptr<User>& user = users[id];
    if (user == nullptr) user = std::make_unique<User>();
    return *user;
  }
  Connection* Find(PoolConnection id) {
    const auto it = connections.find(id);
    return it == connections.end() ? nullptr : it->second.get();
  }
  // The one function that changes a state.
  void SetState(Connection& c, State state);
  bool TooOld(const Connection& c, MonoTime now) const;
  bool OthersWait() const { return budget->waiting() > waiting; }

  // A new connection may be opened now: with a place from the budget, or in the place of another.
  bool TakePlace(MonoTime now);
  bool TakeTurn(MonoTime now);

  Acquired Lend(Connection& c, const AcquireRequest& request);
  std::optional<Acquired> TryLast(const AcquireRequest& request, MonoTime now);
  std::optional<Acquired> TryIdle(User& user, const AcquireRequest& request, MonoTime now);
  std::optional<Acquired> TryEvict(const AcquireRequest& request, MonoTime now);
  Acquired OpenNew(const AcquireRequest& request, PoolConnection evict);
  void Erase(Connection& c);
  User* NeediestWaiting(const User* except);
  AcquireRequest PopWaiter(User& user);
};

}  // namespace bulkhead::routing

#endif  // BULKHEAD_ROUTING_POOL_POLICY_IMPL_H_
