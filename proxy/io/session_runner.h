// One client connection: its stream, its login, then its session; the shell around
// session::Session.
//
// Purpose: carries bytes between the client's stream, the login machine, the session and the
// backend connection in use, with
//   watermarks on both sides, so that memory per session is bounded whatever the size of a result
//   or of a statement.
// Thread: the worker's. Lifetime: owned by the worker; Worker::Retire takes it out of use from
// within its own callbacks. Limits: input that the session does not take yet is kept up to
// kInputLimit, then reading stops.
#ifndef BULKHEAD_PROXY_IO_SESSION_RUNNER_H_
#define BULKHEAD_PROXY_IO_SESSION_RUNNER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "metrics/list.h"
#include "metrics/tenant_meter.h"
#include "proxy/io/backend_connection.h"
#include "proxy/io/gate_keeper.h"
#include "proxy/io/link_user.h"
#include "proxy/io/stream.h"
#include "proxy/session/client_handshake.h"
#include "proxy/session/session.h"
#include "routing/tenant_limits.h"

namespace bulkhead::io {

class Worker;
struct ClientListener;

class SessionRunner final : public StreamHandler, public LinkUser, public session::SessionShell {
 public:
  static constexpr size_t kInputLimit = 128 * 1024;

  SessionRunner(Worker* worker, std::shared_ptr<const ClientListener> listener, uint32_t id,
                std::string host);
  ~SessionRunner() override;

  void Start(int fd);
  // KILL from another session, or from this one.
  void BeKilled(bool query_only);
  // The router is shutting down: closes now if nothing is running here; otherwise once it has
  // ended.
  void Drain();
  void OnKillDone(bool found, uint64_t id);
  // The answers of the gate; of an older wait: not heard.
  void OnGateReleased(const GateRelease& release);
  void OnGateRefused(const GateRefusal& refusal);
  // The gate of `shard` has closed.
  void OnGateClosed(routing::ShardId shard);
  // The job of a login is done.
  void OnPasswordJob(auth::PasswordJobResult result);

  [[nodiscard]] uint32_t id() const { return id_; }
  [[nodiscard]] const session::Session* session() const { return session_.get(); }
  [[nodiscard]] session::Session* session() { return session_.get(); }
  [[nodiscard]] bool logged_in() const { return session_ != nullptr; }
  [[nodiscard]] uint64_t last_activity_ns() const { return last_activity_ns_; }
  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] bool is_tls() const { return is_tls_; }

  // StreamHandler
  void OnBytes(std::span<uint8_t> bytes) override;
  void OnWritable() override;
  [[nodiscard]] bool OnUnreadable(const StreamEnd& end) override;
  void OnEnd(const StreamEnd& end) override;

  // LinkUser
  void OnLink(session::BackendLink* link) override;
  void OnLinkFailed(const session::RouterError& error) override;
  void OnLinkBytes(std::span<uint8_t> bytes) override;
  void OnLinkWritable() override;
  void OnLinkLost(bool known_dead) override;
  void OnLinkRobbed(session::SavedDiagnostics saved) override;
  void OnTransactionFound() override;
  void OnLinkBack() override;
  void OnLinkGivenUp(bool undelivered) override;

  // session::SessionShell
  [[nodiscard]] uint64_t NowNs() const override;
  void SendToClient(std::span<const uint8_t> bytes) override;
  void CloseClient() override;
  void ClientBytesWanted() override;
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
  void NoteDdl(routing::BackendId backend) override;
  void Kill(uint64_t id, bool query_only) override;
  void ChangeUser(std::span<const uint8_t> payload, uint8_t sequence) override;
  void CountStatement(routing::ShardId shard, sql::StatementKind kind, session::Outcome outcome,
                      uint64_t duration_ns) override;
  void CountRestore() override;

 private:
  enum class Phase : uint8_t { ProxyHeader, Login, ChangeUser, Session, Closed };

  [[nodiscard]] bool EndsWithItsServer() const;
  void OnProxyHeader();
  void StartLogin();
  void OnLoginInput();
  void OnLoginAction(session::ClientHandshake::Action action);
  void FinishLogin();
  [[nodiscard]] bool BindLimits(std::string_view tenant, routing::TenantHandle* handle);
  [[nodiscard]] bool TakePlace(const session::SessionLogin& login);
  void AnswerNoLogin(wire::ClientError code);
  [[nodiscard]] session::SessionLogin MakeLogin(session::LoginResult& result) const;
  void PumpSession(std::span<uint8_t> bytes);
  void PumpInput();
  void AfterSession();
  void Flush();
  void RefuseAndClose(metrics::LoginFailure why);
  void EndRefusedLogin(metrics::LoginFailure why);

  Worker* const worker_;
  const std::shared_ptr<const ClientListener> listener_;  // as it was when the client came
  const uint32_t id_;
  Phase phase_ = Phase::Login;
  bool draining_ = false;
  bool pumping_ = false;
  bool computing_ = false;
  bool is_tls_ = false;
  std::string host_;
  StreamPtr stream_;
  std::vector<uint8_t> input_;   // not taken by the login or the session yet
  std::vector<uint8_t> output_;  // of the login, to be sent in one write
  std::unique_ptr<session::ClientHandshake> handshake_;
  std::unique_ptr<session::Session> session_;
  auth::UserPlace user_place_;
  auth::Nonce nonce_{};  // the last one that was sent: a COM_CHANGE_USER starts from it
  uint64_t last_activity_ns_ = 0;
  routing::ShardId gate_shard_{};
  uint64_t gate_ticket_ = 0;  // of the wait under way, or of the last one
  uint32_t gate_waits_ = 0;
  metrics::TenantMeter::Hint tenant_hint_ = 0;
};

}  // namespace bulkhead::io

#endif  // BULKHEAD_PROXY_IO_SESSION_RUNNER_H_
