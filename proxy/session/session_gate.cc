// A shard's gate: commands that were not sent wait there while the shard does not serve.

#include <algorithm>
#include <utility>

#include "proxy/session/session.h"
#include "proxy/session/statement_traits.h"
#include "proxy/wire/capabilities.h"
#include "proxy/wire/responses.h"

namespace bulkhead::session {

namespace {

std::string_view WordsOf(routing::LimitVerdict verdict) {
  switch (verdict) {
    case routing::LimitVerdict::kOk:
    case routing::LimitVerdict::kTooManySessions:
      break;
    case routing::LimitVerdict::kTooManyRunning:
      return "the tenant has as many statements running as it may";
    case routing::LimitVerdict::kTooFast:
      return "the tenant sends more statements a second than it may";
  }
  return "the tenant is over its limit";
}

}  // namespace

void Session::TakeLimits(routing::TenantHandle limits) {
  limits_ = std::move(limits);
  limits_tenant_ = tenant_.tenant();
}

void Session::RefreshLimits() {
  routing::TenantLimits* const limits = context_->limits;
  if (limits_.generation() == limits->generation() && limits_tenant_ == tenant_of_command()) return;
  limits_tenant_ = tenant_of_command();
  limits->Refresh(limits_tenant_, &limits_);
}

// An operator's order is for this command's tenant.
bool Session::TenantHeld() {
  if (context_->limits == nullptr) return false;
  RefreshLimits();
  return limits_.held();
}

bool Session::StartWithinLimits() {
  routing::TenantLimits* const limits = context_->limits;
  if (limits == nullptr || request_.limited || !CountsAsWork(request_.kind)) return true;
  RefreshLimits();
  const routing::LimitAnswer answer =
      limits_.TryStart(routing::MonoTimeFromNanos(static_cast<int64_t>(shell_->NowNs())));
  request_.limited = answer.ok();
  if (answer.ok()) return true;
  RouterError error = MakeError(wire::ClientError::kTenantOverLimit, WordsOf(answer.verdict));
  constexpr int64_t kLeastWaitMs = 50;
  const int64_t wait_ms = std::max(routing::ToMillis(answer.retry_after), kLeastWaitMs);
  error.message += "; retry_after_ms=" + std::to_string(wait_ms);
  AnswerError(error);
  return false;
}

// True: the gate is closed to this command, which waits now or was answered.
bool Session::MustWait(const RouteTarget& target, std::span<uint8_t> head) {
  if (target.any_backend || request_.released) return false;
  if (shell_->GateOpen(target.shard, ReadsOnly()) && !TenantHeld()) return false;
  target_ = target;
  if (IsLong()) {
    AnswerError(
        MakeError(wire::ClientError::kHoldQueueFull,
                  "the shard does not serve now, and statements of this length are not held"),
        Outcome::kRefused);
    return true;
  }
  AskGate(head);
  return true;
}

void Session::AskGate(std::span<uint8_t> head) {
  Hold(head);
  state_ = State::ExpectGate;
  request_.asked_under = TenantHeld() ? limits_.order_number() : 0;
  const routing::LookupResult tenant = context_->topology->FindTenant(tenant_of_command());
  shell_->WaitAtGate({.shard = target_.shard,
                      .tenant = tenant_of_command(),
                      .bytes = held_.size(),
                      .since_ns = request_.started_ns,
                      .is_read = ReadsOnly(),
                      .plain_read = ReplicaWillDo(),
                      .continues_transaction = ContinuesTransaction(),
                      .policy = tenant.hold});
}

// Not sent, it would be held if the gate knew already what a failed connect says.
bool Session::WaitsOut(const RouteTarget& target) const {
  if (target.any_backend || request_.replica.valid() || !context_->gates_close) return false;
  const routing::Shard* shard = context_->topology->shard(target.shard);
  if (shard == nullptr) return false;
  const routing::LookupResult tenant = context_->topology->FindTenant(tenant_of_command());
  const routing::HoldPolicy of_shard = shard->hold.policy.value_or(context_->hold);
  return tenant.hold.value_or(of_shard) != routing::HoldPolicy::kReject;
}

bool Session::ReadsOnly() const { return session::ReadsOnly(request_.kind, request_.flags); }

// Whether all that a DML statement may touch is taken back with its transaction.
bool Session::TablesKnown(const RouteTarget& target, const sql::StatementInfo& info) const {
  const routing::TransactionalTables* tables = context_->tables.get();
  if (tables == nullptr || info.schemas_overflow || info.Has(sql::kMultiStatement)) return false;
  // A prepared statement means the tables of the schema in which it was prepared.
  const ClientStatement* prepared = CurrentStatement();
  const std::string& schema = prepared == nullptr ? wanted_->schema : prepared->prepared_in->schema;
  if (!tables->Known(target.backend, schema)) return false;
  return std::all_of(info.schemas.begin(), info.schemas.end(), [&](const std::string& schema) {
    return tables->Known(target.backend, schema);
  });
}

uint64_t Session::TablesVersion(routing::BackendId backend) const {
  return context_->tables == nullptr ? 0 : context_->tables->Version(backend);
}

// Nothing may have changed the kind of a table since the transaction's first write was sent: what
// waits for a DDL to end is executed after it.
bool Session::TransactionalSoFar() const {
  if (transaction_unknown_tables_) return false;
  return !transaction_wrote_ || TablesVersion(target_.backend) == tables_version_;
}

bool Session::IsPlainRead() const { return session::IsPlainRead(request_.kind, request_.flags); }

// Alone, outside of a transaction, and of nothing that only its own connection knows.
bool Session::ReplicaWillDo() const {
  return IsPlainRead() && !request_.no_replica && !InTransaction() && !pins_.HoldsState() &&
         (status_ & wire::kStatusAutocommit) != 0;
}

void Session::OnGateReleased(routing::BackendId replica) {
  if (state_ != State::ExpectGate) return;
  if (replica.valid() && (context_->topology->backend(replica) == nullptr || !ReplicaWillDo())) {
    AskGate(held_);  // it left the topology meanwhile
    return;
  }
  if (!ContinuesTransaction() && TenantHeld() && limits_.order_number() != request_.asked_under) {
    // While it waited for its shard, its tenant was held: it waits at that gate as well.
    if (!replica.valid()) shell_->LeaveGate();
    AskGate(held_);
    return;
  }
  request_.released = true;
  request_.released_ns = shell_->NowNs();
  request_.replica = replica;
  PlaceAgain();
}

// Number of strings, stage, stages, thousandths of a percent, text ("Progress Reporting" in the
// MariaDB documentation; sent as an ERR of code 65535, "ERR_Packet" there).
void Session::ReportHeld() {
  constexpr uint16_t kProgress = 0xFFFF;
  constexpr uint64_t kWhole = 100'000;
  const bool reports =
      request_.command == wire::Command::kQuery || request_.command == wire::Command::kStmtExecute;
  if (state_ != State::ExpectGate || !reports ||
      (login_.capabilities & wire::kMariadbClientProgress) == 0) {
    return;
  }
  const routing::Shard* shard = context_->topology->shard(target_.shard);
  uint64_t window_ns = context_->max_wait_ns;
  if (shard != nullptr && shard->hold.max_wait.has_value())
    window_ns = static_cast<uint64_t>(shard->hold.max_wait->count());
  const uint64_t waited_ns = shell_->NowNs() - request_.started_ns;
  const uint64_t part =
      window_ns == 0 ? kWhole : waited_ns / std::max<uint64_t>(window_ns / kWhole, 1);
  const std::string text =
      "held by the router: shard " + (shard == nullptr ? "" : shard->name) + " does not serve";
  std::vector<uint8_t>& out = context_->scratch;
  out.clear();
  wire::PacketWriter writer(&out, ++request_.last_sequence);
  writer.Append([&](wire::ByteWriter* packet) {
    packet->WriteU8(wire::kErrHeader);
    packet->WriteU16(kProgress);
    packet->WriteU8(1);
    packet->WriteU8(1);
    packet->WriteU8(1);
    packet->WriteU24(static_cast<uint32_t>(std::min(part, kWhole)));
    packet->WriteLenencString(text);
  });
  if (shift_ == nullptr) shift_ = std::make_unique<SequenceShift>();
  shift_->Raise();
  shell_->SendToClient(out);
}

void Session::OnGateRefused(wire::ClientError code, std::string_view reason,
                            uint32_t retry_after_ms) {
  if (state_ != State::ExpectGate) return;
  state_ = State::ExpectCommand;
  RouterError error = MakeError(code, reason);
  error.message += "; retry_after_ms=" + std::to_string(retry_after_ms);
  AnswerError(error);
}

void Session::OnGateClosed(routing::ShardId shard) {
  if (state_ != State::ExpectLink || target_.any_backend || target_.shard != shard) return;
  if (link_ != nullptr) return;  // its kept connection comes back, or is lost, by itself
  if (shell_->GateOpen(shard, ReadsOnly())) return;
  shell_->CancelAcquire();
  EndRelease(/*answered=*/false);
  AskGate(held_);
}

// The command that was let through has ended, or waits once more: its place in the ramp is free.
void Session::EndRelease(bool answered) {
  request_.replica = {};
  if (!std::exchange(request_.released, false)) return;
  shell_->GateDone(target_.shard, shell_->NowNs() - request_.released_ns, answered);
}

// Where the command goes by now: its tenant may have been moved to another shard while it waited,
// and the shard may have another primary.
RouteTarget Session::PresentTarget() const {
  RouteTarget target = target_;
  if (target.any_backend) return target;
  if (request_.for_tenant && !tenant_.Answers(context_->topology->version())) {
    const bool changes = effects_ != nullptr && effects_->tenant.has_value();
    const std::string_view tenant = changes ? effects_->tenant->tenant() : tenant_of_command();
    const routing::LookupResult where = context_->topology->FindTenant(tenant);
    if (where.found()) target.shard = where.shard;
  }
  if (const routing::Shard* shard = context_->topology->shard(target.shard); shard != nullptr)
    target.backend = shard->primary;
  return target;
}

// The command was not sent, or nothing of it can have arrived: as if it had just come.
void Session::PlaceAgain() {
  std::vector<uint8_t> head = std::exchange(held_, {});
  state_ = State::ExpectCommand;
  RouteTarget target = PresentTarget();
  // Let through by the gate of the shard where its tenant was: the other one has a gate of its own.
  if (target.shard != target_.shard) EndRelease(/*answered=*/false);
  if (request_.replica.valid()) target.backend = request_.replica;
  Place(target, head);
}

}  // namespace bulkhead::session
