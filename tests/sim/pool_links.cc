// One pooled connection, its errands, and the end of it: the rest of proxy/io/backend_pool*.cc.

#include <cstdlib>
#include <utility>

#include "proxy/session/session.h"
#include "tests/sim/pool.h"

namespace bulkhead::sim {

namespace {

using session::BackendLink;
using session::LinkErrand;

constexpr Ns kAskDefaults = 10 * kSecond;

}  // namespace

// --- a connection

PoolLink::PoolLink(Pool* pool, Scheduler* scheduler, Actor* actor)
    : connection(std::make_shared<Connection>(scheduler, actor, this)),
      pool_(pool),
      scheduler_(scheduler) {}

void PoolLink::Send(std::span<const uint8_t> bytes) {
  heard = scheduler_->now();
  if (!closed) connection->Send({bytes.begin(), bytes.end()});
}

void PoolLink::BeginExchange(bool writes) {
  EndExchange(/*committed=*/false);  // of the restore before it
  in_exchange = true;
  may_write = writes;
  activity->Begin(static_cast<uint64_t>(scheduler_->now()), writes);
}

void PoolLink::EndExchange(bool committed) {
  if (!std::exchange(in_exchange, false)) return;
  activity->End(may_write);
  if (closed) return;
  const auto now = static_cast<uint64_t>(scheduler_->now());
  activity->last_answer_ns.store(now);
  if (committed) activity->last_commit_ns.store(now);
}

void PoolLink::RunErrand(std::unique_ptr<LinkErrand> work) {
  use = Use::kErrand;
  errand = std::move(work);
  errand->Start(this);
}

void PoolLink::Close(bool abort) {
  if (std::exchange(closed, true)) return;
  if (ready) io::BackendActivity::Down(&activity->ready);
  use = Use::kGone;
  if (std::exchange(in_exchange, false)) activity->End(may_write);
  if (abort) {
    connection->Abort();
  } else {
    connection->Close();
  }
}

void PoolLink::OnAnyBytes(size_t count) {
  heard = scheduler_->now();
  activity->Receive(static_cast<uint64_t>(scheduler_->now()), count);
}

void PoolLink::OnOpen() {
  ready = true;
  thread_id = connection->thread_id();
  io::BackendActivity::Count(&activity->ready);
  pool_->OnReady(this);
}

void PoolLink::OnReceived(Bytes* bytes) {
  switch (use) {
    case Use::kLent:
      if (io::LinkUser* lent_to = pool_->UserOf(user); lent_to != nullptr)
        lent_to->OnLinkBytes(*bytes);
      return;
    case Use::kErrand: {
      if (errand == nullptr) break;
      const LinkErrand::Progress progress = errand->Feed(*bytes);
      if (progress == LinkErrand::Progress::kMore) return;
      EndExchange(/*committed=*/false);
      pool_->OnErrandDone(this, progress == LinkErrand::Progress::kDone);
      return;
    }
    case Use::kFree:
    case Use::kKept:
    case Use::kGone:
      break;
  }
  pool_->OnLost(this, /*known_dead=*/true);
}

void PoolLink::OnEnded(TcpUser::End end) {
  if (!ready) {
    if (end == TcpUser::End::kRefused) io::BackendActivity::Count(&activity->refused);
    pool_->OnFailed(this, end == TcpUser::End::kRefused ? "refused" : "reset in mid-login");
    return;
  }
  if (in_exchange) io::BackendActivity::Count(&activity->reset);
  pool_->OnLost(this, /*known_dead=*/true);
}

// --- the pool's side of it

void Pool::OnReady(PoolLink* link) {
  PerBackend& backend = *backends_[link->backend.index];
  const Ns now = setup_.scheduler->now();
  if (backend.defaults_asked >= 0 && now - backend.defaults_asked < kAskDefaults) {
    NowOpen(link);
    return;
  }
  backend.defaults_asked = now;
  auto errand = std::make_unique<LinkErrand>(link->capabilities);
  errand->AddQuery(LinkErrand::Purpose::kDefaults, std::string(session::kServerDefaultsQuery),
                   /*capture=*/true);
  link->RunErrand(std::move(errand));
}

void Pool::NowOpen(PoolLink* link) {
  backends_[link->backend.index]->policy.Opened(link->id, std::chrono::hours(8),
                                                setup_.random.Next(), Now());
  HandOver(link);
}

void Pool::OnFailed(PoolLink* link, const std::string& why) {
  const size_t index = link->backend.index;
  PerBackend& backend = *backends_[index];
  backend.policy.ConnectFailed(Now(), std::chrono::milliseconds(250));
  const uint64_t user = std::exchange(link->next_user, 0);
  const session::RouterError error = Unavailable(index, why);
  Discard(link);
  if (auto it = waiting_.find(user); user != 0 && it != waiting_.end()) {
    const Waiting waiting = it->second;
    waiting_.erase(it);
    if (waiting.request.waits_out) {
      AcquireAgain(waiting, user);
    } else {
      UserOf(user)->OnLinkFailed(error);
    }
  }
  const routing::PoolPolicy::Counts counts = backend.policy.counts();
  if (counts.in_use + counts.idle + counts.lingering + counts.dirty + counts.opening == 0)
    FailWaiting(index, error);
}

void Pool::OnLost(PoolLink* link, bool known_dead) {
  const uint64_t user = std::exchange(link->user, 0);
  const uint64_t next = std::exchange(link->next_user, 0);
  const bool was_errand = link->use == BackendLink::Use::kErrand;
  std::optional<Waiting> retry;
  if (auto it = waiting_.find(next); next != 0 && it != waiting_.end()) {
    retry = it->second;
    waiting_.erase(it);
  }
  if (!known_dead && !was_errand) NoteLeft(*link);
  Discard(link);
  if (io::LinkUser* told = UserOf(user); told != nullptr) {
    if (was_errand) {
      told->OnLinkRobbed({});
    } else {
      told->OnLinkLost(known_dead);
    }
  }
  if (retry.has_value()) AcquireAgain(*retry, next);
}

// Nothing was sent for it yet. Its time goes on.
void Pool::AcquireAgain(const Waiting& waiting, uint64_t user) {
  std::optional<session::RouterError> error;
  BackendLink* link = Acquire(waiting.request, user, &error);
  io::LinkUser* told = UserOf(user);
  if (error.has_value()) {
    told->OnLinkFailed(*error);
  } else if (link != nullptr) {
    told->OnLink(link);
  } else if (auto it = waiting_.find(user); it != waiting_.end()) {
    it->second.since = waiting.since;
  }
}

void Pool::StartReset(PoolLink* link, uint64_t next) {
  link->next_user = next;
  auto errand = std::make_unique<LinkErrand>(link->capabilities);
  errand->Add(LinkErrand::Purpose::kReset, wire::Command::kResetConnection, {},
              session::ResponseGrammar::kSimple);
  link->RunErrand(std::move(errand));
}

void Pool::StartDiagnostics(PoolLink* link, uint64_t next) {
  link->next_user = next;
  auto errand = std::make_unique<LinkErrand>(link->capabilities);
  errand->AddQuery(LinkErrand::Purpose::kWarnings, "SHOW WARNINGS", /*capture=*/true);
  errand->AddQuery(LinkErrand::Purpose::kLastInsertId, "SELECT LAST_INSERT_ID()", /*capture=*/true);
  link->RunErrand(std::move(errand));
}

void Pool::FinishDiagnostics(PoolLink* link, const LinkErrand& errand) {
  if (errand.first_error() != nullptr || !errand.status().has_value()) {
    OnLost(link, /*known_dead=*/false);
    return;
  }
  if ((*errand.status() & wire::kStatusInTransaction) != 0) {
    // An error had left it open: the owner is in a transaction after all.
    const uint64_t next = std::exchange(link->next_user, 0);
    link->unread.status = false;
    link->use = BackendLink::Use::kLent;
    UserOf(link->user)->OnTransactionFound();
    auto it = waiting_.find(next);
    if (it == waiting_.end()) return;
    const Waiting waiting = it->second;
    waiting_.erase(it);
    AcquireAgain(waiting, next);
    return;
  }
  link->unread = {};
  link->last_insert_id = 0;
  TakeFromOwner(link, {});
  HandOver(link);
}

void Pool::OnErrandDone(PoolLink* link, bool ok) {
  const std::unique_ptr<LinkErrand> errand = std::move(link->errand);
  if (!ok) {
    OnLost(link, /*known_dead=*/false);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kDefaults) != nullptr) {
    NowOpen(link);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kWarnings) != nullptr) {
    FinishDiagnostics(link, *errand);
    return;
  }
  if (errand->first_error() != nullptr) {
    OnLost(link, /*known_dead=*/false);
    return;
  }
  link->state = setup_.states->AfterReset(setup_.states->WithSchema(link->state, {}));
  link->statements.Clear();
  link->dirty = false;
  link->unread = {};
  link->has_foreign_warnings = false;
  link->last_insert_id = 0;
  HandOver(link);
}

std::vector<io::AbandonedConnection> Pool::GiveUp(routing::BackendId backend, bool writes_only,
                                                  routing::MonoTime silent_before) {
  std::vector<uint64_t> concerned;
  for (const auto& [number, link] : links_) {
    if (link->backend.index == backend.index) concerned.push_back(number);
  }
  std::vector<io::AbandonedConnection> abandoned;
  for (const uint64_t number : concerned) {
    // An answer to one session may have closed another's connection meanwhile.
    auto it = links_.find(number);
    if (it == links_.end()) continue;
    PoolLink* link = it->second.get();
    if (writes_only && !(link->in_exchange && link->may_write)) continue;
    const session::Session* owner = link->owner;
    const bool idle = !link->in_exchange && (owner == nullptr || owner->idle() ||
                                             owner->state() == session::Session::State::ExpectGate);
    if (idle && link->use == BackendLink::Use::kLent) {
      link->needs_ping = true;
      continue;
    }
    const bool young =
        silent_before != routing::kMonoNever && link->heard >= routing::ToNanos(silent_before);
    if (!idle && young) continue;
    const bool was_ready = link->ready;
    const BackendLink::Use use = link->use;
    const uint64_t user = link->user;
    const uint64_t next = std::exchange(link->next_user, 0);
    if (user != 0 && use != BackendLink::Use::kLent) TakeFromOwner(link, {});
    link->user = 0;
    const bool undelivered = link->connection->Stuck();
    if (was_ready && !idle && !undelivered) {
      abandoned.push_back({link->thread_id});
      setup_.on_abandoned(backend.index, link->connection->number());
    }
    Discard(link, /*abort=*/true);
    if (use == BackendLink::Use::kLent) {
      if (io::LinkUser* told = UserOf(user); told != nullptr) told->OnLinkGivenUp(undelivered);
    }
    if (next != 0 && waiting_.erase(next) > 0)
      UserOf(next)->OnLinkFailed(Unavailable(backend.index, "it does not answer"));
  }
  return abandoned;
}

}  // namespace bulkhead::sim
