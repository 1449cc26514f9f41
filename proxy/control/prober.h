// Carries out the probes that one backend's health machine asks for (routing/backend_health.h).
//
// Purpose: new connection, ping, read, and a commit to this router's own canary row, each kind on a
// connection of its own, so that one that hangs delays no other. Decides nothing: results go to the
// owner, who gives them to the machine.
// Thread: the control loop's. Limits: the machine's; one probe of a kind under way, and the hung
// ones that it lets stand.
// The canary: table bulkhead.canary, one row a router (its id), so that several routers never wait
// for each other. The schema and the table are made where they are missing and the account may;
// otherwise the owner is told once, and there are no commit probes. Lock timeouts are one second:
// a locked canary is an answer (1205), not silence.
// A read shows every router's canary: who else is there; and bulkhead.epoch, which a promotion
// writes (change_steps_replica.cc): whether another router has changed a primary. Sources: MariaDB
// and MySQL manuals, "innodb_lock_wait_timeout", "lock_wait_timeout" (both in whole seconds, 1 the
// least), "max_connect_errors" (a connection that ends before the login is counted as an error of
// the client's host).
#ifndef BULKHEAD_PROXY_CONTROL_PROBER_H_
#define BULKHEAD_PROXY_CONTROL_PROBER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/control/other_routers.h"
#include "proxy/io/query_connection.h"
#include "routing/health_types.h"

namespace bulkhead::control {

// A row of bulkhead.epoch.
struct SeenEpoch {
  std::string shard;
  uint64_t epoch = 0;
  std::string primary;
  friend bool operator==(const SeenEpoch&, const SeenEpoch&) = default;
};

class ProberOwner {
 public:
  virtual ~ProberOwner() = default;
  virtual void OnProbe(uint64_t probe, routing::ProbeKind kind,
                       const routing::ProbeResult& result) = 0;
  virtual void OnHungProbe(uint64_t probe, routing::HungEnd end) = 0;
  virtual void OnProbeConnectionLost(routing::ProbeKind kind, routing::ConnectionError error) = 0;
  // The account may not write the canary: `why` in words. Once.
  virtual void OnCanaryRefused(const std::string& why) = 0;
  // A canary is being sent.
  virtual void OnCanaryBegun(routing::MonoTime begun) = 0;
  // It was committed: its number, when it was begun, and the server's position afterwards
  // (gtid_binlog_pos or gtid_executed; empty: none).
  virtual void OnCanary(uint64_t number, routing::MonoTime begun, const std::string& gtids) = 0;
  // A read shows this router's canary: this number, or a later one by now.
  virtual void OnCanarySeen(uint64_t number) = 0;
  // Of the same reads: the canaries of others, and the epochs; where they could be read.
  virtual void OnOtherRouters(std::vector<OtherRouter> routers) = 0;
  virtual void OnEpochs(std::vector<SeenEpoch> epochs) = 0;
  virtual void OnUptime(int64_t seconds) = 0;
};

class Prober {
 public:
  // `router_id` is part of SQL text: letters and digits only.
  Prober(io::EventLoop* loop, io::QueryConnection::Options connection, std::string router_id,
         ProberOwner* owner);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // kStartProbe and kAbandonProbe.
  void Start(const routing::HealthAction& action);
  void Abandon(uint64_t probe);
  // How from now on, for connections to come.
  void SetConnection(io::QueryConnection::Options connection) { options_ = std::move(connection); }
  // Where to from now on: names are resolved at each connect.
  void SetAddress(const routing::Address& address) { options_.address = address; }

 private:
  struct Attempt {
    routing::ProbeKind kind;
    uint64_t probe = 0;  // 0: idle
    bool hung = false;
    enum class Step : uint8_t { kOpen, kSetUp, kProbe, kCreate, kCommit } step = Step::kOpen;
    routing::MonoTime begun{};  // the commit
    std::unique_ptr<io::QueryConnection> connection;
    std::unique_ptr<io::Timer> timer;
  };

  Attempt* NewAttempt(routing::ProbeKind kind);
  std::unique_ptr<Attempt>& Lane(routing::ProbeKind kind) {
    return lanes_[static_cast<size_t>(kind)];
  }
  void OnOpen(Attempt* attempt);
  void OnAnswers(Attempt* attempt, const std::vector<io::QueryConnection::Answer>& answers);
  void OnCommitAnswers(Attempt* attempt, const std::vector<io::QueryConnection::Answer>& answers);
  void OnEnd(Attempt* attempt, const io::BackendConnection::Failure& failure);
  void OnTimeout(Attempt* attempt);
  void RunProbe(Attempt* attempt);
  void RunCommit(Attempt* attempt);
  void Finish(Attempt* attempt, const routing::ProbeResult& result);
  void FinishHung(Attempt* attempt, routing::HungEnd end);
  // Its functions may be on the stack: the memory goes with the loop's next turn.
  void Drop(std::unique_ptr<Attempt> attempt, bool abort);
  [[nodiscard]] std::string CanaryNumberSql() const;
  void OnReadAnswers(Attempt* attempt, const std::vector<io::QueryConnection::Answer>& answers);
  void TakeCanaries(const io::QueryConnection::Answer& answer);
  [[nodiscard]] routing::MonoTime Now() const;

  io::EventLoop* const loop_;
  io::QueryConnection::Options options_;
  const std::string router_id_;
  ProberOwner* const owner_;
  bool canary_readable_ = true;
  uint32_t reads_without_canary_ = 0;
  bool epochs_readable_ = true;
  uint32_t reads_without_epochs_ = 0;
  std::array<std::unique_ptr<Attempt>, routing::kProbeKinds> lanes_;
  std::vector<std::unique_ptr<Attempt>> hung_;
};

}  // namespace bulkhead::control

#endif  // BULKHEAD_PROXY_CONTROL_PROBER_H_
