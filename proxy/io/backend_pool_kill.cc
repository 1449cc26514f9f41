// KILL for what runs on a backend connection: on a connection of its own, outside the pool's
// limits, since it is what frees the others.

#include <utility>

#include "proxy/io/backend_pool.h"

namespace bulkhead::io {

using session::BackendLink;
using session::LinkErrand;

void BackendPool::KillOn(BackendLink* link, bool query_only) {
  auto* victim = static_cast<BackendConnection*>(link);
  ++victim->kills_under_way;
  auto killer = std::make_unique<BackendConnection>(loop_, this);
  killer->backend = victim->backend;
  BackendConnection* raw = killer.get();
  kills_[raw] = {std::move(killer), victim, victim->thread_id, query_only};
  raw->Open(victim->options());
}

// The connection for a KILL is ready, has run it, or could not be had.
void BackendPool::FinishKill(BackendConnection* killer) {
  auto it = kills_.find(killer);
  Kill kill = std::move(it->second);
  kills_.erase(it);
  killer->Close(/*abort=*/false);
  std::shared_ptr<BackendConnection> gone = std::move(kill.connection);
  loop_->DisposeLater(std::move(gone));
  BackendConnection* victim = kill.victim;
  if (victim == nullptr) return;
  --victim->kills_under_way;
  if (victim->kills_under_way > 0 || !victim->returned.has_value()) return;
  // The KILL has been answered, and may still be waiting for the next command: a ping takes it.
  auto errand = std::make_unique<LinkErrand>(victim->capabilities);
  errand->Add(LinkErrand::Purpose::kPing, wire::Command::kPing, {},
              session::ResponseGrammar::kSimple);
  victim->RunErrand(std::move(errand));
}

bool BackendPool::OnKillerReady(BackendConnection* connection) {
  auto it = kills_.find(connection);
  if (it == kills_.end()) return false;
  auto errand = std::make_unique<LinkErrand>(connection->capabilities);
  errand->AddQuery(LinkErrand::Purpose::kKill, (it->second.query_only ? "KILL QUERY " : "KILL ") +
                                                   std::to_string(it->second.thread_id));
  connection->RunErrand(std::move(errand));
  return true;
}

void BackendPool::ForgetVictim(BackendConnection* victim) {
  for (auto& [killer, kill] : kills_) {
    if (kill.victim == victim) kill.victim = nullptr;
  }
}

}  // namespace bulkhead::io
