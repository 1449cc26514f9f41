// What the router itself does on a connection before another session gets it: fetch what its owner
// has not read, or reset it.

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "proxy/io/backend_pool.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::io {

namespace {

using session::BackendLink;
using session::LinkErrand;
using session::ReleaseHow;

// The one cell of a captured result set of one row.
std::optional<std::string> OnlyCell(std::span<const uint8_t> captured, size_t columns_and_eof) {
  std::vector<uint8_t> scratch;
  for (size_t packet = 0; !captured.empty(); ++packet) {
    wire::PacketExtent extent;
    if (wire::FindPacket(captured, LinkErrand::kCaptureLimit, &extent) != wire::FindResult::kPacket)
      break;
    const std::span<const uint8_t> payload = wire::PacketPayload(captured, extent, &scratch);
    if (packet == columns_and_eof) {
      std::optional<std::string_view> cell;
      if (wire::DecodeTextRow(payload, {&cell, 1}) != wire::DecodeError::kNone || !cell.has_value())
        break;
      return std::string(*cell);
    }
    captured = captured.subspan(extent.wire_size);
  }
  return std::nullopt;
}

}  // namespace

// ----------------------------------------------------------------------------------------

// What the owner of a kept connection has not read: asked for before another session gets the
// connection.
void BackendPool::StartDiagnostics(BackendConnection* connection, LinkUser* next) {
  connection->use = BackendLink::Use::kErrand;
  connection->next_user = next;
  auto errand = std::make_unique<LinkErrand>(connection->capabilities);
  errand->AddQuery(LinkErrand::Purpose::kWarnings, "SHOW WARNINGS", /*capture=*/true);
  errand->AddQuery(LinkErrand::Purpose::kLastInsertId, "SELECT LAST_INSERT_ID()", /*capture=*/true);
  connection->RunErrand(std::move(errand));
}

void BackendPool::FinishDiagnostics(BackendConnection* connection, const LinkErrand& errand) {
  if (errand.first_error() != nullptr || !errand.status().has_value()) {
    OnConnectionLost(connection, /*known_dead=*/false);
    return;
  }
  if (connection->user == nullptr) {
    // Its session has gone meanwhile.
    StartReset(connection, connection->next_user);
    return;
  }
  if ((*errand.status() & wire::kStatusInTransaction) != 0) {
    // An error had left it open: the owner is in a transaction after all. The next in turn waits
    // for another one.
    LinkUser* next = std::exchange(connection->next_user, nullptr);
    connection->unread.status = false;
    connection->use = BackendLink::Use::kLent;
    connection->user->OnTransactionFound();
    auto it = waiting_.find(next);
    if (it == waiting_.end()) return;
    const Waiting waiting = it->second;
    waiting_.erase(it);
    AcquireAgain(waiting, next);
    return;
  }
  session::SavedDiagnostics saved;
  const LinkErrand::Answer* warnings = errand.Find(LinkErrand::Purpose::kWarnings);
  saved.warnings = warnings->captured;
  saved.warning_count = warnings->row_count;
  const bool with_eof = (connection->capabilities & wire::kClientDeprecateEof) == 0;
  const auto cell =
      OnlyCell(errand.Find(LinkErrand::Purpose::kLastInsertId)->captured, with_eof ? 3 : 2);
  if (cell.has_value()) saved.last_insert_id = std::strtoull(cell->c_str(), nullptr, 10);
  connection->last_insert_id = saved.last_insert_id.value_or(0);
  connection->unread = {};
  connection->has_foreign_warnings = saved.warning_count > 0;
  TakeFromOwner(connection, std::move(saved));
  HandOver(connection);
}

// What the backend gives sessions that set nothing: asked on a new connection before anybody gets
// it, now and then. False: it is known well enough.
bool BackendPool::AskDefaults(BackendConnection* connection) {
  auto* backend = static_cast<PerBackend*>(connection->pool);
  const uint64_t now = loop_->NowNs();
  if (backend->defaults_asked_ns != 0 &&
      now - backend->defaults_asked_ns < options_.ask_defaults_ms * 1'000'000) {
    return false;
  }
  backend->defaults_asked_ns = now;
  connection->use = BackendLink::Use::kErrand;
  auto errand = std::make_unique<LinkErrand>(connection->capabilities);
  errand->AddQuery(LinkErrand::Purpose::kDefaults, std::string(session::kServerDefaultsQuery),
                   /*capture=*/true);
  connection->RunErrand(std::move(errand));
  return true;
}

// An answer that can't be read leaves what was known before: nothing is retired too early for it.
void BackendPool::TakeDefaults(BackendConnection* connection, const LinkErrand& errand) {
  auto* backend = static_cast<PerBackend*>(connection->pool);
  const bool with_eof = (connection->capabilities & wire::kClientDeprecateEof) == 0;
  const auto cell =
      OnlyCell(errand.Find(LinkErrand::Purpose::kDefaults)->captured, with_eof ? 3 : 2);
  const auto defaults = cell.has_value() ? session::ParseServerDefaults(*cell)
                                         : std::optional<session::ServerDefaults>();
  if (defaults.has_value()) {
    backend->defaults = *defaults;
    states_->defaults().Set(connection->backend, *defaults);
  }
  NowOpen(connection);
}

// A session may have set a wait_timeout of its own on it.
void BackendPool::NoteServerTimeout(BackendConnection* connection) {
  auto* backend = static_cast<PerBackend*>(connection->pool);
  const session::ServerDefaults& defaults = backend->defaults;
  const uint64_t seconds =
      session::WaitTimeoutOf(*connection->state, defaults.interactive_timeout_s)
          .value_or(defaults.wait_timeout_s);
  if (seconds == connection->server_timeout_s) return;
  connection->server_timeout_s = seconds;
  constexpr uint64_t kYear = 31'536'000;  // the servers' own maximum
  backend->policy.SetServerTimeout(connection->id, std::chrono::seconds(std::min(seconds, kYear)));
}

void BackendPool::StartReset(BackendConnection* connection, LinkUser* next) {
  connection->use = BackendLink::Use::kErrand;
  connection->next_user = next;
  auto errand = std::make_unique<LinkErrand>(connection->capabilities);
  errand->Add(LinkErrand::Purpose::kReset, wire::Command::kResetConnection, {},
              session::ResponseGrammar::kSimple);
  connection->RunErrand(std::move(errand));
}

// Its session goes while the router is asking something on it. What comes back is nobody's, and the
// connection is reset before anybody gets it.
void BackendPool::ReleaseInErrand(BackendConnection* connection, ReleaseHow how) {
  if (how == ReleaseHow::kClose) {
    OnConnectionLost(connection, /*known_dead=*/false);
    return;
  }
  if (!connection->returned.has_value()) return;  // the policy has promised it to another already
  static_cast<PerBackend*>(connection->pool)->policy.Disown(connection->id);
  connection->returned = routing::Returned::kDirty;
}

void BackendPool::OnErrandDone(BackendConnection* connection, bool ok) {
  if (kills_.contains(connection)) {
    FinishKill(connection);
    return;
  }
  const std::unique_ptr<LinkErrand> errand = connection->TakeErrand();
  if (!ok || errand == nullptr) {
    OnConnectionLost(connection, /*known_dead=*/false);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kDefaults) != nullptr) {
    TakeDefaults(connection, *errand);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kWarnings) != nullptr) {
    FinishDiagnostics(connection, *errand);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kPing) != nullptr) {
    // After a KILL. An error is the KILL's own, and it is spent now.
    LinkUser* owner = connection->user;
    if (owner == nullptr && connection->returned == routing::Returned::kDirty && !shutting_down_) {
      connection->returned.reset();
      StartReset(connection, nullptr);
      return;
    }
    connection->use = owner == nullptr ? BackendLink::Use::kFree : BackendLink::Use::kKept;
    GiveToPolicy(connection, *std::exchange(connection->returned, std::nullopt));
    // Unless it went to somebody who was waiting, its owner may have asked for it meanwhile.
    if (owner != nullptr && connection->user == owner) owner->OnLinkBack();
    return;
  }
  if (errand->first_error() != nullptr) {
    // A server without COM_RESET_CONNECTION, or one that is shutting down: a new connection is as
    // good.
    OnConnectionLost(connection, /*known_dead=*/false);
    return;
  }
  // The schema stays, but variables that follow it are the server's own again: it is named once
  // more.
  connection->state = states_->AfterReset(states_->WithSchema(connection->state, {}));
  connection->statements.Clear();
  connection->dirty = false;
  connection->unread = {};
  connection->has_foreign_warnings = false;
  connection->last_insert_id = 0;
  metrics_->pool_restores[metrics::RestoreKind::kReset].Add();
  HandOver(connection);
}

}  // namespace bulkhead::io
