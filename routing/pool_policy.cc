#include "routing/pool_policy.h"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "routing/pool_policy_impl.h"

namespace bulkhead::routing {

using pool_internal::Connection;
using pool_internal::IdleList;
using pool_internal::IsIdle;
using pool_internal::kRecallAfter;
using pool_internal::State;
using pool_internal::User;

PoolPolicy::PoolPolicy(PoolLimits limits, ConnectionBudget* budget)
    : impl_(std::make_unique<Impl>()) {
  impl_->limits = limits;
  impl_->budget = budget;
  budget->Join();
}

void PoolPolicy::SetLimits(const PoolLimits& limits) { impl_->limits = limits; }

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
  if (m.waiting == 0 && m.TakePlace(now)) return m.OpenNew(request, 0);
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
  if (m.waiting == 0 && m.TakePlace(now)) {  // given back before we were seen to wait
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
  m.pause = Duration(0);
  m.paused_until = MonoTime{};
  m.SetState(*c, State::kInUse);
  SetServerTimeout(connection, server_wait_timeout);
}

void PoolPolicy::SetServerTimeout(PoolConnection connection, Duration server_wait_timeout) {
  Connection* c = impl_->Find(connection);
  if (c == nullptr) std::abort();
  c->idle_limit = server_wait_timeout <= Duration(0)
                      ? Duration(0)
                      : std::max(server_wait_timeout - impl_->limits.wait_timeout_margin,
                                 server_wait_timeout / 2);
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
  const bool others_turn =
      other != nullptr && (own.waiters.empty() || other->held + 2 <= own.held) && m.TakeTurn(now);
  if (others_turn) {
    const AcquireRequest request = m.PopWaiter(*other);
    m.Erase(*c);
    return {.close = false, .next = m.OpenNew(request, connection)};
  }
  if (own.waiters.empty()) return {};  // nothing can be opened in its place now: see Retry
  return {.close = false, .next = m.Lend(*c, m.PopWaiter(own))};
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

void PoolPolicy::ConnectFailed(MonoTime now, Duration pause) {
  impl_->pause = pause;
  impl_->paused_until = now + pause;
}

bool PoolPolicy::pausing(MonoTime now) const { return now < impl_->paused_until; }

std::optional<Acquired> PoolPolicy::Retry(MonoTime now) {
  Impl& m = *impl_;
  User* user = m.waiting == 0 ? nullptr : m.NeediestWaiting(nullptr);
  if (user == nullptr) return std::nullopt;
  if (m.TakePlace(now)) return m.OpenNew(m.PopWaiter(*user), 0);
  // What became idle when nothing could be opened in its place was not handed on.
  if (m.idle == 0) return std::nullopt;
  const std::optional<Acquired> evicting = m.TryEvict(user->waiters.front().request, now);
  if (evicting.has_value()) (void)m.PopWaiter(*user);
  return evicting;
}

MonoTime PoolPolicy::NextOpen() const {
  const Impl& m = *impl_;
  if (m.waiting == 0 || (m.pause == Duration(0) && !m.budget->paced())) return kMonoNever;
  if (m.idle == 0 && m.budget->lent() >= m.budget->limit()) return kMonoNever;
  return std::max(m.paused_until, m.budget->next_connect());
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
