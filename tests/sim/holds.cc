#include "tests/sim/holds.h"

#include <algorithm>
#include <string>

namespace bulkhead::sim {

namespace {

// Control looks at its deadlines each 50 ms, and messages take their time.
constexpr Ns kSlack = 120 * kMs;

std::string Name(uint64_t ticket) {
  return "statement " + std::to_string(ticket & 0xFFFFFFFF) + " of session " +
         std::to_string(ticket >> 32);
}

}  // namespace

Holds::Holds(size_t shards, const Rules& rules, Violations* violations)
    : rules_(rules), violations_(violations), shards_(shards) {}

// --- the window

Ns Holds::StalledWithin(Ns from, Ns to) const {
  Ns sum = 0;
  for (const auto& [begin, end] : stalls_)
    sum += std::max<Ns>(0, std::min(to, end) - std::max(from, begin));
  return sum;
}

void Holds::Waits(uint64_t ticket, size_t shard, Ns since, Ns now) {
  // One whose time was over before it came here is answered at once.
  const Ns until = std::max(since + rules_.gate.max_wait.count(), now);
  waits_[ticket] = {shard, until + kSlack, now};
}

void Holds::CheckWindow(uint64_t ticket, const Wait& wait, Ns now) {
  const Ns late = now - wait.allowed - StalledWithin(wait.began, now);
  if (late <= 0) return;
  violations_->Add(Checker::kWindow, Name(ticket) + " is held " + std::to_string(late / kMs) +
                                         " ms beyond its window");
}

void Holds::WaitOver(uint64_t ticket, Ns now) {
  auto it = waits_.find(ticket);
  if (it == waits_.end()) return;
  CheckWindow(ticket, it->second, now);
  waits_.erase(it);
}

void Holds::CheckOverdue(Ns now) {
  for (const auto& [ticket, wait] : waits_) CheckWindow(ticket, wait, now);
}

// --- the gates

bool Holds::Take(Shard* shard, uint64_t ticket) {
  auto it = shard->waiting.find(ticket);
  if (it == shard->waiting.end()) return false;
  shard->bytes -= it->second;
  shard->waiting.erase(it);
  return true;
}

void Holds::Enqueued(size_t shard, uint64_t ticket, uint64_t bytes) {
  Shard& at = shards_[shard];
  ++at.counts.asked;
  at.waiting[ticket] = bytes;
  at.bytes += bytes;
}

void Holds::Cancelled(size_t shard, uint64_t ticket) {
  Shard& at = shards_[shard];
  if (Take(&at, ticket)) ++at.counts.left;
  at.running.erase(ticket);
}

void Holds::Finished(size_t shard, uint64_t ticket) { shards_[shard].running.erase(ticket); }

void Holds::Action(size_t shard, const routing::GateAction& action, Ns now) {
  Shard& at = shards_[shard];
  if (!Take(&at, action.waiter)) {
    violations_->Add(Checker::kHoldIdentity,
                     Name(action.waiter) + " was answered by its gate without waiting there");
    return;
  }
  if (action.kind == routing::GateAction::Kind::kRefuse) {
    ++at.counts.refused;
    return;
  }
  ++at.counts.released;
  if (!action.report) return;
  at.running[action.waiter] = now;
  const routing::RampRules& ramp = rules_.gate.ramp;
  const bool first_window = at.ramp_began >= 0 && now - at.ramp_began < ramp.min_window.count();
  // One that takes long gives its place back, within the limit.
  const auto is_short = [&](const auto& entry) {
    return now - entry.second < ramp.long_statement.count();
  };
  const auto short_ones =
      static_cast<size_t>(std::count_if(at.running.begin(), at.running.end(), is_short));
  if (at.running.size() > ramp.limit || (first_window && short_ones > ramp.initial)) {
    violations_->Add(Checker::kCaps, "shard " + std::to_string(shard) + " has released " +
                                         std::to_string(at.running.size()) + " at once, " +
                                         std::to_string(first_window ? ramp.initial : ramp.limit) +
                                         " is the most");
  }
}

void Holds::Compare(size_t shard, const routing::ShardGate& gate) {
  const Shard& at = shards_[shard];
  const routing::GateCounters& counters = gate.counters();
  const auto say = [&](std::string_view what, uint64_t own, uint64_t theirs) {
    if (own == theirs) return;
    violations_->Add(Checker::kHoldIdentity, "shard " + std::to_string(shard) + ": " +
                                                 std::string(what) + ": the gate has " +
                                                 std::to_string(theirs) + ", it should be " +
                                                 std::to_string(own));
  };
  say("waiting", at.waiting.size(), gate.queue().size());
  say("bytes waiting", at.bytes, gate.queue().bytes());
  say("asked", at.counts.asked, counters.reads.enqueued + counters.writes.enqueued);
  say("released", at.counts.released, counters.reads.released + counters.writes.released);
  say("refused", at.counts.refused, counters.reads.all_refused() + counters.writes.all_refused());
  say("left", at.counts.left, counters.reads.cancelled + counters.writes.cancelled);
  if (at.waiting.size() > rules_.gate.max_statements || at.bytes > rules_.gate.max_bytes) {
    violations_->Add(Checker::kCaps, "shard " + std::to_string(shard) + " holds " +
                                         std::to_string(at.waiting.size()) + " statements of " +
                                         std::to_string(at.bytes) + " bytes");
  }
}

void Holds::CompareTotals(const routing::HoldTotals& totals) {
  uint64_t statements = 0;
  uint64_t bytes = 0;
  for (const Shard& shard : shards_) {
    statements += shard.waiting.size();
    bytes += shard.bytes;
  }
  if (statements != totals.statements() || bytes != totals.bytes()) {
    violations_->Add(Checker::kHoldIdentity,
                     "over all shards: the account has " + std::to_string(totals.statements()) +
                         " statements of " + std::to_string(totals.bytes()) +
                         " bytes, it should be " + std::to_string(statements) + " of " +
                         std::to_string(bytes));
  }
  if (statements > rules_.total_statements || bytes > rules_.total_bytes)
    violations_->Add(Checker::kCaps, "over all shards: " + std::to_string(statements) +
                                         " statements of " + std::to_string(bytes) + " bytes");
}

Holds::Counts Holds::counts() const {
  Counts sum;
  for (const Shard& shard : shards_) {
    sum.asked += shard.counts.asked;
    sum.released += shard.counts.released;
    sum.refused += shard.counts.refused;
    sum.left += shard.counts.left;
  }
  return sum;
}

}  // namespace bulkhead::sim
