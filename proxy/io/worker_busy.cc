// What of a slice still runs on this worker.

#include <utility>

#include "proxy/io/worker.h"

namespace bulkhead::io {

void Worker::PostCountBusy(BusyFilter filter, std::function<void(const BusyCount&)> done) {
  loop_.Post([this, filter = std::move(filter), done = std::move(done)] {
    BusyCount count;
    for (const auto& [id, runner] : runners_) {
      if (!runner->logged_in()) continue;
      const session::Session& session = *runner->session();
      const session::BackendLink* link = session.link();
      // A tenant's gate does not call back what has passed it and waits for a connection: that will
      // be sent to where the tenant was then.
      const bool will_be_sent =
          !filter.tenant.empty() && session.state() == session::Session::State::ExpectLink;
      if (link == nullptr && !will_be_sent) continue;
      if (filter.backend.valid() && (link == nullptr || link->backend != filter.backend)) continue;
      if (filter.shard.valid() && session.shard() != filter.shard) continue;
      if (!filter.tenant.empty() && session.tenant() != filter.tenant &&
          session.tenant_of_command() != filter.tenant)
        continue;
      const bool in_transaction = session.pins().Has(session::Pin::kTransaction);
      if (session.runs() || will_be_sent) {
        ++count.running;
      } else if (in_transaction) {
        ++count.transactions;
      } else {
        if (session.pins().HoldsState()) ++count.pinned;
        continue;
      }
      if (count.sessions.size() < BusyCount::kNamed) count.sessions.push_back(id);
    }
    done(count);
  });
}

void Worker::PostKill(uint64_t id, bool query_only, std::optional<KillScope> scope,
                      std::function<void(bool)> done) {
  loop_.Post([this, id, query_only, scope = std::move(scope), done = std::move(done)] {
    auto it = id <= UINT32_MAX ? runners_.find(static_cast<uint32_t>(id)) : runners_.end();
    const bool found = it != runners_.end() && it->second->logged_in() &&
                       (!scope.has_value() || scope->Reaches(*it->second->session()));
    if (found) it->second->BeKilled(query_only);
    done(found);
  });
}

}  // namespace bulkhead::io
