#include "tests/sim/ledger.h"

#include <algorithm>
#include <string>
#include <utility>

namespace bulkhead::sim {

namespace {

std::string Name(uint64_t id, const Write& write) {
  return "write " + std::to_string(id) + " of session " + std::to_string(write.session) +
         (write.unit == 0 ? std::string() : " in transaction " + std::to_string(write.unit));
}

}  // namespace

uint64_t Ledger::Send(uint32_t session, size_t shard, uint64_t unit) {
  const uint64_t id = ++last_id_;
  Write& write = writes_[id];
  write.unit = unit;
  write.session = session;
  write.sequence = ++sequence_[session];
  write.shard = shard;
  pending_[session] = id;
  return id;
}

void Ledger::Answer(uint64_t id, Label label) {
  Write& write = writes_.at(id);
  if (write.label != Label::kPending)
    violations_->Add(Checker::kOneOutcome, Name(id, write) + " was answered twice");
  write.label = label;
  pending_.erase(write.session);
  if (write.unit == 0 && label == Label::kNotExecuted && write.rows > 0) {
    violations_->Add(Checker::kTruth,
                     Name(id, write) + " is said not to be executed, and its row is there");
  }
}

void Ledger::Released(uint32_t session) {
  if (auto it = pending_.find(session); it != pending_.end()) writes_[it->second].released = true;
}

void Ledger::Abandoned(size_t server, uint64_t connection, Ns now) {
  servers_[server].abandoned[connection] = now;
}

void Ledger::CheckSettled(size_t server, uint64_t id, uint64_t connection) {
  const ServerView& view = servers_[server];
  const auto it = view.abandoned.find(connection);
  if (it == view.abandoned.end() || view.last_released_at <= it->second) return;
  violations_->Add(Checker::kSettled,
                   Name(id, writes_[id]) + " ran on a connection that was given up before write " +
                       std::to_string(view.last_released) + ", which was released and ran first");
}

void Ledger::Executed(size_t server, uint64_t id, uint64_t connection, Ns now) {
  const auto it = writes_.find(id);
  if (it == writes_.end()) {
    violations_->Add(Checker::kTruth, "a write that nobody sent was executed");
    return;
  }
  Write& write = it->second;
  if (write.shard != server)
    violations_->Add(Checker::kTruth, Name(id, write) + " ran on another shard's server");
  CheckSettled(server, id, connection);
  ServerView& view = servers_[server];
  if (auto left = view.left_behind.find(connection); left != view.left_behind.end())
    stragglers_ += view.down_at > left->second && view.last_released_at > view.down_at ? 1 : 0;
  uint64_t& last = executed_[write.session];
  if (write.sequence == last) {
    violations_->Add(Checker::kTwice, Name(id, write) + " was executed twice");
  } else if (write.sequence < last) {
    violations_->Add(Checker::kOrder, Name(id, write) + " ran after a later one of its session");
  }
  last = std::max(last, write.sequence);
  if (write.released && !view.abandoned.contains(connection)) {
    view.last_released = id;
    view.last_released_at = now;
  }
}

void Ledger::Committed(size_t server, uint64_t id, uint64_t connection) {
  const auto it = writes_.find(id);
  if (it == writes_.end()) return;
  Write& write = it->second;
  if (++write.rows > 1)
    violations_->Add(Checker::kTwice, Name(id, write) + " is in the rows twice");
  if (Allowed(write).second == 0) {
    violations_->Add(Checker::kTruth,
                     Name(id, write) + " was committed although its client was told that it was " +
                         (write.label == Label::kNotExecuted ? "not executed" : "rolled back"));
  }
  CheckSettled(server, id, connection);
}

std::pair<uint32_t, uint32_t> Ledger::Allowed(const Write& write) const {
  if (write.label == Label::kNotExecuted) return {0, 0};
  if (write.unit == 0) return {write.label == Label::kDone ? 1 : 0, 1};
  const auto it = units_.find(write.unit);
  switch (it == units_.end() ? Fate::kOpen : it->second) {
    case Fate::kCommitted:
      return {write.label == Label::kDone ? 1 : 0, 1};
    case Fate::kRolledBack:
      return {0, 0};
    case Fate::kOpen:
    case Fate::kUnknown:
      break;
  }
  return {0, 1};
}

void Ledger::CheckWrite(uint64_t id, const Write& write) {
  if (write.label == Label::kPending)
    violations_->Add(Checker::kOneOutcome, Name(id, write) + " was never answered");
  const auto [least, most] = Allowed(write);
  if (write.rows < least)
    violations_->Add(Checker::kTruth, Name(id, write) + " is said to be done, and is lost");
  if (write.rows > most)
    violations_->Add(Checker::kTruth, Name(id, write) + " has a row that it can't have");
}

void Ledger::CheckAll() {
  // All or nothing, of what was executed in a transaction whose end is not known.
  std::map<uint64_t, std::pair<uint32_t, uint32_t>> parts;  // done, and of these in the rows
  for (uint64_t id = 1; id <= last_id_; ++id) {
    const Write& write = writes_[id];
    CheckWrite(id, write);
    if (write.unit == 0 || write.label != Label::kDone) continue;
    auto& [done, rows] = parts[write.unit];
    ++done;
    rows += write.rows > 0 ? 1 : 0;
  }
  for (const auto& [unit, part] : parts) {
    if (part.second != 0 && part.second != part.first) {
      violations_->Add(Checker::kTruth, "of transaction " + std::to_string(unit) + " " +
                                            std::to_string(part.second) + " of " +
                                            std::to_string(part.first) + " writes are there");
    }
  }
}

Ledger::Counts Ledger::counts() const {
  Counts counts;
  counts.stragglers = stragglers_;
  for (const auto& [id, write] : writes_) {
    const auto unit = units_.find(write.unit);
    const Fate fate = write.unit == 0 || unit == units_.end() ? Fate::kOpen : unit->second;
    switch (write.label) {
      case Label::kPending:
      case Label::kLeft:
        ++counts.left;
        break;
      case Label::kDone:
        ++(fate == Fate::kRolledBack ? counts.rolled_back
           : fate == Fate::kUnknown  ? counts.unknown
                                     : counts.done);
        break;
      case Label::kNotExecuted:
        ++counts.not_executed;
        break;
      case Label::kUnknown:
        ++counts.unknown;
        break;
    }
  }
  return counts;
}

}  // namespace bulkhead::sim
