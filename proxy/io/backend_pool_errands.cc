// What the router itself does on a connection before another session gets it: fetch what its owner
// has not read, or reset it.

#include <cstdlib>
#include <utility>

#include "proxy/io/backend_pool.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/result_set.h"

namespace bulkhead::io {

namespace {

using session::BackendLink;
using session::LinkErrand;

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
    std::optional<session::RouterError> error;
    BackendLink* link = Acquire(waiting.request, next, &error);
    if (error.has_value()) {
      next->OnLinkFailed(*error);
    } else if (link != nullptr) {
      next->OnLink(link);
    }
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

void BackendPool::StartReset(BackendConnection* connection, LinkUser* next) {
  connection->use = BackendLink::Use::kErrand;
  connection->next_user = next;
  auto errand = std::make_unique<LinkErrand>(connection->capabilities);
  errand->Add(LinkErrand::Purpose::kReset, wire::Command::kResetConnection, {},
              session::ResponseGrammar::kSimple);
  connection->RunErrand(std::move(errand));
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
  if (errand->Find(LinkErrand::Purpose::kWarnings) != nullptr) {
    FinishDiagnostics(connection, *errand);
    return;
  }
  if (errand->Find(LinkErrand::Purpose::kPing) != nullptr) {
    // After a KILL. An error is the KILL's own, and it is spent now.
    LinkUser* owner = connection->user;
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
