// What a simulated server does with a command, and what it answers.
//
// SQL is understood by its first words. The ledger: INSERT INTO ledger (id, ...) VALUES (n, ...).
// The router's own: texts that begin with '#', answered with a packet of text.

#include <charconv>
#include <optional>
#include <utility>

#include "proxy/session/server_defaults.h"
#include "proxy/wire/commands.h"
#include "proxy/wire/frame.h"
#include "proxy/wire/responses.h"
#include "proxy/wire/result_set.h"
#include "tests/sim/server_thread.h"

namespace bulkhead::sim {

namespace {

std::string_view TextOf(const Bytes& command) {
  return {reinterpret_cast<const char*>(command.data()) + 1, command.size() - 1};
}

// The number behind `mark`.
uint64_t NumberAfter(std::string_view text, std::string_view mark) {
  const size_t at = text.find(mark);
  uint64_t number = 0;
  if (at == std::string_view::npos) return 0;
  (void)std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), number);
  return number;
}

bool Begins(std::string_view text, std::string_view words) { return text.starts_with(words); }

}  // namespace

bool Server::Commits(const Thread& thread) const {
  if (thread.command[0] == 0x17) return !thread.in_transaction;
  if (thread.command[0] != 3) return false;
  const std::string_view sql = TextOf(thread.command);
  if (Begins(sql, "COMMIT")) return !thread.written.empty();
  return Begins(sql, "#CANARY") || (Begins(sql, "INSERT") && !thread.in_transaction);
}

void Server::Execute(Thread* thread) {
  const Bytes command = std::exchange(thread->command, {});
  if (command[0] == kLogin) {
    Ok(thread, 0);
    return;
  }
  switch (static_cast<wire::Command>(command[0])) {
    case wire::Command::kQuery:
      OnQuery(thread, TextOf(command));
      return;
    case wire::Command::kStmtPrepare:
      OnPrepare(thread, TextOf(command));
      return;
    case wire::Command::kStmtExecute:
      OnExecutePrepared(thread, command);
      return;
    case wire::Command::kStmtClose:
      return;
    case wire::Command::kResetConnection:
      thread->written.clear();
      thread->in_transaction = false;
      thread->prepared.clear();
      Ok(thread, 0);
      return;
    default:  // COM_PING, COM_INIT_DB, COM_SET_OPTION, ...
      Ok(thread, 0);
      return;
  }
}

void Server::OnQuery(Thread* thread, std::string_view sql) {
  if (Begins(sql, "#")) {
    RouterQuery(thread, sql);
  } else if (Begins(sql, "INSERT")) {
    Insert(thread, NumberAfter(sql, "VALUES ("));
  } else if (Begins(sql, "BEGIN")) {
    Commit(thread);
    thread->in_transaction = true;
    Ok(thread, 0);
  } else if (Begins(sql, "COMMIT")) {
    Commit(thread);
    Ok(thread, 0);
  } else if (Begins(sql, "ROLLBACK")) {
    thread->written.clear();
    thread->in_transaction = false;
    Ok(thread, 0);
  } else if (sql == session::kServerDefaultsQuery) {
    Rows(thread, "x", {"28800|28800|utf8mb4|STRICT_TRANS_TABLES"});
  } else if (Begins(sql, "SELECT LAST_INSERT_ID()")) {
    Rows(thread, "LAST_INSERT_ID()", {"0"});
  } else if (Begins(sql, "SELECT")) {
    std::vector<std::string> cells;
    for (uint64_t i = NumberAfter(sql, "LIMIT "); i > 0; --i) cells.push_back(std::to_string(i));
    Rows(thread, "id", cells);
  } else if (Begins(sql, "SHOW")) {
    Rows(thread, "Message", {});
  } else if (Begins(sql, "SET") || Begins(sql, "DO") || Begins(sql, "USE")) {
    Ok(thread, 0);
  } else {
    Error(thread, 1064, "You have an error in your SQL syntax");
  }
}

void Server::OnPrepare(Thread* thread, std::string_view sql) {
  const uint32_t id = ++thread->last_prepared;
  thread->prepared[id] = std::string(sql);
  Bytes out;
  wire::PacketWriter writer(&out, thread->sequence);
  const wire::Capabilities capabilities = CapabilitiesOf(index_);
  writer.Append([&](wire::ByteWriter* packet) {
    wire::EncodePrepareOk({.statement_id = id, .parameters = 1}, capabilities, packet);
  });
  writer.Append([&](wire::ByteWriter* packet) {
    wire::EncodeColumnDefinition(wire::NumberColumn("?"), capabilities, packet);
  });
  if ((capabilities & wire::kClientDeprecateEof) == 0) {
    writer.Append([&](wire::ByteWriter* packet) {
      wire::EncodeEof({.status = wire::kStatusAutocommit}, packet);
    });
  }
  Answer(thread, out);
}

// Id, flags, iteration count, null bitmap, "types follow", the type, the value: one BIGINT.
void Server::OnExecutePrepared(Thread* thread, const Bytes& command) {
  const auto number = [&](size_t at, size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size && at + i < command.size(); ++i)
      value |= uint64_t{command[at + i]} << (8 * i);
    return value;
  };
  const auto statement = static_cast<uint32_t>(number(1, 4));
  if (!thread->prepared.contains(statement)) {
    Error(thread, 1243, "Unknown prepared statement handler");
    return;
  }
  constexpr size_t kFlagAt = 1 + 4 + 1 + 4 + 1;
  const bool types = number(kFlagAt, 1) == 1;
  Insert(thread, number(kFlagAt + 1 + (types ? 2 : 0), 8));
}

// What the router asks for itself, answered with a text.
void Server::RouterQuery(Thread* thread, std::string_view sql) {
  std::string text = "ok";
  if (Begins(sql, "#CANARY")) {
    ++canary_;
  } else if (Begins(sql, "#IDENTITY")) {
    text = "server-" + std::to_string(index_) + " " + std::to_string(started_at_s_);
  } else if (Begins(sql, "#KILL ")) {
    const auto victim = static_cast<uint32_t>(NumberAfter(sql, "#KILL "));
    Thread* at = Find(victim);
    if (at == nullptr) {
      text = "gone";
    } else {
      watcher_->OnKilled(index_, victim, at->connection->number());
      at->killed = true;
      // It looks at its flag at certain points only.
      scheduler_->After(random_.Between(10, 3000) * kUs,
                        [this, victim, incarnation = incarnation_] {
                          if (incarnation == incarnation_ && !frozen_) End(victim, false);
                        });
    }
  }
  Bytes out;
  wire::PacketWriter(&out, thread->sequence)
      .Write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  Answer(thread, out);
}

void Server::Insert(Thread* thread, uint64_t id) {
  watcher_->OnExecuted(index_, id, thread->connection->number());
  trace_->Note("execute", index_, id, [&] {
    return Name() + " executes write " + std::to_string(id) + " on its connection " +
           std::to_string(thread->id) + (thread->peer_gone ? ", whose client is gone" : "");
  });
  thread->written.push_back(
      {.id = id, .executed = scheduler_->now(), .committed = 0, .thread = thread->id});
  if (!thread->in_transaction) Commit(thread);
  Ok(thread, 1);
}

void Server::Commit(Thread* thread) {
  for (Row& row : thread->written) {
    row.committed = scheduler_->now();
    rows_.push_back(row);
    watcher_->OnCommitted(index_, row, thread->connection->number());
  }
  thread->written.clear();
  thread->in_transaction = false;
}

// --- answers

void Server::Ok(Thread* thread, uint64_t affected) {
  Bytes out;
  wire::PacketWriter(&out, thread->sequence).Append([&](wire::ByteWriter* packet) {
    wire::OkPacket ok;
    ok.affected_rows = affected;
    ok.status = wire::kStatusAutocommit;
    if (thread->in_transaction) ok.status |= wire::kStatusInTransaction;
    wire::EncodeOk(ok, CapabilitiesOf(index_), packet);
  });
  Answer(thread, out);
}

void Server::Error(Thread* thread, uint16_t code, std::string_view message) {
  Bytes out;
  wire::PacketWriter(&out, thread->sequence).Append([&](wire::ByteWriter* packet) {
    wire::EncodeErr({.code = code, .sqlstate = "HY000", .message = message}, packet);
  });
  Answer(thread, out);
}

void Server::Rows(Thread* thread, std::string_view column, const std::vector<std::string>& cells) {
  const wire::Capabilities capabilities = CapabilitiesOf(index_);
  wire::ServerStatus status = wire::kStatusAutocommit;
  if (thread->in_transaction) status |= wire::kStatusInTransaction;
  Bytes out;
  wire::PacketWriter writer(&out, thread->sequence);
  writer.Append([&](wire::ByteWriter* packet) {
    wire::EncodeColumnCount({.columns = 1}, capabilities, packet);
  });
  writer.Append([&](wire::ByteWriter* packet) {
    wire::EncodeColumnDefinition(wire::TextColumn(column), capabilities, packet);
  });
  if ((capabilities & wire::kClientDeprecateEof) == 0) {
    writer.Append([&](wire::ByteWriter* packet) { wire::EncodeEof({.status = status}, packet); });
  }
  for (const std::string& cell : cells) {
    const std::optional<std::string_view> view = cell;
    writer.Append([&](wire::ByteWriter* packet) { wire::EncodeTextRow({&view, 1}, packet); });
  }
  writer.Append([&](wire::ByteWriter* packet) {
    wire::OkPacket end;
    end.header = wire::kEofHeader;
    end.status = status;
    wire::EncodeResultEnd(end, capabilities, packet);
  });
  Answer(thread, out);
}

}  // namespace bulkhead::sim
