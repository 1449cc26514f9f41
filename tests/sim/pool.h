// A simulated worker's backend connections: what proxy/io's BackendPool does, in virtual time.
//
// The decisions are routing::PoolPolicy's, as there; opening, errands, kept connections, giving up
// and waiting follow proxy/io/backend_pool*.cc step by step, without KILL, TLS and metrics.
// Owner: one worker.
#ifndef BULKHEAD_TESTS_SIM_POOL_H_
#define BULKHEAD_TESTS_SIM_POOL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/backend_activity.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/link_user.h"
#include "proxy/session/link_errand.h"
#include "proxy/session/session_shell.h"
#include "routing/limits.h"
#include "routing/pool_policy.h"
#include "tests/sim/connection.h"

namespace bulkhead::sim {

class Pool;

class PoolLink final : public session::BackendLink, public ConnectionUser {
 public:
  PoolLink(Pool* pool, Scheduler* scheduler, Actor* actor);

  void Send(std::span<const uint8_t> bytes) override;
  void BeginExchange(bool may_write) override;
  void EndExchange(bool committed) override;
  void RunErrand(std::unique_ptr<session::LinkErrand> errand);
  // Ends it without a word to anybody.
  void Close(bool abort);

  uint64_t number = 0;  // in its pool, never reused
  routing::PoolConnection id = 0;
  uint64_t user = 0;       // of kKept and kLent: a session's number in the pool
  uint64_t next_user = 0;  // gets it when it is open, or when the errand is done
  bool ready = false;
  bool closed = false;
  bool in_exchange = false;
  bool may_write = false;
  Ns opened = 0;
  Ns idle_since = 0;
  Ns heard = 0;  // when something was last sent or received
  std::unique_ptr<session::LinkErrand> errand;
  std::shared_ptr<Connection> connection;
  io::BackendActivity* activity = nullptr;

 private:
  void OnOpen() override;
  void OnReceived(Bytes* bytes) override;
  void OnEnded(TcpUser::End end) override;
  void OnAnyBytes(size_t count) override;

  Pool* const pool_;
  Scheduler* const scheduler_;
};

class Pool {
 public:
  struct Setup {
    Scheduler* scheduler;
    Actor* actor;
    session::StateInterner* states;
    std::vector<Server*> servers;  // by the backend's index
    std::vector<routing::ConnectionBudget*> budgets;
    std::vector<io::BackendActivity*> activity;
    std::function<void()> wake_others;
    // A connection was reset by us although something may run on it.
    std::function<void(size_t server, uint64_t connection)> on_abandoned;
    // The same because its client left, or it broke.
    std::function<void(const PoolLink&)> note_left;
    Random random{0};
  };
  static constexpr Ns kAcquireTimeout = 10 * kSecond;

  explicit Pool(Setup setup);
  ~Pool();

  // `user` is told what happens from now on; its number is the key.
  void AddUser(uint64_t number, io::LinkUser* user) { users_[number] = user; }
  void RemoveUser(uint64_t number);
  [[nodiscard]] session::BackendLink* Acquire(const session::LinkRequest& request, uint64_t user,
                                              std::optional<session::RouterError>* error);
  void CancelAcquire(uint64_t user);
  void Keep(session::BackendLink* link);
  [[nodiscard]] bool Retake(session::BackendLink* link);
  void Release(session::BackendLink* link, session::ReleaseHow how);
  [[nodiscard]] std::vector<io::AbandonedConnection> GiveUp(routing::BackendId backend,
                                                            bool writes_only,
                                                            routing::MonoTime silent_before);
  void Retry();
  void Tick();
  [[nodiscard]] size_t connections(size_t backend) const;

 private:
  friend class PoolLink;
  struct PerBackend {
    explicit PerBackend(routing::ConnectionBudget* budget)
        : policy(routing::PoolLimits{}, budget) {}
    routing::PoolPolicy policy;
    session::ServerDefaults defaults;
    Ns defaults_asked = -1;
    std::map<routing::PoolConnection, PoolLink*> by_id;
  };
  struct Waiting {
    size_t backend;
    Ns since;
    session::LinkRequest request;
  };

  void OnReady(PoolLink* link);
  void OnFailed(PoolLink* link, const std::string& why);
  void OnLost(PoolLink* link, bool known_dead);
  void OnErrandDone(PoolLink* link, bool ok);
  PoolLink* CarryOut(size_t backend, const routing::Acquired& acquired,
                     const session::LinkRequest& request, uint64_t user,
                     std::optional<session::RouterError>* error);
  void CarryOutForWaiter(size_t backend, const std::optional<routing::Acquired>& acquired);
  void OpenConnection(size_t backend, routing::PoolConnection id,
                      const session::LinkRequest& request, uint64_t user);
  void AcquireAgain(const Waiting& waiting, uint64_t user);
  void TakeFromOwner(PoolLink* link, session::SavedDiagnostics saved);
  void StartReset(PoolLink* link, uint64_t next);
  void StartDiagnostics(PoolLink* link, uint64_t next);
  void FinishDiagnostics(PoolLink* link, const session::LinkErrand& errand);
  void NowOpen(PoolLink* link);
  void HandOver(PoolLink* link);
  void NoteLeft(const PoolLink& link);
  void ReleaseInErrand(PoolLink* link, session::ReleaseHow how);
  void GiveToPolicy(PoolLink* link, routing::Returned how);
  void Discard(PoolLink* link, bool abort = false);
  void FailWaiting(size_t backend, const session::RouterError& error);
  [[nodiscard]] io::LinkUser* UserOf(uint64_t number) const;
  [[nodiscard]] static session::RouterError Unavailable(size_t backend, const std::string& why);
  [[nodiscard]] routing::MonoTime Now() const {
    return routing::MonoTimeFromNanos(setup_.scheduler->now());
  }

  Setup setup_;
  std::vector<std::unique_ptr<PerBackend>> backends_;
  std::map<uint64_t, io::LinkUser*> users_;
  std::map<uint64_t, std::unique_ptr<PoolLink>> links_;  // by PoolLink::number
  uint64_t last_number_ = 0;
  std::map<uint64_t, Waiting> waiting_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_POOL_H_
