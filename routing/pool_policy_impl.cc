#include "routing/pool_policy_impl.h"

#include <memory>
#include <optional>
#include <utility>

namespace bulkhead::routing {

using pool_internal::IdleList;
using pool_internal::IsIdle;

void PoolPolicy::Impl::SetState(Connection& c, State state) {
  User& user = UserOf(c.user);
  if (IsIdle(c.state)) {
    user.ListOf(c.state).Remove(c);
    --idle;
  }
  if (c.state == State::kOpening) --user.opening;
  if (c.state == State::kInUse) --user.in_use;
  c.state = state;
  if (IsIdle(state)) {
    user.ListOf(state).Push(c);
    ++idle;
  }
  if (state == State::kOpening) ++user.opening;
  if (state == State::kInUse) ++user.in_use;
}

bool PoolPolicy::Impl::TooOld(const Connection& c, MonoTime now) const {
  if (c.max_age > Duration(0) && now - c.born >= c.max_age) return true;
  return IsIdle(c.state) && c.idle_limit > Duration(0) && now - c.idle_since >= c.idle_limit;
}

bool PoolPolicy::Impl::TakePlace(MonoTime now) {
  if (now < paused_until || !budget->TryTake(now)) return false;
  if (pause > Duration(0)) paused_until = now + pause;
  return true;
}

bool PoolPolicy::Impl::TakeTurn(MonoTime now) {
  if (now < paused_until || !budget->TryConnect(now)) return false;
  if (pause > Duration(0)) paused_until = now + pause;
  return true;
}

Acquired PoolPolicy::Impl::Lend(Connection& c, const AcquireRequest& request) {
  Acquired out{.session = request.session, .connection = c.id, .previous = c.session};
  const bool own = c.session == request.session;
  switch (c.state) {
    case State::kLingering:
      out.action = AcquireAction::kFetchRestore;
      break;
    case State::kDirty:
      out.action = AcquireAction::kReset;
      break;
    case State::kOpening:
    case State::kInUse:
    case State::kClean:
    case State::kClosing:
      out.action = AcquireAction::kRestore;
      break;
  }
  // What a session left behind is its own to find again; and equal clean state needs nothing.
  if (own) out.action = AcquireAction::kRestore;
  if (c.key == request.key && out.action == AcquireAction::kRestore) {
    out.action = AcquireAction::kUse;
  }
  c.session = request.session;
  c.key = request.key;
  SetState(c, State::kInUse);
  return out;
}

std::optional<Acquired> PoolPolicy::Impl::TryLast(const AcquireRequest& request, MonoTime now) {
  if (request.last == 0) return std::nullopt;
  Connection* c = Find(request.last);
  if (c == nullptr || !IsIdle(c->state) || c->session != request.session ||
      c->user != request.user || TooOld(*c, now)) {
    return std::nullopt;
  }
  return Lend(*c, request);
}

std::optional<Acquired> PoolPolicy::Impl::TryIdle(User& user, const AcquireRequest& request,
                                                  MonoTime now) {
  Connection* any = nullptr;
  int scanned = 0;
  for (Connection* c = user.clean.newest; c != nullptr && scanned < kScanLimit;
       c = c->older, ++scanned) {
    if (TooOld(*c, now)) continue;
    if (c->key == request.key) return Lend(*c, request);
    if (any == nullptr) any = c;
  }
  scanned = 0;
  for (Connection* c = user.dirty.newest; any == nullptr && c != nullptr && scanned < kScanLimit;
       c = c->older, ++scanned) {
    if (!TooOld(*c, now)) any = c;
  }
  if (any == nullptr) return std::nullopt;
  return Lend(*any, request);
}

std::optional<Acquired> PoolPolicy::Impl::TryEvict(const AcquireRequest& request, MonoTime now) {
  // Of the user who holds most: the longest idle, and rather one that nobody may come back for. Of
  // one's own user, what can't be lent any more.
  User* richest = nullptr;
  for (auto& [id, user] : users) {
    if (id == request.user || user->idle() == 0) continue;
    if (richest == nullptr || user->held > richest->held) richest = user.get();
  }
  Connection* victim = nullptr;
  if (richest != nullptr) {
    for (const IdleList* list : {&richest->clean, &richest->dirty, &richest->lingering}) {
      if (victim == nullptr) victim = list->oldest;
    }
  }
  User& own = UserOf(request.user);
  for (const IdleList* list : {&own.clean, &own.dirty, &own.lingering}) {
    if (list->oldest != nullptr && TooOld(*list->oldest, now)) victim = list->oldest;
  }
  // max_age isn't in the order of idleness; with no other way left, any idle one of our own is past
  // its time.
  for (const IdleList* list : {&own.clean, &own.dirty, &own.lingering}) {
    if (victim == nullptr) victim = list->oldest;
  }
  if (victim == nullptr || !TakeTurn(now)) return std::nullopt;
  const PoolConnection evicted = victim->id;
  Erase(*victim);
  return OpenNew(request, evicted);
}

Acquired PoolPolicy::Impl::OpenNew(const AcquireRequest& request, PoolConnection evict) {
  auto c = std::make_unique<Connection>();
  c->id = ++last_id;
  c->user = request.user;
  c->session = request.session;
  c->key = request.key;
  User& user = UserOf(request.user);
  ++user.held;
  ++user.opening;
  ++held;
  Acquired out{.action = AcquireAction::kOpen,
               .session = request.session,
               .connection = c->id,
               .evict = evict,
               .previous = 0};
  connections.emplace(c->id, std::move(c));
  return out;
}

void PoolPolicy::Impl::Erase(Connection& c) {
  SetState(c, State::kClosing);
  --UserOf(c.user).held;
  --held;
  connections.erase(c.id);
}

// Of those who wait, the user who holds least; among equals, who waits longest.
PoolPolicy::Impl::User* PoolPolicy::Impl::NeediestWaiting(const User* except) {
  User* best = nullptr;
  for (auto& [id, user] : users) {
    if (user.get() == except || user->waiters.empty()) continue;
    if (best == nullptr || user->held < best->held ||
        (user->held == best->held && user->waiters.front().since < best->waiters.front().since)) {
      best = user.get();
    }
  }
  return best;
}

AcquireRequest PoolPolicy::Impl::PopWaiter(User& user) {
  const AcquireRequest request = user.waiters.front().request;
  user.waiters.pop_front();
  waiters.erase(request.session);
  --waiting;
  budget->RemoveWaiting();
  return request;
}

}  // namespace bulkhead::routing
