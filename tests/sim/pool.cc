// Lending, keeping and waiting: proxy/io/backend_pool.cc in virtual time.

#include "tests/sim/pool.h"

#include <utility>

#include "proxy/wire/client_errors.h"

namespace bulkhead::sim {

namespace {

using routing::AcquireAction;
using session::BackendLink;
using session::ReleaseHow;

constexpr Ns kKeepAlive = 60 * kSecond;
constexpr Ns kTrustedIdle = kMs;
constexpr Ns kOpenTimeout = 5 * kSecond;

// A connection holds on to its vector, so no other can have the same address in the meantime.
routing::StateKey KeyOf(const session::StateVectorPtr& state) {
  return reinterpret_cast<uintptr_t>(state.get());
}

PoolLink* Of(BackendLink* link) { return static_cast<PoolLink*>(link); }

}  // namespace

Pool::Pool(Setup setup) : setup_(std::move(setup)) {
  for (routing::ConnectionBudget* budget : setup_.budgets)
    backends_.push_back(std::make_unique<PerBackend>(budget));
}

Pool::~Pool() = default;

io::LinkUser* Pool::UserOf(uint64_t number) const {
  auto it = users_.find(number);
  return it == users_.end() ? nullptr : it->second;
}

void Pool::RemoveUser(uint64_t number) {
  CancelAcquire(number);
  users_.erase(number);
}

size_t Pool::connections(size_t backend) const {
  size_t count = 0;
  for (const auto& [number, link] : links_) count += link->backend.index == backend ? 1 : 0;
  return count;
}

BackendLink* Pool::Acquire(const session::LinkRequest& request, uint64_t user,
                           std::optional<session::RouterError>* error) {
  const size_t index = request.target.backend.valid() ? request.target.backend.index : 0;
  PerBackend& pool = *backends_[index];
  if (!request.waits_out && pool.policy.pausing(Now())) {
    const routing::PoolPolicy::Counts counts = pool.policy.counts();
    if (counts.in_use + counts.idle + counts.lingering + counts.dirty == 0) {
      *error = Unavailable(index, "connects fail");
      return nullptr;
    }
  }
  const routing::Acquired acquired = pool.policy.Acquire(
      {.session = user, .user = 1, .last = 0, .key = KeyOf(*request.state)}, Now());
  return CarryOut(index, acquired, request, user, error);
}

PoolLink* Pool::CarryOut(size_t backend, const routing::Acquired& acquired,
                         const session::LinkRequest& request, uint64_t user,
                         std::optional<session::RouterError>* error) {
  PerBackend& pool = *backends_[backend];
  const auto it = pool.by_id.find(acquired.connection);
  PoolLink* link = it == pool.by_id.end() ? nullptr : it->second;
  switch (acquired.action) {
    case AcquireAction::kUse:
    case AcquireAction::kRestore:
      TakeFromOwner(link, {});
      if (setup_.scheduler->now() - link->idle_since > kTrustedIdle &&
          !link->connection->LooksAlive()) {
        Discard(link);
        return Of(Acquire(request, user, error));
      }
      link->user = user;
      link->use = BackendLink::Use::kLent;
      return link;
    case AcquireAction::kFetchRestore:
      StartDiagnostics(link, user);
      break;
    case AcquireAction::kReset:
      TakeFromOwner(link, {});
      StartReset(link, user);
      break;
    case AcquireAction::kOpen:
      if (acquired.evict != 0) {
        PoolLink* evicted = pool.by_id[acquired.evict];
        TakeFromOwner(evicted, {});
        pool.by_id.erase(acquired.evict);
        evicted->id = 0;  // its budget was handed over
        Discard(evicted);
      }
      OpenConnection(backend, acquired.connection, request, user);
      break;
    case AcquireAction::kWait:
      break;
    case AcquireAction::kFull:
      *error = Unavailable(backend, "too many sessions wait for a connection");
      return nullptr;
  }
  waiting_[user] = {backend, setup_.scheduler->now(), request};
  return nullptr;
}

void Pool::OpenConnection(size_t backend, routing::PoolConnection id,
                          const session::LinkRequest& request, uint64_t user) {
  PerBackend& pool = *backends_[backend];
  auto link = std::make_unique<PoolLink>(this, setup_.scheduler, setup_.actor);
  PoolLink* raw = link.get();
  raw->number = ++last_number_;
  raw->id = id;
  raw->backend =
      routing::BackendId{static_cast<uint16_t>(backend), request.target.backend.generation};
  raw->capabilities = CapabilitiesOf(backend);
  raw->server_version = 101113;
  raw->next_user = user;
  raw->activity = setup_.activity[backend];
  raw->state = setup_.states->AtLogin(request.login->collation, {}, false);
  links_[raw->number] = std::move(link);
  pool.by_id[id] = raw;
  raw->connection->Open(setup_.servers[backend], setup_.random.Fork(raw->number), kKeepAlive);
  setup_.scheduler->AfterOn(setup_.actor, kOpenTimeout, Turn::kTimer, [this, number = raw->number] {
    auto late = links_.find(number);
    if (late != links_.end() && !late->second->ready)
      OnFailed(late->second.get(), "it did not greet in time");
  });
}

void Pool::TakeFromOwner(PoolLink* link, session::SavedDiagnostics saved) {
  const uint64_t owner = std::exchange(link->user, 0);
  if (io::LinkUser* user = UserOf(owner); user != nullptr) user->OnLinkRobbed(std::move(saved));
  link->owner = nullptr;
}

void Pool::Keep(BackendLink* kept) {
  kept->use = BackendLink::Use::kKept;
  GiveToPolicy(Of(kept),
               kept->unread.any() ? routing::Returned::kLingering : routing::Returned::kClean);
}

bool Pool::Retake(BackendLink* taken) {
  PoolLink* link = Of(taken);
  backends_[link->backend.index]->policy.Resume(link->id);
  link->use = BackendLink::Use::kLent;
  if (setup_.scheduler->now() - link->idle_since <= kTrustedIdle || link->connection->LooksAlive())
    return true;
  link->user = 0;
  Discard(link);
  return false;
}

void Pool::Release(BackendLink* released, ReleaseHow how) {
  PoolLink* link = Of(released);
  link->user = 0;
  link->owner = nullptr;
  if (link->use == BackendLink::Use::kErrand) {
    ReleaseInErrand(link, how);
    return;
  }
  if (how == ReleaseHow::kClose) {
    NoteLeft(*link);
    Discard(link, /*abort=*/true);
    return;
  }
  if (link->use == BackendLink::Use::kKept && !Retake(link)) return;  // the policy thinks it idle
  backends_[link->backend.index]->policy.Disown(link->id);
  link->use = BackendLink::Use::kFree;
  link->dirty = how == ReleaseHow::kReset;
  if (link->dirty) {
    // At once: what the session left behind may hold locks that others wait for.
    StartReset(link, 0);
    return;
  }
  GiveToPolicy(link, routing::Returned::kClean);
}

void Pool::NoteLeft(const PoolLink& link) {
  if (link.ready && link.in_exchange) setup_.note_left(link);
}

// Its session goes while the router is asking something on it.
void Pool::ReleaseInErrand(PoolLink* link, ReleaseHow how) {
  if (how == ReleaseHow::kClose) OnLost(link, /*known_dead=*/false);
}

void Pool::GiveToPolicy(PoolLink* link, routing::Returned how) {
  link->idle_since = setup_.scheduler->now();
  const routing::PoolPolicy::Released released =
      backends_[link->backend.index]->policy.Release(link->id, how, KeyOf(link->state), Now());
  if (released.close) {
    TakeFromOwner(link, {});
    Discard(link);
    return;
  }
  CarryOutForWaiter(link->backend.index, released.next);
}

void Pool::CarryOutForWaiter(size_t backend, const std::optional<routing::Acquired>& acquired) {
  if (!acquired.has_value()) return;
  const uint64_t user = acquired->session;
  auto it = waiting_.find(user);
  if (it == waiting_.end()) return;
  const Waiting waiting = it->second;
  waiting_.erase(it);
  std::optional<session::RouterError> error;
  PoolLink* link = CarryOut(backend, *acquired, waiting.request, user, &error);
  io::LinkUser* told = UserOf(user);
  if (told == nullptr) return;
  if (error.has_value()) {
    told->OnLinkFailed(*error);
  } else if (link != nullptr) {
    told->OnLink(link);
  } else if (auto again = waiting_.find(user); again != waiting_.end()) {
    again->second.since = waiting.since;  // its time goes on
  }
}

void Pool::CancelAcquire(uint64_t user) {
  auto it = waiting_.find(user);
  if (it == waiting_.end()) return;
  PerBackend& backend = *backends_[it->second.backend];
  waiting_.erase(it);
  if (backend.policy.CancelWait(user)) return;
  // It had been promised a connection: nobody's when it is ready.
  for (auto& [number, link] : links_) {
    if (link->next_user == user) link->next_user = 0;
  }
}

// The connection is ready for whoever it was promised to.
void Pool::HandOver(PoolLink* link) {
  const uint64_t next = std::exchange(link->next_user, 0);
  if (next == 0) {
    link->use = BackendLink::Use::kFree;
    GiveToPolicy(link, routing::Returned::kClean);
    return;
  }
  waiting_.erase(next);
  link->user = next;
  link->use = BackendLink::Use::kLent;
  UserOf(next)->OnLink(link);
}

void Pool::FailWaiting(size_t backend, const session::RouterError& error) {
  std::vector<uint64_t> users;
  for (const auto& [user, waiting] : waiting_) {
    if (waiting.backend == backend && !waiting.request.waits_out &&
        backends_[backend]->policy.CancelWait(user))
      users.push_back(user);
  }
  for (const uint64_t user : users) {
    if (waiting_.erase(user) > 0) UserOf(user)->OnLinkFailed(error);
  }
}

void Pool::Discard(PoolLink* link, bool abort) {
  link->use = BackendLink::Use::kGone;
  auto it = links_.find(link->number);
  if (it == links_.end()) return;
  // The callers up the stack may be inside one of its functions: it goes with the loop's next turn.
  std::shared_ptr<PoolLink> gone = std::move(it->second);
  links_.erase(it);
  gone->Close(abort);
  setup_.scheduler->AfterOn(setup_.actor, 0, Turn::kOther, [gone] {});
  const routing::PoolConnection id = link->id;
  if (id == 0) return;
  PerBackend& backend = *backends_[link->backend.index];
  backend.by_id.erase(id);
  bool wake_others = false;
  const std::optional<routing::Acquired> next = backend.policy.Closed(id, Now(), &wake_others);
  CarryOutForWaiter(link->backend.index, next);
  if (wake_others) setup_.wake_others();
}

void Pool::Tick() {
  std::vector<uint64_t> late;
  for (const auto& [user, waiting] : waiting_) {
    if (setup_.scheduler->now() - waiting.since > kAcquireTimeout) late.push_back(user);
  }
  for (const uint64_t user : late) {
    auto it = waiting_.find(user);
    if (it == waiting_.end()) continue;
    const size_t backend = it->second.backend;
    CancelAcquire(user);
    UserOf(user)->OnLinkFailed(Unavailable(backend, "no connection came free in time"));
  }
  for (const std::unique_ptr<PerBackend>& backend : backends_) {
    for (const routing::PoolConnection expired : backend->policy.Expire(Now())) {
      auto it = backend->by_id.find(expired);
      if (it == backend->by_id.end()) continue;
      PoolLink* link = it->second;
      TakeFromOwner(link, {});
      Discard(link);
    }
  }
  Retry();
}

void Pool::Retry() {
  for (size_t i = 0; i < backends_.size(); ++i) {
    while (true) {
      const std::optional<routing::Acquired> next = backends_[i]->policy.Retry(Now());
      if (!next.has_value()) break;
      CarryOutForWaiter(i, next);
    }
  }
}

session::RouterError Pool::Unavailable(size_t backend, const std::string& why) {
  return {static_cast<uint16_t>(wire::ClientError::kSliceUnavailable), "HY000",
          "backend b" + std::to_string(backend) + ": " + why};
}

}  // namespace bulkhead::sim
