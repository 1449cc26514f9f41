// A backend that does not answer is given up: its connections are reset, and each session gets its
// truthful answer.

#include <optional>
#include <utility>

#include "proxy/io/backend_pool.h"
#include "proxy/session/session.h"

namespace bulkhead::io {

using session::BackendLink;

std::vector<AbandonedConnection> BackendPool::GiveUp(routing::BackendId backend, bool writes_only,
                                                     uint64_t silent_before_ns, bool idle_too) {
  std::vector<BackendConnection*> concerned;
  for (const auto& [raw, connection] : connections_) {
    if (raw->backend == backend) concerned.push_back(raw);
  }
  std::vector<AbandonedConnection> abandoned;
  for (BackendConnection* connection : concerned) {
    // An answer to one session may have closed another's connection meanwhile.
    if (!connections_.contains(connection)) continue;
    if (writes_only && !connection->may_write()) continue;
    const session::Session* owner = connection->owner;
    const bool idle = !connection->in_exchange() && !connection->HasUnsent() &&
                      (owner == nullptr || owner->idle() ||
                       owner->state() == session::Session::State::ExpectGate);
    if (idle && !idle_too && connection->use == BackendLink::Use::kLent) {
      connection->needs_ping = true;
      continue;
    }
    if (!idle && connection->heard_ns() >= silent_before_ns) continue;  // its time may come
    const bool was_ready = connection->ready();
    const uint32_t thread_id = connection->thread_id;
    const BackendLink::Use use = connection->use;
    LinkUser* user = connection->user;
    LinkUser* next = std::exchange(connection->next_user, nullptr);
    if (user != nullptr && use != BackendLink::Use::kLent) TakeFromOwner(connection, {});
    connection->user = nullptr;
    const bool undelivered = connection->AbortUndelivered();
    if (was_ready && !idle && !undelivered) abandoned.push_back({thread_id});
    Discard(connection, /*abort=*/true);
    if (user != nullptr && use == BackendLink::Use::kLent) user->OnLinkGivenUp(undelivered);
    if (next != nullptr && waiting_.erase(next) > 0)
      next->OnLinkFailed(Unavailable(backend, "it does not answer"));
  }
  return abandoned;
}

void BackendPool::OnConnectionLost(BackendConnection* connection, bool known_dead) {
  if (kills_.contains(connection)) {
    FinishKill(connection);
    return;
  }
  LinkUser* user = std::exchange(connection->user, nullptr);
  LinkUser* next = std::exchange(connection->next_user, nullptr);
  const bool was_errand = connection->use == BackendLink::Use::kErrand;
  if (!known_dead && !was_errand) NoteLeft(connection);
  std::optional<Waiting> retry;
  if (next != nullptr) {
    auto it = waiting_.find(next);
    if (it != waiting_.end()) {
      retry = it->second;
      waiting_.erase(it);
    }
  }
  Discard(connection);
  if (user != nullptr) {
    if (was_errand) {
      user->OnLinkRobbed({});
    } else {
      user->OnLinkLost(known_dead);
    }
  }
  if (retry.has_value()) AcquireAgain(*retry, next);
}

void BackendPool::NoteLeft(BackendConnection* connection) {
  if (connection->ready() && connection->in_exchange() && options_.note_left)
    options_.note_left(connection->backend, {connection->thread_id});
}

}  // namespace bulkhead::io
