#include "tests/sim/checkers.h"

namespace bulkhead::sim {

Checkers::Checkers(const Setup& setup)
    : scheduler_(setup.scheduler),
      calm_(setup.calm),
      usual_latency_(setup.usual_latency),
      violations_(setup.scheduler),
      ledger_(&violations_),
      holds_(setup.shards, setup.rules, &violations_) {}

void Checkers::OnAnswered(size_t shard, uint16_t code, Ns sent) {
  ++seen_.statements;
  if (code != 0) ++seen_.errors;
  if (!Isolates(shard)) return;
  if (code != 0) {
    violations_.Add(Checker::kIsolation, "shard " + std::to_string(shard) +
                                             " has no fault, and a client there is told " +
                                             std::to_string(code));
  }
  const Ns now = scheduler_->now();
  const Ns latency = now - sent - holds_.StalledWithin(sent, now);
  if (latency > usual_latency_) {
    violations_.Add(Checker::kIsolation, "shard " + std::to_string(shard) +
                                             " has no fault, and a statement there takes " +
                                             std::to_string(latency / kMs) + " ms");
  }
}

void Checkers::OnWaits(uint64_t ticket, size_t shard, Ns since) {
  holds_.Waits(ticket, shard, since, scheduler_->now());
  if (Isolates(shard)) {
    violations_.Add(Checker::kIsolation, "shard " + std::to_string(shard) +
                                             " has no fault, and a statement there is held");
  }
}

void Checkers::OnWaitOver(uint64_t ticket, bool released) {
  holds_.WaitOver(ticket, scheduler_->now());
  if (released) ledger_.Released(static_cast<uint32_t>(ticket >> 32));
}

void Checkers::OnAbandoned(size_t server, uint64_t connection) {
  ++seen_.given_up;
  abandoned_.insert(connection);
  ledger_.Abandoned(server, connection, scheduler_->now());
}

void Checkers::OnState(size_t backend, routing::BackendState state) {
  if (state == routing::BackendState::kDown) {
    ++seen_.downs;
    holds_.OutageBegins(backend);
    ledger_.Down(backend, scheduler_->now());
  }
  if (state == routing::BackendState::kUp) holds_.OutageEnds(backend, scheduler_->now());
  if (Isolates(backend) && state != routing::BackendState::kUp) {
    violations_.Add(Checker::kIsolation, "backend " + std::to_string(backend) +
                                             " has no fault, and is taken for " +
                                             std::string(routing::ToString(state)));
  }
}

void Checkers::OnEnqueued(size_t shard, uint64_t ticket, uint64_t bytes) {
  holds_.Enqueued(shard, ticket, bytes);
}

void Checkers::OnGateAction(size_t shard, const routing::GateAction& action) {
  holds_.Action(shard, action, scheduler_->now());
}

void Checkers::AfterGate(size_t shard, const routing::ShardGate& gate,
                         const routing::HoldTotals& totals) {
  holds_.Compare(shard, gate);
  holds_.CompareTotals(totals);
}

void Checkers::OnExecuted(size_t server, uint64_t id, uint64_t connection) {
  ledger_.Executed(server, id, connection, scheduler_->now());
}

void Checkers::OnCommitted(size_t server, const Row& row, uint64_t connection) {
  ledger_.Committed(server, row.id, connection);
}

void Checkers::OnKilled(size_t server, uint32_t thread, uint64_t connection) {
  ++seen_.killed;
  if (abandoned_.contains(connection)) return;
  violations_.Add(Checker::kInnocent, "connection " + std::to_string(thread) + " of server " +
                                          std::to_string(server) +
                                          " is killed, and nobody had given it up");
}

}  // namespace bulkhead::sim
