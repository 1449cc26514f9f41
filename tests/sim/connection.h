// The router's end of a connection to a simulated server: connects, is greeted, logs in, then
// carries bytes. Used by the pools and, for probes, by control.
//
// What arrives at the kernel is heard by the owner when its thread runs. Owner: one actor.
#ifndef BULKHEAD_TESTS_SIM_CONNECTION_H_
#define BULKHEAD_TESTS_SIM_CONNECTION_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "tests/sim/network.h"
#include "tests/sim/server.h"

namespace bulkhead::sim {

class Connection;

class ConnectionUser {
 public:
  virtual ~ConnectionUser() = default;
  virtual void OnOpen() = 0;
  virtual void OnReceived(Bytes* bytes) = 0;
  // It ended, and not by us. Nothing follows.
  virtual void OnEnded(TcpUser::End end) = 0;
  virtual void OnAnyBytes(size_t /*count*/) {}  // before OnOpen too
};

class Connection final : public TcpUser, public std::enable_shared_from_this<Connection> {
 public:
  enum class Stage : uint8_t { kConnect, kGreeting, kLogin, kReady, kEnded };

  Connection(Scheduler* scheduler, Actor* actor, ConnectionUser* user)
      : scheduler_(scheduler), actor_(actor), user_(user) {}
  ~Connection() override { Forget(); }

  void Open(Server* server, Random random, Ns keepalive);
  void Send(const Bytes& bytes);
  // Without a word to the user from now on.
  void Close();
  void Abort();
  [[nodiscard]] Stage stage() const { return stage_; }
  [[nodiscard]] uint32_t thread_id() const { return thread_id_; }
  [[nodiscard]] uint64_t number() const { return tcp_ == nullptr ? 0 : tcp_->number(); }
  // Something is stuck in our kernel, and will never be sent.
  [[nodiscard]] bool Stuck() const { return tcp_ != nullptr && tcp_->Stuck(Tcp::Side::kRouter); }
  [[nodiscard]] std::optional<bool> Acknowledged() const;
  // False: something waits in the kernel that says otherwise.
  [[nodiscard]] bool LooksAlive() const { return stage_ == Stage::kReady && unheard_ == 0; }

 private:
  void OnConnected() override;
  void OnBytes(const Bytes& bytes) override;
  void OnEnd(End end) override;
  void Hear(std::function<void()> what);
  void OnLoginBytes(Bytes bytes);
  void Forget();

  Scheduler* const scheduler_;
  Actor* const actor_;
  ConnectionUser* user_;  // nullptr: closed
  std::shared_ptr<Tcp> tcp_;
  Stage stage_ = Stage::kConnect;
  uint32_t thread_id_ = 0;
  uint32_t unheard_ = 0;
  Bytes input_;
};

}  // namespace bulkhead::sim

#endif  // BULKHEAD_TESTS_SIM_CONNECTION_H_
