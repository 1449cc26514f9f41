// A simulated worker thread: its clients' sessions, its connections, its part of the gates.
//
// Runner is what proxy/io's SessionRunner is around a session::Session, without login and TLS.
// Owner: one simulation; everything runs on the worker's actor.
#ifndef BULKHEAD_TESTS_SIM_WORKER_H_
#define BULKHEAD_TESTS_SIM_WORKER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/gate_keeper.h"
#include "proxy/session/session.h"
#include "routing/gate_board.h"
#include "routing/shard_gate.h"
#include "tests/sim/pool.h"

namespace bulkhead::sim {

class Checkers;
class Worker;

// The far end of a client connection.
class ClientEnd {
 public:
  virtual ~ClientEnd() = default;
  // `session`: what Worker::Connect returned.
  virtual void OnAnswerBytes(uint32_t session, const Bytes& bytes) = 0;
  virtual void OnClosed(uint32_t session) = 0;
};

class Runner final : public session::SessionShell, public io::LinkUser {
 public:
  Runner(Worker* worker, uint32_t id, ClientEnd* client, session::SessionLogin login);
  ~Runner() override;

  void OnBytes(Bytes bytes);
  void OnClientGone();
  void OnGateReleased(const io::GateRelease& release);
  void OnGateRefused(const io::GateRefusal& refusal);
  [[nodiscard]] session::Session* session() { return session_.get(); }
  [[nodiscard]] bool closed() const { return closed_; }

  // io::LinkUser
  void OnLink(session::BackendLink* link) override;
  void OnLinkFailed(const session::RouterError& error) override;
  void OnLinkBytes(std::span<uint8_t> bytes) override;
  void OnLinkWritable() override {}
  void OnLinkLost(bool known_dead) override;
  void OnLinkRobbed(session::SavedDiagnostics saved) override;
  void OnTransactionFound() override { session_->OnTransactionFound(); }
  void OnLinkBack() override { session_->OnLinkBack(); }
  void OnLinkGivenUp(bool undelivered) override;

  // session::SessionShell
  [[nodiscard]] uint64_t NowNs() const override;
  void SendToClient(std::span<const uint8_t> bytes) override;
  void CloseClient() override;
  void ClientBytesWanted() override {}
  [[nodiscard]] session::BackendLink* Acquire(const session::LinkRequest& request,
                                              std::optional<session::RouterError>* error) override;
  void CancelAcquire() override;
  void Keep(session::BackendLink* link) override;
  [[nodiscard]] bool Retake(session::BackendLink* link) override;
  void Release(session::BackendLink* link, session::ReleaseHow how) override;
  [[nodiscard]] bool GateOpen(routing::ShardId shard, bool is_read) override;
  [[nodiscard]] bool BackendAnswers(routing::BackendId backend) override;
  void WaitAtGate(const session::GateRequest& request) override;
  void LeaveGate() override;
  void GateDone(routing::ShardId shard, uint64_t took_ns, bool ok) override;
  void NoteUnknown(const session::UnknownOutcome& outcome) override;
  void NoteDdl(routing::BackendId /*backend*/) override {}
  void Kill(uint64_t /*id*/, bool /*query_only*/) override {}
  void ChangeUser(std::span<const uint8_t> /*payload*/, uint8_t /*sequence*/) override {}
  void CountStatement(routing::ShardId, sql::StatementKind, session::Outcome, uint64_t) override {}
  void CountRestore() override {}

 private:
  void Pump();

  Worker* const worker_;
  const uint32_t id_;
  ClientEnd* client_;  // nullptr: gone
  bool closed_ = false;
  bool pumping_ = false;
  Bytes input_;
  std::unique_ptr<session::Session> session_;
  routing::ShardId gate_shard_{};
  uint64_t gate_ticket_ = 0;
  uint32_t gate_waits_ = 0;
};

class Worker {
 public:
  static constexpr Ns kClientLatency = 20 * kUs;

  struct Setup {
    uint32_t index = 0;
    Scheduler* scheduler = nullptr;
    Trace* trace = nullptr;
    Checkers* checkers = nullptr;
    io::GateKeeper* keeper = nullptr;
    std::function<void(routing::BackendId, io::AbandonedConnection)> note_left;
    const routing::GateBoard* board = nullptr;
    std::shared_ptr<const routing::Topology> topology;
    std::shared_ptr<const routing::TransactionalTables> tables;
    const routing::TenantRules* rules = nullptr;
    std::vector<Server*> servers;
    std::vector<routing::ConnectionBudget*> budgets;
    bool read_retry = false;
    Random random{0};
  };
  explicit Worker(Setup setup);
  ~Worker();

  void Start();
  void SetOthers(std::vector<Worker*> workers) { workers_ = std::move(workers); }

  // For clients: each call takes its time to arrive.
  uint32_t Connect(ClientEnd* client, session::SessionLogin login);
  void ClientSends(uint32_t id, Bytes bytes);
  void ClientLeaves(uint32_t id);

  // For control: messages.
  void PostReleased(std::vector<io::GateRelease> releases);
  void PostRefused(std::vector<io::GateRefusal> refusals);
  void PostGateClosed(routing::ShardId shard);
  void PostGiveUp(routing::BackendId backend, bool writes_only, routing::MonoTime silent_before);

  [[nodiscard]] Actor* actor() { return &actor_; }
  [[nodiscard]] io::BackendActivity* activity(size_t backend) { return activity_[backend].get(); }
  [[nodiscard]] Ns last_turn() const { return last_turn_; }
  [[nodiscard]] size_t connections(size_t backend) const { return pool_->connections(backend); }

 private:
  friend class Runner;
  void Tick();
  void Retire(uint32_t id);
  [[nodiscard]] Runner* Find(uint64_t ticket);

  Setup setup_;
  Actor actor_;
  Channel from_control_;
  session::StateInterner states_;
  session::StatementTexts texts_;
  session::SessionContext context_;
  std::vector<std::unique_ptr<io::BackendActivity>> activity_;
  std::unique_ptr<Pool> pool_;
  std::map<uint32_t, std::unique_ptr<Runner>> runners_;
  std::vector<Worker*> workers_;
  uint32_t last_id_ = 0;
  Ns last_turn_ = 0;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_WORKER_H_
