#include "tests/sim/worker.h"

#include <utility>

#include "proxy/wire/client_errors.h"
#include "tests/sim/checkers.h"

namespace bulkhead::sim {

namespace {

constexpr Ns kTick = 100 * kMs;
constexpr uint32_t kIdsOfAWorker = 1'000'000;

}  // namespace

// --- a session's shell

Runner::Runner(Worker* worker, uint32_t id, ClientEnd* client, session::SessionLogin login)
    : worker_(worker),
      id_(id),
      client_(client),
      session_(std::make_unique<session::Session>(this, &worker->context_, std::move(login))) {
  worker_->pool_->AddUser(id_, this);
}

Runner::~Runner() { worker_->pool_->RemoveUser(id_); }

void Runner::OnBytes(Bytes bytes) {
  if (closed_) return;
  input_.insert(input_.end(), bytes.begin(), bytes.end());
  Pump();
}

void Runner::Pump() {
  while (!closed_ && !pumping_ && !input_.empty() && session_->WantsClientBytes()) {
    pumping_ = true;
    const size_t taken = session_->OnClientBytes(input_);
    pumping_ = false;
    if (taken == 0) break;
    input_.erase(input_.begin(), input_.begin() + static_cast<ptrdiff_t>(taken));
  }
}

void Runner::OnClientGone() {
  if (std::exchange(closed_, true)) return;
  client_ = nullptr;
  session_->OnClientGone();
  worker_->Retire(id_);
}

void Runner::CloseClient() {
  if (std::exchange(closed_, true)) return;
  session_->OnClientGone();
  worker_->setup_.scheduler->After(
      Worker::kClientLatency,
      [client = std::exchange(client_, nullptr), id = id_] { client->OnClosed(id); });
  worker_->Retire(id_);
}

void Runner::SendToClient(std::span<const uint8_t> bytes) {
  if (client_ == nullptr) return;
  worker_->setup_.scheduler->After(
      Worker::kClientLatency,
      [client = client_, id = id_, copy = Bytes(bytes.begin(), bytes.end())] {
        client->OnAnswerBytes(id, copy);
      });
}

uint64_t Runner::NowNs() const { return static_cast<uint64_t>(worker_->setup_.scheduler->now()); }

session::BackendLink* Runner::Acquire(const session::LinkRequest& request,
                                      std::optional<session::RouterError>* error) {
  return worker_->pool_->Acquire(request, id_, error);
}
void Runner::CancelAcquire() { worker_->pool_->CancelAcquire(id_); }
void Runner::Keep(session::BackendLink* link) { worker_->pool_->Keep(link); }
bool Runner::Retake(session::BackendLink* link) { return worker_->pool_->Retake(link); }
void Runner::Release(session::BackendLink* link, session::ReleaseHow how) {
  worker_->pool_->Release(link, how);
}

bool Runner::GateOpen(routing::ShardId shard, bool is_read) {
  switch (worker_->setup_.board->shard(shard)) {
    case routing::GateMode::kServing:
      return true;
    case routing::GateMode::kAskWrites:
      return is_read;
    case routing::GateMode::kAsk:
      return false;
  }
  return false;
}

bool Runner::BackendAnswers(routing::BackendId backend) {
  return worker_->setup_.board->answers(backend);
}

void Runner::WaitAtGate(const session::GateRequest& request) {
  gate_shard_ = request.shard;
  gate_ticket_ = uint64_t{id_} << 32 | ++gate_waits_;
  worker_->setup_.checkers->OnWaits(gate_ticket_, request.shard.index,
                                    static_cast<Ns>(request.since_ns));
  worker_->setup_.keeper->Enqueue({.ticket = gate_ticket_,
                                   .worker = worker_->setup_.index,
                                   .shard = request.shard,
                                   .tenant = std::string(request.tenant),
                                   .bytes = request.bytes,
                                   .since_ns = request.since_ns,
                                   .is_read = request.is_read,
                                   .plain_read = request.plain_read,
                                   .continues_transaction = request.continues_transaction,
                                   .policy = request.policy});
}

void Runner::LeaveGate() {
  worker_->setup_.checkers->OnWaitOver(gate_ticket_, /*released=*/false);
  worker_->setup_.keeper->Cancel(gate_shard_, gate_ticket_);
}

void Runner::GateDone(routing::ShardId shard, uint64_t took_ns, bool ok) {
  worker_->setup_.keeper->Finished(shard, gate_ticket_, took_ns, ok);
}

void Runner::NoteUnknown(const session::UnknownOutcome& /*outcome*/) {
  worker_->setup_.checkers->OnUnknownListed();
}

void Runner::OnGateReleased(const io::GateRelease& release) {
  if (closed_ || release.ticket != gate_ticket_) return;
  worker_->setup_.checkers->OnWaitOver(release.ticket, /*released=*/true);
  session_->OnGateReleased(release.replica);
  Pump();
}

void Runner::OnGateRefused(const io::GateRefusal& refusal) {
  if (closed_ || refusal.ticket != gate_ticket_) return;
  worker_->setup_.checkers->OnWaitOver(refusal.ticket, /*released=*/false);
  session_->OnGateRefused(static_cast<wire::ClientError>(refusal.code), refusal.reason,
                          refusal.retry_after_ms);
  Pump();
}

void Runner::OnLink(session::BackendLink* link) {
  session_->OnLink(link);
  Pump();
}

void Runner::OnLinkFailed(const session::RouterError& error) {
  session_->OnLinkFailed(error);
  Pump();
}

void Runner::OnLinkBytes(std::span<uint8_t> bytes) {
  session_->OnBackendBytes(bytes);
  Pump();
}

void Runner::OnLinkLost(bool known_dead) {
  session_->OnLinkLost(known_dead);
  Pump();
}

void Runner::OnLinkRobbed(session::SavedDiagnostics saved) {
  session_->OnLinkRobbed(std::move(saved));
}

void Runner::OnLinkGivenUp(bool undelivered) {
  if (closed_) return;
  session_->OnLinkGivenUp(undelivered);
  Pump();
}

// --- the worker

Worker::Worker(Setup setup)
    : setup_(std::move(setup)),
      actor_("worker " + std::to_string(setup_.index)),
      from_control_(setup_.scheduler, &actor_) {
  context_.states = &states_;
  context_.texts = &texts_;
  context_.topology = setup_.topology;
  context_.rules = setup_.rules;
  context_.server_version = 101113;
  context_.tables = setup_.tables;
  context_.read_retry = setup_.read_retry;
  Pool::Setup pool{.scheduler = setup_.scheduler,
                   .actor = &actor_,
                   .states = &states_,
                   .servers = setup_.servers,
                   .budgets = setup_.budgets,
                   .activity = {},
                   .wake_others =
                       [this] {
                         for (Worker* other : workers_) {
                           if (other == this) continue;
                           setup_.scheduler->AfterOn(other->actor(), 10 * kUs, Turn::kOther,
                                                     [other] { other->pool_->Retry(); });
                         }
                       },
                   .on_abandoned =
                       [this](size_t server, uint64_t connection) {
                         setup_.checkers->OnAbandoned(server, connection);
                       },
                   .note_left =
                       [this](const PoolLink& link) {
                         setup_.checkers->OnLeftBehind(link.backend.index,
                                                       link.connection->number());
                         setup_.note_left(link.backend, {link.thread_id});
                       },
                   .random = setup_.random.Fork(1)};
  for (size_t i = 0; i < setup_.servers.size(); ++i) {
    activity_.push_back(std::make_unique<io::BackendActivity>());
    pool.activity.push_back(activity_.back().get());
  }
  pool_ = std::make_unique<Pool>(std::move(pool));
}

Worker::~Worker() = default;

void Worker::Start() {
  last_turn_ = setup_.scheduler->now();
  setup_.scheduler->AfterOn(&actor_, kTick, Turn::kTimer, [this] { Tick(); });
}

void Worker::Tick() {
  last_turn_ = setup_.scheduler->now();
  pool_->Tick();
  setup_.scheduler->AfterOn(&actor_, kTick, Turn::kTimer, [this] { Tick(); });
}

uint32_t Worker::Connect(ClientEnd* client, session::SessionLogin login) {
  const uint32_t id = (setup_.index + 1) * kIdsOfAWorker + ++last_id_;
  login.connection_id = id;
  setup_.scheduler->AfterOn(&actor_, kClientLatency, Turn::kOther,
                            [this, id, client, login = std::move(login)]() mutable {
                              runners_[id] =
                                  std::make_unique<Runner>(this, id, client, std::move(login));
                            });
  return id;
}

void Worker::ClientSends(uint32_t id, Bytes bytes) {
  setup_.scheduler->AfterOn(&actor_, kClientLatency, Turn::kOther,
                            [this, id, bytes = std::move(bytes)] {
                              if (auto it = runners_.find(id); it != runners_.end())
                                it->second->OnBytes(bytes);
                            });
}

void Worker::ClientLeaves(uint32_t id) {
  setup_.scheduler->AfterOn(&actor_, kClientLatency, Turn::kOther, [this, id] {
    if (auto it = runners_.find(id); it != runners_.end()) it->second->OnClientGone();
  });
}

// Its functions may be on the stack: the memory goes with the loop's next turn.
void Worker::Retire(uint32_t id) {
  setup_.scheduler->AfterOn(&actor_, 0, Turn::kOther, [this, id] { runners_.erase(id); });
}

Runner* Worker::Find(uint64_t ticket) {
  auto it = runners_.find(static_cast<uint32_t>(ticket >> 32));
  return it == runners_.end() ? nullptr : it->second.get();
}

// --- messages from control

void Worker::PostReleased(std::vector<io::GateRelease> releases) {
  from_control_.Post(setup_.random.Between(2, 60) * kUs, [this, releases = std::move(releases)] {
    for (const io::GateRelease& release : releases) {
      if (Runner* runner = Find(release.ticket); runner != nullptr) runner->OnGateReleased(release);
    }
  });
}

void Worker::PostRefused(std::vector<io::GateRefusal> refusals) {
  from_control_.Post(setup_.random.Between(2, 60) * kUs, [this, refusals = std::move(refusals)] {
    for (const io::GateRefusal& refusal : refusals) {
      if (Runner* runner = Find(refusal.ticket); runner != nullptr) runner->OnGateRefused(refusal);
    }
  });
}

void Worker::PostGateClosed(routing::ShardId shard) {
  from_control_.Post(setup_.random.Between(2, 60) * kUs, [this, shard] {
    for (const auto& [id, runner] : runners_) {
      if (!runner->closed()) runner->session()->OnGateClosed(shard);
    }
  });
}

void Worker::PostGiveUp(routing::BackendId backend, bool writes_only,
                        routing::MonoTime silent_before) {
  from_control_.Post(
      setup_.random.Between(2, 60) * kUs, [this, backend, writes_only, silent_before] {
        setup_.keeper->NoteAbandoned(backend, pool_->GiveUp(backend, writes_only, silent_before));
      });
}

}  // namespace bulkhead::sim
