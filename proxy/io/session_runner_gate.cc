// The gate's side of a session runner: what waits there, and what comes back.

#include "proxy/io/session_runner.h"
#include "proxy/io/worker.h"

namespace bulkhead::io {

bool SessionRunner::GateOpen(routing::ShardId shard, bool is_read) {
  switch (worker_->gates().shard(shard)) {
    case routing::GateMode::kServing:
      return true;
    case routing::GateMode::kAskWrites:
      return is_read;
    case routing::GateMode::kAsk:
      return false;
  }
  return false;
}

bool SessionRunner::BackendAnswers(routing::BackendId backend) {
  return worker_->gates().answers(backend);
}

void SessionRunner::WaitAtGate(const session::GateRequest& request) {
  gate_shard_ = request.shard;
  gate_ticket_ = uint64_t{id_} << 32 | ++gate_waits_;
  worker_->gate_keeper()->Enqueue({.ticket = gate_ticket_,
                                   .worker = worker_->index(),
                                   .shard = request.shard,
                                   .tenant = std::string(request.tenant),
                                   .bytes = request.bytes,
                                   .since_ns = request.since_ns,
                                   .is_read = request.is_read,
                                   .plain_read = request.plain_read,
                                   .continues_transaction = request.continues_transaction,
                                   .policy = request.policy});
}

void SessionRunner::LeaveGate() { worker_->gate_keeper()->Cancel(gate_shard_, gate_ticket_); }

void SessionRunner::GateDone(routing::ShardId shard, uint64_t took_ns, bool ok) {
  worker_->gate_keeper()->Finished(shard, gate_ticket_, took_ns, ok);
}

void SessionRunner::NoteUnknown(const session::UnknownOutcome& outcome) {
  worker_->NoteUnknown(id_, outcome);
}

void SessionRunner::NoteDdl(routing::BackendId backend) { worker_->NoteDdl(backend); }

void SessionRunner::OnGateReleased(const GateRelease& release) {
  if (phase_ != Phase::Session || release.ticket != gate_ticket_) return;
  session_->OnGateReleased(release.replica);
  PumpInput();
}

void SessionRunner::OnGateRefused(const GateRefusal& refusal) {
  if (phase_ != Phase::Session || refusal.ticket != gate_ticket_) return;
  session_->OnGateRefused(static_cast<wire::ClientError>(refusal.code), refusal.reason,
                          refusal.retry_after_ms);
  PumpInput();
}

void SessionRunner::OnGateClosed(routing::ShardId shard) {
  if (phase_ == Phase::Session) session_->OnGateClosed(shard);
}

void SessionRunner::OnLinkGivenUp(bool undelivered) {
  if (phase_ != Phase::Session && phase_ != Phase::ChangeUser) return;
  session_->OnLinkGivenUp(undelivered);
  PumpInput();
}

}  // namespace bulkhead::io
