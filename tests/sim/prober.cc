#include "tests/sim/prober.h"

#include <algorithm>
#include <utility>

#include "proxy/wire/commands.h"
#include "proxy/wire/frame.h"

namespace bulkhead::sim {

namespace {

using routing::ProbeKind;
using routing::ProbeOutcome;
using routing::ProbeResult;
using routing::ProbeStage;

constexpr Ns kTaskLimit = 2 * kSecond;
constexpr Ns kKeepAlive = 5 * kSecond;

ProbeStage StageOf(Connection::Stage stage) {
  switch (stage) {
    case Connection::Stage::kConnect:
      return ProbeStage::kConnect;
    case Connection::Stage::kGreeting:
      return ProbeStage::kGreeting;
    case Connection::Stage::kLogin:
      return ProbeStage::kLogin;
    case Connection::Stage::kReady:
    case Connection::Stage::kEnded:
      return ProbeStage::kAnswer;
  }
  return ProbeStage::kAnswer;
}

ProbeOutcome OutcomeOf(TcpUser::End end) {
  switch (end) {
    case TcpUser::End::kClosed:
      return ProbeOutcome::kClosed;
    case TcpUser::End::kReset:
      return ProbeOutcome::kReset;
    case TcpUser::End::kRefused:
      return ProbeOutcome::kRefused;
  }
  return ProbeOutcome::kClosed;
}

Bytes Query(std::string_view text) {
  Bytes out;
  wire::PacketWriter(&out, 0).Append([&](wire::ByteWriter* packet) {
    packet->WriteU8(static_cast<uint8_t>(wire::Command::kQuery));
    packet->WriteText(text);
  });
  return out;
}

// Takes one packet off `input`. False: not there yet.
bool TakePacket(Bytes* input, std::string* payload) {
  wire::PacketExtent extent;
  if (wire::FindPacket(*input, 4096, &extent) != wire::FindResult::kPacket) return false;
  payload->assign(input->begin() + wire::kFrameHeaderSize,
                  input->begin() + static_cast<ptrdiff_t>(extent.wire_size));
  input->erase(input->begin(), input->begin() + static_cast<ptrdiff_t>(extent.wire_size));
  return true;
}

}  // namespace

struct Prober::Attempt final : ConnectionUser {
  explicit Attempt(Prober* owner) : prober(owner) {}
  void OnOpen() override { prober->OnOpen(this); }
  void OnReceived(Bytes* bytes) override {
    input.insert(input.end(), bytes->begin(), bytes->end());
    std::string payload;
    if (probe != 0 && TakePacket(&input, &payload)) prober->OnAnswer(this);
  }
  void OnEnded(TcpUser::End end) override { prober->OnEnded(this, end); }

  Prober* prober;
  ProbeKind kind{};
  uint64_t probe = 0;  // 0: idle
  bool hung = false;
  Bytes input;
  std::shared_ptr<Connection> connection;
};

struct Prober::Errand final : ConnectionUser {
  Errand(Prober* owner, Task kind) : prober(owner), task(kind) {}
  void OnOpen() override { Next(); }
  void Next() {
    if (answers.size() == texts.size()) {
      prober->EndErrand(task, answers);
    } else {
      connection->Send(Query(texts[answers.size()]));
    }
  }
  void OnReceived(Bytes* bytes) override {
    input.insert(input.end(), bytes->begin(), bytes->end());
    std::string payload;
    if (!TakePacket(&input, &payload)) return;
    answers.push_back(payload);
    Next();
  }
  void OnEnded(TcpUser::End) override { prober->EndErrand(task, std::nullopt); }

  Prober* prober;
  Task task;
  uint64_t number = 0;
  std::vector<std::string> texts;
  std::vector<std::string> answers;
  Done done;
  Bytes input;
  std::shared_ptr<Connection> connection;
};

Prober::Prober(Scheduler* scheduler, Actor* actor, Server* server, Random random,
               ProberOwner* owner)
    : scheduler_(scheduler), actor_(actor), server_(server), random_(random), owner_(owner) {}

Prober::~Prober() = default;

void Prober::Drop(std::unique_ptr<Attempt> attempt, bool abort) {
  if (attempt == nullptr) return;
  if (abort) {
    attempt->connection->Abort();
  } else {
    attempt->connection->Close();
  }
  // Its functions may be on the stack.
  scheduler_->AfterOn(actor_, 0, Turn::kOther,
                      [gone = std::shared_ptr<Attempt>(std::move(attempt))] {});
}

void Prober::Start(const routing::HealthAction& action) {
  std::unique_ptr<Attempt>& lane = Lane(action.probe_kind);
  const bool open = action.fresh_connection || action.probe_kind == ProbeKind::kLogin ||
                    lane == nullptr || lane->connection->stage() != Connection::Stage::kReady;
  if (open) {
    Drop(std::move(lane), /*abort=*/false);
    lane = std::make_unique<Attempt>(this);
    lane->kind = action.probe_kind;
    lane->connection = std::make_shared<Connection>(scheduler_, actor_, lane.get());
  }
  lane->probe = action.probe;
  scheduler_->AfterOn(
      actor_, action.timeout.count(), Turn::kTimer,
      [this, kind = action.probe_kind, probe = action.probe] { OnTimeout(kind, probe); });
  if (open) {
    lane->connection->Open(server_, random_.Fork(++opened_), kKeepAlive);
  } else {
    Run(lane.get());
  }
}

void Prober::OnOpen(Attempt* attempt) {
  if (attempt->kind == ProbeKind::kLogin) {
    Finish(attempt, {.outcome = ProbeOutcome::kOk});
  } else {
    Run(attempt);
  }
}

void Prober::Run(Attempt* attempt) {
  switch (attempt->kind) {
    case ProbeKind::kLogin:
      return;
    case ProbeKind::kPing:
      attempt->connection->Send({1, 0, 0, 0, static_cast<uint8_t>(wire::Command::kPing)});
      return;
    case ProbeKind::kRead:
      attempt->connection->Send(Query("#READ"));
      return;
    case ProbeKind::kCommit:
      attempt->connection->Send(Query("#CANARY"));
      return;
  }
}

void Prober::OnAnswer(Attempt* attempt) { Finish(attempt, {.outcome = ProbeOutcome::kOk}); }

void Prober::OnEnded(Attempt* attempt, TcpUser::End end) {
  if (attempt->hung) {
    FinishHung(attempt, routing::HungEnd::kClosed);
    return;
  }
  ProbeResult result;
  result.outcome = OutcomeOf(end);
  if (end == TcpUser::End::kRefused) result.stage = ProbeStage::kConnect;
  if (attempt->probe != 0) {
    Finish(attempt, result);
    return;
  }
  const ProbeKind kind = attempt->kind;
  Drop(std::move(Lane(kind)), /*abort=*/false);
  owner_->OnProbeConnectionLost(kind, end == TcpUser::End::kReset
                                          ? routing::ConnectionError::kReset
                                          : routing::ConnectionError::kClosed);
}

void Prober::OnTimeout(ProbeKind kind, uint64_t probe) {
  std::unique_ptr<Attempt>& lane = Lane(kind);
  if (lane == nullptr || lane->probe != probe) return;
  const Connection::Stage stage = lane->connection->stage();
  ProbeResult result;
  result.outcome = ProbeOutcome::kTimeout;
  result.stage = StageOf(stage);
  result.kept = stage != Connection::Stage::kConnect;
  result.acknowledged = lane->connection->Acknowledged();
  if (result.kept) {
    lane->hung = true;
    hung_.push_back(std::move(lane));
  } else {
    Drop(std::move(lane), /*abort=*/true);
  }
  owner_->OnProbe(probe, result);
}

void Prober::Finish(Attempt* attempt, const ProbeResult& result) {
  if (attempt->hung) {
    FinishHung(attempt, result.outcome == ProbeOutcome::kOk ? routing::HungEnd::kAnswered
                                                            : routing::HungEnd::kFailed);
    return;
  }
  const uint64_t probe = std::exchange(attempt->probe, 0);
  const bool over = attempt->kind == ProbeKind::kLogin ||
                    attempt->connection->stage() != Connection::Stage::kReady;
  if (over) Drop(std::move(Lane(attempt->kind)), /*abort=*/false);
  owner_->OnProbe(probe, result);
}

void Prober::FinishHung(Attempt* attempt, routing::HungEnd end) {
  const uint64_t probe = attempt->probe;
  auto it = std::find_if(hung_.begin(), hung_.end(),
                         [attempt](const auto& hung) { return hung.get() == attempt; });
  if (it == hung_.end()) return;
  std::unique_ptr<Attempt> late = std::move(*it);
  hung_.erase(it);
  std::unique_ptr<Attempt>& lane = Lane(late->kind);
  const bool useful = late->kind != ProbeKind::kLogin && lane == nullptr &&
                      end != routing::HungEnd::kClosed &&
                      late->connection->stage() == Connection::Stage::kReady;
  if (useful) {
    late->hung = false;
    late->probe = 0;
    lane = std::move(late);
  } else {
    Drop(std::move(late), /*abort=*/false);
  }
  owner_->OnHungProbe(probe, end);
}

void Prober::Abandon(uint64_t probe) {
  auto it = std::find_if(hung_.begin(), hung_.end(),
                         [probe](const auto& hung) { return hung->probe == probe; });
  if (it == hung_.end()) return;
  std::unique_ptr<Attempt> gone = std::move(*it);
  hung_.erase(it);
  Drop(std::move(gone), /*abort=*/true);
}

// --- identity and KILL

void Prober::Ask(Task task, std::vector<std::string> texts, Done done) {
  std::unique_ptr<Errand>& errand = errands_[static_cast<size_t>(task)];
  if (errand != nullptr) EndErrand(task, std::nullopt);
  errand = std::make_unique<Errand>(this, task);
  errand->number = ++last_errand_;
  errand->texts = std::move(texts);
  errand->done = std::move(done);
  errand->connection = std::make_shared<Connection>(scheduler_, actor_, errand.get());
  errand->connection->Open(server_, random_.Fork(++opened_), kKeepAlive);
  scheduler_->AfterOn(actor_, kTaskLimit, Turn::kTimer, [this, task, number = last_errand_] {
    const std::unique_ptr<Errand>& late = errands_[static_cast<size_t>(task)];
    if (late != nullptr && late->number == number) EndErrand(task, std::nullopt);
  });
}

void Prober::EndErrand(Task task, std::optional<std::vector<std::string>> answers) {
  std::shared_ptr<Errand> errand = std::move(errands_[static_cast<size_t>(task)]);
  if (errand == nullptr) return;
  errand->connection->Close();
  scheduler_->AfterOn(actor_, 0, Turn::kOther, [errand] {});
  const Done done = std::move(errand->done);
  done(std::move(answers));
}

}  // namespace bulkhead::sim
