#include "tests/sim/client.h"

#include <utility>

#include "proxy/wire/commands.h"
#include "proxy/wire/frame.h"

namespace bulkhead::sim {

namespace {

constexpr uint16_t kStateLost = 9411;
constexpr uint16_t kRolledBack = 1213;
constexpr uint16_t kInterrupted = 1317;
constexpr uint16_t kUnknown = 9410;

bool IsRefusal(uint16_t code) { return code >= 9401 && code <= 9405; }

std::string_view Word(uint8_t kind) {
  constexpr std::string_view kWords[] = {"nothing", "SET",   "INSERT", "SELECT",  "PREPARE",
                                         "EXECUTE", "BEGIN", "COMMIT", "ROLLBACK"};
  return kWords[kind];
}

}  // namespace

std::string Client::Words() const {
  return "client " + std::to_string(setup_.number) + " (session " + std::to_string(session_) +
         ", shard " + std::to_string(setup_.shard) + ")";
}

void Client::Start() {
  setup_.scheduler->After(setup_.random.Between(0, setup_.think), [this] { Connect(); });
}

void Client::Connect() {
  session::SessionLogin login;
  login.capabilities = CapabilitiesOf(setup_.shard);
  login.collation = 45;
  login.user = setup_.user;
  login.user_as_given = "app@" + setup_.tenant;
  login.tenant_from_user = setup_.tenant;
  login.pool_account = 1;
  session_ = setup_.worker->Connect(this, std::move(login));
  prepared_ = 0;
  has_set_ = false;
  sent_ = Sent::kNothing;
  Think();
}

void Client::Think() {
  setup_.scheduler->After(setup_.random.Between(setup_.think / 4, setup_.think * 7 / 4),
                          [this, session = session_, statement = statement_] {
                            if (session == session_ && statement == statement_) Next();
                          });
}

void Client::Next() {
  if (unit_ != 0) {
    NextInTransaction();
    return;
  }
  if (finishing_) return;
  if (setup_.is_pinned && !has_set_) {
    Send(Sent::kSet, 3, "SET @seen = 1 + @seen");
    return;
  }
  if (setup_.sets_variables && !has_set_) {
    Send(Sent::kSet, 3, "SET time_zone = '+0" + std::to_string(setup_.number % 3) + ":00'");
    return;
  }
  constexpr size_t kShortText = 40;
  switch (setup_.habit) {
    case Habit::kWriter:
      SendInsert(kShortText);
      return;
    case Habit::kReader:
      Send(Sent::kSelect, 3,
           "SELECT id FROM ledger LIMIT " + std::to_string(setup_.random.Below(20)));
      return;
    case Habit::kTransactions:
      left_in_unit_ = static_cast<uint32_t>(setup_.random.Between(1, 4));
      wants_rollback_ = setup_.random.Chance(150);
      Send(Sent::kBegin, 3, "BEGIN");
      return;
    case Habit::kPrepared:
      if (prepared_ == 0) {
        Send(Sent::kPrepare, 0x16, "INSERT INTO ledger (id) VALUES (?)");
      } else {
        SendExecute();
      }
      return;
    case Habit::kLongTexts:
      SendInsert(setup_.random.Below(50'000));
      return;
  }
}

void Client::NextInTransaction() {
  if (left_in_unit_ > 0 && !finishing_) {
    if (setup_.random.Chance(250)) {
      Send(Sent::kSelect, 3, "SELECT id FROM ledger LIMIT 2");
    } else {
      SendInsert(setup_.random.Below(100));
    }
  } else if (wants_rollback_) {
    Send(Sent::kRollback, 3, "ROLLBACK");
  } else {
    Send(Sent::kCommit, 3, "COMMIT");
  }
}

void Client::SendInsert(size_t padding) {
  write_ = setup_.checkers->ledger()->Send(session_, setup_.shard, unit_);
  Send(Sent::kInsert, 3,
       "INSERT INTO ledger (id, pad) VALUES (" + std::to_string(write_) + ", '" +
           std::string(padding, 'x') + "')");
}

void Client::SendExecute() {
  write_ = setup_.checkers->ledger()->Send(session_, setup_.shard, unit_);
  std::string body;
  for (int i = 0; i < 4; ++i) body += static_cast<char>(prepared_ >> (8 * i));
  body += std::string("\0\1\0\0\0\0\1\x08\0", 9);  // no cursor, once, not NULL, a BIGINT follows
  for (int i = 0; i < 8; ++i) body += static_cast<char>(write_ >> (8 * i));
  Send(Sent::kExecute, 0x17, body);
}

void Client::Send(Sent kind, uint8_t command, std::string_view text) {
  sent_ = kind;
  sent_at_ = setup_.scheduler->now();
  ++statement_;
  packets_ = 0;
  in_rows_ = false;
  input_.clear();
  Bytes out;
  wire::PacketWriter(&out, 0).Append([&](wire::ByteWriter* packet) {
    packet->WriteU8(command);
    packet->WriteText(text);
  });
  setup_.trace->Note("send", session_, write_, [&] {
    return Words() + " sends " + std::string(Word(static_cast<uint8_t>(kind))) +
           (write_ == 0 ? std::string() : " of write " + std::to_string(write_));
  });
  setup_.worker->ClientSends(session_, std::move(out));
  if (setup_.random.Chance(setup_.leaves_permille)) {
    const Ns soon = setup_.random.Chance(500) ? 3 * kMs : 4 * kSecond;
    setup_.scheduler->After(setup_.random.Between(0, soon), [this, statement = statement_] {
      if (statement == statement_ && sent_ != Sent::kNothing) Leave();
    });
  }
}

// --- answers

bool Client::AnswerIsWhole(uint16_t* code) {
  const bool with_eof = (CapabilitiesOf(setup_.shard) & wire::kClientDeprecateEof) == 0;
  wire::PacketExtent extent;
  while (wire::FindPacket(input_, size_t{1} << 24, &extent) == wire::FindResult::kPacket) {
    const uint8_t first = input_[4];
    const uint8_t low = input_[5];
    const uint8_t high = input_[6];
    const size_t size = extent.wire_size - wire::kFrameHeaderSize;
    if (packets_ == 0 && sent_ == Sent::kPrepare && first == 0) prepared_ = low;
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(extent.wire_size));
    ++packets_;
    *code = 0;
    if (first == 0xFF && low == 0xFF && high == 0xFF) continue;  // a progress report
    if (first == 0xFF) {
      *code = static_cast<uint16_t>(low | high << 8);
      return true;
    }
    if (sent_ == Sent::kPrepare) {
      if (packets_ == (with_eof ? 3u : 2u)) return true;
    } else if (sent_ == Sent::kSelect) {
      // Count, definition, (EOF,) rows, end.
      if (packets_ > (with_eof ? 3u : 2u) && first == 0xFE && size < 20) return true;
    } else {
      return true;
    }
  }
  return false;
}

void Client::OnAnswerBytes(uint32_t session, const Bytes& bytes) {
  if (session != session_) return;
  if (sent_ == Sent::kNothing) {
    setup_.checkers->violations()->Add(Checker::kOneOutcome,
                                       Words() + " is answered although it asked nothing");
    return;
  }
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  uint16_t code = 0;
  if (AnswerIsWhole(&code)) OnAnswer(code);
}

void Client::OnAnswer(uint16_t code) {
  const Sent kind = std::exchange(sent_, Sent::kNothing);
  ++statement_;
  setup_.trace->Note("answer", session_, code, [&] {
    return Words() + " is told " + (code == 0 ? std::string("OK") : std::to_string(code)) + " to " +
           std::string(Word(static_cast<uint8_t>(kind))) +
           (write_ == 0 ? std::string() : " of write " + std::to_string(write_));
  });
  setup_.checkers->OnAnswered(setup_.shard, code, sent_at_);
  const bool expected = code == 0 || IsRefusal(code) || code == kUnknown || code == kRolledBack ||
                        code == kStateLost || (code == kInterrupted && kind == Sent::kSelect);
  if (!expected) {
    setup_.checkers->violations()->Add(Checker::kOneOutcome,
                                       Words() + " is told " + std::to_string(code));
  }
  if (code == 0) last_ok_ = setup_.scheduler->now();
  Told(kind, code);
  if (code == kStateLost) return;  // the connection closes
  Think();
}

void Client::Told(Sent kind, uint16_t code) {
  if (const uint64_t write = std::exchange(write_, 0); write != 0) {
    setup_.checkers->ledger()->Answer(write, code == 0          ? Label::kDone
                                             : code == kUnknown ? Label::kUnknown
                                                                : Label::kNotExecuted);
  }
  if (kind == Sent::kSet && code == 0) has_set_ = true;
  if (kind == Sent::kBegin && code == 0) unit_ = setup_.checkers->ledger()->OpenUnit();
  if (unit_ == 0) return;
  if (code == kRolledBack || code == kStateLost) {
    EndUnit(Fate::kRolledBack);
  } else if (code == kUnknown) {
    EndUnit(Fate::kUnknown);
  } else if (code == 0 && kind == Sent::kCommit) {
    EndUnit(Fate::kCommitted);
  } else if (code == 0 && kind == Sent::kRollback) {
    EndUnit(Fate::kRolledBack);
  } else if (code == 0 && left_in_unit_ > 0 && kind != Sent::kBegin) {
    --left_in_unit_;
  } else if (code != 0 && setup_.random.Chance(500)) {
    left_in_unit_ = 0;  // not executed: it gives up, or tries again
    wants_rollback_ = true;
  }
}

void Client::EndUnit(Fate fate) {
  if (const uint64_t unit = std::exchange(unit_, 0); unit != 0)
    setup_.checkers->ledger()->EndUnit(unit, fate);
}

// --- the end of a session

// What was under way when it ended without an answer.
void Client::LoseSession() {
  if (const uint64_t write = std::exchange(write_, 0); write != 0)
    setup_.checkers->ledger()->Answer(write, Label::kLeft);
  EndUnit(sent_ == Sent::kCommit ? Fate::kUnknown : Fate::kRolledBack);
  sent_ = Sent::kNothing;
  session_ = 0;
  ++statement_;
  if (!finishing_)
    setup_.scheduler->After(setup_.random.Between(kMs, 200 * kMs), [this] { Connect(); });
}

void Client::Leave() {
  setup_.trace->Note("leave", session_, write_, [&] { return Words() + " does not wait"; });
  setup_.worker->ClientLeaves(session_);
  LoseSession();
}

void Client::OnClosed(uint32_t session) {
  if (session != session_) return;
  setup_.trace->Note("closed", session_, write_, [&] { return Words() + " is disconnected"; });
  // A connection may be closed without an answer only where a part of one was forwarded.
  if (sent_ != Sent::kNothing && packets_ == 0 && input_.empty()) {
    setup_.checkers->violations()->Add(Checker::kOneOutcome,
                                       Words() + " is disconnected and was not answered");
  }
  LoseSession();
}

}  // namespace bulkhead::sim
