#include "proxy/io/backend_pool.h"

#include <utility>

#include "proxy/session/capability_rules.h"
#include "proxy/wire/client_errors.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::io {

namespace {

// A connection that was idle for longer is looked at before something is sent on it: one system
// call.
constexpr uint64_t kTrustedIdleNs = 1'000'000;

using routing::AcquireAction;
using session::BackendLink;
using session::LinkErrand;
using session::ReleaseHow;

routing::MonoTime At(uint64_t ns) { return routing::MonoTime(std::chrono::nanoseconds(ns)); }

routing::PoolSession IdOf(const LinkUser* user) { return reinterpret_cast<uintptr_t>(user); }
LinkUser* UserOf(routing::PoolSession id) { return reinterpret_cast<LinkUser*>(id); }

// A connection holds on to its vector, so no other vector can have the same address in the
// meantime.
routing::StateKey KeyOf(const session::StateVectorPtr& state) {
  return reinterpret_cast<uintptr_t>(state.get());
}

bool HasAttributesOf(const session::SessionLogin& login, const BackendConnection& connection) {
  return login.attributes == nullptr || *login.attributes == connection.options().login.attributes;
}

BackendConnection* Of(BackendLink* link) { return static_cast<BackendConnection*>(link); }

}  // namespace

BackendPool::BackendPool(EventLoop* loop, Options options, MakeOptions make_options,
                         FindBudget find_budget, session::StateInterner* states,
                         metrics::WorkerMetrics* metrics)
    : loop_(loop),
      options_(std::move(options)),
      make_options_(std::move(make_options)),
      find_budget_(std::move(find_budget)),
      states_(states),
      metrics_(metrics) {}

BackendPool::~BackendPool() = default;

BackendPool::PerBackend* BackendPool::Find(const routing::Backend& backend) {
  std::unique_ptr<PerBackend>& entry = backends_[backend.id];
  if (entry == nullptr)
    entry = std::make_unique<PerBackend>(options_.limits, find_budget_(backend));
  return entry.get();
}

routing::PoolUser BackendPool::AccountOf(const session::SessionLogin& login) {
  wire::Capabilities capabilities = session::PooledCapabilities(login.capabilities);
  if (login.session_pooling) capabilities |= session::FollowedCompression(login.capabilities);
  AccountKey key{login.user, capabilities, !login.schema.empty()};
  return accounts_.try_emplace(std::move(key), static_cast<routing::PoolUser>(accounts_.size() + 1))
      .first->second;
}

BackendConnection* BackendPool::ConnectionOf(const PerBackend& backend,
                                             routing::PoolConnection id) {
  auto it = backend.by_id.find(id);
  return it == backend.by_id.end() ? nullptr : it->second;
}

BackendLink* BackendPool::Acquire(const session::LinkRequest& request, LinkUser* user,
                                  std::optional<session::RouterError>* error) {
  const routing::BackendId id = request.target.any_backend && !request.target.backend.valid()
                                    ? topology_->any_backend()
                                    : request.target.backend;
  const routing::Backend* backend = topology_->backend(id);
  if (backend == nullptr || shutting_down_) {
    *error = Unavailable(
        id, backend == nullptr ? "there is no backend for it" : "the router is shutting down");
    return nullptr;
  }
  PerBackend* pool = Find(*backend);
  const uint64_t now = loop_->NowNs();
  if (!request.waits_out && pool->policy.pausing(At(now))) {
    const routing::PoolPolicy::Counts counts = pool->policy.counts();
    if (counts.in_use + counts.idle + counts.lingering + counts.dirty == 0) {
      *error = Unavailable(id, pool->failure);
      return nullptr;
    }
  }
  session::LinkRequest with_backend = request;
  with_backend.target.backend = id;
  const routing::Acquired acquired = pool->policy.Acquire({.session = IdOf(user),
                                                           .user = request.login->pool_account,
                                                           .last = 0,
                                                           .key = KeyOf(*request.state)},
                                                          At(now));
  return CarryOut(pool, acquired, with_backend, user, error);
}

BackendConnection* BackendPool::CarryOut(PerBackend* backend, const routing::Acquired& acquired,
                                         const session::LinkRequest& request, LinkUser* user,
                                         std::optional<session::RouterError>* error) {
  BackendConnection* connection = ConnectionOf(*backend, acquired.connection);
  switch (acquired.action) {
    case AcquireAction::kUse:
    case AcquireAction::kRestore:
      TakeFromOwner(connection, {});
      if ((loop_->NowNs() - connection->idle_since_ns > kTrustedIdleNs &&
           !connection->LooksAlive()) ||
          !HasAttributesOf(*request.login, *connection)) {
        // Closed by the server while it was idle, and not noticed yet: nothing was sent on it. Or
        // it shows another client's attributes to those who look at the server.
        Discard(connection);
        return static_cast<BackendConnection*>(Acquire(request, user, error));
      }
      if (request.login->session_pooling) {
        // As a new connection it has the global variables of now, not of when it was given back.
        StartReset(connection, user);
        break;
      }
      Lend(connection, user);
      return connection;
    case AcquireAction::kFetchRestore:
      StartDiagnostics(connection, user);
      break;
    case AcquireAction::kReset:
      TakeFromOwner(connection, {});
      StartReset(connection, user);
      break;
    case AcquireAction::kOpen:
      if (acquired.evict != 0) {
        BackendConnection* evicted = ConnectionOf(*backend, acquired.evict);
        TakeFromOwner(evicted, {});
        backend->by_id.erase(acquired.evict);
        evicted->id = 0;  // its budget was handed over
        Discard(evicted);
      }
      OpenConnection(backend, acquired.connection, request, user);
      break;
    case AcquireAction::kWait:
      ++backend->waiting;
      metrics_->backend(request.target.backend.index).waits.Add();
      RetryInTime(*backend);
      break;
    case AcquireAction::kFull:
      *error = Unavailable(request.target.backend, "too many sessions wait for a connection");
      return nullptr;
  }
  waiting_[user] = {backend, loop_->NowNs(), request};
  return nullptr;
}

void BackendPool::OpenConnection(PerBackend* backend, routing::PoolConnection id,
                                 const session::LinkRequest& request, LinkUser* user) {
  auto connection = std::make_unique<BackendConnection>(loop_, this);
  connection->id = id;
  connection->backend = request.target.backend;
  connection->pool = backend;
  connection->bytes = &metrics_->backend(connection->backend.index).bytes;
  connection->next_user = user;
  BackendConnection* raw = connection.get();
  connections_[raw] = std::move(connection);
  backend->by_id[id] = raw;
  BackendConnection::Options options =
      make_options_(*topology_->backend(request.target.backend), *request.login);
  raw->pool_user = request.login->pool_account;
  raw->state = states_->AtLogin(options.login.collation, {},
                                (options.login.required & wire::kClientMultiStatements) != 0,
                                options.login.required);
  raw->Open(std::move(options));
}

void BackendPool::Lend(BackendConnection* connection, LinkUser* user) {
  connection->user = user;
  connection->use = BackendLink::Use::kLent;
}

// Tells the session that kept it; what it had not read goes with it.
void BackendPool::TakeFromOwner(BackendConnection* connection, session::SavedDiagnostics saved) {
  LinkUser* owner = std::exchange(connection->user, nullptr);
  if (owner != nullptr) owner->OnLinkRobbed(std::move(saved));
  connection->owner = nullptr;
}

void BackendPool::Keep(BackendLink* link) {
  BackendConnection* connection = Of(link);
  connection->use = BackendLink::Use::kKept;
  GiveToPolicy(connection,
               link->unread.any() ? routing::Returned::kLingering : routing::Returned::kClean);
}

bool BackendPool::Retake(BackendLink* link) {
  BackendConnection* connection = Of(link);
  if (connection->returned.has_value()) {
    // A KILL is under way, so the policy does not have it back yet.
    connection->returned.reset();
  } else {
    static_cast<PerBackend*>(connection->pool)->policy.Resume(connection->id);
  }
  connection->use = BackendLink::Use::kLent;
  if (loop_->NowNs() - connection->idle_since_ns <= kTrustedIdleNs || connection->LooksAlive())
    return true;
  connection->user = nullptr;
  Discard(connection);
  return false;
}

void BackendPool::Release(BackendLink* link, ReleaseHow how) {
  BackendConnection* connection = Of(link);
  connection->user = nullptr;
  connection->owner = nullptr;
  if (connection->use == BackendLink::Use::kErrand) {
    ReleaseInErrand(connection, how);
    return;
  }
  switch (how) {
    case ReleaseHow::kClose:
      NoteLeft(connection);
      Discard(connection, /*abort=*/true);
      return;
    case ReleaseHow::kFree:
    case ReleaseHow::kReset:
      if (connection->use == BackendLink::Use::kKept && !Retake(link))
        return;  // the policy thinks it idle
      static_cast<PerBackend*>(connection->pool)->policy.Disown(connection->id);
      connection->use = BackendLink::Use::kFree;
      connection->dirty = how == ReleaseHow::kReset;
      if (connection->dirty && connection->kills_under_way == 0 && !shutting_down_) {
        // At once: what the session left behind may hold locks that others wait for.
        StartReset(connection, nullptr);
        return;
      }
      GiveToPolicy(connection,
                   connection->dirty ? routing::Returned::kDirty : routing::Returned::kClean);
      return;
  }
}

void BackendPool::GiveToPolicy(BackendConnection* connection, routing::Returned how) {
  if (connection->kills_under_way > 0) {
    // A KILL may still hit it: lent again only after KILL and a ping were answered.
    connection->returned = how;
    return;
  }
  if (shutting_down_ || topology_->backend(connection->backend) == nullptr) {
    TakeFromOwner(connection, {});
    Discard(connection);
    return;
  }
  const uint64_t now = loop_->NowNs();
  connection->idle_since_ns = now;
  auto* backend = static_cast<PerBackend*>(connection->pool);
  NoteServerTimeout(connection);
  const routing::PoolPolicy::Released released =
      backend->policy.Release(connection->id, how, KeyOf(connection->state), At(now));
  if (released.close) {
    TakeFromOwner(connection, {});
    Discard(connection);
    return;
  }
  CarryOutForWaiter(backend, released.next);
}

void BackendPool::CarryOutForWaiter(PerBackend* backend,
                                    const std::optional<routing::Acquired>& acquired) {
  if (!acquired.has_value()) return;
  LinkUser* user = UserOf(acquired->session);
  auto it = waiting_.find(user);
  if (it == waiting_.end()) return;
  const Waiting waiting = it->second;
  waiting_.erase(it);
  if (backend->waiting > 0) --backend->waiting;
  std::optional<session::RouterError> error;
  BackendConnection* connection = CarryOut(backend, *acquired, waiting.request, user, &error);
  Tell(waiting, user, connection, error);
}

void BackendPool::CancelAcquire(LinkUser* user) {
  auto it = waiting_.find(user);
  if (it == waiting_.end()) return;
  PerBackend* backend = it->second.backend;
  waiting_.erase(it);
  if (backend->policy.CancelWait(IdOf(user))) {
    if (backend->waiting > 0) --backend->waiting;
    return;
  }
  // It had been promised a connection that is being opened, reset or asked for diagnostics:
  // nobody's when it is ready.
  for (auto& [raw, connection] : connections_) {
    if (connection->next_user == user) connection->next_user = nullptr;
  }
}

void BackendPool::Forget(LinkUser* user) { CancelAcquire(user); }

void BackendPool::OnConnectionReady(BackendConnection* connection) {
  if (OnKillerReady(connection)) return;
  auto* backend = static_cast<PerBackend*>(connection->pool);
  backend->failure.clear();
  metrics_->backend(connection->backend.index).connects[metrics::ConnectResult::kOk].Add();
  if (!AskDefaults(connection)) NowOpen(connection);
}

void BackendPool::NowOpen(BackendConnection* connection) {
  auto* backend = static_cast<PerBackend*>(connection->pool);
  connection->server_timeout_s = backend->defaults.wait_timeout_s;
  backend->policy.Opened(connection->id, std::chrono::seconds(connection->server_timeout_s),
                         uv_hrtime() * 0x9E3779B97F4A7C15ull, At(loop_->NowNs()));
  HandOver(connection);
  RetryInTime(*backend);
}

// The connection is ready for whoever it was promised to.
void BackendPool::HandOver(BackendConnection* connection) {
  LinkUser* user = std::exchange(connection->next_user, nullptr);
  if (user == nullptr) {
    connection->use = BackendLink::Use::kFree;
    GiveToPolicy(connection, routing::Returned::kClean);
    return;
  }
  waiting_.erase(user);
  Lend(connection, user);
  user->OnLink(connection);
}

void BackendPool::OnConnectionFailed(BackendConnection* connection, const std::string& why) {
  if (kills_.contains(connection)) {
    FinishKill(connection);
    return;
  }
  auto* backend = static_cast<PerBackend*>(connection->pool);
  const routing::BackendId id = connection->backend;
  const bool only_this_account = connection->account_refused;
  if (!only_this_account) {
    backend->policy.ConnectFailed(At(loop_->NowNs()),
                                  std::chrono::milliseconds(options_.failure_pause_ms));
    backend->failure = why;
  }
  metrics_->backend(id.index).connects[metrics::ConnectResult::kError].Add();
  LinkUser* user = std::exchange(connection->next_user, nullptr);
  const session::RouterError error = Unavailable(id, why);
  Discard(connection);
  auto it = user == nullptr ? waiting_.end() : waiting_.find(user);
  if (it != waiting_.end()) {
    const Waiting waiting = it->second;
    waiting_.erase(it);
    if (waiting.request.waits_out && !only_this_account) {
      AcquireAgain(waiting, user);
    } else {
      user->OnLinkFailed(error);
    }
  }
  const routing::PoolPolicy::Counts counts = backend->policy.counts();
  if (!only_this_account &&
      counts.in_use + counts.idle + counts.lingering + counts.dirty + counts.opening == 0)
    FailWaiting(backend, error);
}

void BackendPool::FailWaiting(PerBackend* backend, const session::RouterError& error) {
  std::vector<LinkUser*> users;
  for (const auto& [user, waiting] : waiting_) {
    if (waiting.backend == backend && !waiting.request.waits_out &&
        backend->policy.CancelWait(IdOf(user))) {
      users.push_back(user);
    }
  }
  backend->waiting -= std::min(backend->waiting, static_cast<uint32_t>(users.size()));
  for (LinkUser* user : users) {
    if (waiting_.erase(user) > 0) user->OnLinkFailed(error);
  }
}

void BackendPool::Discard(BackendConnection* connection, bool abort) {
  connection->use = BackendLink::Use::kGone;
  auto it = connections_.find(connection);
  if (it == connections_.end()) return;
  if (connection->kills_under_way > 0) ForgetVictim(connection);
  // The callers up the stack may still be inside one of its functions: it goes with the next turn
  // of the loop.
  std::shared_ptr<BackendConnection> gone = std::move(it->second);
  connections_.erase(it);
  gone->Close(abort);
  loop_->DisposeLater(std::move(gone));
  const routing::PoolConnection id = connection->id;
  if (id == 0) return;
  auto* backend = static_cast<PerBackend*>(connection->pool);
  backend->by_id.erase(id);
  bool wake_others = false;
  const std::optional<routing::Acquired> next =
      backend->policy.Closed(id, At(loop_->NowNs()), &wake_others);
  CarryOutForWaiter(backend, next);
  if (wake_others && options_.wake_others) options_.wake_others();
}

// --- time
// ---------------------------------------------------------------------------------------------

void BackendPool::Tick(uint64_t now_ns) {
  std::vector<LinkUser*> late;
  for (const auto& [user, waiting] : waiting_) {
    if (now_ns - waiting.since_ns > options_.acquire_timeout_ms * 1'000'000) late.push_back(user);
  }
  for (LinkUser* user : late) {
    auto it = waiting_.find(user);
    if (it == waiting_.end()) continue;
    const routing::BackendId id = it->second.request.target.backend;
    const std::string& failure = it->second.backend->failure;
    const std::string why = failure.empty() ? "no connection came free in time" : failure;
    CancelAcquire(user);
    user->OnLinkFailed(Unavailable(id, why));
  }
  for (auto& [id, backend] : backends_) {
    for (routing::PoolConnection expired : backend->policy.Expire(At(now_ns))) {
      BackendConnection* connection = ConnectionOf(*backend, expired);
      if (connection == nullptr) continue;
      TakeFromOwner(connection, {});
      Discard(connection);
    }
  }
  Retry();
}

void BackendPool::Retry() {
  for (auto& [id, backend] : backends_) {
    while (true) {
      const std::optional<routing::Acquired> next = backend->policy.Retry(At(loop_->NowNs()));
      if (!next.has_value()) break;
      CarryOutForWaiter(backend.get(), next);
    }
    RetryInTime(*backend);
  }
}

void BackendPool::SetGauges() {
  for (const auto& [id, backend] : backends_) {
    const routing::PoolPolicy::Counts counts = backend->policy.counts();
    metrics::BackendMetrics& gauges = metrics_->backend(id.index);
    gauges.connections[metrics::PoolState::kIdle].Set(counts.idle);
    gauges.connections[metrics::PoolState::kLent].Set(counts.in_use);
    gauges.connections[metrics::PoolState::kConnecting].Set(counts.opening);
    gauges.connections[metrics::PoolState::kLingering].Set(counts.lingering + counts.dirty);
    gauges.waiting.Set(counts.waiting);
  }
}

void BackendPool::Shutdown() {
  shutting_down_ = true;
  retry_.reset();
  std::vector<BackendConnection*> idle;
  for (const auto& [raw, connection] : connections_) {
    if (connection->use == BackendLink::Use::kFree || connection->use == BackendLink::Use::kKept)
      idle.push_back(raw);
  }
  for (BackendConnection* connection : idle) {
    TakeFromOwner(connection, {});
    Discard(connection);
  }
}

// The reason alone; the session says the rest: shard, tenant, and that nothing was executed.
session::RouterError BackendPool::Unavailable(routing::BackendId id, const std::string& why) const {
  const routing::Backend* backend = topology_->backend(id);
  return {static_cast<uint16_t>(wire::ClientError::kSliceUnavailable), "HY000",
          backend == nullptr ? why : "backend " + backend->name + ": " + why};
}

}  // namespace bulkhead::io
