// A worker's sessions and connections as rows, a few hundred a turn of the loop.

#include <algorithm>
#include <string>
#include <utility>

#include "proxy/io/worker.h"

namespace bulkhead::io {

namespace {

constexpr size_t kSessionsPerTurn = 500;
constexpr size_t kMaxDigest = 256;

std::string PinWords(const session::PinSet& pins) {
  std::string words;
  for (size_t i = 0; i < session::kPinNames.size(); ++i) {
    if (!pins.Has(static_cast<session::Pin>(i))) continue;
    if (!words.empty()) words += ',';
    words += session::kPinNames[i];
  }
  return words;
}

std::string_view StateWord(const session::Session& session) {
  using State = session::Session::State;
  if (session.held_at_gate()) return "held";
  if (session.state() == State::ExpectLink) return "waiting";
  return session.idle() ? "idle" : "running";
}

SessionRow RowOf(const SessionRunner& runner, uint32_t worker, uint64_t now_ns) {
  SessionRow row;
  row.id = runner.id();
  row.worker = worker;
  row.address = runner.host();
  row.tls = runner.is_tls();
  row.state = "login";
  if (!runner.logged_in()) return row;
  const session::Session& session = *runner.session();
  row.user = session.login().user_as_given;
  row.tenant = session.tenant();
  row.schema = session.schema();
  row.state = StateWord(session);
  row.pins = PinWords(session.pins());
  row.shard = session.shard();
  const uint64_t since = session.idle() ? runner.last_activity_ns() : session.command_started_ns();
  const uint64_t took = now_ns > since ? now_ns - since : 0;
  (session.idle() ? row.idle_ns : row.running_ns) = std::max<uint64_t>(took, 1);
  const session::BackendLink* link = session.link();
  if (link == nullptr) return row;
  row.backend = link->backend;
  row.backend_connection = link->thread_id;
  if (session.runs()) row.statement = sql::Digest(link->last_text, {}, kMaxDigest);
  return row;
}

void Count(const BackendConnection& connection, PoolRow* row) {
  ++row->connections;
  if (!connection.ready()) {
    ++row->opening;
    return;
  }
  switch (connection.use) {
    case session::BackendLink::Use::kFree:
      ++row->free;
      break;
    case session::BackendLink::Use::kKept:
      ++row->kept;
      break;
    case session::BackendLink::Use::kLent:
      ++row->lent;
      break;
    case session::BackendLink::Use::kErrand:
    case session::BackendLink::Use::kGone:
      ++row->busy;
      break;
  }
}

}  // namespace

struct Worker::Listing {
  std::vector<uint32_t> ids;  // still to be looked at, the last one first
  SessionList list;
  std::function<void(SessionList)> done;
};

void Worker::PostList(size_t most_sessions, std::function<void(SessionList)> done) {
  loop_.Post([this, most_sessions, done = std::move(done)]() mutable {
    auto listing = std::make_shared<Listing>();
    listing->done = std::move(done);
    listing->list.worker = setup_.index;
    listing->list.pools = PoolRows();
    for (const auto& [id, runner] : runners_) {
      if (listing->ids.size() == most_sessions) break;
      listing->ids.push_back(id);
    }
    listing->list.left_out = runners_.size() - listing->ids.size();
    ContinueListing(listing);
  });
}

void Worker::ContinueListing(const std::shared_ptr<Listing>& listing) {
  for (size_t i = 0; i < kSessionsPerTurn && !listing->ids.empty(); ++i) {
    auto it = runners_.find(listing->ids.back());
    listing->ids.pop_back();
    if (it != runners_.end())
      listing->list.sessions.push_back(RowOf(*it->second, setup_.index, loop_.NowNs()));
  }
  if (listing->ids.empty()) {
    listing->done(std::move(listing->list));
    return;
  }
  loop_.Post([this, listing] { ContinueListing(listing); });
}

std::vector<PoolRow> Worker::PoolRows() const {
  std::vector<PoolRow> rows;
  pool_->ForEach([&](const BackendConnection& connection) {
    const std::string& user = connection.options().login.user;
    auto it = std::find_if(rows.begin(), rows.end(), [&](const PoolRow& row) {
      return row.backend == connection.backend && row.user == user;
    });
    if (it == rows.end()) {
      rows.push_back({.backend = connection.backend, .worker = setup_.index, .user = user});
      it = rows.end() - 1;
    }
    Count(connection, &*it);
  });
  return rows;
}

}  // namespace bulkhead::io
