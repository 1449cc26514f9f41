#include "routing/pool_policy.h"

#include <algorithm>
#include <cstdlib>
#include <list>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace bulkhead::routing {
namespace {

constexpr Duration kRecallAfter = std::chrono::milliseconds(100);

enum class State : uint8_t { kOpening, kInUse, kClean, kLingering, kDirty, kClosing };

bool IsIdle(State state) {
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

}  // namespace

struct PoolPolicy::Impl {
  PoolLimits limits;
  ConnectionBudget* budget;
  PoolConnection last_id = 0;
  uint32_t held = 0;
  uint32_t waiting = 0;
  uint32_t idle = 0;
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

  Acquired Lend(Connection& c, const AcquireRequest& request);
  std::optional<Acquired> TryLast(const AcquireRequest& request, MonoTime now);
  std::optional<Acquired> TryIdle(User& user, const AcquireRequest& request, MonoTime now);
  std::optional<Acquired> TryEvict(const AcquireRequest& request, MonoTime now);
  Acquired OpenNew(const AcquireRequest& request, PoolConnection evict);
  void Erase(Connection& c);
  User* NeediestWaiting(const User* except);
  AcquireRequest PopWaiter(User& user);
};

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
  if (victim == nullptr) return std::nullopt;
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
User* PoolPolicy::Impl::NeediestWaiting(const User* except) {
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

PoolPolicy::PoolPolicy(PoolLimits limits, ConnectionBudget* budget)
    : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
  impl_->budget = budget;
  budget->Join();
}

PoolPolicy::~PoolPolicy() {
  for (; impl_->waiting > 0; --impl_->waiting) impl_->budget->RemoveWaiting();
  for (; impl_->held > 0; --impl_->held) (void)impl_->budget->Give();
  impl_->budget->Leave();
}

Acquired PoolPolicy::Acquire(const AcquireRequest& request, MonoTime now) {
  Impl& m = *impl_;
  if (auto last = m.TryLast(request, now)) return *last;
  User& user = m.UserOf(request.user);
  if (m.idle > 0) {
    if (auto idle = m.TryIdle(user, request, now)) return *idle;
  }
  // Whoever waits goes first where nothing is idle.
  if (m.waiting == 0 && m.budget->TryTake()) return m.OpenNew(request, 0);
  if (m.idle > 0) {
    for (Connection* c = user.lingering.oldest; c != nullptr; c = c->newer) {
      if (!m.TooOld(*c, now)) return m.Lend(*c, request);
    }
    if (auto evicting = m.TryEvict(request, now)) return *evicting;
  }
  Acquired out{.session = request.session};
  if (m.waiting >= m.limits.max_waiting || m.waiters.contains(request.session)) {
    out.action = AcquireAction::kFull;
    return out;
  }
  m.budget->AddWaiting();
  if (m.waiting == 0 && m.budget->TryTake()) {  // given back before we were seen to wait
    m.budget->RemoveWaiting();
    return m.OpenNew(request, 0);
  }
  user.waiters.push_back({request, now});
  m.waiters.emplace(request.session, std::pair(request.user, std::prev(user.waiters.end())));
  ++m.waiting;
  out.action = AcquireAction::kWait;
  return out;
}

void PoolPolicy::Resume(PoolConnection connection) {
  Connection* c = impl_->Find(connection);
  if (c == nullptr || !IsIdle(c->state)) std::abort();
  impl_->SetState(*c, State::kInUse);
}

void PoolPolicy::Disown(PoolConnection connection) {
  Connection* c = impl_->Find(connection);
  if (c == nullptr || c->state != State::kInUse) std::abort();
  c->session = 0;
}

bool PoolPolicy::CancelWait(PoolSession session) {
  Impl& m = *impl_;
  const auto it = m.waiters.find(session);
  if (it == m.waiters.end()) return false;
  m.UserOf(it->second.first).waiters.erase(it->second.second);
  m.waiters.erase(it);
  --m.waiting;
  m.budget->RemoveWaiting();
  return true;
}

void PoolPolicy::Opened(PoolConnection connection, Duration server_wait_timeout, uint64_t random,
                        MonoTime now) {
  Impl& m = *impl_;
  Connection* c = m.Find(connection);
  if (c == nullptr || c->state != State::kOpening) std::abort();
  c->born = now;
  if (m.limits.max_age > Duration(0)) {
    // Spread, so that what was opened together isn't closed together.
    c->max_age =
        m.limits.max_age - m.limits.max_age / 10 * static_cast<int64_t>(random % 1024) / 1024;
  }
  if (server_wait_timeout > Duration(0)) {
    c->idle_limit =
        std::max(server_wait_timeout - m.limits.wait_timeout_margin, server_wait_timeout / 2);
  }
  m.SetState(*c, State::kInUse);
}

PoolPolicy::Released PoolPolicy::Release(PoolConnection connection, Returned how, StateKey key,
                                         MonoTime now) {
  Impl& m = *impl_;
  Connection* c = m.Find(connection);
  if (c == nullptr || c->state != State::kInUse) std::abort();
  c->key = key;
  const bool surplus =
      m.budget->lent() > m.budget->limit() || (others_want() && m.held > m.budget->fair_share());
  if (surplus || m.TooOld(*c, now)) {
    m.SetState(*c, State::kClosing);
    return {.close = true, .next = std::nullopt};
  }
  c->idle_since = now;
  switch (how) {
    case Returned::kClean:
      m.SetState(*c, State::kClean);
      break;
    case Returned::kLingering:
      m.SetState(*c, State::kLingering);
      break;
    case Returned::kDirty:
      m.SetState(*c, State::kDirty);
      break;
  }
  if (m.waiting == 0) return {};
  User& own = m.UserOf(c->user);
  User* other = m.NeediestWaiting(&own);
  if (!own.waiters.empty() && (other == nullptr || other->held + 2 > own.held)) {
    return {.close = false, .next = m.Lend(*c, m.PopWaiter(own))};
  }
  const AcquireRequest request = m.PopWaiter(*other);
  m.Erase(*c);
  return {.close = false, .next = m.OpenNew(request, connection)};
}

std::optional<Acquired> PoolPolicy::Closed(PoolConnection connection, MonoTime now,
                                           bool* wake_others) {
  Impl& m = *impl_;
  *wake_others = false;
  Connection* c = m.Find(connection);
  if (c == nullptr) return std::nullopt;  // evicted: its budget was handed over
  m.Erase(*c);
  (void)m.budget->Give();
  *wake_others = m.OthersWait();
  // What was given up for others isn't taken back at once.
  if (*wake_others && m.held >= m.budget->fair_share()) return std::nullopt;
  return Retry(now);
}

std::optional<Acquired> PoolPolicy::Retry(MonoTime) {
  Impl& m = *impl_;
  User* user = m.waiting == 0 ? nullptr : m.NeediestWaiting(nullptr);
  if (user == nullptr || !m.budget->TryTake()) return std::nullopt;
  return m.OpenNew(m.PopWaiter(*user), 0);
}

bool PoolPolicy::others_want() const { return impl_->OthersWait() && impl_->budget->wanted(); }

std::vector<PoolConnection> PoolPolicy::Expire(MonoTime now) {
  Impl& m = *impl_;
  std::vector<Connection*> retired;
  std::vector<Connection*> spare;
  for (auto& [id, user] : m.users) {
    uint32_t idle = user->idle();
    for (IdleList* list : {&user->clean, &user->dirty, &user->lingering}) {
      for (Connection* c = list->oldest; c != nullptr; c = c->newer) {
        const bool idle_too_long = m.limits.idle_timeout > Duration(0) &&
                                   now - c->idle_since >= m.limits.idle_timeout &&
                                   idle > m.limits.min_idle;
        if (m.TooOld(*c, now) || idle_too_long) {
          retired.push_back(c);
          --idle;
        } else {
          spare.push_back(c);
        }
      }
    }
  }
  // Above a lowered limit, or waited for by other workers.
  const uint32_t lent = m.budget->lent();
  const uint32_t limit = m.budget->limit();
  size_t surplus = lent > limit ? lent - limit : 0;
  if (others_want()) {
    surplus += m.budget->waiting() - m.waiting;
    // Within the fair share only what isn't about to be used again: closing that would cost a login
    // per statement.
    if (m.held <= m.budget->fair_share()) {
      std::erase_if(spare, [&](const Connection* c) { return now - c->idle_since < kRecallAfter; });
    }
  }
  surplus = std::min(surplus - std::min(surplus, retired.size()), spare.size());
  std::sort(spare.begin(), spare.end(),
            [](const Connection* a, const Connection* b) { return a->idle_since < b->idle_since; });
  retired.insert(retired.end(), spare.begin(), spare.begin() + static_cast<ptrdiff_t>(surplus));
  std::vector<PoolConnection> out;
  for (Connection* c : retired) {
    m.SetState(*c, State::kClosing);
    out.push_back(c->id);
  }
  return out;
}

std::vector<PoolConnection> PoolPolicy::TakeAllIdle() {
  std::vector<PoolConnection> out;
  for (auto& [id, c] : impl_->connections) {
    if (!IsIdle(c->state)) continue;
    impl_->SetState(*c, State::kClosing);
    out.push_back(id);
  }
  std::sort(out.begin(), out.end());
  return out;
}

void PoolPolicy::SessionGone(PoolSession session, PoolConnection last) {
  Connection* c = impl_->Find(last);
  if (c == nullptr || c->session != session || !IsIdle(c->state)) return;
  c->session = 0;
  if (c->state == State::kLingering) impl_->SetState(*c, State::kClean);
}

PoolPolicy::Counts PoolPolicy::counts(PoolUser id) const {
  const auto it = impl_->users.find(id);
  if (it == impl_->users.end()) return {};
  const User& user = *it->second;
  return {.opening = user.opening,
          .in_use = user.in_use,
          .idle = user.idle(),
          .lingering = user.lingering.size,
          .dirty = user.dirty.size,
          .waiting = static_cast<uint32_t>(user.waiters.size())};
}

PoolPolicy::Counts PoolPolicy::counts() const {
  Counts sum;
  for (const auto& [id, user] : impl_->users) {
    const Counts c = counts(id);
    sum.opening += c.opening;
    sum.in_use += c.in_use;
    sum.idle += c.idle;
    sum.lingering += c.lingering;
    sum.dirty += c.dirty;
    sum.waiting += c.waiting;
  }
  return sum;
}

}  // namespace bulkhead::routing
