// What the control thread tells a worker: gates that close, statements let through or refused,
// backends given up.

#include <utility>

#include "proxy/io/worker.h"

namespace bulkhead::io {

SessionRunner* Worker::RunnerOfTicket(uint64_t ticket) {
  auto it = runners_.find(static_cast<uint32_t>(ticket >> 32));
  return it == runners_.end() ? nullptr : it->second.get();
}

void Worker::PostReleased(std::vector<GateRelease> releases) {
  loop_.Post([this, releases = std::move(releases)] {
    for (const GateRelease& release : releases) {
      if (SessionRunner* runner = RunnerOfTicket(release.ticket); runner != nullptr)
        runner->OnGateReleased(release);
    }
  });
}

void Worker::PostRefused(std::vector<GateRefusal> refusals) {
  loop_.Post([this, refusals = std::move(refusals)] {
    for (const GateRefusal& refusal : refusals) {
      if (SessionRunner* runner = RunnerOfTicket(refusal.ticket); runner != nullptr)
        runner->OnGateRefused(refusal);
    }
  });
}

void Worker::PostGateClosed(std::vector<routing::ShardId> shards) {
  loop_.Post([this, shards = std::move(shards)] {
    std::vector<SessionRunner*> sessions;
    sessions.reserve(runners_.size());
    for (const auto& [id, runner] : runners_) {
      if (runner->logged_in()) sessions.push_back(runner.get());
    }
    for (SessionRunner* runner : sessions) {
      for (const routing::ShardId shard : shards) runner->OnGateClosed(shard);
    }
  });
}

// Where procedures are called all the time it is told now and then, and once more afterwards.
void Worker::NoteDdl(routing::BackendId backend) {
  constexpr uint64_t kOftenNs = 250'000'000;
  DdlNote& note = ddl_notes_[backend];
  const uint64_t now = loop_.NowNs();
  note.pending = note.told_ns != 0 && now - note.told_ns < kOftenNs;
  if (note.pending) return;
  note.told_ns = now;
  setup_.gate_keeper->NoteDdl(backend);
}

void Worker::TellPendingDdl() {
  for (auto& [backend, note] : ddl_notes_) {
    if (!std::exchange(note.pending, false)) continue;
    note.told_ns = loop_.NowNs();
    setup_.gate_keeper->NoteDdl(backend);
  }
}

void Worker::ReportHeld() {
  for (const auto& [id, runner] : runners_) {
    if (runner->logged_in() && runner->session()->held_at_gate()) runner->session()->ReportHeld();
  }
}

void Worker::PostTables(std::shared_ptr<const routing::TransactionalTables> tables) {
  loop_.Post([this, tables = std::move(tables)] {
    for (session::SessionContext& context : contexts_) context.tables = tables;
  });
}

void Worker::PostGiveUp(routing::BackendId backend, bool writes_only, uint64_t silent_before_ns,
                        bool idle_too) {
  loop_.Post([this, backend, writes_only, silent_before_ns, idle_too] {
    std::vector<AbandonedConnection> abandoned =
        pool_->GiveUp(backend, writes_only, silent_before_ns, idle_too);
    setup_.gate_keeper->NoteAbandoned(backend, std::move(abandoned));
  });
}

void Worker::NoteUnknown(uint32_t session_id, const session::UnknownOutcome& outcome) {
  const routing::Topology& topology = *contexts_.front().topology;
  const routing::Shard* shard = topology.shard(outcome.target.shard);
  const routing::Backend* backend = topology.backend(outcome.target.backend);
  setup_.gate_keeper->NoteUnknown({.tenant = std::string(outcome.tenant),
                                   .shard = shard == nullptr ? "" : shard->name,
                                   .backend = backend == nullptr ? "" : backend->name,
                                   .digest = outcome.digest,
                                   .thread_id = outcome.thread_id,
                                   .session_id = session_id,
                                   .sent_ns = outcome.sent_ns});
}

}  // namespace bulkhead::io
